"""Shamir's sharing: t shares give the secret, fewer say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import ProtocolError
from protocols.farrsum import field, shamir
from protocols.farrsum.field import LIMBS, PRIME


@given(data=st.data(), points=st.integers(1, 40))
def test_any_t_shares_give_the_secret(hospitals, data, points):
    """Every subset of t shares, in any order, combines to the secret."""
    threshold = data.draw(st.integers(1, points))
    secret = field.uniform(LIMBS, hospitals.Shake(data.draw(st.text(max_size=4))))
    shares = shamir.share(secret, points=points, threshold=threshold, entropy=hospitals.Shake("coefficients"))
    chosen = data.draw(st.permutations(range(points)))[:threshold]
    weights = shamir.weights([place + 1 for place in chosen])
    assert shamir.reconstruct(weights, shares[list(chosen)]).tolist() == secret.tolist()


@given(data=st.data())
def test_a_share_is_the_value_of_a_polynomial(hospitals, data):
    """Share j is the polynomial's value at j + 1, as Python's integers give it."""
    points = data.draw(st.integers(1, 200))
    threshold = data.draw(st.integers(1, points))
    secret = field.uniform(2, hospitals.Shake("secret"))
    shares = shamir.share(secret, points=points, threshold=threshold, entropy=hospitals.Shake("c"))
    coefficients = field.uniform(2 * (threshold - 1), hospitals.Shake("c")).reshape(-1, 2)
    for place in {0, points // 2, points - 1}:
        for limb in range(2):
            exact = [int(secret[limb]), *(int(each) for each in coefficients[:, limb])]
            value = sum(each * pow(place + 1, degree, PRIME) for degree, each in enumerate(exact)) % PRIME
            assert int(shares[place, limb]) == value


def test_known_values():
    """Values of an independent prototype: 11 + 22x + 33x^2 at 1 to 5, and the weights of the points 2, 4 and 5."""
    coefficients = iter([field.to_bytes(np.array([22, 33]))])
    shares = shamir.share(np.array([11]), points=5, threshold=3, entropy=lambda _: next(coefficients))
    assert shares[:, 0].tolist() == [66, 187, 374, 627, 946]
    assert shamir.weights([2, 4, 5]).tolist() == [1431655768, 2147483642, 715827885]


def test_one_share_too_few_says_nothing(hospitals):
    """Any t - 1 shares are uniform together whether the secret is 0 or the prime less one (chi-square, level 1e-6)."""
    for secret in (0, PRIME - 1):
        entropy = hospitals.Fresh(f"secrecy/{secret}")
        limbs = np.full(20_000, secret)
        shares = shamir.share(limbs, points=5, threshold=3, entropy=entropy)
        for one, other in ((0, 1), (1, 4), (0, 4)):
            cells = shares[one] * 16 // PRIME * 16 + shares[other] * 16 // PRIME
            assert stats.chisquare(np.bincount(cells, minlength=256)).pvalue > 1e-6


def test_one_share_too_few_fits_every_secret(hospitals):
    """With t - 1 shares fixed, every secret belongs to exactly one possible next share."""
    shares = shamir.share(np.array([5]), points=4, threshold=3, entropy=hospitals.Shake("fit"))[:, 0]
    weights = [int(weight) for weight in shamir.weights([1, 2, 3])]
    known = weights[0] * int(shares[0]) + weights[1] * int(shares[1])
    assert weights[2] % PRIME != 0
    third = [(secret - known) * pow(weights[2], -1, PRIME) % PRIME for secret in (0, 1, 5, PRIME - 1)]
    assert len(set(third)) == len(third)
    assert third[2] == int(shares[2])


@pytest.mark.parametrize("points", [[1, 1], [0, 1], [PRIME, 1], [-1, 2]])
def test_points_must_be_distinct_and_in_the_field(points):
    """A repeated point, zero (the secret's own) or a point outside the field is refused."""
    with pytest.raises(ProtocolError, match="distinct"):
        shamir.weights(points)


@pytest.mark.parametrize(("points", "threshold"), [(3, 4), (3, 0), (PRIME, 2)])
def test_a_threshold_lies_between_one_and_the_number_of_shares(points, threshold, hospitals):
    """Nothing is shared under a threshold that nobody, or everybody, reaches."""
    with pytest.raises(ProtocolError, match="a threshold"):
        shamir.share(np.array([1]), points=points, threshold=threshold, entropy=hospitals.Shake("x"))
