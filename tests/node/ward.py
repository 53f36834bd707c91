"""A small made-up hospital for the tests of the data half of a node: its catalogue, its files, its plans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.mapping import SourceMapping
from node.prepare import Prepared, prepare
from node.scan import Scanner
from queries.catalogue import (
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
from queries.plan import EVERYTHING, Aggregate, Bound, Key, Plan, Predicate
from queries.tally import Tally, tally

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
) -> Tally:
    """Return the tally of a plan on the table of admissions."""
    plan = Plan(
        catalogue=agreed.digest,
        table="admission",
        where=where,
        keys=keys,
        aggregates=tuple(aggregates),
        bound=Bound(rows=rows, groups=groups),
    )
    return tally(plan, agreed)


def scan(
    folder: Prepared, asked: Tally, agreed: Catalogue, *, site: str = "h1", own_row: bool = True
) -> NDArray[np.int64]:
    """Return the exact vector of one hospital in Italy."""
    scanner = Scanner(folder.path)
    try:
        return scanner.tally(asked, agreed, site, {"country": "IT"}, own_row=own_row)
    finally:
        scanner.close()
