"""Run benchmarks and keep their tables: ``python -m benchmarks [NAME ...] [--write]``."""

from __future__ import annotations

import argparse
import os

from rich.console import Console
from rich.table import Table

from benchmarks import flower_training, footprint, million, pack, secure_sum, small_query, table, year, year_pages

BENCHMARKS = {
    "small_query": small_query,
    "million": million,
    "footprint": footprint,
    "secure_sum": secure_sum,
    "pack": pack,
    "year": year,
    "flower_training": flower_training,
}
PAGES = {"year": year_pages}
"""Benchmarks with a document of their own."""


def main() -> None:
    """Run the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all if none is named")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark {min(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in chosen.names or BENCHMARKS:
        figures = BENCHMARKS[name].measure()
        shown = Table("what", "measured", "goal", title=BENCHMARKS[name].TITLE, title_justify="left")
        for figure in figures:
            shown.add_row(figure.what, figure.value, figure.goal)
        Console().print(shown)
        if chosen.write:
            command = f"python -m benchmarks {name} --write"
            table.write(name, BENCHMARKS[name].TITLE, command, figures, len(os.sched_getaffinity(0)))
            if name in PAGES:
                PAGES[name].write()


if __name__ == "__main__":
    main()
