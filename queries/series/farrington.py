"""Farrington's method: this period against the same weeks of the years before.

Farrington, Andrews, Beale and Catchpole, JRSS A 159 (1996) 547-563; its improvements (the trend is kept whatever its
significance, only residuals above 2.58 lose weight, one-sided 0.995 quantile) from Noufaily and others, Stat Med 32
(2013) 1206-1222. R surveillance's ``farringtonFlexible`` with ``noPeriods = 1, pThresholdTrend = 1, thresholdMethod =
"delta"`` is the same method.

With noise of variance n a count of mean m has variance v = f m + n, but its third cumulant stays f^2 m: noise spreads a
count without skewing it. The scaled and shifted Poisson variable that has this mean, variance and skewness takes the
place of the count in the two transforms of the method, Anscombe's residual and the 2/3 power. It spans c = v^2 / (f^2
m) from its lowest value to its mean (without noise c = m, from zero), and the published formulas become

    residual   3/2 r ((1 + (y - m) / c)^(2/3) - 1),  r = c / sqrt(v)
    threshold  m + c ((1 + 2/3 z sqrt(V) / c)^(3/2) - 1),  V = v + Var(estimate of m)

which are theirs where n = 0 and the normal distribution's where the noise is large.
"""

from __future__ import annotations

from datetime import date
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from queries.errors import PlanError
from queries.series.quasi import Fit, fit
from queries.series.series import PER_YEAR, Alarms, Floats, Ints, Series, judged

YEARS = 5
"""b: how many years the baseline reaches back."""

WINDOWS = {"week": 3, "month": 1}
"""w: periods on either side of the same period of an earlier year; three months would cover more than half the year."""

TAIL = 0.005
"""Share of quiet periods that should exceed the threshold (Noufaily's 0.995 quantile)."""

OUTBREAK = 2.58
"""The standardised residual above which a past period loses weight."""

TREND_YEARS = 3
"""Over fewer years there is no trend to estimate."""

FEWEST = 5
"""No alarm while fewer cases than these were released in the last four periods (Farrington 1996, section 3.8)."""


def farrington(
    series: Series, *, years: int = YEARS, window: int | None = None, tail: float = TAIL, fewest: float = FEWEST
) -> Alarms:
    """Return the alarms of Farrington's method on a weekly or monthly series.

    A period is judged where the ``years`` before it are in the series with ``window`` periods on either side (three
    weeks, one month) and at least half of these have a release. The score is (value - expected) / (threshold -
    expected) and an alarm is a score above 1, unless the last four periods together have fewer than ``fewest`` cases. A
    trend that would predict more than was ever seen is left out.

    Raises PlanError for other periods, and for a series with too few years, with what to do.
    """
    if series.period not in WINDOWS:
        raise PlanError("Farrington's method is for weeks and months", remedy="group by WEEK or MONTH, or use EARS")
    half = WINDOWS[series.period] if window is None else window
    if years < 1 or not 0 <= half < PER_YEAR[series.period] // 2 or years * (2 * half + 1) <= TREND_YEARS:
        raise PlanError(
            f"{years} years with {half} periods on either side make no baseline",
            remedy="5 years with 3 weeks are usual",
        )
    if not 0 < tail < 1 / 2:
        raise PlanError(f"a tail of {tail} is not between 0 and 0.5", remedy="0.005 is usual")
    places = references(series, years=years, window=half)
    inside = places.min(axis=1) >= 0
    if not inside.any():
        needed = years * PER_YEAR[series.period] + half + 1
        raise PlanError(
            f"{years} years back need about {needed} periods, the series has {len(series.labels)}",
            remedy="ask for a longer window or fewer years, or use EARS",
        )
    released = ~np.isnan(series.values)
    rows = np.flatnonzero(inside & released & (released[places].mean(axis=1) >= 1 / 2))
    expected, upper = (np.full(len(series.values), np.nan) for _ in range(2))
    if len(rows):
        past = places[rows]
        expected[rows], upper[rows] = thresholds(
            series.values[past],
            series.noise[past],
            (past - rows[:, None]) / PER_YEAR[series.period],
            series.noise[rows],
            trend=years >= TREND_YEARS,
            tail=tail,
        )
    score = (series.values - expected) / (upper - expected)
    recent = np.convolve(np.nan_to_num(series.values), np.ones(4))[: len(series.values)]
    alarm = (np.nan_to_num(score) > 1.0) & (recent >= fewest)
    periods = judged(series, expected=expected, threshold=upper, score=score, alarm=alarm)
    return Alarms(method="Farrington", periods=periods)


