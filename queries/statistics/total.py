"""SUM(column): the sum of a number over rows, each value clipped to the column's public bounds."""

from __future__ import annotations

from queries.answers.quantity import Quantity
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, ValueSum
from queries.statistics.interface import Reading, Statistic, Sums, no_cells


class Total(Statistic):
    """One block: each row adds its value in steps, not centred, so the bound is the larger end."""

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a number column."""
        no_cells(aggregate)
        setting.number(aggregate.column, aggregate.statistic)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of sums."""
        column = setting.number(aggregate.column, aggregate.statistic)
        reach = max(abs(column.low), abs(column.high), 1)
        measure = ValueSum(column=column.name, centre=0, bound=reach)
        return (Block(keys=setting.keys, measure=measure, where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity:
        """Return the noisy sums in units of the column."""
        column = setting.number(aggregate.column, aggregate.statistic)
        return Quantity.of_block(sums.blocks[0]).scaled(float(column.step))

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the column's unit."""
        return setting.number(aggregate.column, aggregate.statistic).unit

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether no value can be negative."""
        return setting.number(aggregate.column, aggregate.statistic).low >= 0
