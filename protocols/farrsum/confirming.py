"""Confirming: witnesses sign the one survivor set of a slot; a quorum of signatures leaves room for one only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocols.errors import Rejected
from protocols.farrsum.cohort import Cohort, check_survivors, context
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.slot_record import SlotRecord
from protocols.roster import Member, Roster
from protocols.signing import SUITE, IdentityKey, sign, verify
from protocols.wire_pb2 import Role, Signed

KIND = "confirmation"


def confirm(
    survivors: Sequence[int],
    *,
    record: SlotRecord,
    epoch: Epoch,
    cohort: Cohort,
    own: int,
    federation: str,
    key: IdentityKey,
) -> tuple[SlotRecord, Signed]:
    """Sign a survivor set; the record that comes back must be durable before the signature leaves.

    Guarantee: a witness signs one survivor set per slot, of at least m survivors, t of them in the committee.
    Test: tests/protocols/farrsum/test_adversary.py::test_two_survivor_sets_are_never_both_confirmed.
    """
    if own not in epoch.witnesses:
        raise Rejected("wrong-role", "not a witness of this epoch")
    chosen = check_survivors(survivors, epoch=epoch, cohort=cohort)
    named = context(chosen, epoch=epoch, cohort=cohort)
    bound = record.confirm(cohort.tau, named)
    body = epoch.digest + named
    return bound, sign(key, kind=KIND, signer=epoch.members[own], federation=federation, body=body)


def check_quorum(confirmations: Mapping[int, bytes], named: bytes, *, epoch: Epoch, roster: Roster) -> None:
    """Raise Rejected unless Q distinct witnesses signed this context; ``confirmations`` are signatures by index.

    Guarantee: since Q > (W + c) / 2, two contexts of one slot would need an honest witness to sign both. Test:
    tests/protocols/farrsum/test_knowledge.py (exhaustive for n = 4 and 5).
    """
    for witness, signature in confirmations.items():
        if witness not in epoch.witnesses:
            raise Rejected("bad-quorum", "a signature of someone who is no witness")
        member = roster.member(epoch.members[witness], Role.ROLE_NODE)
        check_one(signature, named, member=member, epoch=epoch, roster=roster)
    if len(confirmations) < epoch.parameters.quorum:
        raise Rejected("bad-quorum", f"{len(confirmations)} confirmations, {epoch.parameters.quorum} needed")


def check_one(signature: bytes, named: bytes, *, member: Member, epoch: Epoch, roster: Roster) -> None:
    """Raise Rejected unless this hospital signed this context in this epoch."""
    signed = Signed(suite=SUITE, kind=KIND, signer=member.id, body=epoch.digest + named, signature=signature)
    verify(signed, kind=KIND, federation=roster.federation, public_key=member.identity_key)
