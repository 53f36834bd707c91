"""Structured logs: one JSON object a line with allow-listed fields only, so a log can be shipped as it is."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

FIELDS = (
    "federation",
    "member",
    "peer",
    "request",
    "round",
    "epoch",
    "slot",
    "release",
    "code",
    "reference",
    "table",
    "entries",
    "cost",
    "remaining",
    "contributors",
    "seconds",
    "version",
    "ours",
    "theirs",
    "days",
    "address",
    "attempt",
    "app",
    "error",
)
"""What a log line may carry beside time, level and event. ``error`` is the name of an exception's class."""


OWN = frozenset({"node", "coordinator", "farr", "protocols", "queries"})
"""Whose messages are constants."""


class JsonLines(logging.Formatter):
    """Format records as JSON lines. Of a library's message only the place in its code is written.

    Guarantee: no field outside FIELDS, no exception text, no argument of a message and no library's text, which may
    quote either, is written. Tests: tests/protocols/test_logs.py::test_a_field_that_is_not_listed_is_dropped,
    tests/protocols/test_logs.py::test_what_a_library_says_is_kept_back.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; the message template is the event and takes no arguments."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name,
            "event": str(record.msg) if record.name.partition(".")[0] in OWN else f"{record.module}:{record.lineno}",
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value if isinstance(value, (int, float, str)) else str(value)
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)
