"""A small made-up hospital for the tests of the data half of a node: its catalogue, its files, its plans."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from node.records.mapping import SourceMapping
from node.records.prepare import Prepared, prepare
from node.scan.scan import Scanner
from queries.agreed.catalogue import (
    Catalogue,
    Code,
    CodeColumn,
    CodeSet,
    DateColumn,
    Label,
    Level,
    NumberColumn,
    SiteAttribute,
    Table,
)
from queries.asked.plan import EVERYTHING, Aggregate, Bound, Key, Part, Plan, Predicate
from queries.cost.tally import Tally, tally

SITE_KEY = bytes(range(32))
HEADER = "pid,sex,dx,sbp,admitted\n"


def label(name: str) -> Label:
    """Name a thing the same in both languages."""
    return Label(en=name, zh=name)


def codes(*names: str) -> tuple[Code, ...]:
    """Return codes that are called what they are."""
    return tuple(Code(code=name, label=label(name)) for name in names)


SEX = CodeSet(name="sex", version="1", codes=codes("M", "F"))
DIAGNOSES = CodeSet(
    name="diagnosis",
    version="1",
    codes=codes("I61", "I63", "I63.9", "J18"),
    levels=(Level(name="chapter", label=label("chapter"), groups=codes("IX", "X"), group_of=(0, 0, 0, 1)),),
    folds=True,
)
COUNTRY = SiteAttribute(
    name="country", label=label("country"), codes=CodeSet(name="country", version="1", codes=codes("IT", "UK"))
)
PRESSURE = NumberColumn(name="sbp", label=label("sbp"), low=0, high=3000, step=Fraction(1, 10), unit="mmHg")


def catalogue(*, cap: int = 3, dated: bool = True, rows_per_site: int = 10**6) -> Catalogue:
    """Return a federation's agreement on one table of admissions."""
    table = Table(
        name="admission",
        label=label("admission"),
        patient="pid",
        columns=(
            CodeColumn(name="sex", label=label("sex"), codes=SEX),
            CodeColumn(name="dx", label=label("diagnosis"), codes=DIAGNOSES),
            PRESSURE,
            DateColumn(name="admitted", label=label("day"), first=date(2020, 1, 1), last=date(2022, 12, 31)),
        ),
        rows_per_patient=cap,
        dated_by="admitted" if dated else None,
    )
    return Catalogue(
        name="ward",
        version="1",
        tables=(table,),
        site_attributes=(COUNTRY,),
        sites_per_patient=1,
        rows_per_site=rows_per_site,
        source=f"ward {cap} {dated} {rows_per_site}".encode(),
    )


VISIT = Table(
    name="visit",
    label=label("visit"),
    patient="pid",
    columns=(
        CodeColumn(name="sex", label=label("sex"), codes=SEX),
        NumberColumn(name="cost", label=label("cost"), low=-50, high=400, step=Fraction(1)),
        NumberColumn(name="days", label=label("days"), low=0, high=30, step=Fraction(1)),
    ),
    rows_per_patient=4,
)


def with_visits(agreed: Catalogue) -> Catalogue:
    """Return an agreement on a table of visits too, which has no dates."""
    return replace(agreed, tables=(*agreed.tables, VISIT), source=agreed.source + b" with visits")


def prepared(
    folder: Path, text: str | bytes, agreed: Catalogue, mapping: SourceMapping | None = None, key: bytes = SITE_KEY
) -> Prepared:
    """Write a CSV into a new hospital's data folder and prepare it."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "admission.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return prepare(folder / "home", data, mapping, agreed, key)


def shape(
    agreed: Catalogue,
    aggregates: Sequence[Aggregate] = (Aggregate(statistic="count"),),
    *,
    keys: tuple[Key, ...] = (),
    where: Predicate = EVERYTHING,
    rows: int = 9,
    groups: int = 9,
    subtotals: bool = False,
) -> Tally:
    """Return the tally of a plan on the table of admissions."""
    part = Part(
        table="admission",
        where=where,
        keys=keys,
        aggregates=tuple(aggregates),
        bound=Bound(rows=rows, groups=groups),
        subtotals=subtotals,
    )
    return laid_out(agreed, part)


def laid_out(agreed: Catalogue, *parts: Part) -> Tally:
    """Return the tally of a plan of these parts."""
    return tally(Plan(catalogue=agreed.digest, parts=parts), agreed)


def scan(
    folder: Prepared,
    asked: Tally,
    agreed: Catalogue,
    *,
    site: str = "h1",
    own_row: bool = True,
    tables: frozenset[str] | None = None,
) -> NDArray[np.int64]:
    """Return the exact vector of one hospital in Italy."""
    scanner = Scanner(folder.path)
    try:
        return scanner.tally(asked, agreed, site, {"country": "IT"}, own_row=own_row, tables=tables)
    finally:
        scanner.close()


def random_lines(seed: int, count: int = 250) -> str:
    """Return a made-up CSV, defects included."""
    chance = random.Random(seed)  # noqa: S311 - made-up rows
    lines = []
    for _ in range(count):
        day = date(2020, 1, 1) + timedelta(days=chance.randrange(1096))
        line = [
            f"p{chance.randrange(40)}",
            chance.choice(["M", "F", "X", ""]),
            chance.choice(["I61", "I63.900x001", "I63.8", "J18.9", "Z99", ""]),
            chance.choice(["", "NaN", "-1", "999", f"{chance.uniform(60, 250):.1f}"]),
            chance.choice([day.isoformat(), f"{day:%Y%m%d}"]),
        ]
        lines.append(",".join(line) + "\n")
    return HEADER + "".join(lines)


def rows_of(made: Prepared, table: str) -> list[dict[str, Any]]:
    """Return the prepared rows of a table."""
    with duckdb.connect(str(made.path), read_only=True) as connection:
        found = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
