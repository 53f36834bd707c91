"""Exhaustively, for four and five hospitals: whatever the coordinator shows to whom, at most one sum is learned.

The hospitals' own code answers every question: ``confirm``, ``check_quorum`` and ``release_shares`` run on real keys,
signatures, records and sealed shares. The coordinator holds the keys of c hospitals and may

    announce one of two rounds to each hospital, in the same slot,
    ask each witness to confirm any sets in any order,
    ask each committee member to release shares for any sets in any order, with every signature that it could get,
    and has the vector of every honest hospital, also of those that it calls dropped (late uploads).

More signatures and more shares never tell less, so for each hospital only the largest sets of answers that the code
lets it give, over all orders, are combined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, product

import numpy as np
import pytest

from protocols.errors import Rejected
from protocols.farrsum import confirming, labels, sealing, unmasking
from protocols.farrsum.cohort import context
from protocols.farrsum.confirming import KIND, check_quorum, confirm
from protocols.farrsum.parameters import least_survivors
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.unmasking import release_shares
from protocols.signing import sign

SLOT = 1


class Game:
    """One slot of a small federation, and everything that its hospitals' code can be made to say in it."""

    def __init__(self, hospitals, knowledge, size, *, corrupt, rounds=1, drawn=False):
        self.hospitals, self.knowledge = hospitals, knowledge
        self.corrupt = frozenset(corrupt)
        self.honest = tuple(index for index in range(size) if index not in self.corrupt)
        self.members = hospitals.federation(size)
        # One coordinator for each announced round: the same keys, deposits and entropy, other self-masks.
        self.worlds = [self._world(size, number, drawn=drawn) for number in range(rounds)]
        self.epoch = self.worlds[0].epoch
        self.minimum = least_survivors(self.epoch.parameters, size)
        self.least = self.minimum - self.epoch.parameters.colluders
        self.sets = [frozenset(chosen) for count in range(1, size + 1) for chosen in combinations(range(size), count)]
        self.kinds = self._kinds()
        self.answer = lru_cache(None)(self._answer)
        self.determined = lru_cache(None)(self._determined)

    def _world(self, size, number, *, drawn):
        world = self.hospitals.quick_hospitals(size, f"knowledge/{drawn}")
        if drawn:
            # As a drawn committee has it: t just above the corrupt members, Q as before.
            fewer = replace(world.epoch.parameters, threshold=world.epoch.parameters.colluders + 1)
            world.epoch = replace(world.epoch, parameters=fewer)
        announced = world.announced(SLOT, nonce=bytes([number]))
        for hospital in world.hospitals.values():
            hospital.epoch = world.epoch
        world.deposit(SLOT)
        for index in range(size):
            world.at(index).announce(announced)
            world.upload(SLOT, index, np.zeros(1, dtype=np.uint64))
        return world

    def _kinds(self):
        """Open every sealed share, to tell afterwards by its bytes what a released share is."""
        kinds = {}
        for number, world in enumerate(self.worlds):
            for owner in range(len(self.epoch.members)):
                own = world.at(owner).own[SLOT]
                kinds[own.self_share] = ("self", owner, number)
                kinds[own.slot_share] = ("slot", owner)
                for keeper in set(range(len(self.epoch.members))) - {owner}:
                    for kind, name, bound in (
                        (labels.SELF_SHARE, ("self", owner, number), world.at(0).rounds[SLOT].tau),
                        (labels.SLOT_SHARE, ("slot", owner), self.epoch.digest),
                    ):
                        salt, box = world.sealed(SLOT, owner, keeper, survived=kind == labels.SELF_SHARE)
                        share = sealing.unseal(
                            world.at(keeper).edges[owner].receiving, kind=kind, slot=SLOT, salt=salt, sealed=box,
                            bound_to=bound,
                        )  # fmt: skip
                        kinds[share] = name
        return kinds

    def cohort(self, number):
        """Return a round as its hospitals took it."""
        return self.worlds[number].at(0).rounds[SLOT]

    def signature(self, index, number, survivors):
        """Return a corrupt hospital's signature of anything."""
        name = self.epoch.members[index]
        body = self.epoch.digest + context(survivors, epoch=self.epoch, cohort=self.cohort(number))
        key = self.members.identities[name]
        return sign(key, kind=KIND, signer=name, federation="test", body=body).signature

    def confirmable(self, index, number):
        """Return the largest collections of signatures (by round and set) that a witness gives, over all orders."""
        key = self.members.identities[self.epoch.members[index]]

        def attempt(record, ask):
            asked, survivors = ask
            bound, signed = confirm(
                tuple(survivors), record=record, epoch=self.epoch, cohort=self.cohort(asked), own=index,
                federation="test", key=key,
            )  # fmt: skip
            return bound, signed.signature

        asks = [(asked, survivors) for asked in range(len(self.worlds)) for survivors in self.sets]
        return largest(SlotRecord().announce(self.cohort(number).tau), asks, attempt)

    def _answer(self, keeper, bound, record, ask, signatures):
        """Ask a committee member once; return its new record and what left it, or None where it refused.

        ``bound`` tells to which round each honest hospital was bound: others have no self-mask in the round asked.
        """
        asked, survivors = ask
        world, cohort = self.worlds[asked], self.cohort(asked)
        boxes = {}
        for member in set(cohort.members) - {keeper}:
            exists = member not in survivors or member in self.corrupt or bound[member] == asked
            boxes[member] = (
                world.sealed(SLOT, member, keeper, survived=member in survivors) if exists else (bytes(16), bytes(36))
            )
        own = world.at(keeper).own[SLOT]
        try:
            after, shares = release_shares(
                tuple(survivors), record=record, epoch=self.epoch, cohort=cohort, own=keeper,
                edges=world.at(keeper).edges, own_shares=own, confirmations=dict(signatures), sealed=boxes,
                roster=self.members.roster,
            )  # fmt: skip
        except Rejected:
            return None
        return after, frozenset(self.kinds[share] for share in shares.values())

    def releasable(self, keeper, bound, signed):
        """Return the largest collections of shares that a committee member gives, over all orders."""

        def attempt(record, ask):
            found = self.answer(keeper, bound, record, ask, signed[ask])
            if found is None:
                raise Rejected("slot-used", "asked")
            return found

        start = SlotRecord().announce(self.cohort(bound[keeper]).tau)
        return largest(start, list(signed), attempt)

    def learned(self, bound, released):
        """Return what follows from the shares that left the honest committee members."""
        self_shares = {(owner, bound[owner]): set() for owner in self.honest}
        slot_shares = {owner: set() for owner in self.honest}
        for keeper, shares in released.items():
            for kind, owner, *number in shares:
                if owner in self.corrupt:
                    continue
                if kind == "slot":
                    slot_shares[owner].add(keeper)
                elif number[0] == bound[owner]:
                    self_shares[owner, bound[owner]].add(keeper)
        threshold = self.epoch.parameters.threshold
        masks = self.knowledge.holders(self_shares, threshold, self.corrupt)
        secrets = self.knowledge.holders(slot_shares, threshold, self.corrupt)
        return self.determined(tuple(bound.items()), frozenset(masks), frozenset(secrets))

    def _determined(self, bound, masks, secrets):
        hidden = [
            self.knowledge.Hidden(hospital=owner, tau=number, cohort=frozenset(self.cohort(number).members))
            for owner, number in bound
        ]
        return self.knowledge.determined(
            hidden, honest=self.honest, committee=self.epoch.committee, self_masks=masks, slot_secrets=secrets
        )

    def violations(self):
        """Play every game; return how many sums were opened, and the first play that told too much."""
        opened = 0
        confirmable = {
            (index, number): self.confirmable(index, number)
            for index in self.honest
            for number in range(len(self.worlds))
        }
        forged = {
            (asked, survivors): [(index, self.signature(index, asked, survivors)) for index in sorted(self.corrupt)]
            for asked in range(len(self.worlds))
            for survivors in self.sets
        }
        for numbers in product(range(len(self.worlds)), repeat=len(self.honest)):
            bound = Frozen(zip(self.honest, numbers, strict=True))
            # Sets that no honest witness signed are asked as well where any member answers for them.
            alone = {ask: tuple(given) for ask, given in forged.items()}
            bare = {ask for keeper in self.honest for each in self.releasable(keeper, bound, alone) for ask, _ in each}
            for views in product(*(confirmable[owner, bound[owner]] for owner in self.honest)):
                asks = {ask for view in views for ask, _ in view} | bare
                signed = {
                    ask: tuple(forged[ask])
                    + tuple(
                        (owner, given)
                        for owner, view in zip(self.honest, views, strict=True)
                        for what, given in view
                        if what == ask
                    )
                    for ask in asks
                }
                answers = [self.releasable(keeper, bound, signed) for keeper in self.honest]
                for given in product(*answers):
                    released = {
                        keeper: frozenset().union(*(shares for _, shares in each))
                        for keeper, each in zip(self.honest, given, strict=True)
                    }
                    found = self.learned(bound, released)
                    opened += bool(found)
                    if not self.knowledge.is_one_sum(found, self.least):
                        return opened, (dict(bound), views, released, found)
        return opened, None


