"""Intervals of the coefficients of score equations: all values that a test does not reject.

For a value of one coefficient the others are solved for, and what is left of its score is held against its standard
deviation. The values within 1.96 of it are the interval (Rao's score test, inverted). Where the noise hides how few
events a level has, no small value is ever rejected: then that end is open, as it must be (Fieller's interval does the
same for a quotient), instead of an estimate plus or minus a standard deviation that means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats
from queries.answers.scores import Equations

Z = 1.959963984540054

FARTHEST = 18.0
"""How far from its start an end of an interval is looked for, on the scale of logarithms: a factor of 65 million."""

DOUBLINGS = 12
"""Of the distance from the start, until an end is enclosed."""

HALVINGS = 40
"""Most steps by which an enclosed end is found."""

FINE = 1e-3
"""Of the distance first tried, how exactly an end is found."""

_STRONGEST = 1e6


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Ends that are looked for, one for each equation; its coefficient ``held`` is not free."""

    equations: Equations
    """In which the others are solved for."""
    held: NDArray[np.intp]
    """The coefficient whose end it is."""
    target: Floats
    """What the standardised score is there: ``Z`` at a lower end, ``-Z`` at an upper one."""
    total: NDArray[np.bool_]
    """Whether sampling is allowed for beside the noise."""

    def of(self, chosen: NDArray[np.intp]) -> Ends:
        """Return some of the ends."""
        return Ends(
            equations=self.equations.of(chosen),
            held=self.held[chosen],
            target=self.target[chosen],
            total=self.total[chosen],
        )

    def beyond(self, coefficients: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Return how far the standardised score at ``values`` is above its target, and the coefficients there."""
        at = coefficients.copy()
        at[np.arange(len(at)), self.held] = values
        at = self.equations.solved(at)
        score, noise, both = self.equations.tested(at, self.held)
        spread = np.sqrt(np.where(self.total, both, noise)) + np.finfo(float).tiny
        return np.clip(score / spread, -_STRONGEST, _STRONGEST) - self.target, at

    def found(self, start: Floats, reach: Floats) -> Floats:
        """Return the ends; infinite where they are open.

        ``start``: coefficients nearby, shape (ends, terms). ``reach``: the distance first tried.
        """
        rows = np.arange(len(start))
        begin = start[rows, self.held]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            above, at = self.beyond(start, begin)
            # The score falls as the coefficient rises: an end lies to the right where it is above its target still.
            side = np.where(above > 0, 1.0, -1.0)
            inner, outer = _Point(begin, above, at), _Point(begin, above, at)
            waiting = np.flatnonzero(np.isfinite(above))
            distance = reach.copy()
            for _ in range(DOUBLINGS):
                if not waiting.size:
                    break
                tried = begin[waiting] + side[waiting] * distance[waiting]
                beyond, at = self.of(waiting).beyond(outer.coefficients[waiting], tried)
                reached = np.isfinite(beyond)
                inner.put(waiting[reached], outer.of(waiting[reached]))
                outer.put(waiting[reached], _Point(tried, beyond, at).of(reached))
                passed = beyond * above[waiting] <= 0
                waiting = waiting[~passed & reached & (distance[waiting] < FARTHEST)]
                distance[waiting] = np.minimum(2 * distance[waiting], FARTHEST)
            enclosed = np.flatnonzero(outer.beyond * above <= 0)
            ends = np.where(self.target > 0, -np.inf, np.inf)
            ends[enclosed] = self.of(enclosed).between(inner.of(enclosed), outer.of(enclosed), reach[enclosed])
        return ends

    def between(self, inner: _Point, outer: _Point, reach: Floats) -> Floats:
        """Return the ends that lie between ``inner`` and ``outer``, on either side (regula falsi, Illinois variant)."""
        one, other = inner, outer
        waiting = np.arange(len(reach))
        for _ in range(HALVINGS):
            if not waiting.size:
                break
            low, high = one.of(waiting), other.of(waiting)
            tried = (low.value * high.beyond - high.value * low.beyond) / (high.beyond - low.beyond)
            tried = np.where(np.isfinite(tried), tried, (low.value + high.value) / 2)
            beyond, at = self.of(waiting).beyond(high.coefficients, tried)
            # A point where no root is reached tells nothing: the end is left where it is.
            known = np.isfinite(beyond)
            crossed = known & (beyond * high.beyond < 0)
            one.put(waiting[crossed], high.of(crossed))
            one.beyond[waiting[known & ~crossed]] /= 2
            other.put(waiting[known], _Point(tried, beyond, at).of(known))
            near = np.abs(tried - high.value) < FINE * reach[waiting]
            waiting = waiting[known & ~near & (beyond != 0)]
        return other.value


class _Point:
    """Where the score was looked at: the held coefficient, the score above its target, all coefficients."""

    def __init__(self, value: Floats, beyond: Floats, coefficients: Floats) -> None:
        self.value, self.beyond, self.coefficients = value.copy(), beyond.copy(), coefficients.copy()

    def of(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> _Point:
        """Return some of the points."""
        return _Point(self.value[chosen], self.beyond[chosen], self.coefficients[chosen])

    def put(self, chosen: NDArray[np.intp], points: _Point) -> None:
        """Replace some of the points."""
        self.value[chosen], self.beyond[chosen] = points.value, points.beyond
        self.coefficients[chosen] = points.coefficients
