"""CHI_SQUARE(one, other): a table of counts, tested for association, and how strong the association is.

One block of exclusive cells. What is tested is that the two keys have nothing to do with each other. The noise widens
every count, so a chi-square of the noisy table looked up in the usual table would call far too much significant (in a
table of 3 by 4 with 1,000 rows at an epsilon of 0.3, 84 to 97 % of what is null). Here each squared deviation is
divided by what it is expected to be, sampling and noise together (Kifer and Rogers, AISTATS 2017, section 5), and the
result is held against tables drawn without association and with the noise in them (Gaboardi, Lim, Rogers and Vadhan,
ICML 2016, algorithm MCIndepD).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar

import numpy as np

from queries.catalogue import Code, Label, Table
from queries.errors import PlanError
from queries.finding import Finding
from queries.plan import Aggregate, Key
from queries.quantity import Floats
from queries.setting import Setting
from queries.simulation import Draws, generator
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums
from queries.tally import Block, RowCount

MOST_CELLS = 2_500
"""Most cells of one table."""

MOST_IN_ALL = 20_000
"""Most cells of all tables of one answer: draws stay within seconds."""

DRAWS = 1999
"""Tables drawn without association, so that p-values come in steps of 1 in 2,000."""

FEWER_DRAWS = 499
"""The same where an answer has more than ``MANY`` cells."""

MANY = 1_000
"""Cells of an answer beyond which fewer tables are drawn."""

CLEAR = 5.0
"""Standard deviations of noise that a table's total must be above zero; below it there is nothing to test."""

CLEAR_MARGIN = 3.0
"""Standard deviations of noise that every row and column must be above zero for Cramer's V."""

FIGURES = (
    Code(code="chi_square", label=Label(en="chi-square, noise allowed for", zh="卡方统计量（已计入噪声）")),
    Code(code="df", label=Label(en="degrees of freedom", zh="自由度")),
    Code(code="p", label=Label(en="p-value, simulated with the noise", zh="p值（模拟，含噪声）")),
    Code(code="cramers_v", label=Label(en="Cramer's V, noise taken off", zh="克拉默V系数（已扣除噪声）")),
)
"""Of one table."""


class Crosstab(Statistic):
    """Counts in the product of two keys."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "figure"
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="CHI_SQUARE",
            arguments=(Argument.GROUP, Argument.GROUP),
            summary="whether two groupings of the rows are associated: chi-square, p-value, Cramer's V",
            example="CHI_SQUARE(sex, died)",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the table of the two keys."""
        return Aggregate(statistic="table", by=tuple(each for each in given if isinstance(each, Key))), PLAIN

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept two unlike keys, each of two cells or more, that are not among those around the table."""
        if aggregate.column is not None or aggregate.columns or len(aggregate.by) != 2:  # noqa: PLR2004
            raise PlanError("a table has two keys and no column", remedy="write CHI_SQUARE(sex, died)")
        check_keys(aggregate, setting)
        cells = prod(setting.size(key) for key in aggregate.by)
        if cells > MOST_CELLS or cells * setting.cells > MOST_IN_ALL:
            raise PlanError(
                f"{setting.cells:,} tables of {cells:,} cells, more than {MOST_CELLS:,} each or {MOST_IN_ALL:,} in all",
                remedy="name a coarser level, wider bands or fewer groups",
            )

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts; its cells exclude each other.

        Sensitivity, worst case: all of one patient's rows fall into one cell, which changes by their number.
        """
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the figures of a table."""
        return FIGURES

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return chi-square, degrees of freedom, p-value and Cramer's V of every table.

        The degrees of freedom are those of the public keys. All but these are NaN where a table's total is within
        ``CLEAR`` standard deviations of zero; V, which estimates that of the exact table and has an interval, also
        where a row or a column is within ``CLEAR_MARGIN`` of it.
        """
        high, wide = (setting.size(key) for key in aggregate.by)
        block = sums.blocks[0]
        tables = block.shaped(-1, high, wide)
        draws = DRAWS if tables.size <= MANY else FEWER_DRAWS
        draw = generator(sums.seed, b"chi-square")
        found = np.full((5, len(tables), len(FIGURES)), np.nan)
        found[0, :, 1] = (high - 1) * (wide - 1)
        for cell, table in enumerate(tables):
            if table.sum() <= CLEAR * np.sqrt(block.variance * table.size):
                continue
            found[0, cell, 0], found[0, cell, 2] = independence(table, block.variance, draws, draw)
            found[:, cell, 3] = strength(table, block.variance, draws, draw)
        value, low, upper, total_low, total_high = found.reshape(5, -1)
        return Finding(
            value=value, low=low, high=upper, total_low=total_low, total_high=total_high, tested=True, exact=True
        )

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def check_keys(aggregate: Aggregate, setting: Setting) -> None:
    """Raise PlanError where a key of an aggregate's own has one cell only, or is there twice."""
    if len({*aggregate.by, *setting.keys}) < len(aggregate.by) + len(setting.keys):
        raise PlanError("the same group twice", remedy="name each once, and leave out what the answer is grouped by")
    for key in aggregate.by:
        if setting.size(key) < 2:  # noqa: PLR2004
            raise PlanError("a single value has nothing to be compared with", remedy="name a group of two or more")