class Frozen(dict):
    """A mapping that may be a key."""

    def __hash__(self):
        """Hash the items."""
        return hash(tuple(self.items()))


def largest(start: SlotRecord, asks: list, attempt: Callable) -> list[frozenset]:
    """Ask in every order; return the sets of (question, answer) that are contained in no other."""
    seen, waiting, ends = set(), [(start, frozenset())], set()
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        record, given = state
        ends.add(given)
        for ask in asks:
            try:
                after, answer = attempt(record, ask)
            except Rejected:
                continue
            waiting.append((after, given | {(ask, answer)}))
    return [one for one in ends if not any(one < other for other in ends)]


@pytest.fixture
def quick_quorum(monkeypatch):
    """Let the real check run once for each context and set of signatures: thousands of plays ask the same."""
    known = {}

    def remembered(confirmations, named, **rest):
        key = named, tuple(sorted(confirmations.items()))
        if key not in known:
            try:
                check_quorum(confirmations, named, **rest)
                known[key] = None
            except Rejected as refused:
                known[key] = refused
        if known[key] is not None:
            raise known[key]

    monkeypatch.setattr(unmasking, "check_quorum", remembered)


@pytest.mark.usefixtures("quick_quorum")
@pytest.mark.parametrize("drawn", [False, True], ids=["everybody", "drawn"])
@pytest.mark.parametrize(("size", "corrupt"), [(4, (3,)), (4, (0,)), (5, (4,)), (5, (2,))])
def test_what_leaves_honest_hospitals_gives_at_most_one_sum(hospitals, knowledge, size, corrupt, drawn):
    """One announced round, every way to ask: no play tells more than one sum over h honest, and some tell one."""
    game = Game(hospitals, knowledge, size, corrupt=corrupt, drawn=drawn)
    opened, violation = game.violations()
    assert violation is None
    assert opened > 0


