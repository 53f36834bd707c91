"""Regression on cells: score equations that stay unbiased where the counts in them are noisy, small or negative.

A cell's score is linear in its two entries, such as rows with and without the event: in a logistic regression
x (yes (1 - p) - no p). Noise in the entries leaves it unbiased whatever the size of a cell, so the root of its sum over
cells estimates the exact table's coefficients consistently (an errors-in-variables model whose corrected score needs no
correction: Nakamura, Biometrika 77, 1990).

Everything here is done for many equations at once, one after the other in the first axis of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats

MOST_STEPS = 25
"""Of Newton's method; from a start nearby half a dozen do where there is a root."""

LONGEST_STEP = 2.0
"""Most by which one step moves any cell's linear predictor: beyond, the equation is not what it looks like here."""

CONVERGED = 1e-7
"""Largest change of a coefficient in the last step; Newton's next one would be about its square."""

_SLIGHT = 1e-11
"""Added to the information, against its greatest entry: a step is then defined even where a root is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each entry of a cell weighs in its score, and how that changes: arrays of shape (..., cells, 2)."""

    value: Floats
    """The weight itself."""
    first: Floats
    """Its derivative by the cell's linear predictor."""
    second: Floats
    """Its second derivative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A law of the events in a cell."""

    start: Callable[[Floats, Floats], Floats]
    """From the sums of both entries, the linear predictor of a model with an intercept only."""
    weights: Callable[[Floats], Weights]
    """From the cells' linear predictors, the weights of the entries."""
    sampling: Callable[[Floats, Floats], Floats]
    """From linear predictors and entries, the sampling variance of each cell's score, without its x."""
    base: tuple[float, float]
    """What a level's coefficient is a ratio to: so much of the first entry and so much of the second."""
    clear: float
    """Standard deviations of its noise that a level's base must be above zero: without it, the level says nothing."""


def _logistic(predictor: Floats) -> Weights:
    share = 0.5 * (1 + np.tanh(predictor / 2))
    slope = -share * (1 - share)
    bend = slope * (1 - 2 * share)
    return Weights(
        value=np.stack([1 - share, -share], axis=-1),
        first=np.stack([slope, slope], axis=-1),
        second=np.stack([bend, bend], axis=-1),
    )


def _logistic_sampling(predictor: Floats, entries: Floats) -> Floats:
    found: Floats = -_logistic(predictor).first[..., 0] * entries.sum(axis=-1)
    return found


LOGISTIC = Family(
    start=lambda yes, no: np.log(yes / no),
    weights=_logistic,
    sampling=_logistic_sampling,
    base=(0.0, 1.0),
    clear=0.0,
)
"""Entries: rows with and without the event. The logarithm of the odds is linear."""


def _risk(predictor: Floats) -> Weights:
    risk = np.exp(predictor)
    both = -np.stack([risk, risk], axis=-1)
    return Weights(value=np.stack([1 - risk, -risk], axis=-1), first=both, second=both)


def _risk_sampling(predictor: Floats, entries: Floats) -> Floats:
    risk = np.exp(predictor)
    found: Floats = entries.sum(axis=-1) * np.maximum(risk * (1 - risk), 0.0)
    return found


RISK = Family(
    start=lambda yes, no: np.log(yes / (yes + no)),
    weights=_risk,
    sampling=_risk_sampling,
    base=(1.0, 1.0),
    clear=2.0,
)
"""Entries: rows with and without the event. The logarithm of the share with the event is linear, by Poisson's equation
with the variance of a share ("modified Poisson": Zou, American Journal of Epidemiology 159, 2004)."""


def _rate(predictor: Floats) -> Weights:
    rate = np.exp(predictor)
    of_time = np.stack([np.zeros_like(rate), -rate], axis=-1)
    return Weights(value=np.stack([np.ones_like(rate), -rate], axis=-1), first=of_time, second=of_time)


def _rate_sampling(predictor: Floats, entries: Floats) -> Floats:
    found: Floats = np.exp(predictor) * entries[..., 1]
    return found


RATE = Family(
    start=lambda events, time: np.log(events / time),
    weights=_rate,
    sampling=_rate_sampling,
    base=(0.0, 1.0),
    clear=2.0,
)
"""Entries: events, and time at risk. The logarithm of the rate is linear; events follow Poisson's law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Of roots, by the first terms of an expansion: shapes (equations, terms), and (equations,) for the doubt."""

    bias: Floats
    """Of second order in the noise."""
    doubt: Floats
    """The noise in the information, relative to it: the expansion holds where that is small."""
    noise: Floats
    """Variance by the noise."""
    sampling: Floats
    """Variance as an estimate of a wider population's coefficient, the model taken for true."""


