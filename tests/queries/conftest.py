"""A catalogue with one of everything, and a strategy that makes plans which fit it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import strategies as st

from queries.agreed.catalogue import Catalogue, CodeColumn, DateColumn, NumberColumn
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.domains import PARTS
from queries.asked.canonical import encode
from queries.asked.plan import (
    Aggregate,
    AttributeKey,
    BandKey,
    Between,
    Bound,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Members,
    Missing,
    Not,
    Part,
    Plan,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
    most_rows,
)

WIDE = """
name = "wide"
version = "1"
label = { en = "One of everything", zh = "样样都有" }
sites_per_patient = 2
rows_per_site = 1_000_000

[site.level]
label = { en = "Level", zh = "级别" }
codes = { 3 = { en = "tertiary", zh = "三级" }, 2 = { en = "secondary", zh = "二级" } }

[codes.sex]
version = "1"
codes = { F = "female", M = "male" }

[codes.region]
version = "2024"
codes = { 440103 = { en = "Liwan", zh = "荔湾区" }, 110101 = "Dongcheng", 440104 = "Yuexiu", 440305 = "Nanshan" }

[[codes.region.levels]]
name = "prefecture"
label = { en = "Prefecture", zh = "地级" }
[codes.region.levels.groups]
1101 = { en = "Beijing", zh = "市辖区", members = ["110101"] }
4401 = { en = "Guangzhou", zh = "广州市", members = ["440104", "440103"] }
4403 = { en = "Shenzhen", zh = "深圳市", members = ["440305"] }

[[codes.region.levels]]
name = "province"
[codes.region.levels.groups]
44 = { en = "Guangdong", zh = "广东省", members = ["4403", "4401"] }
11 = { en = "Beijing", zh = "北京市", members = ["1101"] }

[tables.discharge]
label = { en = "Discharges", zh = "出院" }
patient = "patient_id"
rows_per_patient = 12
dated_by = "discharged"

[tables.discharge.columns.sex]
codes = "sex"
[tables.discharge.columns.way]
label = "Way of leaving"
codes = ["home", "hospital", "dead"]
[tables.discharge.columns.region]
codes = "region"
[tables.discharge.columns.age]
number = { low = 0, high = 120 }
unit = "years"
[tables.discharge.columns.weight]
number = { low = "-0.5", high = 30.25, step = 0.05 }
[tables.discharge.columns.discharged]
date = { first = 2019-03-05, last = 2023-11-20 }

[tables.lab]
patient = "patient_id"
rows_per_patient = 3

