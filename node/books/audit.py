"""The audit log: what this hospital was asked and what it did, each entry bound to the one before it.

Entries hold public facts only (who asked, what for, the cost, a refusal's code), never anything about a record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from node.books.state import StateError
from protocols.log import Entry, Fact, Log

__all__ = ["ANSWERED", "REFUSED", "ROSTER", "STARTED", "Audit", "Entry", "Fact"]

ANSWERED = "answered"
REFUSED = "refused"
STARTED = "started"
ROSTER = "roster"
RELEASED = "released"
"""The round's sum was released: what a third party is shown beside ``answered``."""
DETAIL = "detail"
"""Why an answer is zeros, in words: for the operator alone, and never shown to anybody else."""
EQUIVOCATION = "equivocation"
"""Two signed things that cannot both be true: a log that was rewritten, or a round with two releases."""
ROLLED_BACK = "rolled-back"
"""This state is older than what this node has signed: it answers nothing from here on."""
RECOVERED = "recovered"
"""The operator said how to go on after that, and what it costs."""

MOST_REFUSALS = 1000
"""Most refusals that are kept a day, so nobody can fill the disk with questions that are refused."""

TORN = "torn"
"""The state's last write was cut short by a fault of the machine: charged for, since it may have been an answer."""

DAY = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit log in a node's state."""

    connection: sqlite3.Connection
    """Open state of the node."""

    @property
    def log(self) -> Log:
        """Return the entries with their tree."""
        return Log(connection=self.connection, table="audit")

    def append(self, kind: str, at: int, facts: Mapping[str, Fact]) -> None:
        """Add an entry, inside the transaction of what it tells of."""
        if not self.connection.in_transaction:
            raise StateError("an entry is written in the transaction of what it tells of")
        self.log.append(kind, at, facts)

    def has_room(self, at: int) -> bool:
        """Return whether one more refusal may be kept today; the node's own log tells of all of them."""
        (recent,) = self.connection.execute(
            "SELECT count(*) FROM audit WHERE kind = ? AND at > ?", (REFUSED, at - DAY)
        ).fetchone()
        return int(recent) < MOST_REFUSALS

    def entries(self) -> Iterator[Entry]:
        """Return every entry, oldest first."""
        return self.log.entries()

    def verify(self) -> int | None:
        """Return the number of the first entry that is not as it was written, or None when all are.

        Guarantee: a changed, added, removed or reordered entry is found. Entries missing at the end are found by the
        tree's leaves, by an answer's charge in the ledger, or, where all of that is gone, by the checkpoint that
        others hold. Tests: tests/node/test_audit.py::test_the_first_bad_entry_is_named,
        tests/node/test_heads.py::test_a_node_that_was_rolled_back_answers_nothing.
        """
        if (bad := self.log.verify()) is not None:
            return bad
        answered = self.connection.execute(
            "SELECT count(*) FROM audit WHERE kind IN (?, ?, ?)", (ANSWERED, RECOVERED, TORN)
        ).fetchone()
        charged = self.connection.execute("SELECT count(*) FROM charges").fetchone()
        return None if answered == charged else self.head()[0] + 1

    def head(self) -> tuple[int, bytes]:
        """Return the number and the digest of the last entry: what somebody else may keep to hold this log to."""
        return self.log.head()

    def numbers(self, kind: str, round_: bytes) -> list[int]:
        """Return the numbers of the entries of a kind, ``answered`` or ``released``, that tell of a round."""
        rows = self.connection.execute(
            "SELECT number FROM audit WHERE kind = ? AND kind IN ('answered', 'released') AND json_valid(facts) "
            "AND json_extract(facts, '$.round') = ? ORDER BY number",
            (kind, round_.hex()),
        )
        return [int(row[0]) for row in rows]

    def last(self, kind: str) -> int:
        """Return the number of the last entry of a kind; 0: none."""
        (number,) = self.connection.execute(
            "SELECT coalesce(max(number), 0) FROM audit WHERE kind = ?", (kind,)
        ).fetchone()
        return int(number)

    @property
    def halted(self) -> bool:
        """Return whether the node was found rolled back, and the operator has not yet said how to go on.

        Guarantee: it outlives a restart, since it is read off the log itself. Test:
        tests/node/test_heads.py::test_a_node_that_was_rolled_back_answers_nothing.
        """
        return self.last(ROLLED_BACK) > self.last(RECOVERED)
