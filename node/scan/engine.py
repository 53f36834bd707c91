"""How the embedded engine is opened, for preparation and for scans alike."""

from __future__ import annotations

from pathlib import Path

import duckdb

MISTAKEN_OPTIMIZERS = "cte_filter_pusher,top_n_window_elimination"
"""Rewrites of "the first rows of each patient" that give wrong answers in some versions of DuckDB: 2.0.0 keeps one row
too few where two sections share the rows; others drop equal rows (duckdb issues 23588, 24363). They save no time here.
Test: tests/node/test_scan.py::test_blocks_with_different_cells_share_one_scan."""


SPILL = "spill"
"""Folder in a node's home for what a scan cannot keep in memory; its owner's alone."""


def open_database(
    path: Path, *, spill: Path, memory_limit: str, threads: int | None = None, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """Open a database file; whatever does not fit into memory goes to the folder ``spill``; may raise duckdb.Error."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        # A scan that could not spill would fail on large tables, and how large a table is nobody may learn.
        "temp_directory": str(spill),
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    if threads is not None:
        config["threads"] = str(threads)
    connection = duckdb.connect(str(path), read_only=read_only, config=config)
    connection.execute(f"SET disabled_optimizers = '{MISTAKEN_OPTIMIZERS}'")
    return connection
