"""LOGRANK(time, event, group): do the groups have one hazard? Within strata where one is named."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, Label, Table
from queries.answers.finding import Finding
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.errors import PlanError
from queries.statistics.exits import ACROSS, MOST_FIGURES, TIME_AND_EVENT, FromExits, asked, exits_of
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Sums
from queries.survival.logrank import logrank
from queries.survival.times import FOR_COMPARISONS

FIGURES = (
    Code(
        code="chi_square", label=Label(en="log-rank chi-square, noise allowed for", zh="对数秩卡方统计量（已计入噪声）")
    ),
    Code(code="df", label=Label(en="degrees of freedom", zh="自由度")),
    Code(code="p", label=Label(en="p-value, noise allowed for", zh="p值（已计入噪声）")),
)
"""Of one test."""

MOST_GROUPS = 64
"""Most groups that one test compares."""


class LogRank(FromExits):
    """A test of groups, in each cell."""

    axis_name: ClassVar[str] = "figure"
    least_groups: ClassVar[int] = 1
    most_groups: ClassVar[int] = 2
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="LOGRANK",
            arguments=(*TIME_AND_EVENT, Argument.GROUP, Argument.GROUP),
            least=3,
            summary="log-rank test of groups, within the strata of a fourth argument: chi-square, df, p-value",
            example="LOGRANK(followed, died = 'Y', aspirin)",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return exits by group, or by stratum and group: what ``exits_of`` takes for strata comes first."""
        time, event, group, *stratum = given
        return asked("logrank", function, (time, event, *stratum, group), most=FOR_COMPARISONS), PLAIN

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept one group of up to ``MOST_GROUPS`` cells, and a stratum before it."""
        super().check(aggregate, setting)
        if setting.size(aggregate.by[-1]) > MOST_GROUPS:
            raise PlanError(f"more than {MOST_GROUPS} groups to compare", remedy="name a coarser level or wider bands")
        cells = setting.cells * prod(setting.size(key) for key in aggregate.by)
        if cells * setting.size(aggregate.by[-1]) > MOST_FIGURES:
            raise PlanError("more than this test can be read from", remedy="name fewer groups, strata or bands of time")

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the figures of a test."""
        return FIGURES

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return chi-square, degrees of freedom and p-value; NaN where no band has enough patients at risk."""
        strata = setting.size(aggregate.by[ACROSS]) if len(aggregate.by) > ACROSS + 1 else 1
        exits = exits_of(aggregate, setting, sums, strata)
        figures = []
        for events, censored in zip(exits.events, exits.censored, strict=True):
            found = logrank(replace(exits, events=events, censored=censored))
            figures += [found.statistic, found.degrees, found.p]
        nothing = np.full(len(figures), np.nan)
        return Finding(value=np.array(figures, dtype=np.float64), low=nothing, high=nothing, tested=True)