@dataclass(frozen=True, kw_only=True)
class _Deviations:
    """Tables held against independence; arrays of shape (..., rows, columns)."""

    found: Floats
    """Counts less what the margins lead to expect."""
    expected: Floats
    """What the margins lead to expect, margins below zero taken for zero."""


def _deviations(tables: Floats, variance: float) -> _Deviations:
    cells = tables.shape[-1] * tables.shape[-2]
    rows, columns = tables.sum(axis=-1, keepdims=True), tables.sum(axis=-2, keepdims=True)
    # A drawn table may have a total that noise took to zero: it is held at one standard deviation of its noise.
    total = np.maximum(rows.sum(axis=-2, keepdims=True), max(np.sqrt(variance * cells), 1e-9))
    expected = np.maximum(rows, 0.0) * np.maximum(columns, 0.0) / total
    return _Deviations(found=tables - rows * columns / total, expected=expected)


def _chi_square(deviations: _Deviations, variance: float) -> Floats:
    """Return the sum of squared deviations over their variance; without noise it is Pearson's."""
    spread = deviations.expected + variance
    # Without noise an empty row or column deviates by nothing from nothing.
    ratios = np.divide(deviations.found**2, spread, out=np.zeros_like(spread), where=spread > 0)
    total: Floats = ratios.sum(axis=(-2, -1))
    return total


def independence(table: Floats, variance: float, draws: int, draw: Draws) -> tuple[float, float]:
    """Return the chi-square of a noisy table, and its p-value among ``draws`` tables without association.

    Drawn tables have Poisson counts of the expected sizes and normal noise; their margins are estimated anew from each,
    as the table's own are. The p-value counts the table itself among the drawn, so it is never 0 and never too small
    (Davison and Hinkley, Bootstrap Methods, 1997, equation 4.11).
    """
    deviations = _deviations(table, variance)
    found = float(_chi_square(deviations, variance))
    null = draw.poisson(deviations.expected, (draws, *table.shape))
    null = null + np.sqrt(variance) * draw.standard_normal(null.shape)
    beyond = int((_chi_square(_deviations(null, variance), variance) >= found).sum())
    return found, (1 + beyond) / (1 + draws)


def strength(table: Floats, variance: float, draws: int, draw: Draws) -> Floats:
    """Return Cramer's V of the exact table, its noise-only and its total interval: shape (5,), NaN where unknown.

    Pearson's chi-square of the noisy table has the noise in it; what is expected of that is taken off, and what is left
    is held at 0 at the least, since V is a root.
    """
    high, wide = table.shape
    around = _Around(table)
    deviation = np.sqrt(variance)
    clear = (around.rows.min() / np.sqrt(wide), around.columns.min() / np.sqrt(high))
    if min(clear) <= CLEAR_MARGIN * deviation:
        return np.full(5, np.nan)
    one, other = around.shares
    of_noise = np.outer((1 - one) ** 2 + (high - 1) * one**2, (1 - other) ** 2 + (wide - 1) * other**2)
    excess = variance * float((of_noise / around.expected).sum())
    noise = draw.standard_normal((draws, high, wide))
    ends = [
        end
        for spread in (np.full_like(table, deviation), np.sqrt(variance + np.maximum(table, 0.0)))
        for end in around.ends(spread, noise)
    ]
    largest = around.total * (min(high, wide) - 1)
    # Chi-square is a square, and V a share of the largest that a table of this total can have.
    found: Floats = np.sqrt(np.clip(np.array([around.chi_square - excess, *ends]) / largest, 0.0, 1.0))
    return found


