"""Sums of powers of one number column, as blocks: rows with a value, centred values, their squares.

Values are centred at mid-range: that halves the bound and takes away most of the bias of small cells, where the noisy
count in a denominator pulls an uncentred mean away from the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

from queries.agreed.catalogue import NumberColumn
from queries.asked.plan import Aggregate, Key
from queries.cost.tally import Block, ProductSum, RowCount, ValueSum

FINEST_SQUARES = 1 << 18
"""A square is kept in at most so many units, so that sums of them stay far within 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """How a column's powers are summed."""

    column: NumberColumn
    """What is read."""
    centre: int
    """Of its values, in steps: mid-range."""
    reach: int
    """Greatest size of a centred value, in steps."""
    unit: int
    """Of the squares, in squared steps."""

    @property
    def middle(self) -> float:
        """Return the centre in units of the column."""
        return float(self.column.in_units(self.centre))

    @property
    def step(self) -> float:
        """Return one step in units of the column."""
        return float(self.column.step)

    @property
    def square(self) -> float:
        """Return one unit of the squares in squared units of the column."""
        return self.unit * self.step**2

    def rows(self, aggregate: Aggregate, keys: tuple[Key, ...], weight: int) -> Block:
        """Return the block of rows with a value."""
        return Block(keys=keys, measure=RowCount(column=self.column.name), where=aggregate.where, weight=weight)

    def values(self, aggregate: Aggregate, keys: tuple[Key, ...], weight: int) -> Block:
        """Return the block of sums of centred values, in steps."""
        measure = ValueSum(column=self.column.name, centre=self.centre, bound=self.reach)
        return Block(keys=keys, measure=measure, where=aggregate.where, weight=weight)

    def squares(self, aggregate: Aggregate, keys: tuple[Key, ...], weight: int) -> Block:
        """Return the block of sums of squared centred values, in ``unit`` squared steps."""
        measure = ProductSum(
            left=self.column.name,
            right=self.column.name,
            left_centre=self.centre,
            right_centre=self.centre,
            unit=self.unit,
            bound=-(-(self.reach**2) // self.unit),
        )
        return Block(keys=keys, measure=measure, where=aggregate.where, weight=weight)


def moments_of(column: NumberColumn) -> Moments:
    """Return how a column's powers are summed."""
    centre = (column.low + column.high) // 2
    reach = max(column.high - centre, centre - column.low, 1)
    return Moments(column=column, centre=centre, reach=reach, unit=max(1, -(-(reach**2) // FINEST_SQUARES)))
