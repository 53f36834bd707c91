from __future__ import annotations

import sys

import numpy as np
import pytest

from queries.errors import PlanError
from queries.series import Series, farrington
from queries.series.farrington import anscombe, references, thresholds
from queries.series.quasi import fit
from tests.queries.published_farrington import expected_and_threshold
from tests.queries.quiet import calls, counts, months, rate, released, weeks


def test_thresholds_are_the_published_ones_without_noise():
    """Weekly counts with season, trend and three past outbreaks: every judged week agrees with the formulas."""
    rng = np.random.default_rng(2)
    places = np.arange(340)
    mean = np.exp(2.5 + 0.001 * places + 0.6 * np.sin(places * 2 * np.pi / 52))
    values = rng.negative_binomial(mean / 0.8, 1 / 1.8).astype(np.float64)
    values[[40, 41, 100, 101, 102, 220]] *= 4
    series = Series.of(weeks(340), values, 0.0)
    rows = references(series, years=5, window=3)
    checked = 0
    for place, judged in enumerate(farrington(series).periods):
        if judged.alarm is None:
            assert rows[place].min() < 0
            continue
        past = rows[place]
        expected, threshold = expected_and_threshold(values[past], (past - place) / 52)
        assert judged.expected == pytest.approx(expected, rel=1e-5)
        assert judged.threshold == pytest.approx(threshold, rel=1e-5)
        assert judged.alarm == (judged.value > judged.threshold)
        checked += 1
    assert checked == 340 - 264


def test_the_baseline_is_the_same_weeks_of_the_years_before():
    """ISO week numbers are matched across years of 53 weeks; a week 53 falls on the last week of other years."""
    labels = weeks(400)
    series = Series.of(labels, np.zeros(400), 0.0)
    rows = references(series, years=2, window=1)
    place = labels.index("2016-W10")
    assert [labels[past] for past in rows[place]] == [
        "2015-W09", "2015-W10", "2015-W11", "2014-W09", "2014-W10", "2014-W11",
    ]  # fmt: skip
    leap = labels.index("2015-W53")
    assert [labels[past] for past in rows[leap]] == [
        "2014-W51", "2014-W52", "2015-W01", "2013-W51", "2013-W52", "2014-W01",
    ]  # fmt: skip


def test_the_baseline_of_a_month_is_the_same_month_and_its_neighbours():
    """Months are matched by name."""
    series = Series.of(months(80), np.zeros(80), 0.0)
    found = references(series, years=2, window=1)[30]
    assert [series.labels[past] for past in found] == [
        "2005-06", "2005-07", "2005-08", "2004-06", "2004-07", "2004-08",
    ]  # fmt: skip


@pytest.mark.parametrize(("mean", "epsilon"), [(20, 0.5), (20, 1.0), (100, 0.1), (100, 1.0)])
def test_noise_leaves_the_rate_of_false_alarms_as_it_was(mean, epsilon):
    """Five quiet years after five more: within 1 percentage point of the same counts without noise."""
    exact = counts(mean, 12, 520, mean)
    noise = 2 / epsilon**2
    assert abs(rate(released(exact, mean + 1, noise), noise, farrington) - rate(exact, 0.0, farrington)) <= 0.01


def test_a_noisier_year_than_its_baseline_brings_no_false_alarms():
    """Five years released at epsilon 1, the sixth at 0.1: with the noise ignored, a week in eight and more alarms."""
    noise = np.where(np.arange(320) < 265, 2.0, 200.0)
    values = released(counts(1, 15, 320, 20.0), 2, noise)
    assert rate(values, noise, farrington) < 0.015
    assert rate(np.maximum(values, 0.0), 0.0, farrington) > 0.125


def test_a_less_noisy_year_than_its_baseline_still_finds_its_outbreak():
    """The noise of the past is taken out of the dispersion: a threefold week is found nearly always."""
    noise = np.where(np.arange(270) < 269, 50.0, 2.0)
    values = released(counts(3, 30, 270, 20.0), 4, noise)
    assert np.nanmean(calls(values, noise, farrington)[:, 269]) < 0.05
    values[:, 269] += 40.0
    assert np.nanmean(calls(values, noise, farrington)[:, 269]) > 0.9


def test_a_disease_that_never_occurred_alarms_when_it_comes():
    """Five years of zeros with noise of sd 2.8, then 30 cases in a week; before it, hardly a call."""
    values = released(np.zeros((10, 280)), 5, 8.0)
    values[:, 279] += 30.0
    found = calls(values, 8.0, farrington)
    assert found[:, 279].all()
    assert np.nanmean(found[:, 264:279]) < 0.03


def test_fewer_than_five_recent_cases_make_no_alarm():
    """Farrington's rule for rare diseases: two cases after years of none are above the threshold, but not an alarm."""
    values = np.zeros(270)
    values[269] = 4.0
    last = farrington(Series.of(weeks(270), values, 0.0)).periods[-1]
    assert last.value > last.threshold
    assert not last.alarm
    assert farrington(Series.of(weeks(270), values, 0.0), fewest=4).periods[-1].alarm


