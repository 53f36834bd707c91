"""The ledger: what this hospital's patients have been charged, in whole units, for ever.

One release is one (request, epoch, slot, announcement). Its charge is never changed, never refunded and never charged
twice; the upload that it paid for is kept beside it, so the same announcement gets the same bytes again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from node.state import StateError
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.hashing import digest
from queries.measurement import Measurement

LABEL = "farr1/charge"
UPLOAD_LABEL = "farr1/stored-upload"

START = bytes(32)
"""What the first row's digest follows."""

MOST_INTEGER = (1 << 63) - 1
"""Greatest whole number that the state can hold."""

_COLUMNS = "number, request, epoch, slot, tau, units, table_name, analyst, purpose, at, evidence, digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one release costs a patient, and what it was for."""

    request: bytes
    """Id of the request, 16 bytes."""
    epoch: int
    """Number of the epoch whose keys hide the round."""
    slot: int
    """Of the round, in its epoch."""
    tau: bytes
    """Digest of the announcement, 32 bytes."""
    units: int
    """Privacy loss in ledger units; 0 where nothing of the answer depends on a record."""
    table: str
    """The private table that was read."""
    analyst: str
    """Member id of who asked."""
    purpose: str
    """Why, in the analyst's words."""
    at: int
    """Seconds since 1970, UTC."""
    evidence: str
    """How the cost came about, as canonical JSON: see ``evidence_of``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The charges in a node's state. Every method reads or writes through the one connection it was given."""

    connection: sqlite3.Connection
    """Open state of the node."""

    def spent(self) -> int:
        """Return the sum of all charges, in units."""
        (total,) = self.connection.execute("SELECT coalesce(sum(units), 0) FROM charges").fetchone()
        return int(total)

    def stored(self, tau: bytes) -> bytes | None:
        """Return the upload that already answered this announcement, byte for byte, or None."""
        row = self.connection.execute("SELECT upload FROM uploads WHERE tau = ?", (tau,)).fetchone()
        return None if row is None else bytes(row[0])

    def admits(self, request: bytes, epoch: int, slot: int, units: int, cap: int) -> None:
        """Raise Rejected unless a new release may be charged under these names within ``cap``.

        What costs nothing is admitted whatever was spent.

        Guarantee: a request is answered under one announcement and a slot carries one; and the sum of all charges
        never exceeds the cap that holds when a charge is made. Tests: tests/node/test_ledger.py.
        """
        if not (0 <= epoch <= MOST_INTEGER and 0 <= slot <= MOST_INTEGER):
            raise Rejected("malformed", "epoch or slot")
        if self.connection.execute("SELECT 1 FROM charges WHERE request = ?", (request,)).fetchone():
            raise Rejected("replayed", request.hex())
        if self.connection.execute("SELECT 1 FROM charges WHERE epoch = ? AND slot = ?", (epoch, slot)).fetchone():
            raise Rejected("slot-used", f"epoch {epoch}, slot {slot}")
        if units < 0 or (units and self.spent() + units > cap):
            raise Rejected("budget", f"{units} more than {cap - self.spent()} units")

    def charge(self, charge: Charge, cap: int) -> None:
        """Write a charge; raise Rejected, changing nothing, where it is not admitted.

        Guarantee: it runs inside the transaction that stores the upload, under the lock of BEGIN IMMEDIATE, so no
        other charge comes between the check and the row, and no upload exists without its charge. Test:
        tests/node/test_ledger.py::test_a_charge_outside_a_transaction_is_refused.
        """
        if not self.connection.in_transaction:
            raise StateError("a charge is written in the transaction that stores its upload")
        self.admits(charge.request, charge.epoch, charge.slot, charge.units, cap)
        number, previous = self._last()
        self.connection.execute(
            f"INSERT INTO charges ({_COLUMNS}) VALUES ({', '.join('?' * 12)})",  # noqa: S608
            (
                number + 1,
                charge.request,
                charge.epoch,
                charge.slot,
                charge.tau,
                charge.units,
                charge.table,
                charge.analyst,
                charge.purpose,
                charge.at,
                charge.evidence,
                _link(previous, number + 1, charge),
            ),
        )

    def store(self, tau: bytes, announcement: bytes, upload: bytes) -> None:
        """Keep the upload that a charge in the same transaction paid for."""
        if not self.connection.in_transaction:
            raise StateError("an upload is stored in the transaction that charges for it")
        self.connection.execute(
            "INSERT INTO uploads (tau, digest, announcement, upload) VALUES (?, ?, ?, ?)",
            (tau, upload_digest(upload), announcement, upload),
        )

    def paid(self, upload: bytes) -> bool:
        """Return whether exactly these bytes were stored with a charge."""
        found = self.connection.execute("SELECT 1 FROM uploads WHERE digest = ?", (upload_digest(upload),))
        return found.fetchone() is not None

    def charges(self) -> Iterator[Charge]:
        """Return every charge, oldest first."""
        for _, charge, _ in self._rows():
            yield charge

    def verify(self) -> int | None:
        """Return the number of the first row that is not as it was written, or None when all are.

        Guarantee: a changed, added, removed or reordered row is found, unless it is the last ones that were removed;
        those show against the audit log. Test: tests/node/test_ledger.py::test_a_changed_row_is_named.
        """
        previous, expected = START, 1
        for number, charge, linked in self._rows():
            if number != expected or linked != _link(previous, number, charge):
                return expected
            previous, expected = linked, expected + 1
        return None

    def _rows(self) -> Iterator[tuple[int, Charge, bytes]]:
        rows = self.connection.execute(f"SELECT {_COLUMNS} FROM charges ORDER BY number")  # noqa: S608
        for number, request, epoch, slot, tau, units, table, analyst, purpose, at, evidence, linked in rows:
            charge = Charge(
                request=request,
                epoch=epoch,
                slot=slot,
                tau=tau,
                units=units,
                table=table,
                analyst=analyst,
                purpose=purpose,
                at=at,
                evidence=evidence,
            )
            yield number, charge, linked

    def _last(self) -> tuple[int, bytes]:
        row = self.connection.execute("SELECT number, digest FROM charges ORDER BY number DESC LIMIT 1").fetchone()
        return (0, START) if row is None else (row[0], row[1])


def evidence_of(measurement: Measurement, announcement: Announcement) -> str:
    """Return how a cost came about: m, c, h, and for each block its entries, grid, share scale, squared L2 and rho."""
    plain = {
        "minimum": announcement.minimum,
        "colluders": announcement.colluders,
        "honest": measurement.honest,
        "epoch": announcement.epoch,
        "slot": announcement.slot,
        "blocks": [
            {
                "entries": block.entries,
                "grid": block.grid,
                "scale": _text(block.share_scale),
                "l1": block.sensitivity.l1,
                "l2_squared": block.sensitivity.l2_squared,
                "linf": block.sensitivity.linf,
                "rho": _text(block.rho),
            }
            for block in measurement.blocks
        ],
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def upload_digest(upload: bytes) -> bytes:
    """Return the digest by which a stored upload is found."""
    return digest(UPLOAD_LABEL, upload)


def _link(previous: bytes, number: int, charge: Charge) -> bytes:
    numbers = (number, charge.epoch, charge.slot, charge.units, charge.at)
    texts = (charge.table, charge.analyst, charge.purpose, charge.evidence)
    return digest(
        LABEL,
        previous,
        charge.request,
        charge.tau,
        *(value.to_bytes(8, "big", signed=True) for value in numbers),
        *(text.encode() for text in texts),
    )


def _text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
