from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from queries.errors import PlanError
from queries.series import Series, cusum
from tests.queries.quiet import calls, counts, months, rate, released, weeks


def published(values, mean, k, h):
    """Return the sums of R surveillance's algo.cusum with trans = "standard": no reset, variance the mean."""
    sums, total = [], 0.0
    for value in values:
        total = max(0.0, total + (value - mean) / np.sqrt(mean) - k)
        sums.append((total, total >= h))
    return sums


def test_sums_and_alarms_are_the_published_ones():
    """Without noise, with a known mean and without reset."""
    values = counts(3, 1, 150, 12.0)[0]
    values[70:73] += 12
    found = cusum(Series.of(weeks(150), values, 0.0), mean=12.0, reset=False).periods
    assert [(judged.score, judged.alarm) for judged in found] == [
        (pytest.approx(score), alarm) for score, alarm in published(values, 12.0, 1.04, 2.26)
    ]
    assert any(judged.alarm for judged in found[70:73])


def test_the_mean_and_dispersion_are_those_of_the_first_year():
    """The baseline is not judged; overdispersion is estimated with the noise taken out of the variance."""
    values = released(2.0 * counts(4, 1, 4000, 20.0), 5, 100.0)[0]
    alarms = cusum(Series.of(weeks(4000), values, 100.0), baseline=3900)
    assert [judged.alarm is None for judged in alarms.periods] == [True] * 3900 + [False] * 100
    last = alarms.periods[3900]
    mean = values[:3900].mean()
    assert last.expected == pytest.approx(mean)
    # The variance of a doubled count of mean 20 is 80; with the noise of the period itself 180.
    assert last.threshold == pytest.approx(mean + np.sqrt(180.0) * 3.3, rel=0.02)


@pytest.mark.parametrize(("mean", "epsilon"), [(20, 0.5), (20, 1.0), (100, 0.1), (100, 1.0)])
def test_noise_leaves_the_rate_of_false_alarms_as_it_was(mean, epsilon):
    """Within 1 percentage point of the same counts without noise, where mean x epsilon is 10 or more."""
    exact = counts(mean, 1, 20_000, mean)
    noise = 2 / epsilon**2
    assert abs(rate(released(exact, mean + 1, noise), noise, cusum) - rate(exact, 0.0, cusum)) <= 0.01


def test_the_noise_ignored_alarms_far_too_often():
    """At mean 20 and epsilon 0.1 a sum with the counts' own variance calls in over 10 % of quiet weeks."""
    values = released(counts(20, 1, 9_000, 20.0), 21, 200.0)
    assert rate(values, 200.0, partial(cusum, mean=20.0)) < 0.01
    assert rate(values, 0.0, partial(cusum, mean=20.0)) > 0.1


def test_noise_that_changes_is_counted_where_it_is():
    """Each period is standardised with its own noise: false alarms do not gather where the noise is large."""
    noise = np.where(np.arange(24_000) % 4 == 3, 400.0, 2.0)
    found = calls(released(counts(8, 1, 24_000, 20.0), 9, noise), noise, partial(cusum, mean=20.0, reset=True))
    loud, low = found[:, noise > 2.0].mean(), found[:, noise <= 2.0].mean()
    assert loud < low + 0.01


def test_an_alarm_is_a_value_at_or_above_the_threshold():
    """Threshold, value and alarm agree in every judged period."""
    for row in released(counts(1, 5, 200, 6.0), 2, 4.0):
        for judged in cusum(Series.of(weeks(200), row, 4.0), k=0.5, h=2.0).periods:
            if judged.alarm is not None:
                assert judged.alarm == (judged.value >= judged.threshold - 1e-9)


def test_after_an_alarm_the_sum_starts_anew_unless_told_otherwise():
    """One large week: with reset the next is quiet, without it the alarm stays until the sum has run off."""
    values = np.full(8, 10.0)
    values[2] = 60.0
    series = Series.of(weeks(8), values, 0.0)
    assert cusum(series, mean=10.0).raised == ("2009-W03",)
    assert len(cusum(series, mean=10.0, reset=False).raised) == 6


def test_a_period_without_a_release_leaves_the_sum_as_it_is():
    """The sum before and after a missing period are neighbours."""
    with_gap = [10, 14, 13, np.nan, 14, 15]
    without = [10, 14, 13, 14, 15]
    one = cusum(Series.of(weeks(6), with_gap, 1.0), mean=10.0).periods
    two = cusum(Series.of(weeks(5), without, 1.0), mean=10.0).periods
    assert one[3].alarm is None
    assert [judged.score for place, judged in enumerate(one) if place != 3] == [judged.score for judged in two]


def test_a_mean_for_each_period_is_taken_as_given():
    """A seasonal mean that the counts follow exactly sums to nothing."""
    season = 50 + 30 * np.sin(np.arange(60) / 6)
    assert cusum(Series.of(weeks(60), season, 5.0), mean=season).raised == ()


def test_months_take_two_years_for_the_mean():
    """Twelve months are too few to tell a mean from chance."""
    found = cusum(Series.of(months(30), counts(1, 1, 30, 9.0)[0], 0.0)).periods
    assert [judged.alarm is None for judged in found] == [True] * 24 + [False] * 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "takes its mean from 52 periods"),
        ({"baseline": 4}, "too short"),
        ({"mean": 0.0}, "positive"),
        ({"mean": [1.0, 2.0]}, "positive"),
        ({"mean": 5.0, "dispersion": 0.5}, "dispersion"),
        ({"mean": 5.0, "h": 0.0}, "no cumulated sum"),
    ],
)
def test_arguments_that_make_no_sum_are_refused(arguments, says):
    """Each refusal says what to do instead."""
    with pytest.raises(PlanError, match=says) as refused:
        cusum(Series.of(weeks(20), np.full(20, 5.0), 1.0), **arguments)
    assert refused.value.remedy


def test_a_baseline_without_releases_is_refused():
    """A mean needs released periods."""
    values = np.full(60, np.nan)
    values[50:] = 4.0
    with pytest.raises(PlanError, match="have a release"):
        cusum(Series.of(weeks(60), values, 1.0))
