"""Shamir's secret sharing over the prime field (CACM 22, 1979), for many secrets at once by matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from protocols.errors import ProtocolError
from protocols.farrsum.field import PRIME, Elements, Entropy, product, uniform


@lru_cache(maxsize=16)
def _powers(points: int, threshold: int) -> Elements:
    base = np.arange(1, points + 1, dtype=np.int64)
    powers = np.ones((points, threshold), dtype=np.int64)
    for degree in range(1, threshold):
        powers[:, degree] = powers[:, degree - 1] * base % PRIME
    powers.setflags(write=False)
    return powers


def share(secret: Elements, *, points: int, threshold: int, entropy: Entropy) -> Elements:
    """Split a secret of k limbs into ``points`` shares: an array (points, k); share j belongs to the point j + 1.

    Guarantee: any ``threshold`` shares give the secret, and fewer are uniform whatever it is. Test:
    tests/protocols/farrsum/test_shamir.py::test_one_share_too_few_says_nothing.
    """
    if not 1 <= threshold <= points < PRIME:
        raise ProtocolError(f"a threshold of {threshold} of {points}")
    coefficients = uniform((threshold - 1) * len(secret), entropy).reshape(threshold - 1, len(secret))
    return product(_powers(points, threshold), np.vstack([secret[None], coefficients]))


def weights(points: Sequence[int]) -> Elements:
    """Return the Lagrange weights at zero for the given distinct points (1-based)."""
    if len(set(points)) != len(points) or any(not 0 < point < PRIME for point in points):
        raise ProtocolError("points must be distinct and positive")
    at = np.array(points, dtype=np.int64)
    # Row i of the factors: every other point over its distance from point i; both stay below 2^62 when multiplied.
    distances = (at[None] - at[:, None]) % PRIME
    np.fill_diagonal(distances, 1)
    others = np.where(np.eye(len(at), dtype=bool), 1, at[None])
    top = bottom = np.ones(len(at), dtype=np.int64)
    for place in range(len(at)):
        top = top * others[:, place] % PRIME
        bottom = bottom * distances[:, place] % PRIME
    return top * np.array([pow(int(each), -1, PRIME) for each in bottom], dtype=np.int64) % PRIME


def reconstruct(at_zero: Elements, shares: Elements) -> Elements:
    """Combine shares of many secrets, an array (points, limbs of all secrets), with the weights of their points."""
    combined: Elements = product(at_zero[None], shares)[0]
    return combined
