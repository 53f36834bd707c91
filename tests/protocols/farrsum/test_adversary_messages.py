"""A malicious coordinator that swaps, replays, repeats and spoils messages: which check stops it.

As in test_adversary.py: ten hospitals, three of them corrupt; at most one sum may follow from all that the others say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import checks
from protocols.errors import Rejected
from protocols.farrsum import labels, sealing
from protocols.farrsum.cohort import from_bitmap
from protocols.farrsum.epoch import freeze, read_freeze
from protocols.farrsum.slots import read_deposit

HONEST, CORRUPT = tuple(range(7)), (7, 8, 9)
EVERYBODY = HONEST + CORRUPT
SLOT = 1


@pytest.mark.parametrize("survived", [True, False], ids=["self-share", "slot-share"])
def test_ciphertexts_of_another_slot_do_not_open(attack, survived):
    """Shares that belong to another slot of the same epoch are refused in this one."""
    for slot in (SLOT, SLOT + 1):
        attack.announce(EVERYBODY, attack.coordinator.announced(slot))
        attack.upload(slot=slot)
    survivors = EVERYBODY if survived else (0, 1, 2, 3, 4, 5, *CORRUPT)
    signed = attack.confirm(survivors)
    swapped = {**attack.boxes(0, survivors), 6: attack.coordinator.sealed(SLOT + 1, 6, 0, survived=survived)}
    with pytest.raises(Rejected, match="bad-share: kind 2" if survived else "bad-share: kind 1"):
        attack.unmask(0, survivors, signed, swapped)
    assert attack.known() == []


def test_ciphertexts_of_the_other_kind_do_not_open(attack):
    """The share that the survivor set does not call for is refused, so no hospital gives both kinds of one other."""
    attack.announce()
    attack.upload()
    survivors = (0, 1, 2, 3, 4, 5, *CORRUPT)
    signed = attack.confirm(survivors)
    for member, survived in ((6, True), (1, False)):
        swapped = {**attack.boxes(0, survivors), member: attack.coordinator.sealed(SLOT, member, 0, survived=survived)}
        with pytest.raises(Rejected, match="bad-share: kind 1" if survived else "bad-share: kind 2"):
            attack.unmask(0, survivors, signed, swapped)
    assert attack.known() == []


def test_replayed_confirmations(attack):
    """Signatures of another slot do not count, nor do those of an earlier survivor set."""
    for slot in (SLOT, SLOT + 1):
        attack.announce(EVERYBODY, attack.coordinator.announced(slot))
        attack.upload(slot=slot)
    old = attack.coordinator.confirmations(SLOT + 1, EVERYBODY, HONEST)
    with pytest.raises(Rejected, match="bad-signature: confirmation"):
        attack.unmask(0, EVERYBODY, old)
    survivors = (0, 1, 2, 3, 4, 5, *CORRUPT)
    with pytest.raises(Rejected, match="bad-signature: confirmation"):
        attack.unmask(0, EVERYBODY, attack.confirm(survivors))
    assert attack.known() == []


def test_duplicate_confirmations(attack):
    """One signature under several names, or several names for one corrupt hospital, make no quorum."""
    attack.announce()
    attack.upload()
    corrupt = attack.corrupt_signatures(EVERYBODY)
    honest = attack.coordinator.confirmations(SLOT, EVERYBODY, HONEST[:3])
    with pytest.raises(Rejected, match="bad-quorum: 6 confirmations, 7 needed"):
        attack.unmask(0, EVERYBODY, {**corrupt, **honest})
    for stand_in in (3, 4, 5, 6):
        with pytest.raises(Rejected, match="bad-signature: confirmation"):
            attack.unmask(0, EVERYBODY, {**corrupt, **honest, stand_in: honest[0]})
    for nobody in (10, -1):
        with pytest.raises(Rejected, match="bad-quorum: a signature of someone who is no witness"):
            attack.unmask(0, EVERYBODY, {**corrupt, **honest, nobody: corrupt[9]})
    assert attack.known() == []


def test_replay_after_a_restart(attack):
    """A restarted hospital has no key of its epoch, signs no second one, and what it promised still binds it."""
    attack.announce()
    attack.upload()
    hospital = attack.at(0)
    hospital.confirm(SLOT, EVERYBODY)
    memory = (hospital.exchange, hospital.epoch, hospital.edges, hospital.rounds, hospital.own)
    hospital.restart()
    frozen = freeze(1, [attack.sign_key(name) for name in attack.epoch.members])
    with pytest.raises(Rejected, match="not-in-freeze"):
        hospital.accept(frozen, number=1)
    with pytest.raises(Rejected, match="wrong-epoch: a key for 1 was signed already, 1 was asked"):
        hospital.offer(1)
    assert hospital.offer(2)
    # Even with its memory put back, as a snapshot of a running machine would, its record holds.
    hospital.exchange, hospital.epoch, hospital.edges, hospital.rounds, hospital.own = memory
    with pytest.raises(Rejected, match="slot-used: another announcement"):
        hospital.announce(replace(attack.announced, nonce=b"again"))
    with pytest.raises(Rejected, match="slot-used: another vector was sent"):
        attack.coordinator.upload(SLOT, 0, attack.vectors[1])
    with pytest.raises(Rejected, match="slot-used: another survivor set was confirmed"):
        hospital.confirm(SLOT, (0, 1, 2, 3, 4, *CORRUPT))
    assert attack.known() == []


def test_a_second_vector_for_one_announcement(attack):
    """A hospital hides one vector a slot: two under the same pairwise masks would differ by what they hide."""
    attack.announce()
    attack.upload()
    first = attack.coordinator.uploads[SLOT][0]
    assert attack.at(0).upload(SLOT, lambda: attack.vectors[1]) is first
    attack.at(0).masked.clear()
    with pytest.raises(Rejected, match="slot-used: another vector was sent"):
        attack.upload((0,))
    assert attack.at(0).charges == 1


def test_abort_and_retry(attack):
    """After an aborted round the slot is burnt: the retry has a slot, masks, noise and a charge of its own."""
    attack.announce()
    attack.upload()
    attack.confirm((0, 1, 2, 3, 4, *CORRUPT), HONEST[:2])
    retry = replace(attack.announced, nonce=b"retry")
    with pytest.raises(Rejected, match="slot-used: another announcement"):
        attack.announce(HONEST, retry)
    attack.announce(EVERYBODY, attack.coordinator.announced(SLOT + 1))
    attack.upload(slot=SLOT + 1)
    first, second = (attack.coordinator.uploads[slot][0].vector for slot in (SLOT, SLOT + 1))
    assert np.all(first != second)
    signed = attack.coordinator.confirmations(SLOT + 1, EVERYBODY, HONEST)
    attack.coordinator.answers(SLOT + 1, EVERYBODY, signed, HONEST)
    assert attack.known(SLOT) == []
    assert len(attack.known(SLOT + 1)) == 1
    assert [attack.at(index).charges for index in HONEST] == [2] * 7


def test_garbage_shares(attack):
    """Corrupt keepers' wrong answers never make a wrong sum: it is refused, or right without them."""
    attack.announce()
    attack.upload()
    signed = attack.confirm(EVERYBODY)
    answers = attack.coordinator.answers(SLOT, EVERYBODY, signed, EVERYBODY)
    exact = attack.vectors.sum(axis=0, dtype=np.uint64)
    garbage = {index: bytes([index]) * 20 for index in EVERYBODY}
    honest_only = {keeper: answers[keeper] for keeper in HONEST}
    assert np.array_equal(attack.coordinator.finish(SLOT, EVERYBODY, honest_only, attack.cohort()), exact)
    with pytest.raises(Rejected, match="bad-sum: check coordinates"):
        attack.coordinator.finish(
            SLOT, EVERYBODY, {**{keeper: answers[keeper] for keeper in HONEST[1:]}, 9: garbage}, attack.cohort()
        )
    short = dict.fromkeys(EVERYBODY, b"short")
    with pytest.raises(Rejected, match="malformed: key share"):
        attack.coordinator.finish(SLOT, EVERYBODY, {**honest_only, 9: short}, attack.cohort())


