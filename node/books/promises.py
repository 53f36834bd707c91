"""What the hospital has bound itself to in the secure sum, durably: epochs and slots.

``protocols/farrsum/epoch_record.py`` and ``slot_record.py`` decide what may be said; the state keeps what was, and its
triggers refuse to unsay it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from node.books.ledger import MOST_INTEGER
from node.books.state import StateError
from protocols.errors import Rejected
from protocols.farrsum.epoch_record import EpochRecord
from protocols.farrsum.slot_record import SlotRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """The promises in a node's state. Every method reads or writes through the one connection it was given."""

    connection: sqlite3.Connection
    """Open state of the node."""

    def epoch(self) -> EpochRecord:
        """Return what holds among epochs: the highest number, and the freeze accepted for it."""
        row = self.connection.execute("SELECT number, frozen FROM epochs ORDER BY number DESC LIMIT 1").fetchone()
        return EpochRecord() if row is None else EpochRecord(number=row[0], frozen=row[1])

    def keep_epoch(self, record: EpochRecord) -> None:
        """Keep what an epoch is bound to; raise StateError outside a transaction.

        Guarantee: a number never comes again and a freeze is never replaced, over restarts too. Tests:
        tests/node/test_promises.py.
        """
        self._insist()
        if record.number > MOST_INTEGER:
            raise Rejected("malformed", "epoch")
        self.connection.execute(
            "INSERT INTO epochs VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET frozen = excluded.frozen",
            (record.number, record.frozen),
        )

    def frozen(self, number: int) -> bytes | None:
        """Return E of the freeze that was accepted for an epoch, or None."""
        row = self.connection.execute("SELECT frozen FROM epochs WHERE number = ?", (number,)).fetchone()
        return None if row is None else row[0]

    def seated(self) -> int:
        """Return the highest epoch of which a freeze was accepted; 0: none."""
        (number,) = self.connection.execute("SELECT max(number) FROM epochs WHERE frozen IS NOT NULL").fetchone()
        return number or 0

    def has_frozen(self, frozen: bytes) -> bool:
        """Return whether a freeze of this digest was ever accepted."""
        found = self.connection.execute("SELECT 1 FROM epochs WHERE frozen = ?", (frozen,)).fetchone()
        return found is not None

    def slot(self, epoch: int, slot: int) -> SlotRecord:
        """Return what a slot is bound to."""
        row = self.connection.execute(
            "SELECT announced, sent, confirmed, released FROM slots WHERE epoch = ? AND slot = ?", (epoch, slot)
        ).fetchone()
        if row is None:
            return SlotRecord()
        return SlotRecord(announced=row[0], sent=bool(row[1]), confirmed=row[2], released=row[3])

    def keep_slot(self, epoch: int, slot: int, record: SlotRecord) -> None:
        """Keep what a slot is bound to; raise StateError outside a transaction.

        Guarantee: what a slot was bound to once is never unbound or replaced. Tests: tests/node/test_promises.py.
        """
        self._insist()
        self.connection.execute(
            "INSERT INTO slots VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (epoch, slot) DO UPDATE SET "
            "announced = excluded.announced, sent = excluded.sent, confirmed = excluded.confirmed, "
            "released = excluded.released",
            (epoch, slot, record.announced, int(record.sent), record.confirmed, record.released),
        )

    def bound(self, tau: bytes) -> tuple[int, SlotRecord] | None:
        """Return the epoch and the record of the slot that carries an announcement, or None."""
        row = self.connection.execute("SELECT epoch, slot FROM slots WHERE announced = ?", (tau,)).fetchone()
        return None if row is None else (row[0], self.slot(row[0], row[1]))

    def _insist(self) -> None:
        if not self.connection.in_transaction:
            raise StateError("a promise is kept in a transaction that ends before anything leaves")
