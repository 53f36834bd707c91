"""What a round of training costs a patient, and how its answer is shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import sqrt

import numpy as np
import pytest

from queries.answers.estimates import estimates, expected_blocks
from queries.answers.foresight import foresee
from queries.asked.plan import ONE
from queries.asked.view import AggregateTerm, AxisTerm, Output, View, check_view
from queries.cost.measurement import calibrate, check_headroom, clamp_of
from queries.cost.sensitivity import of_tally
from queries.cost.tally import StepSum, UpdateSum, tally
from queries.errors import PrivacyError
from queries.models.clipping import BOUND, BOUND_LOSS, BOUND_UPDATE, MOST_LOSS
from tests.queries.steps import APP, LOGISTIC, NETWORK, round_of


def test_an_update_is_charged_twice_its_bound(wide):
    """A patient may turn a whole update round: the L2 sensitivity is 2C at each of the patient's hospitals."""
    (one,) = of_tally(tally(round_of(wide.digest, APP), wide), 1)
    assert one.l2_squared == (2 * BOUND_UPDATE) ** 2
    assert one.linf == 2 * BOUND_UPDATE
    assert one.l1 - 1 < 2 * BOUND_UPDATE * sqrt(APP.entries) <= one.l1
    (two,) = of_tally(tally(round_of(wide.digest, APP), wide), 2)
    assert two.l2_squared == (4 * BOUND_UPDATE) ** 2
    assert "2 hospitals" in two.worst_case


def test_each_sum_is_charged_what_its_worst_patient_adds(wide):
    """Clips for gradients and information, both numbers of a loss, a patient's rows for grades; times hospitals."""
    shape = tally(round_of(wide.digest, LOGISTIC), wide)
    for sites in (1, 3):
        gradient, information, loss, grades = of_tally(shape, sites)
        assert gradient.l2_squared == information.l2_squared == (BOUND * sites) ** 2
        assert loss.l2_squared == 2 * (BOUND_LOSS * sites) ** 2
        assert loss.l1 == 2 * BOUND_LOSS * sites
        assert grades.l2_squared == (5 * sites) ** 2
        assert grades.l1 == grades.linf == 5 * sites
        for each, width in ((gradient, 5), (information, 15)):
            assert each.l1 - 1 < BOUND * sites * sqrt(width) <= each.l1
            assert each.linf == BOUND * sites


def test_the_loss_is_divided_by_the_weights_of_the_sums(wide):
    """Of a round's rho, each sum gets its weight's share, and the whole is within the price."""
    shape = tally(round_of(wide.digest, LOGISTIC), wide)
    rho = Fraction(1, 500)
    measured = calibrate(shape, of_tally(shape, 1), rho, 3)
    assert measured.rho <= rho
    whole = sum(LOGISTIC.weights)
    for noise, weight in zip(measured.blocks, LOGISTIC.weights, strict=True):
        assert noise.rho <= rho * weight / whole
        assert noise.rho >= Fraction(99, 100) * rho * weight / whole


def test_the_clip_does_not_change_the_noise_in_whole_units(wide):
    """Units follow the clip, so the noise in real units is in proportion to it."""
    one, ten = (tally(round_of(wide.digest, replace(LOGISTIC, clip=clip)), wide) for clip in (ONE, 10 * ONE))
    assert of_tally(one, 1) == of_tally(ten, 1)


def test_an_entry_of_a_step_stays_within_rows_times_the_bound(wide):
    """A hospital's table has at most so many patients; an app's update has its own bound."""
    assert clamp_of(StepSum(sum="gradient", width=3, bound=BOUND), 1000) == 1000 * BOUND
    assert clamp_of(UpdateSum(width=3, bound=BOUND_UPDATE), 1000) == BOUND_UPDATE
    shape = tally(round_of(wide.digest, LOGISTIC), wide)
    measured = calibrate(shape, of_tally(shape, 1), Fraction(1, 500), 3)
    check_headroom(shape, measured, 10_000, 1_000_000)
    with pytest.raises(PrivacyError):
        check_headroom(shape, measured, 10_000, 1 << 37)


def view_of() -> View:
    """Return the view that shows a round's first sums."""
    term = AggregateTerm(aggregate=0)
    return View(columns=(Output(name="name", expression=AxisTerm()), Output(name="sum", expression=term)))


@pytest.mark.parametrize("step", [LOGISTIC, NETWORK, APP], ids=["logistic", "network", "app"])
def test_a_round_can_be_shown(wide, step):
    """Its first sums in real units, each with the interval of the noise and a name; nothing is foreseen."""
    plan = round_of(wide.digest, step)
    shape = tally(plan, wide)
    check_view(view_of(), plan, wide)
    measured = calibrate(shape, of_tally(shape, 1), Fraction(1, 500), 3)
    assert all(not block.any() for block in expected_blocks(shape, wide, 100.0))
    assert foresee(plan, view_of(), wide, measured, contributors=3)[1].half is None
    blocks = tuple(np.full(size, 7.0) for size in shape.sizes)
    found = estimates(shape, wide, blocks, [float(noise.variance(3)) for noise in measured.blocks])[-1]
    read = found.of(AggregateTerm(part=0, aggregate=0))
    assert len(read.value) == min(shape.entries, 256)
    assert (read.low < read.value).all()
    assert (read.value < read.high).all()
    if step is LOGISTIC:
        units = [3 / BOUND] * 5 + [2 / BOUND] * 15 + [1 / BOUND_LOSS, MOST_LOSS / BOUND_LOSS] + [1.0] * 8
        np.testing.assert_allclose(read.value, 7 * np.array(units))
