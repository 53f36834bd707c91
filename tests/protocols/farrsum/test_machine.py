"""A federation under a scheduler that restarts hospitals, repeats, reorders and contradicts itself: what never happens.

The hospitals are honest; everything else is the scheduler's choice. Invariants, after every step:

    a hospital carries one announcement, sends one vector, confirms one survivor set and releases for one, in a slot
    of one hospital and slot, a keeper hands over one kind of share
    no key and nonce seal twice
    no noise serves two announcements, and a hospital was charged at least as often as it was in an opened sum
    a hospital that restarted says nothing until it has a key in a new epoch
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import ClassVar

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from protocols.errors import Rejected
from protocols.farrsum import sealing
from protocols.farrsum.epoch import freeze
from protocols.farrsum.finishing import finish

SIZE = 5
INDEX = st.integers(0, SIZE - 1)
SLOT = st.integers(1, 2)
RARELY = st.sampled_from([False, False, True])
VARIANT = st.sampled_from([0, 0, 0, 1])
SURVIVORS = st.sampled_from(
    [frozenset(range(SIZE))] * 2
    + [frozenset(range(SIZE)) - {absent} for absent in (0, 0, 1, 4)]
    + [frozenset({0, 1, 2})]
)
EXPECTED = {
    "slot-used", "unknown-round", "bad-quorum", "bad-share", "bad-survivors", "too-few", "wrong-epoch", "not-in-freeze",
    "bad-signature", "out-of-scope", "bad-sum",
}  # fmt: skip


class Recorded:
    """AES-GCM that remembers every key and nonce that it sealed with."""

    used: ClassVar[set] = set()

    def __init__(self, key):
        self.key, self.real = key, AESGCM(key)

    def encrypt(self, nonce, data, bound_to):
        """Seal; the same key and nonce never come twice."""
        assert (self.key, nonce) not in self.used
        self.used.add((self.key, nonce))
        return self.real.encrypt(nonce, data, bound_to)

    def decrypt(self, nonce, data, bound_to):
        """Open."""
        return self.real.decrypt(nonce, data, bound_to)


class Scheduler(RuleBasedStateMachine):
    """The machine; ``scheduler`` gives it the modules that it works with."""

    hospitals = knowledge = None

    def __init__(self):
        super().__init__()
        Recorded.used = set()
        self.members = self.hospitals.federation(SIZE)
        self.world = {
            name: self.hospitals.Hospital(name=name, federation=self.members, entropy=self.hospitals.Fresh(name))
            for name in self.members.names
        }
        self.number = 0
        self.coordinator = None
        self.frozen = None
        self.variants = {}
        self.signatures = defaultdict(dict)
        self.answers = defaultdict(dict)
        self.noise = defaultdict(set)
        self.drawn = 0
        self.summed = defaultdict(set)
        self.silent_since = {}

    # --- what the scheduler may do

    @initialize(under_way=st.sampled_from([True, True, False]))
    def first_epoch(self, under_way):
        """Open an epoch; a round may be under way already."""
        self._open(frozenset())
        if under_way:
            self.deposit_everywhere(1)
            self.announce_everywhere(1, 0)

    @rule(left_out=st.sets(INDEX, max_size=1), rarely=RARELY)
    def new_epoch(self, left_out, rarely):
        """Open the next epoch, perhaps without one hospital."""
        if rarely:
            self._open(left_out)

    @rule(index=INDEX)
    def the_same_epoch_again(self, index):
        """Ask for a second key of the same epoch."""
        hospital = self._at(index)
        with pytest.raises(Rejected, match="wrong-epoch: a key for"):
            hospital.offer(self.number)

    @rule(index=INDEX, rarely=RARELY)
    def restart(self, index, rarely):
        """Let a hospital lose its memory; the epoch's freeze does not bring it back."""
        if not rarely:
            return
        hospital = self._at(index)
        hospital.restart()
        self.silent_since.setdefault(hospital.name, len(hospital.left))
        with pytest.raises(Rejected, match="not-in-freeze"):
            hospital.accept(self.frozen, number=self.number)

    @rule(slot=SLOT, index=INDEX)
    def deposit(self, slot, index):
        """Ask one hospital for a deposit."""
        self._try(lambda: self._deposit(slot, index))

    @rule(slot=SLOT)
    def deposit_everywhere(self, slot):
        """Ask everybody for a deposit."""
        self._everywhere(lambda index: self._deposit(slot, index))

    @rule(slot=SLOT, index=INDEX, variant=VARIANT)
    def announce(self, slot, index, variant):
        """Announce one of two rounds to one hospital."""
        self._try(lambda: self._announce(slot, index, variant))

    @rule(slot=SLOT, variant=VARIANT)
    def announce_everywhere(self, slot, variant):
        """Announce one of two rounds to everybody."""
        self._everywhere(lambda index: self._announce(slot, index, variant))

    @rule(slot=SLOT, index=INDEX)
    def upload(self, slot, index):
        """Ask one hospital for its vector."""
        self._try(lambda: self._upload(slot, index))

    @rule(slot=SLOT)
    def upload_everywhere(self, slot):
        """Ask everybody for vectors."""
        self._everywhere(lambda index: self._upload(slot, index))

    @rule(slot=SLOT, index=INDEX)
    def lose_an_upload(self, slot, index):
        """Lose an upload on its way."""
        self.coordinator.uploads.get(slot, {}).pop(index, None)

    @rule(slot=SLOT, rarely=RARELY)
    def ask_for_uploads_that_were_not_kept(self, slot, rarely):
        """Ask again for vectors, where hospitals may not have kept the bytes that they sent."""
        for index in range(SIZE):
            if rarely:
                self._at(index).masked.pop(slot, None)
            self._try(lambda index=index: self._upload(slot, index))

    @rule(slot=SLOT, index=INDEX, sets=st.lists(SURVIVORS, min_size=1, max_size=3))
    def confirm(self, slot, index, sets):
        """Ask one witness to confirm sets, one after the other."""
        for survivors in sets:
            self._try(lambda survivors=survivors: self._confirm(slot, index, survivors))

    @rule(slot=SLOT, survivors=SURVIVORS)
    def confirm_everywhere(self, slot, survivors):
        """Ask everybody to confirm a set."""
        self._everywhere(lambda index: self._confirm(slot, index, survivors))

    @rule(slot=SLOT, index=INDEX, survivors=SURVIVORS)
    def unmask(self, slot, index, survivors):
        """Ask one committee member for its shares."""
        self._try(lambda: self._unmask(slot, index, survivors))

    @rule(slot=SLOT, survivors=SURVIVORS)
    def unmask_everywhere(self, slot, survivors):
        """Ask everybody for shares."""
        self._everywhere(lambda index: self._unmask(slot, index, survivors))

    @rule(slot=SLOT, index=INDEX, survivors=SURVIVORS)
    def ask_everything_again(self, slot, index, survivors):
        """Ask one hospital for everything that it may have said already."""
        for ask in (
            lambda: self._upload(slot, index),
            lambda: self._confirm(slot, index, survivors),
            lambda: self._unmask(slot, index, survivors),
        ):
            self._try(ask)

    @precondition(lambda self: any(self.answers.values()))
    @rule()
    def finish(self):
        """Finish with whatever was answered."""
        for (slot, survivors), answers in list(self.answers.items()):
            self._try(lambda slot=slot, survivors=survivors, answers=answers: self._finish(slot, survivors, answers))

    # --- how it does it

    def _open(self, left_out):
        self.number += 1
        keys = {name: hospital.offer(self.number) for name, hospital in self.world.items()}
        absent = {self.members.names[index] for index in left_out}
        self.frozen = freeze(self.number, [key for name, key in keys.items() if name not in absent])
        for name, hospital in self.world.items():
            if name in absent:
                with pytest.raises(Rejected, match="not-in-freeze"):
                    hospital.accept(self.frozen, number=self.number)
                self.silent_since[name] = len(hospital.left)
            else:
                epoch = hospital.accept(self.frozen, number=self.number)
                self.silent_since.pop(name, None)
        self.coordinator = self.hospitals.Coordinator(hospitals=self.world, epoch=epoch)
        self.variants, self.signatures, self.answers = {}, defaultdict(dict), defaultdict(dict)

    def _at(self, index):
        return self.world[self.members.names[index]]

    def _place(self, index):
        return self.coordinator.epoch.index[self.members.names[index]]

    def _everywhere(self, act):
        for index in range(SIZE):
            self._try(lambda index=index: act(index))

    def _try(self, act):
        _, code = self.hospitals.attempt(act)
        assert code in {None, *EXPECTED}

    def _here(self, index):
        hospital = self._at(index)
        if hospital.epoch is None:
            raise Rejected("not-in-freeze", "no key in this epoch")
        return hospital

    def _deposit(self, slot, index):
        hospital = self._here(index)
        # A service does not deposit a slot again once a round has used it.
        if slot not in hospital.rounds:
            self.coordinator.deposit(slot, [self._place(index)])

    def _announce(self, slot, index, variant):
        hospital = self._here(index)
        if slot in hospital.own:
            announced = self.coordinator.announced(slot, nonce=bytes([variant]))
            hospital.announce(announced)

    def _upload(self, slot, index):
        hospital = self._here(index)
        if slot not in hospital.rounds:
            raise Rejected("unknown-round", "upload")
        place = self._place(index)

        def noisy():
            self.drawn += 1
            self.noise[hospital.name, hospital.epoch.digest, slot].add(hospital.rounds[slot].tau)
            self.variants[slot, place] = np.array([self.drawn, 1 << 63], dtype=np.uint64)
            return self.variants[slot, place]

        self.coordinator.uploads.setdefault(slot, {})[place] = hospital.upload(slot, noisy)

    def _chosen(self, survivors):
        names = [self.members.names[index] for index in sorted(survivors)]
        return tuple(self.coordinator.epoch.index[name] for name in names if name in self.coordinator.epoch.index)

    def _confirm(self, slot, index, survivors):
        hospital = self._here(index)
        if slot not in hospital.rounds:
            raise Rejected("unknown-round", "confirm")
        chosen = self._chosen(survivors)
        tau = hospital.rounds[slot].tau
        signature = hospital.confirm(slot, chosen)
        known = self.signatures[slot, tau, chosen]
        assert known.setdefault(self._place(index), signature) == signature

    def _unmask(self, slot, index, survivors):
        hospital = self._here(index)
        if slot not in hospital.rounds:
            raise Rejected("unknown-round", "unmask")
        chosen, place = self._chosen(survivors), self._place(index)
        tau = hospital.rounds[slot].tau
        uploads = self.coordinator.uploads.get(slot, {})
        if not set(chosen) <= uploads.keys() or len(self.coordinator.deposits.get(slot, {})) < len(
            hospital.epoch.members
        ):
            return
        boxes = self.coordinator.sealed_for(slot, place, chosen, hospital.rounds[slot])
        shares = hospital.unmask(slot, chosen, self.signatures[slot, tau, chosen], boxes)
        known = self.answers[slot, chosen]
        assert known.setdefault(place, shares) == shares

    def _finish(self, slot, survivors, answers):
        cohort = next(hospital.rounds[slot] for hospital in self.world.values() if slot in hospital.rounds)
        uploads = self.coordinator.uploads[slot]
        if not set(survivors) <= uploads.keys():
            return
        total = finish(
            np.sum([uploads[member].vector for member in survivors], axis=0, dtype=np.uint64),
            epoch=self.coordinator.epoch, cohort=cohort, survivors=survivors, answers=answers,
            backups={
                member: self.coordinator.deposits[slot][member].backups
                for member in cohort.members
                if member not in survivors
            },
        )  # fmt: skip
        exact = np.sum([self.variants[slot, member] for member in survivors], axis=0, dtype=np.uint64)
        assert np.array_equal(total, exact)
        for member in survivors:
            name = self.coordinator.epoch.members[member]
            self.summed[name].add((self.coordinator.epoch.digest, slot, survivors))

    # --- what never happens

    @invariant()
    def one_of_each_a_slot(self):
        """A hospital says one thing of each kind in a slot."""
        for hospital in self.world.values():
            said = defaultdict(set)
            kinds = defaultdict(set)
            uploads = defaultdict(int)
            for left in hospital.left:
                where = left.epoch, left.slot
                said["tau", where].add(left.tau)
                if left.what == "upload":
                    uploads[where] += 1
                elif left.what == "confirmation":
                    said["confirmed", where].add(left.context)
                elif left.what != "acceptance":
                    said["released", where].add(left.context)
                    kinds[where, left.about].add(left.what)
            assert max(map(len, said.values()), default=0) <= 1
            assert max(map(len, kinds.values()), default=0) <= 1
            assert max(uploads.values(), default=0) <= 1

    @invariant()
    def noise_serves_one_announcement(self):
        """What was drawn for one announcement is in no other."""
        assert max(map(len, self.noise.values()), default=0) <= 1

    @invariant()
    def charged_at_least_as_often_as_released(self):
        """No sum opens with a hospital in it that was not charged for it."""
        for name, hospital in self.world.items():
            sent = sum(left.what == "upload" for left in hospital.left)
            assert hospital.charges >= sent >= len(self.summed[name])

    @invariant()
    def a_restarted_hospital_is_silent(self):
        """Nothing leaves a hospital between its restart and its next epoch."""
        for name, count in self.silent_since.items():
            assert len(self.world[name].left) == count

    def teardown(self):
        """Nobody learns more than one sum of a slot, whatever was said."""
        if self.coordinator is None:
            return
        for slot in (1, 2):
            found = self.knowledge.from_hospitals(self.coordinator, slot)
            assert self.knowledge.is_one_sum(found, self.coordinator.epoch.parameters.quorum), found


