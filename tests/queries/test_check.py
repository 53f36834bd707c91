"""What a plan from a stranger must satisfy."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.asked.canonical import decode, encode
from queries.asked.check import (
    MOST_AGGREGATES,
    MOST_COLUMNS,
    MOST_DEPTH,
    MOST_KEYS,
    MOST_NODES,
    MOST_NUMBER,
    MOST_PARTS,
    MOST_STARTS,
    MOST_WEIGHT,
    _check_predicate,
    check,
)
from queries.asked.plan import (
    EVERYTHING,
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
    Plan,
    SiteIs,
    SiteKey,
    Some,
)
from queries.cost.tally import tally
from queries.errors import PlanError
from tests.queries.whole import altered, whole

COUNT = Aggregate(statistic="count")
AGED, FEMALE = Between(column="age", low=1, high=None), Members(column="sex", codes=("F",))
DAY = date(2020, 5, 17)


@pytest.fixture
def good(wide) -> Plan:
    """Return a plan that fits the catalogue and uses one of everything."""
    where = Every(
        terms=tuple(
            sorted(
                (AGED, FEMALE, During(column="discharged", first=date(2020, 1, 1), last=date(2021, 6, 30))), key=encode
            )
        )
    )
    return whole(
        wide.digest,
        table="discharge",
        where=where,
        keys=(CodeKey(column="region", level="province"), AttributeKey(attribute="level")),
        aggregates=(COUNT, Aggregate(statistic="mean", column="age", where=Not(term=FEMALE))),
        bound=Bound(rows=24, groups=3),
    )


def _nested(depth: int) -> Not | Missing:
    term: Not | Missing = Missing(column="age")
    for _ in range(depth - 1):
        term = Not(term=term)
    return term


def _long(nodes: int) -> Some:
    """Return a condition of so many nodes and one more."""
    terms = (Between(column="age", low=low, high=None) for low in range(nodes))
    return Some(terms=tuple(sorted(terms, key=encode)))


def test_a_good_plan_passes(wide, good):
    """The base of the refusals below is itself accepted, at the very edge of the cap and the depth."""
    check(good, wide)
    check(altered(good, where=_nested(MOST_DEPTH), bound=Bound(rows=60, groups=60)), wide)


BAD = {
    "another catalogue": {"catalogue": b"\x00" * 32},
    "no such table": {"table": "visit"},
    "unknown column in a membership": {"where": Members(column="colour", codes=("F",))},
    "membership in a number": {"where": Members(column="age", codes=("F",))},
    "no such level": {"where": Members(column="region", codes=("44",), level="continent")},
    "a group of another level": {"where": Members(column="region", codes=("4401",), level="province")},
    "a code of a group without its level": {"where": Members(column="region", codes=("44",))},
    "unknown code": {"where": Members(column="sex", codes=("X",))},
    "no codes": {"where": Members(column="sex", codes=())},
    "codes not sorted": {"where": Members(column="sex", codes=("M", "F"))},
    "codes repeated": {"where": Members(column="sex", codes=("F", "F"))},
    "numbers of codes": {"where": Between(column="sex", low=1, high=2)},
    "range without ends": {"where": Between(column="age", low=None, high=None)},
    "number out of reach": {"where": Between(column="age", low=None, high=MOST_NUMBER + 1)},
    "negative number out of reach": {"where": Between(column="age", low=-MOST_NUMBER - 1, high=None)},
    "days of a number": {"where": During(column="age", first=DAY, last=None)},
    "days without ends": {"where": During(column="discharged", first=None, last=None)},
    "missing of nothing": {"where": Missing(column="colour")},
    "the patient key": {"where": Missing(column="patient_id")},
    "no such site attribute": {"where": SiteIs(attribute="colour", codes=("3",))},
    "unknown value of a site attribute": {"where": SiteIs(attribute="level", codes=("9",))},
    "no sites": {"where": SiteIs(attribute=None, codes=())},
    "sites not sorted": {"where": SiteIs(attribute=None, codes=("b", "a"))},
    "terms not sorted": {"where": Every(terms=tuple(sorted((AGED, FEMALE), key=encode, reverse=True)))},
    "terms repeated": {"where": Some(terms=(AGED, AGED))},
    "a bad term inside": {"where": Not(term=Some(terms=(Missing(column="colour"),)))},
    "too deep": {"where": _nested(MOST_DEPTH + 1)},
    "too many": {"where": _long(MOST_NODES)},
    "key on no column": {"keys": (CodeKey(column="colour"),)},
    "codes of a number": {"keys": (CodeKey(column="age"),)},
    "key on no level": {"keys": (CodeKey(column="sex", level="province"),)},
    "bands of codes": {"keys": (BandKey(column="sex", starts=(0,)),)},
    "no bands": {"keys": (BandKey(column="age", starts=()),)},
    "bands that start late": {"keys": (BandKey(column="age", starts=(1, 10)),)},
    "bands that start early": {"keys": (BandKey(column="age", starts=(-1, 10)),)},
    "bands that do not rise": {"keys": (BandKey(column="age", starts=(0, 10, 10)),)},
    "bands beyond the bounds": {"keys": (BandKey(column="age", starts=(0, 121)),)},
    "days of codes": {"keys": (DateKey(column="sex", part="day", first=DAY, last=DAY),)},
    "no such part": {"keys": (DateKey(column="discharged", part="hour", first=DAY, last=DAY),)},
    "days backwards": {"keys": (DateKey(column="discharged", part="day", first=DAY, last=date(2020, 5, 16)),)},
    "days too early": {"keys": (DateKey(column="discharged", part="weekday", first=date(2019, 3, 4), last=DAY),)},
    "days too late": {"keys": (DateKey(column="discharged", part="year", first=DAY, last=date(2023, 11, 21)),)},
    "no sites as cells": {"keys": (SiteKey(sites=()),)},
    "sites as cells not sorted": {"keys": (SiteKey(sites=("b", "a")),)},
    "sites as cells repeated": {"keys": (SiteKey(sites=("a", "a")),)},
    "no such attribute as key": {"keys": (AttributeKey(attribute="colour"),)},
    "a key twice": {"keys": (CodeKey(column="sex"), CodeKey(column="sex"))},
    "too many keys": {"keys": tuple(BandKey(column="age", starts=(0, start)) for start in range(1, 10))},
    "too many cells": {
        "keys": (
            BandKey(column="age", starts=tuple(range(121))),
            BandKey(column="weight", starts=tuple(range(-10, 606))),
            DateKey(column="discharged", part="month", first=date(2020, 1, 1), last=date(2022, 1, 1)),
        )
    },
    "no statistics": {"aggregates": ()},
    "no such statistic": {"aggregates": (Aggregate(statistic="max", column="age"),)},
    "a statistic twice": {"aggregates": (COUNT, COUNT)},
    "too many statistics": {
        "aggregates": tuple(
            Aggregate(statistic="count", where=Between(column="age", low=low, high=None))
            for low in range(MOST_AGGREGATES + 1)
        )
    },
    "mean of nothing": {"aggregates": (Aggregate(statistic="mean"),)},
    "mean of codes": {"aggregates": (Aggregate(statistic="mean", column="sex"),)},
    "sum of days": {"aggregates": (Aggregate(statistic="sum", column="discharged"),)},
    "count of nothing known": {"aggregates": (Aggregate(statistic="count", column="colour"),)},
    "patients of a column": {"aggregates": (Aggregate(statistic="patients", column="sex"),)},
    "a bad filter": {"aggregates": (Aggregate(statistic="count", where=Members(column="sex", codes=("X",))),)},
    "a filter too deep": {"aggregates": (Aggregate(statistic="count", where=_nested(MOST_DEPTH + 1)),)},
    "no rows of a patient": {"bound": Bound(rows=0, groups=0)},
    "fewer than no rows": {"bound": Bound(rows=-1, groups=-1)},
    "more rows than two years' cap": {"bound": Bound(rows=25, groups=1)},
    "no cells of a patient": {"bound": Bound(rows=1, groups=0)},
    "more cells than rows": {"bound": Bound(rows=2, groups=3)},
    "a bad condition as key": {"keys": (FlagKey(term=Members(column="sex", codes=("X",))),)},
    "a condition as key that is too deep": {"keys": (FlagKey(term=_nested(MOST_DEPTH + 1)),)},
    "a condition as key that is not sorted": {"keys": (FlagKey(term=SiteIs(attribute=None, codes=("b", "a"))),)},
    "the same condition as key twice": {"keys": (FlagKey(term=FEMALE), FlagKey(term=FEMALE))},
    "too many nodes in keys and filters together": {
        "keys": (FlagKey(term=_long(MOST_NODES // 2)),),
        "aggregates": (Aggregate(statistic="count", where=_long(MOST_NODES // 2)),),
    },
    "cells of its own where it has none": {"aggregates": (replace(COUNT, by=(CodeKey(column="sex"),)),)},
    "columns of its own where it has none": {"aggregates": (replace(COUNT, columns=("age",)),)},
    "own cells on no column": {"aggregates": (replace(COUNT, by=(CodeKey(column="colour"),)),)},
    "own columns that are none": {"aggregates": (replace(COUNT, columns=("colour",)),)},
    "too many keys of its own": {
        "aggregates": (
            replace(COUNT, by=tuple(BandKey(column="age", starts=(0, start)) for start in range(1, MOST_KEYS + 2))),
        )
    },
    "too many columns of its own": {"aggregates": (replace(COUNT, columns=("age",) * (MOST_COLUMNS + 1)),)},
    "a bad condition in a key of its own": {
        "aggregates": (replace(COUNT, by=(FlagKey(term=Members(column="sex", codes=("X",))),)),)
    },
    "beside no such table": {"beside": ("ward",)},
    "beside itself": {"beside": ("discharge",)},
    "beside a table twice": {"beside": ("lab", "lab")},
    "tables beside not sorted": {"beside": ("lab", "discharge")},
    "subtotals of nothing": {"keys": (), "bound": Bound(rows=3, groups=3), "subtotals": True},
    "subtotals with a bound on cells": {"bound": Bound(rows=3, groups=2), "subtotals": True},
    "no weight": {"weight": 0},
    "a negative weight": {"weight": -1},
    "too great a weight": {"weight": MOST_WEIGHT + 1},
    "no parts": {"parts": ()},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_each_way_of_not_fitting_is_refused(wide, good, changes):
    """One change at a time, each refused with a remedy, also after a trip through bytes."""
    bad = altered(good, **changes)
    for plan in (bad, decode(Plan, encode(bad))):
        with pytest.raises(PlanError) as caught:
            check(plan, wide)
        assert caught.value.remedy


def test_the_cap_follows_the_window_of_the_outer_condition_only(wide, good):
    """A window inside a disjunction or a filter does not lower how many rows a patient is charged for."""
    window = During(column="discharged", first=date(2020, 1, 1), last=date(2020, 12, 31))
    check(altered(good, where=window, bound=Bound(rows=12, groups=1)), wide)
    with pytest.raises(PlanError):
        check(altered(good, where=window, bound=Bound(rows=13, groups=1)), wide)
    check(altered(good, where=Some(terms=(window,)), bound=Bound(rows=60, groups=1)), wide)
    check(altered(good, where=Not(term=window), bound=Bound(rows=60, groups=1)), wide)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_conditions_are_spelt_from_their_parts_as_they_are_whole(wide, plans, data):
    """The check puts bytes together from parts; they are the canonical bytes, or the order would be another."""
    plan = data.draw(plans)
    check(plan, wide)
    for part in plan.parts:
        assert _check_predicate(part.where, wide, wide.table(part.table)) == encode(part.where)


def test_the_worst_plan_of_the_largest_size_is_judged_quickly(wide, good):
    """A megabyte of nested lists of sites, the most that is decoded, is answered in moments."""
    sites = tuple(f"{number:08d}" for number in range(88_000))
    term = SiteIs(attribute=None, codes=sites)
    for _ in range(MOST_DEPTH - 1):
        term = Not(term=term)
    plan = altered(good, where=term, bound=Bound(rows=60, groups=1))
    decoded = decode(Plan, encode(plan))
    start = time.process_time()
    check(decoded, wide)
    assert time.process_time() - start < 2
    assert tally(decoded, wide).entries == 16


def test_a_plan_of_more_blocks_than_are_allowed_is_refused_before_they_are_made(wide, good):
    """Ninety parts of 64 means, each in nine groupings, would be 155,520 blocks."""
    (part,) = good.parts
    means = tuple(
        Aggregate(statistic="mean", column="age", where=Between(column="age", low=low, high=None))
        for low in range(MOST_AGGREGATES)
    )
    keys = tuple(BandKey(column="age", starts=(0, start)) for start in range(1, MOST_KEYS + 1))
    part = replace(part, aggregates=means, keys=keys, subtotals=True, bound=Bound(rows=3, groups=3))
    decoded = decode(Plan, encode(altered(good, parts=tuple(replace(part, weight=weight) for weight in range(1, 91)))))
    start = time.process_time()
    with pytest.raises(PlanError) as caught:
        check(decoded, wide)
    assert time.process_time() - start < 1.5
    assert "2,048" in caught.value.message


def test_more_bands_of_unequal_widths_than_a_hospital_can_write_out_are_refused(wide, good):
    """In all parts together; bands of one width are a division and count for nothing."""
    (part,) = good.parts
    starts = (-10, *range(91, 602))
    parts = [replace(part, keys=(BandKey(column="weight", starts=starts),), weight=weight) for weight in range(1, 34)]
    most = MOST_STARTS // len(starts)
    check(altered(good, parts=tuple(parts[:most])), wide)
    with pytest.raises(PlanError) as caught:
        check(altered(good, parts=tuple(parts[: most + 1])), wide)
    assert "unequal widths" in caught.value.message
    even = [replace(each, keys=(BandKey(column="weight", starts=tuple(range(-10, 606))),)) for each in parts]
    check(altered(good, parts=tuple(even)), wide)


def test_parts_are_judged_one_by_one_and_differ(wide, good):
    """A bad part among good ones is refused, so are two that are the same, and more than a plan may have."""
    (part,) = good.parts
    other = replace(part, keys=(FlagKey(term=AGED),), bound=Bound(rows=3, groups=3), subtotals=True, beside=("lab",))
    check(altered(good, parts=(part, other)), wide)
    check(altered(good, parts=(part, replace(part, weight=2))), wide)
    many = [
        replace(part, bound=Bound(rows=rows, groups=1), weight=weight) for rows in (1, 2) for weight in range(1, 129)
    ]
    check(altered(good, parts=tuple(many)), wide)
    assert len(many) == MOST_PARTS
    for parts in (
        (part, replace(part, table="visit")),
        (part, replace(other, bound=Bound(rows=3, groups=1))),
        (part, part),
        (*many, part),
    ):
        with pytest.raises(PlanError):
            check(altered(good, parts=parts), wide)


def test_everything_and_nothing_are_conditions(wide, good):
    """The empty conjunction and the empty disjunction are spelt and accepted."""
    for where in (EVERYTHING, Some()):
        check(altered(good, where=where), wide)
