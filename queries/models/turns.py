"""A run of training as a conversation: each turn says what to sum at which coefficients, and is told the noisy sums."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import Split, Step
from queries.models.fitted import Fitted

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is to be trained, and how."""

    step: Step
    """Every turn's step, with ``point``, ``wants``, ``weights`` and ``cuts`` empty; its ``split`` is the patients who
    train (None: all)."""
    penalty: float = 0.0
    """Ridge: half of it times the sum of squared coefficients is added to the loss summed over all patients. Of scaled
    columns, never of an intercept or a baseline hazard."""
    rounds: int = 0
    """Most turns of training; 0: what suits the kind of model. One more evaluates, where patients are held out."""
    held_out: Split | None = None
    """The patients to evaluate on, apart from the step's own split; None: no evaluation."""
    evaluation_share: Fraction = Fraction(1, 8)
    """Of the run's privacy loss, what evaluation takes."""
    names: tuple[str, ...] = ()
    """Of the coefficients, in the order of a step's point; may be left out of a network."""
    seed: bytes = b""
    """Of a network's first weights; public."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One round to be asked."""

    step: Step
    """In full."""
    share: Fraction
    """Of the whole run's privacy loss. Those of a run add up to at most 1."""
    so_far: Fitted | None
    """The model before this turn: what is kept when the run must stop here. None: there is none yet."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What a turn is told: sums over all hospitals, grid and clip undone."""

    sums: tuple[Floats, ...]
    """One vector for each of the step's wants. Gradient: of the log-likelihood. Information: the upper triangle row by
    row, entries off the diagonal times the square root of 2. Loss: patients, then their losses added up. Grades:
    counts by band of the predictor (slowest) and outcome."""
    variances: tuple[float, ...]
    """Of each want, the variance of the noise in each entry; of a loss that in the number of patients, and the other
    entry's is ``most_loss(step)`` squared times that."""
    contributors: int
    """Hospitals in the sum."""


Training = Generator[Turn, Sums, Fitted]
"""A run: pure and deterministic, so that one cut short is taken up by telling its recorded sums again."""
