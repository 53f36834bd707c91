from __future__ import annotations

import numpy as np
import pytest

from queries.answers.quantity import NoisyBlock, Quantity

CELLS = 20_000
"""Each cell is a fresh release of the same exact numbers."""


@pytest.fixture
def rng():
    """Return a generator with a fixed seed."""
    return np.random.default_rng(20_261_031)


def release(rng, index: int, exact: float, deviation: float) -> Quantity:
    """Return one block with Gaussian noise around an exact number, in every cell."""
    values = exact + deviation * rng.standard_normal(CELLS)
    return Quantity.of_block(NoisyBlock(index=index, values=values, variance=deviation**2))


def coverage(quantity: Quantity, exact: float) -> float:
    """Return the percentage of cells whose interval holds the exact number."""
    low, high = quantity.interval()
    return 100 * float(np.mean((low <= exact) & (exact <= high)))


def test_linear_forms_have_their_exact_variance(rng):
    """Sums, differences and multiples of blocks, also of the same one, vary as stated and cover 95 %."""
    a, b = release(rng, 0, 40, 4), release(rng, 1, 25, 7)
    form = a.scaled(3) - b.scaled(0.5) + a - Quantity.constant(10, CELLS) * b
    exact = 4 * 40 - 10.5 * 25
    assert form.linear
    assert form.variance() == pytest.approx(16 * 16 + 10.5**2 * 49)
    assert np.std(form.value) == pytest.approx(np.sqrt(form.variance()[0]), rel=0.02)
    assert 94 < coverage(form, exact) < 96


def test_what_cancels_has_no_error(rng):
    """The same noisy block on both sides of a difference leaves nothing."""
    a = release(rng, 0, 40, 4)
    assert np.all((a - a).variance() == 0)


@pytest.mark.parametrize("denominator", [400, 40, 20, 16])
@pytest.mark.parametrize("numerator", [0, 5, 60])
def test_ratios_cover_the_exact_one(rng, numerator, denominator):
    """Fieller's interval covers 93 to 97 %, down to a denominator of four times its noise."""
    ratio = release(rng, 0, numerator, 4) / release(rng, 1, denominator, 4)
    assert 93 < coverage(ratio, numerator / denominator) < 97


@pytest.mark.parametrize(("denominator", "unbounded"), [(12, 0.1), (8, 0.4), (4, 0.8), (0.5, 0.9)])
def test_ratios_over_almost_nothing_are_unbounded_rather_than_wrong(rng, denominator, unbounded):
    """Where the denominator drowns in noise the interval is the whole line, and never covers too seldom."""
    ratio = release(rng, 0, 60, 4) / release(rng, 1, denominator, 4)
    low, high = ratio.interval()
    assert np.mean(np.isinf(low) & np.isinf(high)) > unbounded
    assert coverage(ratio, 60 / denominator) > 94


def test_a_ratio_of_shared_blocks_uses_their_covariance(rng):
    """A share of a total that contains it, in percent, covers 93 to 97 %, also shifted by a number."""
    part, rest = release(rng, 0, 30, 5), release(rng, 1, 40, 5)
    percent = Quantity.constant(100, CELLS) * part / (part + rest)
    assert 93 < coverage(percent, 100 * 30 / 70) < 97
    assert 93 < coverage(Quantity.constant(100, CELLS) - percent, 100 - 100 * 30 / 70) < 97
    assert percent.ratio is not None


@pytest.mark.parametrize("rows", [2000, 100, 30])
def test_centred_means_cover_the_exact_one(rng, rows):
    """A mean as mean.py makes it: centred sum over rows, moved back, cut to the public bounds."""
    centre, exact = 60.0, 74.0
    count, centred = release(rng, 0, rows, 6), release(rng, 1, rows * (exact - centre), 6 * 60)
    mean = ((centred + count.scaled(centre)) / count).within(0, 120)
    low, high = mean.interval()
    assert 93 < coverage(mean, exact) < 97
    assert low.min() >= 0
    assert high.max() <= 120


def test_products_and_quotients_of_ratios_vary_as_the_delta_method_says(rng):
    """Where the noise is small against the values, the stated deviation is the simulated one within 5 %."""
    a, b, c = release(rng, 0, 500, 4), release(rng, 1, 300, 5), release(rng, 2, 800, 6)
    for quantity in (a * b, a / b, (a / b) / c, (a / b) - (c / b), a * a):
        assert np.sqrt(np.mean(quantity.variance())) == pytest.approx(np.std(quantity.value), rel=0.05)


def test_a_ratio_over_zero_is_undefined():
    """NaN, with the whole line for an interval."""
    zero = Quantity.of_block(NoisyBlock(index=0, values=np.zeros(1), variance=1.0))
    low, high = (Quantity.constant(1, 1) / zero).interval()
    assert np.isnan((Quantity.constant(1, 1) / zero).value[0])
    assert (low[0], high[0]) == (-np.inf, np.inf)