def scheduler(hospitals, knowledge):
    """Return the machine with the modules that it works with."""
    return type("Scheduler", (Scheduler,), {"hospitals": hospitals, "knowledge": knowledge})


@pytest.mark.parametrize(
    ("examples", "steps"), [(100, 50), pytest.param(1500, 80, marks=pytest.mark.slow)], ids=["quick", "thorough"]
)
def test_no_schedule_makes_a_hospital_say_two_things(hospitals, knowledge, monkeypatch, examples, steps):
    """Whatever the order of messages, restarts and epochs, the invariants above hold after every step."""
    monkeypatch.setattr(sealing, "AESGCM", Recorded)
    run_state_machine_as_test(
        scheduler(hospitals, knowledge),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


def test_the_schedule_of_an_undisturbed_round_ends_in_a_sum(hospitals, knowledge, monkeypatch):
    """The machine's own rules, in the right order, open a sum: so its invariants are about something."""
    monkeypatch.setattr(sealing, "AESGCM", Recorded)
    machine = scheduler(hospitals, knowledge)()
    machine.first_epoch(under_way=False)
    everybody = frozenset(range(SIZE))
    machine.deposit_everywhere(1)
    machine.announce_everywhere(1, 0)
    machine.upload_everywhere(1)
    machine.confirm_everywhere(1, everybody)
    machine.unmask_everywhere(1, everybody)
    machine.finish()
    assert {name: len(sums) for name, sums in machine.summed.items()} == dict.fromkeys(machine.members.names, 1)
    machine.teardown()


def test_a_restored_snapshot_repeats_no_nonce(hospitals, monkeypatch):
    """A hospital whose whole state is set back seals the same slots again under other keys: its salts are new."""
    monkeypatch.setattr(sealing, "AESGCM", Recorded)
    Recorded.used = set()
    coordinator = hospitals.quick_hospitals(5, "snapshot")
    coordinator.deposit(1)
    hospital = coordinator.at(0)
    hospital.announce(coordinator.announced(1))
    snapshot = copy.copy(hospital)
    snapshot.records, snapshot.own = dict(hospital.records), dict(hospital.own)
    snapshot.rounds, snapshot.masked = dict(hospital.rounds), dict(hospital.masked)
    for each in (hospital, snapshot):
        each.deposit(2)
        each.upload(1, lambda: np.zeros(1, dtype=np.uint64))
    assert len(Recorded.used) == 5 * 4 + 2 * 2 * 4
