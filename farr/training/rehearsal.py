"""A run of training in one process: made-up or given rows take the place of hospitals, all else is as in earnest.

The tally, its sensitivity, the calibration of the noise and its sampler are those of nodes. ``farr train --dry-run``
rehearses on fake rows; tests and benchmarks on rows that are in the public domain. No patient is protected from whoever
holds all rows in one place, so nothing here is ever given rows of the hospitals.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from node.noise import noise_shares
from node.sampler import Entropy
from queries.asked.plan import EVERYTHING, Aggregate, Bound, Part, Plan, Step
from queries.cost.measurement import Measurement, calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Block, StepSum, Tally
from queries.models.clipping import BOUND, BOUND_LOSS
from queries.models.contributions import tally_of
from queries.models.design import Design
from queries.models.fitted import Fitted
from queries.models.rounds import at, unpacked
from queries.models.shape import Shape, sum_width
from queries.models.training import Model, Sums, Turn, train
from queries.models.units import in_units

Floats = NDArray[np.float64]
Noise = Callable[[Measurement, int, Entropy], NDArray[np.int64]]
"""Returns the noise of so many hospitals together, in steps of each block's grid."""

_NEAR = 12
"""Turns of a fit without noise."""

_FINISHING = 12
"""Steps of Newton's at the end of a fit without noise: as the clipped information is less than how fast the clipped
gradient falls, each takes off three quarters of what is left, or more."""

_HARDLY_ANY = 1e4
"""Variance that sums without noise are said to have, in squared units of a tally: a run's algebra divides by it."""

_LEAST = 1e-6
"""Of a penalty, so that a column that is 0 for everybody keeps its coefficient."""

_BOUNDS = {"gradient": BOUND, "information": BOUND, "loss": BOUND_LOSS, "grades": 1}


@dataclass(frozen=True, kw_only=True)
class Federation:
    """Hospitals in memory."""

    designs: Sequence[Design]
    """The rows of each hospital. At least one."""
    held: Sequence[Design] = ()
    """The rows of each hospital's patients who are held out."""
    honest: int | None = None
    """Of how many hospitals the noise makes up the whole; None: of all. 1: each adds the whole noise."""
    rows: int = 1
    """Most rows of one patient."""
    hospitals: int | None = None
    """Among how many hospitals the rows are taken to lie; None: one a design. Exact sums do not depend on it."""
    noise: Noise | None = None
    """What draws the noise of so many hospitals together; None: the sampler of nodes."""

    def sums(self, turn: Turn, shape: Shape, rho: Fraction, entropy: Entropy) -> Sums:
        """Return what a turn is told when the whole run costs ``rho``."""
        held_out = bool(self.held) and (turn.step.wants[-1] == "grades" or turn.step.wants == ("loss",))
        designs = self.held if held_out else self.designs
        hospitals = self.hospitals or len(designs)
        measurement = measured(turn.step, shape, rho * turn.share, self.honest or hospitals, self.rows)
        exact = np.sum([tally_of(turn.step, design, shape) for design in designs], axis=0)
        noise = (self.noise or drawn)(measurement, hospitals, entropy)
        blocks, variances, first = [], [], 0
        for block in measurement.blocks:
            part = slice(first, first + block.entries)
            blocks.append(exact[part] + noise[part] / block.grid)
            variances.append(float(block.variance(hospitals)))
            first = part.stop
        return in_units(turn.step, tuple(blocks), tuple(variances), hospitals)


def measured(step: Step, shape: Shape, rho: Fraction, honest: int, rows: int = 1) -> Measurement:
    """Return the noise of one turn, as hospitals calibrate it."""
    bound = Bound(rows=rows, groups=1)
    blocks = tuple(
        Block(
            keys=(),
            measure=StepSum(sum=want, width=sum_width(want, step, shape), bound=_BOUNDS[want]),
            where=EVERYTHING,
            weight=weight,
        )
        for want, weight in zip(step.wants, step.weights, strict=True)
    )
    aggregate = Aggregate(statistic="step", step=replace(step, point=()))
    part = Part(table="rehearsal", where=EVERYTHING, keys=(), aggregates=(aggregate,), bound=bound)
    tally = Tally(
        plan=Plan(catalogue=bytes(32), parts=(part,)),
        blocks=blocks,
        sizes=tuple(sum_width(want, step, shape) for want in step.wants),
        of_aggregate=(),
    )
    return calibrate(tally, of_tally(tally, 1), rho, honest)


def drawn(measurement: Measurement, hospitals: int, entropy: Entropy) -> NDArray[np.int64]:
    """Return the noise of all hospitals together, in steps of each block's grid."""
    total = np.zeros(sum(block.entries for block in measurement.blocks), dtype=np.int64)
    for _ in range(hospitals):
        total += noise_shares(measurement, entropy)
    return total


def normal_noise(draws: Callable[[int], Floats]) -> Noise:
    """Return a quick stand-in for ``drawn``: rounded normal numbers of the same variance. It protects nobody.

    ``draws`` returns so many standard normal numbers.
    """

    def noise(measurement: Measurement, hospitals: int, _: Entropy) -> NDArray[np.int64]:
        scales = np.repeat(
            [float(block.share_scale) * hospitals**0.5 for block in measurement.blocks],
            [block.entries for block in measurement.blocks],
        )
        rounded: NDArray[np.int64] = np.rint(draws(len(scales)) * scales).astype(np.int64)
        return rounded

    return noise


def rehearse(
    model: Model, shape: Shape, federation: Federation, rho: Fraction, entropy: Entropy = os.urandom
) -> Fitted:
    """Return the model that a run of the price ``rho`` over a federation in memory gives."""
    run = train(model, shape)
    turn = next(run)
    while True:
        try:
            turn = run.send(federation.sums(turn, shape, rho, entropy))
        except StopIteration as end:
            fitted: Fitted = end.value
            return fitted


def exactly(model: Model, shape: Shape, designs: Sequence[Design]) -> Fitted:
    """Return the model without any noise, with what nodes compute: for comparison on public rows.

    After the turns of a run, plain Newton steps: where they end the sum of clipped gradients is that of the penalty.
    What is left is the rounding of whole numbers. A network is where the turns of a run end.
    """
    run = train(replace(model, rounds=model.rounds if shape.layers else _NEAR, held_out=None), shape)
    turn = next(run)
    while True:
        try:
            turn = run.send(_without_noise(turn.step, shape, designs))
        except StopIteration as end:
            near: Fitted = end.value
            break
    if shape.layers:
        return near
    ridge = np.where(np.arange(shape.width) < max(1, shape.baselines), 0.0, model.penalty)
    point = near.coefficients
    for _ in range(_FINISHING):
        step, point = at(turn.step, point, {"gradient": 1, "information": 1})
        gradient, triangle = _without_noise(step, shape, designs).sums
        information = unpacked(triangle, shape.width) + np.diag(np.maximum(ridge, _LEAST))
        point = point + np.linalg.solve(information, gradient - ridge * point)
    return replace(near, coefficients=point)


def _without_noise(step: Step, shape: Shape, designs: Sequence[Design]) -> Sums:
    exact = np.sum([tally_of(step, design, shape) for design in designs], axis=0, dtype=np.float64)
    ends = np.cumsum([sum_width(want, step, shape) for want in step.wants])[:-1]
    blocks = tuple(np.split(exact, ends))
    return in_units(step, blocks, (_HARDLY_ANY,) * len(blocks), len(designs))
