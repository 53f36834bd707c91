"""Privacy loss: ledger units, and epsilon held against OpenDP's own conversion."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opendp import combinators, domains, measurements, metrics
from opendp.mod import enable_features

from queries.cost.accounting import DELTA, UNIT, epsilon_of, rho_of, rho_of_units, units
from queries.errors import PrivacyError

enable_features("contrib")


def _opendp_epsilon(rho: float, delta: float) -> float:
    """Return OpenDP's epsilon of a Gaussian whose zCDP loss is rho."""
    space = domains.atom_domain(T="i64"), metrics.absolute_distance(T="f64")
    gaussian = measurements.make_gaussian(*space, scale=1.0)
    fixed = combinators.make_fix_delta(combinators.make_zCDP_to_approxDP(gaussian), delta)
    return fixed.map(math.sqrt(2 * rho))[0]


@settings(deadline=None, max_examples=60)
@given(
    rho=st.floats(-8, 1.5).map(lambda exponent: 10**exponent),
    delta=st.sampled_from([Fraction(1, 100), DELTA, Fraction(1, 10**9), Fraction(1, 10**15)]),
)
def test_epsilon_agrees_with_opendp_and_is_never_below_it(rho, delta):
    """Within a millionth of OpenDP's figure, and never less than it by more than rounding."""
    ours, theirs = epsilon_of(Fraction(rho), delta), _opendp_epsilon(rho, float(delta))
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    assert ours >= theirs - 1e-9 * max(1.0, theirs)


def test_epsilon_of_a_known_gaussian():
    """A standard deviation of 4.5309 at sensitivity 1 is (1, 1e-6): measured with OpenDP 0.16."""
    assert epsilon_of(Fraction(1, 2) / Fraction("4.5309") ** 2) == pytest.approx(1.0, abs=2e-5)


def test_epsilon_grows_with_rho_and_is_zero_without_loss():
    """Nothing spent is nothing shown; more spent is never shown as less."""
    assert epsilon_of(Fraction(0)) == 0
    shown = [epsilon_of(Fraction(step, 1000)) for step in range(1, 60, 7)]
    assert shown == sorted(shown)
    assert len(set(shown)) == len(shown)


@settings(deadline=None, max_examples=60)
@given(epsilon=st.floats(0.001, 100), delta=st.sampled_from([Fraction(1, 100), DELTA, Fraction(1, 10**12)]))
def test_the_rho_for_an_epsilon_stays_within_it_and_one_step_more_does_not(epsilon, delta):
    """The most that can be spent for an epsilon, to a relative 1e-6, and never a unit above it."""
    rho = rho_of(epsilon, delta)
    assert (rho * UNIT).denominator == 1
    assert epsilon_of(rho, delta) <= epsilon
    assert epsilon_of(rho * (1 + Fraction(1, 10**5)) + Fraction(2, UNIT), delta) > epsilon - 1e-8


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf, 101.0, 1e-9])
def test_an_epsilon_that_means_nothing_is_refused(epsilon):
    """Zero, negative, not-a-number, huge and unaccountably small."""
    with pytest.raises(PrivacyError):
        rho_of(epsilon)


@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1), Fraction(-1, 2), Fraction(1, 10**400)])
def test_a_delta_that_means_nothing_is_refused(delta):
    """Zero would need an infinite epsilon, one would promise nothing."""
    with pytest.raises(PrivacyError):
        rho_of(1.0, delta)
    with pytest.raises(PrivacyError):
        epsilon_of(Fraction(1, 100), delta)


@given(st.fractions(0, 1000))
def test_units_round_up_and_never_by_a_whole_unit(rho):
    """A ledger never undercounts, and overcounts by less than 2^-40."""
    assert 0 <= rho_of_units(units(rho)) - rho < Fraction(1, UNIT)


def test_units_round_up_the_smallest_excess():
    """An exact number of units stays; anything above it costs one more."""
    assert units(Fraction(5, UNIT)) == 5
    assert units(Fraction(5, UNIT) + Fraction(1, 10**60)) == 6
    assert units(Fraction(1, 10**60)) == 1
    assert units(Fraction(0)) == 0
