"""Tables of the elements of lists: one row for each, with the row that it was in, cut to a cap of their own."""

# Statements are put together from quoted catalogue names and public constants; secrets are parameters.
# ruff: noqa: S608

from __future__ import annotations

import duckdb

from node.records.files import identifier
from node.records.report import TableReport
from node.scan.cut import cut
from node.scan.keyed import ELEMENT_LABEL, framed, keyed, leading_64_bits, secrets_of
from queries.agreed.catalogue import CodeColumn, Table

_ELEMENTS = "_elements"


def build_elements(
    connection: duckdb.DuckDBPyConnection, base: Table, table: Table, rows: str, *, site_key: bytes
) -> TableReport:
    """Create the prepared table of the elements of ``base``'s lists from the query ``rows`` of all its rows.

    Lists are read side by side: the third place of one belongs to the third place of another. Equal elements of equal
    rows tie in the keyed order, and are equal in every column.
    """
    names = table.each.lists if table.each else ()
    columns = [column for column in table.columns if isinstance(column, CodeColumn) and column.name in names]
    others = ", ".join(identifier(each.name) for each in base.lists)
    parts = ", ".join(f"unnest({identifier(name)}) AS {identifier(name)}" for name in names)
    place = framed([f"CAST({part} AS VARCHAR)" for part in ("_row_order", *map(identifier, names))])
    order = leading_64_bits(keyed(ELEMENT_LABEL, place))
    groups, joins = [], []
    for number, column in enumerate(columns):
        if column.codes.levels:
            _create_levels(connection, f"_levels_{number}", column)
            joins.append(f"LEFT JOIN _levels_{number} ON _levels_{number}.position = {identifier(column.name)}")
            groups += [
                f"_levels_{number}.l{place} AS {identifier(f'{column.name}@{level.name}')}"
                for place, level in enumerate(column.codes.levels)
            ]
    inner = f"SELECT * EXCLUDE (_order, {others}), _order AS _row_order, {parts} FROM ({rows})"
    fields = ", ".join(["unnested.* EXCLUDE (_row_order)", *groups, f"{order} AS _order"])
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_ELEMENTS} AS SELECT {fields} FROM ({inner}) AS unnested {' '.join(joins)} "
        f"WHERE {identifier(names[0])} IS NOT NULL",
        secrets_of(site_key),
    )
    found = connection.execute(f"SELECT count(*) FROM {_ELEMENTS}").fetchone()
    read = int(found[0]) if found else 0
    kept = cut(connection, table, f"SELECT * FROM {_ELEMENTS}")
    connection.execute(f"DROP TABLE {_ELEMENTS}")
    return TableReport(
        name=table.name,
        read=read,
        unreadable=0,
        no_patient=0,
        no_date=0,
        over_cap=read - kept,
        kept=kept,
        columns=(),
    )


def _create_levels(connection: duckdb.DuckDBPyConnection, name: str, column: CodeColumn) -> None:
    lists = [list(range(len(column.codes.codes))), *(list(level.group_of) for level in column.codes.levels)]
    fields = ["position INTEGER", *(f"l{place} INTEGER" for place in range(len(column.codes.levels)))]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({', '.join(fields)})")
    connection.execute(f"INSERT INTO {name} SELECT {', '.join(['unnest(?)'] * len(lists))}", lists)
