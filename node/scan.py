"""The scanner: computes a hospital's tally, exact and bounded, in its prepared database."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import duckdb
import numpy as np
from numpy.typing import NDArray

from node.engine import SPILL, open_database
from node.expressions import Site
from node.statement import Statement, compile_tally
from protocols.errors import Rejected
from queries.canonical import encode
from queries.catalogue import Catalogue
from queries.errors import QueryError
from queries.tally import Tally

MOST_STATEMENTS = 256
"""Compiled statements that are kept; the one that was not used for longest goes first."""


class Scanner:
    """One prepared database, opened for reading. Safe to share between threads: each call has its own cursor."""

    def __init__(self, path: Path, *, threads: int = 1, memory_limit: str = "512MB") -> None:
        """Open the file; raise Rejected("unavailable") when that fails."""
        self._statements: OrderedDict[bytes, Statement] = OrderedDict()
        self._lock = Lock()
        spill = path.parent / SPILL
        spill.mkdir(mode=0o700, exist_ok=True)
        try:
            self._connection = open_database(
                path, spill=spill, memory_limit=memory_limit, threads=threads, read_only=True
            )
            # Nothing that a compiled statement could say reads another file or loads code from now on.
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
            found = self._connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        except duckdb.Error as error:
            raise Rejected("unavailable", type(error).__name__) from None
        self.tables = frozenset(str(row[0]) for row in found) - {"_report"}
        """Catalogue tables that the hospital has."""

    def tally(
        self, tally: Tally, catalogue: Catalogue, site: str, attributes: Mapping[str, str], *, own_row: bool
    ) -> NDArray[np.int64]:
        """Return the exact vector, ``tally.entries`` long, in units of its blocks.

        A row is counted where the plan's conditions hold; of a patient's rows, the first in the keyed order. Raises
        Rejected: ``unknown-table`` where the hospital has no such table, ``bad-plan`` where the plan does not fit the
        catalogue, ``unavailable`` for anything in the engine.

        Guarantee: no word of the engine is in the error, since the engine may quote a record; its detail is the class
        of the engine's error. Test: tests/node/test_scan.py::test_an_engine_failure_says_nothing_of_the_engine.
        """
        if tally.plan.table not in self.tables:
            raise Rejected("unknown-table", tally.plan.table)
        try:
            statement = self._statement(tally, catalogue, Site(name=site, attributes=attributes), own_row=own_row)
        except QueryError as error:
            raise Rejected("bad-plan", error.code) from None
        if statement.sql is None:
            return np.zeros(tally.entries, dtype=np.int64)
        try:
            with self._connection.cursor() as cursor:
                columns = cursor.execute(statement.sql).fetchnumpy()
        except (duckdb.Error, MemoryError) as error:
            raise Rejected("unavailable", type(error).__name__) from None
        return statement.vector({name: np.ma.filled(values, 0) for name, values in columns.items()})

    def _statement(self, tally: Tally, catalogue: Catalogue, site: Site, *, own_row: bool) -> Statement:
        # The plan's bytes carry the catalogue's digest; the site's facts may change with the roster.
        facts = (site.name, sorted(site.attributes.items()), own_row)
        key = hashlib.sha256(encode(tally.plan) + repr(facts).encode()).digest()
        with self._lock:
            if (known := self._statements.get(key)) is not None:
                self._statements.move_to_end(key)
                return known
        made = compile_tally(tally, catalogue, site, own_row=own_row)
        with self._lock:
            self._statements[key] = made
            if len(self._statements) > MOST_STATEMENTS:
                self._statements.popitem(last=False)
        return made

    def close(self) -> None:
        """Close the database. A file of another name may be opened before or after."""
        self._connection.close()
