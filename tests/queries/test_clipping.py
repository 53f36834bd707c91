from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from queries.models.clipping import BOUND, BOUND_UPDATE, MOST_OF_ROW, clipped, update, whole

LARGE = 2.0**52
WHOLE = st.one_of(st.integers(-5, 5), st.integers(-(1 << 17), 1 << 17), st.integers(-(1 << 52), 1 << 52)).map(float)
MATRICES = arrays.arrays(np.float64, st.tuples(st.integers(0, 6), st.integers(1, 9)), elements=WHOLE)


def squared(row: np.ndarray) -> int:
    """Return the squared length, in Python's whole numbers."""
    return sum(int(value) ** 2 for value in row)


@given(MATRICES, st.sampled_from([1, 2, 7, 1000, BOUND]))
def test_no_vector_is_longer_than_its_bound(values, bound) -> None:
    """Exactly, in whole numbers, for vectors of any length; nothing is turned round or made larger."""
    found = clipped(values.copy(), bound)
    for before, after in zip(values, found, strict=True):
        assert (after == np.trunc(after)).all()
        assert squared(after) <= bound**2
        assert (np.abs(after) <= np.abs(before)).all()
        assert (after * before >= 0).all()
        if squared(before) <= bound**2:
            assert (after == before).all()


@given(MATRICES.filter(len))
def test_a_vector_is_clipped_alone_as_among_others(values) -> None:
    """The same whole numbers, whatever the other rows are."""
    together = clipped(values.copy(), 1000)
    for place in range(len(values)):
        assert (clipped(values[place : place + 1].copy(), 1000) == together[place]).all()


def test_a_long_vector_keeps_its_direction_and_nearly_the_whole_bound() -> None:
    """What is lost to whole numbers is hardly more than one in each of them."""
    chance = np.random.default_rng(1)
    for width in (1, 3, 60, 4_000, 60_000):
        values = np.rint(chance.standard_normal((3, width)) * 2.0 ** chance.integers(20, 50, (3, 1)))
        found = clipped(values.copy(), BOUND)
        wanted = values * (BOUND / np.sqrt((values**2).sum(axis=1)))[:, None]
        assert np.abs(found - wanted).max() <= 1.02


def test_a_vector_that_is_not_of_numbers_adds_none() -> None:
    """Not a number, or infinite: whole numbers within the bound nevertheless, and the others as they were."""
    values = np.array([[np.nan, 3.0], [np.inf, 1.0], [-np.inf, np.nan], [LARGE, LARGE], [2.0, -1.0]])
    found = clipped(values, BOUND)
    assert np.isfinite(found).all()
    assert all(squared(row) <= BOUND**2 for row in found)
    assert found[4].tolist() == [2.0, -1.0]


def test_rows_are_made_whole_and_held() -> None:
    """To the nearest whole number; an overflow becomes the largest that a row may hold."""
    values = np.array([0.4, -0.6, 1e300, -np.inf])
    assert whole(values).tolist() == [0.0, -1.0, MOST_OF_ROW, -MOST_OF_ROW]


@given(
    arrays.arrays(np.float64, st.integers(0, 50), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(1e-4, 1e6),
)
def test_no_update_is_longer_than_its_bound(values, clip) -> None:
    """Of a hospital's update by an app, whatever the app returned."""
    assert squared(update(values, clip)) <= BOUND_UPDATE**2


def test_an_update_within_its_clip_is_kept_to_the_nearest_unit() -> None:
    """A unit is the clip over the bound."""
    values = np.array([0.3, -0.4, 0.0])
    found = update(values, 2.0)
    assert np.abs(found * (2.0 / BOUND_UPDATE) - values).max() <= 1.0 / BOUND_UPDATE
    far = update(values * 100, 2.0)
    assert math.isclose(math.sqrt(squared(far)), BOUND_UPDATE, rel_tol=1e-5)
    assert far[0] * 4 == -far[1] * 3 or abs(far[0] / far[1] + 0.75) < 1e-5
