"""CHI_SQUARE(one, other): a table of counts, tested for association, and how strong the association is.

One block of exclusive cells. What is tested is that the two keys have nothing to do with each other. The noise widens
every count, so a chi-square of the noisy table looked up in the usual table would call far too much significant (in a
table of 3 by 4 with 1,000 rows at an epsilon of 0.3, 84 to 97 % of what is null). Here each squared deviation is
divided by what it is expected to be, sampling and noise together (Kifer and Rogers, AISTATS 2017, section 5), and the
result is held against tables drawn without association and with the noise in them (Gaboardi, Lim, Rogers and Vadhan,
ICML 2016, algorithm MCIndepD).
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, Label, Table
from queries.answers.association import independence, strength
from queries.answers.finding import Finding
from queries.answers.simulation import generator
from queries.asked.plan import Aggregate, Key
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums

MOST_CELLS = 2_500
"""Most cells of one table."""

MOST_IN_ALL = 10_000
"""Most cells of all tables of one answer: draws stay within seconds."""

DRAWS = 1999
"""Tables drawn without association, so that p-values come in steps of 1 in 2,000."""

FEWER_DRAWS = 499
"""The same where an answer has more than ``MANY`` cells."""

MANY = 1_000
"""Cells of an answer beyond which fewer tables are drawn."""

CLEAR = 5.0
"""Standard deviations of noise that a table's total must be above zero; below it there is nothing to test."""

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
        where a row or a column of it is within the noise.
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
