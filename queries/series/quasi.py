"""A quasi-Poisson trend fitted to noisy counts, many windows at once.

Counts have mean m = exp(a + b x) and variance f m + n: f is the dispersion to be estimated, n the known variance of the
noise. Iteratively reweighted least squares with weights m^2 / (f m + n) (McCullagh and Nelder, Generalized Linear
Models, 2nd ed., 9.2), the dispersion from Pearson's statistic. Released counts may be negative; the link needs the mean
positive only. Without noise the fit is that of R's ``glm(family = quasipoisson)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.series.series import Floats

_STEPS = 50
"""Most steps of the fit; about 8 do."""

_PRECISION = 1e-7
"""Of the coefficients and, relatively, of the dispersion."""

_DISPERSION_STEPS = 12
"""Of Newton's method for the dispersion: from the left, so it never overshoots, and fast."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fitted windows; arrays of shape (windows,) or (windows, points)."""

    expected: Floats
    """The mean at x = 0, of shape (windows,)."""
    variance: Floats
    """Of that estimate."""
    dispersion: Floats
    """At least 1."""
    means: Floats
    """At the points."""
    leverage: Floats
    """Of the points, 0 to 1."""
    converged: NDArray[np.bool_]
    """Whether the steps came to rest; without a trend they always do."""


def fit(values: Floats, noise: Floats, weights: Floats, times: Floats, *, trend: bool) -> Fit:
    """Fit one curve to each window.

    All arguments are of shape (windows, points): counts, variances of their noise, prior weights (0 leaves a point out)
    and x. Without ``trend`` b is 0. A mean under half a case in the whole window is taken for that, since a logarithm
    has no zero.
    """
    points = (weights > 0).sum(axis=1)
    freedom = np.maximum(points - (2 if trend else 1), 1)
    total = weights.sum(axis=1)
    least = 0.5 / np.maximum(points, 1)
    floor = np.log(least)[:, None]
    ceiling = np.log(10.0 * np.abs(values * (weights > 0)).max(axis=1) + 10.0)[:, None]
    intercept = np.log(np.maximum((weights * values).sum(axis=1) / total, least))
    slope = np.zeros_like(intercept)
    dispersion = np.ones_like(intercept)
    converged = np.zeros(len(values), dtype=np.bool_)
    for _ in range(_STEPS):
        eta = np.clip(intercept[:, None] + slope[:, None] * times, floor, ceiling)
        means = np.exp(eta)
        working = weights * means**2 / (dispersion[:, None] * means + noise)
        inverse = _inverse(working, times, trend=trend)
        response = working * (eta + (values - means) / means)
        one, two = response.sum(axis=1), (response * times).sum(axis=1)
        intercept_new = inverse[0] * one + inverse[1] * two
        slope_new = inverse[1] * one + inverse[2] * two
        if not trend:
            intercept_new = np.clip(intercept_new, floor[:, 0], ceiling[:, 0])
        eta = np.clip(intercept_new[:, None] + slope_new[:, None] * times, floor, ceiling)
        means = np.exp(eta)
        dispersion_new = _dispersion(values - means, means, noise, weights, freedom)
        moved = np.abs(intercept_new - intercept) + np.abs(slope_new - slope)
        converged = (moved < _PRECISION) & (np.abs(dispersion_new - dispersion) < _PRECISION * dispersion)
        intercept, slope, dispersion = intercept_new, slope_new, dispersion_new
        if converged.all():
            break
    working = weights * means**2 / (dispersion[:, None] * means + noise)
    inverse = _inverse(working, times, trend=trend)
    leverage = working * (inverse[0][:, None] + 2 * inverse[1][:, None] * times + inverse[2][:, None] * times**2)
    expected = np.exp(np.clip(intercept, floor[:, 0], ceiling[:, 0]))
    return Fit(
        expected=expected,
        variance=expected**2 * inverse[0],
        dispersion=dispersion,
        means=means,
        leverage=np.clip(leverage, 0.0, 0.999),
        converged=converged | (not trend),
    )


def _inverse(working: Floats, times: Floats, *, trend: bool) -> tuple[Floats, Floats, Floats]:
    """Return the entries (1, 1), (1, 2), (2, 2) of the inverse of X'WX for each window."""
    one = working.sum(axis=1)
    if not trend:
        return 1.0 / one, np.zeros_like(one), np.zeros_like(one)
    two, three = (working * times).sum(axis=1), (working * times**2).sum(axis=1)
    determinant = one * three - two**2
    return three / determinant, -two / determinant, one / determinant


def _dispersion(residuals: Floats, means: Floats, noise: Floats, weights: Floats, freedom: NDArray[np.int64]) -> Floats:
    """Return f >= 1 for which sum of weight x residual^2 / (f m + n) equals the degrees of freedom; 1 if none does.

    Newton's method on 1 / sum, which is concave and rises with f: from f = 1 it never passes the root. Without noise it
    is linear, and one step gives Pearson's sum over the degrees of freedom.
    """
    squares = weights * residuals**2
    found = np.ones(len(means))
    for _ in range(_DISPERSION_STEPS):
        spread = found[:, None] * means + noise
        statistic = (squares / spread).sum(axis=1)
        falling = (squares * means / spread**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(statistic > freedom, (statistic / freedom - 1.0) * statistic / falling, 0.0)
        found += step
        if (step < _PRECISION * found).all():
            break
    return found
