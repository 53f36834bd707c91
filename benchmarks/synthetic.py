"""A federation of made-up hospitals: as many as asked, each with as many rows as asked, the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.node_homes import policy_with
from farr.lab.record import Lab
from farr.lab.watchdog import Watch
from queries.agreed.catalogue_file import read_catalogue

CATALOGUE = """
name = "synthetic"
version = "1"
label = { en = "Synthetic visits", zh = "合成就诊" }
sites_per_patient = 1
rows_per_site = 100_000_000

[codes.sex]
version = "1"
codes = { F = "female", M = "male" }

[codes.department]
version = "1"
codes = { A = "A", B = "B", C = "C", D = "D", E = "E", F = "F", G = "G", H = "H", I = "I", J = "J" }

[tables.visit]
label = { en = "Visits", zh = "就诊" }
patient = "pid"
rows_per_patient = 12
dated_by = "seen"

[tables.visit.columns.seen]
label = { en = "Day", zh = "日期" }
date = { first = 2026-01-01, last = 2026-12-31 }

[tables.visit.columns.age]
label = { en = "Age", zh = "年龄" }
number = { low = 0, high = 119, step = 1 }

[tables.visit.columns.sex]
label = { en = "Sex", zh = "性别" }
codes = "sex"

[tables.visit.columns.department]
label = { en = "Department", zh = "科室" }
codes = "department"

[tables.visit.columns.cost]
label = { en = "Cost", zh = "费用" }
number = { low = 0, high = 5000, step = 1 }
unit = "CNY"
"""

QUESTION = (
    "SELECT sex, BAND(age, 20) AS age, COUNT(*) AS visits, AVG(cost) AS cost FROM visit GROUP BY sex, BAND(age, 20)"
)
"""Twelve cells, three blocks: the everyday question of the benchmarks."""

BARE = """
WITH bounded AS (
    SELECT *, row_number() OVER (PARTITION BY pid, year(seen) ORDER BY hash(pid, seen, cost)) AS place FROM {table}
)
SELECT sex, age // 20 AS band, count(*), count(cost), sum(cost - 2500)
FROM bounded WHERE place <= 12 GROUP BY ALL
"""
"""The same question as a bare engine would be asked, each patient bounded to the cap."""

PLAIN = "SELECT sex, age // 20 AS band, count(*), count(cost), sum(cost - 2500) FROM {table} GROUP BY ALL"
"""The same without any bound: what the engine needs for the counting alone."""


def write_rows(folder: Path, rows: int, seed: int) -> Path:
    """Write one hospital's visits as Parquet; about four visits a patient."""
    folder.mkdir(parents=True)
    file = folder / "visit.parquet"
    with duckdb.connect() as database:
        database.execute(
            f"""
            COPY (
                SELECT 'p' || (hash(i, {seed}, 'p') % {max(1, rows // 4)}) AS pid,
                       DATE '2026-01-01' + (hash(i, {seed}, 'd') % 365)::INTEGER AS seen,
                       (hash(i, {seed}, 'a') % 100)::INTEGER AS age,
                       ['F', 'M'][1 + (hash(i, {seed}, 's') % 2)::INTEGER] AS sex,
                       chr(65 + (hash(i, {seed}, 'w') % 10)::INTEGER) AS department,
                       (hash(i, {seed}, 'c') % 5000)::INTEGER AS cost
                FROM range({rows}) numbers(i)
            ) TO '{file}' (FORMAT parquet)
            """  # noqa: S608 - whole numbers and a path of our own
        )
    return file


@contextmanager
def federation(hospitals: int, rows: int) -> Iterator[tuple[Lab, list[Path]]]:
    """Run a federation of node processes for as long as the context lasts; yield the lab and the Parquet files."""
    with TemporaryDirectory(prefix="farr-bench-") as folder:
        data = Path(folder, "data")
        files = [write_rows(data / f"site-{number:03d}", rows, number) for number in range(hospitals)]
        described = labs.Federation(
            catalogue=read_catalogue(CATALOGUE.encode(), "synthetic.toml"),
            hospitals=in_folders(data, None),
            policy=policy_with(100.0),
        )
        home = Path(folder, "lab")
        with Watch(home) as watch:
            lab = labs.up(home, described, watch)
            try:
                yield lab, files
            finally:
                labs.down(home)
