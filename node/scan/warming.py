"""Warming up: what the first question would otherwise wait for is loaded before the node connects.

The compiler of statements, the engine and the noise library take most of a second to load; a question that is thrown
away makes them do it.
"""

from __future__ import annotations

import numpy as np

from node.noise import noisy_vector
from node.scan.compiled import Compiler
from node.scan.scan import Scanner
from queries.agreed.catalogue import Catalogue
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, Aggregate, Bound, Part, Plan, most_rows

PRICE = 1 << 30
"""In ledger units; nothing is charged, since nothing of the answer is kept."""


def warm(scanner: Scanner, catalogue: Catalogue, site: str) -> None:
    """Count the rows of one table and noise the count, for nobody.

    Guarantee: the count and its noise are dropped here; nothing is stored, charged or sent. Test:
    tests/node/test_warming.py::test_warming_up_keeps_nothing.
    """
    for table in sorted(scanner.tables & {table.name for table in catalogue.tables})[:1]:
        rows = most_rows(catalogue, table, EVERYTHING)
        part = Part(
            table=table,
            where=EVERYTHING,
            keys=(),
            aggregates=(Aggregate(statistic="count"),),
            bound=Bound(rows=rows, groups=1),
        )
        plan = Plan(catalogue=catalogue.digest, parts=(part,))
        compiled = Compiler(catalogue=catalogue).compile(encode(plan), PRICE, honest=1)
        exact = scanner.tally(compiled.tally, catalogue, site, {}, own_row=True)
        noisy_vector(np.zeros_like(exact), compiled.measurement)
