"""SHARE(condition): of the rows of which it is known whether a condition holds, the share in which it does.

One block of two cells, yes and no, so a row is counted once. COUNT(*) FILTER (...) / COUNT(*) needs two blocks, each
with half of the privacy loss, and comes out with more than twice the noise variance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Table
from queries.answers.quantity import Floats, NoisyBlock, Quantity
from queries.asked.plan import Aggregate, FlagKey
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums


class Share(Statistic):
    """Yes over yes and no."""

    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="SHARE",
            arguments=(Argument.CONDITION,),
            summary="the share of rows in which a condition holds, of those in which it is known",
            example="SHARE(died = 'Y')",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the share of a condition."""
        (condition,) = given
        by = (condition,) if isinstance(condition, FlagKey) else ()
        return Aggregate(statistic="share", by=by), Reading()

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept one condition and nothing else."""
        if aggregate.column is not None or aggregate.columns or [type(key) for key in aggregate.by] != [FlagKey]:
            raise PlanError("a share is of one condition", remedy="write SHARE(died = 'Y')")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of rows by no and yes."""
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity:
        """Return the noisy shares, between 0 and 1; sampling: the binomial law of independent rows."""
        (block,) = sums.blocks
        no, yes = (Quantity.of_block(_cell(block, cell)) for cell in (0, 1))
        rows = yes + no
        return replace((yes / rows).within(0.0, 1.0), sampling=binomial(yes.value, rows.value))

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def binomial(yes: Floats, rows: Floats) -> Floats:
    """Return the variance of a share by sampling, with two rows more on either side.

    The two keep a share of none or all from looking certain (Agresti and Coull, Am Stat 52, 1998).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((yes + 2) / (rows + 4), 0.0, 1.0)
        return np.where(rows > 0, share * (1 - share) / rows, np.nan)


def _cell(block: NoisyBlock, cell: int) -> NoisyBlock:
    """Return one of the two cells as a block of its own: their noise is independent, so each needs its own number."""
    index = 2 * block.index + cell
    return NoisyBlock(index=-1 - index, values=block.values[cell::2], variance=block.variance)
