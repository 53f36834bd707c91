"""The discrete Gaussian at large scales."""

from __future__ import annotations

import math
import os
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from node import noise, sampler, wide_sampler
from node.wide_sampler import chance, draw_wide
from queries.cost.measurement import BlockNoise, loss
from queries.cost.sensitivity import Sensitivity

ALPHA = 1e-6  # of every statistical test here: a false alarm in a million runs
SCALES = (Fraction(256), Fraction(257), Fraction(300_001, 1024), Fraction(5000), Fraction((1 << 30) + 1, 1024))


def p_value(draws: np.ndarray, scale: Fraction) -> float:
    """Return the p-value of draws against the law: of values where that is cheap, else of the normal's runs."""
    edges = stats.norm.ppf(np.arange(1, 40) / 40)
    # Between whole numbers, so that the continuous law's chances of runs are the discrete one's but for 1/s^2.
    ends = np.round(edges * float(scale)) + 0.5
    law = np.diff(np.concatenate([[0.0], stats.norm.cdf(ends / float(scale)), [1.0]]))
    seen = np.bincount(np.searchsorted(ends, draws), minlength=40)
    return float(stats.chisquare(seen, law * draws.size).pvalue)


@pytest.mark.parametrize("scale", SCALES)
def test_wide_draws_follow_the_law(scale: Fraction) -> None:
    """Runs, parity of neighbours and the place within a coarse run; a scale 3 % smaller is told apart."""
    draws = draw_wide(scale, 150_000, os.urandom)
    assert draws.dtype == np.int64
    assert p_value(draws, scale) > ALPHA
    assert p_value(draw_wide(scale * Fraction(33, 32), 150_000, os.urandom), scale) < ALPHA
    assert stats.binomtest(int((draws % 2).sum()), draws.size).pvalue > ALPHA
    runs = wide_sampler.runs_of(scale)
    assert scale / wide_sampler.COARSE <= runs < 2 * scale / wide_sampler.COARSE
    if runs < 100:
        sizes = np.arange(1, 12 * math.ceil(scale))
        law = np.bincount(sizes % runs, weights=np.exp(-(sizes**2) / (2 * float(scale) ** 2)), minlength=runs)
        seen = np.bincount(np.abs(draws[draws != 0]) % runs, minlength=runs)
        assert stats.chisquare(seen, law / law.sum() * seen.sum()).pvalue > ALPHA


@pytest.mark.parametrize("scale", [Fraction(100), Fraction(5000)])
def test_wide_runs_are_refined(monkeypatch, scale: Fraction) -> None:
    """Drawn from a table of a scale below 2, where the coin rejects much, the law is the same."""
    monkeypatch.setattr(wide_sampler, "COARSE", 2)
    assert p_value(draw_wide(scale, 60_000, os.urandom), scale) > ALPHA


def test_near_zero_each_value_has_its_chance() -> None:
    """Zero is neither twice nor half as likely as its neighbours, and both signs are alike."""
    draws = draw_wide(Fraction(256), 1_000_000, os.urandom)
    seen = np.bincount(draws[np.abs(draws) <= 20] + 20, minlength=41)
    law = np.exp(-(np.arange(-20, 21) ** 2) / (2 * 256**2))
    assert stats.chisquare(seen, law / law.sum() * seen.sum()).pvalue > ALPHA


def test_it_agrees_with_the_table_where_both_can_draw() -> None:
    """The same law from two ways of drawing."""
    scale = Fraction(1024 * 700 + 1, 1024)
    one, other = draw_wide(scale, 100_000, os.urandom), sampler.table(scale).draw(100_000, os.urandom)
    assert stats.ks_2samp(one, other).pvalue > ALPHA


@pytest.mark.parametrize("excess", [1, 7 * 10**5, 10**9])
def test_a_close_coin_is_decided_in_256_bits(monkeypatch, excess: int) -> None:
    """A word that agrees with the chance as far as it goes takes 192 more bits, which decide on the exact side."""
    scale = Fraction(5000)
    exact = chance(excess, scale)
    assert abs(exact / 2**256 - math.exp(-excess / (2 * 5000**2))) < 2**-50
    leading, rest = divmod(exact, 1 << 192)
    # x and u with u (2 x - u) = excess: u = 1.
    size, u = np.array([(excess + 1) // 2]), np.array([1])
    if u[0] * (2 * size[0] - u[0]) != excess:
        exact = chance(int(u[0] * (2 * size[0] - u[0])), scale)
        leading, rest = divmod(exact, 1 << 192)
    for tail, accepted in ((rest, False), (rest - 1, True), (0, True), ((1 << 192) - 1, False)):
        asked: list[int] = []

        def entropy(count: int, tail: int = tail, asked: list[int] = asked) -> bytes:
            asked.append(count)
            return tail.to_bytes(count, "big")

        words = np.array([leading], dtype=np.uint64)
        assert wide_sampler._coins(scale, size, u, words, entropy).tolist() == [accepted]
        assert asked == [24]


def test_long_vectors_of_wide_noise_do_not_wait_for_opendp() -> None:
    """A network's 60,000 weights take their noise from here."""
    sensitivity = Sensitivity(l1=1 << 20, l2_squared=1 << 32, linf=1 << 16, worst_case="")
    scale = Fraction(300_000)
    cost = loss(1 << 32, scale, 3, 60_000)
    block = BlockNoise(entries=60_000, grid=1, share_scale=scale, sensitivity=sensitivity, rho=cost)
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    drawn = noise._draw(block, entropy)
    assert drawn.shape == (60_000,)
    assert asked
    assert p_value(drawn, scale) > ALPHA


def test_a_scale_out_of_reach_is_refused() -> None:
    """Smaller ones have a table; larger ones are never asked for."""
    for scale in (Fraction(15), Fraction((1 << 40) + 1)):
        with pytest.raises(ValueError, match="not drawn"):
            draw_wide(scale, 1, os.urandom)
