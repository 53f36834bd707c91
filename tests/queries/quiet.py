"""Quiet years and outbreaks for the tests of alarms: labels, counts, noise, and how often a method calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from queries.series import Alarms, Series

Floats = NDArray[np.float64]


@lru_cache
def weeks(number: int) -> tuple[str, ...]:
    """Return the labels of so many ISO weeks from 2009-W01 on; 2009 and 2015 have 53."""
    first = date(2008, 12, 29)
    days = ((first + timedelta(days=7 * index)).isocalendar() for index in range(number))
    return tuple(f"{day.year}-W{day.week:02d}" for day in days)


def months(number: int, first: int = 2004) -> tuple[str, ...]:
    """Return the labels of so many months from January of the first year on."""
    return tuple(f"{first + index // 12}-{index % 12 + 1:02d}" for index in range(number))


def counts(seed: int, sites: int, periods: int, mean: float) -> Floats:
    """Return Poisson counts of quiet sites, shape (sites, periods)."""
    return np.random.default_rng(seed).poisson(mean, (sites, periods)).astype(np.float64)


def released(exact: Floats, seed: int, variance: Floats | float) -> Floats:
    """Return counts with noise of the given variance."""
    return exact + np.random.default_rng(seed).normal(size=exact.shape) * np.sqrt(variance)


def calls(values: Floats, noise: Floats | float, method: Callable[[Series], Alarms]) -> NDArray[np.float64]:
    """Return 1 for an alarm, 0 for none and NaN for not judged, in the shape of the values (sites, periods)."""
    labels = weeks(values.shape[1])
    return np.array(
        [
            [
                np.nan if judged.alarm is None else judged.alarm
                for judged in method(Series.of(labels, row, noise)).periods
            ]
            for row in values
        ],
        dtype=np.float64,
    )


def rate(values: Floats, noise: Floats | float, method: Callable[[Series], Alarms]) -> float:
    """Return the share of judged periods with an alarm."""
    return float(np.nanmean(calls(values, noise, method)))
