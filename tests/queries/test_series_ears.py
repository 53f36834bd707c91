from __future__ import annotations

import statistics
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.errors import PlanError
from queries.series import Series, ears
from tests.queries.quiet import calls, counts, rate, released, weeks

METHODS = ("C1", "C2", "C3")


def published(values: list[float], method: str) -> list[tuple[float, bool] | None]:
    """Return score and alarm of each period by the definitions of Fricker (2008), section 2.1, in plain Python."""

    def c(place: int, lag: int) -> float:
        baseline = values[place - lag - 7 : place - lag]
        return (values[place] - statistics.mean(baseline)) / statistics.stdev(baseline)

    found: list[tuple[float, bool] | None] = []
    for place in range(len(values)):
        if place < {"C1": 7, "C2": 9, "C3": 11}[method]:
            found.append(None)
        elif method == "C3":
            score = sum(max(0.0, c(earlier, 2) - 1.0) for earlier in (place, place - 1, place - 2))
            found.append((score, score > 2.0))
        else:
            score = c(place, 0 if method == "C1" else 2)
            found.append((score, score > 3.0))
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_scores_and_alarms_are_the_published_ones(method, noise):
    """Without noise, and with equal noise on unbiased counts, the figures are those of the definition."""
    values = released(counts(7, 1, 120, 9.0), 8, noise)[0]
    values[60:64] += 20
    alarms = ears(Series.of(weeks(120), values, noise), method)
    for judged, expected in zip(alarms.periods, published(values.tolist(), method), strict=True):
        assert (judged.alarm is None) == (expected is None)
        if expected:
            assert judged.score == pytest.approx(expected[0], abs=1e-9)
            assert judged.alarm == expected[1]
    assert set(alarms.raised) & set(weeks(120)[60:64])


@pytest.mark.parametrize("method", METHODS)
def test_an_alarm_is_a_value_above_the_threshold(method):
    """Threshold, value and alarm agree in every period; where C3 has no threshold, it alarms."""
    for row in released(counts(1, 5, 200, 6.0), 2, 4.0):
        for judged in ears(Series.of(weeks(200), row, 4.0), method).periods:
            if judged.alarm is None:
                assert judged.threshold is None
            elif judged.threshold is None:
                assert method == "C3"
                assert judged.alarm
            else:
                assert judged.alarm == (judged.value > judged.threshold)


@pytest.mark.parametrize(("mean", "epsilon"), [(20, 0.5), (20, 1.0), (100, 0.1)])
@pytest.mark.parametrize("method", METHODS)
def test_noise_leaves_the_rate_of_false_alarms_as_it_was(method, mean, epsilon):
    """Where mean x epsilon is 10 or more: within 1 percentage point of the same counts without noise."""
    exact = counts(mean, 1, 20_000, mean)
    noise = 2 / epsilon**2
    found = rate(released(exact, mean + 1, noise), noise, partial(ears, method=method))
    assert abs(found - rate(exact, 0.0, partial(ears, method=method))) <= 0.01


@pytest.mark.parametrize(("before", "now"), [(2.0, 50.0), (2.0, 800.0), (200.0, 2.0)])
@pytest.mark.parametrize("mean", [20, 100])
def test_noise_that_changes_brings_no_more_false_alarms(mean, before, now):
    """A period with other noise than its baseline; with the noise ignored, more noise alarms up to 33 % of the time."""
    changed = np.arange(16_000) % 10 == 9
    noise = np.where(changed, now, before)
    exact = counts(5, 1, 16_000, mean)
    values = released(exact, 6, noise)
    quiet = rate(exact, 0.0, ears)
    assert calls(values, noise, ears)[0, changed].mean() <= quiet + 0.005
    if now == 800.0:
        assert calls(values, 0.0, ears)[0, changed].mean() > quiet + 0.1


@pytest.mark.parametrize(
    ("now", "variance"),
    [
        (12.0, 30.0 + (7 * 12 + 4) / 8 - 4),
        (4.0, 30.0),
        (2.0, 26.0 + (7 * 2 + 4) / 8),
    ],
)
def test_the_noise_of_the_baseline_is_exchanged_for_that_of_the_period(now, variance):
    """Baseline of mean 20 and variance 30, of which 4 are noise: s^2 is as the docstring says, in every case."""
    baseline = 20 + np.array([-1, 1, -1, 1, -1, 1, 0]) * np.sqrt(30.0)
    series = Series.of(weeks(10), [*baseline, 0.0, 0.0, 50.0], np.array([4.0] * 9 + [now]))
    last = ears(series).periods[-1]
    assert last.score == pytest.approx(30 / np.sqrt(variance))
    assert last.threshold == pytest.approx(20 + 3 * np.sqrt(variance))


