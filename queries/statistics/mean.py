"""AVG(column): the mean of a number over the rows that have one.

Two blocks of equal privacy cost: the rows, and the sum of values centred at mid-range. Centring halves the bound and
takes away most of the bias of small cells, where the noisy count in the denominator pulls an uncentred mean away from
the truth.
"""

from __future__ import annotations

from queries.catalogue import Table
from queries.plan import Aggregate, Key
from queries.quantity import NoisyBlock, Quantity
from queries.statistics.total import number
from queries.tally import Block, RowCount, ValueSum


class Mean:
    """The ratio of a centred sum and a count, moved back by the centre."""

    def check(self, aggregate: Aggregate, table: Table) -> None:
        """Accept a number column."""
        number(aggregate, table)

    def blocks(self, aggregate: Aggregate, keys: tuple[Key, ...], table: Table) -> tuple[Block, ...]:
        """Return the block of rows with a value and the block of centred sums."""
        column = number(aggregate, table)
        centre = (column.low + column.high) // 2
        reach = max(column.high - centre, centre - column.low, 1)
        return (
            Block(keys=keys, measure=RowCount(column=column.name), where=aggregate.where),
            Block(
                keys=keys,
                measure=ValueSum(column=column.name, centre=centre, bound=reach),
                where=aggregate.where,
            ),
        )

    def estimate(self, aggregate: Aggregate, table: Table, blocks: tuple[NoisyBlock, ...]) -> Quantity:
        """Return the noisy means in units of the column."""
        column = number(aggregate, table)
        rows, centred = Quantity.of_block(blocks[0]), Quantity.of_block(blocks[1]).scaled(float(column.step))
        centre = float(column.in_units((column.low + column.high) // 2))
        return ((centred + rows.scaled(centre)) / rows).within(
            float(column.in_units(column.low)), float(column.in_units(column.high))
        )
