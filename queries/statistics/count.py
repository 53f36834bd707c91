"""COUNT(*) and COUNT(column): rows, or rows in which a column has a valid value."""

from __future__ import annotations

from typing import ClassVar

from queries.answers.quantity import Quantity
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.statistics.interface import Reading, Statistic, Sums, no_cells


class Count(Statistic):
    """One block: each row adds 1 to its cell."""

    counts: ClassVar[bool] = True

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept no column, or any column of the table."""
        no_cells(aggregate)
        if aggregate.column is not None:
            setting.table.column(aggregate.column)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts."""
        return (Block(keys=setting.keys, measure=RowCount(column=aggregate.column), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity:
        """Return the noisy counts: unbiased, so possibly negative."""
        return Quantity.of_block(sums.blocks[0])

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return what is counted."""
        return "rows"

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True
