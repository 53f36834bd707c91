"""Survival from exits: the arithmetic held against statsmodels, its gradients and corrections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from queries.agreed.catalogue import Label, NumberColumn
from queries.survival.curve import NORMAL_95, curve
from queries.survival.exits import Exits, ties_of
from queries.survival.hazards import hazards
from queries.survival.logrank import logrank
from queries.survival.median import falling, interval, median
from queries.survival.score import score
from queries.survival.times import FOR_COMPARISONS, FOR_CURVES, default_bands, ends_of, widths_of

LAST = 30
DESIGN = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def patients(count, seed, *, effects=(0.7, -0.4)):
    """Return days (whole, 0 to LAST), events and groups 0 to 3 whose hazards have these log ratios."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 4, count)
    until = rng.exponential(20 * np.exp(-DESIGN[group] @ effects))
    left = rng.uniform(5, 40, count)
    days = np.minimum(np.minimum(until, left).astype(int), LAST)
    return days, (until <= left) & (until < LAST), group


def exits(days, event, group, *, starts=tuple(range(LAST + 1)), groups=4, variance=0.0, strata=None):
    """Return exits of shape (strata, bands, groups)."""
    band = np.searchsorted(starts, days, side="right") - 1
    stratum = np.zeros(len(days), dtype=int) if strata is None else strata
    counts = np.zeros((2, stratum.max() + 1, len(starts), groups))
    np.add.at(counts, (event.astype(int), stratum, band, group), 1)
    widths = np.diff(np.append(starts, LAST + 1)).astype(float)
    return Exits(events=counts[1], censored=counts[0], variance=variance, ties=ties_of(widths))


def one(made):
    """Return the same exits with all groups together, as a curve takes them: (cells, 1, bands, 1)."""
    events, censored = (array.sum(axis=-1)[:, None, :, None] for array in (made.events, made.censored))
    return Exits(events=events, censored=censored, variance=made.variance, ties=made.ties)


def noisy(made, variance, rng, cells=1):
    """Return so many releases of exits."""
    shape = (cells, *made.events.shape[1:])
    return Exits(
        events=made.events + np.sqrt(variance) * rng.standard_normal(shape),
        censored=made.censored + np.sqrt(variance) * rng.standard_normal(shape),
        variance=variance,
        ties=made.ties,
    )


# --- without noise


def test_with_a_band_for_each_day_the_curve_is_kaplan_and_meiers():
    """Estimates and Greenwood's variance as statsmodels has them."""
    days, event, group = patients(400, 1)
    found = curve(one(exits(days, event, group)))
    fitted = SurvfuncRight(days, event)
    known = fitted.surv_times < LAST
    at = np.array(fitted.surv_times)[known]
    assert found.survival[0, at] == pytest.approx(fitted.surv_prob[known])
    assert np.sqrt(found.greenwood[0, at]) == pytest.approx(fitted.surv_prob_se[known])


@pytest.mark.parametrize("groups", [2, 4])
def test_with_a_band_for_each_day_the_test_is_the_log_rank_test(groups):
    """Chi-square, degrees of freedom and p-value, as statsmodels has them."""
    days, event, group = patients(400, 2)
    found = logrank(exits(days, event, group % groups, groups=groups))
    expected = survdiff(days, event.astype(int), group % groups)
    assert found.degrees == groups - 1
    assert (found.statistic, found.p) == pytest.approx(expected)


@pytest.mark.parametrize("stratified", [False, True])
def test_with_a_band_for_each_day_hazard_ratios_are_coxs(stratified):
    """Coefficients and standard errors of statsmodels with Breslow's ties, plain and within strata."""
    days, event, group = patients(600, 3)
    strata = np.random.default_rng(4).integers(0, 3, 600) if stratified else None
    found = hazards(exits(days, event, group, strata=strata), DESIGN)
    expected = PHReg(days, DESIGN[group], status=event.astype(int), strata=strata, ties="breslow").fit()
    assert found.value == pytest.approx(expected.params, abs=1e-6)
    assert np.sqrt(found.sampling) == pytest.approx(expected.bse, rel=1e-5)
    assert (found.noise == 0).all()


def test_wide_bands_stay_close():
    """Bands of five days move survival by less than 0.01 and log hazard ratios by less than 0.05."""
    days, event, group = patients(5000, 5)
    fine, coarse = (exits(days, event, group, starts=tuple(range(0, LAST + 1, width))) for width in (1, 5))
    at_ends = curve(one(fine)).survival[0, 4 : LAST - 1 : 5]
    assert curve(one(coarse)).survival[0, : len(at_ends)] == pytest.approx(at_ends, abs=0.01)
    assert hazards(coarse, DESIGN).value == pytest.approx(hazards(fine, DESIGN).value, abs=0.05)


