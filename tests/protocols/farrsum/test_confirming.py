"""Confirming: one survivor set a slot, signed by a quorum of distinct witnesses of the epoch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols.errors import Rejected
from protocols.farrsum.cohort import cohort, context
from protocols.farrsum.confirming import KIND, check_quorum, confirm
from protocols.farrsum.slot_record import SlotRecord
from protocols.signing import sign, verify

TAU = b"t" * 32
EVERYBODY = tuple(range(5))


class Setting:
    """Five hospitals in a round that all have accepted."""

    def __init__(self, hospitals):
        self.members = hospitals.federation(5)
        self.epoch = hospitals.quick_epoch(5)[0]
        self.cohort = cohort(epoch=self.epoch, slot=1, tau=TAU, contributors=self.epoch.members, minimum=4)
        self.named = context(EVERYBODY, epoch=self.epoch, cohort=self.cohort)

    def confirm(self, survivors=EVERYBODY, own=0, record=None, **changes):
        """Confirm as one hospital."""
        sound = {"epoch": self.epoch, "cohort": self.cohort, "federation": "test"}
        return confirm(
            survivors, record=record or SlotRecord().announce(TAU), own=own,
            key=self.members.identities[self.epoch.members[own]], **{**sound, **changes},
        )  # fmt: skip

    def signatures(self, witnesses, survivors=EVERYBODY):
        """Return the signatures of some witnesses."""
        return {own: self.confirm(survivors, own)[1].signature for own in witnesses}

    def check(self, confirmations, named=None, **changes):
        """Check a quorum."""
        sound = {"epoch": self.epoch, "roster": self.members.roster}
        check_quorum(confirmations, named or self.named, **{**sound, **changes})


@pytest.fixture(scope="module")
def setting(hospitals):
    """Five hospitals in a round that all have accepted."""
    return Setting(hospitals)


def test_a_witness_signs_epoch_and_context(setting):
    """The signature is the member's own, over E and the context, and the record names what was signed."""
    record, signed = setting.confirm(own=2)
    assert record.confirmed == setting.named
    body = verify(
        signed, kind=KIND, federation="test", public_key=setting.members.identities[setting.epoch.members[2]].public
    )
    assert body == setting.epoch.digest + setting.named


def test_the_same_set_again_gets_the_same_signature(setting):
    """Asked again, a witness repeats itself byte for byte."""
    record, signed = setting.confirm()
    assert setting.confirm(EVERYBODY[::-1], record=record) == (record, signed)


def test_a_second_set_is_refused(setting):
    """After one survivor set, no other is signed."""
    record, _ = setting.confirm()
    with pytest.raises(Rejected, match="slot-used: another survivor set was confirmed"):
        setting.confirm((0, 1, 2, 3), record=record)


def test_only_a_witness_confirms(setting):
    """A hospital that was not drawn does not sign."""
    drawn = replace(setting.epoch, witnesses=(1, 2, 3))
    with pytest.raises(Rejected, match="wrong-role: not a witness"):
        setting.confirm(epoch=drawn)


def test_an_unknown_round_is_not_confirmed(setting):
    """A witness signs only for the announcement that it accepted in that slot."""
    for record in (SlotRecord(), SlotRecord().announce(b"o" * 32)):
        with pytest.raises(Rejected, match="unknown-round: confirm"):
            setting.confirm(record=record)


@pytest.mark.parametrize(
    ("survivors", "said"),
    [((0, 1, 2), "too-few: 3 survivors, 4 needed"), ((0, 1, 2, 3, 5), "bad-survivors"), ((0, 1, 2, 2), "too-few")],
)
def test_a_bad_survivor_set_is_not_confirmed(setting, survivors, said):
    """Too few survivors, or survivors from outside the cohort, are refused and bind nothing."""
    record = SlotRecord().announce(TAU)
    with pytest.raises(Rejected, match=said):
        setting.confirm(survivors, record=record)


def test_a_quorum_is_accepted(setting):
    """Four of five suffice, whoever they are, and all five do."""
    for absent in range(5):
        setting.check(setting.signatures(own for own in range(5) if own != absent))
    setting.check(setting.signatures(range(5)))


def test_one_signature_too_few_is_refused(setting):
    """Three of five are not a quorum."""
    with pytest.raises(Rejected, match="bad-quorum: 3 confirmations, 4 needed"):
        setting.check(setting.signatures((0, 2, 4)))
    with pytest.raises(Rejected, match="bad-quorum: 0 confirmations"):
        setting.check({})


def test_a_signature_counts_for_its_witness_only(setting):
    """One witness's signature under another's index is refused, so nobody counts twice."""
    known = setting.signatures((0, 1, 2))
    with pytest.raises(Rejected, match="bad-signature"):
        setting.check({**known, 3: known[0]})


def test_a_signature_counts_for_its_context_only(setting):
    """A confirmation of another survivor set, slot or epoch does not serve this one."""
    for named in (
        context((0, 1, 2, 3), epoch=setting.epoch, cohort=setting.cohort),
        context(EVERYBODY, epoch=setting.epoch, cohort=replace(setting.cohort, slot=2)),
    ):
        with pytest.raises(Rejected, match="bad-signature"):
            setting.check(setting.signatures(range(5)), named)
    with pytest.raises(Rejected, match="bad-signature"):
        setting.check(setting.signatures(range(5)), epoch=replace(setting.epoch, digest=b"e" * 32))


def test_a_signature_of_another_kind_does_not_count(setting):
    """Something else that a witness signed with the same body is no confirmation."""
    names = setting.epoch.members
    signatures = {
        own: sign(
            setting.members.identities[names[own]], kind="upload", signer=names[own], federation="test",
            body=setting.epoch.digest + setting.named,
        ).signature
        for own in range(4)
    }  # fmt: skip
    with pytest.raises(Rejected, match="bad-signature"):
        setting.check(signatures)


@pytest.mark.parametrize("outsider", [3, 5, 99, -1])
def test_only_witnesses_of_the_epoch_count(setting, outsider):
    """A signature of someone who was not drawn, or of nobody at all, is refused although it holds."""
    drawn = replace(
        setting.epoch, witnesses=(0, 1, 2, 4), parameters=replace(setting.epoch.parameters, witnesses=4, quorum=3)
    )
    signatures = setting.signatures(range(3))
    setting.check(signatures, epoch=drawn)
    with pytest.raises(Rejected, match="bad-quorum: a signature of someone who is no witness"):
        setting.check({**signatures, outsider: setting.signatures((3,))[3]}, epoch=drawn)


def test_a_member_that_left_the_roster_does_not_count(setting, hospitals):
    """Where the registrar has removed a witness, its signature is refused."""
    smaller = replace(setting.members.roster, members=setting.members.roster.members[:-1])
    with pytest.raises(Rejected, match="unknown-member"):
        setting.check(setting.signatures(range(5)), roster=smaller)


@pytest.mark.parametrize("length", [0, 63, 65, 1 << 20])
def test_a_signature_has_one_length(setting, length):
    """Anything but 64 bytes is refused."""
    with pytest.raises(Rejected, match="malformed"):
        setting.check({**setting.signatures((0, 1, 2)), 3: bytes(length)})
