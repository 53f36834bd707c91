"""A round of a researcher's own app: one vector from each hospital, clipped as a whole.

No question asks for it by name: the client's grid makes the steps. What a table of its answer shows are the first
numbers as they are, with the noise's intervals.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, Label
from queries.answers.finding import Finding
from queries.asked.check_step import check_app
from queries.asked.plan import EVERYTHING, ONE, Aggregate, AppStep
from queries.cost.setting import Setting
from queries.cost.tally import Block, UpdateSum
from queries.errors import PlanError
from queries.models.clipping import BOUND_UPDATE
from queries.statistics.interface import Reading, Statistic, Sums

MOST_SHOWN = 256
"""Most numbers of a round that a table shows."""

_Z = 1.959963984540054


class App(Statistic):
    """The numbers of one round of an app, added up over hospitals."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "number"

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a round that is well formed and small enough."""
        check_app(_step(aggregate))

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the one block of the update."""
        measure = UpdateSum(width=_step(aggregate).entries, bound=BOUND_UPDATE)
        return (Block(keys=(), measure=measure, where=EVERYTHING),)

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the first numbers' places, from 1."""
        shown = range(1, min(_step(aggregate).entries, MOST_SHOWN) + 1)
        return tuple(Code(code=str(place), label=Label(en=str(place), zh=str(place))) for place in shown)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the first numbers, added up over hospitals, in the app's own units."""
        (block,) = sums.blocks
        unit = update_unit(_step(aggregate))
        value = block.values[:MOST_SHOWN] * unit
        error = _Z * np.sqrt(block.variance) * unit
        return Finding(value=value, low=value - error, high=value + error)


def update_unit(step: AppStep) -> float:
    """Return what one unit of the block is in the app's own units."""
    return step.clip / ONE / BOUND_UPDATE


def _step(aggregate: Aggregate) -> AppStep:
    if not isinstance(aggregate.step, AppStep):
        raise PlanError("a round of an app without one", remedy="build the question with this version of Farr")
    return aggregate.step
