"""Exits: the one block that survival curves, log-rank tests and hazard ratios are all read from.

Of each patient one row says when observation ended and whether by the event: cells are bands of time x event or not x
groups, exclusive, so the whole of it costs what one count costs. The time is cut into public bands; what that changes
is not in any interval (docs/statistics.md measures it).
"""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from math import prod
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import NumberColumn
from queries.answers.finding import Finding
from queries.asked.plan import Aggregate, BandKey, FlagKey, Key
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError, StatementError
from queries.statistics.crosstab import check_keys
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums
from queries.survival.exits import MOST_BANDS, Exits, ties_of
from queries.survival.times import default_bands, widths_of

TIME_AND_EVENT = (Argument.TIME, Argument.CONDITION)
"""What every function takes first."""

ACROSS = 2
"""Keys of an aggregate that are not groups: the bands of time, and event or not."""

MOST_FIGURES = 1 << 20
"""Most entries times terms of one answer: reading it takes seconds at most."""


class FromExits(Statistic):
    """A statistic that is read from exits; subclasses say how many groups they take."""

    linear: ClassVar[bool] = False
    least_groups: ClassVar[int] = 0
    most_groups: ClassVar[int] = 0

    @abstractmethod
    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the figures."""

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept bands of time, a condition, and as many groups as the statistic takes."""
        keys = aggregate.by
        groups = len(keys) - ACROSS
        if (
            aggregate.column is not None
            or aggregate.columns
            or not self.least_groups <= groups <= self.most_groups
            or not isinstance(keys[0], BandKey)
            or not isinstance(keys[1], FlagKey)
        ):
            raise PlanError(
                f"{aggregate.statistic} takes bands of time, a condition and {self.least_groups} to"
                f" {self.most_groups} groups",
                remedy=f"write {self.functions[0].example}",
            )
        check_keys(aggregate, setting)
        if len(keys[0].starts) > MOST_BANDS:
            raise PlanError(
                f"{len(keys[0].starts):,} bands of time, more than {MOST_BANDS}",
                remedy="name wider bands: those at risk are sums over bands, and so is their noise",
            )

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of exits.

        Worst case: all of one patient's bounded rows fall into one cell of one band. Cells are exclusive, so bands,
        event and groups add nothing to it.

        Guarantee: taking a patient away moves the block by no more than as many rows as the bound leaves.
        Test: tests/queries/test_stat_survival.py::test_no_patient_moves_the_exits_further_than_stated.
        """
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def time_of(aggregate: Aggregate, setting: Setting) -> tuple[BandKey, NumberColumn]:
    """Return the bands of time of a checked aggregate, and their column."""
    key = aggregate.by[0]
    if not isinstance(key, BandKey):
        raise PlanError("no bands of time", remedy="build the question with this version")
    return key, setting.number(key.column, aggregate.statistic)


def exits_of(aggregate: Aggregate, setting: Setting, sums: Sums, strata: int = 1) -> Exits:
    """Return the noisy exits, shape (cells, strata, bands, groups).

    Of the aggregate's groups, the first has ``strata`` cells unless that is 1; the rest are flattened into one axis.
    """
    bands, column = time_of(aggregate, setting)
    block = sums.blocks[0]
    groups = prod(setting.size(key) for key in aggregate.by[ACROSS:]) // strata
    counts = block.shaped(-1, len(bands.starts), 2, strata, groups)
    without, with_event = np.moveaxis(counts, 2, 0)
    return Exits(
        events=np.swapaxes(with_event, 1, 2),
        censored=np.swapaxes(without, 1, 2),
        variance=block.variance,
        ties=ties_of(widths_of(bands, column)),
    )


def asked(
    statistic: str, function: Function, given: tuple[Given, ...], *, most: int, also: tuple[int, ...] = ()
) -> Aggregate:
    """Return the aggregate that a call asks for, with default bands where it names a column and none.

    ``most`` and ``also`` are those of ``default_bands``.
    """
    time, event, *groups = given
    if isinstance(time, BandKey):
        bands = time
    elif isinstance(time, NumberColumn):
        bands = default_bands(time, most, also)
    else:
        raise StatementError(f"{function.name} needs a time", remedy=f"write {function.example}")
    keys: list[Key] = [bands]
    for key in (event, *groups):
        if isinstance(key, (NumberColumn, Fraction, str)):
            raise StatementError(f"{function.name} takes groups here", remedy=f"write {function.example}")
        keys.append(key)
    return Aggregate(statistic=statistic, by=tuple(keys))
