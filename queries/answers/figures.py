"""From estimates to figures: one view's numbers in every row that it could show, with intervals and flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, prod
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import Code, Label
from queries.answers.estimates import Estimates
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.view import AggregateTerm, Arithmetic, AxisTerm, Expression, KeyTerm, View
from queries.errors import PlanError
from queries.statistics import STATISTICS

CAUTION, UNRELIABLE = 16.6, 33.3
"""Percent of the value that the noise's standard deviation is above which a value gets the flag."""

ALL = Code(code="*", label=Label(en="all", zh="合计"))
"""In a row of subtotals, the cell of a key that it adds up over."""

FREE, WITH_CAUTION, SUPPRESS = "free", "caution", "suppress"
"""How a figure may be used: freely, with caution, not shown. The bounds are Statistics Canada's, which hold for the
coefficient of variation; here it is that of the noise."""

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "unreliable": "the noise is more than a third of the value, or its size is unknown",
        "caution": "the noise is between a sixth and a third of the value",
        "negative": "below zero, where the exact value cannot be: noise around a small value",
        "small-cell": "below the smallest count that the hospitals' policies let pages show",
        "selected": "rows were chosen by their noisy values; intervals do not allow for that",
        "approximate": "the interval is an approximation (delta method), poor where the noise is large",
        "adds-up": "subtotals and parts were measured apart and made to add up by weighted least squares, unbiased",
    }
)
"""What each flag means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One figure."""

    value: float | None
    """Unbiased; None where it is undefined."""
    low: float | None
    """Lower end of the 95 % noise-only interval; None where it has none."""
    high: float | None
    """Upper end; None where it has none."""
    flags: tuple[str, ...]
    """Codes of ``FLAGS``."""
    total_low: float | None = None
    """Lower end of the 95 % interval that allows for noise and sampling; None where there is none."""
    total_high: float | None = None
    """Upper end."""
    deviation: float | None = None
    """Standard deviation of the noise, by which a figure is judged: an interval may be cut; None where unknown."""
    below: int = 0
    """Above 0: a count that lies below this, which pages show as ``<below``; the value stays what was released."""

    @property
    def reliability(self) -> str:
        """Return FREE, WITH_CAUTION or SUPPRESS, by the noise alone."""
        if "unreliable" in self.flags or self.value is None:
            return SUPPRESS
        return WITH_CAUTION if "caution" in self.flags else FREE


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """One expression in every row: arrays of shape (rows,)."""

    value: Floats
    """Estimates; NaN where undefined."""
    low: Floats
    """Noise-only, lower ends."""
    high: Floats
    """Noise-only, upper ends."""
    total: tuple[Floats, Floats] | None
    """Ends of the interval that allows for sampling too; None where there is none."""
    deviation: Floats
    """Standard deviation of the noise."""
    approximate: bool
    """Whether the interval is a delta-method approximation."""
    tested: bool
    """Whether the figures belong to a test and have no interval."""
    bounds: tuple[float, float]
    """Public bounds that intervals were cut to and values were not; infinite where there are none."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All rows that a view could show: the cells of its part, grouping by grouping, times the axis."""

    view: View
    """What is shown."""
    groupings: tuple[Estimates, ...]
    """What the rows are read from: all keys first, then fewer."""
    axis: tuple[Code, ...]
    """Names of the figures of one cell; empty: one figure a cell."""

    def __len__(self) -> int:
        return sum(each.setting(self.view.part).cells for each in self.groupings) * max(1, len(self.axis))

    def codes(self, expression: KeyTerm | AxisTerm) -> tuple[Code, ...]:
        """Return the codes that a column of keys may show, in order."""
        if isinstance(expression, AxisTerm):
            return self.axis
        setting = self.groupings[0].setting(self.view.part)
        codes = setting.codes(setting.keys[expression.key])
        return (*codes, ALL) if len(self.groupings) > 1 else codes

    def places(self, expression: KeyTerm | AxisTerm) -> NDArray[np.intp]:
        """Return, row by row, the position of its code in ``codes``."""
        figures = max(1, len(self.axis))
        parts = []
        for each in self.groupings:
            setting = each.setting(self.view.part)
            if isinstance(expression, AxisTerm):
                parts.append(np.tile(np.arange(figures, dtype=np.intp), setting.cells))
                continue
            if expression.key >= len(setting.keys):
                place = np.full(setting.cells, len(self.codes(expression)) - 1, dtype=np.intp)
            else:
                sizes = tuple(setting.size(key) for key in setting.keys)
                place = np.indices(sizes, dtype=np.intp).reshape(len(sizes), prod(sizes))[expression.key]
            parts.append(np.repeat(place, figures))
        return np.concatenate(parts)

    def numbers(self, expression: Expression) -> Numbers:
        """Return an expression's figures in every row."""
        read = [self._numbers(expression, each) for each in self.groupings]
        totals = [each.total for each in read]
        known = [each for each in totals if each is not None]
        return Numbers(
            value=np.concatenate([each.value for each in read]),
            low=np.concatenate([each.low for each in read]),
            high=np.concatenate([each.high for each in read]),
            total=(np.concatenate([low for low, _ in known]), np.concatenate([high for _, high in known]))
            if len(known) == len(read)
            else None,
            deviation=np.concatenate([each.deviation for each in read]),
            approximate=any(each.approximate for each in read),
            tested=any(each.tested for each in read),
            bounds=(max(each.bounds[0] for each in read), min(each.bounds[1] for each in read)),
        )

    def _numbers(self, expression: Expression, read: Estimates) -> Numbers:
        cells, figures = read.setting(self.view.part).cells, max(1, len(self.axis))

        def laid(array: Floats) -> Floats:
            """Give a single number to every cell, and a cell's number to each of its figures."""
            whole = np.broadcast_to(array, (cells,)) if array.size == 1 else array
            return np.repeat(whole, figures) if whole.size == cells and figures > 1 else whole

        found = read.of(expression)
        if isinstance(found, Finding):
            ends = (found.total_low, found.total_high)
            return Numbers(
                value=laid(found.value),
                low=laid(found.low),
                high=laid(found.high),
                total=None if ends[0] is None or ends[1] is None else (laid(ends[0]), laid(ends[1])),
                deviation=laid(found.deviation()),
                approximate=not found.exact and not found.tested,
                tested=found.tested,
                bounds=found.bounds,
            )
        low, high = found.interval()
        total = found.total_interval()
        return Numbers(
            value=laid(found.value),
            low=laid(low),
            high=laid(high),
            # A plain count or sum is about the records themselves.
            total=None if total is None or found.linear else (laid(total[0]), laid(total[1])),
            deviation=laid(np.sqrt(found.variance())),
            approximate=not found.linear and found.ratio is None,
            tested=False,
            bounds=found.bounds,
        )


