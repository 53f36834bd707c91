from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from node import noise, sampler
from node.noise import MOST_OPENDP_ENTRIES, check_cost, noise_shares, noisy_vector
from queries.cost.measurement import BlockNoise, Measurement, loss
from queries.cost.sensitivity import Sensitivity
from queries.errors import PrivacyError

ALPHA = 1e-6  # of every statistical test here: a false alarm in a million runs
SCALES = (Fraction(2), Fraction(2051, 1024), Fraction(37, 2), Fraction(1000))


def block(
    entries: int = 4, *, scale: Fraction = Fraction(5), grid: int = 1, l2: int = 1, honest: int = 1
) -> BlockNoise:
    """Return the noise of one block, at its true cost."""
    sensitivity = Sensitivity(l1=l2, l2_squared=l2 * l2, linf=l2, worst_case="")
    cost = loss(grid * grid * l2 * l2, scale, honest, entries)
    return BlockNoise(entries=entries, grid=grid, share_scale=scale, sensitivity=sensitivity, rho=cost)


def chances(scale: Fraction, reach: int) -> NDArray[np.float64]:
    """Return the discrete Gaussian's law on -reach to reach, straight from its definition."""
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values.astype(float) ** 2) / (2 * float(scale) ** 2))
    return weights / weights.sum()


def fit(draws: NDArray[np.int64], scale: Fraction) -> float:
    """Return the p-value of a chi-square test of draws against the law, over runs of values of similar chance."""
    reach = math.ceil(12 * scale)
    law = chances(scale, reach)
    run = np.minimum((np.cumsum(law) * 40).astype(int), 39)
    expected = np.bincount(run, weights=law, minlength=40) * draws.size
    seen = np.bincount(run[draws + reach], minlength=40)
    filled = expected > 5
    return float(stats.chisquare(seen[filled], expected[filled] * seen[filled].sum() / expected[filled].sum()).pvalue)


@pytest.mark.parametrize("scale", SCALES)
def test_the_table_has_the_law_of_opendp(scale: Fraction) -> None:
    """Both samplers follow the discrete Gaussian, and each other; a scale that is a tenth smaller is told apart."""
    table = sampler.table(scale).draw(60_000, os.urandom)
    reference = np.array(noise._share(float(scale))([0] * 20_000))
    assert fit(table, scale) > ALPHA
    assert fit(reference, scale) > ALPHA
    edges = np.quantile(reference, np.linspace(0, 1, 21)[1:-1])
    counts = [np.bincount(np.searchsorted(edges, drawn), minlength=20) for drawn in (table, reference)]
    both = np.array([pair for pair in zip(*counts, strict=True) if sum(pair) > 10]).T
    assert stats.chi2_contingency(both).pvalue > ALPHA
    assert fit(sampler.table(scale * Fraction(9, 10)).draw(60_000, os.urandom), scale) < ALPHA


@pytest.mark.parametrize("scale", [Fraction(1, 2), Fraction(2), Fraction(2049, 1024), Fraction(50)])
def test_the_thresholds_are_the_distribution_function(scale: Fraction) -> None:
    """All thresholds are within 2^-48 of the law computed in floats, symmetric to 2^-250, and rising to 2^256 - 1."""
    table = sampler.table(scale)
    total = np.cumsum(chances(scale, table.reach))
    assert np.allclose([threshold / 2**256 for threshold in table.thresholds], total, rtol=0, atol=2**-48)
    assert table.thresholds[-1] == 2**256 - 1
    assert all(low <= high for low, high in zip(table.thresholds, table.thresholds[1:], strict=False))
    for below, above in zip(table.thresholds, reversed(table.thresholds[:-1]), strict=False):
        assert abs(below + above - 2**256) <= 64


def test_a_tie_in_the_leading_word_is_settled_by_more_entropy() -> None:
    """Words that equal a threshold's leading word take 192 more bits, which decide on the exact side."""
    table = sampler.table(Fraction(2))
    place = table.reach  # the threshold of the value 0
    leading, rest = divmod(table.thresholds[place], 1 << 192)
    for tail, drawn in ((rest, 0), (rest + 1, 1), (0, 0), (2**192 - 1, 1)):
        answers = iter([np.uint64(leading).tobytes(), tail.to_bytes(24, "big")])
        assert table.draw(1, lambda count, answers=answers: next(answers)[:count]).tolist() == [drawn]


def test_a_scale_without_a_table_is_refused() -> None:
    """Tables beyond the limit would take too long, and a scale of 0 is no noise."""
    for scale in (Fraction(0), Fraction(-1), Fraction(sampler.MOST_SCALE + 1)):
        with pytest.raises(ValueError, match="not made"):
            sampler.table(scale)