def test_garbage_boxes(attack):
    """A corrupt hospital's boxes that do not open stop the round; nothing is opened instead of them."""
    attack.announce()
    attack.upload()
    signed = attack.confirm(EVERYBODY)
    for salt, box in ((bytes(16), bytes(36)), (bytes(16), bytes(35)), (b"", bytes(36))):
        with pytest.raises(Rejected, match=r"bad-share|malformed: sealed share"):
            attack.unmask(0, EVERYBODY, signed, {**attack.boxes(0, EVERYBODY), 9: (salt, box)})
    assert attack.known() == []


def test_oversized_messages(attack, monkeypatch):
    """Every list and every string has a length that is known before it is read."""
    message = attack.coordinator.deposits[SLOT][0]
    for field, value in (("sealed", bytes(1 << 20)), ("backups", bytes(1 << 20)), ("salt", bytes(1 << 20))):
        large = type(message)()
        large.CopyFrom(message)
        setattr(large, field, value)
        with pytest.raises(Rejected, match=r"malformed: (backups|sealed shares)"):
            read_deposit(large, epoch=attack.epoch, own=0)
    with pytest.raises(Rejected, match="malformed: bitmap"):
        from_bitmap(b"\xff" * (1 << 20), 10)
    attack.announce()
    attack.upload()
    with pytest.raises(Rejected, match="malformed: expected a signature of suite 1"):
        attack.unmask(0, EVERYBODY, {0: bytes(1 << 20)})
    with pytest.raises(Rejected, match="bad-quorum: a signature of someone who is no witness"):
        attack.unmask(0, EVERYBODY, {index: bytes(64) for index in range(1000, 3000)})
    with pytest.raises(Rejected, match="malformed: sealed share"):
        sealing.unseal(bytes(32), kind=labels.SELF_SHARE, slot=1, salt=bytes(16), sealed=bytes(1 << 20), bound_to=b"")
    monkeypatch.setattr(checks, "MOST_MEMBERS", 9)
    keys = [attack.sign_key(name) for name in attack.epoch.members]
    with pytest.raises(Rejected, match="oversized: members of the freeze"):
        read_freeze(freeze(1, keys), number=1, roster=attack.members.roster, roster_digest=attack.members.roster_digest)
