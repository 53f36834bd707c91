"""The scanner: computes a hospital's tally, exact and bounded, in its prepared database."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from node.scan.engine import SPILL, open_database
from node.scan.expressions import Site
from node.scan.statement import Statement, compile_tally, lay_out
from node.scan.steps import App, NoAppsError, Reader, Steps
from protocols.errors import Rejected
from queries.agreed.catalogue import Catalogue
from queries.asked.canonical import encode
from queries.asked.plan import AppStep, Step
from queries.cost.tally import Tally
from queries.errors import QueryError

MOST_STATEMENTS = 256
"""Compiled statements that are kept; the one that was not used for longest goes first."""

MOST_STATEMENT_CHARACTERS = 1 << 24
"""Characters of them together, 16 MiB; a plan that names many bands comes to six times its own length."""


class Scanner:
    """One prepared database, opened for reading. Safe to share between threads: each call has its own cursor."""

    def __init__(self, path: Path, *, threads: int = 1, memory_limit: str = "512MB", app: App | None = None) -> None:
        """Open the file; raise Rejected("unavailable") when that fails. ``app`` runs apps; None: there are none."""
        self._steps = Steps(app=app)
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
        self,
        tally: Tally,
        catalogue: Catalogue,
        site: str,
        attributes: Mapping[str, str],
        *,
        own_row: bool,
        tables: frozenset[str] | None = None,
    ) -> NDArray[np.int64]:
        """Return the exact vector, ``tally.entries`` long, in units of its blocks.

        A row is counted where the plan's conditions hold; of a patient's rows, the first in the keyed order. Only
        ``tables`` are read (None: all that the hospital has); parts of the plan about others are zeros. Raises
        Rejected: ``unknown-table`` where that leaves nothing, ``bad-plan`` where the plan does not fit the catalogue,
        ``unavailable`` for anything in the engine.

        Guarantee: no word of the engine is in the error, since the engine may quote a record; its detail is the class
        of the engine's error. Test: tests/node/test_scan.py::test_an_engine_failure_says_nothing_of_the_engine.
        """
        read = self.tables if tables is None else self.tables & tables
        if not tally.plan.answerable(read):
            raise Rejected("unknown-table", ", ".join(tally.plan.tables))
        facts = Site(name=site, attributes=attributes)
        training = tally.plan.parts[0].aggregates[0].step
        try:
            if training is not None:
                return self._trained(
                    tally, training, Reader(catalogue=catalogue, site=facts, own_row=own_row, fetch=self._fetch)
                )
            statement = self._statement(tally, catalogue, facts, tables=read, own_row=own_row)
            vector = statement.zeros()
            for scan in statement.scans:
                columns = self._fetch(scan.sql)
                lay_out(vector, scan, {name: np.ma.filled(values, 0) for name, values in columns.items()})
        except QueryError as error:
            raise Rejected("bad-plan", error.code) from None
        except (duckdb.Error, MemoryError) as error:
            raise Rejected("unavailable", type(error).__name__) from None
        return vector

    def _trained(self, tally: Tally, training: Step | AppStep, reader: Reader) -> NDArray[np.int64]:
        """Return a round of training; each hospital's own records only, like any scan."""
        if isinstance(training, Step):
            return self._steps.step(tally, training, reader)
        try:
            return self._steps.update(tally, training, reader)
        except NoAppsError:
            raise Rejected("unavailable", "no apps run here") from None

    def _fetch(self, sql: str) -> Mapping[str, NDArray[Any]]:
        with self._connection.cursor() as cursor:
            return cast("Mapping[str, NDArray[Any]]", cursor.execute(sql).fetchnumpy())

    def _statement(
        self, tally: Tally, catalogue: Catalogue, site: Site, *, tables: frozenset[str], own_row: bool
    ) -> Statement:
        # The plan's bytes carry the catalogue's digest; the site's facts may change with the roster.
        facts = (site.name, sorted(site.attributes.items()), sorted(tables), own_row)
        key = hashlib.sha256(encode(tally.plan) + repr(facts).encode()).digest()
        with self._lock:
            if (known := self._statements.get(key)) is not None:
                self._statements.move_to_end(key)
                return known
        made = compile_tally(tally, catalogue, site, tables=tables, own_row=own_row)
        with self._lock:
            self._statements[key] = made
            while len(self._statements) > MOST_STATEMENTS or self._characters() > MOST_STATEMENT_CHARACTERS:
                self._statements.popitem(last=False)
        return made

    def _characters(self) -> int:
        return sum(len(scan.sql) for kept in self._statements.values() for scan in kept.scans)

    def close(self) -> None:
        """Close the database. A file of another name may be opened before or after."""
        self._connection.close()
