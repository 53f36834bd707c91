"""The product-limit estimate of survival from noisy exits, with noise-only and total intervals.

Kaplan and Meier, JASA 53, 1958, with the life table's correction for those censored within a band, at constant hazards
(``Exits.constant``); sampling variance by Greenwood; the total interval is Rothman's (J. Chron. Dis. 31, 1978), which
solves a quadratic for the true survival with an effective number of patients, and so keeps its width where no event was
seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from queries.answers.quantity import Floats
from queries.survival.exits import Exits

NORMAL_95 = 1.959963984540054
"""Half-width of a 95 % interval, in standard deviations."""

_TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Survival at the end of each band: arrays of shape (cells, bands), NaN from where too few are at risk."""

    survival: Floats
    """Estimates: neither clamped nor made to fall."""
    variance: Floats
    """Of the noise."""
    greenwood: Floats
    """Of the sampling."""
    effective: Floats
    """How many patients without censoring would have that sampling variance."""

    def noise(self) -> tuple[Floats, Floats]:
        """Return the ends of the noise-only interval, cut to 0 and 1."""
        half = NORMAL_95 * np.sqrt(self.variance)
        return np.clip(self.survival - half, 0.0, 1.0), np.clip(self.survival + half, 0.0, 1.0)

    def total(self) -> tuple[Floats, Floats]:
        """Return the ends of the interval that allows for noise and sampling."""
        z = NORMAL_95**2
        # (S - s)^2 = z^2 (noise + s (1 - s) / n) solved for s.
        a = 1 + z / self.effective
        b = 2 * self.survival + z / self.effective
        c = self.survival**2 - z * self.variance
        root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0.0))
        return np.clip((b - root) / (2 * a), 0.0, 1.0), np.clip((b + root) / (2 * a), 0.0, 1.0)


def curve(exits: Exits) -> Curve:
    """Return the survival curve of each cell, shape (cells, bands); ``exits`` has shape (cells, 1, bands, 1).

    The noise in survival comes from every exit, earlier and later ones: the gradient by each is put together from
    running sums, so covariances of those at risk are in it. A second-order term takes off the bias that noise in a
    quotient leaves.
    """
    risk = exits.constant()
    at_risk, events = risk.number[:, 0, :, 0], exits.events[:, 0, :, 0]
    held = np.logical_and.accumulate(risk.enough(np.ones(1))[:, 0], axis=-1)
    at_risk = np.where(held, at_risk, 1.0)
    survivors = np.where(held, at_risk - events, 1.0)
    # Nobody survives the band: the quotient is kept off zero so that the gradient's factors exist.
    survivors = np.where(np.abs(survivors) < _TINY * at_risk, _TINY * at_risk, survivors)
    product = np.cumprod(survivors / at_risk, axis=-1)
    slope = 1 / survivors - 1 / at_risk
    whole = np.cumsum(slope, axis=-1)
    before = whole - slope
    kept, later = risk.censored_share, exits.later
    squares = np.cumsum((before - 1 / at_risk) ** 2 + (before + kept * slope) ** 2, axis=-1) + 2 * later * whole**2
    curvature = np.cumsum(risk.spread / at_risk**2 - (risk.spread - 1) / survivors**2, axis=-1)
    survival = product * (1 - exits.variance * (squares + curvature) / 2)
    hazard = np.maximum(np.cumsum(events / (at_risk * survivors), axis=-1), 0.0)
    entering = exits.entering[:, 0, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = (1 - product) / (product * hazard)
    most = np.maximum(entering[..., :1], at_risk)
    effective = np.clip(np.where(np.isfinite(effective), effective, at_risk), at_risk, most)
    return Curve(
        survival=np.where(held, survival, np.nan),
        variance=np.where(held, product**2 * squares * exits.variance, np.nan),
        greenwood=np.where(held, product**2 * hazard, np.nan),
        effective=np.where(held, effective, np.nan),
    )
