"""What a pack asks, item by item: runs of it match whatever their period and place, and nothing else does."""

from dataclasses import replace

import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.pack_items import items_of
from queries.sql import read

CATALOGUE = read_catalogue(
    """
name = "ward"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[site.level]
codes = ["2", "3"]
[site.province]
codes = ["32", "33"]
[codes.place]
version = "1"
codes = ["320100", "330100", "330200"]
[[codes.place.levels]]
name = "prefecture"
[codes.place.levels.groups]
3201 = { en = "a", zh = "甲", members = ["320100"] }
3301 = { en = "b", zh = "乙", members = ["330100"] }
3302 = { en = "c", zh = "丙", members = ["330200"] }
[[codes.place.levels]]
name = "province"
[codes.place.levels.groups]
32 = { en = "d", zh = "丁", members = ["3201"] }
33 = { en = "e", zh = "戊", members = ["3301", "3302"] }
[tables.stay]
patient = "patient_id"
rows_per_patient = 2
dated_by = "left"
[tables.stay.columns.left]
date = { first = 2020-01-01, last = 2029-12-31 }
[tables.stay.columns.sex]
codes = ["F", "M"]
[tables.stay.columns.died]
codes = ["Y", "N"]
[tables.stay.columns.home]
codes = "place"
[tables.stay.columns.days]
number = { low = 0, high = 60 }
""".encode(),
    "ward.toml",
)
SITES = {"aden": {"level": "3", "province": "33"}, "brest": {"level": "2", "province": "32"}}
DEATHS = "SELECT {keys}COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*) AS value FROM stay WHERE {where}{group}"


def asked(statement):
    """Return the items of a statement."""
    return items_of(read(statement, CATALOGUE, SITES).plan, CATALOGUE)


def deaths(where="left BETWEEN '2024-01-01' AND '2024-01-31'", key="", rows=None):
    """Return the items of the share that died, of some rows in some group."""
    statement = DEATHS.format(keys=f"{key} AS k, " if key else "", where=where, group=f" GROUP BY {key}" if key else "")
    return items_of(read(statement, CATALOGUE, SITES, rows_per_patient=rows).plan, CATALOGUE)


JANUARY = "left BETWEEN '2024-01-01' AND '2024-01-31'"
PACK = deaths() | deaths(key="sex")

RUNS = {
    "another month": deaths("left BETWEEN '2025-03-01' AND '2025-03-31'"),
    "hospitals of one level": deaths(f"{JANUARY} AND site.level = '3'"),
    "hospitals of one province or another": deaths(f"{JANUARY} AND (site.province = '33' OR site.level = '2')"),
    "patients of one prefecture": deaths(f"{JANUARY} AND LEVEL(home, 'prefecture') = '3301'"),
    "by month": deaths("left BETWEEN '2024-01-01' AND '2024-12-31'", "MONTH(left)"),
    "by level of hospital": deaths(key="site.level"),
    "by province of residence": deaths(key="LEVEL(home, 'province')"),
    "by a grouping of its own": deaths(key="sex"),
    "another bound": deaths("left BETWEEN '2024-01-01' AND '2024-12-31'", rows=1),
}


@pytest.mark.parametrize("what", RUNS)
def test_a_run_for_any_period_and_place_is_the_packs(what):
    """What a run chooses is no part of an item."""
    assert RUNS[what] <= PACK


OTHERS = {
    "other rows": deaths(f"{JANUARY} AND sex = 'F'"),
    "rows by a filter": asked(f"SELECT COUNT(*) FILTER (WHERE sex = 'F') AS n FROM stay WHERE {JANUARY}"),
    "another grouping": deaths(key="died"),
    "bands of a number": deaths(key="BAND(days, 7)"),
    "another statistic": asked(f"SELECT AVG(days) AS d FROM stay WHERE {JANUARY}"),
    "all but a month": deaths("NOT (left BETWEEN '2024-01-01' AND '2024-01-31')"),
    "one month or one sex": deaths(f"({JANUARY} OR sex = 'F')"),
    "one place or one sex": deaths(f"{JANUARY} AND (LEVEL(home, 'prefecture') = '3301' OR sex = 'F')"),
    "no place known": deaths(f"{JANUARY} AND home IS NULL"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_a_pack_does_not_ask_is_another_item(what):
    """A question beside the pack, with one figure or one group of its own, is not covered by it."""
    assert not OTHERS[what] <= PACK


def test_one_foreign_figure_among_the_packs_is_found():
    """A run with one more figure than the pack asks has an item that the pack has not."""
    both = asked(f"SELECT COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*) AS v, AVG(days) AS d FROM stay WHERE {JANUARY}")
    assert both & PACK
    assert both - PACK


def test_a_grouping_of_one_figure_is_none_of_another():
    """Grouping by sex is allowed for the figure that the pack groups so, not for every figure of the pack."""
    count = f"SELECT COUNT(*) AS n FROM stay WHERE {JANUARY} AND died = 'Y'"
    pack = PACK | asked(count)
    assert asked(count) <= pack
    grouped = asked(f"SELECT sex, COUNT(*) AS n FROM stay WHERE {JANUARY} AND died = 'Y' GROUP BY sex")
    assert not grouped <= pack


def test_items_do_not_depend_on_how_the_loss_is_shared_out():
    """Weights and the order of parts change no item."""
    plan = read(DEATHS.format(keys="", where=JANUARY, group=""), CATALOGUE, SITES).plan
    heavier = replace(plan, parts=tuple(replace(part, weight=9) for part in plan.parts))
    assert items_of(heavier, CATALOGUE) == items_of(plan, CATALOGUE)
