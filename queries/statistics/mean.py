"""AVG(column): the mean of a number over the rows that have one.

Three blocks: the rows, the sum of values centred at mid-range, and their squares. The squares serve only the interval
that allows for sampling, so they get a fifth of what each of the others gets.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from queries.answers.quantity import Quantity
from queries.asked.plan import Aggregate
from queries.cost.moments import moments_of
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block
from queries.statistics.interface import Reading, Statistic, Sums, no_cells

WEIGHTS = FULL, FULL, FULL // 5
"""Of rows, values and squares."""


class Mean(Statistic):
    """The ratio of a centred sum and a count, moved back by the centre."""

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a number column."""
        no_cells(aggregate)
        setting.number(aggregate.column, aggregate.statistic)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the blocks of rows with a value, of centred sums and of squares."""
        moments = moments_of(setting.number(aggregate.column, aggregate.statistic))
        rows, values, squares = WEIGHTS
        return (
            moments.rows(aggregate, setting.keys, rows),
            moments.values(aggregate, setting.keys, values),
            moments.squares(aggregate, setting.keys, squares),
        )

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity:
        """Return the noisy means in units of the column; sampling: the variance of the values over their number."""
        column = setting.number(aggregate.column, aggregate.statistic)
        moments = moments_of(column)
        rows, centred = (Quantity.of_block(block) for block in sums.blocks[:2])
        low, high = float(column.in_units(column.low)), float(column.in_units(column.high))
        mean = ((centred.scaled(moments.step) + rows.scaled(moments.middle)) / rows).within(low, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = sums.blocks[2].values * moments.square / rows.value - (mean.value - moments.middle) ** 2
            # No values between public bounds vary more than half at either end.
            sampling = np.clip(spread, 0.0, (high - low) ** 2 / 4) / rows.value
        return replace(mean, sampling=np.where(rows.value > 0, sampling, np.nan))

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the column's unit."""
        return setting.number(aggregate.column, aggregate.statistic).unit

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether no value can be negative."""
        return setting.number(aggregate.column, aggregate.statistic).low >= 0