[tables.lab.columns.sex]
codes = "sex"
[tables.lab.columns.value]
number = { low = -3, high = 40 }
"""


@pytest.fixture(scope="session")
def wide() -> Catalogue:
    """Return the catalogue with one of everything."""
    return read_catalogue(WIDE.encode(), "wide.toml")


@pytest.fixture(scope="session")
def plans(wide: Catalogue) -> st.SearchStrategy[Plan]:
    """Return a strategy of plans that fit the catalogue: of one to three parts, mostly about discharges."""
    discharges, labs = _parts(wide, "discharge"), _parts(wide, "lab")

    @st.composite
    def plan(draw: st.DrawFn) -> Plan:
        chosen = st.lists(st.one_of(discharges, discharges, labs), min_size=1, max_size=3, unique_by=encode)
        return Plan(catalogue=wide.digest, parts=tuple(draw(chosen)))

    return plan()


def _parts(catalogue: Catalogue, table: str) -> st.SearchStrategy[Part]:
    """Return a strategy of parts about a table."""
    conditions = _predicates(catalogue, table)
    keys = st.lists(_keys(catalogue, table, conditions), max_size=3, unique_by=encode).map(tuple)
    aggregates = st.lists(_aggregates(catalogue, table, conditions), min_size=1, max_size=4, unique_by=encode)
    aggregates = aggregates.map(tuple)
    others = tuple(sorted({each.name for each in catalogue.tables} - {table}))

    @st.composite
    def part(draw: st.DrawFn) -> Part:
        where, cells = draw(conditions), draw(keys)
        rows = draw(st.integers(1, most_rows(catalogue, table, where)))
        subtotals = bool(cells) and draw(st.booleans())
        return Part(
            table=table,
            where=where,
            keys=cells,
            aggregates=draw(aggregates),
            bound=Bound(rows=rows, groups=rows if subtotals else draw(st.integers(1, rows))),
            beside=draw(st.sampled_from([(), others])),
            subtotals=subtotals,
            weight=draw(st.integers(1, 5)),
        )

    return part()


def _of_kind(catalogue: Catalogue, table: str, kind: type) -> list:
    return [column for column in catalogue.table(table).columns if isinstance(column, kind)]


def _code_lists(codes: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(codes), min_size=1).map(lambda chosen: tuple(sorted(chosen)))


def _leaves(catalogue: Catalogue, table: str) -> st.SearchStrategy[Predicate]:
    choices = [
        st.builds(Missing, column=st.sampled_from([column.name for column in catalogue.table(table).columns])),
        st.builds(SiteIs, attribute=st.none(), codes=_code_lists(["a", "b", "甲"])),
        st.builds(SiteIs, attribute=st.just("level"), codes=_code_lists(["2", "3"])),
    ]
    for column in _of_kind(catalogue, table, CodeColumn):
        for level in (None, *column.codes.levels):
            codes = list(column.codes.index if level is None else level.index)
            name = st.just(None if level is None else level.name)
            choices.append(st.builds(Members, column=st.just(column.name), codes=_code_lists(codes), level=name))
    ends = st.none() | st.integers(-(1 << 40), 1 << 40) | st.integers(-10, 130)
    for column in _of_kind(catalogue, table, NumberColumn):
        between = st.builds(Between, column=st.just(column.name), low=ends, high=ends)
        choices.append(between.filter(lambda term: (term.low, term.high) != (None, None)))
    days = st.none() | st.dates(date(2018, 1, 1), date(2025, 1, 1))
    for column in _of_kind(catalogue, table, DateColumn):
        during = st.builds(During, column=st.just(column.name), first=days, last=days)
        choices.append(during.filter(lambda term: (term.first, term.last) != (None, None)))
    return st.one_of(choices)


def _predicates(catalogue: Catalogue, table: str) -> st.SearchStrategy[Predicate]:
    def joined(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
        terms = st.lists(inner, max_size=4, unique_by=encode).map(lambda some: tuple(sorted(some, key=encode)))
        return st.builds(Not, term=inner) | st.builds(Every, terms=terms) | st.builds(Some, terms=terms)

    return st.recursive(_leaves(catalogue, table), joined, max_leaves=8) | st.just(Every())


def _keys(catalogue: Catalogue, table: str, conditions: st.SearchStrategy[Predicate]) -> st.SearchStrategy:
    choices = [
        st.just(AttributeKey(attribute="level")),
        st.builds(SiteKey, sites=_code_lists(["a", "b", "医院"])),
        st.builds(FlagKey, term=conditions),
    ]
    if _of_kind(catalogue, table, DateColumn):
        choices.append(st.builds(_date_key, st.sampled_from(PARTS), st.integers(0, 1700), st.integers(0, 60)))
    for column in _of_kind(catalogue, table, CodeColumn):
        levels = [None, *(level.name for level in column.codes.levels)]
        choices.append(st.builds(CodeKey, column=st.just(column.name), level=st.sampled_from(levels)))
    for column in _of_kind(catalogue, table, NumberColumn):
        more = st.sets(st.integers(column.low + 1, column.high), max_size=5)
        starts = more.map(lambda chosen, low=column.low: (low, *sorted(chosen)))
        choices.append(st.builds(BandKey, column=st.just(column.name), starts=starts))
    return st.one_of(choices)


def _date_key(part: str, begin: int, days: int) -> DateKey:
    first, last = date(2019, 3, 5) + timedelta(begin), date(2023, 11, 20)
    first = min(first, last)
    return DateKey(column="discharged", part=part, first=first, last=min(first + timedelta(days), last))


def _aggregates(
    catalogue: Catalogue, table: str, conditions: st.SearchStrategy[Predicate]
) -> st.SearchStrategy[Aggregate]:
    numbers = [column.name for column in _of_kind(catalogue, table, NumberColumn)]
    everything = [column.name for column in catalogue.table(table).columns]
    chosen = (
        st.tuples(st.just("count"), st.none() | st.sampled_from(everything))
        | st.tuples(st.just("patients"), st.none())
        | st.tuples(st.sampled_from(["sum", "mean"]), st.sampled_from(numbers))
    )
    return st.builds(lambda pair, where: Aggregate(statistic=pair[0], column=pair[1], where=where), chosen, conditions)
