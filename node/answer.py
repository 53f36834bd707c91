"""One question's way through a node: from the coordinator's announcement to the upload that answers it.

First everything that is public (signatures, roster, epoch, catalogue, plan, policy, budget), so that no refusal rests
on a record. Then the records are read, once. Then one durable commit of charge, slot, hidden vector and audit entry;
only what was committed may leave (``gate.py``).
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
from node.books.audit import ANSWERED, DETAIL, Audit, Fact
from node.books.ledger import Charge, Ledger, evidence_of, upload_digest
from node.books.promises import Promises
from node.books.state import StateError, transaction
from node.part import Part, part_of
from node.scan.compiled import Compiled, Compiler
from node.seats import Seats
from protocols import announcement as announcements
from protocols import checks, signing
from protocols import upload as uploads
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey
from protocols.upload import Upload
from protocols.wire_pb2 import Signed
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


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """Answers announcements, one at a time, always from the same thread."""

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
    step: Callable[[str], None] = _no_step
    """Called between steps."""

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
        clock = self.clock()
        now = int(clock)
        tau = announcements.tau(signed)
        coordinator = roster.coordinator.identity_key
        signing.verify(signed, kind=announcements.KIND, federation=roster.federation, public_key=coordinator)
        ledger = Ledger(connection=self.connection)
        if stored := ledger.stored(tau):
            return checks.parse(Signed, stored)
        announcement = announcements.read(signed, roster=roster, now=now)
        self.step("read")
        compiled = self._compile(announcement, roster)
        ledger.admits(announcement.request.id, announcement.epoch, announcement.slot)
        entered, record = self.seats.enter(announcement, tau, roster)
        # Clocks may differ by minutes, so what counts is whether the time that was left ran out in the queue.
        if 0 < announcement.deadline - (clock - waited) < waited:
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
        exact = self._exact(compiled, roster, part)
        self.step("scanned")
        charge = Charge(
            request=announcement.request.id,
            epoch=announcement.epoch,
            slot=announcement.slot,
            tau=tau,
            units=part.units,
            table=", ".join(sorted(part.tables)) or ", ".join(compiled.plan.tables),
            analyst=announcement.request.analyst,
            purpose=announcement.request.purpose,
            at=now,
            evidence=evidence_of(compiled.measurement, announcement),
            reason=announcement.request.reason,
            period=part.caps.since,
            policy=part.policy,
            approval=part.approval,
        )
        with transaction(self.connection):
            self.step("begun")
            if part.approval is not None and not approvals.holds(self.connection, part.approval, charge.request):
                raise Rejected("denied", "the approval was taken back while the records were read")
            ledger.charge(charge, part.caps)
            Promises(connection=self.connection).keep_slot(announcement.epoch, announcement.slot, record)
            self.step("charged")
            vector = self.noise(exact, compiled.measurement)
            self.step("noised")
            masked = self.seats.mask(vector, entered)
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
                federation=roster.federation,
                key=self.identity,
            )
            uploaded = upload.SerializeToString(deterministic=True)
            ledger.store(tau, signed.SerializeToString(deterministic=True), uploaded)
            self._tell(charge, part, ledger.spent(), uploaded)
            self.step("stored")
        self.step("committed")
        self.seats.entered(entered, masked.shares.own)
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
        try:
            check_headroom(
                compiled.tally, compiled.measurement, len(announcement.contributors), catalogue.rows_per_site
            )
        except PrivacyError as error:
            raise Rejected("bad-plan", error.message) from error
        return compiled

    def _exact(self, compiled: Compiled, roster: Roster, part: Part) -> Exact:
        """Return the exact tally, or zeros, clamped to what the head-room was checked for.

        Guarantee: whatever the scan returns, no entry is larger than ``rows_per_site`` rows' worth. Test:
        tests/node/test_answer.py::test_an_entry_beyond_the_site_cap_is_clamped.
        """
        if not part.reads:
            return np.zeros(compiled.tally.entries, dtype=np.int64)
        exact = self.scan(compiled.tally, roster.nodes[self.member], part.tables)
        if exact.shape != (compiled.tally.entries,) or exact.dtype != np.int64:
            raise StateError("the scan gave a vector of another shape than the tally's")
        rows = self.compiler.catalogue.rows_per_site
        reach = np.repeat([clamp_of(block.measure, rows) for block in compiled.tally.blocks], compiled.tally.sizes)
        return np.clip(exact, -reach, reach)

    def _tell(self, charge: Charge, part: Part, spent: int, upload: bytes) -> None:
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
        audit = Audit(connection=self.connection)
        audit.append(ANSWERED, charge.at, facts)
        if part.withheld:
            why: dict[str, Fact] = {"request": charge.request.hex(), "withheld": part.withheld, "rule": part.rule}
            audit.append(DETAIL, charge.at, why | {"detail": part.detail[:MOST_DETAIL]})
