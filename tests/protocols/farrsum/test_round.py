"""Whole rounds: the exact sum over the survivors or a clean refusal, whatever is lost, repeated, reordered or wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from protocols.errors import Rejected
from protocols.farrsum.finishing import finish
from protocols.farrsum.parameters import least_survivors
from protocols.farrsum.rehearsal import Absences, rehearse
from protocols.farrsum.rehearsal import Hospital as Rehearsed

SLOT = 5
SIZES = st.sampled_from([3, 4, 5, 6, 7, 8, 10, 13, 17, 22]) | st.integers(3, 60)
ENTRY = st.sampled_from([0, 1, 1 << 63, (1 << 63) - 1, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)


def calm(examples):
    """Run so many examples, each as long as it takes."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Whose message is lost at which stage."""

    announcement: frozenset[int]
    upload: frozenset[int]
    confirmation: frozenset[int]
    answer: frozenset[int]


@st.composite
def losses(draw, size):
    """Lose nothing, a few, or many messages at any stage; few enough more often than not."""

    def some():
        most = draw(st.sampled_from([0, 0, 0, 1, size // 10, size // 5, size // 3]))
        return frozenset(draw(st.permutations(range(size)))[:most])

    return Losses(announcement=some(), upload=some(), confirmation=some(), answer=some())


def vectors_of(data, size, entries):
    """Draw the vectors: a few extremes, the rest from a seed, wrapping around more often than not."""
    seed = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    vectors = seed.integers(0, 1 << 64, size=(size, entries), dtype=np.uint64)
    vectors[0] = data.draw(st.lists(ENTRY, min_size=entries, max_size=entries))
    return vectors


def play(coordinator, vectors, lost, order, repeats):
    """Run a round as services do: every message may be lost, late, or come twice. Return survivors, answers, cohort."""
    everybody = coordinator.everybody()
    coordinator.deposit(SLOT, order)
    announced = coordinator.announced(SLOT)
    for index in order:
        if index not in lost.announcement:
            for _ in range(repeats):
                coordinator.at(index).announce(announced)
    for index in order[::-1]:
        if index not in lost.announcement:
            for _ in range(repeats):
                coordinator.upload(SLOT, index, vectors[index])
    survivors = tuple(index for index in order if index not in lost.announcement | lost.upload)
    late = {index for index in everybody if index not in survivors}
    coordinator.uploads[SLOT] = {
        index: masked for index, masked in coordinator.uploads.get(SLOT, {}).items() if index not in late
    }
    for index in lost.announcement:
        # A witness that never saw the announcement may accept it now, and confirm.
        if index % 2:
            coordinator.at(index).announce(announced)
    quorum = coordinator.epoch.parameters.quorum
    knowing = [index for index in order if index not in lost.announcement or index % 2]
    # A service stops at Q confirmations and t answers; the signatures that it did not wait for change nothing.
    confirming = [index for index in knowing if index not in lost.confirmation][:quorum]
    confirmations = {}
    for _ in range(repeats):
        confirmations |= coordinator.confirmations(SLOT, survivors, confirming)
    threshold = coordinator.epoch.parameters.threshold
    answering = [index for index in knowing[::-1] if index not in lost.answer][:threshold]
    answers = coordinator.answers(SLOT, survivors, confirmations, answering)
    if repeats > 1 and answering:
        again = coordinator.answers(SLOT, survivors[::-1], confirmations, answering[:1])
        assert again[answering[0]] == answers[answering[0]]
    cohort = next(coordinator.at(index).rounds[SLOT] for index in everybody if SLOT in coordinator.at(index).rounds)
    return survivors, answers, cohort


def exact_or_refused(hospitals, data, size, entries, repeats):
    """Play one round and hold its result, or the cause of its refusal, against what was lost."""
    coordinator = hospitals.quick_hospitals(size, "round")
    known = coordinator.epoch.parameters
    vectors = vectors_of(data, size, entries)
    lost = data.draw(losses(size))
    order = tuple(data.draw(st.permutations(range(size))))
    alive = size - len(lost.announcement | lost.upload)
    knowing = [index for index in range(size) if index not in lost.announcement or index % 2]
    confirming = [index for index in knowing if index not in lost.confirmation]
    answering = [index for index in knowing if index not in lost.answer]
    possible = alive >= least_survivors(known, size)
    possible &= len(confirming) >= known.quorum and len(answering) >= known.threshold
    event("a sum" if possible else "a refusal")

    def run():
        survivors, answers, cohort = play(coordinator, vectors, lost, order, repeats)
        return survivors, coordinator.finish(SLOT, survivors, answers, cohort)

    found, code = hospitals.attempt(run)
    assert possible == (code is None)
    if found is None:
        assert code in {"too-few", "bad-quorum"}
        return
    survivors, total = found
    assert np.array_equal(total, vectors[list(survivors)].sum(axis=0, dtype=np.uint64))


@calm(40)
@given(data=st.data(), size=SIZES, entries=st.integers(1, 4), repeats=st.integers(1, 2))
def test_the_exact_sum_or_a_clean_refusal(hospitals, data, size, entries, repeats):
    """Any hospitals, losses at any stage, orders and repetitions: the exact sum over the survivors, or Rejected.

    It is refused exactly where fewer than m survived, Q confirmed or t answered.
    """
    exact_or_refused(hospitals, data, size, entries, repeats)


@pytest.mark.slow
@calm(600)
@given(data=st.data(), size=st.integers(3, 60), entries=st.integers(1, 40), repeats=st.integers(1, 3))
def test_many_rounds_of_every_size_are_exact_or_refused(hospitals, data, size, entries, repeats):
    """The same over hundreds of rounds, every size alike."""
    exact_or_refused(hospitals, data, size, entries, repeats)


def sound_round(hospitals, data, size):
    """Run a round with as many losses as are allowed, up to the answers."""
    coordinator = hospitals.quick_hospitals(size, "wrong")
    least = least_survivors(coordinator.epoch.parameters, size)
    absent = data.draw(st.sets(st.integers(0, size - 1), max_size=size - least))
    vectors = vectors_of(data, size, 2)
    lost = Losses(announcement=frozenset(), upload=frozenset(absent), confirmation=frozenset(), answer=frozenset())
    survivors, answers, cohort = play(coordinator, vectors, lost, tuple(range(size)), 1)
    return coordinator, vectors, survivors, {keeper: dict(shares) for keeper, shares in answers.items()}, cohort


SMALL_SIZES = st.integers(3, 12)


@calm(25)
@given(data=st.data(), size=SMALL_SIZES)
def test_a_wrong_share_never_gives_a_wrong_sum(hospitals, data, size):
    """Any keepers' shares replaced or exchanged: the right sum where nothing changed, else a refusal."""
    coordinator, vectors, survivors, answers, cohort = sound_round(hospitals, data, size)
    keepers, members = sorted(answers), list(cohort.members)
    for _ in range(data.draw(st.integers(1, 3))):
        keeper, member = data.draw(st.sampled_from(keepers)), data.draw(st.sampled_from(members))
        other = data.draw(st.sampled_from(members))
        if data.draw(st.booleans()):
            answers[keeper][member] = data.draw(st.binary(min_size=20, max_size=20))
        else:
            answers[keeper][member], answers[keeper][other] = answers[keeper][other], answers[keeper][member]
    exact = vectors[list(survivors)].sum(axis=0, dtype=np.uint64)
    total, code = hospitals.attempt(lambda: coordinator.finish(SLOT, survivors, answers, cohort))
    assert code in {None, "bad-sum"}
    assert total is None or np.array_equal(total, exact)


@calm(25)
@given(data=st.data(), size=st.integers(5, 12))
def test_a_wrong_backup_never_gives_a_wrong_sum(hospitals, data, size):
    """A dropped hospital's backups with one bit changed, or those of another slot, are a refusal."""
    coordinator, _, survivors, answers, cohort = sound_round(hospitals, data, size)
    dropped = sorted(set(cohort.members) - set(survivors))
    if not dropped:
        return
    member = data.draw(st.sampled_from(dropped))
    partner = data.draw(st.sampled_from(sorted(survivors)))
    place = coordinator.epoch.partners(member).index(partner)
    backups = bytearray(coordinator.deposits[SLOT][member].backups)
    if data.draw(st.booleans()):
        backups[32 * place + data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        backups[:] = coordinator.at(member).deposit(SLOT + 1).backups
    coordinator.deposits[SLOT][member].backups = bytes(backups)
    with pytest.raises(Rejected, match="bad-sum"):
        coordinator.finish(SLOT, survivors, answers, cohort)


@calm(25)
@given(data=st.data(), size=SMALL_SIZES)
def test_other_vectors_than_the_survivors_never_give_a_wrong_sum(hospitals, data, size):
    """A vector counted twice, left out, or taken from another slot is a refusal."""
    coordinator, vectors, survivors, answers, cohort = sound_round(hospitals, data, size)
    chosen = data.draw(st.sampled_from(sorted(survivors)))
    uploads = [coordinator.uploads[SLOT][index].vector for index in survivors]
    what = data.draw(st.sampled_from(["twice", "left out", "another slot"]))
    own = coordinator.uploads[SLOT][chosen].vector
    if what == "twice":
        uploads.append(own)
    else:
        uploads = [vector for index, vector in zip(survivors, uploads, strict=True) if index != chosen]
    if what == "another slot":
        coordinator.deposit(SLOT + 1, [chosen])
        coordinator.at(chosen).announce(coordinator.announced(SLOT + 1))
        uploads.append(coordinator.at(chosen).upload(SLOT + 1, lambda: vectors[chosen]).vector)
    backups = {
        member: coordinator.deposits[SLOT][member].backups for member in cohort.members if member not in survivors
    }
    with pytest.raises(Rejected, match="bad-sum"):
        finish(
            np.sum(uploads, axis=0, dtype=np.uint64), epoch=coordinator.epoch, cohort=cohort,
            survivors=tuple(sorted(survivors)), backups=backups, answers=answers,
        )  # fmt: skip


@calm(25)
@given(data=st.data(), size=SMALL_SIZES)
def test_exchanged_ciphertexts_never_give_a_wrong_sum(hospitals, data, size):
    """Boxes exchanged between hospitals, keepers, slots or kinds do not open, so nothing follows from them."""
    coordinator, _, survivors, _, cohort = sound_round(hospitals, data, size)
    for index in range(size):
        coordinator.deposit(SLOT + 1, [index])
    confirmations = coordinator.confirmations(SLOT, survivors, coordinator.everybody())
    keeper = data.draw(st.integers(0, size - 1))
    boxes = coordinator.sealed_for(SLOT, keeper, survivors, cohort)
    member = data.draw(st.sampled_from(sorted(boxes)))
    other = data.draw(st.sampled_from([index for index in range(size) if index not in {keeper, member}]))
    what = data.draw(st.sampled_from(["hospital", "keeper", "slot", "kind"]))
    survived = member in survivors
    if what == "hospital":
        boxes[member] = boxes[other]
    elif what == "keeper":
        boxes[member] = coordinator.sealed(SLOT, member, other, survived=survived)
    elif what == "slot":
        boxes[member] = coordinator.sealed(SLOT + 1, member, keeper, survived=False)
    elif survived:
        boxes[member] = coordinator.sealed(SLOT, member, keeper, survived=False)
    else:
        late = coordinator.at(member).masked[SLOT].shares
        boxes[member] = late.salt, late.sealed[keeper]
    with pytest.raises(Rejected, match="bad-share"):
        coordinator.at(keeper).unmask(SLOT, survivors, confirmations, boxes)


def rehearsed(hospitals, size, label):
    """Return the hospitals of a rehearsal and their vectors."""
    members = hospitals.federation(size)
    vectors = np.random.default_rng(size).integers(0, 1 << 64, size=(size, 3), dtype=np.uint64)
    return members, {
        name: Rehearsed(key=members.identities[name], vector=vectors[index], entropy=hospitals.Fresh(f"{label}/{name}"))
        for index, name in enumerate(members.names)
    }


@calm(25)
@given(data=st.data(), size=st.integers(3, 11))
def test_the_rehearsal_gives_the_sum_or_refuses(hospitals, data, size):
    """The executable specification, for any absences at its three stages, gives the exact sum or is refused."""
    members, taking_part = rehearsed(hospitals, size, "rehearsal")
    some = st.frozensets(st.sampled_from(members.names), max_size=data.draw(st.sampled_from([0, 1, 2, size])))
    gone = Absences(before_upload=data.draw(some), before_confirm=data.draw(some), before_unmask=data.draw(some))
    known = hospitals.epoch_only(size).parameters
    minimum = least_survivors(known, size)
    present = [name for name in members.names if name not in gone.before_upload]
    confirming = [name for name in present if name not in gone.before_confirm]
    answering = [name for name in confirming if name not in gone.before_unmask]
    possible = len(present) >= minimum and len(confirming) >= known.quorum and len(answering) >= known.threshold
    found, code = hospitals.attempt(
        lambda: rehearse(
            taking_part, roster=members.roster, roster_digest=members.roster_digest, number=1, slot=SLOT,
            tau=b"t" * 32, minimum=minimum, absences=gone,
        )
    )  # fmt: skip
    assert possible == (code is None)
    if found is None:
        assert code in {"too-few", "bad-quorum"}
        return
    epoch, survivors, total = found
    assert tuple(epoch.members[index] for index in survivors) == tuple(present)
    exact = sum((taking_part[name].vector for name in present), np.zeros(3, dtype=np.uint64))
    assert np.array_equal(total, exact)


def test_the_rehearsal_refuses_a_round_that_a_hospital_would_refuse(hospitals):
    """The specification checks the announced minimum as every hospital does."""
    members, taking_part = rehearsed(hospitals, 5, "minimum")
    with pytest.raises(Rejected, match="cohort-too-small"):
        rehearse(
            taking_part, roster=members.roster, roster_digest=members.roster_digest, number=1, slot=SLOT,
            tau=b"t" * 32, minimum=3,
        )  # fmt: skip


@pytest.mark.parametrize(
    "size", [160, pytest.param(298, marks=pytest.mark.slow), pytest.param(600, marks=pytest.mark.slow)]
)
def test_a_drawn_committee_opens_the_sum(hospitals, size):
    """Above 150 hospitals a committee drawn by a beacon opens the exact sum, with absences at every stage."""
    coordinator = hospitals.quick_hospitals(size, "drawn", b"pulse")
    epoch = coordinator.epoch
    assert len(epoch.committee) < size
    vectors = np.random.default_rng(1).integers(0, 1 << 64, size=(size, 3), dtype=np.uint64)
    coordinator.deposit(SLOT)
    survivors = tuple(index for index in range(size) if index % 11)
    for index in range(size):
        coordinator.at(index).announce(coordinator.announced(SLOT))
        if index in survivors:
            coordinator.upload(SLOT, index, vectors[index])
    witnesses = [index for index in epoch.witnesses if index in survivors][-epoch.parameters.quorum :]
    confirmations = coordinator.confirmations(SLOT, survivors, witnesses)
    keepers = [index for index in epoch.committee if index in survivors][-epoch.parameters.threshold :]
    # Each keeper would check the same quorum; here one does, so that the test is quick.
    answers = dict(coordinator.answers(SLOT, survivors, confirmations, keepers[:1]))
    with pytest.MonkeyPatch.context() as patch:
        from protocols.farrsum import unmasking

        patch.setattr(unmasking, "check_quorum", lambda *_, **__: None)
        answers |= coordinator.answers(SLOT, survivors, confirmations, keepers[1:])
    total = coordinator.finish(SLOT, survivors, answers, coordinator.at(0).rounds[SLOT])
    assert np.array_equal(total, vectors[list(survivors)].sum(axis=0, dtype=np.uint64))