_TRIED = np.array([0.0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 8, 12, 20, 50, 200, 1e4, 1e8])
"""How far exact deviations are tried away from the noisy ones, in standard deviations of chi-square."""


class _Around:
    """Exact tables that a noisy one may have come from: the same margins, with more or less association."""

    def __init__(self, table: Floats) -> None:
        self.rows, self.columns, self.total = table.sum(axis=1), table.sum(axis=0), float(table.sum())
        self.shares = self.rows / self.total, self.columns / self.total
        self.expected = np.outer(self.rows, self.columns) / self.total
        self.root = np.sqrt(self.expected)
        self.scaled = (table - self.expected) / self.root
        self.chi_square = float((self.scaled**2).sum())

    def centred(self, counts: Floats) -> Floats:
        """Return how far changes of counts move the scaled deviations, margins moving with them."""
        one, other = self.shares
        by_row, by_column = counts.sum(axis=-1, keepdims=True), counts.sum(axis=-2, keepdims=True)
        both = by_row.sum(axis=-2, keepdims=True) * np.outer(one, other)
        moved: Floats = (counts - by_row * other - by_column * one[:, None] + both) / self.root
        return moved

    def slope(self, scaled: Floats) -> Floats:
        """Return the derivative of chi-square by each count, at a table of these scaled deviations."""
        counts = self.expected + self.root * scaled
        squares = counts**2 / self.expected
        found: Floats = 2 * counts / self.expected - (squares.sum(axis=1) / self.rows)[:, None]
        return found - squares.sum(axis=0) / self.columns

    def ends(self, spread: Floats, noise: Floats) -> tuple[float, float]:
        """Return the least and greatest exact chi-square that the noisy one is no surprise to (2.5 % at either end).

        ``spread``: standard deviations of the errors of counts; ``noise``: standard normal draws. For each size of the
        exact association its most likely deviations are taken: the less certain of the noisy ones gives way more.
        """
        if self.chi_square <= 0:
            return 0.0, 0.0
        errors = spread * noise
        squares = (self.centred(errors) ** 2).sum(axis=(1, 2))
        uncertain = (spread / self.root) ** 2
        usual = float((self.scaled**2 * uncertain).sum()) / self.chi_square
        step = float((errors * self.slope(self.scaled)).sum(axis=(1, 2)).std()) / (2 * self.chi_square)
        more = _TRIED[:0:-1] * step * uncertain.max() / max(usual, 1e-300)
        pulls = [*(-more / (1 + more) / uncertain.max()), *(_TRIED * step / max(usual, 1e-300))]
        sizes, lows, highs = [], [], []
        for pull in pulls:
            exact = self.centred(self.root * self.scaled / (1 + pull * uncertain))
            drawn = (errors * self.slope(exact)).sum(axis=(1, 2)) + squares
            size = float((exact**2).sum())
            low, high = np.quantile(drawn, (0.025, 0.975))
            sizes.append(size)
            lows.append(size + low - self.chi_square)
            highs.append(size + high - self.chi_square)
        # The noisy chi-square is no surprise where it lies between what is drawn low and what is drawn high.
        return _crossing(sizes, highs), _crossing(sizes, lows)


def _crossing(sizes: list[float], surplus: list[float]) -> float:
    """Return the size at which the surplus, falling along both lists, passes zero; 0 where it stays above."""
    for (size, above), (smaller, below) in pairwise(zip(sizes, surplus, strict=True)):
        if above >= 0 > below:
            return smaller + (size - smaller) * below / (below - above)
    return 0.0 if surplus[-1] >= 0 else sizes[0]
