"""COUNT(*) and COUNT(column): rows, or rows in which a column has a valid value."""

from __future__ import annotations

from queries.catalogue import Table
from queries.plan import Aggregate, Key
from queries.quantity import NoisyBlock, Quantity
from queries.tally import Block, RowCount


class Count:
    """One block: each row adds 1 to its cell."""

    def check(self, aggregate: Aggregate, table: Table) -> None:
        """Accept no column, or any column of the table."""
        if aggregate.column is not None:
            table.column(aggregate.column)

    def blocks(self, aggregate: Aggregate, keys: tuple[Key, ...], table: Table) -> tuple[Block, ...]:
        """Return the block of counts."""
        return (Block(keys=keys, measure=RowCount(column=aggregate.column), where=aggregate.where),)

    def estimate(self, aggregate: Aggregate, table: Table, blocks: tuple[NoisyBlock, ...]) -> Quantity:
        """Return the noisy counts: unbiased, so possibly negative."""
        return Quantity.of_block(blocks[0])