def test_at_constant_hazards_the_exposure_of_wide_bands_is_right():
    """A third dead and a quarter lost in a band: 0.008 off of all who enter, where half of the leavers are 0.03 off."""
    rate = 0.4 + 0.3
    gone = 1 - np.exp(-rate)
    events, censored = gone * np.array([0.4, 0.0]) / rate, np.array([gone * 0.3 / rate, 1 - gone])
    made = Exits(
        events=events[:, None] * 1e6, censored=censored[:, None] * 1e6, variance=0.0, ties=np.array([0.5, 0.5])
    )
    assert made.exposed().number[0, 0] / 1e6 == pytest.approx(gone / rate, abs=0.009)
    assert abs(1 - gone / 2 - gone / rate) > 0.025


def test_the_median_is_where_half_are_left():
    """Between ends of bands survival falls evenly; a curve that does not come to a half has no median."""
    ends = np.array([10.0, 20.0, 30.0])
    survival = np.array([[0.8, 0.4, 0.3], [0.9, 0.8, 0.7], [0.2, 0.1, 0.1], [0.9, 0.5, 0.5]])
    assert median(survival, ends, 0.0) == pytest.approx([17.5, np.nan, 6.25, 20.0], nan_ok=True)
    low, high = interval(survival - 0.1, survival + 0.25, ends, 0.0)
    assert low == pytest.approx([15.0, np.nan, 5.0 / 0.9, 10 + 10 * 0.3 / 0.4], nan_ok=True)
    assert high == pytest.approx([np.nan, np.nan, 10 * 0.5 / 0.55, np.nan], nan_ok=True)


def test_a_repaired_curve_falls_and_stays_near():
    """Midway between the least so far and the greatest still to come; what falls already is left alone."""
    wavy = np.array([[0.9, 0.95, 0.7, 0.72, 0.5]])
    repaired = falling(wavy)
    assert (np.diff(repaired) <= 0).all()
    assert repaired == pytest.approx(np.array([[0.925, 0.925, 0.71, 0.71, 0.5]]))
    assert falling(repaired) == pytest.approx(repaired)


