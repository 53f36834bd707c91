"""A model on groups, fitted to noisy cells: which levels the noise leaves, their coefficients, their intervals.

What the noise hides is not made up. A level without events above zero is left out of the model, as complete separation
would have it: the fewer events it has, the less its rows say of other levels. So is one without rows, or with less time
than its noise. It has no coefficient; its interval is what the score test says of it, with an open end where the noise
leaves none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from queries.answers.profiles import Ends, Z
from queries.answers.quantity import Floats
from queries.answers.scores import Equations, Family

STRICTER = (2.0, 4.0)
"""Standard deviations of noise above zero below which a level is left out where a model has no solution otherwise."""

MOST_DOUBT = 0.4
"""Greatest relative noise in the information at which the bias of second order is known well enough to be taken off."""

MOST_AT_ONCE = 1 << 22
"""Entries of the largest array that is worked on at once: 32 MiB."""

_KINDS = ((Z, False), (-Z, False), (Z, True), (-Z, True))
"""The four ends of a coefficient: lower and upper, by noise only and by noise and sampling."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of a model's groups, last group fastest."""

    sizes: tuple[int, ...]
    """Levels of each group."""
    indicators: tuple[Floats, ...]
    """By group, which cell has which level: shape (cells, levels)."""

    @property
    def terms(self) -> tuple[tuple[int, int], ...]:
        """Return the group and level of each term after the intercept."""
        return tuple((group, level) for group, size in enumerate(self.sizes) for level in range(1, size))

    @property
    def design(self) -> Floats:
        """Return the intercept and an indicator of every level after the first of its group: (cells, terms)."""
        return np.concatenate(
            [np.ones((prod(self.sizes), 1)), *(indicator[:, 1:] for indicator in self.indicators)], axis=1
        )

    def inside(self, kept: tuple[Bools, ...]) -> Bools:
        """Return the cells of which every level is kept; ``kept`` by group, shape (models, levels)."""
        shares = [levels @ indicator.T for levels, indicator in zip(kept, self.indicators, strict=True)]
        found: Bools = np.prod(shares, axis=0) > 0
        return found


def cells_of(*sizes: int) -> Cells:
    """Return the cells of groups of these sizes."""
    places = np.indices(sizes).reshape(len(sizes), prod(sizes))
    return Cells(sizes=sizes, indicators=tuple(np.eye(size)[place] for size, place in zip(sizes, places, strict=True)))


