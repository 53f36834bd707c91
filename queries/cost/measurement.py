"""The measurement: how much noise each block gets, and what the whole costs a patient.

Every hospital adds a noise share, a discrete Gaussian on a grid refined by a public integer, so that ``honest`` shares
together make the noise that the cost is computed from (Kairouz, Liu and Steinke, ICML 2021, Proposition 14). A share
below a standard deviation of about 1 on its grid does not add up to a Gaussian; the grid is refined until it has 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from queries.cost.accounting import units
from queries.cost.sensitivity import Sensitivity
from queries.cost.tally import MOST_BLOCKS, Measure, ProductSum, StepSum, Tally, UpdateSum, ValueSum
from queries.errors import PrivacyError

LEAST_SHARE_SCALE = 4
"""Least standard deviation of a share, in steps of its grid. 2 would do for the privacy; on a grid of 4 the steps are
small enough for a normal interval of 95 % to cover between 94 and 96 % wherever three or more hospitals answer."""

SCALE_STEPS = 1024
"""Share scales are whole multiples of 1/1024, which floats hold exactly, so what is sampled is what is charged."""

LARGEST_SHARE_SCALE = 1 << 40
"""Greatest standard deviation of a share, in steps of its grid: up to it floats hold multiples of 1/1024 exactly."""

LEAST_PROVEN_SCALE = Fraction(1, 2)
"""Below this standard deviation of a share the bound on distributed noise is not proven."""

TAIL = 40
"""Standard deviations of noise that the ring keeps room for: beyond 2^-1000 by Gaussian tails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockNoise:
    """The noise of one block."""

    entries: int
    """Entries of the block."""
    grid: int
    """Steps of the noise's grid in one unit of the block; entries are multiplied by it before noise is added."""
    share_scale: Fraction
    """Scale parameter of one hospital's discrete Gaussian share, in steps of the grid."""
    sensitivity: Sensitivity
    """Of the block, in its own units."""
    rho: Fraction
    """What the block costs, recomputed from the other fields."""

    def variance(self, contributors: int) -> Fraction:
        """Return the variance of the noise in a sum over ``contributors``, in squared units of the block."""
        return contributors * (self.share_scale / self.grid) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The noise of a whole tally."""

    blocks: tuple[BlockNoise, ...]
    """In the order of the tally."""
    honest: int
    """h: how many honest contributors' shares the cost relies on; 1 means that each adds the whole noise."""

    @property
    def rho(self) -> Fraction:
        """Return the cost to a patient: the sum over blocks, since one patient may touch them all."""
        return sum((block.rho for block in self.blocks), start=Fraction(0))

    @property
    def cost(self) -> int:
        """Return the cost in ledger units, rounded up."""
        return units(self.rho)


def calibrate(tally: Tally, sensitivities: tuple[Sensitivity, ...], rho: Fraction, honest: int) -> Measurement:
    """Spend at most ``rho`` on a tally, divided by weights; raise PrivacyError where that cannot be done.

    Each part of the plan gets its weight's share, and within it each block. Of a mean's blocks, say, the squares that
    only the sampling error is read from get less than the sum.

    Guarantee: the sum of at least ``honest`` shares makes the release ``Measurement.rho``-zCDP for one patient at the
    stated sensitivity, and that figure, recomputed from the scales, is at most ``rho``.
    Tests: tests/queries/test_measurement.py, tests/distributions/test_audits.py.
    """
    if rho <= 0 or honest < 1:
        raise PrivacyError("a question must cost something", remedy="ask with an epsilon above 0")
    blocks = tuple(
        _block_noise(size, sensitivity, rho * share, honest)
        for size, sensitivity, share in zip(tally.sizes, sensitivities, shares(tally), strict=True)
    )
    finished = Measurement(blocks=blocks, honest=honest)
    if finished.rho > rho:
        raise PrivacyError("the measurement costs more than was asked for", remedy="report this as a defect")
    return finished


def shares(tally: Tally) -> tuple[Fraction, ...]:
    """Return each block's share of the privacy loss; they add up to 1."""
    parts = tally.plan.parts
    in_part = [sum(block.weight for block in tally.blocks if block.part == number) for number in range(len(parts))]
    whole = sum(part.weight for part in parts)
    return tuple(
        Fraction(parts[block.part].weight, whole) * Fraction(block.weight, in_part[block.part])
        for block in tally.blocks
    )


