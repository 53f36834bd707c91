"""EARS C1, C2 and C3: this period against the seven before it.

Definitions: Hutwagner, Thompson, Seeman and Treadwell, J Urban Health 80 (2003) i89-i96; Fricker, Hegler and Dunfee,
Stat Med 27 (2008) 3407-3429. R surveillance's ``earsC`` computes the same C1 and C2, with 3.09 and 1.96 for 3 and 2.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from queries.errors import PlanError
from queries.series.series import Alarms, Floats, Series, judged

Method = Literal["C1", "C2", "C3"]

BASELINE = 7
"""Periods of which a mean and a standard deviation are taken."""

LAGS = {"C1": 0, "C2": 2, "C3": 2}
"""Periods between the baseline and the one judged, so that a growing outbreak does not enter its own baseline."""

THRESHOLDS = {"C1": 3.0, "C2": 3.0, "C3": 2.0}
"""The CDC's: standard deviations in C1 and C2, the sum of three excesses in C3."""

_LEAST_BASELINE = 3
"""As in R surveillance: of two values a standard deviation says nothing."""


def ears(series: Series, method: Method = "C2", *, baseline: int = BASELINE, threshold: float | None = None) -> Alarms:
    """Return the alarms of C1, C2 or C3.

    With m and S^2 the mean and variance of the baseline, C1 (no lag) and C2 (lag 2) are (value - m) / s and alarm above
    3; C3 is the sum of max(0, C2 - 1) over this and the two periods before and alarms above 2.

    S^2 estimates the count's own variance plus the noise's mean variance in the baseline, n_b: the noise is in it
    already, and adding it again would count it twice. The variance of value - m is (1 + 1/7) times the count's own,
    plus n_t + n_b / 7, so s^2 exchanges the noise of the baseline for that of the period, n = (7 n_t + n_b) / 8:

        s^2 = S^2 + n - n_b                         where the period has more noise than its baseline
        s^2 = min(S^2, max(S^2 - n_b, m) + n)       where it has less: the count's own variance is m at least

    With equal noise s = S, so (value - m) / s has the distribution of the noiseless method (about Student's with 6
    degrees of freedom, x sqrt(8/7)), and so have its false alarms; with unequal noise there are no more of them.
    Tests: tests/queries/test_series_ears.py::test_noise_leaves_the_rate_of_false_alarms_as_it_was and
    ::test_noise_that_changes_brings_no_more_false_alarms.

    Raises PlanError for a series that no baseline fits into.
    """
    lag = LAGS[method]
    limit = THRESHOLDS[method] if threshold is None else threshold
    first = baseline + lag + (2 if method == "C3" else 0)
    if baseline < _LEAST_BASELINE:
        raise PlanError(f"a baseline of {baseline} periods is too short", remedy="use 3 or more; 7 is usual")
    if len(series.values) <= first:
        raise PlanError(
            f"{method} needs {first + 1} periods, the series has {len(series.values)}",
            remedy="ask for a longer window",
        )
    expected, sd = _baselines(series, baseline, lag)
    excess = _standardised(series.values - expected, sd)
    if method != "C3":
        upper = expected + limit * sd
        alarm = np.nan_to_num(excess, nan=-np.inf) > limit
        periods = judged(series, expected=expected, threshold=upper, score=excess, alarm=alarm)
        return Alarms(method=method, periods=periods)
    beyond = np.maximum(excess - 1.0, 0.0)
    earlier = np.full_like(beyond, np.nan)
    earlier[2:] = beyond[1:-1] + beyond[:-2]
    score = beyond + earlier
    # Where the two periods before are enough, no value of this one would keep the method quiet.
    with np.errstate(invalid="ignore"):
        upper = np.where(earlier > limit, -np.inf, expected + sd * (1.0 + limit - earlier))
    alarm = np.nan_to_num(score, nan=-np.inf) > limit
    return Alarms(method=method, periods=judged(series, expected=expected, threshold=upper, score=score, alarm=alarm))


def _baselines(series: Series, baseline: int, lag: int) -> tuple[Floats, Floats]:
    """Return the mean of each period's baseline and the sd that its value is held against; NaN where there is none."""
    first = baseline + lag
    mean = np.full(len(series.values), np.nan)
    sd = mean.copy()
    windows = sliding_window_view(series.values, baseline)[: len(series.values) - first]
    before = sliding_window_view(series.noise, baseline)[: len(series.values) - first].mean(axis=1)
    spread = windows.var(axis=1, ddof=1)
    noise = (baseline * series.noise[first:] + before) / (baseline + 1)
    mean[first:] = windows.mean(axis=1)
    own = np.maximum(spread - before, np.maximum(mean[first:], 0.0))
    variance = np.where(noise > before, spread + noise - before, np.minimum(spread, own + noise))
    sd[first:] = np.sqrt(variance)
    return mean, sd


def _standardised(deviation: Floats, sd: Floats) -> Floats:
    """Return deviation / sd; over a baseline without any spread, which noise excludes, 0 or infinity."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((sd == 0) & (deviation == 0), 0.0, deviation / sd)
