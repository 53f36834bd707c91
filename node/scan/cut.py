"""The cap: of each patient's rows the first in the keyed order, in all or in each calendar year."""

# Statements are put together from quoted catalogue names and public constants.
# ruff: noqa: S608

from __future__ import annotations

import duckdb

from node.records.files import identifier
from queries.agreed.catalogue import Table


def cut(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> int:
    """Create the prepared table from the query ``rows`` and return how many rows it keeps.

    Worst case that the cap stands against: one patient with every row of the hospital.
    Guarantee: a patient has at most the catalogue's cap of rows, chosen among its own rows by the key alone. Tests:
    tests/node/test_prepare.py::test_each_patient_is_cut_to_the_cap_of_each_year,
    tests/node/test_lists.py::test_a_table_of_elements_has_a_cap_of_its_own.
    """
    year = f", year({identifier(table.dated_by)})" if table.dated_by else ""
    connection.execute(
        f"CREATE TABLE {identifier(table.name)} AS {rows} "
        # Rows that tie on the keyed order are equal in every column, so whichever of them is kept is the same row.
        f"QUALIFY row_number() OVER (PARTITION BY _patient{year} ORDER BY _order) <= {table.rows_per_patient}"
    )
    kept = connection.execute(f"SELECT count(*) FROM {identifier(table.name)}").fetchone()
    return int(kept[0]) if kept else 0