def test_where_noise_falls_the_variance_is_no_less_than_a_counts_own():
    """A baseline of mean 20 whose variance, 30, is less than its noise, 40: the count's own is taken as 20, not 0."""
    baseline = 20 + np.array([-1, 1, -1, 1, -1, 1, 0]) * np.sqrt(30.0)
    series = Series.of(weeks(10), [*baseline, 0.0, 0.0, 50.0], np.array([40.0] * 9 + [1.0]))
    assert ears(series).periods[-1].threshold == pytest.approx(20 + 3 * np.sqrt(20 + (7 + 40) / 8))


def test_noise_added_to_a_variance_that_holds_it_would_miss_outbreaks():
    """At mean 20 and epsilon 0.2 a rise to 60 is found, with the noise counted twice far less often."""
    noise = 50.0
    values = released(counts(3, 400, 10, 20.0), 4, noise)
    values[:, 9] += 40.0
    baseline = values[:, :7]
    twice = baseline.mean(axis=1) + 3 * np.sqrt(baseline.var(axis=1, ddof=1) + noise)
    assert calls(values, noise, ears)[:, 9].mean() > (values[:, 9] > twice).mean() + 0.1


def test_more_noise_in_a_period_never_lowers_its_threshold():
    """All else equal, the threshold rises with the period's own variance, through the baseline's variance as well."""
    values = released(counts(9, 1, 10, 15.0), 10, 6.0)[0]
    limits = [
        ears(Series.of(weeks(10), values, np.array([6.0] * 9 + [now]))).periods[-1].threshold
        for now in (0.0, 1.0, 5.9, 6.0, 6.1, 20.0, 400.0)
    ]
    assert limits == sorted(limits)
    assert limits[-1] > limits[0] + 40


@given(
    shift=st.floats(-50, 50),
    scale=st.floats(0.5, 20),
    values=st.lists(st.integers(-5, 40), min_size=14, max_size=14),
)
def test_scores_do_not_depend_on_units(shift, scale, values):
    """Without noise, adding a number and multiplying all counts leaves C2 as it is."""
    if np.std(values[3:10]) == 0 or np.std(values[4:11]) == 0 or np.std(values[2:9]) == 0:
        return
    one = ears(Series.of(weeks(14), values, 0.0)).periods[-1].score
    other = ears(Series.of(weeks(14), shift + scale * np.array(values), 0.0)).periods[-1].score
    assert other == pytest.approx(one, abs=1e-6)


def test_a_baseline_without_spread_calls_any_rise():
    """Ten zeros and a one without noise: the published threshold is the mean; equal counts are quiet."""
    alarms = ears(Series.of(weeks(11), [0.0] * 10 + [1.0], 0.0), "C2")
    assert alarms.raised == ("2009-W11",)
    assert alarms.periods[-2].score == 0.0


@pytest.mark.filterwarnings("error")
def test_c3_over_a_baseline_without_spread_alarms_quietly():
    """Noiseless zeros, a one, then zeros: C3 calls it and the two periods behind it, without a numerical warning."""
    alarms = ears(Series.of(weeks(16), [0.0] * 12 + [1.0, 0.0, 0.0, 0.0], 0.0), "C3")
    assert alarms.raised == ("2009-W13", "2009-W14", "2009-W15")


def test_a_period_without_a_release_is_not_judged_nor_what_rests_on_it():
    """NaN makes no alarm and no quiet: itself and the periods whose baseline holds it are None."""
    values = np.full(30, 10.0)
    values[12] = np.nan
    seen = [judged.alarm is not None for judged in ears(Series.of(weeks(30), values, 2.0)).periods]
    assert [place for place in range(30) if not seen[place]] == [*range(9), 12, *range(15, 22)]


@pytest.mark.parametrize(("method", "needed"), [("C1", 8), ("C2", 10), ("C3", 12)])
def test_a_series_that_no_baseline_fits_into_is_refused(method, needed):
    """One period fewer than the first that can be judged is refused with how many it takes."""
    ears(Series.of(weeks(needed), np.arange(needed), 1.0), method)
    with pytest.raises(PlanError, match=f"needs {needed} periods"):
        ears(Series.of(weeks(needed - 1), np.arange(needed - 1), 1.0), method)


def test_a_baseline_of_two_is_refused():
    """Two values have no standard deviation worth the name."""
    with pytest.raises(PlanError, match="too short"):
        ears(Series.of(weeks(20), np.arange(20), 1.0), baseline=2)
