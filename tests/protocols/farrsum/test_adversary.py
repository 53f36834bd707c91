"""A malicious coordinator with as many corrupt hospitals as there may be: which check stops each attack.

Ten hospitals; the coordinator holds every key of the last three (c = 3, m = 8, t = Q = 7, h = 5). Every test names the
refusal that it meets, and holds everything that left the seven honest hospitals against the knowledge tracker: at most
one sum, over at least five of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.errors import Rejected
from protocols.farrsum.cohort import Cohort, check_survivors, context
from protocols.farrsum.confirming import KIND, check_quorum
from protocols.farrsum.edges import edges
from protocols.farrsum.epoch import ExchangeKey, freeze, read_freeze, write_key
from protocols.signing import sign

HONEST, CORRUPT = tuple(range(7)), (7, 8, 9)
EVERYBODY = HONEST + CORRUPT
SLOT = 1


def test_an_honest_run_opens_one_sum(attack):
    """Without an attack the sum opens, and the tracker sees exactly that one sum over the honest survivors."""
    attack.announce()
    attack.upload()
    survivors = (0, 1, 2, 3, 4, 7, 8, 9)
    total = attack.open(survivors)
    assert np.array_equal(total, attack.vectors[list(survivors)].sum(axis=0, dtype=np.uint64))
    (combination,) = attack.known()
    assert len(combination) == 5


def test_two_survivor_sets_are_never_both_confirmed(attack):
    """Shown two sets, honest witnesses sign one each; neither half makes a quorum, and nobody signs a second."""
    attack.announce()
    attack.upload()
    one, other = (0, 1, 2, 3, 4, 7, 8, 9), (2, 3, 4, 5, 6, 7, 8, 9)
    half = attack.confirm(one, HONEST[:3])
    rest = attack.confirm(other, HONEST[3:])
    for witness, second in ((0, other), (6, one)):
        with pytest.raises(Rejected, match="slot-used: another survivor set was confirmed"):
            attack.at(witness).confirm(SLOT, second)
    with pytest.raises(Rejected, match="bad-quorum: 6 confirmations, 7 needed"):
        attack.unmask(0, one, half)
    # Four honest and three corrupt are a quorum: that set alone may open.
    for keeper in HONEST:
        attack.unmask(keeper, other, rest)
        with pytest.raises(Rejected, match="bad-quorum"):
            attack.unmask(keeper, one, half)
    assert len(attack.known()) == 1


def test_an_even_split_opens_neither_set(hospitals, knowledge):
    """Where neither of two sets finds a quorum, no share leaves anybody."""
    coordinator = hospitals.quick_hospitals(5, "even split")
    coordinator.deposit(SLOT)
    for index in range(5):
        coordinator.at(index).announce(coordinator.announced(SLOT))
        coordinator.upload(SLOT, index, np.zeros(1, dtype=np.uint64))
    one, other = (0, 1, 2, 4), (0, 2, 3, 4)
    for survivors, witnesses in ((one, (0, 1)), (other, (2, 3))):
        signatures = coordinator.confirmations(SLOT, survivors, witnesses)
        body = coordinator.epoch.digest + hospitals.named(coordinator, SLOT, survivors)
        name = coordinator.epoch.members[4]
        corrupt = sign(hospitals.identity(name), kind=KIND, signer=name, federation="test", body=body).signature
        for keeper in range(4):
            boxes = coordinator.sealed_for(SLOT, keeper, survivors, coordinator.at(0).rounds[SLOT])
            with pytest.raises(Rejected, match="bad-quorum: 3 confirmations, 4 needed"):
                coordinator.at(keeper).unmask(SLOT, survivors, {**signatures, 4: corrupt}, boxes)
    assert knowledge.from_hospitals(coordinator, SLOT, (4,)) == []


def test_two_announcements(attack):
    """A slot carries one announcement; hospitals that were shown different ones do not unmask for each other."""
    second = replace(attack.announced, nonce=b"second")
    attack.announce(HONEST[:4] + CORRUPT)
    attack.announce(HONEST[4:], second)
    with pytest.raises(Rejected, match="slot-used: another announcement"):
        attack.at(0).announce(second)
    attack.upload()
    survivors = EVERYBODY
    attack.at(4).rounds[SLOT] = attack.cohort(0)
    with pytest.raises(Rejected, match="unknown-round: confirm"):
        attack.at(4).confirm(SLOT, survivors)
    signed = attack.confirm(survivors, HONEST[:4])
    with pytest.raises(Rejected, match="bad-share: kind 2"):
        attack.unmask(0, survivors, signed)
    assert attack.known() == []


def test_a_hospital_of_another_announcement_as_dropped(attack):
    """Naming those who uploaded under the other announcement as dropped opens their slots, not their self-masks."""
    second = replace(attack.announced, nonce=b"second", minimum=8)
    attack.announce((0, 1, 2, 3, 4, *CORRUPT))
    attack.announce((5, 6), second)
    attack.upload()
    survivors = (0, 1, 2, 3, 4, *CORRUPT)
    total = attack.open(survivors, HONEST[:5])
    assert np.array_equal(total, attack.vectors[list(survivors)].sum(axis=0, dtype=np.uint64))
    assert len(attack.known()) == 1


def test_two_freezes(hospitals, knowledge):
    """A hospital accepts one freeze; those of two freezes share no key, and each part holds to all c of the roster."""
    members = hospitals.federation(10)
    world = {
        name: hospitals.Hospital(name=name, federation=members, entropy=hospitals.Fresh(f"two/{name}"))
        for name in members.names
    }
    keys = {name: hospital.offer(1) for name, hospital in world.items()}
    names = members.names
    # A corrupt hospital signs two keys, so both lists hold all ten and differ in one key.
    second = write_key(
        1, members.roster, members.roster_digest, member=names[9], key=members.identities[names[9]],
        exchange=ExchangeKey.from_seed(b"2" * 32),
    )  # fmt: skip
    one, other = freeze(1, list(keys.values())), freeze(1, [*list(keys.values())[:9], second])
    for index in range(9):
        world[names[index]].accept(one if index < 4 else other, number=1)
    with pytest.raises(Rejected, match="wrong-epoch: another freeze was accepted"):
        world[names[0]].accept(other, number=1)
    first, last = world[names[0]], world[names[6]]
    assert first.epoch.digest != last.epoch.digest
    assert first.edges[6].seed(SLOT) != last.edges[0].seed(SLOT)
    assert first.edges[6].sending != last.edges[0].receiving
    # A confirmation of one part does not count in the other.
    for hospital in (first, last):
        coordinator = hospitals.Coordinator(hospitals=world, epoch=hospital.epoch)
        hospital.deposit(SLOT)
        hospital.announce(coordinator.announced(SLOT))
    signature = last.confirm(SLOT, EVERYBODY)
    named = context(EVERYBODY, epoch=first.epoch, cohort=first.rounds[SLOT])
    with pytest.raises(Rejected, match="bad-signature"):
        check_quorum({6: signature}, named, epoch=first.epoch, roster=members.roster)


def test_a_freeze_with_few_hospitals_still_reckons_with_all_colluders(attack):
    """Cut to four honest and three corrupt, everybody must confirm; cut to fewer than c + 1, there is no epoch."""
    keys = [attack.sign_key(attack.epoch.members[index]) for index in EVERYBODY]
    members = attack.members
    part = read_freeze(freeze(1, keys[3:]), number=1, roster=members.roster, roster_digest=members.roster_digest)
    assert (part.parameters.colluders, part.parameters.quorum) == (3, 6)
    with pytest.raises(Rejected, match="too-few-nodes: 3 hold keys, 4 must confirm"):
        read_freeze(freeze(1, keys[7:]), number=1, roster=members.roster, roster_digest=members.roster_digest)


def test_swapped_keys(attack):
    """The coordinator puts itself between two hospitals with keys of its own: no hospital signed them."""
    names = attack.epoch.members
    middle = ExchangeKey.from_seed(b"m" * 32)
    keys = [attack.sign_key(name) for name in names]
    forged = attack.sign_key(names[0], middle)
    forged.signature = keys[0].signature
    wrong_signer = write_key(
        1, attack.members.roster, attack.members.roster_digest, member=names[0],
        key=attack.members.identities[names[9]], exchange=middle,
    )  # fmt: skip
    for bad in (forged, wrong_signer):
        with pytest.raises(Rejected, match="bad-signature: epoch-key"):
            read_freeze(
                freeze(1, [bad, *keys[1:]]), number=1, roster=attack.members.roster,
                roster_digest=attack.members.roster_digest,
            )  # fmt: skip


def test_ghost_survivors_that_never_uploaded(attack):
    """Hospitals named as survivors without an upload: no share of their self-masks exists, and none can be made."""
    attack.announce()
    attack.upload((0, 1, 2, 3, 4, *CORRUPT))
    signed = attack.confirm(EVERYBODY)
    boxes = {index: (bytes(16), bytes(36)) for index in EVERYBODY if index != 5}
    known = attack.coordinator.uploads[SLOT].items()
    boxes |= {index: (masked.shares.salt, masked.shares.sealed[5]) for index, masked in known}
    with pytest.raises(Rejected, match="bad-survivors: named a survivor without having uploaded"):
        attack.unmask(5, EVERYBODY, signed, boxes)
    forged = {index: (bytes(16), bytes(36)) for index in EVERYBODY if index != 0}
    with pytest.raises(Rejected, match="bad-share: kind 2"):
        attack.unmask(0, EVERYBODY, signed, forged)
    assert attack.known() == []


def test_ghost_survivors_whose_uploads_are_held_back(attack):
    """Holding uploads of survivors back gives nothing: their pairwise masks stay, and the checks show it."""
    attack.announce()
    attack.upload()
    signed = attack.confirm(EVERYBODY)
    answers = attack.coordinator.answers(SLOT, EVERYBODY, signed, EVERYBODY)
    for missing in HONEST:
        held = attack.holding_back(missing)
        with pytest.raises(Rejected, match="bad-sum"):
            held.finish(SLOT, EVERYBODY, answers, attack.cohort())
    (combination,) = attack.known()
    assert len(combination) == len(HONEST)


def test_a_late_upload_of_a_dropped_hospital(attack):
    """Named as dropped, then heard after all: the pairwise masks are open, the self-mask stays closed for ever."""
    attack.announce()
    attack.upload((0, 1, 2, 3, 4, 5, *CORRUPT))
    survivors = (0, 1, 2, 3, 4, 5, *CORRUPT)
    attack.open(survivors)
    attack.upload((6,))
    with pytest.raises(Rejected, match="slot-used: another survivor set was confirmed"):
        attack.at(0).confirm(SLOT, EVERYBODY)
    signed = attack.corrupt_signatures(EVERYBODY)
    with pytest.raises(Rejected, match="bad-quorum: 3 confirmations"):
        attack.unmask(0, EVERYBODY, signed)
    late = attack.coordinator.sealed(SLOT, 6, 0, survived=True)
    again = attack.confirm(survivors)
    with pytest.raises(Rejected, match="bad-share: kind 1"):
        attack.unmask(0, survivors, again, {**attack.boxes(0, survivors), 6: late})
    (combination,) = attack.known()
    assert len(combination) == 6


def test_isolating_a_victim_by_dropping_all_others(attack):
    """No survivor set small enough to isolate a hospital is confirmed, however the drops are chosen."""
    attack.announce()
    attack.upload()
    for survivors in ((0, *CORRUPT), (0, 1, 2, 3, *CORRUPT)):
        with pytest.raises(Rejected, match=r"too-few: . survivors, 8 needed"):
            attack.at(1).confirm(SLOT, survivors)
        with pytest.raises(Rejected, match=r"too-few: . survivors, 8 needed"):
            attack.unmask(1, survivors, attack.corrupt_signatures(survivors))
    assert attack.known() == []


def test_a_hospital_in_neither_list(attack):
    """A hospital outside the cohort sends nothing, is no survivor, and no share about it is opened."""
    outside = replace(attack.announced, contributors=attack.epoch.members[1:])
    attack.announce(EVERYBODY, outside)
    with pytest.raises(Rejected, match="out-of-scope: not in the cohort"):
        attack.upload((0,))
    attack.upload(EVERYBODY[1:])
    with pytest.raises(Rejected, match="bad-survivors: survivors outside the cohort"):
        attack.at(1).confirm(SLOT, EVERYBODY)
    survivors = EVERYBODY[1:]
    signed = attack.confirm(survivors)
    extra = {**attack.boxes(1, survivors), 0: attack.coordinator.sealed(SLOT, 0, 1, survived=False)}
    with pytest.raises(Rejected, match="malformed: one sealed share for each other hospital"):
        attack.unmask(1, survivors, signed, extra)
    # It may still keep shares for the others, and answers about them only.
    assert set(attack.unmask(0, survivors, signed)) == set(survivors)
    for keeper in HONEST[1:]:
        attack.unmask(keeper, survivors, signed)
    assert len(attack.known()) == 1


def test_too_small_a_cohort(attack):
    """A round of five cannot be announced: m is at least Q of the whole epoch, whatever the announcement says."""
    for minimum in (1, 5):
        few = replace(attack.announced, contributors=attack.epoch.members[:5], minimum=minimum)
        with pytest.raises(Rejected, match=f"cohort-too-small: 5 contributors, {minimum} survivors"):
            attack.at(0).announce(few)
    low = replace(attack.announced, minimum=7)
    with pytest.raises(Rejected, match="cohort-too-small: 10 contributors, 7 survivors"):
        attack.at(0).announce(low)


def test_a_hand_picked_cohort(attack):
    """One victim among all colluders is too few; the fewest that are accepted hold four honest, so h is four."""
    names = attack.epoch.members
    picked = replace(attack.announced, contributors=tuple(names[index] for index in (0, *CORRUPT)), minimum=4)
    with pytest.raises(Rejected, match="cohort-too-small: 4 contributors"):
        attack.at(0).announce(picked)
    fewest = replace(attack.announced, contributors=tuple(names[index] for index in (0, 1, 2, 3, *CORRUPT)), minimum=7)
    attack.announce((0, 1, 2, 3, *CORRUPT), fewest)
    assert attack.cohort().minimum - attack.epoch.parameters.colluders == 4


def test_invented_members(attack):
    """Neither a freeze nor a cohort holds anybody whom the registrar did not admit."""
    invented = replace(attack.announced, contributors=(*attack.epoch.members, "invented"))
    with pytest.raises(Rejected, match="out-of-scope: contributors outside the freeze"):
        attack.at(0).announce(invented)
    members = attack.members
    keys = [attack.sign_key(name) for name in attack.epoch.members]
    key = write_key(
        1, members.roster, members.roster_digest, member="invented", key=attack.hospitals.identity("invented"),
        exchange=ExchangeKey.from_seed(b"i" * 32),
    )  # fmt: skip
    with pytest.raises(Rejected, match="unknown-member: invented"):
        read_freeze(freeze(1, [*keys, key]), number=1, roster=members.roster, roster_digest=members.roster_digest)


def test_a_foreign_committee(attack):
    """Hospitals that were shown different committees share no key; a stranger's shares and signatures are refused."""
    members = attack.members
    keys = [attack.sign_key(name) for name in attack.epoch.members]
    other = read_freeze(
        freeze(1, keys, b"another pulse"), number=1, roster=members.roster, roster_digest=members.roster_digest
    )
    assert other.digest != attack.epoch.digest
    there = edges(other, 1, attack.hospitals.quick_exchange(attack.epoch.members[1]))
    assert attack.at(0).edges[1].sending != there[0].receiving
    attack.announce()
    attack.upload()
    foreign = attack.corrupt_signatures(EVERYBODY, epoch=other)
    with pytest.raises(Rejected, match="bad-signature: confirmation"):
        attack.unmask(0, EVERYBODY, foreign)
    attack.at(0).epoch = replace(attack.epoch, committee=HONEST[1:] + CORRUPT, witnesses=HONEST[1:] + CORRUPT)
    with pytest.raises(Rejected, match="wrong-role: not a witness"):
        attack.at(0).confirm(SLOT, EVERYBODY)
    with pytest.raises(Rejected, match="wrong-role: not in the committee"):
        attack.unmask(0, EVERYBODY, {})
    assert attack.known() == []


def test_survivors_outside_the_committee(attack):
    """Where the committee is a part, a survivor set with fewer than t of it is refused by every honest hospital."""
    drawn = replace(attack.epoch, committee=(5, 6, 7, 8, 9), parameters=replace(attack.epoch.parameters, threshold=4))
    known = Cohort(slot=SLOT, tau=b"t" * 32, members=EVERYBODY, minimum=8)
    with pytest.raises(Rejected, match="too-few: survivors in the committee"):
        check_survivors((0, 1, 2, 3, 4, 7, 8, 9), epoch=drawn, cohort=known)
