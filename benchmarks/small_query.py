"""A small question to ten node processes: how long an analyst waits, and what it costs whom."""

from __future__ import annotations

import statistics
import time

import duckdb

import farr
from benchmarks.process import cpu_seconds
from benchmarks.synthetic import BARE, QUESTION, federation
from benchmarks.table import Figure

TITLE = "Small question, ten node processes"
HOSPITALS, ROWS, TIMES = 10, 15_000, 60


def measure() -> list[Figure]:
    """Ask a first-seen question, then the same one afresh many times."""
    with federation(HOSPITALS, ROWS) as (lab, files), farr.connect(lab.home) as connection:
        # The analyst's own imports are not what is measured.
        _timed(connection, QUESTION)
        first = _timed(connection, QUESTION.replace("20", "25"))
        before = {process.name: cpu_seconds(process.pid) for process in lab.processes}
        waits = sorted(_timed(connection, QUESTION) for _ in range(TIMES))
        used = {process.name: (cpu_seconds(process.pid) - before[process.name]) / TIMES for process in lab.processes}
        coordinator = used.pop("coordinator")
        bare = _bare(files)
    p50, p95 = statistics.median(waits), waits[int(len(waits) * 0.95)]
    path = max(used.values()) + coordinator
    return [
        Figure(what=f"first-seen question ({HOSPITALS} x {ROWS:,} rows)", value=f"{first * 1e3:.0f} ms"),
        Figure(what=f"p50 of {TIMES} fresh answers", value=f"{p50 * 1e3:.0f} ms", goal="100 ms with everything"),
        Figure(what="p95", value=f"{p95 * 1e3:.0f} ms"),
        Figure(what="CPU a question: coordinator", value=f"{coordinator * 1e3:.1f} ms"),
        Figure(what="CPU a question: node, median / slowest", value=_both(list(used.values()))),
        Figure(what="critical path (slowest node + coordinator CPU)", value=f"{path * 1e3:.1f} ms", goal="40 ms"),
        Figure(what="bare DuckDB, bounded, the ten files in turn", value=f"{bare * 1e3:.0f} ms"),
        Figure(what="p50 / bare", value=f"{p50 / bare:.2f}"),
    ]


def _timed(connection: farr.Federation, statement: str) -> float:
    began = time.perf_counter()
    connection.sql(statement, epsilon=0.2, fresh=True)
    return time.perf_counter() - began


def _bare(files: list[object]) -> float:
    databases = []
    for file in files:
        database = duckdb.connect(config={"threads": 1})
        database.execute("SET enable_progress_bar = false")
        database.execute(f"CREATE TABLE visit AS FROM read_parquet('{file}')")
        database.execute(BARE.format(table="visit")).fetchall()
        databases.append(database)
    runs = []
    for _ in range(10):
        began = time.perf_counter()
        for database in databases:
            database.execute(BARE.format(table="visit")).fetchall()
        runs.append(time.perf_counter() - began)
    return statistics.median(runs)


def _both(values: list[float]) -> str:
    return f"{statistics.median(values) * 1e3:.1f} / {max(values) * 1e3:.1f} ms"
