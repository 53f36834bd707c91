"""What a run of training gives: coefficients, how far noise and chance may have moved them, how well they predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one turn told about the coefficients that it was taken at."""

    number: int
    """From 1."""
    share: float
    """Of the run's privacy loss."""
    loss: float | None
    """Minus the log-likelihood of a patient, on average, at the coefficients before this turn; None: not asked."""
    low: float | None
    """Lower end of the loss's 95 % interval by the noise."""
    high: float | None
    """Upper end of that."""
    moved: float
    """How far this turn moved the coefficients: L2 norm in scaled units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure about a model, with a 95 % interval that counts the noise and the chance of which patients there are."""

    name: str
    """``auc``, ``brier``, ``calibration_slope``, ``calibration_in_the_large``, ``concordance``, ``r_squared`` or
    ``loss``."""
    value: float
    """NaN where the noise leaves none."""
    low: float
    """NaN where there is none."""
    high: float
    """NaN where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBand:
    """Patients of like predictions: what was predicted for them, and what came."""

    rows: float
    """How many rows, by the noisy sums; 0 or more."""
    predicted: float
    """What the model says of the middle of the band: a probability."""
    observed: float
    """The share with the outcome; NaN where there are too few rows to say."""
    low: float
    """Of its 95 % interval, noise and chance counted."""
    high: float
    """Of its 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well a model predicts for patients who took no part in its training."""

    figures: tuple[Figure, ...]
    """Those that the kind of model has."""
    bands: tuple[CalibrationBand, ...] = ()
    """Of logistic models and networks for a condition, by rising prediction."""
    share: float = 0.0
    """Of the run's privacy loss, what it took."""

    def figure(self, name: str) -> Figure | None:
        """Return the figure of a name."""
        return next((figure for figure in self.figures if figure.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model, as far as a run came."""

    kind: str
    """As in a step: ``linear``, ``logistic``, ``poisson``, ``cox``, ``network``."""
    names: tuple[str, ...]
    """Of the coefficients; of a network may be empty."""
    coefficients: Floats
    """Shape (q,): in the units of scaled columns, in the order of a step's point."""
    noise_covariance: Floats | None
    """Shape (q, q): how far the noise moved them from the fit to the same rows without noise. None of a network."""
    sampling_covariance: Floats | None
    """Shape (q, q): how far chance moved that fit, as the model has it. None of a network."""
    contributors: int
    """Hospitals in the last turn."""
    history: tuple[Round, ...]
    """The turns so far."""
    finished: bool
    """Whether all turns of training were made."""
    evaluation: Evaluation | None = None
    """On patients held out; None: not asked, or not reached."""
    notes: tuple[str, ...] = ()
    """What a reader must know, in plain English."""

    @property
    def noise_errors(self) -> Floats | None:
        """Return the standard errors by the noise alone, shape (q,)."""
        return None if self.noise_covariance is None else np.sqrt(np.diag(self.noise_covariance))

    @property
    def errors(self) -> Floats | None:
        """Return the standard errors by noise and sampling together, shape (q,)."""
        if self.noise_covariance is None or self.sampling_covariance is None:
            return None
        return np.sqrt(np.diag(self.noise_covariance + self.sampling_covariance))
