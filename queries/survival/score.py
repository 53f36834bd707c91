"""The partial-likelihood score of grouped survival data with noisy exits: its value, its noise and its information.

In every stratum and band, the events are compared with those at risk: the score is the sum of what the events' groups
have more of a covariate than the groups at risk, weighted by their hazards. With one band for each distinct time it is
Breslow's (Biometrics 30, 1974); with wider bands it is the score of the piecewise-exponential Poisson model in which
each band has a hazard of its own (Holford, Biometrics 36, 1980; Laird and Olivier, JASA 76, 1981).

Noise in those at risk enters through a quotient. As in a corrected score (Nakamura, Biometrics 48, 1992) its
second-order bias is taken off. The noise's covariance comes from the derivatives by every exit: a late exit was at risk
in all bands before, so these are running sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats
from queries.survival.exits import Exits, Risk


@dataclass(frozen=True, kw_only=True)
class Score:
    """At one value of the coefficients; p of them."""

    value: Floats
    """Shape (..., p), with the noise's second-order bias taken off."""
    noise: Floats
    """Covariance of the noise, shape (..., p, p)."""
    information: Floats
    """Minus the derivative by the coefficients, which is the sampling covariance too; shape (..., p, p)."""


def score(exits: Exits, risk: Risk, read: NDArray[np.bool_], design: Floats, coefficients: Floats) -> Score:
    """Return the score of ``coefficients``, shape (p,).

    ``exits`` has shape (..., strata, bands, groups); ``read``, shape (..., strata, bands), says whether a band
    of a stratum is read, see ``Risk.enough``; ``design``, shape (groups, p), holds each group's covariates.
    """
    hazard = np.exp(design @ coefficients)
    kept = read.astype(np.float64)
    events = exits.events * kept[..., None]
    whole = events.sum(axis=-1)
    weighted = np.where(read[..., None], risk.number, 1.0) * hazard
    at_risk = weighted.sum(axis=-1)
    mean = np.einsum("...x,xp->...p", weighted, design) / at_risk[..., None]
    # By group: how far its covariates are from the mean of those at risk.
    apart = design - mean[..., None, :]
    value = np.einsum("...jx,...jxp->...p", events, apart)
    squared = np.einsum("x,...xp->...p", hazard**2, apart) / at_risk[..., None] ** 2
    crossed = np.einsum("x,...xp->...p", hazard, apart) / at_risk[..., None]
    bias = risk.event_share[:, None] * crossed - (whole * risk.spread)[..., None] * squared
    value = value + exits.variance * (bias * kept[..., None]).sum(axis=-2)
    # What an exit in each cell moves the score by: its event, less what its time at risk is charged with.
    charged = (whole / at_risk)[..., None, None] * hazard[:, None] * apart
    earlier = np.cumsum(charged, axis=-3) - charged
    by_event = kept[..., None, None] * apart - earlier - risk.event_share[:, None, None] * charged
    by_censored = -earlier - risk.censored_share[:, None, None] * charged
    noise = exits.variance * sum(np.einsum("...sjxp,...sjxq->...pq", slope, slope) for slope in (by_event, by_censored))
    second = np.einsum("...x,xp,xq->...pq", weighted, design, design) / at_risk[..., None, None]
    spread = second - mean[..., :, None] * mean[..., None, :]
    information = np.einsum("...sj,...sjpq->...pq", whole, spread)
    return Score(value=value.sum(axis=-2), noise=noise, information=information)
