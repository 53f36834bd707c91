"""Noise scales and their cost, held against OpenDP and against the theorem on distributed noise."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opendp import domains, measurements, metrics
from opendp.mod import enable_features

from queries.asked.plan import EVERYTHING, Aggregate, Bound
from queries.cost.accounting import UNIT, units
from queries.cost.measurement import LEAST_SHARE_SCALE, TAIL, calibrate, check_headroom, clamp_of, loss, shares
from queries.cost.sensitivity import Sensitivity, of_tally
from queries.cost.tally import FULL, Block, PatientCount, ProductSum, RowCount, Tally, ValueSum, tally
from queries.errors import PrivacyError
from tests.queries.whole import altered, whole

enable_features("contrib")

PLAN = whole(
    b"\x00" * 32,
    table="t",
    where=EVERYTHING,
    keys=(),
    aggregates=(Aggregate(statistic="count"),),
    bound=Bound(rows=1, groups=1),
)

RHOS = st.integers(1 << 12, 1 << 44).map(lambda amount: Fraction(amount, UNIT))
HONEST = st.sampled_from([1, 1, 3, 5, 12, 140, 298, 2800])
BLOCKS = st.lists(st.tuples(st.integers(1, 1 << 20), st.integers(1, 10**12)), min_size=1, max_size=6)


def _tally(blocks: list[tuple[int, int]], measure=None) -> tuple[Tally, tuple[Sensitivity, ...]]:
    """Return a tally of blocks of so many entries and such a squared L2 sensitivity."""
    counted = tuple(Block(keys=(), measure=measure or RowCount(), where=EVERYTHING) for _ in blocks)
    shape = Tally(plan=PLAN, blocks=counted, sizes=tuple(size for size, _ in blocks), of_aggregate=())
    return shape, tuple(Sensitivity(l1=1, l2_squared=square, linf=1, worst_case="") for _, square in blocks)


@settings(deadline=None)
@given(blocks=BLOCKS, rho=RHOS, honest=HONEST)
def test_the_cost_is_within_what_was_asked_for(blocks, rho, honest):
    """Recomputed from the scales, the cost is at most the rho asked for, and at most one ledger unit more in units."""
    finished = calibrate(*_tally(blocks), rho, honest)
    assert 0 < finished.rho <= rho
    assert finished.cost <= units(rho)
    assert finished.cost == units(sum(block.rho for block in finished.blocks))
    for block in finished.blocks:
        assert block.rho == loss(block.grid**2 * block.sensitivity.l2_squared, block.share_scale, honest, block.entries)


@settings(deadline=None)
@given(blocks=BLOCKS, rho=RHOS, honest=HONEST)
def test_the_cost_is_not_far_below_what_was_asked_for(blocks, rho, honest):
    """Rounding the scale up, and the thousandth kept for distributed noise, waste little of what was asked for."""
    finished = calibrate(*_tally(blocks), rho, honest)
    assert finished.rho >= rho * (1 - Fraction(3, 1000))


@settings(deadline=None)
@given(blocks=BLOCKS, rho=RHOS, honest=HONEST)
def test_every_share_is_wide_enough_on_its_grid(blocks, rho, honest):
    """No share's standard deviation falls below 4 steps of its grid, and no grid is finer than that needs."""
    for block in calibrate(*_tally(blocks), rho, honest).blocks:
        assert block.share_scale >= LEAST_SHARE_SCALE - Fraction(1, 1024)
        assert float(block.share_scale) == block.share_scale
        assert (block.share_scale * 1024).denominator == 1
        assert block.grid == 1 or block.share_scale * Fraction(
            block.grid - 1, block.grid
        ) < LEAST_SHARE_SCALE + Fraction(1, 512)


def _coverage(scale, contributors):
    """Return how often a normal 95 % interval holds the truth, by the law of the noise on its grid."""
    deviation = scale * contributors**0.5
    steps = range(-int(10 * deviation), int(10 * deviation) + 1)
    weights = {step: math.exp(-(step**2) / (2 * deviation**2)) for step in steps}
    inside = sum(weight for step, weight in weights.items() if abs(step) <= 1.959963984540054 * deviation)
    return inside / sum(weights.values())