def test_a_past_outbreak_is_weighed_down(monkeypatch):
    """One of the five years had fourfold weeks: without weights its threshold stands a quarter higher or more."""
    values = released(counts(6, 1, 265, 20.0), 7, 8.0)[0]
    values[110:113] += 60
    series = Series.of(weeks(265), values, 8.0)
    weighted = farrington(series).periods[-1].threshold
    monkeypatch.setattr(sys.modules["queries.series.farrington"], "OUTBREAK", np.inf)
    assert farrington(series).periods[-1].threshold > 1.25 * weighted


def test_more_noise_raises_the_threshold():
    """The threshold rises with the noise of the period and tends to that of a normal distribution."""
    rng = np.random.default_rng(1)
    values, noise = rng.poisson(20, (1, 35)).astype(np.float64), np.full((1, 35), 2.0)
    times = np.repeat(-np.arange(1.0, 6.0), 7)[None]
    found = [thresholds(values, noise, times, np.array([now]), trend=True, tail=0.005) for now in (0.0, 2.0, 50.0, 1e6)]
    limits = [float(upper[0]) for _, upper in found]
    assert limits == sorted(limits)
    assert limits[-1] == pytest.approx(2.5758 * 1000, rel=0.02)


def test_residuals_of_noisy_counts_are_standard_normal():
    """Also of negative values: mean near 0, variance near 1, and 0.5 % above 2.58 when the dispersion is known."""
    rng = np.random.default_rng(4)
    values = rng.poisson(6.0, (400, 200)) + rng.normal(0, 5, (400, 200))
    noise, ones = np.full_like(values, 25.0), np.ones_like(values)
    found = anscombe(values, fit(values, noise, ones, np.zeros_like(values), trend=False), noise)
    assert found.mean() == pytest.approx(0.0, abs=0.05)
    assert found.var() == pytest.approx(1.0, abs=0.06)
    assert (found > 2.58).mean() == pytest.approx(0.005, abs=0.002)


@pytest.mark.parametrize("loud", [6.0, 60.0])
def test_the_fit_is_unbiased_under_noise(loud):
    """Coefficients and dispersion of overdispersed counts are recovered, also where every other point has more noise.

    The stated variance is the true one, and no larger than the quiet half of the points alone would give.
    """
    rng = np.random.default_rng(5)
    times = np.tile(np.linspace(-5.0, -1.0, 105), (1500, 1))
    means = np.exp(3.0 + 0.1 * times)
    noise = np.where(np.arange(105) % 2, 36.0, loud**2) * np.ones_like(means)
    values = rng.negative_binomial(means, 0.5) + rng.normal(size=means.shape) * np.sqrt(noise)
    found = fit(values, noise, np.ones_like(values), times, trend=True)
    quiet = fit(values, noise, (noise == 36.0).astype(np.float64), times, trend=True)
    assert found.expected.var() < 1.05 * quiet.expected.var()
    assert found.converged.all()
    assert np.median(found.dispersion) == pytest.approx(2.0, abs=0.1)
    assert found.expected.mean() == pytest.approx(np.exp(3.0), rel=0.01)
    assert found.expected.var() == pytest.approx(found.variance.mean(), rel=0.12)


def test_periods_without_a_release_are_left_out_of_the_fit():
    """NaN in the past changes nothing but the number of points; NaN now, or in most of the past, is not judged."""
    values = counts(7, 1, 270, 15.0)[0]
    gap = values.copy()
    gap[262 - 52 : 264 - 52] = np.nan
    gap[269] = np.nan
    periods = farrington(Series.of(weeks(270), gap, 2.0)).periods
    assert periods[268].alarm is not None
    assert periods[269].alarm is None
    gap[:230] = np.nan
    assert all(judged.alarm is None for judged in farrington(Series.of(weeks(270), gap, 2.0)).periods)


def test_too_few_years_are_refused_with_what_to_do():
    """Four years of weeks cannot give a baseline of five; three years back they can."""
    series = Series.of(weeks(210), np.full(210, 9.0), 1.0)
    with pytest.raises(PlanError, match="5 years back need about 264 periods, the series has 210") as refused:
        farrington(series)
    assert "fewer years" in refused.value.remedy
    assert any(judged.alarm is not None for judged in farrington(series, years=3).periods)


@pytest.mark.parametrize(
    ("labels", "arguments", "says"),
    [
        (("2019-Q1", "2019-Q2"), {}, "weeks and months"),
        (weeks(2), {"years": 0}, "no baseline"),
        (weeks(2), {"window": 26}, "no baseline"),
        (weeks(2), {"years": 1, "window": 0}, "no baseline"),
        (weeks(2), {"tail": 0.0}, "tail"),
    ],
)
def test_arguments_that_make_no_baseline_are_refused(labels, arguments, says):
    """Each refusal says what is usual."""
    with pytest.raises(PlanError, match=says) as refused:
        farrington(Series.of(labels, [1.0, 2.0], 0.0), **arguments)
    assert refused.value.remedy