@lru_cache(maxsize=MOST_BLOCKS)
def _block_noise(entries: int, sensitivity: Sensitivity, rho: Fraction, honest: int) -> BlockNoise:
    # A thousandth is kept back for the term of distributed noise, which is far smaller at a share scale of 2.
    target = Fraction(sensitivity.l2_squared) / (2 * rho * honest) * Fraction(1000, 999 if honest > 1 else 1000)
    grid = max(1, _root_up(LEAST_SHARE_SCALE**2 / target))
    share_scale = Fraction(_root_up(target * grid**2 * SCALE_STEPS**2), SCALE_STEPS)
    if share_scale > LARGEST_SHARE_SCALE:
        raise PrivacyError(
            "so little privacy loss would need noise beyond all reach",
            remedy="ask with a larger epsilon, or a smaller bound on a patient's rows",
        )
    cost = loss(grid * grid * sensitivity.l2_squared, share_scale, honest, entries)
    return BlockNoise(entries=entries, grid=grid, share_scale=share_scale, sensitivity=sensitivity, rho=cost)


def loss(l2_squared: int, share_scale: Fraction, honest: int, entries: int) -> Fraction:
    """Return the rho of a sum of ``honest`` discrete Gaussian shares, rounded up.

    ``l2_squared`` is in squared steps of the grid. With one share the discrete Gaussian's own rho, exactly. With more,
    (sqrt(2 rho_0) + tau sqrt(entries))^2 / 2, the third form of the proposition.

    Guarantee: never less than the proposition proves; what is computed in floats is rounded up.
    Test: tests/queries/test_measurement.py::test_distributed_noise_is_charged_at_least_what_the_theorem_says.
    """
    if share_scale <= 0 or (honest > 1 and share_scale < LEAST_PROVEN_SCALE):
        raise PrivacyError("so small a share of noise hides nothing", remedy="refine the grid")
    central = Fraction(l2_squared) / (2 * honest * share_scale**2)
    if honest == 1:
        return central
    exponent = 2 * math.pi**2 * float(share_scale) ** 2
    tau = 10 * sum(math.exp(-exponent * k / (k + 1)) for k in range(1, honest))
    excess = math.sqrt(2 * float(central)) * tau * math.sqrt(entries) + tau**2 * entries / 2
    # A relative 1e-9 is far more than the rounding of these few operations; nextafter covers an underflow to zero.
    return central + Fraction(math.nextafter(excess * (1 + 1e-9), math.inf))


def check_headroom(tally: Tally, measurement: Measurement, contributors: int, rows_per_site: int) -> None:
    """Raise PrivacyError unless no sum over ``contributors`` can leave the signed 64-bit range.

    Each hospital clamps its entries to ``rows_per_site`` rows' worth, and an app's update to its bound, which the
    sensitivity survives: clamping moves two neighbouring entries no further apart.

    Guarantee: with it, the sum modulo 2^64 read as a signed number is the sum itself.
    Test: tests/queries/test_measurement.py::test_a_sum_that_could_leave_the_ring_is_refused.
    """
    for block, noise in zip(tally.blocks, measurement.blocks, strict=True):
        reach = contributors * noise.grid * clamp_of(block.measure, rows_per_site)
        if reach + contributors * TAIL * math.ceil(noise.share_scale) >= 1 << 63:
            raise PrivacyError(
                "the sum could leave the 64-bit range",
                remedy="ask for less noise, fewer hospitals at once, or coarser steps in the catalogue",
            )


def clamp_of(measure: Measure, rows_per_site: int) -> int:
    """Return the greatest size of an entry of one hospital's tally, in units of the block."""
    if isinstance(measure, UpdateSum):
        return measure.bound
    if isinstance(measure, StepSum):
        # A table of so many rows has at most so many patients.
        return rows_per_site * measure.bound
    return rows_per_site * (measure.bound if isinstance(measure, (ValueSum, ProductSum)) else 1)


def _root_up(square: Fraction) -> int:
    """Return the least whole number whose square is at least ``square``."""
    whole = -(-square.numerator // square.denominator)
    root = math.isqrt(whole)
    return root if root * root >= whole else root + 1
