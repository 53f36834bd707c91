"""MEDIAN, QUANTILE, SHARE_BELOW and CDF: the distribution of a number column, from one tree of counts.

All of them are readings of the same tally, so several of them of one column cost as much as one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, NoReturn

import numpy as np

from queries.agreed.catalogue import Code, Label, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.inversion import NORMAL_95, inverted, rising
from queries.answers.quantity import Floats
from queries.answers.tree import Tree, tree_of
from queries.asked.plan import Aggregate, BandKey
from queries.asked.view import number
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums, no_cells

QUANTILES, BELOW, CURVE = "quantiles", "below", "curve"
"""The readings; the default one is the median."""

INNER = 2 * FULL // 3
"""The weight of each level above the leaves, see ``queries.answers.tree``."""

MOST_POINTS = 64
"""Most quantiles, or shares, of one reading."""

CURVE_POINTS = 32
"""About how many points a curve has."""


class Quantile(Statistic):
    """A tree of counts; its fitted cumulative counts are inverted."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "point"
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="MEDIAN",
            arguments=(Argument.COLUMN,),
            summary="the value that half of the rows do not exceed",
            example="MEDIAN(age)",
        ),
        Function(
            name="QUANTILE",
            arguments=(Argument.COLUMN, Argument.NUMBER),
            summary="the value that this share of the rows does not exceed; several shares give a row each",
            example="QUANTILE(age, 0.9)",
            repeats=True,
            reading=QUANTILES,
        ),
        Function(
            name="SHARE_BELOW",
            arguments=(Argument.COLUMN, Argument.NUMBER),
            summary="the share of the rows whose value is below a number; several numbers give a row each",
            example="SHARE_BELOW(age, 65)",
            repeats=True,
            reading=BELOW,
        ),
        Function(
            name="CDF",
            arguments=(Argument.COLUMN,),
            summary="the share of the rows below each of some thirty values: the distribution as a curve",
            example="CDF(age)",
            reading=CURVE,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the tree of the column, and the reading with its numbers."""
        column, *points = given
        if not isinstance(column, NumberColumn):
            return super().made(function, given, table)
        numbers = tuple(number(point).decimal for point in points if isinstance(point, Fraction))
        reading = Reading(name=function.reading, numbers=numbers) if function.reading else PLAIN
        return Aggregate(statistic="quantile", column=column.name), reading

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a number column."""
        no_cells(aggregate)
        setting.number(aggregate.column, aggregate.statistic)

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept levels between 0 and 1, or values where a leaf of the tree starts."""
        column = setting.number(aggregate.column, aggregate.statistic)
        several = reading.name in (QUANTILES, BELOW)
        if reading.words or reading.name not in ("", QUANTILES, BELOW, CURVE) or several != bool(reading.numbers):
            _refuse("this is no way to read a distribution", "ask MEDIAN, QUANTILE, SHARE_BELOW or CDF")
        if len(reading.numbers) > MOST_POINTS or len(set(reading.numbers)) != len(reading.numbers):
            _refuse(f"more than {MOST_POINTS} points, or one of them twice", "name fewer, each once")
        if reading.name == QUANTILES and not all(0 < level < 1 for level in reading.values):
            _refuse("a quantile is of a share between 0 and 1", "write QUANTILE(column, 0.9) for the 90th percentile")
        if reading.name == BELOW:
            _check_edges(reading.values, column)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return a block for each level of the tree, coarsest first; a row falls into one band of each.

        Sensitivity, worst case of a block: all of one patient's rows fall into one band, which changes by their number;
        and so in every level.
        """
        column = setting.number(aggregate.column, aggregate.statistic)
        tree = tree_of(column)
        return tuple(
            Block(
                keys=(*setting.keys, BandKey(column=column.name, starts=tree.level(stride))),
                measure=RowCount(),
                where=aggregate.where,
                weight=FULL if stride == 1 else INNER,
            )
            for stride in tree.strides
        )

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the levels or values of which there are figures; empty where there is one."""
        if reading.name == CURVE:
            column = setting.number(aggregate.column, aggregate.statistic)
            points = tuple(number(column.in_units(point)).decimal for point in _curve(tree_of(column)))
        else:
            points = reading.numbers if len(reading.numbers) > 1 else ()
        return tuple(Code(code=point, label=Label(en=point, zh=point)) for point in points)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return quantiles in units of the column, or shares.

        A quantile is the least value at which the cumulative count reaches its rank (numpy's ``inverted_cdf``); in a
        column whose leaves hold several values it is interpolated in its leaf. The interval's ends are values of the
        column; where leaves hold several, ends of leaves, or places in a leaf that holds few rows beside the noise.
        """
        column = setting.number(aggregate.column, aggregate.statistic)
        tree = tree_of(column)
        variances = tuple(block.variance for block in sums.blocks)
        levels = [
            block.shaped(-1, len(tree.level(stride))) for block, stride in zip(sums.blocks, tree.strides, strict=True)
        ]
        counts = np.cumsum(tree.leaves(levels, variances), axis=-1)
        errors = tree.errors(variances)
        if reading.name in (BELOW, CURVE):
            points = _curve(tree) if reading.name == CURVE else tuple(int(at / column.step) for at in reading.values)
            places = np.searchsorted(np.array(tree.starts), np.array(points)) - 1
            return _shares(counts[:, places], counts[:, -1:], tuple(each[places] for each in errors[:2]), errors[2])
        shares = reading.values or (Fraction(1, 2),)
        risen = rising(counts)
        found = [inverted(tree, risen, counts[:, -1:], float(share), errors) for share in shares]
        ends = [np.stack([each[place] for each in found], axis=-1).reshape(-1) for place in range(5)]
        # Whole steps times a decimal step, rounded once: the float that the decimal is read as.
        in_units = [end * column.step.numerator / column.step.denominator for end in ends]
        return Finding(
            value=in_units[0],
            low=in_units[1],
            high=in_units[2],
            total_low=in_units[3],
            total_high=in_units[4],
            exact=True,
        )

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the column's unit for quantiles."""
        if reading.name in (BELOW, CURVE):
            return ""
        return setting.number(aggregate.column, aggregate.statistic).unit

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether no value can be negative."""
        return reading.name in (BELOW, CURVE) or setting.number(aggregate.column, aggregate.statistic).low >= 0


def _refuse(message: str, remedy: str) -> NoReturn:
    raise PlanError(message, remedy=remedy)


def _check_edges(points: tuple[Fraction, ...], column: NumberColumn) -> None:
    """Raise PlanError unless each value starts a leaf other than the first, so that nothing is interpolated."""
    starts = tree_of(column).starts
    for point in points:
        steps = point / column.step
        if steps.denominator == 1 and steps > starts[0] and int(steps) in starts:
            continue
        place = min(max(1, int(np.searchsorted(np.array(starts), float(steps)))), len(starts) - 1)
        near = float(column.in_units(starts[place]))
        _refuse(
            f"the tree of {column.name} has no edge at {float(point):g}",
            f"ask at {near:.12g}, an edge nearby; or divide COUNT(*) FILTER (WHERE {column.name} < ...) by a count",
        )


def _curve(tree: Tree) -> tuple[int, ...]:
    """Return the values, in steps, of a curve's points: starts of leaves, spread evenly over the tree's."""
    later = tree.starts[1:]
    stride = max(1, round(len(later) / CURVE_POINTS))
    return later[stride - 1 :: stride]


def _shares(counts: Floats, whole: Floats, errors: tuple[Floats, ...], spread: float) -> Finding:
    """Return cumulative counts over the whole, with Fieller's interval; shape (cells x points,)."""
    variance, covariance = errors
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(whole > 0, counts / whole, np.nan)
        square = whole**2 - NORMAL_95**2 * spread
        middle = counts * whole - NORMAL_95**2 * covariance
        root = np.sqrt(np.maximum(middle**2 - square * (counts**2 - NORMAL_95**2 * variance), 0.0))
        known = (square > 0) & (whole > 0)
        low, high = np.where(known, (middle - root) / square, 0.0), np.where(known, (middle + root) / square, 1.0)
        share = np.clip(value, 0.0, 1.0)
        sampling = NORMAL_95**2 * share * (1 - share) / np.where(whole > 0, whole, np.nan)
        total_low = np.where(known, value - np.sqrt((value - low) ** 2 + sampling), 0.0)
        total_high = np.where(known, value + np.sqrt((high - value) ** 2 + sampling), 1.0)
    flat = [each.reshape(-1) for each in (value, low, high, total_low, total_high)]
    found = Finding(value=flat[0], low=flat[1], high=flat[2], total_low=flat[3], total_high=flat[4], exact=True)
    return found.within(0.0, 1.0)
