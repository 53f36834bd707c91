"""Ten hospitals with a million rows each, against the bare bounded scan by ten processes of the same engine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import duckdb

import farr
from benchmarks.synthetic import BARE, PLAIN, QUESTION, federation
from benchmarks.table import Figure

TITLE = "Ten hospitals, a million rows each"
HOSPITALS, ROWS, TIMES = 10, 1_000_000, 5
SCAN, END = "scan", "end"


def measure() -> list[Figure]:
    """Ask the question with everything on, then run the bare scans at the same degree of concurrency."""
    with federation(HOSPITALS, ROWS) as (lab, files), farr.connect(lab.home) as connection:
        _ask(connection)
        whole = statistics.median(_ask(connection) for _ in range(TIMES))
        seconds = _bare([str(file) for file in files], BARE)
        plain = _bare([str(file) for file in files], PLAIN)
    allowed = 1.5 * seconds + 0.05
    return [
        Figure(what="bare DuckDB bounded scan, ten processes at once", value=f"{seconds * 1e3:.0f} ms"),
        Figure(what="Farr, fresh answer, median", value=f"{whole * 1e3:.0f} ms", goal=f"{allowed * 1e3:.0f} ms"),
        Figure(what="Farr / bare", value=f"{whole / seconds:.2f}", goal="at most 1.5 x bare + 50 ms"),
        # Farr bounds patients once, when it prepares the data; a bare engine does it in every question.
        Figure(what="bare DuckDB scan without bounding, ten processes at once", value=f"{plain * 1e3:.0f} ms"),
    ]


def _ask(connection: farr.Federation) -> float:
    began = time.perf_counter()
    connection.sql(QUESTION, epsilon=0.2, fresh=True)
    return time.perf_counter() - began


def _bare(files: list[str], query: str) -> float:
    spawned = multiprocessing.get_context("spawn")
    pipes = []
    for file in files:
        ours, theirs = spawned.Pipe()
        spawned.Process(target=_scanner, args=(file, query, theirs), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    runs = []
    for _ in range(TIMES):
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send(SCAN)
        for pipe in pipes:
            pipe.recv()
        runs.append(time.perf_counter() - began)
    for pipe in pipes:
        pipe.send(END)
    return statistics.median(runs)


def _scanner(file: str, query: str, pipe: Connection) -> None:
    """Hold one hospital's rows in a database of its own and scan them whenever told to."""
    database = duckdb.connect(config={"threads": 1})
    database.execute("SET enable_progress_bar = false")
    database.execute(f"CREATE TABLE visit AS FROM read_parquet('{file}')")
    database.execute(query.format(table="visit")).fetchall()
    pipe.send(SCAN)
    while pipe.recv() == SCAN:
        database.execute(query.format(table="visit")).fetchall()
        pipe.send(SCAN)
