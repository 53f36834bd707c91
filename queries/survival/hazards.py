"""Hazard ratios from noisy exits: the root of the score, with the covariance of noise and of sampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from queries.answers.quantity import Floats
from queries.survival.exits import Exits
from queries.survival.score import Score, score

MOST_STEPS = 40
"""Most steps of the search; it takes five to ten."""

LARGEST_STEP = 1.0
"""Most that a coefficient changes by in one step."""

LARGEST = 12.0
"""A coefficient beyond it says that a group had no event, or all of them: there is no finite estimate."""

NEAR = 1e-7
"""A step so small ends the search."""


@dataclass(frozen=True, kw_only=True)
class Hazards:
    """Logarithms of hazard ratios, shape (p,); NaN where the data and the noise leave no finite estimate."""

    value: Floats
    """Estimates."""
    noise: Floats
    """Their variance by the noise."""
    sampling: Floats
    """Their variance by sampling."""


def hazards(exits: Exits, design: Floats) -> Hazards:
    """Fit; ``exits`` has shape (strata, bands, groups) and ``design`` (groups, p)."""
    terms = design.shape[1]
    risk = exits.exposed()
    read = risk.enough(np.ones(len(design)))
    found = np.zeros(terms)
    for _ in range(MOST_STEPS):
        read &= risk.enough(np.exp(design @ found))
        at = score(exits, risk, read, design, found)
        if not _positive(at):
            break
        step = np.linalg.solve(at.information, at.value)
        largest = float(np.abs(step).max(initial=0.0))
        if largest < NEAR:
            inverse = np.linalg.inv(at.information)
            return Hazards(value=found, noise=np.diag(inverse @ at.noise @ inverse), sampling=np.diag(inverse))
        found = found + step * min(1.0, LARGEST_STEP / largest)
        if float(np.abs(found).max()) > LARGEST:
            break
    nothing = np.full(terms, np.nan)
    return Hazards(value=nothing, noise=nothing, sampling=nothing)


def _positive(at: Score) -> bool:
    """Return whether the information is positive definite."""
    try:
        np.linalg.cholesky(at.information)
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(at.value).all())
