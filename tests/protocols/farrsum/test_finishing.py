"""Finishing: a sum, or a clean refusal where an answer is not what it must be."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.errors import Rejected

SURVIVORS = (0, 1, 2, 3)


class Setting:
    """Five hospitals, hospital 4 dropped, everything answered."""

    def __init__(self, hospitals):
        self.coordinator = hospitals.quick_hospitals(5, "finishing")
        self.coordinator.deposit(1)
        for index in range(5):
            self.coordinator.at(index).announce(self.coordinator.announced(1))
        for index in SURVIVORS:
            self.coordinator.upload(1, index, np.full(3, 1 << index, dtype=np.uint64))
        confirmations = self.coordinator.confirmations(1, SURVIVORS, SURVIVORS)
        answers = self.coordinator.answers(1, SURVIVORS, confirmations, range(5))
        self.answers = {keeper: dict(shares) for keeper, shares in answers.items()}
        self.cohort = self.coordinator.at(0).rounds[1]

    def finish(self, answers=None):
        """Finish with the answers given."""
        return self.coordinator.finish(1, SURVIVORS, self.answers if answers is None else answers, self.cohort)


@pytest.fixture
def setting(hospitals):
    """Five hospitals, hospital 4 dropped, everything answered."""
    return Setting(hospitals)


def test_any_t_answers_give_the_sum(setting):
    """Whichever four of five answered, the sum over the survivors comes out, without the check coordinates."""
    for absent in range(5):
        answers = {keeper: shares for keeper, shares in setting.answers.items() if keeper != absent}
        assert setting.finish(answers).tolist() == [15, 15, 15]
    assert setting.finish().tolist() == [15, 15, 15]


def test_one_answer_too_few_gives_nothing(setting):
    """Three answers of five are refused."""
    answers = {keeper: setting.answers[keeper] for keeper in (0, 2, 4)}
    with pytest.raises(Rejected, match="too-few: 3 committee members answered, 4 needed"):
        setting.finish(answers)


def test_an_answer_comes_from_the_committee(setting):
    """Shares of someone who keeps none are refused."""
    with pytest.raises(Rejected, match="wrong-role: an answer of someone outside"):
        setting.finish({**setting.answers, 7: setting.answers[0]})


@pytest.mark.parametrize("length", [0, 19, 21, 1 << 20])
def test_a_key_share_has_one_length(setting, length):
    """A share of any other length is refused, whoever sent it."""
    for keeper in range(5):
        setting.answers[keeper][2] = bytes(length)
        with pytest.raises(Rejected, match="malformed: key share"):
            setting.finish()


def test_an_answer_is_for_the_whole_cohort(setting):
    """An answer that leaves a hospital out, or adds one, is refused."""
    missing = {member: share for member, share in setting.answers[1].items() if member != 3}
    for bad in (missing, {**setting.answers[1], 9: bytes(20)}):
        with pytest.raises(Rejected, match="malformed: one key share for each hospital"):
            setting.finish({**setting.answers, 1: bad})


def test_there_is_a_backup_for_every_dropped_hospital(setting):
    """Without its backup, or with one of a survivor, nothing is computed."""
    from protocols.farrsum.finishing import finish

    total = np.zeros(5, dtype=np.uint64)
    for backups in ({}, {0: bytes(160)}, {4: bytes(160), 0: bytes(160)}):
        with pytest.raises(Rejected, match="malformed: one backup"):
            finish(
                total, epoch=setting.coordinator.epoch, cohort=setting.cohort, survivors=SURVIVORS, backups=backups,
                answers=setting.answers,
            )  # fmt: skip


@pytest.mark.parametrize("member", range(5))
def test_a_wrong_share_is_a_bad_sum(setting, member):
    """A share of twenty other bytes leaves masks behind, and the check coordinates show it."""
    setting.answers[0][member] = bytes(20)
    with pytest.raises(Rejected, match="bad-sum"):
        setting.finish()


@pytest.mark.parametrize("coordinate", [-1, -2])
def test_each_check_coordinate_counts(setting, coordinate):
    """A sum whose count or whose zero is off by one is not released."""
    setting.coordinator.uploads[1][0].vector[coordinate] += np.uint64(1)
    with pytest.raises(Rejected, match="bad-sum"):
        setting.finish()


def test_the_hidden_total_is_left_alone(setting):
    """Taking the masks off works on a copy, so a second try with other answers starts from the same total."""
    from protocols.farrsum.finishing import finish

    total = np.sum([setting.coordinator.uploads[1][index].vector for index in SURVIVORS], axis=0, dtype=np.uint64)
    before = total.copy()
    backups = {4: setting.coordinator.deposits[1][4].backups}
    for _ in range(2):
        found = finish(
            total, epoch=setting.coordinator.epoch, cohort=setting.cohort, survivors=SURVIVORS, backups=backups,
            answers=setting.answers,
        )  # fmt: skip
        assert found.tolist() == [15, 15, 15]
    assert np.array_equal(total, before)
