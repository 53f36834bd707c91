"""An append-only log in a party's SQLite state: entries chained by digests, which are the leaves of a Merkle tree.

The chain finds the first entry that was changed without any proof; the tree lets a single entry be shown, and lets a
checkpoint be held against a later one, without the rest of the log.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocols import merkle
from protocols.errors import ProtocolError, Rejected
from protocols.hashing import digest
from protocols.wire_pb2 import Logged

LABEL = "farr1/audit"

START = bytes(32)
"""What the first entry's digest follows."""

MOST_BYTES = 4096
"""Longest entry."""

Fact = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened."""

    number: int
    """1, 2, 3 ..."""
    kind: str
    """What happened, such as ``answered``."""
    at: int
    """Seconds since 1970, UTC."""
    facts: str
    """Canonical JSON."""
    digest: bytes
    """Binds it to all entries before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log in one table of a state, and its tree in the table ``tree``."""

    connection: sqlite3.Connection
    """Open state."""
    table: str
    """Name of the table: number, kind, at, facts, digest."""

    def append(self, kind: str, at: int, facts: Mapping[str, Fact]) -> Entry:
        """Add an entry and what it completes of the tree, inside the transaction of what it tells of.

        Guarantee: an entry and its place in the tree are kept together or not at all, and nothing is added to a log
        that lost entries at its end. Tests: tests/protocols/test_log.py::test_an_entry_and_its_leaf_are_one_step,
        tests/protocols/test_log.py::test_nothing_is_added_to_a_log_that_lost_its_end.
        """
        if not self.connection.in_transaction:
            raise ProtocolError("an entry is written in the transaction of what it tells of")
        text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) > MOST_BYTES:
            raise Rejected("oversized", "log entry")
        number, previous = self.head()
        self.catch_up()
        linked = link(previous, number + 1, kind, at, text)
        self.connection.execute(
            f"INSERT INTO {self.table} VALUES (?, ?, ?, ?, ?)",  # noqa: S608 - own constant
            (number + 1, kind, at, text, linked),
        )
        self._grow(number, linked)
        return Entry(number=number + 1, kind=kind, at=at, facts=text, digest=linked)

    def entries(self, since: int = -(1 << 62)) -> Iterator[Entry]:
        """Return every entry after number ``since``, oldest first."""
        rows = self.connection.execute(
            f"SELECT number, kind, at, facts, digest FROM {self.table} "  # noqa: S608 - own constant
            "WHERE number > ? ORDER BY number",
            (since,),
        )
        for row in rows:
            yield Entry(number=row[0], kind=row[1], at=row[2], facts=row[3], digest=row[4])

    def head(self) -> tuple[int, bytes]:
        """Return the number and the digest of the last entry."""
        row = self.connection.execute(
            f"SELECT number, digest FROM {self.table} ORDER BY number DESC LIMIT 1"  # noqa: S608 - own constant
        ).fetchone()
        return (0, START) if row is None else (row[0], row[1])

    def verify(self) -> int | None:
        """Return the number of the first entry that is not as it was written, or None when all are.

        Guarantee: a changed, added, removed or reordered entry is found, the last ones too unless their leaves were
        removed from the tree as well; those show against a checkpoint that somebody else holds. Tests:
        tests/protocols/test_log.py::test_the_first_bad_entry_is_named.
        """
        previous, expected, subtrees = START, 1, dict[tuple[int, int], bytes]()
        for entry in self.entries():
            if entry.number != expected or entry.digest != link(
                previous, entry.number, entry.kind, entry.at, entry.facts
            ):
                return expected
            for level, position, hashed in merkle.grown(
                expected - 1, merkle.leaf(entry.digest), lambda level, position: subtrees[level, position]
            ):
                subtrees[level, position] = hashed
            previous, expected = entry.digest, expected + 1
        return self._first_misplaced(subtrees, expected - 1)

    # --- the tree

    def at(self, level: int, position: int) -> bytes:
        """Return the hash of a complete subtree."""
        row = self.connection.execute(
            "SELECT digest FROM tree WHERE level = ? AND position = ?", (level, position)
        ).fetchone()
        if row is None:
            raise ProtocolError("the log's tree is not as it was written")
        return bytes(row[0])

    def root(self, size: int) -> bytes:
        """Return the root of the tree of the first ``size`` entries."""
        return merkle.root(size, self.at)

    def catch_up(self) -> None:
        """Grow the tree of a log that was written before it had one; raise ProtocolError where the log lost its end."""
        number, _ = self.head()
        leaves = self._leaves()
        if leaves > number:
            raise ProtocolError(f"the log lost its end: entry {number + 1}; restore it from the newest backup")
        if leaves < number:
            for entry in list(self.entries(leaves)):
                self._grow(entry.number - 1, entry.digest)

    def shown(self, number: int, size: int) -> Logged:
        """Return an entry with the proof that the log of ``size`` entries holds it."""
        found = self.connection.execute(
            f"SELECT number, kind, at, facts, digest FROM {self.table} "  # noqa: S608 - own constant
            "WHERE number BETWEEN ? AND ?",
            (number - 1, number),
        )
        rows = {row[0]: Entry(number=row[0], kind=row[1], at=row[2], facts=row[3], digest=row[4]) for row in found}
        entry = rows[number]
        return Logged(
            number=number,
            kind=entry.kind,
            at=entry.at,
            facts=entry.facts,
            previous=rows[number - 1].digest if number > 1 else START,
            inclusion=merkle.inclusion(number - 1, size, self.at),
        )

    def _leaves(self) -> int:
        (last,) = self.connection.execute("SELECT coalesce(max(position), -1) FROM tree WHERE level = 0").fetchone()
        return int(last) + 1

    def _grow(self, size: int, linked: bytes) -> None:
        added = list(merkle.grown(size, merkle.leaf(linked), self.at))
        self.connection.executemany("INSERT INTO tree VALUES (?, ?, ?)", added)

    def _first_misplaced(self, subtrees: Mapping[tuple[int, int], bytes], size: int) -> int | None:
        kept: dict[tuple[int, int], bytes] = {
            (level, position): hashed
            for level, position, hashed in self.connection.execute("SELECT level, position, digest FROM tree")
        }
        if not kept:
            return None  # Written before there was a tree; the next entry grows it.
        wrong = [
            (position << level) + 1
            for (level, position), hashed in subtrees.items()
            if kept.get((level, position)) != hashed
        ]
        # A subtree that these entries do not complete was completed by entries after them.
        beyond = [size + 1] if kept.keys() - subtrees.keys() else []
        return min(wrong + beyond, default=None)


def link(previous: bytes, number: int, kind: str, at: int, text: str) -> bytes:
    """Return the digest of an entry, which binds it to the one before."""
    # Signed, so that a row somebody else wrote is named as bad rather than stopping the check.
    numbers = (number.to_bytes(8, "big", signed=True), at.to_bytes(8, "big", signed=True))
    return digest(LABEL, previous, *numbers, kind.encode(), text.encode())
