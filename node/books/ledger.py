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

from node.books.state import StateError
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.request import Request, Run
from queries.cost.measurement import Measurement

LABEL = "farr1/charge"
LABEL_2 = "farr1/charge/2"
UPLOAD_LABEL = "farr1/stored-upload"
TURN_LABEL = "farr1/turn"

START = bytes(32)
"""What the first row's digest follows."""

MOST_INTEGER = (1 << 63) - 1
"""Greatest whole number that the state can hold."""

HALF_A_DAY = 12 * 3600
"""Seconds."""

WRITTEN = 2
"""Version of the rows that are written. Rows of version 1 say neither reason, period, policy nor approval."""

_COLUMNS = (
    "number, request, epoch, slot, tau, units, table_name, analyst, purpose, at, evidence, digest, "
    "version, reason, period, policy, approval"
)


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
    """Name of the purpose, of the analyst's mandate."""
    at: int
    """Seconds since 1970, UTC."""
    evidence: str
    """How the cost came about, as canonical JSON: see ``evidence_of``."""
    reason: str = ""
    """Why, in the analyst's words."""
    period: int = 0
    """When the period of the calendar began that it counts in, in seconds since 1970, UTC."""
    policy: bytes = b""
    """SHA-256 of the policy that allowed it; empty: none could be read."""
    approval: int | None = None
    """Number of the operator's decision that it rests on; None: it needed none."""
    version: int = WRITTEN
    """Of the row's digest."""

    def counts_since(self, start: int) -> bool:
        """Return whether it counts in a period that began then: as ``Ledger.spending`` adds up."""
        return self.at >= start or _named(self.period) >= _named(start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was charged so far, in ledger units."""

    lifetime: int
    """For everything."""
    purpose: int
    """For one purpose."""
    period: int
    """Since the running period of the calendar began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What was charged so far for a run of training."""

    rounds: int
    """How many of its rounds other than the one that is asked about; one that was asked several times counts once."""
    units: int
    """For everything that was answered of the run, in ledger units: each answer counts, however often it was asked."""
    others: int
    """Of the answers, how many said another design, length or price of the run than is asked about."""
    answers: int
    """How many there were; a round that was asked several times counts as often."""


NO_ROUND = Trained(rounds=0, units=0, others=0, answers=0)
"""Of a run none of whose rounds was charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be charged, in ledger units, as the policy says when a charge is made."""

    lifetime: int
    """For everything, ever."""
    purpose: int
    """For the charge's purpose, ever."""
    period: int
    """Since the running period of the calendar began."""
    since: int
    """When that was, in seconds since 1970, UTC."""


NOTHING = Caps(lifetime=0, purpose=0, period=0, since=0)
"""No charge at all: for a part that reads no record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The charges in a node's state. Every method reads or writes through the one connection it was given."""

    connection: sqlite3.Connection
    """Open state of the node."""

    def spent(self) -> int:
        """Return the sum of all charges, in units."""
        (total,) = self.connection.execute("SELECT coalesce(sum(units), 0) FROM charges").fetchone()
        return int(total)

    def spending(self, purpose: str, since: int) -> Spent:
        """Return what was charged in all, for a purpose, and since a period began.

        Charges from the future of a clock that was set back count in the running period. So does what was charged in
        the period of this name as it began by another hour: the start that a charge has is by its own clocks'
        midnight, and the midnight of UTC nearest to it is the day that they named.

        Guarantee: whichever way the policy's ``utc_offset`` is changed, and however often, what is charged for answers
        in a period of one name never exceeds its cap. Test:
        tests/node/test_ledger.py::test_no_change_of_the_hour_at_which_periods_begin_makes_room.
        """
        (for_purpose,) = self.connection.execute(
            "SELECT coalesce(sum(units), 0) FROM charges WHERE purpose = ?", (purpose,)
        ).fetchone()
        (recent,) = self.connection.execute(
            # Nobody is charged before a period begins, so none of an earlier day is of it: the index finds the others.
            "SELECT coalesce(sum(units), 0) FROM charges WHERE at > ?1 - 2 * ?2 "
            "AND (at >= ?1 OR (period + ?2) / (2 * ?2) >= (?1 + ?2) / (2 * ?2))",
            (since, HALF_A_DAY),
        ).fetchone()
        return Spent(lifetime=self.spent(), purpose=int(for_purpose), period=int(recent))

    def trained(self, request: Request) -> Trained:
        """Return what was charged for the run of training that a request is of, by its analyst; nothing without one.

        A round whose release was lost after this hospital was charged may be asked again: with the same number and the
        same plan it is the same round. Its price is counted each time, for every answer has fresh noise.

        Guarantee: rounds are counted from the charges themselves, so a round is counted once and exactly when it is
        charged; what was charged before turns were named counts as a round of its own. Tests:
        tests/node/test_runs.py::test_a_round_that_was_not_charged_is_not_counted,
        tests/node/test_runs.py::test_a_round_that_is_asked_again_is_one_round_and_charged_twice.
        """
        run = request.run
        if run is None:
            return NO_ROUND
        rounds, units, others, answers = self.connection.execute(
            "SELECT count(DISTINCT nullif(coalesce(json_extract(evidence, '$.run.turn'), number), ?)), "
            "coalesce(sum(units), 0), coalesce(sum(json_extract(evidence, '$.run.design') != ? "
            "OR json_extract(evidence, '$.run.rounds') != ? OR json_extract(evidence, '$.run.units') != ?), 0), "
            "count(*) FROM charges WHERE json_valid(evidence) AND json_extract(evidence, '$.run.id') = ? "
            "AND analyst = ? AND units > 0",
            (_turn(request, run), run.design.hex(), run.rounds, run.rho_units, run.id.hex(), request.analyst),
        ).fetchone()
        return Trained(rounds=int(rounds), units=int(units), others=int(others), answers=int(answers))

    def stored(self, tau: bytes) -> bytes | None:
        """Return the upload that already answered this announcement, byte for byte, or None."""
        row = self.connection.execute("SELECT upload FROM uploads WHERE tau = ?", (tau,)).fetchone()
        return None if row is None else bytes(row[0])

    def admits(
        self, request: bytes, epoch: int, slot: int, *, units: int = 0, purpose: str = "", caps: Caps = NOTHING
    ) -> None:
        """Raise Rejected unless a new release may be charged under these names within ``caps``.

        What costs nothing is admitted whatever was spent.

        Guarantee: a request is answered under one announcement and a slot carries one; and the sums of all charges, of
        those for the purpose, and of those of the running period never exceed the caps that hold when a charge is made.
        Tests: tests/node/test_ledger.py::test_the_caps_are_never_exceeded, test_each_cap_stops_a_charge.
        """
        if not (0 <= epoch <= MOST_INTEGER and 0 <= slot <= MOST_INTEGER):
            raise Rejected("malformed", "epoch or slot")
        if self.connection.execute("SELECT 1 FROM charges WHERE request = ?", (request,)).fetchone():
            raise Rejected("replayed", request.hex())
        if self.connection.execute("SELECT 1 FROM charges WHERE epoch = ? AND slot = ?", (epoch, slot)).fetchone():
            raise Rejected("slot-used", f"epoch {epoch}, slot {slot}")
        if units < 0:
            raise Rejected("budget", "less than nothing")
        if not units:
            return
        spent = self.spending(purpose, caps.since)
        for what, cap, gone in (
            ("for life", caps.lifetime, spent.lifetime),
            ("for the purpose", caps.purpose, spent.purpose),
            ("in the period", caps.period, spent.period),
        ):
            if gone + units > cap:
                raise Rejected("budget", f"{units} more than {max(0, cap - gone)} units {what}")

    def charge(self, charge: Charge, caps: Caps) -> None:
        """Write a charge; raise Rejected, changing nothing, where it is not admitted.

        Guarantee: it runs inside the transaction that stores the upload, under the lock of BEGIN IMMEDIATE, so no
        other charge comes between the check and the row, and no upload exists without its charge. Test:
        tests/node/test_ledger.py::test_a_charge_outside_a_transaction_is_refused.
        """
        if not self.connection.in_transaction:
            raise StateError("a charge is written in the transaction that stores its upload")
        if charge.version != WRITTEN:
            raise StateError("a charge is written in the newest version only")
        self.admits(charge.request, charge.epoch, charge.slot, units=charge.units, purpose=charge.purpose, caps=caps)
        number, previous = self.head()
        self.connection.execute(
            f"INSERT INTO charges ({_COLUMNS}) VALUES ({', '.join('?' * 17)})",  # noqa: S608
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
                charge.version,
                charge.reason,
                charge.period,
                charge.policy,
                charge.approval,
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

    def head(self) -> tuple[int, bytes]:
        """Return the number and the digest of the last row: what somebody else may keep to hold this ledger to."""
        row = self.connection.execute("SELECT number, digest FROM charges ORDER BY number DESC LIMIT 1").fetchone()
        return (0, START) if row is None else (row[0], row[1])

    def _rows(self) -> Iterator[tuple[int, Charge, bytes]]:
        for row in self.connection.execute(f"SELECT {_COLUMNS} FROM charges ORDER BY number"):  # noqa: S608
            charge = Charge(
                request=row[1],
                epoch=row[2],
                slot=row[3],
                tau=row[4],
                units=row[5],
                table=row[6],
                analyst=row[7],
                purpose=row[8],
                at=row[9],
                evidence=row[10],
                version=row[12],
                reason=row[13],
                period=row[14],
                policy=row[15],
                approval=row[16],
            )
            yield row[0], charge, row[11]


def evidence_of(measurement: Measurement, announcement: Announcement) -> str:
    """Return how a cost came about: m, c, h, and for each block its entries, grid, share scale, squared L2 and rho.

    Of a round of training also of which run it is, as its request says.
    """
    plain: dict[str, object] = {
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
    if (run := announcement.request.run) is not None:
        plain["run"] = {
            "id": run.id.hex(),
            "design": run.design.hex(),
            "round": run.round,
            "rounds": run.rounds,
            "units": run.rho_units,
            "turn": _turn(announcement.request, run),
        }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def upload_digest(upload: bytes) -> bytes:
    """Return the digest by which a stored upload is found."""
    return digest(UPLOAD_LABEL, upload)


def _turn(request: Request, run: Run) -> str:
    """Return what names a round of a run: its number and its plan, as a digest in hexadecimal digits."""
    return digest(TURN_LABEL, run.round.to_bytes(8, "big"), request.plan).hex()


def _link(previous: bytes, number: int, charge: Charge) -> bytes:
    numbers = (number, charge.epoch, charge.slot, charge.units, charge.at)
    texts = (charge.table, charge.analyst, charge.purpose, charge.evidence)
    fields = (
        previous,
        charge.request,
        charge.tau,
        *(value.to_bytes(8, "big", signed=True) for value in numbers),
        *(text.encode() for text in texts),
    )
    if charge.version == 1:
        # A row of version 1 holds nothing in the columns that came later, so that none can be slipped in.
        plain = (charge.reason, charge.period, charge.policy, charge.approval) == ("", 0, b"", None)
        return digest(LABEL, *fields) if plain else b""
    later = (charge.version, charge.period, 0 if charge.approval is None else charge.approval)
    return digest(
        LABEL_2,
        *fields,
        *(value.to_bytes(8, "big", signed=True) for value in later),
        charge.reason.encode(),
        charge.policy,
    )


def _named(start: int) -> int:
    """Return the day, from 1970 on, that a period begins with by the clocks whose midnight its start is."""
    return (start + HALF_A_DAY) // (2 * HALF_A_DAY)


def _text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