def rows_of(view: View, groupings: Mapping[int, Estimates]) -> Rows:
    """Return the rows that a view could show; raise PlanError where figures of different axes meet."""
    whole = groupings[-1]
    part = whole.tally.plan.parts[view.part]
    chosen = [whole]
    if part.subtotals:
        chosen += [groupings[-1 - level] for level in range(1, len(part.keys) + 1)]
    axes = {axis for term in terms_of(view) if (axis := _axis(term, whole))}
    if len(axes) > 1:
        raise PlanError("figures with different axes in one table", remedy="ask for each in a question of its own")
    return Rows(view=view, groupings=tuple(chosen), axis=next(iter(axes), ()))


def terms_of(view: View) -> Iterator[AggregateTerm]:
    """Yield the aggregates that the columns of a view read."""
    waiting: list[Expression] = [column.expression for column in view.columns]
    while waiting:
        expression = waiting.pop()
        if isinstance(expression, AggregateTerm):
            yield expression
        elif isinstance(expression, Arithmetic):
            waiting += [expression.left, expression.right]


def _axis(term: AggregateTerm, read: Estimates) -> tuple[Code, ...]:
    aggregate = read.tally.plan.parts[term.part].aggregates[term.aggregate]
    return STATISTICS[aggregate.statistic].axis(aggregate, read.setting(term.part), term.reading)


def estimate(numbers: Numbers, row: int, *, positive: bool) -> Estimate:
    """Return one row's figure with its flags; ``positive``: whether public facts say that it is not below zero."""
    value = _finite(numbers.value[row])
    low, high = _finite(numbers.low[row]), _finite(numbers.high[row])
    total = (None, None) if numbers.total is None else (_finite(numbers.total[0][row]), _finite(numbers.total[1][row]))
    deviation = float(numbers.deviation[row])
    flags = [] if numbers.tested else [_reliability(value, deviation, (low, high))]
    flags += ["negative"] if positive and value is not None and value < 0 else []
    flags += ["approximate"] if numbers.approximate else []
    return Estimate(
        value=value,
        low=low,
        high=high,
        flags=tuple(filter(None, flags)),
        total_low=total[0],
        total_high=total[1],
        deviation=_finite(deviation),
    )


def reliability(percent: float) -> str:
    """Return how a figure may be used whose noise has a standard deviation of so many percent of it."""
    return SUPPRESS if percent > UNRELIABLE else WITH_CAUTION if percent > CAUTION else FREE


def _reliability(value: float | None, deviation: float, ends: tuple[float | None, float | None]) -> str:
    if deviation == 0:
        return ""
    if not value or None in ends or not isfinite(deviation):
        return "unreliable"
    percent = 100 * deviation / abs(value)
    return "unreliable" if percent > UNRELIABLE else "caution" if percent > CAUTION else ""


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None