@dataclass(frozen=True, kw_only=True)
class Equations:
    """So many score equations over the same cells, each with some of its coefficients held fixed."""

    family: Family
    """The law of events."""
    design: Floats
    """Shape (cells, terms)."""
    entries: Floats
    """Noisy sums, shape (equations, cells, 2); zero in cells that an equation leaves out."""
    variances: Floats
    """Of their noise, of the same shape."""
    free: NDArray[np.bool_]
    """Which coefficients are solved for, shape (equations, terms); the others stay as they are given."""

    def of(self, chosen: NDArray[np.intp]) -> Equations:
        """Return some of the equations."""
        return Equations(
            family=self.family,
            design=self.design,
            entries=self.entries[chosen],
            variances=self.variances[chosen],
            free=self.free[chosen],
        )

    def weights(self, coefficients: Floats) -> Weights:
        """Return the weights of the entries at these coefficients, shape (equations, terms)."""
        return self.family.weights(coefficients @ self.design.T)

    def solved(self, coefficients: Floats) -> Floats:
        """Return the roots that Newton's method reaches from these coefficients; NaN where it reaches none."""
        found = coefficients.copy()
        waiting = np.arange(len(found))
        for _ in range(MOST_STEPS):
            some = self.of(waiting)
            weights = some.weights(found[waiting])
            step = some.step(weights, some.score(weights))
            longest = np.abs(step @ self.design.T).max(axis=1)
            found[waiting] += step * np.minimum(1.0, LONGEST_STEP / np.maximum(longest, LONGEST_STEP))[:, None]
            waiting = waiting[~(np.abs(step).max(axis=1) < CONVERGED) & np.isfinite(longest)]
            if not waiting.size:
                break
        found[waiting] = np.nan
        return found

    def score(self, weights: Weights) -> Floats:
        """Return the scores of all terms, shape (equations, terms)."""
        found: Floats = (weights.value * self.entries).sum(axis=-1) @ self.design
        return found

    def information(self, weights: Weights) -> Floats:
        """Return minus the derivative of the scores, shape (equations, terms, terms)."""
        slopes = -(weights.first * self.entries).sum(axis=-1)
        found: Floats = np.matmul(self.design.T * slopes[:, None, :], self.design)
        return found

    def step(self, weights: Weights, towards: Floats) -> Floats:
        """Return the inverse information of the free terms times ``towards``; zero in the others."""
        information = self.information(weights)
        return self._inverse_times(information, towards)

    def _inverse_times(self, information: Floats, towards: Floats) -> Floats:
        both = self.free[:, :, None] & self.free[:, None, :]
        masked = np.where(both, information, 0.0)
        terms = masked.shape[-1]
        slight = _SLIGHT * np.abs(masked).max(axis=(1, 2), initial=0.0) + np.finfo(float).tiny
        masked[:, np.arange(terms), np.arange(terms)] += np.where(self.free, slight[:, None], 1.0)
        sound = np.isfinite(masked).all(axis=(1, 2), keepdims=True)
        found = np.linalg.solve(np.where(sound, masked, np.nan), np.where(self.free, towards, 0.0)[..., None])[..., 0]
        return np.where(self.free, found, 0.0)

    def tested(self, coefficients: Floats, held: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Return the efficient score of one held coefficient of each equation, and its variances.

        At roots in the free ones: the score's part that they cannot explain; its variance by the noise; and by noise
        and sampling (Neyman's C(alpha) statistic).
        """
        weights = self.weights(coefficients)
        information = self.information(weights)
        rows = np.arange(len(held))
        direction = -self._inverse_times(information, information[rows, :, held])
        direction[rows, held] = 1.0
        along = (direction @ self.design.T) ** 2
        score = (self.score(weights) * direction).sum(axis=1)
        noise = (along * (weights.value**2 * self.variances).sum(axis=-1)).sum(axis=1)
        sampling = (along * self.family.sampling(coefficients @ self.design.T, self.entries)).sum(axis=1)
        return score, noise, noise + np.maximum(sampling, 0.0)

    def errors(self, coefficients: Floats) -> Errors:
        """Return what noise and sampling do to the roots.

        The bias is Cox and Snell's expansion (JRSS B 30, 1968) of this equation in the noise.
        """
        predictor = coefficients @ self.design.T
        weights = self.family.weights(predictor)
        information = self.information(weights)
        units = np.eye(self.design.shape[1])[:, None, :]
        inverse = np.stack([self._inverse_times(information, unit) for unit in units], axis=-1)

        def of(spread: Floats) -> Floats:
            """Return the covariance of the roots where scores of cells vary so much."""
            found: Floats = inverse @ np.matmul(self.design.T * spread[:, None, :], self.design) @ inverse
            return found

        noise = of((weights.value**2 * self.variances).sum(axis=-1))
        sampling = of(self.family.sampling(predictor, self.entries))
        # Of each cell: x' I^-1 x, and the variance that the noise gives its linear predictor.
        leverage, moved = (((self.design @ matrix) * self.design).sum(axis=-1) for matrix in (inverse, noise))
        bent = (weights.value * weights.first * self.variances).sum(axis=-1) * leverage
        bent = bent + (weights.second * self.entries).sum(axis=-1) * moved / 2
        return Errors(
            bias=self._inverse_times(information, bent @ self.design),
            doubt=np.sqrt(((weights.first**2 * self.variances).sum(axis=-1) * leverage**2).sum(axis=-1)),
            noise=np.diagonal(noise, axis1=1, axis2=2),
            sampling=np.maximum(np.diagonal(sampling, axis1=1, axis2=2), 0.0),
        )
