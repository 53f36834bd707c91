from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.answers.quantity import Quantity, fieller
from queries.errors import PlanError
from queries.series import Figure, Verdict, compare, compare_columns, figure

figures = st.builds(
    lambda value, below, above: Figure(value=value, low=value - below, high=value + above),
    st.floats(-1e4, 1e4),
    st.floats(0, 1e3),
    st.floats(0, 1e3),
)


def test_the_interval_of_a_difference_adds_the_variances():
    """120 (variance 30) after 100 (variance 20): 20 +- 1.96 sqrt(50)."""
    found = compare(figure(100, 12.0, 8.0), figure(120, 30.0))
    assert found.change == 20
    assert (found.low, found.high) == pytest.approx((20 - 1.959964 * math.sqrt(50), 20 + 1.959964 * math.sqrt(50)))
    assert found.verdict is Verdict.RISE


@pytest.mark.parametrize(
    ("after", "verdict"),
    [(113.8, "no detectable change"), (113.9, "rise"), (86.2, "no detectable change"), (86.1, "fall")],
)
def test_a_change_inside_its_interval_is_none(after, verdict):
    """With variance 25 each, sd sqrt(50) of the difference, 13.86 is the least detectable change."""
    assert compare(figure(100, 25.0), figure(after, 25.0)).verdict == verdict


def test_without_a_change_one_comparison_in_twenty_finds_one():
    """Two releases of one figure: 5 % of verdicts are wrong, half of them rises; noise of unequal size."""
    rng = np.random.default_rng(1)
    before, after = 500 + rng.normal(0, 10, 20_000), 500 + rng.normal(0, 3, 20_000)
    found = compare_columns([figure(x, 100.0) for x in before], [figure(x, 9.0) for x in after])
    verdicts = [change.verdict for change in found]
    assert verdicts.count(Verdict.RISE) / 20_000 == pytest.approx(0.025, abs=0.004)
    assert verdicts.count(Verdict.FALL) / 20_000 == pytest.approx(0.025, abs=0.004)


def test_the_interval_covers_the_true_difference():
    """In 95 % of releases, with noise and sampling error together."""
    rng = np.random.default_rng(2)
    before, after = (rng.poisson(mean, 20_000) + rng.normal(0, 8, 20_000) for mean in (300, 340))
    found = compare_columns([figure(x, 64.0, 300.0) for x in before], [figure(x, 64.0, 340.0) for x in after])
    assert np.mean([change.low <= 40 <= change.high for change in found]) == pytest.approx(0.95, abs=0.006)


def test_a_column_read_as_a_whole_errs_once_in_twenty():
    """Of 40 unchanged cells some are found to change in 87 % of columns one by one, in 5 % jointly."""
    rng = np.random.default_rng(3)
    wrong = {False: 0, True: 0}
    for _ in range(600):
        before, after = ([figure(x, 4.0) for x in rng.normal(50, 2, 40)] for _ in range(2))
        for jointly in wrong:
            changes = compare_columns(before, after, jointly=jointly)
            wrong[jointly] += any(change.verdict is not Verdict.NONE for change in changes)
    assert wrong[True] / 600 == pytest.approx(0.05, abs=0.03)
    assert wrong[False] / 600 > 0.8


@given(one=figures, two=figures)
def test_the_way_back_is_the_mirror_image(one, two):
    """Exchanging the figures changes the sign of the change and of its interval."""
    there, back = compare(one, two), compare(two, one)
    assert (back.change, back.low, back.high) == pytest.approx((-there.change, -there.high, -there.low))
    mirrored = {Verdict.RISE: Verdict.FALL, Verdict.FALL: Verdict.RISE, Verdict.NONE: Verdict.NONE}
    assert back.verdict is mirrored[there.verdict]


@given(one=figures, two=figures)
def test_the_verdict_is_what_the_interval_says(one, two):
    """No detectable change exactly where the interval holds zero, and the change lies inside its interval."""
    found = compare(one, two)
    assert found.low <= found.change <= found.high
    assert (found.verdict is Verdict.NONE) == (found.low <= 0 <= found.high)


def test_a_skewed_interval_keeps_its_long_side():
    """A figure's long upper arm widens the difference above when it comes last, below when it came first."""
    skewed, plain = Figure(value=2.0, low=1.5, high=5.0), Figure(value=2.0, low=1.9, high=2.1)
    last, first = compare(plain, skewed), compare(skewed, plain)
    assert (last.high, -last.low) == pytest.approx((math.hypot(3.0, 0.1), math.hypot(0.5, 0.1)))
    assert (first.high, -first.low) == pytest.approx((math.hypot(0.5, 0.1), math.hypot(3.0, 0.1)))


def test_ratios_are_compared_on_the_logarithmic_scale():
    """Odds ratio 2 (1 to 4), then 6 (3 to 12): a threefold rise, from 3 / 2^sqrt(2) to 3 x 2^sqrt(2)."""
    found = compare(Figure(value=2, low=1, high=4), Figure(value=6, low=3, high=12), scale="ratio")
    assert (found.change, found.low, found.high) == pytest.approx((3.0, 3 / 2 ** math.sqrt(2), 3 * 2 ** math.sqrt(2)))
    assert found.verdict is Verdict.RISE


def test_the_ratio_of_precise_figures_has_fiellers_interval():
    """Where errors are small, the logarithmic interval and Fieller's agree."""
    found = compare(figure(1000.0, 100.0), figure(1100.0, 100.0), scale="ratio")
    top, bottom = (
        Quantity(value=np.array([value]), slopes={place: np.ones(1)}, variances={place: 100.0})
        for place, value in enumerate((1100.0, 1000.0))
    )
    low, high = fieller(top, bottom, 1.959964)
    assert (found.low, found.high) == pytest.approx((low[0], high[0]), rel=1e-3)


@pytest.mark.parametrize("before", [Figure(value=1, low=-1, high=3), Figure(value=-1, low=-2, high=0)])
def test_a_ratio_whose_interval_reaches_zero_says_nothing(before):
    """Its interval is everything, and no change is detectable."""
    found = compare(before, figure(100.0, 1.0), scale="ratio")
    assert (found.low, found.high, found.verdict) == (0.0, math.inf, Verdict.NONE)


@pytest.mark.parametrize("scale", ["difference", "ratio"])
def test_a_figure_that_is_not_defined_has_no_detectable_change(scale):
    """NaN (a ratio without a denominator) and unbounded intervals are no error, and no change."""
    undefined = Figure(value=math.nan, low=-math.inf, high=math.inf)
    assert compare(undefined, figure(5.0, 1.0), scale=scale).verdict is Verdict.NONE
    unbounded = Figure(value=5.0, low=-math.inf, high=math.inf)
    assert compare(figure(500.0, 1.0), unbounded, scale=scale).verdict is Verdict.NONE


def test_what_cannot_be_compared_is_refused():
    """Columns of other groups, a figure outside its interval, variances and confidences that are none."""
    one = figure(5.0, 1.0)
    with pytest.raises(PlanError, match="different cells"):
        compare_columns([one], [one, one])
    with pytest.raises(PlanError, match="outside its interval"):
        compare(one, Figure(value=-1.0, low=0.0, high=2.0))
    with pytest.raises(PlanError, match="variance"):
        figure(5.0, -1.0)
    with pytest.raises(PlanError, match="confidence"):
        figure(5.0, 1.0, confidence=1.0)