def references(series: Series, *, years: int, window: int) -> Ints:
    """Return the places of each period's baseline, shape (periods, years x (2 window + 1)); some lie before the series.

    Weeks are matched by their ISO number, a week 53 with the last week of an earlier year; months by their name.
    """
    offsets = np.arange(-window, window + 1)
    centres = np.empty((len(series.labels), years), dtype=np.int64)
    for back in range(1, years + 1):
        if series.period == "month":
            centres[:, back - 1] = np.arange(len(series.labels)) - 12 * back
        else:
            earlier = [_same_week(label, back) for label in series.labels]
            centres[:, back - 1] = np.array(earlier) - series.ordinals[0]
    return (centres[:, :, None] + offsets).reshape(len(series.labels), -1)


def thresholds(
    values: Floats, noise: Floats, times: Floats, now: Floats, *, trend: bool, tail: float
) -> tuple[Floats, Floats]:
    """Return the expected count and the threshold of each window.

    ``values`` (NaN: no release), the variances of their ``noise`` and ``times`` in years before the period judged are
    of shape (windows, points), ``now`` is the variance of the noise in the periods judged, shape (windows,).
    """
    present = (~np.isnan(values)).astype(np.float64)
    counts = np.nan_to_num(values)
    found = _reweighted(counts, noise, present, times, trend=False)
    expected, variance, dispersion = found.expected, found.variance, found.dispersion
    if trend:
        bent = _reweighted(counts, noise, present, times, trend=True)
        highest = np.where(present > 0, counts, -np.inf).max(axis=1)
        kept = bent.converged & (bent.expected <= highest)
        expected = np.where(kept, bent.expected, expected)
        variance = np.where(kept, bent.variance, variance)
        dispersion = np.where(kept, bent.dispersion, dispersion)
    own = dispersion * expected + now
    span = own**2 / (dispersion**2 * expected)
    z = NormalDist().inv_cdf(1.0 - tail)
    reach = 2.0 / 3.0 * z * np.sqrt(own + variance) / span
    return expected, expected + span * np.expm1(1.5 * np.log1p(reach))


def _reweighted(values: Floats, noise: Floats, present: Floats, times: Floats, *, trend: bool) -> Fit:
    """Fit, take weight from past outbreaks by their residuals, and fit again; weights add up to the points present."""
    first = fit(values, noise, present, times, trend=trend)
    residuals = anscombe(values, first, noise)
    with np.errstate(divide="ignore"):
        weights = present * np.where(residuals > OUTBREAK, residuals**-2.0, 1.0)
    weights *= (present.sum(axis=1) / weights.sum(axis=1))[:, None]
    again = fit(values, noise, weights, times, trend=trend)
    steady: NDArray[np.bool_] = first.converged & again.converged
    return Fit(
        expected=again.expected,
        variance=again.variance,
        dispersion=again.dispersion,
        means=again.means,
        leverage=again.leverage,
        converged=steady,
    )


def anscombe(values: Floats, fitted: Fit, noise: Floats) -> Floats:
    """Return the standardised Anscombe residuals of noisy counts: the module's formula over sqrt(1 - leverage)."""
    dispersion = fitted.dispersion[:, None]
    own = dispersion * fitted.means + noise
    span = own**2 / (dispersion**2 * fitted.means)
    # A value below all that the matched variable can take is treated as its lowest, as a count stops at zero.
    deviation = np.maximum((values - fitted.means) / span, -1.0)
    with np.errstate(divide="ignore"):
        raw = 1.5 * span / np.sqrt(own) * np.expm1(2.0 / 3.0 * np.log1p(deviation))
    return raw / np.sqrt(1.0 - fitted.leverage)


def _same_week(label: str, back: int) -> int:
    """Return the ordinal of the week of the same number ``back`` years earlier."""
    year, week = int(label[:4]) - back, int(label[6:])
    last = date(year, 12, 28).isocalendar().week
    return (date.fromisocalendar(year, min(week, last), 1).toordinal() - 1) // 7
