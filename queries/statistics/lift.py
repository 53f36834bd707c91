"""LIFT(): how much more often two codes occur together than they would if they had nothing to do with each other.

Of a count by two groups, such as main and other diagnosis: n(a, b) n / (n(a) n(b)), 1 for independent codes. It reads
the same block as COUNT(*), so beside a count it costs nothing.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Function, Given, Reading, Statistic, Sums, no_cells

NORMAL_95 = 1.959963984540054

PAIR = 2
"""Groups that a pair is of."""


class Lift(Statistic):
    """The ratio of two products of sums over one block."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="LIFT",
            arguments=(),
            summary="how many times as often two groups occur together as they would by chance",
            example="LIFT()",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the lift of the question's own cells."""
        return Aggregate(statistic="lift"), PLAIN

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a question with two groups."""
        no_cells(aggregate)
        if aggregate.column is not None or len(setting.keys) != PAIR:
            raise PlanError("a lift is of two groups", remedy="write LIFT() and GROUP BY two code columns")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts, the same as COUNT(*) has.

        Sensitivity, worst case: all of one patient's rows fall into one cell, which changes by their number.
        """
        return (Block(keys=setting.keys, measure=RowCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the lift of each cell, with Fieller's interval of its numerator and denominator.

        Both are products of two noisy sums that share entries; what that adds to their means is known and taken off.
        Their variances and covariance are exact but for terms of fourth order. The whole line from 0 where the
        denominator is within the noise of nothing. Sampling: rows fall into cells independently.
        """
        if len(setting.keys) != PAIR:  # a subtotal
            value, low, high = (np.full(setting.cells, each) for each in (np.nan, 0.0, np.inf))
            return Finding(value=value, low=low, high=high, total_low=low, total_high=high).within(0.0, np.inf)
        rows, columns = (setting.size(key) for key in setting.keys)
        noise = sums.blocks[0].variance
        both = sums.blocks[0].shaped(rows, columns)
        of_row, of_column = both.sum(axis=1, keepdims=True), both.sum(axis=0, keepdims=True)
        whole = both.sum(keepdims=True)
        top = both * whole - noise
        bottom = of_row * of_column - noise
        cells = rows * columns
        variances = (
            # Of a linear form in the cells the variance is that of a cell times the squares of its slopes, which are
            # whole + both in the cell itself and both elsewhere; and of_column along the row, of_row along the column.
            noise * ((whole + both) ** 2 + (cells - 1) * both**2) + noise**2 * cells,
            noise * (columns * of_column**2 + rows * of_row**2 + 2 * of_row * of_column) + noise**2 * cells,
            noise * (both * (columns * of_column + rows * of_row) + whole * (of_row + of_column)),
        )
        one, two, three = (np.maximum(count, 0.0) for count in (both, of_row, of_column))
        every = np.maximum(whole, 0.0)
        sampled = (
            one * every**2 + 3 * one**2 * every,
            two * three * (two + three) + 2 * one * two * three,
            2 * one * two * three + every * one * (two + three),
        )
        value, low, high = _ratio(top, bottom, variances)
        _, total_low, total_high = _ratio(
            top, bottom, tuple(each + more for each, more in zip(variances, sampled, strict=True))
        )
        flat = [each.reshape(-1) for each in (value, low, high, total_low, total_high)]
        found = Finding(value=flat[0], low=flat[1], high=flat[2], total_low=flat[3], total_high=flat[4])
        return found.within(0.0, np.inf)

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def _ratio(top: Floats, bottom: Floats, errors: tuple[Floats, ...]) -> tuple[Floats, Floats, Floats]:
    """Return top / bottom with the ends of Fieller's interval; ``errors``: variances, then covariance."""
    a = bottom**2 - NORMAL_95**2 * errors[1]
    b = top * bottom - NORMAL_95**2 * errors[2]
    c = top**2 - NORMAL_95**2 * errors[0]
    known = (a > 0) & (bottom > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        value = np.where(bottom > 0, top / bottom, np.nan)
        low, high = np.where(known, (b - root) / a, 0.0), np.where(known, (b + root) / a, np.inf)
    return value, low, high
