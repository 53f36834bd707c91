"""Numbers modulo the prime 2^31 - 1, in numpy: what key shares are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

PRIME = (1 << 31) - 1
LIMBS = 5
"""A secret is five uniform numbers below the prime: 155 bits."""
SECRET_BYTES = 4 * LIMBS

Elements = NDArray[np.int64]
Entropy = Callable[[int], bytes]


def product(one: Elements, other: Elements) -> Elements:
    """Return the exact matrix product modulo the prime.

    Both factors are split at 16 bits, so no sum of up to 2^20 products comes near 2^63. Whole numbers are as quick here
    as floating point, and unlike BLAS start no threads that spin on after the product.
    """
    high_one, low_one = one >> 16, one & 0xFFFF
    high_other, low_other = other >> 16, other & 0xFFFF
    high: Elements = high_one @ high_other % PRIME
    middle: Elements = (high_one @ low_other + low_one @ high_other) % PRIME
    low: Elements = low_one @ low_other % PRIME
    # 2^32 = 2 modulo the prime.
    return (2 * high + (middle << 16) + low) % PRIME


def uniform(count: int, entropy: Entropy) -> Elements:
    """Return ``count`` uniform elements; a draw that equals the prime is drawn again, so none is likelier."""
    elements = np.frombuffer(entropy(4 * count), dtype="<u4").astype(np.int64) & PRIME
    while len(again := np.flatnonzero(elements == PRIME)):
        elements[again] = np.frombuffer(entropy(4 * len(again)), dtype="<u4").astype(np.int64) & PRIME
    return elements


def to_bytes(elements: Elements) -> bytes:
    """Return four bytes an element, little endian."""
    return elements.astype("<u4").tobytes()


def from_bytes(data: bytes) -> Elements:
    """Read elements back; a number that is not below the prime is reduced, as any wrong share is merely wrong."""
    return np.frombuffer(data, dtype="<u4").astype(np.int64) % PRIME
