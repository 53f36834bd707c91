"""What an answer will be worth, before anything is asked: expected figures and their intervals.

Reads no record: noise follows from the plan and the price, and what the figures may be is the analyst's own expectation
or an answer that was released before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from queries.agreed.catalogue import Catalogue
from queries.answers.estimates import Estimates, estimates, expected_blocks
from queries.answers.figures import reliability
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Plan
from queries.asked.view import AxisTerm, Expression, KeyTerm, View
from queries.cost.measurement import Measurement
from queries.cost.tally import tally

NORMAL_95 = 1.959963984540054
"""Half-width of a 95 % interval, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One column of figures, as far as it can be foreseen."""

    half: float | None
    """Half the width of the 95 % noise-only interval in a cell; None where it depends on the answer."""
    value: float | None
    """What the figure would be with the rows that are expected; None where nothing is expected."""

    @property
    def relative(self) -> float | None:
        """Return the half-width over the value; None where either is unknown."""
        return self.half / abs(self.value) if self.half is not None and self.value else None

    @property
    def reliability(self) -> str:
        """Return FREE, WITH_CAUTION or SUPPRESS; empty where nothing is expected."""
        return "" if self.relative is None else reliability(100 * self.relative / NORMAL_95)


def foresee(
    plan: Plan,
    view: View,
    catalogue: Catalogue,
    measurement: Measurement,
    *,
    contributors: int,
    expect: float | None = None,
    earlier: Sequence[Floats] | None = None,
) -> tuple[Foreseen | None, ...]:
    """Return what to expect of each column of a view; None for keys.

    Half-widths are exact for linear columns. For others ``expect`` says how many rows a cell holds, see
    ``estimates.expected_blocks``, and of several figures in a cell the widest counts. Or ``earlier`` holds the sums of
    an earlier release of the same plan, block by block in their own units: then the figure whose relative error is
    the median counts.
    """
    layout = tally(plan, catalogue)
    variances = [float(noise.variance(contributors)) for noise in measurement.blocks]
    known = bool(expect) or earlier is not None
    blocks = expected_blocks(layout, catalogue, expect or 0.0) if expect or earlier is None else earlier
    found = estimates(layout, catalogue, blocks, variances)[-1]
    typical = not expect and earlier is not None
    return tuple(
        None
        if isinstance(column.expression, (KeyTerm, AxisTerm))
        else _foresee(found, column.expression, known=known, typical=typical)
        for column in view.columns
    )


def expected_half_widths(
    plan: Plan,
    view: View,
    catalogue: Catalogue,
    measurement: Measurement,
    *,
    contributors: int,
    expect: float | None = None,
    earlier: Sequence[Floats] | None = None,
) -> tuple[float | None, ...]:
    """Return the half-widths that ``foresee`` finds; None for keys and where they are unknowable."""
    found = foresee(plan, view, catalogue, measurement, contributors=contributors, expect=expect, earlier=earlier)
    return tuple(None if each is None else each.half for each in found)


def _foresee(found: Estimates, expression: Expression, *, known: bool, typical: bool) -> Foreseen:
    if not known and not found.linear(expression):
        return Foreseen(half=None, value=None)
    read = found.of(expression)
    if isinstance(read, Finding):
        if read.tested:
            return Foreseen(half=None, value=None)
        halves = NORMAL_95 * read.deviation()
    else:
        halves = NORMAL_95 * np.sqrt(read.variance())
    values = np.broadcast_to(read.value, halves.shape)
    place = _typical(values, halves) if typical else _widest(halves)
    if place is None:
        return Foreseen(half=None, value=None)
    value = float(values[place])
    return Foreseen(half=float(halves[place]), value=value if known and np.isfinite(value) else None)


def _widest(halves: Floats) -> int | None:
    finite = np.where(np.isfinite(halves), halves, -1.0)
    place = int(np.argmax(finite))
    return place if finite[place] >= 0 else None


def _typical(values: Floats, halves: Floats) -> int | None:
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = halves / np.abs(values)
    finite = np.flatnonzero(np.isfinite(relative))
    if not finite.size:
        return _widest(halves)
    return int(finite[np.argsort(relative[finite])[len(finite) // 2]])
