"""Elementary functions made of single additions, multiplications, divisions and look-ups.

A processor's own vectors of ``exp`` or ``log`` may round one number differently at the end of an array than in its
middle, and matrix products round by the number of rows. What a patient adds must not change by one unit with who else
is there, or the stated sensitivity is wrong. IEEE 754 rounds each single operation in one way only (sections 4.3, 5.4),
so here a number's value follows from that number alone, on every machine. Tables come from the mathematical library of
the machine; Taylor polynomials around their entries do the rest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from queries.models.design import Floats

MOST = 30.0
"""Linear predictors are held to this size before anything else is done with them."""

_AT_ONCE = 1 << 10
_FINE = 128
_EXP = np.array([math.exp(place / _FINE) for place in range(-2 * int(MOST) * _FINE, 2 * int(MOST) * _FINE + 1)])
_LOG = np.array([math.log(place / (2 * _FINE)) for place in range(_FINE, 2 * _FINE + 1)])
_LARGEST_NORMAL = 8
_NORMAL = np.array(
    [
        math.erfc(-place / _FINE / math.sqrt(2)) / 2
        for place in range(-_LARGEST_NORMAL * _FINE, _LARGEST_NORMAL * _FINE + 1)
    ]
)


def clamped(values: Floats) -> Floats:
    """Return values held to [-MOST, MOST]; what is not a number is 0."""
    return np.minimum(np.maximum(np.where(np.isnan(values), 0.0, values), -MOST), MOST)


def exponential(values: Floats) -> Floats:
    """Return exp of values within [-60, 60], to a relative 1e-13.

    Guarantee: the same bits for one value wherever it stands and whatever stands beside it.
    Test: tests/queries/test_families.py::test_an_elementary_function_of_a_number_does_not_depend_on_its_neighbours.
    """
    near = np.rint(values * _FINE)
    rest = values - near / _FINE
    series = 1.0 + rest * (1.0 + rest * (1 / 2 + rest * (1 / 6 + rest * (1 / 24))))
    return _EXP[near.astype(np.intp) + len(_EXP) // 2] * series


def logarithm(values: Floats) -> Floats:
    """Return log of values above 0, to 1e-12. Guarantee and test as of ``exponential``."""
    fraction, power = np.frexp(values)  # taken out of the number's bits
    near = np.rint(fraction * (2 * _FINE))
    rest = (fraction * (2 * _FINE) - near) / near
    series = rest * (1.0 - rest * (1 / 2 - rest * (1 / 3 - rest * (1 / 4 - rest * (1 / 5)))))
    found: Floats = power * math.log(2) + (_LOG[near.astype(np.intp) - _FINE] + series)
    return found


def logistic(values: Floats) -> Floats:
    """Return 1 / (1 + exp(-values)) for values within [-60, 60]. Guarantee and test as of ``exponential``."""
    return 1.0 / (1.0 + exponential(-values))


def softplus(values: Floats) -> Floats:
    """Return log(1 + exp(values)) for values within [-60, 60], to 1e-12. Guarantee and test as of ``exponential``."""
    return np.maximum(values, 0.0) + logarithm(1.0 + exponential(-np.abs(values)))


def tangent(values: Floats) -> Floats:
    """Return tanh, to 1e-12. Guarantee and test as of ``exponential``."""
    held = np.minimum(np.maximum(values, -MOST), MOST)
    return 1.0 - 2.0 / (1.0 + exponential(2.0 * held))


def density(values: Floats) -> Floats:
    """Return the density of the standard normal, to 1e-13. Guarantee and test as of ``exponential``."""
    return exponential(-np.minimum(values * values / 2.0, 2 * MOST)) * (1 / math.sqrt(2 * math.pi))


def normal(values: Floats) -> Floats:
    """Return the distribution function of the standard normal, to 1e-9. Guarantee and test as of ``exponential``."""
    held = np.minimum(np.maximum(values, float(-_LARGEST_NORMAL)), float(_LARGEST_NORMAL))
    near = np.rint(held * _FINE)
    middle = near / _FINE
    rest = held - middle
    series = rest * (1.0 - middle * rest / 2.0 + (middle * middle - 1.0) * rest * rest / 6.0)
    found: Floats = _NORMAL[near.astype(np.intp) + _LARGEST_NORMAL * _FINE] + density(middle) * series
    return found


def log_factorials(values: Floats) -> Floats:
    """Return log(values!) by number, for values of 0 or more. Each distinct value is looked up once."""
    distinct, back = np.unique(values, return_inverse=True)
    found: Floats = np.array([math.lgamma(value + 1.0) for value in distinct])[back]
    return found


def product(rows: Floats, weights: Floats) -> Floats:
    """Return rows times the transpose of weights: of shape (rows, in) and (out, in), the shape (rows, out).

    Guarantee: each row's bits are those that it has alone: no matrix library, whose order of adding depends on shapes.
    Test: tests/queries/test_families.py::test_a_rows_numbers_have_the_same_bits_alone_and_among_others.
    """
    found = np.zeros((len(rows), len(weights)))
    for place in range(rows.shape[1]):
        found += rows[:, place, None] * weights[:, place]
    return found


def weighed(rows: Floats, weights: Floats) -> Floats:
    """Return rows times one vector of weights, of shape (rows,). Guarantee and test as of ``product``."""
    found = np.zeros(len(rows))
    for first in range(0, len(rows), _AT_ONCE):  # rows that stay in a processor's cache
        some = rows[first : first + _AT_ONCE]
        for place in range(rows.shape[1]):
            found[first : first + _AT_ONCE] += some[:, place] * weights[place]
    return found


def total(rows: NDArray[np.float64]) -> Floats:
    """Return the sum over the first axis, one after the other. Guarantee and test as of ``product``."""
    found = np.zeros(rows.shape[1:])
    for row in rows:
        found += row
    return found
