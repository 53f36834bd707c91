"""The statement: a whole tally as one SQL query with one scan, compiled through Ibis.

rows that match -> a patient's first rows -> a patient's first cells -> cells -> one grouped line for each cell
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import ibis
import numpy as np
from numpy.typing import NDArray

from node.expressions import Expression, Site, condition, fixed_cell, prepared_schema, row_cell
from queries.catalogue import Catalogue, Table
from queries.domains import size
from queries.measurement import clamp_of
from queries.plan import EVERYTHING, AttributeKey, Key, SiteKey, most_rows
from queries.tally import Block, PatientCount, RowCount, Tally, ValueSum

LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the lines of one group of blocks go."""

    base: int
    """Cell of the hospital's own keys: added to each line's cell."""
    offsets: tuple[int, ...]
    """Where each block starts in the vector, by column of the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A compiled tally."""

    sql: str | None
    """One query: columns ``section``, ``cell``, ``m0`` and so on; None where this hospital fills no cell at all."""
    places: tuple[Place, ...]
    """By section."""
    entries: int
    """Length of the vector."""

    def vector(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Lay the query's lines out as the tally's vector; cells without a line stay 0."""
        vector = np.zeros(self.entries, dtype=np.int64)
        for number, place in enumerate(self.places):
            lines = columns["section"] == number
            cells = columns["cell"][lines] + place.base
            for measure, offset in enumerate(place.offsets):
                vector[offset + cells] = columns[f"m{measure}"][lines]
        return vector


def compile_tally(tally: Tally, catalogue: Catalogue, site: Site, *, own_row: bool) -> Statement:
    """Compile a tally for one hospital; raise PlanError where it does not fit the catalogue.

    With ``own_row`` False, blocks whose cells name hospitals are zeros.

    Guarantee: by SQL alone, a patient adds to at most ``bound.rows`` rows and ``bound.groups`` cells of a block, a row
    adds at most the measure's bound, a row without a value or a cell adds nothing, and an entry stays within its clamp.
    Tests: tests/node/test_sensitivity_fuzz.py, tests/node/test_scan.py.
    """
    plan, table = tally.plan, catalogue.table(tally.plan.table)
    # A site key of a hospital whose policy keeps its own row back is treated as that of a hospital outside the key.
    sections: dict[tuple[Key, ...], list[int]] = {}
    for position, block in enumerate(tally.blocks):
        if _base(block.keys, catalogue, table, site, own_row=own_row) is not None:
            sections.setdefault(block.keys, []).append(position)
    if not sections:
        return Statement(sql=None, places=(), entries=tally.entries)
    rows = ibis.table(prepared_schema(table), name=table.name)
    rows = rows.filter(condition(plan.where, rows, table, site))
    if plan.bound.rows < most_rows(catalogue, plan.table, plan.where):
        order = ibis.window(group_by=rows["_patient"], order_by=rows["_order"])
        rows = rows.mutate(_rank=ibis.row_number().over(order))
        rows = rows.filter(rows["_rank"] < plan.bound.rows)
    width = max(len(blocks) for blocks in sections.values())
    parts, places = [], []
    for number, (keys, positions) in enumerate(sections.items()):
        celled = _bounded_cells(rows, keys, catalogue, table, tally)
        measures = [_measure(tally.blocks[position], celled, site, tally, catalogue) for position in positions]
        measures += [ibis.null("int64")] * (width - len(measures))
        names = {f"m{place}": measure for place, measure in enumerate(measures)}
        grouped = celled.aggregate(by=[celled["cell"]], **names)
        parts.append(grouped.select(ibis.literal(number, "int64").name("section"), "cell", *names))
        base = _base(keys, catalogue, table, site, own_row=own_row)
        places.append(Place(base=base or 0, offsets=tuple(tally.offsets[position] for position in positions)))
    whole = ibis.union(*parts) if len(parts) > 1 else parts[0]
    # Sums come as 128-bit integers; they are clamped already, so the cast cannot fail on any data.
    sql = f"SELECT CAST(COLUMNS(*) AS BIGINT) FROM ({ibis.to_sql(whole, dialect='duckdb', pretty=False)})"  # noqa: S608
    return Statement(sql=sql, places=tuple(places), entries=tally.entries)


def _strides(keys: tuple[Key, ...], catalogue: Catalogue, table: Table) -> Iterator[tuple[Key, int]]:
    sizes = [size(key, catalogue, table) for key in keys]
    for position, key in enumerate(keys):
        yield key, prod(sizes[position + 1 :])


def _base(keys: tuple[Key, ...], catalogue: Catalogue, table: Table, site: Site, *, own_row: bool) -> int | None:
    """Return the cell of the keys about hospitals; None where this hospital fills none of the block."""
    base = 0
    for key, stride in _strides(keys, catalogue, table):
        if isinstance(key, (SiteKey, AttributeKey)):
            cell = fixed_cell(key, site, catalogue)
            if cell is None or (isinstance(key, SiteKey) and not own_row):
                return None
            base += cell * stride
    return base


def _bounded_cells(
    rows: Expression, keys: tuple[Key, ...], catalogue: Catalogue, table: Table, tally: Tally
) -> Expression:
    """Add each row's cell, drop rows without one, and keep each patient's first cells in the keyed order."""
    bound = tally.plan.bound
    cell = ibis.literal(0, "int64")
    cells = 1
    for key, stride in _strides(keys, catalogue, table):
        if not isinstance(key, (SiteKey, AttributeKey)):
            cell += row_cell(key, rows, table, catalogue) * stride
            cells *= size(key, catalogue, table)
    rows = rows.mutate(cell=cell)
    rows = rows.filter(rows["cell"].notnull())
    if bound.groups < min(bound.rows, cells):
        in_cell = ibis.window(group_by=[rows["_patient"], rows["cell"]])
        rows = rows.mutate(_first=rows["_order"].min().over(in_cell))
        order = ibis.window(group_by=rows["_patient"], order_by=[rows["_first"], rows["cell"]])
        rows = rows.mutate(_place=ibis.dense_rank().over(order))
        rows = rows.filter(rows["_place"] < bound.groups)
    return rows


def _measure(block: Block, rows: Expression, site: Site, tally: Tally, catalogue: Catalogue) -> Expression:
    """Return what a block adds up in each cell, clamped to what a table of the agreed size can reach."""
    table = catalogue.table(tally.plan.table)
    counted = None if block.where == EVERYTHING else condition(block.where, rows, table, site)
    measure = block.measure
    if isinstance(measure, ValueSum):
        total = _clipped(rows[measure.column] - measure.centre, measure.bound).sum(where=counted).coalesce(0)
    elif isinstance(measure, PatientCount) and tally.plan.bound.rows > 1:
        total = rows["_patient"].nunique(where=counted)
    elif isinstance(measure, RowCount) and measure.column is not None:
        total = rows[measure.column].count(where=counted)
    else:
        # With one row for each patient, rows and patients are the same number.
        total = rows.count(where=counted)
    return _clipped(total, min(clamp_of(measure, catalogue.rows_per_site), LARGEST))


def _clipped(value: Expression, reach: int) -> Expression:
    """Limit a value to [-reach, reach]. NULL stays NULL: SQL's least and greatest would make a bound of it."""
    return ibis.cases((value > reach, reach), (value < -reach, -reach), else_=value)
