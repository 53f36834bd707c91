"""How much of an outcome a linear model explains, from sums that a run of training has seen anyway."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import Step
from queries.models.belief import Curvature
from queries.models.fitted import Figure, Fitted
from queries.models.rounds import Z, mean_loss

Floats = NDArray[np.float64]

_CLEAR = 3
"""Standard errors of the outcome's variance from which it is divided by."""


@dataclass(frozen=True, kw_only=True)
class Varies:
    """How much an outcome varies among those who train, in squared scaled units."""

    variance: float
    """Of the outcome, by row."""
    error: float
    """Its standard error, noise and sampling counted."""
    rows: float
    """Rows of a patient, on average; 1 or more."""


def pooled_loss(losses: list[tuple[Floats, float]]) -> tuple[Floats, float]:
    """Return patients and loss by all turns near the fit, averaged by precision, and the variance of the first."""
    precision = sum(1 / variance for _, variance in losses)
    mean: Floats = np.sum([loss / variance for loss, variance in losses], axis=0) / precision
    return mean, 1 / precision


def varies(
    step: Step, fitted: Fitted, curved: Curvature, losses: list[tuple[Floats, float]], penalty: float = 0.0
) -> Varies | None:
    """Return the variance of a linear model's outcome: of its predictions, and of what they leave; None: hidden.

    With S the covariance of the columns and t the slopes it is t' S t and twice the loss. Of t' S t the noise of the
    slopes is taken off, by which it is too large on average: the trace of S by their covariance. With a penalty what
    they leave goes along with what they predict: at the fit the columns' products with the residuals are the penalty
    times t, so twice that times t, a row, is part of it as well.
    """
    loss, variance = pooled_loss(losses)
    mean, error = mean_loss(step, loss, variance)
    noise, sampling = fitted.noise_covariance, fitted.sampling_covariance
    if mean is None or noise is None or sampling is None:
        return None
    counted = max(float(curved.matrix[0, 0]), 1.0)
    rows = max(1.0, counted / float(loss[0]))
    means = curved.matrix[0, 1:] / counted
    spread = curved.matrix[1:, 1:] / counted - np.outer(means, means)
    slopes = fitted.coefficients[1:]
    along = spread @ slopes
    predicted = max(float(slopes @ along - np.trace(spread @ noise[1:, 1:])), 0.0)
    left = max(2 * mean / rows, 0.0)
    ridge = 2 * penalty / counted
    along_both = ridge * max(float(slopes @ slopes - np.trace(noise[1:, 1:])), 0.0)
    steep = 2 * (along + ridge * slopes)
    errors = (
        sqrt(float(steep @ (noise + sampling)[1:, 1:] @ steep)),
        sqrt(curved.variance) * float(slopes @ slopes) / counted,
        2 * error / rows,
        # By chance, as of normal columns and residuals: how far either spreads among these rows.
        hypot(predicted, left) * sqrt(2 / counted),
    )
    return Varies(variance=predicted + left + along_both, error=hypot(*errors), rows=rows)


def r_squared(step: Step, outcome: Varies | None, loss: Floats, variance: float) -> Figure:
    """Return the share of an outcome's variance that is explained for patients held out.

    1 less their mean squared error over the variance among those who trained: below 0 where the mean predicts better.
    """
    mean, error = mean_loss(step, loss, variance)
    nan = float("nan")
    if mean is None or outcome is None or outcome.variance <= _CLEAR * outcome.error:
        return Figure(name="r_squared", value=nan, low=nan, high=nan)
    missed, error = 2 * mean / outcome.rows, 2 * error / outcome.rows
    # By chance: a squared residual varies by the square root of 2 times its mean, as of normal residuals.
    error = hypot(error, sqrt(2 / max(float(loss[0]), 1.0)) * missed, missed * outcome.error / outcome.variance)
    value, half = 1 - missed / outcome.variance, Z * error / outcome.variance
    return Figure(name="r_squared", value=min(value, 1.0), low=min(value - half, 1.0), high=min(value + half, 1.0))