def test_a_normal_interval_covers_what_it_says_on_the_grid():
    """From the least share scale on, 94 to 96 % wherever three or more hospitals answer; at half of it, not."""
    scales = [LEAST_SHARE_SCALE + step / 64 for step in range(256)]
    found = [_coverage(scale, contributors) for contributors in (3, 4, 5, 10) for scale in scales]
    assert 0.94 < min(found) <= max(found) < 0.96
    coarse = [_coverage(scale / 2, 5) for scale in scales]
    assert min(coarse) < 0.94
    assert max(coarse) > 0.96


@settings(deadline=None)
@given(blocks=BLOCKS, rho=RHOS, honest=HONEST)
def test_the_honest_shares_together_make_the_target_noise(blocks, rho, honest):
    """In units of the block, h shares have the variance of one central draw at the block's part of rho."""
    finished = calibrate(*_tally(blocks), rho, honest)
    slack = Fraction(1000, 999) if honest > 1 else Fraction(1)
    for (_, square), block in zip(blocks, finished.blocks, strict=True):
        target = Fraction(square) * len(blocks) / (2 * rho) * slack
        assert target <= block.variance(honest) <= target * (1 + Fraction(1, 1000))
        assert block.variance(2 * honest) == 2 * block.variance(honest)


@settings(deadline=None, max_examples=60)
@given(square=st.integers(1, 10**9), rho=RHOS)
def test_one_whole_noise_costs_what_opendp_says(square, rho):
    """At h = 1 the exact cost equals OpenDP's map of the same discrete Gaussian, within float rounding."""
    block = calibrate(*_tally([(1, square)]), rho, 1).blocks[0]
    space = domains.vector_domain(domains.atom_domain(T="i64")), metrics.l2_distance(T="f64")
    gaussian = measurements.make_gaussian(*space, scale=float(block.share_scale))
    assert float(block.rho) == pytest.approx(gaussian.map(block.grid * math.sqrt(square)), rel=1e-12)


def _theorem(square: int, scale: Fraction, honest: int, entries: int) -> Decimal:
    """Return (sqrt(2 rho_0) + tau sqrt(d))^2 / 2 with 80 digits."""
    with localcontext() as context:
        context.prec = 80
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
        wide = Decimal(scale.numerator) / scale.denominator
        exponent = 2 * pi * pi * wide * wide
        tau = 10 * sum((-exponent * k / (k + 1)).exp() for k in range(1, honest))
        central = Decimal(square) / (2 * honest * wide * wide)
        return ((2 * central).sqrt() + tau * Decimal(entries).sqrt()) ** 2 / 2


@pytest.mark.parametrize("honest", [3, 5, 140])
@pytest.mark.parametrize(
    "scale", [Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(5, 4), Fraction(2), Fraction(40)]
)
@pytest.mark.parametrize(("square", "entries"), [(1, 1), (10**6, 12), (7, 1 << 20)])
def test_distributed_noise_is_charged_at_least_what_the_theorem_says(honest, scale, square, entries):
    """Against the proposition in 80 digits: never less, and no more than a relative 1e-8 above."""
    charged = loss(square, scale, honest, entries)
    proven = Fraction(_theorem(square, scale, honest, entries))
    assert proven * (1 - Fraction(1, 10**70)) <= charged <= proven * (1 + Fraction(1, 10**8)) + Fraction(1, 10**300)
    assert charged > Fraction(square) / (2 * honest * scale**2)


def test_at_a_scale_of_two_distribution_costs_next_to_nothing():
    """The excess over one central draw is below 1e-9 of it, for a million entries and 140 hospitals."""
    central = Fraction(1) / (2 * 140 * 4)
    assert loss(1, Fraction(2), 140, 1 << 20) / central - 1 < Fraction(1, 10**9)


@pytest.mark.parametrize(("scale", "honest"), [(Fraction(0), 1), (Fraction(-1), 1), (Fraction(1, 4), 3)])
def test_a_share_too_small_for_the_theorem_is_refused(scale, honest):
    """No noise at all, and shares below the width for which the bound is proven, have no finite cost."""
    with pytest.raises(PrivacyError):
        loss(1, scale, honest, 1)


@pytest.mark.parametrize(("rho", "honest"), [(Fraction(0), 1), (Fraction(-1), 1), (Fraction(1), 0)])
def test_a_measurement_for_nothing_is_refused(rho, honest):
    """No rho, or nobody honest, gives no privacy."""
    with pytest.raises(PrivacyError):
        calibrate(*_tally([(1, 1)]), rho, honest)


