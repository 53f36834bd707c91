"""What the coordinator keeps of logs: its own checkpoints with their witnesses, hospitals' heads and receipts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from protocols import announcement as announcements
from protocols import checks
from protocols.wire_pb2 import HospitalReceipt, Receipt, Release, Signed

MOST_OWED = 256
"""Most releases of which a hospital that connects again hears once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceStore:
    """Reads and writes the tables of ``log.SCRIPT`` beside the log itself."""

    connection: sqlite3.Connection
    """Open state of the coordinator."""

    # --- own checkpoints, and who witnessed them

    def newest(self) -> Signed | None:
        """Return the newest checkpoint of the own log."""
        return next(self.checkpoints_since(-1, descending=True), None)

    def checkpoints_since(self, size: int, *, descending: bool = False) -> Iterator[Signed]:
        """Return the own checkpoints of more than ``size`` entries, oldest or newest first."""
        order = "DESC" if descending else "ASC"
        rows = self.connection.execute(
            f"SELECT signed FROM checkpoints WHERE size > ? ORDER BY size {order}",  # noqa: S608 - one of two words
            (size,),
        )
        for (signed,) in rows:
            yield checks.parse(Signed, signed)

    def add_checkpoint(self, size: int, signed: Signed) -> None:
        """Keep a checkpoint of the own log."""
        self.connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (size, _bytes(signed)))

    def witnessed(self, site: str) -> int:
        """Return the size of the newest own checkpoint that a hospital witnessed; 0: none."""
        (size,) = self.connection.execute(
            "SELECT coalesce(max(size), 0) FROM witness WHERE site = ?", (site,)
        ).fetchone()
        return int(size)

    def add_witness(self, site: str, size: int, signed: Signed) -> None:
        """Keep a hospital's word on an own checkpoint."""
        self.connection.execute("INSERT OR REPLACE INTO witness VALUES (?, ?, ?)", (site, size, _bytes(signed)))

    def witnesses(self, size: int) -> list[Signed]:
        """Return the witnesses of an own checkpoint, by site."""
        rows = self.connection.execute("SELECT signed FROM witness WHERE size = ? ORDER BY site", (size,))
        return [checks.parse(Signed, row[0]) for row in rows]

    def best_witnessed(self, size: int) -> Signed | None:
        """Return the own checkpoint of at least ``size`` entries that most hospitals witnessed, the newest of those."""
        row = self.connection.execute(
            "SELECT checkpoints.signed FROM checkpoints LEFT JOIN witness USING (size) WHERE checkpoints.size >= ? "
            "GROUP BY checkpoints.size ORDER BY count(witness.site) DESC, checkpoints.size DESC LIMIT 1",
            (size,),
        ).fetchone()
        return None if row is None else checks.parse(Signed, row[0])

    # --- hospitals' heads

    def head(self, member: str) -> Signed | None:
        """Return the newest checkpoint of a hospital's log."""
        row = self.connection.execute("SELECT signed FROM head WHERE member = ?", (member,)).fetchone()
        return None if row is None else checks.parse(Signed, row[0])

    def heads(self) -> list[Signed]:
        """Return the newest checkpoints of all hospitals' logs."""
        return [checks.parse(Signed, row[0]) for row in self.connection.execute("SELECT signed FROM head")]

    def set_head(self, member: str, size: int, signed: Signed) -> None:
        """Keep a hospital's newest checkpoint."""
        self.connection.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?)", (member, size, _bytes(signed)))

    # --- receipts

    def owe(self, request: bytes, signed: Signed) -> None:
        """Note that the hospitals of a release have yet to send their receipts."""
        message = checks.parse(Release, signed.body)
        tau = announcements.tau(checks.parse(Signed, message.announcement))
        self.connection.executemany(
            "INSERT OR IGNORE INTO owed VALUES (?, ?, ?)", [(site, tau, request) for site in message.contributors]
        )

    def owed(self, site: str) -> list[Signed]:
        """Return the newest releases for which a hospital has not sent its receipt, oldest first."""
        rows = self.connection.execute(
            "SELECT signed FROM owed JOIN release USING (request) WHERE site = ? ORDER BY number DESC LIMIT ?",
            (site, MOST_OWED),
        ).fetchall()
        return [checks.parse(Signed, row[0]) for row in reversed(rows)]

    def round(self, tau: bytes, site: str) -> bytes | None:
        """Return the id of the request of a released round whose receipt a hospital owes."""
        row = self.connection.execute("SELECT request FROM owed WHERE site = ? AND round = ?", (site, tau)).fetchone()
        return None if row is None else bytes(row[0])

    def add_receipt(self, request: bytes, site: str, receipt: Receipt) -> None:
        """Keep a hospital's receipt."""
        self.connection.execute("DELETE FROM owed WHERE site = ? AND request = ?", (site, request))
        self.connection.execute(
            "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?)",
            (request, site, receipt.SerializeToString(deterministic=True)),
        )

    def receipts(self, request: bytes) -> list[HospitalReceipt]:
        """Return the receipts of a release, by site."""
        rows = self.connection.execute("SELECT site, receipt FROM receipt WHERE request = ? ORDER BY site", (request,))
        return [HospitalReceipt(site=site, receipt=checks.parse(Receipt, receipt)) for site, receipt in rows]


def _bytes(signed: Signed) -> bytes:
    return signed.SerializeToString(deterministic=True)
