"""Unmasking: a committee member releases, for each hospital of the cohort, exactly one of the two shares it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocols.errors import Rejected
from protocols.farrsum import labels, sealing
from protocols.farrsum.cohort import Cohort, check_survivors, context
from protocols.farrsum.confirming import check_quorum
from protocols.farrsum.edges import Edge
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.slot_record import SlotRecord
from protocols.roster import Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnShares:
    """A committee member's shares of its own secrets, in memory only."""

    slot_share: bytes = field(repr=False)
    """Of its slot's secret."""
    self_share: bytes | None = field(repr=False)
    """Of its self-mask's key, once it has uploaded."""


def release_shares(
    survivors: Sequence[int],
    *,
    record: SlotRecord,
    epoch: Epoch,
    cohort: Cohort,
    own: int,
    edges: Mapping[int, Edge],
    own_shares: OwnShares,
    confirmations: Mapping[int, bytes],
    sealed: Mapping[int, tuple[bytes, bytes]],
    roster: Roster,
) -> tuple[SlotRecord, Mapping[int, bytes]]:
    """Open and hand over one share per hospital of the cohort; the record must be durable before they leave.

    ``sealed`` holds salt and sealed share for every other hospital of the cohort: of its self-mask where it survived,
    of its slot's secret where it did not.

    Guarantee: shares leave only for a survivor set that a quorum confirmed, for one set per slot, and of each hospital
    only the kind that the set calls for. Test: tests/protocols/farrsum/test_adversary.py.
    """
    if own not in epoch.point:
        raise Rejected("wrong-role", "not in the committee of this epoch")
    chosen = check_survivors(survivors, epoch=epoch, cohort=cohort)
    named = context(chosen, epoch=epoch, cohort=cohort)
    check_quorum(confirmations, named, epoch=epoch, roster=roster)
    bound = record.release(cohort.tau, named)
    if sealed.keys() != set(cohort.members) - {own}:
        raise Rejected("malformed", "one sealed share for each other hospital of the cohort")
    alive = set(chosen)
    released = {}
    for member in cohort.members:
        if member == own:
            share = own_shares.self_share if member in alive else own_shares.slot_share
            if share is None:
                raise Rejected("bad-survivors", "named a survivor without having uploaded")
            released[member] = share
            continue
        salt, box = sealed[member]
        released[member] = sealing.unseal(
            edges[member].receiving,
            kind=labels.SELF_SHARE if member in alive else labels.SLOT_SHARE,
            slot=cohort.slot,
            salt=salt,
            sealed=box,
            bound_to=cohort.tau if member in alive else epoch.digest,
        )
    return bound, released
