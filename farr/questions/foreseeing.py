"""What to expect of a pack before it is asked, from typical sizes that are public: no record is read.

The analyst says how many discharges to expect in the period; the pack says how many rows of other tables come with each
discharge, about how large its shares are, and the means of its number columns. What the sums would be follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

import numpy as np

from farr.packs.indicators import Round
from farr.questions import asking as askings
from farr.questions.asking import Asking
from queries.agreed.catalogue import Catalogue, NumberColumn, Table
from queries.agreed.domains import size
from queries.agreed.pack import FIGURE, Indicator, Side
from queries.answers.estimates import expected_sum
from queries.answers.foresight import NORMAL_95, Foreseen
from queries.answers.quantity import Floats
from queries.asked.plan import EVERYTHING, AttributeKey, FlagKey, Key, Plan, SiteKey
from queries.cost.tally import Block, ProductSum, RowCount, Tally, ValueSum, tally

SHOW, CAUTION, SUPPRESS = "show", "caution", "suppress"
"""What to do with a figure, by its indicator's rule."""


LEAN = 0.15
"""About where the mean of a number lies between its bounds, where a distribution is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One indicator, as far as it can be foreseen."""

    indicator: Indicator
    """Which."""
    found: Foreseen
    """Its typical value and half-width in a cell."""
    display: str
    """``show``, ``caution`` or ``suppress``; empty where nothing is known."""
    more: float | None
    """How many times as many rows would make it fit to be shown; 1: it is; None: nobody can say."""
    coarser: str
    """The grouping without which it would be reliable; empty: none, or not needed."""


def display_of(indicator: Indicator, relative: float | None) -> str:
    """Return what an indicator's rule says of a figure whose half-width is ``relative`` times its value."""
    if relative is None:
        return SUPPRESS
    percent = 100 * relative / NORMAL_95
    if percent > indicator.reliability.suppress:
        return SUPPRESS
    return CAUTION if percent > indicator.reliability.caution else SHOW


def expected(asking: Asking, asked: Round, catalogue: Catalogue, discharges: float | None) -> tuple[Expected, ...]:
    """Return what to expect of each indicator: from an earlier release if there is one, else from ``discharges``.

    Without either, values are not known and only half-widths of counts and sums are given. Raises FarrError where
    ``discharges`` is no number of them.
    """
    askings.check_expected(discharges)
    terms = replace(asking.terms, expect=None)
    sums = typical_sums(asking.question.plan, asked, catalogue, discharges) if discharges else asking.earlier
    found = askings.foreseen(replace(asking, terms=terms, earlier=sums), catalogue)
    return tuple(
        _expected(each, found[f"{each.name}: {FIGURE}"], _shares_of_rows(each, asking, asked, catalogue), known=sums)
        for each in asked.indicators
    )


@dataclass(frozen=True, kw_only=True)
class _Typical:
    """What the sums of a round would be."""

    layout: Tally
    asked: Round
    catalogue: Catalogue
    discharges: float

    def sums(self) -> tuple[Floats, ...]:
        """Return them block by block, in the blocks' own units."""
        found = [np.zeros(entries) for entries in self.layout.sizes]
        for block, side in self._sides().items():
            found[block] = self._of(block, side)
        return tuple(found)

    def _sides(self) -> dict[int, Side]:
        parts = self.layout.plan.parts
        places = [(part, place) for part, each in enumerate(parts) for place in range(len(each.aggregates))]
        found: dict[int, Side] = {}
        for (part, place), side in zip(places, self.asked.sides, strict=True):
            if side is not None:
                for block in self.layout.of_aggregate[part][-1][place]:
                    found.setdefault(block, side)
        return found

    def _of(self, place: int, side: Side) -> Floats:
        block, entries = self.layout.blocks[place], self.layout.sizes[place]
        part = self.layout.plan.parts[block.part]
        table = self.catalogue.table(part.table)
        cells = prod(filled(key, self.asked, self.catalogue, table) for key in block.keys if key in part.keys)
        rows = self.discharges * float(side.volume) / cells
        own = [key for key in block.keys if key not in part.keys]
        if own:
            return np.tile(rows * self._inside(own, table, float(side.share)), entries // self._size(own, table))
        if isinstance(block.measure, RowCount) and block.where != EVERYTHING:
            rows *= float(side.share)
        return np.full(entries, rows * _mean(block, table, self.asked.pack.means.get(part.table, {})))

    def _size(self, own: list[Key], table: Table) -> int:
        return prod(size(key, self.catalogue, table) for key in own)

    def _inside(self, own: list[Key], table: Table, share: float) -> Floats:
        """Return how rows are spread over a figure's own cells: events by the share, all else over the others.

        Values without an event are taken to lie where small ones are common, as stays and costs do.
        """
        flagged = isinstance(own[-1], FlagKey)
        bands = self._size(own[:-1] if flagged else own, table)
        if flagged:
            return np.tile(np.array([1 - share, share]) / bands, bands)
        weights = np.exp(-np.arange(bands) / (LEAN * bands))
        found: Floats = weights / weights.sum()
        return found


def typical_sums(plan: Plan, asked: Round, catalogue: Catalogue, discharges: float) -> tuple[Floats, ...]:
    """Return, block by block in their own units, what the sums would be with so many discharges in the whole answer."""
    return _Typical(layout=tally(plan, catalogue), asked=asked, catalogue=catalogue, discharges=discharges).sums()


def _mean(block: Block, table: Table, means: Mapping[str, Fraction]) -> float:
    """Return what a row adds to a block, typically."""
    measure = block.measure
    if isinstance(measure, ValueSum):
        column = table.column(measure.column)
        if measure.column in means and isinstance(column, NumberColumn):
            return float(means[measure.column] / column.step) - measure.centre
    if isinstance(measure, ProductSum):
        return expected_sum(measure, table, 1.0) * LEAN
    return expected_sum(measure, table, 1.0)


def filled(key: Key, asked: Round, catalogue: Catalogue, table: Table) -> float:
    """Return how many cells of a key rows are spread over: of facts about hospitals, those that hospitals have."""
    if isinstance(key, (SiteKey, AttributeKey)):
        return max(1, min(len(asked.question.sites), size(key, catalogue, table)))
    return size(key, catalogue, table)


def _shares_of_rows(indicator: Indicator, asking: Asking, asked: Round, catalogue: Catalogue) -> Mapping[str, float]:
    """Return, by grouping that the run added, how many times as many rows a cell had without it."""
    view = next(each for each in asking.question.pages.views if each.title == indicator.name)
    part = asking.question.plan.parts[view.part]
    table = catalogue.table(part.table)
    names = [column.name for column in view.columns][: len(part.keys)]
    return {
        name: filled(key, asked, catalogue, table)
        for name, key in zip(names, part.keys, strict=True)
        if name not in indicator.by
    }


def _expected(
    indicator: Indicator, found: Foreseen, without: Mapping[str, float], *, known: Sequence[Floats] | None
) -> Expected:
    if found.relative is None:
        # Either nothing is known of the rows, or there are so few that the figure would be undefined.
        display = "" if known is None else SUPPRESS
        return Expected(indicator=indicator, found=found, display=display, more=None, coarser="")
    percent = 100 * found.relative / NORMAL_95
    more = max(1.0, percent / float(indicator.reliability.suppress))
    enough = [name for name, times in without.items() if times >= more > 1]
    return Expected(
        indicator=indicator,
        found=found,
        display=display_of(indicator, found.relative),
        more=more,
        coarser=min(enough, key=lambda name: without[name]) if enough else "",
    )
