"""What the algorithms of training share: how the privacy loss is divided over turns, and how sums are taken apart."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import POINT, Step
from queries.models.clipping import most_loss
from queries.models.fitted import Round
from queries.models.turns import Model, Sums

Floats = NDArray[np.float64]

Z = 1.959963984540054
"""Of an interval of 95 %."""

_LARGEST = 1 << 39
"""Largest size of a coefficient in a point: 512."""

_SEEN = 3
"""Standard errors above 0 from which a number of patients is taken for one."""


def shares(model: Model, early: tuple[Fraction, ...], turns: int) -> tuple[Fraction, ...]:
    """Return each turn's share of the run's privacy loss: ``early`` ones first, the rest divided evenly.

    What evaluation takes is kept back.
    """
    left = 1 - model.evaluation_share if model.held_out is not None else Fraction(1)
    first = early[: turns - 1]
    rest = turns - len(first)
    return tuple(left * share for share in (*first, *((1 - sum(first, Fraction(0))) / rest for _ in range(rest))))


def at(step: Step, point: Floats, wants: dict[str, int]) -> tuple[Step, Floats]:
    """Return a step that takes sums at a point, with a weight for each want, and the point as it is written."""
    whole = np.clip(np.rint(point * POINT), -_LARGEST, _LARGEST).astype(np.int64)
    asked = replace(step, point=tuple(whole.tolist()), wants=tuple(wants), weights=tuple(wants.values()))
    return asked, whole / POINT


def told(step: Step, sums: Sums) -> dict[str, tuple[Floats, float]]:
    """Return each want's sum and the variance of its noise, by name."""
    return {want: pair for want, *pair in zip(step.wants, sums.sums, sums.variances, strict=True)}  # type: ignore[misc]


def unpacked(triangle: Floats, width: int) -> Floats:
    """Return the symmetric matrix of an upper triangle whose entries off the diagonal carry the square root of 2."""
    matrix = np.zeros((width, width))
    rows, columns = np.triu_indices(width)
    matrix[rows, columns] = np.where(rows == columns, triangle, triangle / sqrt(2))
    matrix[columns, rows] = matrix[rows, columns]
    return matrix


def mean_loss(step: Step, loss: Floats, variance: float) -> tuple[float | None, float]:
    """Return the loss of a patient on average and its standard error by the noise; None where the noise hides it."""
    patients, total = float(loss[0]), float(loss[1])
    if patients <= _SEEN * sqrt(variance):
        return None, float("nan")
    mean = total / patients
    return mean, sqrt((most_loss(step) ** 2 + mean**2) * variance) / patients


def entry(step: Step, number: int, share: Fraction, loss: tuple[Floats, float], moved: float) -> Round:
    """Return what is kept of a turn, for people: of a loss what lies within its bounds, which noise may leave."""
    mean, error = mean_loss(step, *loss)
    if mean is None:
        return Round(number=number, share=float(share), loss=None, low=None, high=None, moved=moved)
    value, low, high = (min(max(each, 0.0), most_loss(step)) for each in (mean, mean - Z * error, mean + Z * error))
    return Round(number=number, share=float(share), loss=value, low=low, high=high, moved=moved)
