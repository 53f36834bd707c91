"""What one part of a plan reads of each row: conditions, cells and values, each written once, through Ibis.

Only here does a statement depend on what the columns of the prepared table are. What is done with them, bounding and
adding up, is in ``statement.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import ibis

from node.scan.columns_read import columns_of
from node.scan.expressions import Expression, Site, condition, prepared_schema, row_cell
from queries.agreed.catalogue import Catalogue
from queries.agreed.domains import size
from queries.asked.plan import EVERYTHING, AttributeKey, Key, Part, Predicate, SiteKey
from queries.asked.step_reads import step_columns, step_keys
from queries.cost.tally import Block, ProductSum, ValueSum

# One SELECT inside another is as quick for the engine; making one of them takes Ibis longer than all else here.
ibis.options.sql.fuse_selects = False


class RowColumns:
    """Collects the columns that a statement asks for by name, then writes the query that gives them."""

    def __init__(self, part: Part, blocks: tuple[Block, ...], catalogue: Catalogue, site: Site) -> None:
        """Prepare for one part of a plan and its blocks."""
        self._catalogue, self._site = catalogue, site
        self._table = catalogue.table(part.table)
        steps = [key for aggregate in part.aggregates for key in step_keys(aggregate)]
        named = {name for aggregate in part.aggregates for name in step_columns(aggregate)}
        read = columns_of((part.where,), blocks, (*part.keys, *steps)) | named | {"_patient", "_order"}
        schema = {name: kind for name, kind in prepared_schema(self._table).items() if name in read}
        self._rows = ibis.table(schema, name=self._table.name)
        # No column of a catalogue begins with an underscore, so none is hidden by these names.
        self._named: dict[tuple[str, *tuple[object, ...]], tuple[str, Expression]] = {}

    def holds(self, term: Predicate) -> str:
        """Return the column that says whether a condition holds, NULL where it is unknown; "" for no condition."""
        if term == EVERYTHING:
            return ""
        return self._name(("holds", term), lambda: condition(term, self._rows, self._table, self._site))

    def cell(self, keys: tuple[Key, ...]) -> str:
        """Return the column of a row's cell by the keys about rows, NULL for a row without one; "" for no such key."""
        about_rows = [
            (key, stride) for key, stride in self.strides(keys) if not isinstance(key, (SiteKey, AttributeKey))
        ]
        if not about_rows:
            return ""

        def written() -> Expression:
            cells = [
                cell if stride == 1 else cell * stride
                for key, stride in about_rows
                for cell in [row_cell(key, self._rows, self._table, self._catalogue, self._site)]
            ]
            return sum(cells[1:], start=cells[0])

        return self._name(("cell", keys), written)

    def cells(self, keys: tuple[Key, ...]) -> int:
        """Return how many cells the keys about rows make."""
        return prod(
            size(key, self._catalogue, self._table) for key in keys if not isinstance(key, (SiteKey, AttributeKey))
        )

    def value(self, measure: ValueSum | ProductSum) -> str:
        """Return the column of a centred value, or of the product of two, in steps; NULL without a value.

        Prepared values lie within bounds of fewer than 2^31 steps, so a product stays within 64 bits.
        """
        rows = self._rows
        if isinstance(measure, ValueSum):
            column, centre = measure.column, measure.centre
            return self._name(("value", column, centre), lambda: rows[column] - centre)
        return self._name(
            ("product", measure.left, measure.right, measure.left_centre, measure.right_centre),
            lambda: (rows[measure.left] - measure.left_centre) * (rows[measure.right] - measure.right_centre),
        )

    def recorded(self, column: str) -> str:
        """Return a column as it was prepared: a number in steps, the place of a code, a day; NULL without a value."""
        return self._name(("recorded", column), lambda: self._rows[column])

    def strides(self, keys: tuple[Key, ...]) -> Iterator[tuple[Key, int]]:
        """Yield each key with the number of cells of those after it."""
        sizes = [size(key, self._catalogue, self._table) for key in keys]
        for position, key in enumerate(keys):
            yield key, prod(sizes[position + 1 :])

    def sql(self) -> str:
        """Return the query that gives, for each row of the prepared table, the columns asked for so far."""
        found = [expression.name(name) for name, expression in self._named.values()]
        selected = self._rows.select("_patient", "_order", *found)
        return str(ibis.to_sql(selected, dialect="duckdb", pretty=False))

    def _name(self, meaning: tuple[str, *tuple[object, ...]], written: Callable[[], Expression]) -> str:
        if meaning not in self._named:
            self._named[meaning] = (f"_{meaning[0]}_{len(self._named)}", written())
        return self._named[meaning][0]
