"""A hospital with times of day, lists, derived columns of every kind, and a table of the lists' elements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from node.records.mapping import SourceMapping
from node.records.prepare import Prepared, prepare
from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from tests.node.ward import SITE_KEY

HEADER = "pid,came,left,kind,dx,others,poa,item\n"

TEXT = """
name = "care"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000

[codes.diagnosis]
version = "1"
codes = ["E10", "I21", "I22", "I63", "J18"]
[[codes.diagnosis.levels]]
name = "chapter"
[codes.diagnosis.levels.groups]
IV = { en = "IV", members = ["E10"] }
IX = { en = "IX", members = ["I21", "I22", "I63"] }
X = { en = "X", members = ["J18"] }

[tables.stay]
patient = "pid"
rows_per_patient = CAP
dated_by = "left"
[tables.stay.columns]
came = { date = { first = 2020-01-01, last = 2022-12-31, time = true } }
left = { date = { first = 2020-01-01, last = 2022-12-31, time = true } }
kind = { codes = ["1", "2", "3"] }
dx = { codes = "diagnosis" }
others = { codes = "diagnosis", most = 3 }
poa = { codes = ["1", "4"], most = 3 }
item = { number = { low = 0, high = 9 } }
[tables.stay.derived]
again = { next_within = { days = 31, from = "left", to = "came", where = { kind = ["1", "2"] } } }
split = { previous_within = { days = 7, from = "left", to = "came", same = ["dx"] } }
repeated = { previous_within = { days = 7, from = "left", to = "left", same = ["item"], where = { kind = ["1"] } } }
soon = { next_within = { days = 0, from = "left", to = "left" } }
first_ever = { first = { by = "came", same = ["dx"] } }
first_of_year = { first = { by = "came", same = ["dx"], per = "year" } }
first_of_month = { first = { by = "left", per = "month" } }
twice = { repeat = { same = ["item", "left"] } }
ami = { any = { of = ["dx", "others"], codes = ["I21", "I22"] } }
heart = { any = { of = ["others"], codes = ["IX"], level = "chapter" } }
lungs = { any = { of = ["dx"], codes = ["J18", "E10"] } }
wait = { minutes = { from = "came", to = "left", low = 0, high = 2880 } }
los = { days = { from = "came", to = "left", low = -1, high = 60 } }

[tables.diagnosis]
rows_per_patient = PARTS
each = { table = "stay", lists = ["others", "poa"] }
"""

DERIVED = (
    "again",
    "split",
    "repeated",
    "soon",
    "first_ever",
    "first_of_year",
    "first_of_month",
    "twice",
    "ami",
    "heart",
    "lungs",
    "wait",
    "los",
)
"""The derived columns of a stay."""


def agreed(cap: int = 1000, parts: int = 1000) -> Catalogue:
    """Return the catalogue with these caps."""
    return read_catalogue(TEXT.replace("CAP", str(cap)).replace("PARTS", str(parts)).encode(), "care.toml")


def prepared(
    folder: Path, lines: str, catalogue: Catalogue | None = None, mapping: SourceMapping | None = None
) -> Prepared:
    """Write the lines as the hospital's file, below the header, and prepare it."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "stay.csv").write_text(HEADER + lines)
    return prepare(folder / "home", data, mapping, catalogue or agreed(), SITE_KEY)


def rows_of(made: Prepared, table: str = "stay") -> list[dict[str, Any]]:
    """Return prepared rows in the keyed order."""
    with duckdb.connect(str(made.path), read_only=True) as connection:
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY _patient, _order")
        names = [described[0] for described in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
