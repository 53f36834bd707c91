"""A released series, and what an alarm method says of each of its periods."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queries.errors import PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PER_YEAR = {"day": 365, "week": 52, "month": 12, "quarter": 4, "year": 1}
"""Periods in a year, by what a period is."""

ENOUGH = 10.0
"""Least mean x epsilon at which alarms on noisy counts keep most of their power (docs/statistics.md, Alarms)."""

WEAK = (
    "mean x epsilon is under 10 (the expected count is under 7 sd of the noise): many outbreaks are missed; "
    "use longer periods, a larger region or more epsilon"
)
"""The warning that belongs to periods marked weak."""

_LABELS = {
    "day": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "week": re.compile(r"\d{4}-W\d{2}"),
    "month": re.compile(r"\d{4}-\d{2}"),
    "quarter": re.compile(r"\d{4}-Q[1-4]"),
    "year": re.compile(r"\d{4}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a method says of one period; the fields are None where the method could not judge it.

    That is where the baseline is too short, or it or the period itself has no released value.
    """

    label: str
    """Of the period, such as 2019-W17."""
    value: float
    """The released count, unbiased, so possibly negative; NaN where there is no release."""
    expected: float | None
    """The count to expect without an outbreak."""
    threshold: float | None
    """The count beyond which there is an alarm; also None in C3 where the two periods before raise it alone."""
    score: float | None
    """The method's own statistic: C1 to C3, the cumulated sum, or Farrington's exceedance."""
    alarm: bool | None
    """Whether the method raises an alarm; None means not judged, which is not the same as quiet."""
    weak: bool | None
    """Whether the expected count x epsilon is under 10, so that a quiet period says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """A method's verdict on a series."""

    method: str
    """C1, C2, C3, CUSUM or Farrington."""
    periods: tuple[Judged, ...]
    """One for each period of the series, in its order."""

    @property
    def raised(self) -> tuple[str, ...]:
        """The labels of the periods with an alarm."""
        return tuple(judged.label for judged in self.periods if judged.alarm)

    @property
    def warning(self) -> str | None:
        """The warning to print with the series, if any of its periods is weak."""
        return WEAK if any(judged.weak for judged in self.periods) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Released counts of consecutive periods with the variance of their noise."""

    labels: tuple[str, ...]
    """Of the periods in time order, as a query's columns name them: 2019-04-17, 2019-W17, 2019-04, 2019-Q2 or 2019."""
    values: Floats
    """The released counts, shape (periods,): unbiased, never clamped; NaN where a period has no release."""
    noise: Floats
    """The variance of the noise in each, shape (periods,); a scalar is taken for all of them."""

    def __post_init__(self) -> None:
        """Refuse what is not a series; raises PlanError."""
        values = np.asarray(self.values, dtype=np.float64)
        noise = np.asarray(self.noise, dtype=np.float64)
        if noise.ndim == 0:
            noise = np.full(values.shape, noise)
        if values.ndim != 1 or values.shape != noise.shape or len(self.labels) != len(values) or not len(values):
            raise PlanError(
                "a series has one label, one value and one noise variance for each period",
                remedy="give three columns of one length, or one variance for all",
            )
        if np.isinf(values).any() or not (np.isfinite(noise).all() and (noise >= 0).all()):
            raise PlanError(
                "a series has finite values and noise variances of at least 0",
                remedy="take both from the release; write NaN for a period without one",
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "noise", noise)
        self._refuse_gaps()

    @classmethod
    def of(cls, labels: Sequence[str], values: ArrayLike, noise: ArrayLike) -> Series:
        """Return a series of ``labels``, ``values`` and noise variances (one for each period, or one for all)."""
        return cls(
            labels=tuple(labels), values=np.asarray(values, np.float64), noise=np.asarray(noise, dtype=np.float64)
        )

    @cached_property
    def period(self) -> str:
        """What a period is: ``day``, ``week``, ``month``, ``quarter`` or ``year``."""
        for period, pattern in _LABELS.items():
            if pattern.fullmatch(self.labels[0]):
                return period
        raise PlanError(
            f"the label {self.labels[0]!r} names no period of a calendar",
            remedy="group by DAY, WEEK, MONTH, QUARTER or YEAR of a date",
        )

    @cached_property
    def ordinals(self) -> Ints:
        """The periods numbered on one calendar, so that the next period is one more; shape (periods,)."""
        return np.array([ordinal(label, self.period) for label in self.labels], dtype=np.int64)

    def _refuse_gaps(self) -> None:
        steps = np.diff(self.ordinals)
        for place in np.flatnonzero(steps != 1)[:1]:
            raise PlanError(
                f"{self.labels[place]} is followed by {self.labels[place + 1]}",
                remedy="give every period once, in time order, and NaN where there is no release",
            )


def ordinal(label: str, period: str) -> int:
    """Return the number of the period that ``label`` names; raises PlanError for a label of another kind."""
    if not _LABELS[period].fullmatch(label):
        raise PlanError(f"the label {label!r} names no {period}", remedy="give periods of one kind")
    year = int(label[:4])
    try:
        if period == "day":
            return date.fromisoformat(label).toordinal()
        if period == "week":
            # Day 1 of the calendar was a Monday, so that Mondays differ by whole sevens.
            return (date.fromisocalendar(year, int(label[6:]), 1).toordinal() - 1) // 7
        if period == "month":
            return 12 * year + date(year, int(label[5:]), 1).month - 1
    except ValueError:
        raise PlanError(
            f"the label {label!r} names no {period}", remedy="write such as 2019-04-17, 2019-W17, 2019-04"
        ) from None
    return 4 * year + int(label[6:]) - 1 if period == "quarter" else year


def weak(expected: Floats, noise: Floats) -> NDArray[np.bool_]:
    """Return where the expected count x epsilon is under 10.

    Epsilon here is the one at which Laplace noise has the variance of the release, sqrt(2 / variance): the rule then
    asks for an expected count of 7.1 noise sd, whatever mechanism, delta, row cap or price made the noise. Without
    noise nothing is weak.
    """
    faint: NDArray[np.bool_] = expected * np.sqrt(2.0) < ENOUGH * np.sqrt(noise)
    return faint


def judged(
    series: Series,
    *,
    expected: Floats,
    threshold: Floats,
    score: Floats,
    alarm: NDArray[np.bool_],
) -> tuple[Judged, ...]:
    """Return the verdicts on a series' periods from arrays of shape (periods,); a NaN score means not judged."""
    faint = weak(np.nan_to_num(expected), series.noise)
    return tuple(
        Judged(
            label=label,
            value=float(series.values[place]),
            expected=float(expected[place]) if seen else None,
            threshold=float(threshold[place]) if seen and np.isfinite(threshold[place]) else None,
            score=float(score[place]) if seen else None,
            alarm=bool(alarm[place]) if seen else None,
            weak=bool(faint[place]) if seen else None,
        )
        for place, (label, seen) in enumerate(zip(series.labels, ~np.isnan(score), strict=True))
    )