@pytest.mark.parametrize("hazard", [0.002, 0.005])
@pytest.mark.parametrize("width", [1, 2, 50])
def test_at_constant_hazards_wide_bands_show_what_days_would(hazard, width):
    """With 0.2 % censored a day: within 0.0003 of the truth, where half of the censored would be up to 0.0018 off."""
    starts = tuple(range(0, 400, width))
    days = np.zeros((len(starts), 2))
    left = 10.0**9
    for day in range(400):
        events = left * hazard
        censored = (left - events) * 0.002
        days[day // width] += censored, events
        left -= events + censored
    days[-1, 0] += left
    events, censored = days[None, None, :, 1, None], days[None, None, :, 0, None]
    ties = ties_of(np.full(len(starts), float(width)))
    found = curve(Exits(events=events, censored=censored, variance=0.0, ties=ties))
    truth = (1 - hazard) ** (width * np.arange(1, len(starts)))
    assert np.abs(found.survival[0, :-1] - truth).max() < 3e-4


# --- with noise


def moved(made, place, by):
    """Return exits with one entry moved: place is (event or not, ..., band, group)."""
    counts = np.stack([made.censored, made.events])
    counts[place] += by
    return Exits(events=counts[1], censored=counts[0], variance=made.variance, ties=made.ties)


@pytest.mark.parametrize(("ties", "within"), [(False, 1e-4), (True, 0.03)])
def test_the_noise_of_a_curve_is_its_gradient_by_every_exit(ties, within):
    """Numerical derivatives by all exits give the variance that is stated; of wide bands, but for a small term."""
    days, event, group = patients(500, 6)
    made = one(exits(days, event, group, starts=(0, 3, 8, 15, 22)))
    made = replace(made, ties=made.ties * ties)
    stated = curve(Exits(events=made.events, censored=made.censored, variance=1.0, ties=made.ties)).variance
    squares = np.zeros(5)
    for kind in range(2):
        for band in range(5):
            up, down = (curve(moved(made, (kind, 0, 0, band, 0), by)).survival for by in (0.01, -0.01))
            squares += ((up - down)[0] / 0.02) ** 2
    assert stated[0] == pytest.approx(squares, rel=within)


@pytest.mark.parametrize(("ties", "within"), [(False, 1e-4), (True, 0.03)])
def test_the_noise_of_a_score_is_its_gradient_by_every_exit(ties, within):
    """The same for the score of hazard ratios, away from zero and in strata; of wide bands, but for a small term."""
    days, event, group = patients(500, 7)
    strata = np.random.default_rng(8).integers(0, 2, 500)
    made = exits(days, event, group, starts=(0, 3, 8, 15, 22), strata=strata)
    made = replace(made, ties=made.ties * ties)
    at = np.array([0.5, -0.2])

    def scored(each):
        return score(each, each.exposed(), np.ones((2, 5), dtype=bool), DESIGN, at)

    stated = scored(Exits(events=made.events, censored=made.censored, variance=1.0, ties=made.ties)).noise
    found = np.zeros((2, 2))
    for place in np.ndindex(2, 2, 5, 4):
        up, down = (scored(moved(made, place, by)).value for by in (0.01, -0.01))
        slope = (up - down) / 0.02
        found += np.outer(slope, slope)
    assert stated == pytest.approx(found, rel=within)
    for step in (np.array([1e-5, 0.0]), np.array([0.0, 1e-5])):
        up, down = (
            score(made, made.exposed(), np.ones((2, 5), dtype=bool), DESIGN, at + side).value for side in (step, -step)
        )
        assert scored(made).information @ step / 1e-5 == pytest.approx((down - up) / 2e-5, rel=1e-4)


def test_the_noise_leaves_no_bias_in_a_curve_or_a_score():
    """Over 20,000 releases the means are the exact ones; without the second-order term the score's is not."""
    days, event, group = patients(1500, 9)
    made = exits(days, event, group, starts=(0, 3, 8, 15, 22))
    rng = np.random.default_rng(10)
    released = curve(noisy(one(made), 200.0, rng, 20_000))
    exact = curve(one(made)).survival[0]
    errors = released.survival - exact
    assert np.abs(errors.mean(axis=0) / errors.std(axis=0) * np.sqrt(20_000)).max() < 4
    covered = (np.abs(errors) <= NORMAL_95 * np.sqrt(released.variance)).mean(axis=0)
    assert ((covered > 0.94) & (covered < 0.965)).all()
    stacked = Exits(events=made.events[None], censored=made.censored[None], variance=0.0, ties=made.ties)
    released = noisy(stacked, 100.0, rng, 20_000)
    at, read = np.array([1.2, 0.0]), np.ones((20_000, 1, 5), dtype=bool)

    def bias(variance):
        each = Exits(events=released.events, censored=released.censored, variance=variance, ties=made.ties)
        values = score(each, each.exposed(), read, DESIGN, at).value
        exact = score(made, made.exposed(), read[0], DESIGN, at).value
        return ((values - exact).mean(axis=0) / values.std(axis=0) * np.sqrt(20_000))[0]

    assert abs(bias(100.0)) < 4
    assert abs(bias(0.0)) > 8


def test_hazard_ratios_and_tests_allow_for_the_noise():
    """Of 400 releases of four groups, intervals hold the exact ratios and a null test rejects about 5 %."""
    days, event, group = patients(4000, 11)
    made = exits(days, event, group, starts=(0, 3, 8, 15, 22))
    exact = hazards(made, DESIGN).value
    rng = np.random.default_rng(12)
    inside, rejected = [], []
    for _ in range(400):
        found = hazards(noisy(made, 100.0, rng), DESIGN)
        inside.append(np.abs(found.value - exact) <= NORMAL_95 * np.sqrt(found.noise))
        null = noisy(exits(days, event, rng.permutation(group) % 2, groups=2, starts=(0, 3, 8, 15, 22)), 100.0, rng)
        rejected.append(logrank(null).p < 0.05)
    assert ((np.mean(inside, axis=0) > 0.92) & (np.mean(inside, axis=0) < 0.98)).all()
    assert 0.02 < np.mean(rejected) < 0.09


def test_where_nothing_rises_above_the_noise_nothing_is_said():
    """Thirty patients under noise of 20: no curve, no median, no test, no ratio, and no warning either."""
    days, event, group = patients(30, 13)
    made = noisy(exits(days, event, group), 400.0, np.random.default_rng(14))
    found = curve(one(made))
    assert np.isnan(found.survival).all()
    assert np.isnan(found.noise()[0]).all()
    assert np.isnan(found.total()[1]).all()
    assert np.isnan(logrank(made).p)
    assert np.isnan(hazards(made, DESIGN).value).all()


def test_a_group_without_events_has_no_finite_ratio():
    """Its hazard ratio would be zero: nothing is said, rather than some large number."""
    days, event, group = patients(600, 15)
    assert np.isnan(hazards(exits(days, event & (group != 3), group), np.eye(4)[:, 1:]).value).all()


# --- bands


def columns():
    """Return a strategy of number columns."""
    reach = st.integers(1, 1 << 30)
    return st.tuples(st.integers(-1000, 1000), reach).map(
        lambda ends: NumberColumn(name="t", label=Label(en="t", zh="t"), low=ends[0], high=sum(ends), step=1)
    )


@given(columns(), st.sampled_from([FOR_CURVES, FOR_COMPARISONS]), st.lists(st.integers(-2000, 1 << 30), max_size=5))
@settings(max_examples=200, deadline=None)
def test_default_bands_cover_the_column_and_are_few(column, most, also):
    """They start at the lower bound, rise, end at the upper one, and at each time that was asked for."""
    key = default_bands(column, most, tuple(also))
    ends = ends_of(key, column)
    assert key.starts[0] == column.low
    assert ends[-1] == column.high
    assert (widths_of(key, column) >= 1).all()
    assert widths_of(key, column).sum() == column.high - column.low + 1
    assert len(ends) <= most + 10 + len(also)
    assert {time for time in also if column.low <= time <= column.high} <= set(ends)
