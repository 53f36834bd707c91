"""The log-rank test of two or more groups from noisy exits.

Each group's events are compared with those expected if all groups had one hazard, as Mantel did (Cancer Chemotherapy
Reports 50, 1966), and their differences are judged by the covariance of sampling and noise together. Held against the
chi-square law that rejects 4 to 6 % of what is null at 5 %, a little less where the noise is large. Draws under the
null from the noisy counts do worse there (under 4 %): the counts they start from have the noise in them already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats
from queries.survival.exits import Exits, Risk
from queries.survival.score import score

LEAST_TESTED = 5.0
"""Standard deviations of their noise that those at risk must be for a band to be tested. Where they are fewer the
noise's own variance is overstated, and the test rejects too little."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The test of one cell."""

    statistic: float
    """Chi-square; NaN where no band is left to compare."""
    degrees: int
    """Of freedom: groups less one."""
    p: float
    """Chance of such a statistic or a greater one, if all groups had one hazard in each stratum and band."""


def logrank(exits: Exits) -> Compared:
    """Test; ``exits`` has shape (strata, bands, groups): only those of one stratum are compared."""
    groups = exits.events.shape[-1]
    design = np.eye(groups)[:, 1:]
    risk = exits.counted()
    read = risk.enough(np.ones(groups), LEAST_TESTED)
    found = score(exits, risk, read, design, np.zeros(groups - 1))
    spread = _without_negative(_hypergeometric(exits, risk, read, design)) + found.noise
    nothing = Compared(statistic=np.nan, degrees=groups - 1, p=np.nan)
    if not read.any() or not np.isfinite(spread).all():
        return nothing
    try:
        statistic = float(found.value @ np.linalg.solve(spread, found.value))
    except np.linalg.LinAlgError:
        return nothing
    return Compared(statistic=statistic, degrees=groups - 1, p=_beyond(statistic, groups - 1))


def _hypergeometric(exits: Exits, risk: Risk, read: NDArray[np.bool_], design: Floats) -> Floats:
    """Return the sampling covariance of the score where all groups have one hazard, given those at risk."""
    at_risk = np.where(read[..., None], risk.number, 1.0)
    whole = at_risk.sum(axis=-1)
    events = exits.events.sum(axis=-1) * read
    left = np.divide(whole - events, whole - 1, out=np.zeros_like(whole), where=whole > 1)
    share = at_risk / whole[..., None]
    mean = share @ design
    second = np.einsum("...x,xp,xq->...pq", share, design, design) - mean[..., :, None] * mean[..., None, :]
    found: Floats = np.einsum("sj,sjpq->pq", events * left, second)
    return found


def _without_negative(covariance: Floats) -> Floats:
    """Return the nearest covariance: noise may have taken a variance below zero."""
    values, vectors = np.linalg.eigh(covariance)
    found: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return found


def _beyond(statistic: float, degrees: int) -> float:
    from scipy.special import chdtrc  # noqa: PLC0415  only who reads a test needs scipy; a node never does

    return float(chdtrc(degrees, max(statistic, 0.0)))
