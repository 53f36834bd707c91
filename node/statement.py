"""The statement: a tally as one SQL query for each part of its plan, compiled through Ibis.

rows that match -> a patient's first rows -> a patient's first cells -> cells -> one grouped line for each cell
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import ibis
import numpy as np
from numpy.typing import NDArray

from node.columns_read import columns_of
from node.expressions import Expression, Site, condition, fixed_cell, prepared_schema, row_cell
from queries.catalogue import Catalogue
from queries.domains import size
from queries.measurement import clamp_of
from queries.plan import EVERYTHING, AttributeKey, Key, SiteKey, most_rows
from queries.tally import Block, PatientCount, ProductSum, RowCount, Tally, ValueSum

LARGEST = (1 << 63) - 1

# One SELECT inside another is as quick for the engine; making one of them is a third of what Ibis takes, and a pack of
# indicators has some sixty statements.
ibis.options.sql.fuse_selects = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the lines of one group of blocks go."""

    base: int
    """Cell of the hospital's own keys: added to each line's cell."""
    offsets: tuple[int, ...]
    """Where each block starts in the vector, by column of the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One query: the blocks of one part of the plan."""

    sql: str
    """Gives columns ``section``, ``cell``, ``m0`` and so on."""
    places: tuple[Place, ...]
    """By section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A compiled tally."""

    scans: tuple[Scan, ...]
    """One for each part of the plan of which this hospital fills a cell."""
    entries: int
    """Length of the vector."""

    def zeros(self) -> NDArray[np.int64]:
        """Return the vector of a hospital that fills no cell."""
        return np.zeros(self.entries, dtype=np.int64)


def lay_out(vector: NDArray[np.int64], scan: Scan, columns: Mapping[str, NDArray[np.int64]]) -> None:
    """Write a query's lines into the tally's vector; cells without a line stay as they are."""
    for number, place in enumerate(scan.places):
        lines = columns["section"] == number
        cells = columns["cell"][lines] + place.base
        for measure, offset in enumerate(place.offsets):
            vector[offset + cells] = columns[f"m{measure}"][lines]


def compile_tally(
    tally: Tally, catalogue: Catalogue, site: Site, *, tables: frozenset[str], own_row: bool
) -> Statement:
    """Compile a tally for one hospital that has, and offers, ``tables``; raise PlanError where it does not fit.

    A part whose table, or a table that it must have beside it, is not among them is zeros. With ``own_row`` False,
    blocks whose cells name hospitals are zeros.

    Guarantee: by SQL alone, a patient adds to at most ``bound.rows`` rows and ``bound.groups`` cells of a block, a row
    adds at most the measure's bound, a row without a value or a cell adds nothing, and an entry stays within its clamp.
    Tests: tests/node/test_sensitivity_fuzz.py, tests/node/test_scan.py.
    """
    scans = []
    for number, part in enumerate(tally.plan.parts):
        if {part.table, *part.beside} <= tables:
            scans += _compile(_Compiling(tally, number, catalogue, site, own_row=own_row))
    return Statement(scans=tuple(scans), entries=tally.entries)


class _Compiling:
    """One part of a plan, on its way into SQL for one hospital."""

    def __init__(self, tally: Tally, number: int, catalogue: Catalogue, site: Site, *, own_row: bool) -> None:
        self.tally, self.catalogue, self.site, self.own_row = tally, catalogue, site, own_row
        self.part = tally.plan.parts[number]
        self.table = catalogue.table(self.part.table)
        self.blocks = [place for place, block in enumerate(tally.blocks) if block.part == number]

    def schema(self) -> dict[str, str]:
        """Return the columns that the part reads, with their types: Ibis takes longer the more it knows of."""
        blocks = tuple(self.tally.blocks[place] for place in self.blocks)
        read = columns_of((self.part.where,), blocks, self.part.keys) | {"_patient", "_order"}
        return {name: kind for name, kind in prepared_schema(self.table).items() if name in read}

    def base(self, keys: tuple[Key, ...]) -> int | None:
        """Return the cell of the keys about hospitals; None where this hospital fills none of the block."""
        base = 0
        for key, stride in self.strides(keys):
            if isinstance(key, (SiteKey, AttributeKey)):
                cell = fixed_cell(key, self.site, self.catalogue)
                # A site key of a hospital whose policy keeps its own row back is that of a hospital outside the key.
                if cell is None or (isinstance(key, SiteKey) and not self.own_row):
                    return None
                base += cell * stride
        return base

    def strides(self, keys: tuple[Key, ...]) -> Iterator[tuple[Key, int]]:
        """Yield each key with the number of cells of those after it."""
        sizes = [size(key, self.catalogue, self.table) for key in keys]
        for position, key in enumerate(keys):
            yield key, prod(sizes[position + 1 :])

    def cell(self, rows: Expression, keys: tuple[Key, ...]) -> tuple[Expression, int]:
        """Return each row's cell by the keys about rows, and how many such cells there are."""
        cell, cells = ibis.literal(0, "int64"), 1
        for key, stride in self.strides(keys):
            if not isinstance(key, (SiteKey, AttributeKey)):
                cell += row_cell(key, rows, self.table, self.catalogue, self.site) * stride
                cells *= size(key, self.catalogue, self.table)
        return cell, cells


