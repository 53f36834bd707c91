"""From a tally's whole units to those of a model: clip and reach undone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import ONE, Step
from queries.models.clipping import BOUND, BOUND_LOSS, most_loss
from queries.models.turns import Sums

Floats = NDArray[np.float64]


def in_units(step: Step, blocks: tuple[Floats, ...], variances: tuple[float, ...], contributors: int) -> Sums:
    """Return what a turn is told.

    ``blocks`` are the sums of the step's wants, each in its block's units (the grid of the noise undone), and
    ``variances`` those of the noise in an entry, in squared units of the block.
    """
    units = {
        "gradient": step.clip / ONE / BOUND,
        "information": step.reach / ONE / BOUND,
        "loss": 1 / BOUND_LOSS,
        "grades": 1.0,
    }
    of_loss = np.array([1.0, most_loss(step)])
    return Sums(
        sums=tuple(
            block * units[want] * (of_loss if want == "loss" else 1.0)
            for want, block in zip(step.wants, blocks, strict=True)
        ),
        variances=tuple(
            float(variance) * units[want] ** 2 for want, variance in zip(step.wants, variances, strict=True)
        ),
        contributors=contributors,
    )
