"""The tree of counts: its fit and its errors are those of weighted least squares, written out in full."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from queries.agreed.catalogue import Label, NumberColumn
from queries.answers.inversion import rising
from queries.answers.tree import MOST_LEAVES, MOST_TOP, tree_of

HIGHEST = st.one_of(st.integers(1, 40), st.integers(100, 140))


def column(low: int, high: int, step: Fraction = Fraction(1)) -> NumberColumn:
    """Return a column with these bounds in steps."""
    return NumberColumn(name="x", label=Label(en="x", zh="x"), low=low, high=high, step=step)


def design(tree):
    """Return, level by level, which leaves each band holds."""
    leaves = np.arange(len(tree.starts))
    return [(leaves // stride == np.arange(len(tree.level(stride)))[:, None]) * 1.0 for stride in tree.strides]


def least_squares(tree, variances):
    """Return the covariance of the fit, and what turns measurements into it."""
    whole = np.vstack(design(tree))
    weights = np.concatenate(
        [np.full(len(level), 1 / variance) for level, variance in zip(design(tree), variances, strict=True)]
    )
    covariance = np.linalg.inv(whole.T @ (whole * weights[:, None]))
    return covariance, covariance @ (whole.T * weights)


@settings(deadline=None, max_examples=40)
@given(high=HIGHEST, data=st.data())
def test_the_fit_and_its_errors_are_those_of_weighted_least_squares(high, data):
    """Leaves, variances of cumulative counts and their covariance with the whole are the textbook's."""
    tree = tree_of(column(0, high))
    variances = tuple(data.draw(st.floats(0.1, 10)) for _ in tree.strides)
    covariance, solve = least_squares(tree, variances)
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    levels = [generator.normal(size=(2, len(tree.level(stride)))) for stride in tree.strides]
    assert tree.leaves(levels, variances) == pytest.approx((solve @ np.hstack(levels).T).T)
    variance, with_whole, whole = tree.errors(variances)
    cumulative = np.cumsum(np.cumsum(covariance, axis=0), axis=1)
    assert variance == pytest.approx(np.diag(cumulative))
    assert with_whole == pytest.approx(cumulative[:, -1])
    assert whole == pytest.approx(cumulative[-1, -1])


@settings(deadline=None, max_examples=40)
@given(high=HIGHEST, seed=st.integers(0, 99))
def test_without_noise_the_leaves_are_the_counts(high, seed):
    """What adds up already stays as it is."""
    tree = tree_of(column(0, high))
    counts = np.random.default_rng(seed).integers(0, 50, (3, len(tree.starts))).astype(float)
    levels = [counts @ level.T for level in design(tree)]
    assert tree.leaves(levels, (1.0,) * len(levels)) == pytest.approx(counts)


@settings(deadline=None, max_examples=60)
@given(
    low=st.integers(-(10**6), 10**6),
    span=st.integers(1, 1 << 30),
)
def test_every_column_has_a_tree_of_bounded_size(low, span):
    """Leaves start at the lower bound, rise, are at most 1,024, and the coarsest level has at most eight bands."""
    tree = tree_of(column(low, low + span))
    assert tree.starts[0] == low
    assert all(before < after for before, after in zip(tree.starts, tree.starts[1:], strict=False))
    assert tree.starts[-1] <= tree.end == low + span
    assert 2 <= len(tree.starts) <= MOST_LEAVES
    assert len(tree.level(tree.strides[0])) <= MOST_TOP
    assert tree.strides[-1] == 1
    assert tree.exact == (span < MOST_LEAVES)


def test_leaves_of_a_wide_column_from_zero_grow_with_the_value():
    """Costs up to 200,000.00 are told apart by a few units below 100, and by a few hundred at the top."""
    tree = tree_of(column(0, 20_000_000, Fraction(1, 100)))
    widths = np.diff(tree.starts)
    assert widths[:16].max() < 1_000
    assert 30_000 < widths[-1] < 50_000


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60))
def test_the_rising_sequence_is_the_nearest_one(counts):
    """Pool adjacent violators, held against scipy's."""
    (found,) = rising(np.array([counts]))
    assert found == pytest.approx(isotonic_regression(counts).x, abs=1e-9)
