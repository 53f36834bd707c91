"""A round of a model that is trained: sums over patients, each clipped, which the client's training reads.

No question asks for it by name: ``queries.models.training`` makes the steps. What a table of its answer shows are the
first sums as they are, with the noise's intervals: a round means little to people by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, islice, product
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, Label
from queries.agreed.domains import FLAGS
from queries.answers.finding import Finding
from queries.asked.check_step import check_step
from queries.asked.plan import EVERYTHING, ONE, Aggregate, Step
from queries.cost.setting import Setting
from queries.cost.tally import Block, StepSum
from queries.errors import PlanError
from queries.models.clipping import BOUND, BOUND_LOSS, most_loss
from queries.models.columns import names
from queries.models.shape import LOSS, shape_of, sum_width
from queries.statistics.interface import Reading, Statistic, Sums

MOST_SHOWN = 256
"""Most sums of a round that a table shows."""

_Z = 1.959963984540054
_BOUNDS = {"gradient": BOUND, "information": BOUND, "loss": BOUND_LOSS, "grades": 1}


class Round(Statistic):
    """The sums of one step of a model."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "sum"

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a step that makes sense; what stands beside it in a plan is checked by ``queries.asked.check``."""
        check_step(_step(aggregate), setting)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return one block for each sum that is wanted."""
        step = _step(aggregate)
        shape = shape_of(step, setting)
        return tuple(
            Block(
                keys=(),
                measure=StepSum(sum=want, width=sum_width(want, step, shape), bound=_BOUNDS[want]),
                where=EVERYTHING,
                weight=weight,
            )
            for want, weight in zip(step.wants, step.weights, strict=True)
        )

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the names of the first sums."""
        step = _step(aggregate)
        return tuple(islice((name for want in step.wants for name in _names(want, step, setting)), MOST_SHOWN))

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the first sums in real units: of the gradient, of the information, patients and losses, rows."""
        step = _step(aggregate)
        scales = {want: unit_of(want, step) for want in step.wants}
        values = [block.values * scales[want] for want, block in zip(step.wants, sums.blocks, strict=True)]
        errors = [
            np.broadcast_to(np.sqrt(block.variance) * scales[want], len(block.values))
            for want, block in zip(step.wants, sums.blocks, strict=True)
        ]
        value, error = (np.concatenate(arrays)[:MOST_SHOWN] for arrays in (values, errors))
        return Finding(value=value, low=value - _Z * error, high=value + _Z * error)


def unit_of(want: str, step: Step) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return what one unit of a sum's block is, for each of its numbers or, of shape (1,), for all of them."""
    if want == "gradient":
        return np.array([step.clip / ONE / BOUND])
    if want == "information":
        return np.array([step.reach / ONE / BOUND])
    return np.array([1 / BOUND_LOSS, most_loss(step) / BOUND_LOSS] if want == "loss" else [1.0])


def _step(aggregate: Aggregate) -> Step:
    if not isinstance(aggregate.step, Step):
        raise PlanError("a round of training without a step", remedy="build the question with this version of Farr")
    return aggregate.step


def _names(want: str, step: Step, setting: Setting) -> Iterator[Code]:
    """Yield them: a network has thousands, a table shows the first."""
    if want == "loss":
        return map(_plain, LOSS)
    if want == "grades":
        intervals = ("",) if step.time is None else tuple(f", {each.code}" for each in setting.codes(step.time))
        bands = range(1, len(step.cuts) + 2)
        return (
            _plain(f"band {band}{interval}, {flag.code}") for band, interval, flag in product(bands, intervals, FLAGS)
        )
    codes = names(step, setting)
    if want == "gradient":
        return iter(codes)
    return (_plain(f"{left.code} x {right.code}") for left, right in combinations_with_replacement(codes, 2))


def _plain(name: str) -> Code:
    return Code(code=name, label=Label(en=name, zh=name))
