"""SUM(column): the sum of a number over rows, each value clipped to the column's public bounds."""

from __future__ import annotations

from queries.catalogue import NumberColumn, Table
from queries.errors import PlanError
from queries.plan import Aggregate, Key
from queries.quantity import NoisyBlock, Quantity
from queries.tally import Block, ValueSum


def number(aggregate: Aggregate, table: Table) -> NumberColumn:
    """Return the number column that an aggregate reads; raise PlanError when it reads none."""
    if aggregate.column is None:
        raise PlanError(f"{aggregate.statistic} needs a column", remedy="name a number column")
    column = table.column(aggregate.column)
    if not isinstance(column, NumberColumn):
        raise PlanError(
            f"{aggregate.statistic} of {column.name} makes no sense: it holds no numbers",
            remedy="name a number column, or count rows with a condition",
        )
    return column


class Total:
    """One block: each row adds its value in steps, not centred, so the bound is the larger end."""

    def check(self, aggregate: Aggregate, table: Table) -> None:
        """Accept a number column."""
        number(aggregate, table)

    def blocks(self, aggregate: Aggregate, keys: tuple[Key, ...], table: Table) -> tuple[Block, ...]:
        """Return the block of sums."""
        column = number(aggregate, table)
        reach = max(abs(column.low), abs(column.high), 1)
        measure = ValueSum(column=column.name, centre=0, bound=reach)
        return (Block(keys=keys, measure=measure, where=aggregate.where),)

    def estimate(self, aggregate: Aggregate, table: Table, blocks: tuple[NoisyBlock, ...]) -> Quantity:
        """Return the noisy sums in units of the column."""
        return Quantity.of_block(blocks[0]).scaled(float(number(aggregate, table).step))
