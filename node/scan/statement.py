"""The statement: a tally as one SQL query for each part of its plan.

rows that match -> a patient's first rows -> a patient's first cells -> one grouped line for each cell

What a row is, Ibis writes (``row_columns.py``); what a patient may add to a sum is bounded here, in words that a reader
finds again in the statement.
"""

# Statements are put together from whole numbers and names made here.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.scan.expressions import Site, fixed_cell
from node.scan.row_columns import RowColumns
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import AttributeKey, Key, Part, SiteKey, most_rows
from queries.cost.measurement import clamp_of
from queries.cost.tally import Block, PatientCount, ProductSum, RowCount, Tally, ValueSum

LARGEST = (1 << 63) - 1

MATCHING, BOUNDED = "_matching", "_bounded"
"""The rows that match, and of those each patient's first. No table of a catalogue begins with an underscore."""


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
        self.places = [place for place, block in enumerate(tally.blocks) if block.part == number]
        self.columns = RowColumns(self.part, tuple(tally.blocks[place] for place in self.places), catalogue, site)

    def base(self, keys: tuple[Key, ...]) -> int | None:
        """Return the cell of the keys about hospitals; None where this hospital fills none of the block."""
        base = 0
        for key, stride in self.columns.strides(keys):
            if isinstance(key, (SiteKey, AttributeKey)):
                cell = fixed_cell(key, self.site, self.catalogue)
                # A site key of a hospital whose policy keeps its own row back is that of a hospital outside the key.
                if cell is None or (isinstance(key, SiteKey) and not self.own_row):
                    return None
                base += cell * stride
        return base


def _compile(compiling: _Compiling) -> list[Scan]:
    part, tally, columns = compiling.part, compiling.tally, compiling.columns
    # Subtotals add up only if the same rows are in all of them: those that have a cell by every key.
    if part.subtotals and compiling.base(part.keys) is None:
        return []
    sections: dict[tuple[Key, ...], list[int]] = {}
    for position in compiling.places:
        keys = tally.blocks[position].keys
        if compiling.base(keys) is not None:
            sections.setdefault(keys, []).append(position)
    if not sections:
        return []
    matches = where_clause(columns.holds(part.where))
    whole = _where_known(columns.cell(part.keys)) if part.subtotals else ""
    width = max(len(positions) for positions in sections.values())
    lines = []
    for number, (keys, positions) in enumerate(sections.items()):
        measures = [_measure(compiling, tally.blocks[position]) for position in positions]
        measures += ["CAST(NULL AS BIGINT)"] * (width - len(measures))
        sums = ", ".join(f"{measure} AS m{place}" for place, measure in enumerate(measures))
        lines.append(_lines(compiling, number, keys, sums))
    # By now every column that is needed was asked for.
    sql = bounded_rows(part, compiling.catalogue, columns, matches, whole) + "\nUNION ALL ".join(lines)
    places = tuple(
        Place(base=compiling.base(keys) or 0, offsets=tuple(tally.offsets[position] for position in positions))
        for keys, positions in sections.items()
    )
    return [Scan(sql=sql, places=places)]


def bounded_rows(part: Part, catalogue: Catalogue, columns: RowColumns, matches: str, whole: str = "") -> str:
    """Return the beginning of a statement: the rows that match, and as ``BOUNDED`` each patient's first of them.

    ``matches`` is the column of the part's condition, as a WHERE clause; ``whole`` a further one on rows, which does
    not change which rows a patient's first are. Every column that is read was asked of ``columns`` before.

    Guarantee: at most ``part.bound.rows`` rows of a patient are in ``BOUNDED``, chosen among the patient's own. Tests:
    tests/node/test_sensitivity_fuzz.py, tests/node/test_step_sensitivity.py.
    """
    matching = f"SELECT * FROM ({columns.sql()}){matches}"
    bounded = f"SELECT * FROM {MATCHING}{whole}"
    if part.bound.rows < most_rows(catalogue, part.table, part.where):
        ranked = f"SELECT *, row_number() OVER (PARTITION BY _patient ORDER BY _order) AS _rank FROM {MATCHING}"
        bounded = f"SELECT * FROM (SELECT * FROM ({ranked}) WHERE _rank <= {part.bound.rows}){whole}"
    return f"WITH {MATCHING} AS ({matching}),\n{BOUNDED} AS ({bounded})\n"


