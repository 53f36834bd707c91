"""The audit log: what this hospital was asked and what it did, each entry bound to the one before it.

Entries hold public facts only (who asked, what for, the cost, a refusal's code), never anything about a record.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from node.ledger import START
from node.state import StateError
from protocols.errors import Rejected
from protocols.hashing import digest

LABEL = "farr1/audit"

ANSWERED = "answered"
REFUSED = "refused"
STARTED = "started"
ROSTER = "roster"

MOST_BYTES = 4096
"""Longest entry."""

MOST_REFUSALS = 1000
"""Most refusals that are kept a day, so nobody can fill the disk with questions that are refused."""

DAY = 24 * 3600

Fact = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened."""

    number: int
    """1, 2, 3 ..."""
    kind: str
    """``answered``, ``refused``, ``started`` or ``roster``."""
    at: int
    """Seconds since 1970, UTC."""
    facts: str
    """Canonical JSON."""
    digest: bytes
    """Binds it to all entries before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit log in a node's state."""

    connection: sqlite3.Connection
    """Open state of the node."""

    def append(self, kind: str, at: int, facts: Mapping[str, Fact]) -> None:
        """Add an entry, inside the transaction of what it tells of."""
        if not self.connection.in_transaction:
            raise StateError("an entry is written in the transaction of what it tells of")
        text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) > MOST_BYTES:
            raise Rejected("oversized", "audit entry")
        number, previous = self._last()
        linked = _link(previous, number + 1, kind, at, text)
        self.connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (number + 1, kind, at, text, linked))

    def has_room(self, at: int) -> bool:
        """Return whether one more refusal may be kept today; the node's own log tells of all of them."""
        (recent,) = self.connection.execute(
            "SELECT count(*) FROM audit WHERE kind = ? AND at > ?", (REFUSED, at - DAY)
        ).fetchone()
        return int(recent) < MOST_REFUSALS

    def entries(self) -> Iterator[Entry]:
        """Return every entry, oldest first."""
        for row in self.connection.execute("SELECT number, kind, at, facts, digest FROM audit ORDER BY number"):
            yield Entry(number=row[0], kind=row[1], at=row[2], facts=row[3], digest=row[4])

    def verify(self) -> int | None:
        """Return the number of the first entry that is not as it was written, or None when all are.

        Guarantee: a changed, added, removed or reordered entry is found. Entries missing at the end are found only
        against a copy of the last digest, or where an answer's charge is still in the ledger. Test:
        tests/node/test_audit.py::test_the_first_bad_entry_is_named.
        """
        previous, expected = START, 1
        for entry in self.entries():
            if entry.number != expected or entry.digest != _link(
                previous, entry.number, entry.kind, entry.at, entry.facts
            ):
                return expected
            previous, expected = entry.digest, expected + 1
        answered = self.connection.execute("SELECT count(*) FROM audit WHERE kind = ?", (ANSWERED,)).fetchone()
        charged = self.connection.execute("SELECT count(*) FROM charges").fetchone()
        return None if answered == charged else expected

    def head(self) -> tuple[int, bytes]:
        """Return the number and the digest of the last entry: what somebody else may keep to hold this log to."""
        return self._last()

    def _last(self) -> tuple[int, bytes]:
        row = self.connection.execute("SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        return (0, START) if row is None else (row[0], row[1])


def _link(previous: bytes, number: int, kind: str, at: int, text: str) -> bytes:
    # Signed, so that a row somebody else wrote is named as bad rather than stopping the check.
    numbers = (number.to_bytes(8, "big", signed=True), at.to_bytes(8, "big", signed=True))
    return digest(LABEL, previous, *numbers, kind.encode(), text.encode())
