"""Farrington's threshold for one period of exact counts, by the published formulas and a library's equation solver.

Farrington (1996), sections 3.2 to 3.7, with Noufaily (2013): log-linear quasi-Poisson trend, dispersion of at least 1
from Pearson's statistic, weights from standardised Anscombe residuals above 2.58, the whole without the trend where it
would predict more than was seen, and the 2/3-power threshold. For tests: slow, plain, no noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root
from scipy.stats import norm

Floats = NDArray[np.float64]


def expected_and_threshold(values: Floats, times: Floats, tail: float = 0.005) -> tuple[float, float]:
    """Return the mean at time 0 and its upper limit from counts at ``times`` (years before, negative)."""
    design = np.column_stack([np.ones_like(times), times])
    coefficients, dispersion, inverse = _twice(values, design)
    if np.exp(coefficients[0]) > values.max():
        coefficients, dispersion, inverse = _twice(values, design[:, :1])
    mean = float(np.exp(coefficients[0]))
    variance = dispersion * inverse[0, 0] * mean**2
    tau = dispersion + variance / mean
    return mean, mean * (1 + 2 / 3 * norm.ppf(1 - tail) * np.sqrt(tau / mean)) ** 1.5


def _twice(values: Floats, design: Floats) -> tuple[Floats, float, Floats]:
    coefficients, dispersion, inverse = _once(values, design, np.ones_like(values))
    mean = np.exp(design @ coefficients)
    hat = np.diag(np.diag(np.sqrt(mean)) @ design @ inverse @ design.T @ np.diag(np.sqrt(mean)))
    residual = 1.5 * (values ** (2 / 3) * mean ** (-1 / 6) - mean**0.5) / np.sqrt(dispersion * (1 - hat))
    weights = np.ones_like(values)
    weights[residual > 2.58] = residual[residual > 2.58] ** -2
    return _once(values, design, weights * len(values) / weights.sum())


def _once(values: Floats, design: Floats, weights: Floats) -> tuple[Floats, float, Floats]:
    def score(coefficients: Floats) -> Floats:
        return design.T @ (weights * (values - np.exp(design @ coefficients)))

    def slope(coefficients: Floats) -> Floats:
        return -design.T @ (design * (weights * np.exp(design @ coefficients))[:, None])

    start = np.zeros(design.shape[1])
    start[0] = np.log(values.mean())
    solution = root(score, start, jac=slope, tol=1e-10).x
    mean = np.exp(design @ solution)
    pearson = float((weights * (values - mean) ** 2 / mean).sum())
    return solution, max(1.0, pearson / (len(values) - design.shape[1])), -np.linalg.inv(slope(solution))