def _lines(compiling: _Compiling, number: int, keys: tuple[Key, ...], sums: str) -> str:
    """Return the query of a section: drops rows without a cell, keeps each patient's first cells in the keyed order."""
    bound, cell = compiling.part.bound, compiling.columns.cell(keys)
    if not cell:
        # One line even where no row matches: zeros, as without it.
        return f"SELECT {number} AS section, 0 AS cell, {sums} FROM {BOUNDED}"
    rows = BOUNDED
    if bound.groups < min(bound.rows, compiling.columns.cells(keys)):
        known = f"{BOUNDED}{_where_known(cell)}"
        first = f"SELECT *, min(_order) OVER (PARTITION BY _patient, {cell}) AS _first FROM {known}"
        place = f"SELECT *, dense_rank() OVER (PARTITION BY _patient ORDER BY _first, {cell}) AS _place FROM ({first})"
        rows = f"({place}) WHERE _place <= {bound.groups}"
    # Rows without a cell are a group that is dropped whole: to drop them one by one, the engine works cells out twice.
    grouped = f"GROUP BY {cell} HAVING count({cell}) > 0"
    return f"SELECT {number} AS section, CAST({cell} AS BIGINT) AS cell, {sums} FROM {rows} {grouped}"


def where_clause(condition: str) -> str:
    """Return a condition as a clause; "" for none."""
    return f" WHERE {condition}" if condition else ""


def _where_known(column: str) -> str:
    return f" WHERE {column} IS NOT NULL" if column else ""


def _measure(compiling: _Compiling, block: Block) -> str:
    """Return what a block adds up in each cell, clamped to what a table of the agreed size can reach."""
    columns, measure = compiling.columns, block.measure
    reach = min(clamp_of(measure, compiling.catalogue.rows_per_site), LARGEST)
    counted = columns.holds(block.where)
    only = f" FILTER (WHERE {counted})" if counted else ""
    if isinstance(measure, (ValueSum, ProductSum)):
        total = f"coalesce(sum({_added(measure, columns.value(measure))}){only}, 0)"
        # Sums come as 128-bit integers and are never NULL; clamped first, so the cast cannot fail on any data.
        return f"CAST(least(greatest({total}, -{reach}), {reach}) AS BIGINT)"
    if isinstance(measure, PatientCount) and compiling.part.bound.rows > 1:
        total = f"count(DISTINCT _patient){only}"
    elif isinstance(measure, RowCount) and measure.column is not None:
        total = f"count({columns.recorded(measure.column)}){only}"
    else:
        # With one row for each patient, rows and patients are the same number.
        total = f"count(*){only}"
    # Counts come as 64-bit integers from 0 up and are never NULL.
    return f"least({total}, {reach})"


def _added(measure: ValueSum | ProductSum, value: str) -> str:
    """Return what a row adds, limited to the measure's bound; a product in whole units, rounded half away from zero."""
    reach = measure.bound
    if isinstance(measure, ProductSum):
        # A square is never negative, so it needs neither a sign nor a lower limit.
        square = (measure.left, measure.left_centre) == (measure.right, measure.right_centre)
        if (unit := measure.unit) > 1:
            size = value if square else f"abs({value})"
            units = f"(({size} + {unit // 2}) // {unit})"
            value = units if square else f"(sign({value}) * {units})"
        if square:
            return f"CASE WHEN {value} > {reach} THEN {reach} ELSE {value} END"
    # NULL stays NULL: SQL's least and greatest would make a bound of it.
    return f"CASE WHEN {value} > {reach} THEN {reach} WHEN {value} < -{reach} THEN -{reach} ELSE {value} END"
