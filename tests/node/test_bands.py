"""Bands of a number, as the node computes them: the same as the public rule says, however it is written in SQL."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import duckdb
import ibis
import numpy as np
import pytest

from node.scan.expressions import Site, row_cell
from queries.agreed.catalogue import Catalogue, Label, NumberColumn, Table
from queries.answers.tree import MOST_LEAVES, stride_of, tree_of
from queries.asked.plan import BandKey

LABEL = Label(en="x", zh="x")
COLUMN = NumberColumn(name="x", label=LABEL, low=0, high=20_000_000, step=Fraction(1, 100), unit="CNY")


def table_of(column: NumberColumn) -> Table:
    """Return a table of one number."""
    return Table(name="t", label=LABEL, patient="pid", columns=(column,), rows_per_patient=1, dated_by=None)


def cells_of(values: list[int | None], key: BandKey, table: Table) -> list[int | None]:
    """Return the cells that the node's SQL gives to values."""
    catalogue = Catalogue(
        name="c", version="1", tables=(table,), site_attributes=(), sites_per_patient=1, rows_per_site=1000, source=b"",
        label=LABEL,
    )  # fmt: skip
    rows = ibis.table({"x": "int64"}, name="t")
    asked = rows.select("x", cell=row_cell(key, rows, table, catalogue, Site(name="h", attributes={})))
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (x BIGINT)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
        found = dict(connection.execute(ibis.to_sql(asked, dialect="duckdb")).fetchall())
    return [found[value] for value in values]


@pytest.mark.parametrize("high", [1_048_576, 1_100_000, 2_000_000, 20_000_000, 999_999_999, (1 << 31) - 2])
def test_rooted_leaves_are_those_of_the_tree(high: int) -> None:
    """Around every edge of a tree with growing leaves, and in every level, a value falls where the tree says."""
    column = replace(COLUMN, high=high)
    starts = tree_of(column).starts
    assert len(starts) == MOST_LEAVES
    draw = np.random.default_rng(high)
    edges = draw.choice(np.array(starts), 150, replace=False)
    values = sorted({int(edge) + step for edge in edges for step in (-1, 0, 1) if 0 <= edge + step <= high} | {0, high})
    for stride in (1, 4, 256):
        key = BandKey(column="x", starts=starts[::stride])
        assert stride_of(column, key.starts) == stride
        expected = np.searchsorted(np.array(key.starts), values, side="right") - 1
        assert cells_of(list(values), key, table_of(column)) == expected.tolist()


def test_other_bands_are_not_taken_for_a_tree() -> None:
    """One edge moved by one step, a missing value, or a column that does not begin at zero: the general way."""
    starts = tree_of(COLUMN).starts
    moved = (*starts[:9], starts[9] + 1, *starts[10:])
    assert stride_of(COLUMN, moved) == 0
    assert stride_of(replace(COLUMN, low=1), starts) == 0
    assert cells_of([None, starts[9], starts[9] + 1], BandKey(column="x", starts=moved), table_of(COLUMN)) == [
        None, 8, 9,
    ]  # fmt: skip
    assert cells_of([None, starts[9]], BandKey(column="x", starts=starts), table_of(COLUMN)) == [None, 9]
