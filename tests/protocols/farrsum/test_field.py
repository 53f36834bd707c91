"""Numbers modulo 2^31 - 1: exact products, uniform draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protocols.farrsum import field
from protocols.farrsum.field import PRIME

ELEMENT = st.integers(0, PRIME - 1) | st.sampled_from([0, 1, PRIME - 1, 1 << 16, (1 << 16) - 1])


@given(data=st.data(), rows=st.integers(1, 4), inner=st.integers(1, 12), columns=st.integers(1, 4))
def test_a_product_is_what_whole_numbers_give(data, rows, inner, columns):
    """The float64 products lose nothing: every entry equals the sum of products of Python's integers."""
    one = data.draw(st.lists(st.lists(ELEMENT, min_size=inner, max_size=inner), min_size=rows, max_size=rows))
    other = data.draw(st.lists(st.lists(ELEMENT, min_size=columns, max_size=columns), min_size=inner, max_size=inner))
    exact = [
        [sum(a * b for a, b in zip(row, column, strict=True)) % PRIME for column in zip(*other, strict=True)]
        for row in one
    ]
    assert field.product(np.array(one), np.array(other)).tolist() == exact


@pytest.mark.parametrize("terms", [1 << 12, (1 << 20) - 1])
def test_the_largest_products_do_not_round(terms):
    """The worst case of the split, every factor at the prime less one, is exact for as many terms as are allowed."""
    one = np.full((1, terms), PRIME - 1)
    other = np.full((terms, 1), PRIME - 1)
    other[::3] = 0x7FFF_0001
    exact = sum((PRIME - 1) * (0x7FFF_0001 if place % 3 == 0 else PRIME - 1) for place in range(terms)) % PRIME
    assert field.product(one, other).tolist() == [[exact]]


def test_a_draw_that_equals_the_prime_is_drawn_again():
    """Neither 0 nor the prime comes out where the generator gives the prime, whatever its top bit is."""
    draws = [
        b"\xff\xff\xff\x7f" + b"\xff\xff\xff\xff" + b"\x05\x00\x00\x80",
        b"\x07\0\0\0" + b"\xff\xff\xff\x7f",
        b"\x09\0\0\0",
    ]
    asked = []

    def entropy(count):
        asked.append(count)
        return draws.pop(0)

    assert field.uniform(3, entropy).tolist() == [7, 9, 5]
    assert asked == [12, 8, 4]


def test_draws_are_uniform(hospitals):
    """A hundred thousand draws fill 256 equal parts of the field evenly (chi-square, level 1e-6)."""
    drawn = field.uniform(100_000, hospitals.Shake("uniform"))
    assert drawn.min() >= 0
    assert drawn.max() < PRIME
    assert stats.chisquare(np.bincount(drawn * 256 // PRIME, minlength=256)).pvalue > 1e-6


@given(st.lists(ELEMENT, max_size=8))
def test_elements_survive_the_round_trip(values):
    """Four bytes an element, little endian, and back."""
    spelt = field.to_bytes(np.array(values, dtype=np.int64))
    assert spelt == b"".join(value.to_bytes(4, "little") for value in values)
    assert field.from_bytes(spelt).tolist() == values


def test_a_number_above_the_prime_is_reduced():
    """Whatever four bytes say, the result is an element of the field."""
    assert field.from_bytes(b"\xff\xff\xff\x7f\xff\xff\xff\xff").tolist() == [0, 0xFFFF_FFFF % PRIME]