@pytest.mark.usefixtures("quick_quorum")
@pytest.mark.parametrize(
    ("size", "drawn"), [(4, False), (4, True), (5, False), pytest.param(5, True, marks=pytest.mark.slow)]
)
def test_two_announced_rounds_in_one_slot_give_at_most_one_sum(hospitals, knowledge, size, drawn):
    """Hospitals split between two announcements in every way: still at most one sum over h honest in the slot."""
    game = Game(hospitals, knowledge, size, corrupt=(size - 1,), rounds=2, drawn=drawn)
    opened, violation = game.violations()
    assert violation is None
    assert opened > 0


@pytest.mark.parametrize("size", [4, 5])
def test_the_tracker_finds_what_a_missing_quorum_gives_away(hospitals, knowledge, monkeypatch, size):
    """Without the quorum check, a drawn committee opens more than one sum: the tracker says so."""
    monkeypatch.setattr(unmasking, "check_quorum", lambda *_, **__: None)
    _, violation = Game(hospitals, knowledge, size, corrupt=(size - 1,), drawn=True).violations()
    assert violation is not None


@pytest.mark.usefixtures("quick_quorum")
@pytest.mark.parametrize("size", [4, 5])
def test_the_tracker_finds_what_a_second_confirmation_gives_away(hospitals, knowledge, monkeypatch, size):
    """Where witnesses sign more than one survivor set, a drawn committee opens more than one sum."""
    monkeypatch.setattr(SlotRecord, "confirm", lambda self, _, context: replace(self, confirmed=context))
    _, violation = Game(hospitals, knowledge, size, corrupt=(size - 1,), drawn=True).violations()
    assert violation is not None