def test_long_vectors_come_from_the_table_and_short_ones_from_opendp() -> None:
    """Beyond ten thousand entries the entropy argument is used; up to there, OpenDP's own.

    At scales too large for a table they come from test_wide_sampler.py's.
    """
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    noise_shares(Measurement(blocks=(block(100),), honest=1), entropy)
    assert asked == []
    noise_shares(Measurement(blocks=(block(MOST_OPENDP_ENTRIES + 1),), honest=1), entropy)
    assert asked[0] == 8 * (MOST_OPENDP_ENTRIES + 1)


@pytest.mark.parametrize(
    ("change", "honest"),
    [
        ({"share_scale": Fraction(4)}, 1),
        ({"share_scale": Fraction(1)}, 1),
        ({"share_scale": Fraction(0)}, 1),
        ({"share_scale": Fraction(5) + Fraction(1, 3)}, 1),
        ({"grid": 2}, 1),
        ({"grid": 0}, 1),
        ({"sensitivity": Sensitivity(l1=2, l2_squared=2, linf=1, worst_case="")}, 1),
        ({"rho": Fraction(1, 51)}, 1),
        ({"rho": Fraction(0)}, 1),
        ({}, 0),
        ({"rho": Fraction(1, 151)}, 3),
    ],
)
def test_noise_smaller_than_its_cost_is_never_drawn(monkeypatch: pytest.MonkeyPatch, change, honest: int) -> None:
    """Every field that could make the noise too small for its cost is caught, before any block is drawn."""
    check_cost(block(), 1)
    drawn: list[BlockNoise] = []
    monkeypatch.setattr(noise, "_draw", lambda asked, _: drawn.append(asked))
    wrong = Measurement(blocks=(block(), replace(block(), **change)), honest=honest)
    with pytest.raises(PrivacyError):
        noise_shares(wrong)
    assert drawn == []


@pytest.mark.parametrize("honest", [1, 3, 40])
def test_the_cost_agrees_with_opendps_account(honest: int) -> None:
    """The exact rational cost and OpenDP's differ by rounding only, whatever the grid and the sensitivity."""
    for grid, l2, scale in ((1, 1, Fraction(5)), (8, 3, Fraction(4097, 1024)), (24, 3000, Fraction(10**9))):
        made = block(grid=grid, l2=l2, scale=scale, honest=honest)
        check_cost(made, honest)
        assert math.isclose(noise._share(float(scale)).map(float(grid * l2)) / honest, float(made.rho), rel_tol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**50), 2**50), min_size=6, max_size=6))
def test_a_noisy_vector_is_the_exact_one_on_the_grid_plus_noise_in_the_ring(values: list[int]) -> None:
    """Block by block, exact x grid + noise modulo 2^64; the difference is as small as noise is."""
    measurement = Measurement(blocks=(block(2, grid=3), block(4, grid=7)), honest=1)
    noisy = noisy_vector(np.array(values, dtype=np.int64), measurement)
    assert noisy.dtype == np.uint64
    for value, grid, entry in zip(values, (3, 3, 7, 7, 7, 7), noisy.tolist(), strict=True):
        difference = (entry - value * grid) % 2**64
        assert min(difference, 2**64 - difference) < 5 * 40


def test_noise_wraps_where_opendp_would_saturate() -> None:
    """At the ends of 64 bits the sum wraps around, so that a mask added later cancels exactly."""
    measurement = Measurement(blocks=(block(200),), honest=1)
    ends = np.full(200, 2**63 - 1, dtype=np.int64)
    noisy = noisy_vector(ends, measurement).astype(np.int64)
    assert (noisy < 0).any()
    assert (noisy > 0).any()


def test_a_vector_of_another_length_gets_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numpy would stretch a vector of one entry over all of them."""
    monkeypatch.setattr(noise, "noise_shares", lambda *_: pytest.fail("drawn"))
    for length in (0, 1, 3, 5):
        with pytest.raises(PrivacyError):
            noisy_vector(np.zeros(length, dtype=np.int64), Measurement(blocks=(block(4),), honest=1))


def test_noise_is_fresh_at_every_call() -> None:
    """Two shares of one measurement have nothing in common."""
    for entries in (64, MOST_OPENDP_ENTRIES + 1):
        measurement = Measurement(blocks=(block(entries, scale=Fraction(1000)),), honest=1)
        first, second = noise_shares(measurement), noise_shares(measurement)
        assert (first == second).mean() < 0.25


def test_the_noise_module_loads_no_data_science_libraries() -> None:
    """OpenDP's prelude would bring scikit-learn and polars."""
    heavy = ("sklearn", "polars", "pandas", "scipy", "opendp.prelude")
    script = f"import sys, node.noise; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == "[]"
