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


class JsonLines(logging.Formatter):
    """Format records as JSON lines.

    Guarantee: no field outside FIELDS, no exception text and no argument of a message is written. Test:
    tests/protocols/test_logs.py::test_a_field_that_is_not_listed_is_dropped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; the message template is the event and takes no arguments."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name,
            "event": str(record.msg),
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value if isinstance(value, (int, float, str)) else str(value)
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)
