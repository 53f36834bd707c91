"""Runs of training in memory: sums of made-up rows, with normal noise of a known size."""

from __future__ import annotations

import numpy as np

from queries.models.clipping import BOUND, BOUND_LOSS
from queries.models.contributions import tally_of
from queries.models.design import Design
from queries.models.fitted import Fitted
from queries.models.shape import Shape, sum_width
from queries.models.training import Model, train
from queries.models.units import in_units

UNITS = {"gradient": BOUND, "information": BOUND, "loss": BOUND_LOSS, "grades": 1}


def trained(
    model: Model,
    shape: Shape,
    design: Design,
    chance: np.random.Generator,
    noise: float,
    *,
    held: Design | None = None,
    drawn: bool = True,
) -> Fitted:
    """Return a run's model. In every sum is noise of so many patients, over the root of the turn's and sum's share.

    Without ``drawn`` it is said that there is noise, and there is none.
    """
    run = train(model, shape)
    turn = next(run)
    while True:
        asked = turn.step
        held_out = held is not None and asked.split == model.held_out
        exact = tally_of(asked, held if held_out and held is not None else design, shape).astype(float)
        blocks, variances, first = [], [], 0
        for want, weight in zip(asked.wants, asked.weights, strict=True):
            width = sum_width(want, asked, shape)
            deviation = noise * UNITS[want] / np.sqrt(float(turn.share) * weight / sum(asked.weights))
            blocks.append(exact[first : first + width] + chance.normal(0, deviation, width) * drawn)
            variances.append(deviation**2)
            first += width
        try:
            turn = run.send(in_units(asked, tuple(blocks), tuple(variances), 5))
        except StopIteration as end:
            fitted: Fitted = end.value
            return fitted
