"""What one patient's rows change of a tally, against what is stated: for the tests of the sensitivity."""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from node.scan.expressions import Site
from node.scan.statement import Statement, compile_tally, lay_out
from queries.agreed.catalogue import Catalogue
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally


def beyond(change: NDArray[np.int64], tally: Tally) -> dict[int, str]:
    """Return the blocks that moved further than stated, each with how far."""
    found = {}
    for place, (stated, offset, size) in enumerate(zip(of_tally(tally, 1), tally.offsets, tally.sizes, strict=True)):
        moved = [abs(int(entry)) for entry in change[offset : offset + size]]
        if sum(moved) > stated.l1 or sum(m * m for m in moved) > stated.l2_squared or max(moved) > stated.linf:
            found[place] = f"{stated} but moved by {[m for m in moved if m]}"
    return found


def compiled(tally: Tally, agreed: Catalogue) -> Statement:
    """Compile a tally for the hospital h1."""
    tables = frozenset(table.name for table in agreed.tables)
    return compile_tally(tally, agreed, Site(name="h1", attributes={"country": "IT"}), tables=tables, own_row=True)


def run(statement: Statement, connection: duckdb.DuckDBPyConnection) -> NDArray[np.int64]:
    """Run what the scanner would run: it is compared with the scanner wherever this is used."""
    vector = statement.zeros()
    for each in statement.scans:
        found = connection.execute(each.sql).fetchnumpy()
        lay_out(vector, each, {name: np.ma.filled(values, 0) for name, values in found.items()})
    return vector
