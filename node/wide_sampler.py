"""An exact sampler of the discrete Gaussian for long vectors at large scales: a coarse draw, refined by rejection.

A table (``node.sampler``) draws in which run of k neighbouring values a draw's size lies, a uniform word which of them,
and a coin of exactly the right chance accepts or rejects it. With s the scale and x = k y + u,

    exp(-x^2 / 2 s^2) = exp(-y^2 / 2 (s / k)^2) exp(-u (2 k y + u) / 2 s^2),

so what the table gives for y, for u uniform, is accepted with the second factor's chance, which is nearly 1. As in
Canonne, Kamath and Steinke (NeurIPS 2020, Algorithm 3), a minus sign of zero is rejected.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from node.sampler import BITS, Entropy, Table, table

COARSE = 16
"""Scale of the table, at most: about 600 thresholds, soon made; one proposal in twenty is rejected for it."""

MARGIN = 2.0**-40
"""Where a coin's word is closer than this to its chance, computed in floats, it is computed in full: floats err by less
than 2^-48 here."""

MOST_TABLES = 64
"""Tables that are kept, of some 50 KB each: rounds of a run use the same scales, one for each of their sums."""

_DIGITS = 125
_AT_ONCE = 1 << 20
_WORD = 64


def draw_wide(scale: Fraction, count: int, entropy: Entropy) -> NDArray[np.int64]:
    """Return ``count`` independent draws of the discrete Gaussian of a scale from ``COARSE`` up to 2^40.

    Guarantee: the law of a draw is within 2^-240 of the ideal one; every coin is decided in 256 bits where 64 and
    floats do not decide it. Tests: tests/node/test_wide_sampler.py.
    """
    if not COARSE <= scale <= 1 << 40:
        raise ValueError(f"a scale of {scale} is not drawn that way")
    found = np.empty(count, dtype=np.int64)
    filled = 0
    while filled < count:
        # About half of what is proposed is kept.
        proposed = min(_AT_ONCE, 2 * (count - filled) + (count - filled) // 8 + 64)
        kept = _accepted(scale, proposed, entropy)[: count - filled]
        found[filled : filled + len(kept)] = kept
        filled += len(kept)
    return found


def _accepted(scale: Fraction, proposed: int, entropy: Entropy) -> NDArray[np.int64]:
    """Return the draws that so many proposals lead to."""
    runs = runs_of(scale)
    y = _coarse(scale / runs).draw(proposed, entropy)
    u = (np.frombuffer(entropy(8 * proposed), dtype=np.uint64) & np.uint64(runs - 1)).astype(np.int64)
    words = np.frombuffer(entropy(8 * proposed), dtype=np.uint64)
    minus = (np.frombuffer(entropy(proposed), dtype=np.uint8) & 1).astype(bool)
    possible = y >= 0
    y, u, words, minus = y[possible], u[possible], words[possible], minus[possible]
    size = runs * y + u
    kept = _coins(scale, size, u, words, entropy) & ~(minus & (size == 0))
    drawn: NDArray[np.int64] = np.where(minus, -size, size)[kept]
    return drawn


@lru_cache(maxsize=MOST_TABLES)
def _coarse(scale: Fraction) -> Table:
    return table.__wrapped__(scale)


def runs_of(scale: Fraction) -> int:
    """Return k: the least power of two, so that bits of a word are uniform, that leaves a table of ``COARSE``."""
    return 1 << (-(-scale.numerator // (scale.denominator * COARSE)) - 1).bit_length()


def _coins(
    scale: Fraction, size: NDArray[np.int64], u: NDArray[np.int64], words: NDArray[np.uint64], entropy: Entropy
) -> NDArray[np.bool_]:
    """Return whether each proposal is accepted: with chance exp(-u (2 x - u) / 2 s^2), as 2 k y + u = 2 x - u."""
    power = u * (2.0 * size - u) / (2 * float(scale) ** 2)
    above = words * 2.0**-_WORD - np.exp(-power)
    accepted: NDArray[np.bool_] = above < 0
    for place in np.flatnonzero(np.abs(above) < MARGIN):
        uniform = (int(words[place]) << (BITS - _WORD)) | int.from_bytes(entropy((BITS - _WORD) // 8), "big")
        accepted[place] = uniform < chance(int(u[place]) * (2 * int(size[place]) - int(u[place])), scale)
    return accepted


def chance(excess: int, scale: Fraction) -> int:
    """Return 2^256 exp(-excess / 2 s^2), rounded down."""
    with localcontext() as context:
        context.prec = _DIGITS
        power = Fraction(excess) / (2 * scale**2)
        return int((-Decimal(power.numerator) / Decimal(power.denominator)).exp() * (1 << BITS))
