"""What noisy gradients and a noisy curvature say about the coefficients of the fit without noise.

Near the fit t the gradient at a point p is H (t - p), with H the information. We are told both with Gaussian noise:
the gradient, and H, whose noise N is a symmetric matrix. So what is observed is A t with A = H + N, and the error of
that is the gradient's noise plus N (t - p). Weighing it by the covariance of both, and a weak prior that says that
scaled coefficients are rarely beyond a few units, gives a mean and a covariance that stay finite and honest also in
directions where the noise is greater than the information; elsewhere they are Newton's step and H^-1 S H^-1.

For t - p stands the way to the mean. How uncertain that is counts only where the information is hidden: elsewhere the
error of the points comes from the same noise as that of the mean, and gradients taken there take it back, so counting
it would count it twice (errors of a Cox model of the stroke trial were 1.4 times too large).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGE = 0.3
"""Eigenvalues of a noisy information below this share of where the spectrum of its noise alone ends say nothing."""

_SETTLING = 5
"""Times that the mean and the covariance of the noise that depends on it are computed in turn; two or three settle."""


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """A noisy information, its eigenvalues kept from falling below what the noise lets see."""

    matrix: Floats
    """Shape (q, q): positive semidefinite, symmetric."""
    vectors: Floats
    """Shape (q, q): its eigenvectors, by column."""
    raised: Floats
    """Shape (q,): for each eigenvector the value that it was raised to; 0 for those that were not."""
    variance: float
    """Of the noise in an entry of the diagonal; half of it off the diagonal."""
    exact: int = 0
    """Of the first so many coefficients the entries off the diagonal between them have no noise: they are 0."""


def curvature(noisy: Floats, variance: float, exact: int = 0) -> Curvature:
    """Return a noisy symmetric matrix with its eigenvalues moved back to where noise moved them from, and raised.

    Noise drives eigenvalues apart: the lowest sink, and errors by their inverse would be overstated. Each is put where
    the matrix without noise has it along the same vector, on average: lambda_i + 2 sum_j w_ij / (lambda_j - lambda_i),
    with w_ij the variance of the noise between the vectors i and j. For noise of variance v on and v / 2 off the
    diagonal w_ij is v / 2 and this the rotationally invariant estimator of Bun, Allez, Bouchaud and Potters (IEEE
    Transactions on Information Theory 62, 2016, section IV); where entries between the first ``exact`` coefficients are
    known to be 0, w_ij has the less noise that is left. Poles are rounded off at the width of the noise's spectrum.
    Then all are raised to a share of its edge, which along each vector is twice the root of the sum of its w_ij: of all
    q coefficients alike sqrt(2 q v) (Wigner).
    """
    from scipy.linalg import eigh  # noqa: PLC0415  nodes import this package and need no scipy

    # NumPy's driver wakes OpenBLAS's threads for matrices of this size: many times slower, on a busy machine above all.
    values, vectors = eigh(noisy, driver="evr")
    apart = values - values[:, None]
    between = _between(vectors, variance, exact)
    width = between.sum(axis=1)
    values = values + 2 * (between * apart / (apart**2 + width[:, None])).sum(axis=1)
    least = EDGE * 2 * np.sqrt(width)
    low = values < least
    kept = np.where(low, least, values)
    return Curvature(
        matrix=(vectors * kept) @ vectors.T,
        vectors=vectors,
        raised=np.where(low, least, 0.0),
        variance=variance,
        exact=exact,
    )


def _between(vectors: Floats, variance: float, exact: int) -> Floats:
    """Return the variance of u' N w for all pairs of vectors, by column, and the noise N of a curvature.

    v / 2 (|u|^2 |w|^2 + (u' w)^2) for the whole of N, less what its missing entries would have made of it.
    """
    inside = vectors[:exact]
    products = inside.T @ inside
    lengths = np.diag(products)
    missing = np.outer(lengths, lengths) + products**2 - 2 * (inside**2).T @ inside**2
    return variance / 2 * np.maximum(1 + np.eye(len(vectors)) - missing, 1e-9)


@dataclass(frozen=True, kw_only=True)
class Belief:
    """Where the fit without noise lies."""

    mean: Floats
    """Shape (q,)."""
    covariance: Floats
    """Shape (q, q)."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Gradients of one or more turns, averaged by precision: near the fit they are linear in the point."""

    gradient: Floats
    """Shape (q,): of the log-likelihood."""
    point: Floats
    """Shape (q,): the points, averaged alike."""
    variance: float
    """Of the noise in each entry of the gradient."""


def pooled(turns: list[Observed]) -> Observed:
    """Return the average by precision."""
    precision = sum(1 / turn.variance for turn in turns)
    gradient: Floats = np.sum([turn.gradient / turn.variance for turn in turns], axis=0) / precision
    point: Floats = np.sum([turn.point / turn.variance for turn in turns], axis=0) / precision
    return Observed(
        gradient=gradient,
        point=point,
        variance=1 / precision,
    )


def belief(observed: Observed, curved: Curvature, ridge: Floats, prior: Belief, before: Belief) -> Belief:
    """Return what is believed of the fit after an observation.

    ``ridge`` is the penalty of each coefficient, known exactly. ``prior`` is weak.
    ``before`` is where to start the iteration: what was believed, at other points, before.
    """
    whole = curved.matrix + np.diag(ridge)
    right = observed.gradient - ridge * observed.point + whole @ observed.point
    known = np.linalg.inv(prior.covariance)
    own = observed.variance * np.eye(len(whole))
    raised = curved.vectors[:, curved.raised > 0]
    unseen = raised @ raised.T
    mean: Floats = before.mean
    covariance: Floats = before.covariance
    for _ in range(_SETTLING):
        away = mean - observed.point
        error = own + of_noise(np.outer(away, away) + unseen @ covariance @ unseen, curved)
        weighed = np.linalg.solve(error, whole).T
        inverse = np.linalg.inv(weighed @ whole + known)
        covariance = ((inverse + inverse.T) / 2).astype(np.float64)
        mean = covariance @ (weighed @ right + known @ prior.mean)
    return Belief(mean=mean, covariance=covariance)


def of_noise(spread: Floats, curved: Curvature) -> Floats:
    """Return E[N M N] for the noise N of a curvature and M = ``spread``.

    For a symmetric N of independent entries with variance v on and v / 2 off the diagonal it is v/2 (tr(M) I + M).
    Entries that have no noise are taken off that: they would have added the same of their own rows and columns.
    """
    expected: Floats = curved.variance / 2 * (np.trace(spread) * np.eye(len(spread)) + spread)
    inside = spread[: curved.exact, : curved.exact]
    own = np.diag(np.diag(inside))
    expected[: curved.exact, : curved.exact] -= (
        curved.variance / 2 * (np.trace(inside) * np.eye(len(inside)) - own + inside - own)
    )
    return expected