def _compile(compiling: _Compiling) -> list[Scan]:
    part, tally = compiling.part, compiling.tally
    # Subtotals add up only if the same rows are in all of them: those that have a cell by every key.
    if part.subtotals and compiling.base(part.keys) is None:
        return []
    sections: dict[tuple[Key, ...], list[int]] = {}
    for position in compiling.blocks:
        keys = tally.blocks[position].keys
        if compiling.base(keys) is not None:
            sections.setdefault(keys, []).append(position)
    if not sections:
        return []
    rows = ibis.table(compiling.schema(), name=compiling.table.name)
    rows = rows.filter(condition(part.where, rows, compiling.table, compiling.site))
    if part.bound.rows < most_rows(compiling.catalogue, part.table, part.where):
        order = ibis.window(group_by=rows["_patient"], order_by=rows["_order"])
        rows = rows.mutate(_rank=ibis.row_number().over(order))
        rows = rows.filter(rows["_rank"] < part.bound.rows)
    if part.subtotals:
        rows = rows.filter(compiling.cell(rows, part.keys)[0].notnull())
    width = max(len(blocks) for blocks in sections.values())
    parts, places = [], []
    for number, (keys, positions) in enumerate(sections.items()):
        celled = _bounded_cells(compiling, rows, keys)
        measures = [_measure(compiling, tally.blocks[position], celled) for position in positions]
        measures += [ibis.null("int64")] * (width - len(measures))
        names = {f"m{place}": measure for place, measure in enumerate(measures)}
        grouped = celled.aggregate(by=[celled["_cell"]], **names)
        parts.append(
            grouped.select(ibis.literal(number, "int64").name("section"), grouped["_cell"].name("cell"), *names)
        )
        places.append(
            Place(base=compiling.base(keys) or 0, offsets=tuple(tally.offsets[position] for position in positions))
        )
    whole = ibis.union(*parts) if len(parts) > 1 else parts[0]
    # Sums come as 128-bit integers; they are clamped already, so the cast cannot fail on any data.
    sql = f"SELECT CAST(COLUMNS(*) AS BIGINT) FROM ({ibis.to_sql(whole, dialect='duckdb', pretty=False)})"  # noqa: S608
    return [Scan(sql=sql, places=tuple(places))]


def _bounded_cells(compiling: _Compiling, rows: Expression, keys: tuple[Key, ...]) -> Expression:
    """Add each row's cell, drop rows without one, and keep each patient's first cells in the keyed order."""
    bound = compiling.part.bound
    cell, cells = compiling.cell(rows, keys)
    # No column of a catalogue begins with an underscore, so none is hidden by what is added here.
    rows = rows.mutate(_cell=cell)
    rows = rows.filter(rows["_cell"].notnull())
    if bound.groups < min(bound.rows, cells):
        in_cell = ibis.window(group_by=[rows["_patient"], rows["_cell"]])
        rows = rows.mutate(_first=rows["_order"].min().over(in_cell))
        order = ibis.window(group_by=rows["_patient"], order_by=[rows["_first"], rows["_cell"]])
        rows = rows.mutate(_place=ibis.dense_rank().over(order))
        rows = rows.filter(rows["_place"] < bound.groups)
    return rows


def _measure(compiling: _Compiling, block: Block, rows: Expression) -> Expression:
    """Return what a block adds up in each cell, clamped to what a table of the agreed size can reach."""
    everything = block.where == EVERYTHING
    counted = None if everything else condition(block.where, rows, compiling.table, compiling.site)
    measure = block.measure
    if isinstance(measure, ValueSum):
        total = _clipped(rows[measure.column] - measure.centre, measure.bound).sum(where=counted).coalesce(0)
    elif isinstance(measure, ProductSum):
        total = _clipped(_product(measure, rows), measure.bound).sum(where=counted).coalesce(0)
    elif isinstance(measure, PatientCount) and compiling.part.bound.rows > 1:
        total = rows["_patient"].nunique(where=counted)
    elif isinstance(measure, RowCount) and measure.column is not None:
        total = rows[measure.column].count(where=counted)
    else:
        # With one row for each patient, rows and patients are the same number.
        total = rows.count(where=counted)
    return _clipped(total, min(clamp_of(measure, compiling.catalogue.rows_per_site), LARGEST))


def _product(measure: ProductSum, rows: Expression) -> Expression:
    """Return the product of two centred values in whole units, rounded half away from zero; NULL without either.

    Prepared values lie within bounds of fewer than 2^31 steps, so the product stays within 64 bits.
    """
    product = (rows[measure.left] - measure.left_centre) * (rows[measure.right] - measure.right_centre)
    if measure.unit == 1:
        return product
    size = (product.abs() + measure.unit // 2) // measure.unit
    return ibis.cases((product < 0, -size), else_=size).cast("int64")


def _clipped(value: Expression, reach: int) -> Expression:
    """Limit a value to [-reach, reach]. NULL stays NULL: SQL's least and greatest would make a bound of it."""
    return ibis.cases((value > reach, reach), (value < -reach, -reach), else_=value)
