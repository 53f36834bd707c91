"""A report of a check that may be forwarded: no secret, nothing that depends on a record."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from farr import __version__, files
from farr.doctor.finding import Finding
from farr.membership.home import Home
from protocols import PROTOCOL_VERSION

WITHHELD = frozenset({"data", "evidence"})
"""Checks whose words may hold counts of records or answers: of these only the outcome is told."""


def write(file: Path, found: Sequence[Finding], held: Home | None, *, now: float) -> None:
    """Write the report as JSON, readable by its owner only until he hands it on.

    Guarantee: it holds outcomes, public names and the words of checks that see no record; no key, token, password or
    count. Test: tests/farr/test_doctor.py::test_a_report_holds_no_secret_and_no_count.
    """
    facts: dict[str, object] = {
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "farr": __version__,
        "protocol": PROTOCOL_VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "platform": sys.platform,
    }
    if held is not None:
        credentials = held.credentials
        facts |= {
            "federation": credentials.federation,
            "id": credentials.member,
            "coordinator": credentials.address,
            "roster": held.read_roster().version,
        }
    facts["checks"] = [
        {"check": each.name, "good": each.good} if each.name in WITHHELD else each.to_plain() for each in found
    ]
    files.replace(file, json.dumps(facts, ensure_ascii=False, indent=2).encode() + b"\n")
