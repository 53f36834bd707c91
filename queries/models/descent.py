"""Networks: full-batch gradient descent with momentum through noise, and the average of where it was at the end."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import POINT
from queries.models.evaluation import evaluated
from queries.models.fitted import Fitted, Round
from queries.models.network import first_weights
from queries.models.rounds import at, entry, shares, told
from queries.models.shape import Shape
from queries.models.turns import Model, Training, Turn

Floats = NDArray[np.float64]

ROUNDS = 40
"""Turns where a model does not say."""

WEIGHTS = {"gradient": 19, "loss": 1}
"""Within a turn."""

RATE = 4.0
"""Of learning, at the start: how far a mean gradient of length 1 moves the weights, before momentum."""

SLOWEST = 0.2
"""Of the rate, what is left of it in the last turn; it falls evenly."""

AVERAGED = 4
"""The model is the average of the last turns' weights: one turn in so many."""

MOMENTUM = 0.8
"""Of each step, what the next one keeps."""

_LONGEST = 0.5
"""Most that a mean gradient of any length moves the weights, before momentum."""

NOISY = "The noise is greater than the gradient: fewer rounds, a smaller network or a larger epsilon would learn more."
UNKNOWN = "Networks have no standard errors."


@dataclass(frozen=True, kw_only=True)
class _Patients:
    """How many patients there are, by all turns so far."""

    weighed: float = 0.0
    precision: float = 0.0

    def seen(self, number: float, variance: float) -> _Patients:
        return _Patients(weighed=self.weighed + number / variance, precision=self.precision + 1 / variance)

    @property
    def number(self) -> float:
        """Return the number, no fewer than its own noise: a mean must not be that of none."""
        return max(self.weighed / self.precision, 1 / sqrt(self.precision), 1.0)


def descent(model: Model, shape: Shape) -> Training:
    """Return the run of a network."""
    weights = np.array(first_weights(model.seed, shape.columns, shape.layers), dtype=np.float64) / POINT
    turns = model.rounds or ROUNDS
    names = model.names or tuple(f"weight {place}" for place in range(1, shape.width + 1))
    patients, velocity = _Patients(), np.zeros_like(weights)
    history: tuple[Round, ...] = ()
    kept: list[Floats] = []
    drowned = 0
    fitted = None
    for number, share in enumerate(shares(model, (), turns)):
        step, point = at(model.step, weights, WEIGHTS)
        sums = yield Turn(step=step, share=share, so_far=fitted)
        found = told(step, sums)
        gradient, variance = found["gradient"]
        patients = patients.seen(float(found["loss"][0][0]), found["loss"][1])
        mean = (gradient - model.penalty * point) / patients.number
        length = float(np.linalg.norm(mean))
        drowned += length < 1.2 * sqrt(len(mean) * variance) / patients.number
        rate = RATE * (1 - (1 - SLOWEST) * number / turns)
        velocity = MOMENTUM * velocity + mean * min(rate, _LONGEST / max(length, 1e-12))
        weights = point + velocity
        kept = [*kept, weights][-max(1, turns // AVERAGED) :]
        history = (*history, entry(step, number + 1, share, found["loss"], float(np.linalg.norm(velocity))))
        fitted = Fitted(
            kind="network",
            names=names,
            coefficients=np.mean(kept, axis=0),
            noise_covariance=None,
            sampling_covariance=None,
            contributors=sums.contributors,
            history=history,
            finished=number + 1 == turns,
            notes=(UNKNOWN, *((NOISY,) * (2 * drowned > len(history)))),
        )
    if fitted is None:  # no turn was made, which no model asks for
        raise ValueError("a run without turns")
    return (yield from evaluated(model, shape, fitted, None))
