"""Unmasking: of each hospital one share, of the kind that a confirmed survivor set calls for."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.errors import Rejected
from protocols.farrsum import field, shamir

SURVIVORS = (0, 1, 2, 3)
"""Hospital 4 deposited and did not upload, or uploaded late."""


class Setting:
    """Five hospitals after a confirmed round, hospital 4 dropped."""

    def __init__(self, hospitals):
        self.coordinator = hospitals.quick_hospitals(5, "unmasking")
        self.coordinator.deposit(1)
        self.coordinator.deposit(2)
        self.announced = self.coordinator.announced(1)
        for index in range(5):
            self.coordinator.at(index).announce(self.announced)
            self.coordinator.upload(1, index, np.zeros(2, dtype=np.uint64))
        self.confirmations = self.coordinator.confirmations(1, SURVIVORS, range(4))

    def sealed(self, keeper, survivors=SURVIVORS):
        """Return the right boxes for a keeper."""
        return self.coordinator.sealed_for(1, keeper, survivors, self.coordinator.at(keeper).rounds[1])

    def unmask(self, keeper=0, survivors=SURVIVORS, confirmations=None, sealed=None):
        """Ask a keeper for its shares."""
        boxes = self.sealed(keeper) if sealed is None else sealed
        known = self.confirmations if confirmations is None else confirmations
        return self.coordinator.at(keeper).unmask(1, survivors, known, boxes)


@pytest.fixture
def setting(hospitals):
    """Five hospitals after a confirmed round, hospital 4 dropped."""
    return Setting(hospitals)


def test_a_keeper_releases_one_share_of_each(setting):
    """Whichever four of the five keepers answer, their shares open one and the same secret of each hospital."""
    answers = [setting.unmask(keeper) for keeper in range(5)]
    assert all(tuple(answer) == (0, 1, 2, 3, 4) for answer in answers)
    for member in range(5):
        shares = np.array([field.from_bytes(answer[member]) for answer in answers])
        opened = set()
        for absent in range(5):
            keepers = [keeper for keeper in range(5) if keeper != absent]
            weights = shamir.weights([keeper + 1 for keeper in keepers])
            opened.add(tuple(shamir.reconstruct(weights, shares[keepers]).tolist()))
        assert len(opened) == 1


def test_the_dropped_hospital_itself_gives_its_slot_share(setting):
    """A late hospital that is named as dropped releases its own share of the slot's secret, never of its self-mask."""
    own = setting.coordinator.at(4).own[1]
    assert setting.unmask(4)[4] == own.slot_share != own.self_share
    assert setting.unmask(0)[0] == setting.coordinator.at(0).own[1].self_share


def test_asked_again_a_keeper_answers_alike(setting):
    """The same request gets the same shares."""
    assert setting.unmask() == setting.unmask()


def test_another_set_is_refused_although_it_is_confirmed(setting, monkeypatch):
    """Even if a quorum could confirm a second set, a keeper that released for one releases for no other."""
    from protocols.farrsum import unmasking

    setting.unmask()
    monkeypatch.setattr(unmasking, "check_quorum", lambda *_, **__: None)
    everybody = (0, 1, 2, 3, 4)
    with pytest.raises(Rejected, match="slot-used: shares were released for another"):
        setting.unmask(survivors=everybody, sealed=setting.sealed(0, everybody))


def test_nothing_is_released_without_a_quorum(setting):
    """Three confirmations of five open nothing."""
    few = dict(list(setting.confirmations.items())[:3])
    with pytest.raises(Rejected, match="bad-quorum"):
        setting.unmask(confirmations=few)


def test_a_quorum_for_another_set_opens_nothing(setting):
    """Confirmations of one survivor set do not serve another."""
    everybody = (0, 1, 2, 3, 4)
    with pytest.raises(Rejected, match="bad-signature"):
        setting.unmask(survivors=everybody, sealed=setting.sealed(0, everybody))


def test_too_small_a_set_is_refused_before_anything_is_opened(setting):
    """The minimum m holds when shares are released as well as when survivors are confirmed."""
    with pytest.raises(Rejected, match="too-few: 3 survivors, 4 needed"):
        setting.unmask(survivors=(0, 1, 2))


def test_a_round_that_was_not_accepted_is_not_unmasked(setting, hospitals):
    """A keeper that never accepted the announcement releases nothing for it, however many confirmed."""
    keeper = setting.coordinator.at(0)
    keeper.records.clear()
    with pytest.raises(Rejected, match="unknown-round: unmask"):
        setting.unmask()


def test_only_the_committee_unmasks(setting, hospitals):
    """A hospital that was not drawn into the committee holds no shares and says so."""
    from dataclasses import replace

    keeper = setting.coordinator.at(0)
    keeper.epoch = replace(setting.coordinator.epoch, committee=(1, 2, 3, 4))
    with pytest.raises(Rejected, match="wrong-role: not in the committee"):
        setting.unmask()


def test_a_keeper_is_asked_for_the_whole_cohort(setting):
    """A request that leaves a hospital out, or adds one, is refused."""
    boxes = setting.sealed(0)
    for bad in ({key: boxes[key] for key in (1, 2, 3)}, {**boxes, 0: boxes[1]}, {**boxes, 9: boxes[1]}):
        with pytest.raises(Rejected, match="malformed: one sealed share for each other"):
            setting.unmask(sealed=bad)


def test_a_share_of_the_wrong_kind_does_not_open(setting):
    """A survivor's slot share in place of its self-mask's, and the reverse for a dropped hospital, are refused."""
    boxes = setting.sealed(0)
    slot_share = setting.coordinator.sealed(1, 1, 0, survived=False)
    self_share = setting.coordinator.sealed(1, 4, 0, survived=True)
    for bad in ({**boxes, 1: slot_share}, {**boxes, 4: self_share}):
        with pytest.raises(Rejected, match="bad-share"):
            setting.unmask(sealed=bad)


def test_a_share_of_another_slot_or_hospital_or_keeper_does_not_open(setting):
    """Every box is for one slot, one hospital and one keeper."""
    boxes = setting.sealed(0)
    for bad in (
        {**boxes, 4: setting.coordinator.sealed(2, 4, 0, survived=False)},
        {**boxes, 1: boxes[2]},
        {**boxes, 1: setting.coordinator.sealed(1, 1, 2, survived=True)},
    ):
        with pytest.raises(Rejected, match="bad-share"):
            setting.unmask(sealed=bad)


def test_a_refusal_binds_nothing(setting):
    """After a request with a bad box, the right one is still answered."""
    boxes = setting.sealed(0)
    with pytest.raises(Rejected, match="bad-share"):
        setting.unmask(sealed={**boxes, 1: boxes[2]})
    assert setting.coordinator.at(0).records[setting.coordinator.epoch.digest, 1].released is None
    assert setting.unmask()


def test_a_survivor_that_never_uploaded_says_so(hospitals):
    """A keeper named as a survivor without having uploaded refuses: there is no self-mask of its own."""
    coordinator = hospitals.quick_hospitals(5, "ghost")
    coordinator.deposit(1)
    for index in range(5):
        coordinator.at(index).announce(coordinator.announced(1))
    for index in range(1, 5):
        coordinator.upload(1, index, np.zeros(2, dtype=np.uint64))
    everybody = tuple(range(5))
    confirmations = coordinator.confirmations(1, everybody, everybody)
    keeper = coordinator.at(0)
    sealed = coordinator.sealed_for(1, 0, everybody, keeper.rounds[1])
    with pytest.raises(Rejected, match="bad-survivors: named a survivor without having uploaded"):
        keeper.unmask(1, everybody, confirmations, sealed)
