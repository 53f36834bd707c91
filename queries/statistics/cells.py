"""Logistic and Poisson regression on groups: coefficients from one table of exclusive cells.

LOGISTIC and LOGISTIC_ODDS(event, group, ...), RELATIVE_RISK(event, group, ...), POISSON and POISSON_RATES(event, time,
group, ...): a term for every code of a group after its first, beside an intercept. A row counts where the event and
every group are known. The table costs what a single count costs, however many terms are read from it. How they are
read, and which of them the noise leaves, is in ``queries/agreed/levels.py`` and ``queries/answers/scores.py``.
"""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, NumberColumn, Table
from queries.agreed.levels import cells_of, coefficients
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.answers.scores import LOGISTIC, RATE, RISK, Family
from queries.asked.canonical import encode
from queries.asked.plan import Aggregate, Every, FlagKey, Key, Not, Predicate, Some
from queries.asked.terms import INTERCEPT, key_terms, unlike
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount, ValueSum
from queries.errors import PlanError
from queries.statistics.crosstab import check_keys
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums

RATIO = Reading(name="ratio")
"""The coefficients' exponentials: ratios of odds, risks or rates, and the first cell's own."""

MOST_CELLS = 2_048
"""Most cells of the groups of one model."""

MOST_IN_ALL = 20_000
"""Most cells of all models of one answer."""

MOST_TERMS = 64
"""Most coefficients of one model."""


class Regression(Statistic):
    """A generalised linear model of an event on groups."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "term"

    @abstractmethod
    def family(self, aggregate: Aggregate) -> Family:
        """Return the law of events."""

    @abstractmethod
    def entries(self, aggregate: Aggregate, setting: Setting, sums: Sums) -> tuple[Floats, tuple[float, float]]:
        """Return both entries of every cell, shape (models, cells, 2), and the variances of their noise."""

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept an event and unlike groups, few enough."""
        if len(aggregate.by) < 2 or not isinstance(aggregate.by[0], FlagKey) or aggregate.columns:  # noqa: PLR2004
            example = self.functions[0].example
            raise PlanError("a regression has an event and one group or more", remedy=f"write {example}")
        check_keys(aggregate, setting)
        sizes = [setting.size(key) for key in aggregate.by[1:]]
        terms, cells = 1 + sum(sizes) - len(sizes), prod(sizes)
        if terms > MOST_TERMS or cells > MOST_CELLS or cells * setting.cells > MOST_IN_ALL:
            raise PlanError(
                f"{setting.cells:,} models of {terms:,} terms on {cells:,} cells, more than {MOST_TERMS} terms,"
                f" {MOST_CELLS:,} cells or {MOST_IN_ALL:,} cells in all",
                remedy="use fewer groups, a coarser level or wider bands",
            )

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept coefficients and their exponentials."""
        if reading not in (PLAIN, RATIO):
            remedy = "ask " + " or ".join(function.name for function in self.functions)
            raise PlanError("a regression has no such reading", remedy=remedy)

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the names of the coefficients."""
        return unlike((INTERCEPT, *(term for key in aggregate.by[1:] for term in key_terms(key, setting))))

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return coefficients on the scale of logarithms, or with ``RATIO`` their exponentials.

        Sampling: independent rows, the model taken for true.
        """
        cells = cells_of(*(setting.size(key) for key in aggregate.by[1:]))
        entries, variances = self.entries(aggregate, setting, sums)
        found = coefficients(cells, entries, variances, self.family(aggregate)).reshape(5, -1)
        ends = np.exp(found) if reading == RATIO else found
        return Finding(value=ends[0], low=ends[1], high=ends[2], total_low=ends[3], total_high=ends[4], exact=True)

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether ratios are read."""
        return reading == RATIO


