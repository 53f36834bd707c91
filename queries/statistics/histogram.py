"""HISTOGRAM(column) or HISTOGRAM(BAND(column, width)): rows in each band of a number, as one figure a band.

The same numbers as COUNT(*) by GROUP BY BAND, but along an axis: other figures of the question keep their own cells.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from queries.agreed.catalogue import Code, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Quantity
from queries.asked.plan import Aggregate, BandKey
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums

MOST_BANDS = 32
"""Most bands that are chosen where none are named, about."""


class Histogram(Statistic):
    """One block: each row adds 1 to the band of its value."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "band"
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="HISTOGRAM",
            arguments=(Argument.TIME,),
            summary="rows in each band of a number: some twenty bands, or those that BAND names",
            example="HISTOGRAM(age)",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the count by bands; of a column by itself, by bands of a round public width."""
        (bands,) = given
        if isinstance(bands, NumberColumn):
            bands = default_bands(bands)
        if not isinstance(bands, BandKey):
            return super().made(function, given, table)
        return Aggregate(statistic="histogram", by=(bands,)), Reading()

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept bands of one number column."""
        if aggregate.column is not None or aggregate.columns or len(aggregate.by) != 1:
            raise PlanError("a histogram is of one set of bands", remedy="write HISTOGRAM(column)")
        if not isinstance(aggregate.by[0], BandKey):
            raise PlanError("a histogram is of bands of a number", remedy="group by codes or days, and count")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts by band.

        Sensitivity, worst case: all of one patient's rows fall into one band, which changes by their number.
        """
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the bands."""
        return setting.codes(aggregate.by[0])

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the noisy counts: unbiased, so possibly negative."""
        counts = Quantity.of_block(sums.blocks[0])
        low, high = counts.interval()
        return Finding(value=counts.value, low=low, high=high, exact=True)

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return what is counted."""
        return "rows"

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def default_bands(column: NumberColumn) -> BandKey:
    """Return at most about ``MOST_BANDS`` bands of a column whose width is 1, 2 or 5 times a power of ten.

    They start at whole multiples of the width, the first at the column's lower bound, so ages come in 0-4, 5-9, ....
    Where the column's step fits no such width, the width is such a number of steps.
    """
    round_numbers = [digit * Fraction(10) ** power for power in range(-30, 31) for digit in (1, 2, 5)]
    least = (column.high - column.low) / Fraction(MOST_BANDS)
    in_units = (width / column.step for width in round_numbers)
    widths = [width for width in (*in_units, *round_numbers) if width > least and width.denominator == 1]
    steps = int(widths[0])
    later = range((column.low // steps + 1) * steps, column.high + 1, steps)
    return BandKey(column=column.name, starts=(column.low, *later))
