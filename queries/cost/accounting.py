"""Privacy loss in zCDP: integer ledger units, and what a rho means as (epsilon, delta).

Loss is zero-concentrated differential privacy (Bun and Steinke, TCC 2016). Budgets and costs are whole ledger units,
always rounded up; floats appear only in what people are shown.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from queries.errors import PrivacyError

UNIT = 1 << 40
"""Ledger units in a rho of 1."""

DELTA = Fraction(1, 1_000_000)
"""The delta that epsilons are stated at unless another is named."""

MOST_EPSILON = 100
"""Beyond this an epsilon promises nothing, so it is taken for a slip."""

_PRECISION = 1e-9
"""Of an epsilon."""

_SEARCH = 200
"""Most halvings of an interval; about 45 do."""

_KEPT = 256
"""Conversions that are kept: an answer shows the same few amounts many times, and each takes milliseconds."""


def units(rho: Fraction) -> int:
    """Turn a rho into ledger units, rounded up, so that no cost is ever undercounted."""
    return -(-rho.numerator * UNIT // rho.denominator)


def rho_of_units(amount: int) -> Fraction:
    """Turn ledger units into a rho, exactly."""
    return Fraction(amount, UNIT)


@lru_cache(maxsize=_KEPT)
def epsilon_of(rho: Fraction, delta: Fraction = DELTA) -> float:
    """Return an epsilon for which rho-zCDP implies (epsilon, delta)-DP, within 1e-9 of the least that the bound gives.

    Bound: delta = min over a > 1 of exp((a - 1)(a rho - epsilon)) / a * (1 - 1/a)^(a - 1) (Canonne, Kamath and Steinke,
    NeurIPS 2020, Proposition 12; the form OpenDP uses).

    Guarantee: never below the least epsilon of the bound by more than rounding, so people are not shown too little.
    Test: tests/queries/test_accounting.py::test_epsilon_agrees_with_opendp_and_is_never_below_it.
    """
    log_delta = _log(delta)
    if rho <= 0:
        return 0.0
    loss = float(rho)
    low, high = 0.0, loss + 2 * math.sqrt(-loss * log_delta) + _PRECISION
    while high - low > _PRECISION * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_delta(loss, middle) > log_delta else (low, middle)
    return high


@lru_cache(maxsize=_KEPT)
def rho_of(epsilon: float, delta: Fraction = DELTA) -> Fraction:
    """Return the largest rho, in whole ledger units, whose epsilon is at most ``epsilon``, to 1e-9 of that epsilon.

    Guarantee: ``epsilon_of`` of the result is at most ``epsilon``, so nobody spends more than was asked for.
    Test: tests/queries/test_accounting.py::test_the_rho_for_an_epsilon_stays_within_it_and_one_step_more_does_not.
    """
    log_delta = _log(delta)
    if not (math.isfinite(epsilon) and 0 < epsilon <= MOST_EPSILON):
        raise PrivacyError(
            f"epsilon {epsilon} is not between 0 and {MOST_EPSILON}", remedy="one question usually takes 0.1 to 1"
        )
    within = epsilon - _PRECISION * max(1.0, epsilon)
    low, high = 0, 1 << 47
    while high - low > 1:
        middle = (low + high) // 2
        fits = within > 0 and _log_delta(float(rho_of_units(middle)), within) <= log_delta
        low, high = (middle, high) if fits else (low, middle)
    if low == 0:
        raise PrivacyError(f"epsilon {epsilon} is too small to account for", remedy="use at least 0.0001")
    return rho_of_units(low)


def _log(delta: Fraction) -> float:
    if not 0 < float(delta) < 1:
        raise PrivacyError(f"delta {delta} is not between 0 and 1", remedy="one in a million is usual: 1/1000000")
    return math.log(float(delta))


def _log_delta(rho: float, epsilon: float) -> float:
    """Return the log of the least delta at this epsilon: a convex problem in the order a, solved by bisection.

    Any order gives a true bound, so an inexact one errs towards a larger delta.
    """
    low, high = 1.0 + 1e-9, (epsilon + 1) / (2 * rho) + 2
    for _ in range(_SEARCH):
        order = (low + high) / 2
        slope = (2 * order - 1) * rho - epsilon + math.log1p(-1 / order)
        low, high = (order, high) if slope < 0 else (low, order)
        if high - low <= 1e-12 * high:
            break
    return (order - 1) * (order * rho - epsilon) + order * math.log1p(-1 / order) - math.log(order - 1)
