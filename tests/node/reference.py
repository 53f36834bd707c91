"""The tally once more, row by row in Python, as slowly and plainly as it can be said: what the scan is held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import Catalogue, Table
from queries.agreed.domains import domain
from queries.asked.plan import (
    BandKey,
    Between,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Key,
    Members,
    Missing,
    Not,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
)
from queries.cost.measurement import clamp_of
from queries.cost.tally import Measure, PatientCount, ProductSum, RowCount, Tally

Row = Mapping[str, Any]


def holds(term: Predicate, row: Row, table: Table, site: str, attributes: Mapping[str, str]) -> bool | None:
    """Return SQL's true, false or unknown."""
    again = [table, site, attributes]
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
        column = table.column(term.column)
        if term.level is None:
            return column.codes.codes[value].code in term.codes
        level = column.codes.level(term.level)
        return level.groups[level.group_of[value]].code in term.codes
    low, high = (term.low, term.high) if isinstance(term, Between) else (term.first, term.last)
    assert isinstance(term, (Between, During))
    return (low is None or value >= low) and (high is None or value <= high)


def cell_of(
    key: Key, row: Row, catalogue: Catalogue, table: Table, site: str, attributes: Mapping[str, str]
) -> int | None:
    """Return the place of a row's cell in the key's public domain, by its name where it has one."""
    names = _names(key, catalogue, table)
    if isinstance(key, FlagKey):
        name: str | None = {True: "Y", False: "N", None: None}[holds(key.term, row, table, site, attributes)]
    elif isinstance(key, SiteKey):
        name = site
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


_NAMES: dict[tuple[Key, bytes, str], tuple[str, ...]] = {}


def _names(key: Key, catalogue: Catalogue, table: Table) -> tuple[str, ...]:
    known = (key, catalogue.digest, table.name)
    if known not in _NAMES:
        _NAMES[known] = tuple(code.code for code in domain(key, catalogue, table).codes)
    return _NAMES[known]


def added(measure: Measure, row: Row) -> int:
    """Return what a row adds to its cell; a patient's rows are counted elsewhere."""
    if isinstance(measure, RowCount):
        return measure.column is None or row[measure.column] is not None
    if isinstance(measure, ProductSum):
        left, right = row[measure.left], row[measure.right]
        if left is None or right is None:
            return 0
        product = Fraction((left - measure.left_centre) * (right - measure.right_centre), measure.unit)
        value = floor(abs(product) + Fraction(1, 2)) * (-1 if product < 0 else 1)
    else:
        if row[measure.column] is None:
            return 0
        value = row[measure.column] - measure.centre
    return min(max(value, -measure.bound), measure.bound)


def tally_of(
    records: Sequence[Row] | Mapping[str, Sequence[Row]],
    asked: Tally,
    catalogue: Catalogue,
    site: str,
    attributes: Mapping[str, str],
) -> NDArray[np.int64]:
    """Return the vector of prepared rows, each a mapping with ``_patient`` and ``_order``.

    The rows are those of the plan's only table, or those of each table that is read, by its name.
    """
    by_table = records if isinstance(records, Mapping) else {asked.plan.parts[0].table: records}
    vector = [0] * asked.entries
    for block, offset, entries in zip(asked.blocks, asked.offsets, asked.sizes, strict=True):
        part = asked.plan.parts[block.part]
        if not {part.table, *part.beside} <= by_table.keys():
            continue
        table = catalogue.table(part.table)
        again = (table, site, attributes)
        by_patient = defaultdict(list)
        for row in sorted(by_table[part.table], key=lambda row: row["_order"]):
            if holds(part.where, row, *again):
                by_patient[row["_patient"]].append(row)
        sizes = [len(_names(key, catalogue, table)) for key in block.keys]
        strides = [prod(sizes[number + 1 :]) for number in range(len(sizes))]
        for first in (rows[: part.bound.rows] for rows in by_patient.values()):
            cells: dict[int, list[Row]] = {}
            for row in first:
                every = [cell_of(key, row, catalogue, *again) for key in part.keys] if part.subtotals else []
                places = [cell_of(key, row, catalogue, *again) for key in block.keys]
                if None not in (*places, *every):
                    cell = sum(place * stride for place, stride in zip(places, strides, strict=True))
                    cells.setdefault(cell, []).append(row)
            for cell in list(cells)[: part.bound.groups]:
                counted = [row for row in cells[cell] if holds(block.where, row, *again)]
                if isinstance(block.measure, PatientCount):
                    vector[offset + cell] += bool(counted)
                else:
                    vector[offset + cell] += sum(added(block.measure, row) for row in counted)
        clamp = clamp_of(block.measure, catalogue.rows_per_site)
        for cell in range(offset, offset + entries):
            vector[cell] = min(max(vector[cell], -clamp), clamp)
    return np.array(vector, dtype=np.int64)
