"""The hospital's side of a secure round, message by message: what it checks, what it answers.

A seat lives in memory. The records that the functions take and return (``slot_record.py``) are durable before the
message beside them leaves; whoever calls sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocols import checks
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.farrsum import confirming, slots
from protocols.farrsum.cohort import Cohort, cohort, from_bitmap
from protocols.farrsum.edges import Edge, edges
from protocols.farrsum.epoch import Epoch, ExchangeKey, read_freeze
from protocols.farrsum.field import SECRET_BYTES, Entropy
from protocols.farrsum.masking import Masked, hide
from protocols.farrsum.sealing import SALT_BYTES, SEALED_BYTES
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.unmasking import OwnShares, release_shares
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import SIGNATURE_BYTES, IdentityKey
from protocols.wire_pb2 import Confirm, Confirmation, Deposits, Freeze, Shares, Unmask

MOST_DEPOSITS = 64
"""Most slots in one message."""

PIECE_BYTES = SALT_BYTES + SEALED_BYTES


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A hospital's place in one epoch."""

    epoch: Epoch
    """The freeze that it accepted."""
    own: int
    """Its index."""
    edges: Mapping[int, Edge]
    """By partner."""


@dataclass(frozen=True, kw_only=True)
class Entered:
    """A round that a hospital takes part in."""

    announcement: Announcement
    """As it was read and checked."""
    cohort: Cohort
    """The same in indexes of the epoch."""


def take_seat(
    message: Freeze, *, number: int, roster: Roster, roster_digest: bytes, member: str, exchange: ExchangeKey
) -> Seat:
    """Check a freeze and derive the edges; raise Rejected where the hospital must not take part."""
    epoch = read_freeze(
        message, number=number, roster=roster, roster_digest=roster_digest, own=(member, exchange.public)
    )
    own = epoch.index[member]
    return Seat(epoch=epoch, own=own, edges=edges(epoch, own, exchange))


def deposit(numbers: Iterable[int], *, seat: Seat, entropy: Entropy) -> tuple[Deposits, Mapping[int, bytes]]:
    """Prepare slots; return the message, and the hospital's own share of each slot's secret (committee only)."""
    made = {
        number: slots.deposit(number, epoch=seat.epoch, own=seat.own, edges=seat.edges, entropy=entropy)
        for number in numbers
    }
    kept = {number: share for number, (_, share) in made.items() if share is not None}
    return Deposits(deposits=[message for message, _ in made.values()]), kept


def enter(announcement: Announcement, tau: bytes, *, seat: Seat) -> Entered:
    """Check that an announced round is one of this seat's epoch and large enough to hide in.

    Guarantee: a hospital masks only for the freeze that it accepted. Test:
    tests/protocols/farrsum/test_seat.py::test_a_round_of_another_freeze_is_refused.
    """
    if announcement.epoch != seat.epoch.number or announcement.freeze != seat.epoch.digest:
        raise Rejected("wrong-epoch", f"announced for epoch {announcement.epoch}")
    found = cohort(
        epoch=seat.epoch,
        slot=announcement.slot,
        tau=tau,
        contributors=announcement.contributors,
        minimum=announcement.minimum,
    )
    return Entered(announcement=announcement, cohort=found)


def mask(vector: Ring, *, seat: Seat, entered: Entered, entropy: Entropy, threads: int = 1) -> Masked:
    """Hide a noisy vector for a round."""
    known = entered.cohort
    return hide(
        vector,
        epoch=seat.epoch,
        own=seat.own,
        edges=seat.edges,
        slot=known.slot,
        tau=known.tau,
        cohort=known.members,
        entropy=entropy,
        threads=threads,
    )


def confirm(
    message: Confirm, *, record: SlotRecord, seat: Seat, entered: Entered, federation: str, key: IdentityKey
) -> tuple[SlotRecord, Confirmation]:
    """Sign the survivors of a round, if there are enough of those that the request asks among them."""
    survivors = _survivors(message.survivors, seat, entered)
    bound, signed = confirming.confirm(
        survivors,
        record=record,
        epoch=seat.epoch,
        cohort=entered.cohort,
        own=seat.own,
        federation=federation,
        key=key,
    )
    return bound, Confirmation(announcement=entered.cohort.tau, signed=signed)


def unmask(
    message: Unmask, *, record: SlotRecord, seat: Seat, entered: Entered, own_shares: OwnShares, roster: Roster
) -> tuple[SlotRecord, Shares]:
    """Release one key share per hospital of the cohort for confirmed survivors."""
    survivors = _survivors(message.survivors, seat, entered)
    if len({each.witness for each in message.confirmations}) != len(message.confirmations):
        raise Rejected("bad-quorum", "a witness is named twice")
    confirmations = {
        each.witness: checks.exact_bytes(each.signature, SIGNATURE_BYTES, "confirmation")
        for each in message.confirmations
    }
    others = [member for member in entered.cohort.members if member != seat.own]
    checks.exact_bytes(message.sealed, PIECE_BYTES * len(others), "sealed shares")
    pieces = (message.sealed[at : at + PIECE_BYTES] for at in range(0, len(message.sealed), PIECE_BYTES))
    sealed = {member: (piece[:SALT_BYTES], piece[SALT_BYTES:]) for member, piece in zip(others, pieces, strict=True)}
    bound, released = release_shares(
        survivors,
        record=record,
        epoch=seat.epoch,
        cohort=entered.cohort,
        own=seat.own,
        edges=seat.edges,
        own_shares=own_shares,
        confirmations=confirmations,
        sealed=sealed,
        roster=roster,
    )
    shares = b"".join(released[member] for member in entered.cohort.members)
    return bound, Shares(announcement=entered.cohort.tau, shares=shares)


def split_released(message: Shares, known: Cohort) -> Mapping[int, bytes]:
    """Take a committee member's answer apart: one share of 20 bytes for each hospital of the cohort."""
    checks.exact_bytes(message.shares, SECRET_BYTES * len(known.members), "key shares")
    return {
        member: message.shares[SECRET_BYTES * place : SECRET_BYTES * (place + 1)]
        for place, member in enumerate(known.members)
    }


def enough_asked(survivors: Iterable[int], epoch: Epoch, announcement: Announcement) -> bool:
    """Tell whether at least the request's minimum of the hospitals that it asks are among the survivors."""
    asked = set(announcement.asked)
    return sum(epoch.members[index] in asked for index in survivors) >= announcement.request.minimum


def _survivors(bitmap: bytes, seat: Seat, entered: Entered) -> tuple[int, ...]:
    survivors = from_bitmap(bitmap, len(seat.epoch.members))
    if not enough_asked(survivors, seat.epoch, entered.announcement):
        raise Rejected("too-few", "of the hospitals that the request asks")
    return survivors