class Logistic(Regression):
    """The logarithm of an event's odds is a sum of terms."""

    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="LOGISTIC",
            arguments=(Argument.CONDITION, Argument.GROUP),
            repeats=True,
            summary="coefficients of a logistic regression of an event on groups",
            example="LOGISTIC(died = 'Y', sex, BAND(age, 10))",
        ),
        Function(
            name="LOGISTIC_ODDS",
            arguments=(Argument.CONDITION, Argument.GROUP),
            repeats=True,
            summary="odds ratios, each adjusted for the other groups, from a logistic regression of an event",
            example="LOGISTIC_ODDS(died = 'Y', sex, BAND(age, 10))",
            reading=RATIO.name,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the regression of the event on the groups."""
        by = tuple(each for each in given if isinstance(each, Key))
        return Aggregate(statistic="logistic", by=by), Reading(name=function.reading)

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept an event and unlike groups, without a column."""
        if aggregate.column is not None:
            raise PlanError("a logistic regression counts rows", remedy="leave the column out, or ask POISSON")
        super().check(aggregate, setting)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts; its cells exclude each other.

        Sensitivity, worst case: all of one patient's rows fall into one cell, which changes by their number.
        """
        return (_counts(aggregate, setting),)

    def family(self, aggregate: Aggregate) -> Family:
        """Return the logistic law."""
        return LOGISTIC

    def entries(self, aggregate: Aggregate, setting: Setting, sums: Sums) -> tuple[Floats, tuple[float, float]]:
        """Return rows with and without the event."""
        return _rows(aggregate, setting, sums)


class Poisson(Regression):
    """The logarithm of a rate by time at risk, or of the share with an event, is a sum of terms."""

    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="POISSON",
            arguments=(Argument.CONDITION, Argument.COLUMN, Argument.GROUP),
            repeats=True,
            summary="coefficients of a Poisson regression of an event on groups, by time at risk",
            example="POISSON(died = 'Y', followed, sex)",
        ),
        Function(
            name="POISSON_RATES",
            arguments=(Argument.CONDITION, Argument.COLUMN, Argument.GROUP),
            repeats=True,
            summary="rate ratios, each adjusted for the other groups, from a Poisson regression by time at risk",
            example="POISSON_RATES(died = 'Y', followed, sex)",
            reading=RATIO.name,
        ),
        Function(
            name="RELATIVE_RISK",
            arguments=(Argument.CONDITION, Argument.GROUP),
            repeats=True,
            summary="risk ratios, each adjusted for the other groups, from a Poisson regression of an event by rows",
            example="RELATIVE_RISK(died = 'Y', sex, BAND(age, 10))",
            reading=RATIO.name,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the regression of the event on the groups, by time at risk where there is such a column."""
        columns = [each.name for each in given if isinstance(each, NumberColumn)]
        aggregate = Aggregate(
            statistic="poisson",
            column=columns[0] if columns else None,
            by=tuple(each for each in given if isinstance(each, Key)),
        )
        return aggregate, Reading(name=function.reading)

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept an event, unlike groups, and a column of time that cannot be negative, or none."""
        if aggregate.column is not None and setting.number(aggregate.column, aggregate.statistic).low < 0:
            raise PlanError("time at risk is not below zero", remedy="name a column whose lower bound is 0 or more")
        super().check(aggregate, setting)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts as a logistic regression has it; or events, and time at risk, by group.

        Sensitivity, worst case: all of one patient's rows fall into one cell, each an event, with the longest time.
        """
        if aggregate.column is None:
            return (_counts(aggregate, setting),)
        column = setting.number(aggregate.column, aggregate.statistic)
        keys = (*setting.keys, *aggregate.by[1:])
        event = aggregate.by[0].term  # type: ignore[union-attr]  # checked: a condition
        known = Some(terms=tuple(sorted((event, Not(term=event)), key=encode)))
        return (
            Block(keys=keys, measure=RowCount(column=column.name), where=_both(aggregate.where, event)),
            Block(
                keys=keys,
                measure=ValueSum(column=column.name, centre=0, bound=max(column.high, 1)),
                where=_both(aggregate.where, known),
            ),
        )

    def family(self, aggregate: Aggregate) -> Family:
        """Return the law of rates, or of shares."""
        return RISK if aggregate.column is None else RATE

    def entries(self, aggregate: Aggregate, setting: Setting, sums: Sums) -> tuple[Floats, tuple[float, float]]:
        """Return events and time in units of the column; or rows with and without the event."""
        if aggregate.column is None:
            return _rows(aggregate, setting, sums)
        step = float(setting.number(aggregate.column, aggregate.statistic).step)
        cells = prod(setting.size(key) for key in aggregate.by[1:])
        events, time = sums.blocks
        found = np.stack([events.values, time.values * step], axis=-1).reshape(-1, cells, 2)
        return found, (events.variance, time.variance * step**2)

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return nothing: coefficients and ratios have no unit, and the intercept's is one over that of time."""
        return ""


def _both(one: Predicate, other: Predicate) -> Every:
    """Return the conjunction of two conditions, spelt in order."""
    return Every(terms=tuple(sorted((one, other), key=encode)))


def _counts(aggregate: Aggregate, setting: Setting) -> Block:
    return Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where)


def _rows(aggregate: Aggregate, setting: Setting, sums: Sums) -> tuple[Floats, tuple[float, float]]:
    """Return rows with and without the event, of cells that have the event first: no, yes."""
    block = sums.blocks[0]
    cells = prod(setting.size(key) for key in aggregate.by[1:])
    found = block.values.reshape(-1, 2, cells)[:, ::-1].transpose(0, 2, 1)
    return found, (block.variance, block.variance)