def coefficients(cells: Cells, entries: Floats, variances: tuple[float, float], family: Family) -> Floats:
    """Return the coefficients of models and the ends of their noise-only and total intervals: (5, models, terms).

    ``entries`` has shape (models, cells, 2), with noise of these variances. NaN where there is no coefficient, infinite
    where an end is open.
    """
    terms = 1 + len(cells.terms)
    at_once = max(1, MOST_AT_ONCE // (len(_KINDS) * terms * terms * entries.shape[1]))
    found = []
    with np.errstate(all="ignore"):
        for first in range(0, len(entries), at_once):
            some = entries[first : first + at_once]
            found.append(_Models(cells, some, np.broadcast_to(np.array(variances), some.shape), family).read())
    return np.concatenate(found, axis=1)


class _Models:
    """Models of one shape, fitted side by side."""

    def __init__(self, cells: Cells, entries: Floats, variances: Floats, family: Family) -> None:
        self.cells, self.entries, self.variances, self.family = cells, entries, variances, family
        self.design = cells.design
        self.clarity = tuple(self._clarity(indicator) for indicator in cells.indicators)

    def _clarity(self, indicator: Floats) -> Floats:
        """Return how far each level is from being left out, in deviations of noise: shape (models, levels).

        The lesser of its events, and of what they are a ratio to less what it must be clear of.
        """
        combined = np.array([(1.0, 0.0), self.family.base]).T
        margins = np.einsum("mce,cl->mle", self.entries, indicator) @ combined
        noise = np.sqrt(np.einsum("mce,cl->mle", self.variances, indicator) @ combined**2)
        beyond = np.divide(margins, noise, out=np.where(margins > 0, np.inf, -np.inf), where=noise > 0)
        found: Floats = np.minimum(beyond[:, :, 0], beyond[:, :, 1] - self.family.clear)
        return found

    def read(self) -> Floats:
        """Return the coefficients and their ends, see ``coefficients``."""
        kept, roots = self._roots()
        errors = self._equations(kept).errors(roots)
        value = np.where((errors.doubt <= MOST_DOUBT)[:, None], roots - errors.bias, roots)
        compared = [levels[:, 1:] & levels[:, :1] for levels in kept]
        known = np.concatenate([np.all([levels[:, 0] for levels in kept], axis=0)[:, None], *compared], axis=1)
        start = np.where(np.isnan(roots), self._start(kept), roots)
        ends = self._ends(kept, start, (errors.noise, errors.noise + errors.sampling))
        return np.concatenate([np.where(known, value, np.nan)[None], ends])

    def _roots(self) -> tuple[tuple[Bools, ...], Floats]:
        """Return the levels that each model keeps, and its coefficients; NaN where it has no solution."""
        kept = tuple(clarity > 0 for clarity in self.clarity)
        roots = self._equations(kept).solved(self._start(kept))
        for least in STRICTER:
            waiting = np.flatnonzero(np.isnan(roots).any(axis=1))
            if waiting.size:
                for levels, clarity in zip(kept, self.clarity, strict=True):
                    levels[waiting] = clarity[waiting] > least
                roots[waiting] = self._equations(kept).of(waiting).solved(self._start(kept)[waiting])
        return kept, roots

    def _start(self, kept: tuple[Bools, ...]) -> Floats:
        """Return the coefficients of models of an intercept only."""
        one, other = (self.entries * self.cells.inside(kept)[:, :, None]).sum(axis=1).T
        start = np.zeros((len(self.entries), self.design.shape[1]))
        start[:, 0] = np.nan_to_num(self.family.start(one, other), posinf=0.0, neginf=0.0)
        return start

    def _equations(self, kept: tuple[Bools, ...]) -> Equations:
        """Return the equations over the cells of kept levels; of each group the first of them is compared with."""
        inside = self.cells.inside(kept)[:, :, None]
        free = [np.ones((len(self.entries), 1), dtype=bool)]
        for levels in kept:
            others = levels.copy()
            others[np.arange(len(levels)), levels.argmax(axis=1)] = False
            free.append(others[:, 1:])
        return Equations(
            family=self.family,
            design=self.design,
            entries=self.entries * inside,
            variances=self.variances * inside,
            free=np.concatenate(free, axis=1),
        )

    def _ends(self, kept: tuple[Bools, ...], start: Floats, variances: tuple[Floats, Floats]) -> Floats:
        """Return the four ends of every coefficient: (4, models, terms)."""
        models, terms = start.shape
        parts = [self._held(kept, term) for term in range(terms)]
        equations = Equations(
            family=self.family,
            design=self.design,
            entries=np.concatenate([part.entries for part in parts]),
            variances=np.concatenate([part.variances for part in parts]),
            free=np.concatenate([part.free for part in parts]),
        )
        kinds, both = len(_KINDS), terms * models
        several = np.tile(np.arange(both), kinds)
        spread = np.concatenate([np.sqrt(variances[int(total)]).T.reshape(-1) for _, total in _KINDS])
        ends = Ends(
            equations=equations.of(several),
            held=np.tile(np.repeat(np.arange(terms), models), kinds),
            target=np.repeat([target for target, _ in _KINDS], both),
            total=np.repeat([total for _, total in _KINDS], both),
        )
        # A level that was left out has no estimate to start from: its end is looked for around no difference.
        reach = np.clip(np.nan_to_num(Z * spread, nan=1.0, posinf=1.0), 1e-6, 1.0)
        left_out = ~self._equations(kept).free.T.reshape(-1)
        reach = np.where(np.tile(left_out, kinds), 1.0, reach)
        found = ends.found(np.tile(start, (terms * kinds, 1)), reach)
        return found.reshape(kinds, terms, models).transpose(0, 2, 1)

    def _held(self, kept: tuple[Bools, ...], term: int) -> Equations:
        """Return the equations in which one coefficient is held: the levels that it compares are in, come what may."""
        levels = [each.copy() for each in kept]
        for group in range(len(levels)) if term == 0 else (self.cells.terms[term - 1][0],):
            levels[group][:, 0] = True
        if term > 0:
            group, level = self.cells.terms[term - 1]
            levels[group][:, level] = True
        equations = self._equations(tuple(levels))
        equations.free[:, term] = False
        return equations
