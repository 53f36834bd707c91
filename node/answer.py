"""One question's way through a node: from the coordinator's announcement to the upload that answers it.

First everything that is public (signatures, roster, epoch, catalogue, plan, policy, budget), so that no refusal rests
on a record. Then the records are read, once. Then one durable commit of charge, slot, hidden vector and audit entry;
only what was committed may leave (``gate.py``). Where reading them takes long, as an app or a large model does, others
are answered meanwhile: then all that is public is looked at a second time before the commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.authority import approvals
from node.authority.policy import Policy
from node.authority.reach import check_reach
from node.authority.runs import check_run
from node.books.audit import ANSWERED, DETAIL, Audit, Fact
from node.books.ledger import Charge, Ledger, evidence_of, upload_digest
from node.books.promises import Promises
from node.books.state import StateError, transaction
from node.part import Part, part_of, still
from node.scan.compiled import Compiled, Compiler
from node.scan.work import MANY, is_long
from node.seats import Seats
from protocols import announcement as announcements
from protocols import checks, signing
from protocols import upload as uploads
from protocols.announcement import Announcement
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.farrsum.seat import Entered
from protocols.farrsum.slot_record import SlotRecord
from protocols.request import Request
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey
from protocols.upload import Upload
from protocols.wire_pb2 import Signed
from queries.asked.app_time import lasting
from queries.asked.plan import AppStep
from queries.cost.measurement import Measurement, check_headroom, clamp_of
from queries.cost.tally import Tally
from queries.errors import PrivacyError

Exact = NDArray[np.int64]
Scan = Callable[[Tally, Mapping[str, str], frozenset[str]], Exact]
"""Reads the records: the tally of a checked plan, given the hospital's public attributes and the tables to read."""
Noise = Callable[[Exact, Measurement], Ring]
"""Draws fresh noise and adds it, on the grid of each block."""


MOST_DETAIL = 300
"""Characters of the reason that an audit entry keeps."""


def _no_step(name: str) -> None:
    """Where tests look at, or end, the process between two steps."""


