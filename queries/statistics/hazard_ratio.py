"""HAZARD_RATIO(time, event, group, ...): how the groups' hazards compare, each group adjusted for the others.

A piecewise-exponential model on the table of band x group: within a band of time (and a stratum) the hazard is that of
the band times the ratios of the patient's groups.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Aggregate, Key
from queries.asked.terms import key_terms, unlike
from queries.cost.setting import Setting
from queries.errors import PlanError
from queries.statistics.exits import ACROSS, MOST_FIGURES, TIME_AND_EVENT, FromExits, asked, exits_of
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Sums
from queries.survival.curve import NORMAL_95
from queries.survival.hazards import hazards
from queries.survival.times import FOR_COMPARISONS

STRATIFIED = "stratified"
"""The reading in which the first group is a stratum: each of its cells has hazards of its own, and no ratio."""

MOST_TERMS = 64
"""Most ratios of one model."""


class HazardRatio(FromExits):
    """Ratios of hazards, in each cell."""

    axis_name: ClassVar[str] = "term"
    least_groups: ClassVar[int] = 1
    most_groups: ClassVar[int] = 6
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="HAZARD_RATIO",
            arguments=(*TIME_AND_EVENT, Argument.GROUP),
            repeats=True,
            summary="hazard ratios of groups against the first of each, adjusted for one another",
            example="HAZARD_RATIO(followed, died = 'Y', aspirin = 'Y', consciousness)",
        ),
        Function(
            name="STRATIFIED_HAZARD_RATIO",
            arguments=(*TIME_AND_EVENT, Argument.GROUP, Argument.GROUP),
            repeats=True,
            summary="the same with hazards of their own in each stratum, which is the first group",
            example="STRATIFIED_HAZARD_RATIO(followed, died = 'Y', site.country, aspirin = 'Y')",
            reading=STRATIFIED,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return exits by all groups."""
        return asked("hazard_ratio", function, given, most=FOR_COMPARISONS), Reading(name=function.reading)

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept both readings where enough groups, and not too many ratios, are left for them."""
        if reading not in (PLAIN, Reading(name=STRATIFIED)):
            raise PlanError("hazard ratios are not read that way", remedy="leave the parameters out")
        groups = _groups(aggregate, reading)
        if not groups:
            raise PlanError("a stratum and nothing to compare in it", remedy="name a group after the stratum")
        terms = sum(setting.size(key) - 1 for key in groups)
        entries = setting.cells * prod(setting.size(key) for key in aggregate.by)
        if terms > MOST_TERMS or entries * terms > MOST_FIGURES:
            raise PlanError(
                f"{terms} ratios from {entries:,} counts, more than {MOST_TERMS} or too many to read",
                remedy="name fewer groups, coarser levels or wider bands",
            )

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the terms: each group's cells after the first."""
        return unlike(tuple(term for key in _groups(aggregate, reading) for term in key_terms(key, setting)))

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return hazard ratios, with intervals on the log scale; NaN where there is no finite estimate."""
        groups = _groups(aggregate, reading)
        strata = setting.size(aggregate.by[ACROSS]) if reading.name == STRATIFIED else 1
        exits = exits_of(aggregate, setting, sums, strata)
        design = _design([setting.size(key) for key in groups])
        fits = [
            hazards(replace(exits, events=events, censored=censored), design)
            for events, censored in zip(exits.events, exits.censored, strict=True)
        ]
        value = np.concatenate([fit.value for fit in fits])
        noise = np.concatenate([fit.noise for fit in fits])
        halves = [NORMAL_95 * np.sqrt(each) for each in (noise, noise + np.concatenate([fit.sampling for fit in fits]))]
        (low, high), (total_low, total_high) = ((np.exp(value - half), np.exp(value + half)) for half in halves)
        return Finding(value=np.exp(value), low=low, high=high, total_low=total_low, total_high=total_high)


def _groups(aggregate: Aggregate, reading: Reading) -> tuple[Key, ...]:
    """Return the keys whose cells are compared."""
    return aggregate.by[ACROSS + (reading.name == STRATIFIED) :]


def _design(sizes: list[int]) -> Floats:
    """Return the covariates of each combination of groups, the last fastest: 1 for each cell after a key's first."""
    rows = [
        np.concatenate([np.arange(1, size) == place for size, place in zip(sizes, places, strict=True)])
        for places in product(*(range(size) for size in sizes))
    ]
    return np.array(rows, dtype=np.float64)