def test_noise_beyond_what_floats_hold_exactly_is_refused():
    """The scale that is sampled must be the scale that was charged, so it must have an exact float."""
    with pytest.raises(PrivacyError):
        calibrate(*_tally([(1, 10**30)]), Fraction(1, UNIT), 1)


def test_a_sum_that_could_leave_the_ring_is_refused():
    """The greatest sum of clamped entries and noise stays below 2^63, tried on both sides of the edge."""
    measure = ValueSum(column="x", centre=0, bound=1 << 20)
    shape, sensitivities = _tally([(4, 1 << 40)], measure)
    finished = calibrate(shape, sensitivities, Fraction(1, 1000), 1)
    block = finished.blocks[0]
    contributors = 12
    assert clamp_of(measure, 7) == 7 << 20
    noise = contributors * TAIL * math.ceil(block.share_scale)
    room = ((1 << 63) - 1 - noise) // (contributors * block.grid << 20)
    check_headroom(shape, finished, contributors, room)
    with pytest.raises(PrivacyError):
        check_headroom(shape, finished, contributors, room + 1)
    refined = replace(finished, blocks=(replace(block, grid=block.grid * 2),))
    with pytest.raises(PrivacyError):
        check_headroom(shape, refined, contributors, room)


def test_the_clamp_of_a_count_is_the_rows_of_a_site():
    """A row or a patient adds one, a value or a product at most its bound."""
    assert clamp_of(RowCount(), 1000) == clamp_of(PatientCount(), 1000) == 1000
    assert clamp_of(ValueSum(column="x", centre=0, bound=7), 1000) == 7000
    square = ProductSum(left="x", right="x", left_centre=0, right_centre=0, unit=3, bound=9)
    assert clamp_of(square, 1000) == 9000


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_real_plans_are_calibrated(wide, plans, data):
    """From plan to cost without an exception; each block gets its share of rho, and the shares are the whole."""
    shape = tally(data.draw(plans), wide)
    rho = data.draw(RHOS)
    finished = calibrate(shape, of_tally(shape, wide.sites_per_patient), rho, data.draw(HONEST))
    assert len(finished.blocks) == len(shape.blocks)
    assert finished.rho <= rho
    each = shares(shape)
    assert sum(each) == 1
    assert all(
        rho * share * Fraction(997, 1000) <= block.rho for block, share in zip(finished.blocks, each, strict=True)
    )
    assert all(block.rho <= rho * share for block, share in zip(finished.blocks, each, strict=True))


def test_a_share_is_the_weight_of_the_part_times_the_weight_in_the_part(wide):
    """Three quarters for a part of weight 3 beside one of 1; in it 5, 5 and 1 for a mean's rows, values and squares."""
    count, mean = Aggregate(statistic="count"), Aggregate(statistic="mean", column="age")
    plan = whole(
        wide.digest,
        table="discharge",
        where=EVERYTHING,
        keys=(),
        aggregates=(mean,),
        bound=Bound(rows=1, groups=1),
        weight=3,
    )
    (heavy,) = plan.parts
    light = replace(heavy, aggregates=(count,), weight=1)
    shape = tally(altered(plan, parts=(heavy, light)), wide)
    assert [block.weight for block in shape.blocks] == [FULL, FULL, FULL // 5, FULL]
    assert shares(shape) == (Fraction(15, 44), Fraction(15, 44), Fraction(3, 44), Fraction(1, 4))
    alone = tally(altered(plan, weight=1), wide)
    assert shares(alone) == (Fraction(5, 11), Fraction(5, 11), Fraction(1, 11))


def test_blocks_of_more_weight_have_less_noise():
    """The variance of a block goes down as its share goes up, exactly in proportion but for rounding."""
    shape, sensitivities = _tally([(1, 100), (1, 100)])
    heavy, light = (replace(block, weight=weight) for block, weight in zip(shape.blocks, (20, 4), strict=True))
    finished = calibrate(replace(shape, blocks=(heavy, light)), sensitivities, Fraction(1, 2), 1)
    variances = [float(block.variance(1)) for block in finished.blocks]
    assert variances[1] / variances[0] == pytest.approx(5, rel=2e-3)
    assert finished.blocks[0].rho <= Fraction(5, 12)
    assert finished.blocks[1].rho <= Fraction(1, 12)