def _no_room(blob: Blob, _vector: Ring) -> None:
    """Raise, where no place was named for long vectors."""
    raise StateError(f"no place for a vector of {blob.size} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An announcement that may be answered as things are now: nothing was read, nothing is bound by it."""

    signed: Signed
    """As it came."""
    announcement: Announcement
    """The same, read."""
    roster: Roster
    """The roster that it was read by."""
    compiled: Compiled
    """What its plan comes to."""
    entered: Entered
    """The round as this hospital sees it."""
    record: SlotRecord
    """What its slot is bound to once it uploads."""
    part: Part
    """What the hospital puts in."""
    now: int
    """When that was found, in seconds since 1970, UTC."""
    long: bool = False
    """Whether reading the records may take long, by what is public; never of one that reads none."""

    @property
    def app(self) -> AppStep | None:
        """Return what an app of the researcher is run for; None: no app is needed."""
        steps = (aggregate.step for each in self.compiled.plan.parts for aggregate in each.aggregates)
        return next((step for step in steps if isinstance(step, AppStep)), None) if self.part.reads else None

    @property
    def lasts(self) -> float:
        """Return how many seconds the app's part of the answer takes."""
        return 0.0 if self.app is None else lasting(self.app)

    @property
    def is_in_vain(self) -> bool:
        """Return whether the round is over before an app can have run, by this clock and any that is not far off."""
        return self.announcement.deadline + checks.SKEW < self.now + self.lasts


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """Answers announcements, always from the same thread, but for ``exact``."""

    member: str
    """Own member id."""
    identity: IdentityKey
    """Signs uploads."""
    compiler: Compiler
    """Of the catalogue that the data were prepared for."""
    connection: sqlite3.Connection
    """Open state of the node."""
    seats: Seats
    """Its places in the newest epochs."""
    policy: Callable[[], Policy]
    """Reads the policy as it is now."""
    tables: frozenset[str]
    """The catalogue's tables that the hospital has."""
    scan: Scan
    """Reads the records."""
    noise: Noise
    """Draws noise."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""
    keep: Callable[[Blob, Ring], None] = _no_room
    """Keeps a vector that is too long for its upload, durably."""
    step: Callable[[str], None] = _no_step
    """Called between steps."""
    many_rows: int = MANY
    """Rows of a table that the operator reckons with: what takes long with so many does not hold up the others."""

    def answer(self, signed: Signed, roster: Roster, waited: float = 0.0) -> Signed:
        """Return the upload that answers an announcement; raise Rejected, charging nothing, where it is refused.

        A round that is good in itself gets an upload whatever the policy and the budget say: see ``part.py``.
        ``waited``: seconds for which the announcement stood in the queue. Any other exception is a fault of this
        machine (disk, memory) and charges nothing either.

        Guarantee: every refusal is decided before ``scan`` is called, and ``scan`` cannot fail for what a record
        holds: it runs over prepared columns of indexes, clipped whole numbers and days, with nothing to cast, divide
        or overflow. The same announcement gets the same bytes for ever, at one charge; another one gets fresh noise
        and its own charge, which is durable before the upload leaves, as is the slot's promise to carry no other.
        Tests: tests/node/test_answer.py, tests/node/test_crash.py.
        """
        begun = self.begin(signed, roster, waited)
        return begun if isinstance(begun, Signed) else self.commit(begun, self.exact(begun))

    def begin(self, signed: Signed, roster: Roster, waited: float = 0.0, lasts: float = 0.0) -> Signed | Begun:
        """Return the upload that answered this announcement already, or all that is public of a new one.

        ``lasts``: seconds that the answer will take, of one that waited for its turn. Reads no record and changes
        nothing; raises as ``answer`` does.
        """
        clock = self.clock()
        now = int(clock)
        tau = announcements.tau(signed)
        ledger = Ledger(connection=self.connection)
        if stored := ledger.stored(tau):
            # Only the coordinator may ask again; a new announcement is verified where it is read.
            coordinator = roster.coordinator.identity_key
            signing.verify(signed, kind=announcements.KIND, federation=roster.federation, public_key=coordinator)
            return checks.parse(Signed, stored)
        announcement = announcements.read(signed, roster=roster, now=now)
        self.step("read")
        compiled = self._compile(announcement, roster)
        ledger.admits(announcement.request.id, announcement.epoch, announcement.slot)
        entered, record = self.seats.enter(announcement, tau, roster)
        # Clocks may differ by minutes, so what counts is whether the time that was left ran out in the queue.
        if 0 < announcement.deadline - (clock - waited) < waited + lasts:
            raise Rejected("late", f"waited {waited:.0f} s")
        part = part_of(
            self.member,
            announcement=announcement,
            roster=roster,
            compiled=compiled,
            catalogue=self.compiler.catalogue,
            tables=self.tables,
            policy=self.policy,
            ledger=ledger,
            now=now,
        )
        self.step("checked")
        return Begun(
            signed=signed,
            announcement=announcement,
            roster=roster,
            compiled=compiled,
            entered=entered,
            record=record,
            part=part,
            now=now,
            long=part.reads and is_long(compiled.plan, self.compiler.catalogue.rows_per_site, self.many_rows),
        )

    def end(self, begun: Begun, exact: Exact, roster: Roster) -> Signed:
        """Return the upload for an announcement that was begun a while ago, now that its exact tally is there.

        ``roster``: the one that holds now. Raises as ``answer`` does; then nothing is charged.

        Guarantee: what was answered, decided or changed meanwhile (another round of the request or in the slot, the
        epoch, the roster, a pause, the policy, a denial, the budget) counts as if the announcement came now; a hospital
        that would read nothing now adds zeros, whatever was read. Tests: tests/node/test_answer_apart.py.
        """
        again = self.begin(begun.signed, roster)
        # What takes long is one round of training, a plan of one part: it reads its table still, or nothing.
        return again if isinstance(again, Signed) else self.commit(again, exact)

    def commit(self, begun: Begun, exact: Exact) -> Signed:
        """Charge for an announcement, bind its slot, hide its noisy tally, and return the upload, all of it durable.

        Zeros at no cost where nothing is to be read, or the operator paused the node or denied the request since it was
        begun (``still``).
        Raises Rejected where an approval was taken back, or what was charged since stands against it.
        """
        self.step("scanned")
        announcement, compiled = begun.announcement, begun.compiled
        tau = announcements.tau(begun.signed)
        ledger = Ledger(connection=self.connection)
        with transaction(self.connection):
            self.step("begun")
            part = still(begun.part, self.connection, announcement.request)
            if not part.reads:
                exact = np.zeros_like(exact)
            charge = _charge(begun, part, tau)
            if part.approval is not None and not approvals.holds(self.connection, part.approval, announcement.request):
                raise Rejected("denied", "the approval was taken back while the records were read")
            ledger.charge(charge, part.caps)
            Promises(connection=self.connection).keep_slot(announcement.epoch, announcement.slot, begun.record)
            self.step("charged")
            vector = self.noise(exact, compiled.measurement)
            self.step("noised")
            masked = self.seats.mask(vector, begun.entered)
            self.step("masked")
            upload = uploads.write(
                Upload(
                    site=self.member,
                    announcement=tau,
                    vector=masked.vector,
                    salt=masked.shares.salt,
                    sealed=b"".join(masked.shares.sealed.values()),
                    notes=part.notes,
                    minimum_cell=part.minimum_cell,
                ),
                federation=begun.roster.federation,
                key=self.identity,
            )
            if blob := uploads.blob_of(upload):
                self.keep(blob, masked.vector)
            uploaded = upload.SerializeToString(deterministic=True)
            ledger.store(tau, begun.signed.SerializeToString(deterministic=True), uploaded)
            self._tell(charge, part, ledger.spent(), uploaded, announcement.request)
            self.step("stored")
        self.step("committed")
        self.seats.entered(begun.entered, masked.shares.own)
        return upload

    def _compile(self, announcement: Announcement, roster: Roster) -> Compiled:
        """Return what the plan comes to; raise Rejected for a round that no hospital may take part in."""
        if self.member not in announcement.contributors or self.member not in roster.nodes:
            raise Rejected("out-of-scope", self.member)
        catalogue = self.compiler.catalogue
        if roster.catalogue_digest != catalogue.digest:
            raise Rejected("wrong-catalogue", "the roster names another catalogue than the data were prepared for")
        request = announcement.request
        compiled = self.compiler.compile(request.plan, request.rho_units, announcement.honest)
        check_reach(request, compiled.plan, roster=roster, catalogue=catalogue)
        check_run(request, compiled.plan)
        try:
            check_headroom(
                compiled.tally, compiled.measurement, len(announcement.contributors), catalogue.rows_per_site
            )
        except PrivacyError as error:
            raise Rejected("bad-plan", error.message) from error
        return compiled

    def exact(self, begun: Begun) -> Exact:
        """Return the exact tally, or zeros, clamped to what the head-room was checked for. From any thread.

        Guarantee: whatever the scan returns, no entry is larger than ``rows_per_site`` rows' worth. Test:
        tests/node/test_answer.py::test_an_entry_beyond_the_site_cap_is_clamped.
        """
        tally = begun.compiled.tally
        if not begun.part.reads:
            return np.zeros(tally.entries, dtype=np.int64)
        exact = self.scan(tally, begun.roster.nodes[self.member], begun.part.tables)
        if exact.shape != (tally.entries,) or exact.dtype != np.int64:
            raise StateError("the scan gave a vector of another shape than the tally's")
        rows = self.compiler.catalogue.rows_per_site
        reach = np.repeat([clamp_of(block.measure, rows) for block in tally.blocks], tally.sizes)
        return np.clip(exact, -reach, reach)

    def _tell(self, charge: Charge, part: Part, spent: int, upload: bytes, request: Request) -> None:
        facts: dict[str, Fact] = {
            "request": charge.request.hex(),
            "round": charge.tau.hex(),
            "epoch": charge.epoch,
            "slot": charge.slot,
            "analyst": charge.analyst,
            "purpose": charge.purpose,
            "table": charge.table,
            "units": charge.units,
            "spent": spent,
            "upload": upload_digest(upload).hex(),
        }
        if charge.policy:
            facts["policy"] = charge.policy.hex()
        if charge.approval is not None:
            facts["approval"] = charge.approval
        if request.run is not None:
            facts |= {"run": request.run.id.hex(), "run_round": request.run.round, "run_rounds": request.run.rounds}
        audit = Audit(connection=self.connection)
        audit.append(ANSWERED, charge.at, facts)
        if part.withheld:
            why: dict[str, Fact] = {"request": charge.request.hex(), "withheld": part.withheld, "rule": part.rule}
            audit.append(DETAIL, charge.at, why | {"detail": part.detail[:MOST_DETAIL]})


def _charge(begun: Begun, part: Part, tau: bytes) -> Charge:
    announcement, compiled = begun.announcement, begun.compiled
    return Charge(
        request=announcement.request.id,
        epoch=announcement.epoch,
        slot=announcement.slot,
        tau=tau,
        units=part.units,
        table=", ".join(sorted(part.tables)) or ", ".join(compiled.plan.tables),
        analyst=announcement.request.analyst,
        purpose=announcement.request.purpose,
        at=begun.now,
        evidence=evidence_of(compiled.measurement, announcement),
        reason=announcement.request.reason,
        period=part.caps.since,
        policy=part.policy,
        approval=part.approval,
    )
