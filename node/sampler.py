"""An exact sampler of the discrete Gaussian for long vectors: inversion of a table of 256-bit thresholds.

One 64-bit word of entropy decides a draw, except where it ties with a threshold's leading word; then 192 more bits do.
The law of a draw is within 2^-240 of the ideal one, and the time it takes hardly depends on what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Entropy = Callable[[int], bytes]
"""Returns that many unpredictable bytes, such as ``os.urandom``."""

MOST_SCALE = 4096
"""Largest scale that a table is made for: it has about 38 entries for each unit of scale."""

BITS = 256
"""Of a threshold."""

_WORK = 384
"""Bits that weights are kept in. With n weights, thresholds are off by less than n^3 x 2^-384: below 2^-330 here."""

_DIGITS = 125
"""Decimal digits of the two exponentials that all weights are products of: more than 384 bits."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The distribution function of one discrete Gaussian, from -reach to reach."""

    reach: int
    """The tails beyond it hold less than 2^-256 together."""
    thresholds: tuple[int, ...] = field(repr=False)
    """For each value, 2^256 times the chance of at most that value, rounded down."""
    leading: NDArray[np.uint64] = field(repr=False)
    """The leading 64 bits of each threshold."""

    def draw(self, count: int, entropy: Entropy) -> NDArray[np.int64]:
        """Return ``count`` independent draws.

        Guarantee: a draw is the least value whose threshold is at least a uniform 256-bit number.
        Tests: tests/node/test_noise.py::test_the_table_has_the_law_of_opendp and
        test_a_tie_in_the_leading_word_is_settled_by_more_entropy.
        """
        words = np.frombuffer(entropy(8 * count), dtype=np.uint64)
        low = np.searchsorted(self.leading, words, side="left")
        high = np.searchsorted(self.leading, words, side="right")
        draws = low.astype(np.int64)
        for tie in np.flatnonzero(low != high):
            rest = int.from_bytes(entropy((BITS - 64) // 8), "big")
            uniform = (int(words[tie]) << (BITS - 64)) | rest
            value = int(low[tie])
            while uniform > self.thresholds[value]:
                value += 1
            draws[tie] = value
        return draws - self.reach


@lru_cache(maxsize=4)
def table(scale: Fraction) -> Table:
    """Return the table of the discrete Gaussian with P(k) proportional to exp(-k^2 / (2 scale^2)).

    Weights follow by exact integer recurrence from two exponentials: w(k+1) = w(k) r q^k, r = exp(-1/(2 scale^2)),
    q = r^2 (Canonne, Kamath and Steinke, NeurIPS 2020, for the law itself).
    """
    if not 0 < scale <= MOST_SCALE:
        raise ValueError(f"a table of scale {scale} is not made")
    reach = math.ceil(scale * Fraction(math.sqrt(2 * math.log(2) * (BITS + 10)))) + 1
    step, fall = _exponential(-1 / (2 * scale**2)), _exponential(-1 / scale**2)
    weights = [1 << _WORK]
    for _ in range(reach):
        weights.append((weights[-1] * step) >> _WORK)
        step = (step * fall) >> _WORK
    total = 2 * sum(weights) - weights[0]
    below, thresholds = 0, []
    for value in range(-reach, reach + 1):
        below += weights[abs(value)]
        thresholds.append((below << BITS) // total)
    thresholds[-1] = (1 << BITS) - 1
    leading = np.array([threshold >> (BITS - 64) for threshold in thresholds], dtype=np.uint64)
    return Table(reach=reach, thresholds=tuple(thresholds), leading=leading)


def _exponential(power: Fraction) -> int:
    with localcontext() as context:
        context.prec = _DIGITS
        value = (Decimal(power.numerator) / Decimal(power.denominator)).exp()
        return int(value * (1 << _WORK))
