"""The rows that a step of a model is about, as arrays: what stands between a hospital's database and the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Design:
    """Bounded rows, those of one patient together; every number is finite and follows from one row alone."""

    starts: NDArray[np.intp]
    """Shape (patients,): where each patient's rows start, rising from 0. Empty where there are no rows."""
    x: Floats
    """Shape (rows, columns): the terms, each number within [-1, 1]. No intercept."""
    outcome: Floats
    """Shape (rows,): the outcome. A scaled number in [-1, 1] (linear), a count in units of its column (poisson),
    0 or 1 (logistic, cox), the place of a code (network of classes)."""
    exposure: Floats
    """Shape (rows,): the amount behind a count over its column's upper bound, above 0 and at most 1 (poisson), the
    time followed in steps of its column (cox); 1 for other models."""
    stratum: NDArray[np.intp]
    """Shape (rows,): the cell of the step's strata; 0 where there are none."""

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.outcome)

    @property
    def patients(self) -> int:
        """Return the number of patients."""
        return len(self.starts)
