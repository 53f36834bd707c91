"""VARIANCE(x) and STDDEV(x): the sample variance (over n - 1) of a number, and its root.

Four blocks: rows, centred values and squares, shared with AVG of the same column, and counts in a few bands. The bands
serve the interval that allows for sampling only: a sample variance is the less certain the heavier the tails are, and a
fourth moment of its own would be all noise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats, NoisyBlock, Quantity
from queries.asked.plan import Aggregate, BandKey
from queries.cost.moments import Moments, moments_of
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums, no_cells

ROOT = Reading(name="deviation")
"""The standard deviation rather than the variance."""

BANDS = 16
"""Into which the column's bounds are cut for the shape of its distribution."""

CLEAR = 1.0
"""Standard deviations of noise below which a band's count is taken for none."""

_WEIGHTS = FULL // 4, FULL // 2, FULL, FULL // 5
"""Of rows, values, squares and bands: most noise comes in with the squares, as values lie inside their bounds."""


class Spread(Statistic):
    """The mean of centred squares less the square of the mean, as a ratio over the rows but one."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="VARIANCE",
            arguments=(Argument.COLUMN,),
            summary="the sample variance of a number",
            example="VARIANCE(age)",
        ),
        Function(
            name="STDDEV",
            arguments=(Argument.COLUMN,),
            summary="the sample standard deviation of a number",
            example="STDDEV(age)",
            reading=ROOT.name,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the spread of a column, read one way or the other."""
        (column,) = given
        name = column.name if isinstance(column, NumberColumn) else None
        return Aggregate(statistic="spread", column=name), Reading(name=function.reading)

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a number column."""
        no_cells(aggregate)
        setting.number(aggregate.column, aggregate.statistic)

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept the variance and its root."""
        if reading not in (PLAIN, ROOT):
            raise PlanError("a spread is a variance or a standard deviation", remedy="ask VARIANCE or STDDEV")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the blocks of rows with a value, of centred sums, of squares and of bands."""
        column = setting.number(aggregate.column, aggregate.statistic)
        moments = moments_of(column)
        rows, values, squares, bands = _WEIGHTS
        return (
            moments.rows(aggregate, setting.keys, rows),
            moments.values(aggregate, setting.keys, values),
            moments.squares(aggregate, setting.keys, squares),
            Block(keys=(*setting.keys, _bands(column)), measure=RowCount(), where=aggregate.where, weight=bands),
        )

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity | Finding:
        """Return the noisy variances in squared units of the column, or their roots in its units.

        A variance is unbiased and may come out below zero; its root is undefined there, and elsewhere corrected for the
        curve of the root. Sampling: (kurtosis - (n - 3) / (n - 1)) times the squared variance over n.
        """
        column = setting.number(aggregate.column, aggregate.statistic)
        moments = moments_of(column)
        rows, values, squares, bands = sums.blocks
        found = variance(moments, rows, values, squares)
        sampling = _sampling(found.value, rows.values, bands, column, moments)
        # Between bounds that are r apart no two or more values vary by more than r squared over two.
        reach = float(column.in_units(column.high - column.low)) ** 2 / 2
        found = replace(found, sampling=sampling).within(0.0, reach)
        return found if reading == PLAIN else _root(found)

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the column's unit, squared for a variance."""
        unit = setting.number(aggregate.column, aggregate.statistic).unit
        return unit if reading == ROOT else f"{unit}²" if unit else ""

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def variance(moments: Moments, rows: NoisyBlock, values: NoisyBlock, squares: NoisyBlock) -> Quantity:
    """Return sample variances of cells: NaN where there is not more than one row.

    The sum of squares about the noisy mean is linear in the sums but for the square of the mean's own error, whose
    expectation is known and added back; so it is a ratio of linear forms, with Fieller's interval.
    """
    n, total = rows.values, values.values * moments.step
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        blurred = (values.variance * moments.step**2 + mean**2 * rows.variance) / n
        about = squares.values * moments.square - mean * total + blurred
    known = n > 1
    deviations = Quantity(
        value=np.where(known, about, np.nan),
        slopes={
            squares.index: np.full_like(n, moments.square),
            values.index: np.where(known, -2 * mean * moments.step, 0.0),
            rows.index: np.where(known, mean**2, 0.0),
        },
        variances={block.index: block.variance for block in (rows, values, squares)},
    )
    return deviations / (Quantity.of_block(rows) - Quantity.constant(1.0, n.size))


def _bands(column: NumberColumn) -> BandKey:
    width = -(-(column.high - column.low + 1) // BANDS)
    return BandKey(column=column.name, starts=tuple(range(column.low, column.high + 1, width)))


def _sampling(spread: Floats, rows: Floats, bands: NoisyBlock, column: NumberColumn, moments: Moments) -> Floats:
    """Return the variance that a sample variance has by sampling; rows are taken for independent."""
    starts = np.array([*_bands(column).starts, column.high + 1], dtype=np.float64)
    middle, width = (starts[1:] + starts[:-1] - 1) / 2 - moments.centre, np.diff(starts)
    # A band's count within its noise would add the fourth power of its distance to nothing: it is left out here, which
    # touches the error bar only. Bands of several values are taken for evenly filled.
    counts = bands.shaped(spread.size, width.size)
    counts = np.where(counts > CLEAR * np.sqrt(bands.variance), counts, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = counts / counts.sum(axis=1, keepdims=True)
        away = middle - (share * middle).sum(axis=1, keepdims=True)
        inside = (width**2 - 1) / 12
        second = (share * (away**2 + inside)).sum(axis=1)
        fourth = (share * (away**4 + 6 * away**2 * inside + (width**2 - 1) * (3 * width**2 - 7) / 240)).sum(axis=1)
        kurtosis = np.maximum(fourth / second**2, 1.0)
        found: Floats = np.maximum(spread, 0.0) ** 2 * (kurtosis - (rows - 3) / (rows - 1)) / rows
    return np.where(rows > 1, found, np.nan)


def _root(found: Quantity) -> Finding:
    (low, high), total = found.interval(), found.total_interval()
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = found.variance() / found.value**2
        # The root of an unbiased variance is too low by an eighth of that, as long as the noise is small against it.
        value = np.where(
            found.value > 0, np.sqrt(found.value) * (1 + np.where(relative < 1 / 9, relative, 0.0) / 8), np.nan
        )
    root = Finding(
        value=value,
        low=np.sqrt(low),
        high=np.sqrt(high),
        total_low=None if total is None else np.sqrt(total[0]),
        total_high=None if total is None else np.sqrt(total[1]),
        exact=True,
    )
    return root.within(float(np.sqrt(found.bounds[0])), float(np.sqrt(found.bounds[1])))
