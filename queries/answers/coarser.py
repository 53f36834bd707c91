"""Coarser ways to ask: what to choose instead of groups so fine that the noise drowns them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from queries.agreed.catalogue import Catalogue, CodeColumn, NumberColumn, Table
from queries.agreed.domains import size
from queries.asked.plan import AttributeKey, BandKey, CodeKey, DateKey, Key, Part

COARSER_PARTS = ("day", "week", "month", "quarter", "year")
"""Parts of the calendar, each coarser than the one before."""

MOST_EDGES = 12
"""Bands of unequal width that are spelt out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coarser:
    """One key replaced by a coarser one, or left out."""

    part: Part
    """What would be asked."""
    before: str
    """The key in SQL."""
    after: str
    """The coarser one in SQL; empty: left out."""
    factor: float
    """How many times more rows a cell holds, on average."""


def coarser(part: Part, catalogue: Catalogue) -> Iterator[Coarser]:
    """Yield coarser ways to ask a part, key by key, from a little coarser to left out."""
    table = catalogue.table(part.table)
    for place, key in enumerate(part.keys):
        cells = size(key, catalogue, table)
        steps: list[Key | None] = [*_steps(key, table), None]
        for step in steps:
            keys = part.keys[:place] + ((step,) if step is not None else ()) + part.keys[place + 1 :]
            left = size(step, catalogue, table) if step is not None else 1
            if left < cells:
                yield Coarser(
                    part=replace(part, keys=keys, subtotals=part.subtotals and bool(keys)),
                    before=written(key, table),
                    after="" if step is None else written(step, table),
                    factor=cells / left,
                )


def _steps(key: Key, table: Table) -> Iterator[Key]:
    """Yield the coarser views of a key, finest first."""
    if isinstance(key, CodeKey) and isinstance(column := table.column(key.column), CodeColumn):
        names = [None, *(level.name for level in column.codes.levels)]
        for name in names[names.index(key.level) + 1 :]:
            yield CodeKey(column=key.column, level=name)
    elif isinstance(key, DateKey) and key.part in COARSER_PARTS:
        for name in COARSER_PARTS[COARSER_PARTS.index(key.part) + 1 :]:
            yield replace(key, part=name)
    elif isinstance(key, BandKey):
        starts = key.starts
        while len(starts) > 2:  # noqa: PLR2004  two bands are the coarsest
            starts = starts[::2]
            yield BandKey(column=key.column, starts=starts)


def written(key: Key, table: Table) -> str:
    """Return a key as SQL writes it."""
    if isinstance(key, CodeKey):
        return key.column if key.level is None else f"LEVEL({key.column}, '{key.level}')"
    if isinstance(key, DateKey):
        return f"{key.part.upper()}({key.column})"
    if isinstance(key, BandKey) and isinstance(column := table.column(key.column), NumberColumn):
        starts = [float(column.in_units(start)) for start in key.starts]
        widths = {round(after - start, 9) for start, after in pairwise(starts)}
        if len(widths) == 1:
            return f"BAND({key.column}, {widths.pop():g})"
        edges = [f"{start:g}" for start in starts[1 : MOST_EDGES + 1]]
        return f"BAND({key.column}, {', '.join(edges)}{', ...' if len(starts) > MOST_EDGES + 1 else ''})"
    return f"site.{key.attribute}" if isinstance(key, AttributeKey) else "site"
