"""What the hospital's operator decided: who, when, on what, bound to what they saw. Append-only, each in the audit log.

Decisions are made in the process of a command (or a page) beside the running node, as one transaction on its state;
the node reads them back before every question, so none has to be told twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from node.books.audit import Audit, Fact
from node.books.state import StateError
from protocols.errors import Rejected

DECIDED = "decided"
"""Kind of the audit entry of a decision."""

APPROVE = "approve"
DENY = "deny"
REVOKE = "revoke"
STANDING = "standing"
WITHDRAW = "withdraw"
PAUSE = "pause"
RESUME = "resume"
ACCEPT = "accept"

KINDS = (APPROVE, DENY, REVOKE, STANDING, WITHDRAW, PAUSE, RESUME, ACCEPT)

UNBOUND = bytes(32)
"""Binding of a decision that depends on nothing else."""

MOST_NAME = 80
"""Most characters of the name of who decided."""

MOST_FACTS = 1 << 20
"""Longest facts of a decision, in bytes."""

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One word of the operator."""

    number: int
    """1, 2, 3 ..."""
    kind: str
    """One of KINDS."""
    subject: bytes
    """What it is about: a request's id, a member's id in UTF-8, a standing approval's number; empty: the node."""
    binding: bytes
    """Digest of all that it rests on, 32 bytes; UNBOUND where it holds whatever changes."""
    by: str
    """Name of who decided."""
    at: int
    """Seconds since 1970, UTC."""
    facts: Facts = field(default_factory=dict)
    """What else was said, as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The decisions in a node's state."""

    connection: sqlite3.Connection
    """Open state of the node."""

    def add(
        self, kind: str, *, by: str, at: int, subject: bytes = b"", binding: bytes = UNBOUND, facts: Facts | None = None
    ) -> int:
        """Keep a decision and its audit entry, inside the caller's transaction; return its number.

        Guarantee: no decision exists without an entry of the audit log that names it and whose word it was, and none
        is ever changed. Test: tests/node/test_decisions.py::test_a_decision_and_its_audit_entry_are_one.
        """
        if not self.connection.in_transaction:
            raise StateError("a decision is written in the transaction of what it was made on")
        if kind not in KINDS:
            raise StateError(f"{kind} is no decision")
        if not by or len(by) > MOST_NAME or not by.isprintable():
            raise Rejected("malformed", "name of who decides")
        text = json.dumps(dict(facts or {}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) > MOST_FACTS:
            raise Rejected("oversized", "decision")
        (number,) = self.connection.execute("SELECT coalesce(max(number), 0) + 1 FROM decisions").fetchone()
        self.connection.execute(
            f"INSERT INTO decisions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (number, kind, subject, binding, by, at, text),
        )
        entry: dict[str, Fact] = {"decision": kind, "number": number, "by": by}
        if subject:
            entry["subject"] = subject.hex()
        if binding != UNBOUND:
            entry["binding"] = binding.hex()
        Audit(connection=self.connection).append(DECIDED, at, entry)
        return int(number)

    def newest(self, kinds: tuple[str, ...], subject: bytes = b"") -> Decision | None:
        """Return the newest decision of these kinds on a subject, or None: the last word counts."""
        return next(self._rows(kinds, subject), None)

    def numbered(self, number: int) -> Decision | None:
        """Return a decision by its number."""
        rows = self.connection.execute(f"SELECT {_COLUMNS} FROM decisions WHERE number = ?", (number,))  # noqa: S608
        return next((_decision(row) for row in rows), None)

    def of_kind(self, *kinds: str) -> list[Decision]:
        """Return every decision of these kinds, oldest first."""
        marks = ", ".join("?" * len(kinds))
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM decisions WHERE kind IN ({marks}) ORDER BY number",  # noqa: S608
            kinds,
        )
        return [_decision(row) for row in rows]

    @property
    def paused(self) -> bool:
        """Return whether the operator has paused the node."""
        newest = self.newest((PAUSE, RESUME))
        return newest is not None and newest.kind == PAUSE

    def _rows(self, kinds: tuple[str, ...], subject: bytes) -> Iterator[Decision]:
        marks = ", ".join("?" * len(kinds))
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM decisions WHERE kind IN ({marks}) AND subject = ? ORDER BY number DESC",  # noqa: S608
            (*kinds, subject),
        )
        for row in rows:
            yield _decision(row)


_COLUMNS = "number, kind, subject, binding, decided_by, at, facts"


def _decision(row: tuple[int, str, bytes, bytes, str, int, str]) -> Decision:
    number, kind, subject, binding, by, at, facts = row
    return Decision(number=number, kind=kind, subject=subject, binding=binding, by=by, at=at, facts=json.loads(facts))
