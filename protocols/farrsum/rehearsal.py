"""A whole secure round in memory, from the first message to the sum: the specification, readable from top to bottom.

The services exchange the same values, so for the same entropy they make the same bytes
(tests/journeys/test_same_bytes.py, tests/vectors/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from protocols.farrsum.cohort import check_survivors, cohort
from protocols.farrsum.confirming import confirm
from protocols.farrsum.edges import Edge, edges
from protocols.farrsum.epoch import Epoch, ExchangeKey, freeze, read_freeze, write_key
from protocols.farrsum.epoch_record import EpochRecord
from protocols.farrsum.field import Entropy
from protocols.farrsum.finishing import finish
from protocols.farrsum.masking import CHECKS, hide
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import deposit, read_deposit
from protocols.farrsum.unmasking import OwnShares, release_shares
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """A hospital of the rehearsal."""

    key: IdentityKey
    """Its identity."""
    vector: Ring
    """What it contributes; noisy already."""
    entropy: Entropy
    """Where its secrets come from."""


@dataclass(frozen=True, kw_only=True)
class Absences:
    """Who stops when; every name is a member id."""

    before_upload: frozenset[str] = frozenset()
    """Deposited, but never uploads."""
    before_confirm: frozenset[str] = frozenset()
    """Uploaded, but does not confirm or unmask: its vector is in the sum."""
    before_unmask: frozenset[str] = frozenset()
    """Confirmed, but does not unmask."""


@dataclass(kw_only=True)
class _Seat:
    index: int
    epochs: EpochRecord
    edges: Mapping[int, Edge]
    record: SlotRecord = field(default_factory=SlotRecord)
    own: OwnShares = field(default_factory=lambda: OwnShares(slot_share=b"", self_share=None))


def rehearse(
    hospitals: Mapping[str, Hospital],
    *,
    roster: Roster,
    roster_digest: bytes,
    number: int,
    slot: int,
    tau: bytes,
    minimum: int,
    pulse: bytes = b"",
    absences: Absences | None = None,
) -> tuple[Epoch, tuple[int, ...], Ring]:
    """Run one epoch with one round; return the epoch, the survivors and their sum. Raises Rejected on a clean abort.

    ``pulse`` is the beacon's verified value where a committee is drawn.
    """
    gone = absences or Absences()

    # Epoch. Every hospital signs a fresh exchange key; the coordinator freezes the list; every hospital checks it.
    exchange = {name: ExchangeKey.from_seed(hospital.entropy(32)) for name, hospital in hospitals.items()}
    keys = [
        write_key(number, roster, roster_digest, member=name, key=hospital.key, exchange=exchange[name])
        for name, hospital in hospitals.items()
    ]
    frozen = freeze(number, keys, pulse)
    seats = {}
    for name in hospitals:
        epoch = read_freeze(
            frozen, number=number, roster=roster, roster_digest=roster_digest, own=(name, exchange[name].public)
        )
        seats[name] = _Seat(
            index=epoch.index[name],
            epochs=EpochRecord().offer(number).accept(number, epoch.digest),
            edges=edges(epoch, epoch.index[name], exchange[name]),
        )

    # Deposit. Every hospital shares its slot's secret and wraps its pairwise seeds with it.
    deposits = {}
    for name, seat in seats.items():
        message, kept = deposit(slot, epoch=epoch, own=seat.index, edges=seat.edges, entropy=hospitals[name].entropy)
        seat.own = OwnShares(slot_share=kept or b"", self_share=None)
        deposits[seat.index] = message
    slot_shares = {member: read_deposit(message, epoch=epoch, own=member) for member, message in deposits.items()}

    # Upload. Every hospital checks the round, binds the slot to it and to one vector, then masks and sends.
    uploads = {}
    for name, seat in seats.items():
        announced = cohort(epoch=epoch, slot=slot, tau=tau, contributors=tuple(hospitals), minimum=minimum)
        seat.record = seat.record.announce(tau)
        if name in gone.before_upload:
            continue
        seat.record = seat.record.send(tau)
        masked = hide(
            hospitals[name].vector, epoch=epoch, own=seat.index, edges=seat.edges, slot=slot, tau=tau,
            cohort=announced.members, entropy=hospitals[name].entropy,
        )  # fmt: skip
        seat.own = replace(seat.own, self_share=masked.shares.own)
        uploads[seat.index] = masked

    # Confirm. The coordinator fixes the survivors; every witness signs that set and no other.
    survivors = check_survivors(tuple(uploads), epoch=epoch, cohort=announced)
    confirmations = {}
    for name, seat in seats.items():
        if seat.index in epoch.witnesses and name not in gone.before_upload | gone.before_confirm:
            seat.record, signed = confirm(
                survivors, record=seat.record, epoch=epoch, cohort=announced, own=seat.index,
                federation=roster.federation, key=hospitals[name].key,
            )  # fmt: skip
            confirmations[seat.index] = signed.signature

    # Unmask. Every committee member checks the quorum, then opens one share per hospital.
    silent = gone.before_upload | gone.before_confirm | gone.before_unmask
    answers = {}
    for name, seat in seats.items():
        if seat.index not in epoch.point or name in silent:
            continue
        sealed = {}
        for member in set(announced.members) - {seat.index}:
            shares = uploads[member].shares if member in uploads else slot_shares[member]
            sealed[member] = (shares.salt, shares.sealed[seat.index])
        seat.record, answers[seat.index] = release_shares(
            survivors, record=seat.record, epoch=epoch, cohort=announced, own=seat.index, edges=seat.edges,
            own_shares=seat.own, confirmations=confirmations, sealed=sealed, roster=roster,
        )  # fmt: skip

    # Finish. The coordinator adds the hidden vectors and takes the masks off.
    total = np.zeros(len(next(iter(hospitals.values())).vector) + CHECKS, dtype=np.uint64)
    for masked in uploads.values():
        np.add(total, masked.vector, out=total)
    backups = {member: deposits[member].backups for member in announced.members if member not in uploads}
    summed = finish(total, epoch=epoch, cohort=announced, survivors=survivors, backups=backups, answers=answers)
    return epoch, survivors, summed
