"""The one-sided cumulated sum: small excesses that last.

Page, Biometrika 41 (1954) 100-115; for counts Rossi, Lampugnani and Marchi, Stat Med 18 (1999) 2111-2122. k and h
default to those of R surveillance's ``algo.cusum``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from queries.errors import PlanError
from queries.series.series import PER_YEAR, Alarms, Floats, Series, judged

K = 1.04
"""The allowance: half the shift, in standard deviations, that is to be found soonest."""

H = 2.26
"""The decision limit, in standard deviations."""

_BASELINE_MONTHS = 24
"""Twelve months are too few to tell a mean from chance; of weeks one year is enough."""

_LEAST_BASELINE = 8


def cusum(
    series: Series,
    *,
    k: float = K,
    h: float = H,
    baseline: int | None = None,
    mean: ArrayLike | None = None,
    dispersion: float | None = None,
    reset: bool = True,
) -> Alarms:
    """Return the alarms of C_t = max(0, C_(t-1) + (value_t - mean_t) / s_t - k) >= h, where C_0 = 0.

    s_t^2 = dispersion x mean_t + noise variance of the period. ``mean`` (for each period, or one for all) is what an
    endemic period has; with it ``dispersion`` is 1 unless given. Without ``mean`` both are estimated from the first
    ``baseline`` periods (a year of weeks, two years of months), which are then not judged: the mean is theirs, the
    dispersion max(1, (variance - mean noise variance) / mean). After an alarm the sum starts at 0 again, unless
    ``reset`` is False. A period without a release leaves the sum as it is.

    Raises PlanError for a series that is too short, a mean that is not positive or a dispersion below 1.
    """
    if k < 0 or h <= 0 or not np.isfinite(k + h):
        raise PlanError(f"k = {k} and h = {h} make no cumulated sum", remedy="use k of at least 0 and h above 0")
    if dispersion is not None and not (np.isfinite(dispersion) and dispersion >= 1):
        raise PlanError(f"a dispersion of {dispersion} is below a count's own", remedy="use 1 or more")
    start = 0
    if mean is None:
        start = baseline or (_BASELINE_MONTHS if series.period == "month" else PER_YEAR[series.period])
        expected, spread = _estimated(series, start)
        spread = spread if dispersion is None else dispersion
    else:
        expected = _given(series, mean)
        spread = 1.0 if dispersion is None else dispersion
    sd = np.sqrt(spread * expected + series.noise)
    score, threshold = np.full_like(sd, np.nan), np.full_like(sd, np.nan)
    alarm = np.zeros(len(sd), dtype=np.bool_)
    standardised = (series.values - expected) / sd
    cumulated = 0.0
    for place in range(start, len(sd)):
        if np.isnan(standardised[place]):
            continue
        threshold[place] = expected[place] + sd[place] * (h + k - cumulated)
        cumulated = max(0.0, cumulated + float(standardised[place]) - k)
        score[place] = cumulated
        alarm[place] = cumulated >= h
        if reset and alarm[place]:
            cumulated = 0.0
    periods = judged(series, expected=expected, threshold=threshold, score=score, alarm=alarm)
    return Alarms(method="CUSUM", periods=periods)


def _estimated(series: Series, baseline: int) -> tuple[Floats, float]:
    """Return the mean of the first periods, for every period, and their dispersion."""
    if baseline < _LEAST_BASELINE:
        raise PlanError(
            f"a baseline of {baseline} periods is too short for a cumulated sum",
            remedy=f"use {_LEAST_BASELINE} or more, or give the mean",
        )
    if len(series.values) <= baseline:
        raise PlanError(
            f"the cumulated sum takes its mean from {baseline} periods, the series has {len(series.values)}",
            remedy="ask for a longer window, use a shorter baseline, or give the mean",
        )
    released = ~np.isnan(series.values[:baseline])
    values, noise = series.values[:baseline][released], series.noise[:baseline][released]
    if len(values) < _LEAST_BASELINE:
        raise PlanError(
            f"only {len(values)} periods of the baseline have a release",
            remedy=f"use a baseline with {_LEAST_BASELINE} or more, or give the mean",
        )
    # Half a case in the whole baseline stands for none: a mean of zero would have no variance.
    mean = max(float(values.mean()), 0.5 / len(values))
    dispersion = max(1.0, (float(values.var(ddof=1)) - float(noise.mean())) / mean)
    return np.full(len(series.values), mean), dispersion


def _given(series: Series, mean: ArrayLike) -> Floats:
    expected = np.asarray(mean, dtype=np.float64)
    if expected.ndim == 0:
        expected = np.full(len(series.values), expected)
    if expected.shape != series.values.shape or not (np.isfinite(expected).all() and (expected > 0).all()):
        raise PlanError(
            "the endemic mean is not a positive number for each period",
            remedy="give one number, or one for each period",
        )
    return expected
