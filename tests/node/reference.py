"""The tally once more, row by row in Python, as slowly and plainly as it can be said: what the scan is held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queries.catalogue import Catalogue
from queries.domains import domain
from queries.measurement import clamp_of
from queries.plan import (
    BandKey,
    Between,
    CodeKey,
    DateKey,
    During,
    Every,
    Key,
    Members,
    Missing,
    Not,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
)
from queries.tally import PatientCount, RowCount, Tally

Row = Mapping[str, Any]


def holds(term: Predicate, row: Row, catalogue: Catalogue, site: str, attributes: Mapping[str, str]) -> bool | None:
    """Return SQL's true, false or unknown."""
    again = [catalogue, site, attributes]
    if isinstance(term, (Every, Some)):
        parts = [holds(part, row, *again) for part in term.terms]
        decisive = isinstance(term, Some)
        return decisive if decisive in parts else None if None in parts else not decisive
    if isinstance(term, Not):
        inner = holds(term.term, row, *again)
        return None if inner is None else not inner
    if isinstance(term, SiteIs):
        value = site if term.attribute is None else attributes.get(term.attribute)
        return None if value is None else value in term.codes
    value = row[term.column]
    if isinstance(term, Missing):
        return value is None
    if value is None:
        return None
    if isinstance(term, Members):
        column = catalogue.tables[0].column(term.column)
        if term.level is None:
            return column.codes.codes[value].code in term.codes
        level = column.codes.level(term.level)
        return level.groups[level.group_of[value]].code in term.codes
    low, high = (term.low, term.high) if isinstance(term, Between) else (term.first, term.last)
    assert isinstance(term, (Between, During))
    return (low is None or value >= low) and (high is None or value <= high)


def cell_of(key: Key, row: Row, catalogue: Catalogue, site: str, attributes: Mapping[str, str]) -> int | None:
    """Return the place of a row's cell in the key's public domain, by its name where it has one."""
    table = catalogue.tables[0]
    names = _names(key, catalogue)
    if isinstance(key, SiteKey):
        name: str | None = site
    elif isinstance(key, CodeKey):
        value = row[key.column]
        if value is None:
            return None
        column = table.column(key.column)
        if key.level is None:
            return value
        return column.codes.level(key.level).group_of[value]
    elif isinstance(key, BandKey):
        value = row[key.column]
        return None if value is None else max(place for place, start in enumerate(key.starts) if start <= value)
    elif isinstance(key, DateKey):
        day = row[key.column]
        if day is None or not key.first <= day <= key.last:
            return None
        year, week, weekday = day.isocalendar()
        name = {
            "year": f"{day.year}",
            "quarter": f"{day.year}-Q{1 + (day.month - 1) // 3}",
            "month": f"{day:%Y-%m}",
            "week": f"{year}-W{week:02d}",
            "day": f"{day}",
            "month_of_year": f"{day:%m}",
            "weekday": f"{weekday}",
        }[key.part]
    else:
        name = attributes.get(key.attribute)
    return names.index(name) if name in names else None


_NAMES: dict[tuple[Key, bytes], tuple[str, ...]] = {}


def _names(key: Key, catalogue: Catalogue) -> tuple[str, ...]:
    known = (key, catalogue.digest)
    if known not in _NAMES:
        _NAMES[known] = tuple(code.code for code in domain(key, catalogue, catalogue.tables[0]).codes)
    return _NAMES[known]


def tally_of(
    rows: Sequence[Row], asked: Tally, catalogue: Catalogue, site: str, attributes: Mapping[str, str]
) -> NDArray[np.int64]:
    """Return the vector of prepared rows, each a mapping with ``_patient`` and ``_order``."""
    plan, again = asked.plan, (catalogue, site, attributes)
    by_patient = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["_order"]):
        if holds(plan.where, row, *again):
            by_patient[row["_patient"]].append(row)
    vector = [0] * asked.entries
    for block, offset in zip(asked.blocks, asked.offsets, strict=True):
        sizes = [len(_names(key, catalogue)) for key in block.keys]
        for first in (rows[: plan.bound.rows] for rows in by_patient.values()):
            cells: dict[int, list[Row]] = {}
            for row in first:
                places = [cell_of(key, row, *again) for key in block.keys]
                if None not in places:
                    strides = [prod(sizes[number + 1 :]) for number in range(len(sizes))]
                    cell = sum(place * stride for place, stride in zip(places, strides, strict=True))
                    cells.setdefault(cell, []).append(row)
            for cell in list(cells)[: plan.bound.groups]:
                counted = [row for row in cells[cell] if holds(block.where, row, *again)]
                if isinstance(block.measure, PatientCount):
                    vector[offset + cell] += bool(counted)
                elif isinstance(block.measure, RowCount):
                    column = block.measure.column
                    vector[offset + cell] += sum(column is None or row[column] is not None for row in counted)
                else:
                    values = [row[block.measure.column] for row in counted]
                    reach, centre = block.measure.bound, block.measure.centre
                    vector[offset + cell] += sum(
                        min(max(value - centre, -reach), reach) for value in values if value is not None
                    )
        clamp = clamp_of(block.measure, catalogue.rows_per_site)
        for cell in range(offset, offset + prod(sizes)):
            vector[cell] = min(max(vector[cell], -clamp), clamp)
    return np.array(vector, dtype=np.int64)