@pytest.mark.usefixtures("quick_quorum")
@pytest.mark.parametrize("size", [4, 5])
def test_the_tracker_finds_what_a_second_release_gives_away(hospitals, knowledge, monkeypatch, size):
    """Where members also release for more than one set, even a committee of everybody opens single hospitals."""
    monkeypatch.setattr(SlotRecord, "confirm", lambda self, _, context: replace(self, confirmed=context))
    monkeypatch.setattr(SlotRecord, "release", lambda self, _, context: replace(self, released=context))
    _, violation = Game(hospitals, knowledge, size, corrupt=(size - 1,)).violations()
    assert violation is not None


@pytest.mark.usefixtures("quick_quorum")
@pytest.mark.parametrize("size", [4, 5])
def test_the_tracker_finds_what_a_small_survivor_set_gives_away(hospitals, knowledge, monkeypatch, size):
    """Without the check of m, a sum over fewer than h honest hospitals opens."""
    for module in (confirming, unmasking):
        monkeypatch.setattr(module, "check_survivors", lambda survivors, **_: tuple(sorted(survivors)))
    _, violation = Game(hospitals, knowledge, size, corrupt=(size - 1,)).violations()
    assert violation is not None


def test_split_views_need_the_quorum_even_where_everybody_is_in_the_committee(hospitals, knowledge):
    """Ten hospitals, no quorum check: members shown different sets open a sum over four honest, where h is five."""
    coordinator = hospitals.quick_hospitals(10, "split views")
    coordinator.deposit(SLOT)
    for index in range(10):
        coordinator.at(index).announce(coordinator.announced(SLOT))
        coordinator.upload(SLOT, index, np.zeros(1, dtype=np.uint64))
    # Each honest member is shown two hospitals as dropped; three of them are dropped for four members each.
    absent = [(0, 1), (0, 1), (0, 1), (0, 2), (1, 2), (2, 5), (2, 6)]

    def ask():
        for keeper, dropped in enumerate(absent):
            survivors = tuple(index for index in range(10) if index not in dropped)
            boxes = coordinator.sealed_for(SLOT, keeper, survivors, coordinator.at(keeper).rounds[SLOT])
            coordinator.at(keeper).unmask(SLOT, survivors, {}, boxes)

    with pytest.raises(Rejected, match="bad-quorum: 0 confirmations"):
        ask()
    assert knowledge.from_hospitals(coordinator, SLOT, (7, 8, 9)) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unmasking, "check_quorum", lambda *_, **__: None)
        ask()
    found = knowledge.from_hospitals(coordinator, SLOT, (7, 8, 9))
    assert len(found) == 1
    assert len(found[0]) == 4
    assert not knowledge.is_one_sum(found, 5)


def test_the_tracker_knows_its_algebra(knowledge):
    """Nothing is known of masked vectors; all self-masks give the sum; an opened pair splits it; one row gives one."""
    everybody = frozenset(range(4))
    hidden = [knowledge.Hidden(hospital=index, tau=0, cohort=everybody) for index in range(3)]

    def found(self_masks, slot_secrets=()):
        return knowledge.determined(
            hidden, honest=range(3), committee=range(4), self_masks={(index, 0) for index in self_masks},
            slot_secrets=slot_secrets,
        )  # fmt: skip

    assert found(()) == []
    assert found((0, 1)) == []
    assert [sorted(each) for each in found((0, 1, 2))] == [[0, 1, 2]]
    assert [sorted(each) for each in found((0, 1), (2,))] == [[0, 1]]
    assert len(found((0, 1, 2), (2,))) == 2
    assert not knowledge.is_one_sum(found((0, 1, 2), (2,)), 1)
    assert not knowledge.is_one_sum(found((0,), (0,)), 2)
    assert knowledge.is_one_sum([], 3)
