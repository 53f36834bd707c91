"""The information: what a patient says about the spread of the coefficients, clipped without being laid out.

A patient's information is a sum over rows of m z z', where z holds a 1 and the row's terms, and m is a curvature. With
z and m as whole numbers the sum over patients is a product of matrices of whole numbers. As long as no partial sum
passes 2^53 a matrix library gets it exactly right in any order of adding, however it divides the work.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import ONE
from queries.models.clipping import BOUND
from queries.models.design import Floats
from queries.models.families import Rows

MOST_ROWS = 1 << 15
"""Rows of which products are taken at once: as many patients at most, each of at most 2^38, make 2^53."""

_TERM = 10  # a term of 1 is 2^10
_FINE = 22  # one unit of the tally is 2^22 of the products here
_MOST = float(BOUND << _FINE)
_MOST_WEIGHT = float(BOUND << _FINE >> 2 * _TERM)  # with it the intercept alone is at the bound
_A_LITTLE_LESS = 1 - 2.0**-40
_LEAST = 1e-100
_AT_ONCE = 1 << 17
"""Multiplications in one product: so few that a matrix library does not divide them among threads, which on a machine
with other work to do takes far longer than the product."""


def limit_of(width: int) -> int:
    """Return what a patient's information may come to, in fine units, so that rounded sums move by ``BOUND`` at most.

    Sums are rounded once, after all patients are added. A rounded number moves by less than 1 more than the number does
    (a tenth is for floats: enough for sums up to 2^47, of two thousand million patients), so a vector of k numbers by
    less than sqrt(k) more: that much is kept back.
    """
    numbers = width * (width + 1) // 2
    return max(0, BOUND - 1 - math.isqrt(numbers * 11**2 // 10**2 + 1) - 1) << _FINE


def products(rows: Rows, reach: int, width: int) -> NDArray[np.int64]:
    """Return the sum over at most ``MOST_ROWS`` rows of clipped informations, of shape (width, width), in fine units.

    Of the lower triangle nothing is promised. Each patient's curvatures are lowered alike until the sum over the
    patient's rows of m |z|^2, which the Frobenius norm of a sum of m z z' never exceeds, is within the limit.

    Guarantee: whole numbers throughout; taking a patient away changes the matrix by a Frobenius norm of at most
    ``limit_of(width)``. Test: tests/queries/test_contributions.py::
    test_one_patient_more_moves_no_sum_further_than_its_bound.
    """
    terms = np.rint(np.clip(rows.design.x, -1.0, 1.0) * (1 << _TERM))
    lengths = float(1 << 2 * _TERM) + np.einsum("ij,ij->i", terms, terms)
    terms[~np.isfinite(lengths)] = 0.0  # no design holds such rows; nothing may come of one
    # A row far beyond the reach keeps the proportions of its intervals.
    largest = np.maximum(rows.curvatures.max(axis=0), _LEAST)
    weights = np.rint(rows.curvatures * np.minimum(_MOST_WEIGHT * ONE / reach, _MOST_WEIGHT / largest))
    alone = np.arange(rows.design.rows)
    _lower(weights, lengths, alone, _MOST)  # so that the sum over a patient's rows is exact
    _lower(weights, lengths, rows.design.starts, float(limit_of(width)))
    found = np.zeros((width, width), dtype=np.int64)
    columns = slice(width - rows.shape.columns, width)
    whole = weights.sum(axis=0)
    found[columns, columns] = _product(whole[:, None] * terms, terms)
    for stratum in np.unique(rows.design.stratum).tolist():
        of_stratum = rows.design.stratum == stratum
        inside = weights[:, of_stratum].T
        first = stratum * rows.intervals
        baseline = slice(first, first + rows.intervals)
        found[baseline, columns] = _product(inside, terms[of_stratum]) << _TERM
        places = np.arange(first, first + rows.intervals)
        found[places, places] = _exact(inside.sum(axis=0)) << 2 * _TERM
    return found


def added(sums: NDArray[np.int64], more: NDArray[np.int64]) -> None:
    """Add a piece's products to sums of shape (2, width, width): whole units of the tally, and the rest in fine units.

    Guarantee: no number of patients makes a sum run over: of fine units alone, 2^63 would be those of 2^25 patients.
    Test: tests/redteam/test_training_attacked.py::test_more_patients_than_64_bits_hold.
    """
    rest = sums[1] + more
    sums[0] += rest >> _FINE
    sums[1] = rest & ((1 << _FINE) - 1)


def rounded(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the upper triangle of sums row by row, off the diagonal times the square root of 2, in the tally's units.

    So the L2 norm of what is returned is the Frobenius norm of the symmetric matrix. ``sums`` as ``added`` makes them.
    """
    above, across = np.triu_indices(sums.shape[1])
    whole, rest = sums[:, above, across]
    return _exact(np.rint((whole + rest / (1 << _FINE)) * np.where(above == across, 1.0, math.sqrt(2))))


def _lower(weights: Floats, lengths: Floats, starts: NDArray[np.intp], most: float) -> None:
    """Shorten groups of rows that come to more than ``most``, in place; weights stay whole."""
    totals = np.add.reduceat(weights.sum(axis=0) * lengths, starts)
    if (totals <= most).all():
        return
    counts = np.diff(np.append(starts, len(lengths)))
    factor = np.where(totals <= most, 1.0, most * _A_LITTLE_LESS / np.maximum(totals, 1.0))
    np.floor(weights * np.repeat(factor, counts), out=weights)
    left = np.add.reduceat(weights.sum(axis=0) * lengths, starts) <= most
    weights[:, ~np.repeat(left, counts)] = 0.0


def _product(left: Floats, right: Floats) -> NDArray[np.int64]:
    """Return the transpose of ``left`` times ``right``, whole numbers, a few rows at a time."""
    found = np.zeros((left.shape[1], right.shape[1]))
    step = max(16, _AT_ONCE // max(1, found.size))
    for first in range(0, len(left), step):
        found += left[first : first + step].T @ right[first : first + step]
    return _exact(found)


def _exact(values: Floats) -> NDArray[np.int64]:
    return values.astype(np.int64)
