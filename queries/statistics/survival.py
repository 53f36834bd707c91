"""KAPLAN_MEIER, SURVIVAL and MEDIAN_SURVIVAL: three readings of one curve, from exits by band of time."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, NumberColumn, Table
from queries.answers.finding import Finding
from queries.asked.plan import Aggregate
from queries.asked.view import number
from queries.cost.setting import Setting
from queries.errors import PlanError
from queries.statistics.exits import TIME_AND_EVENT, FromExits, asked, exits_of, time_of
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Sums
from queries.survival.curve import Curve, curve
from queries.survival.median import interval, median
from queries.survival.times import FOR_CURVES, ends_of, names_of

AT, MEDIAN = "at", "median"
"""Readings beside the default, which is the whole curve."""

MOST_TIMES = 64
"""Most times of one call."""

MOST_SHOWN = 12
"""Most ends of bands that a refusal lists."""


class Survival(FromExits):
    """The share of patients without the event, by time."""

    axis_name: ClassVar[str] = "time"
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="KAPLAN_MEIER",
            arguments=TIME_AND_EVENT,
            summary="the survival curve: at the end of each band of time, the share without the event",
            example="KAPLAN_MEIER(BAND(followed, 8, 15, 31, 91), died = 'Y')",
        ),
        Function(
            name="SURVIVAL",
            arguments=(*TIME_AND_EVENT, Argument.NUMBER),
            repeats=True,
            summary="the share without the event until a time, that time included; several times cost as one",
            example="SURVIVAL(followed, died = 'Y', 14)",
            reading=AT,
        ),
        Function(
            name="MEDIAN_SURVIVAL",
            arguments=TIME_AND_EVENT,
            summary="the time by which half have had the event",
            example="MEDIAN_SURVIVAL(followed, died = 'Y')",
            reading=MEDIAN,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the curve; times without bands of their own become ends of bands."""
        time, event, *times = given
        numbers = tuple(each for each in times if isinstance(each, Fraction))
        column = time if isinstance(time, NumberColumn) else None
        also = () if column is None else tuple(int(each / column.step) for each in numbers)
        aggregate = asked("survival", function, (time, event), most=FOR_CURVES, also=also)
        if function.reading != AT:
            return aggregate, Reading(name=function.reading)
        return aggregate, Reading(name=AT, numbers=tuple(number(each).decimal for each in numbers))

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept the curve, the median, or times at which bands end."""
        if reading.words or (reading.numbers and reading.name != AT):
            raise PlanError("survival takes no such parameters", remedy="leave them out")
        if reading in (PLAIN, Reading(name=MEDIAN)):
            return
        if reading.name != AT or not 1 <= len(reading.numbers) <= MOST_TIMES:
            raise PlanError(
                "survival is not read that way", remedy=f"ask for the curve, or for 1 to {MOST_TIMES} times"
            )
        _places(aggregate, setting, reading)

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the times of a curve; one time, or the median, is a figure by itself."""
        bands, column = time_of(aggregate, setting)
        ends = ends_of(bands, column)
        if reading.name == AT and len(reading.numbers) > 1:
            return names_of(tuple(ends[place] for place in _places(aggregate, setting, reading)), column)
        return () if reading.name else names_of(ends, column)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return survival, or its median; NaN from where those at risk do not rise above their noise."""
        found = curve(exits_of(aggregate, setting, sums))
        if reading.name == MEDIAN:
            return _median(found, aggregate, setting)
        places = list(_places(aggregate, setting, reading)) if reading.name == AT else slice(None)
        arrays = (found.survival, *found.noise(), *found.total())
        value, low, high, total_low, total_high = (array[:, places].reshape(-1) for array in arrays)
        spread = np.sqrt(found.variance)[:, places].reshape(-1)
        figures = Finding(value=value, low=low, high=high, total_low=total_low, total_high=total_high, spread=spread)
        return figures.within(0.0, 1.0)

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return that of the time for a median."""
        return time_of(aggregate, setting)[1].unit if reading.name == MEDIAN else ""

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether a share is read, or a time that cannot be negative."""
        return reading.name != MEDIAN or time_of(aggregate, setting)[1].low >= 0


def _places(aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[int, ...]:
    bands, column = time_of(aggregate, setting)
    ends = ends_of(bands, column)
    found = []
    for decimal, value in zip(reading.numbers, reading.values, strict=True):
        steps = value / column.step
        if steps not in ends:
            shown = ", ".join(number(column.in_units(end)).decimal for end in ends[:MOST_SHOWN])
            raise PlanError(
                f"no band of time ends at {decimal}",
                remedy=f"name a time at which one ends ({shown} ...), or start a band one step after {decimal}",
            )
        found.append(ends.index(int(steps)))
    if len(set(found)) != len(found):
        raise PlanError("the same time twice", remedy="name each once")
    return tuple(found)


def _median(found: Curve, aggregate: Aggregate, setting: Setting) -> Finding:
    bands, column = time_of(aggregate, setting)
    step = float(column.step)
    ends, start = np.array(ends_of(bands, column)) * step, column.low * step
    low, high = interval(*found.noise(), ends, start)
    total_low, total_high = interval(*found.total(), ends, start)
    value = median(found.survival, ends, start)
    return Finding(value=value, low=low, high=high, total_low=total_low, total_high=total_high)
