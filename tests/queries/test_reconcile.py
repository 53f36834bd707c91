"""Sums of several levels that are made to add up."""

from __future__ import annotations

from itertools import pairwise, product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.answers.reconcile import reconcile

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
VARIANCES = st.floats(0.01, 100)


def shapes(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shape of each level, fewest keys first."""
    return [sizes[:length] for length in range(len(sizes) + 1)]


def design(sizes: tuple[int, ...]) -> np.ndarray:
    """Return the matrix from the finest sums to all that is measured, level by level."""
    finest = list(product(*map(range, sizes)))
    rows = [
        [float(cell[: len(shape)] == of) for cell in finest]
        for shape in shapes(sizes)
        for of in product(*map(range, shape))
    ]
    return np.array(rows)


def least_squares(levels: list[np.ndarray], variances: list[float], sizes: tuple[int, ...]):
    """Return generalised least squares by linear algebra: the sums of each level and their variances."""
    matrix, flat = design(sizes), np.concatenate([level.reshape(-1) for level in levels])
    weights = np.repeat([1 / variance for variance in variances], [level.size for level in levels])
    covariance = np.linalg.inv((matrix.T * weights) @ matrix)
    fitted = matrix @ (covariance @ (matrix.T @ (weights * flat)))
    spread = np.einsum("ij,jk,ik->i", matrix, covariance, matrix)
    ends = np.cumsum([0, *(level.size for level in levels)])
    pieces = [(*ends, shape) for ends, shape in zip(pairwise(ends), shapes(sizes), strict=True)]
    return [fitted[a:b].reshape(shape) for a, b, shape in pieces], [spread[a:b] for a, b, _ in pieces]


@settings(deadline=None, max_examples=80)
@given(sizes=SIZES, data=st.data())
def test_the_sums_are_those_of_generalised_least_squares(sizes, data):
    """Values and variances equal numpy's linear algebra, for any sizes and any noise of the levels."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    levels = [rng.normal(10, 30, shape) for shape in shapes(sizes)]
    variances = [data.draw(VARIANCES) for _ in levels]
    found, spread = reconcile(levels, variances)
    wanted, stated = least_squares(levels, variances, sizes)
    for one, other, variance, each in zip(found, wanted, spread, stated, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(each, variance, rtol=1e-6)


@settings(deadline=None, max_examples=80)
@given(sizes=SIZES, data=st.data())
def test_subtotals_add_up(sizes, data):
    """Every level is the sum of the next over its last key, and no level is noisier than it was measured."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    variances = [data.draw(VARIANCES) for _ in shapes(sizes)]
    found, spread = reconcile([rng.normal(0, 1000, shape) for shape in shapes(sizes)], variances)
    for level, below in pairwise(found):
        np.testing.assert_allclose(level, below.sum(axis=-1), rtol=1e-9, atol=1e-7)
    assert all(after <= before * (1 + 1e-12) for before, after in zip(variances, spread, strict=True))


def test_sums_that_agree_already_stay():
    """Exact sums are left alone: what is estimated is unbiased, as it is linear."""
    finest = np.arange(24.0).reshape(2, 3, 4)
    levels = [finest.sum(), finest.sum(axis=(1, 2)), finest.sum(axis=2), finest]
    found, _ = reconcile(levels, [3.0, 1.0, 4.0, 1.0])
    for one, other in zip(found, levels, strict=True):
        np.testing.assert_allclose(one, other)


def test_cells_of_a_statistics_own_are_problems_of_their_own():
    """An axis in front of all levels changes nothing: each of its places has the sums that it has alone."""
    rng = np.random.default_rng(3)
    alone = [[rng.normal(size=shape) for shape in shapes((2, 3))] for _ in range(5)]
    together, spread = reconcile([np.stack(level) for level in zip(*alone, strict=True)], [1.0, 2.0, 3.0])
    for place, levels in enumerate(alone):
        found, same = reconcile(levels, [1.0, 2.0, 3.0])
        assert spread == same
        for one, other in zip(found, together, strict=True):
            np.testing.assert_allclose(one, other[place])


@pytest.mark.parametrize("variances", [(9.0, 4.0, 1.0), (1.0, 4.0, 25.0), (1.0, 1.0, 1.0)])
def test_sums_are_unbiased_with_the_variance_that_is_stated(variances):
    """Over 20,000 draws means are within four standard errors of the truth, variances within four percent."""
    rng, draws, sizes = np.random.default_rng(11), 20_000, (3, 4)
    finest = rng.normal(50, 20, sizes)
    exact = [finest.sum(), finest.sum(axis=1), finest]
    noisy = [
        level + rng.normal(size=(draws, *np.shape(level))) * variance**0.5
        for level, variance in zip(exact, variances, strict=True)
    ]
    found, spread = reconcile(noisy, variances)
    for level, truth, variance in zip(found, exact, spread, strict=True):
        error = (level - truth).reshape(draws, -1)
        assert np.abs(error.mean(axis=0)).max() < 4 * (variance / draws) ** 0.5
        np.testing.assert_allclose(error.var(axis=0), variance, rtol=0.04)


@settings(deadline=None, max_examples=30)
@given(sizes=SIZES)
def test_levels_without_noise_are_taken_as_they_are(sizes):
    """Where nothing is uncertain there is nothing to weigh, and nothing is divided by zero."""
    finest = np.arange(float(prod(sizes))).reshape(sizes)
    levels = [finest.reshape(*shape, -1).sum(axis=-1) for shape in shapes(sizes)]
    found, spread = reconcile(levels, [0.0] * len(levels))
    assert spread == (0.0,) * len(levels)
    for one, other in zip(found, levels, strict=True):
        np.testing.assert_allclose(one, other)
