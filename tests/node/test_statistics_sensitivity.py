"""Every statistic that can be asked: no patient moves any of its blocks further than stated, and the bounds matter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import duckdb
import pytest

from node.records.prepare import prepare
from node.scan.engine import open_database
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.check import TRAINING, check
from queries.asked.plan import EVERYTHING, Aggregate, Bound, CodeKey, Key, Part
from queries.cost.tally import PatientCount, Tally
from queries.errors import StatementError
from queries.sql import read
from queries.statistics import FUNCTIONS, STATISTICS
from queries.statistics.interface import Argument, Function
from tests.node.change import beyond, compiled, run
from tests.node.ward import SITE_KEY, laid_out
from tests.queries.whole import altered

AGREED = read_catalogue(
    """
name = "clinic"
version = "1"
label = { en = "A clinic", zh = "诊所" }
sites_per_patient = 1
rows_per_site = 100_000
[site.country]
codes = ["IT", "UK"]
[codes.sex]
version = "1"
codes = { F = "female", M = "male" }
[codes.dx]
version = "1"
codes = { I61 = "bleeding", I63 = "clot", J18 = "pneumonia", J44 = "lungs" }
[[codes.dx.levels]]
name = "chapter"
[codes.dx.levels.groups]
IX = { en = "IX", zh = "九", members = ["I61", "I63"] }
X = { en = "X", zh = "十", members = ["J18", "J44"] }
[tables.stay]
patient = "pid"
rows_per_patient = 6
dated_by = "admitted"
[tables.stay.columns.sex]
codes = "sex"
[tables.stay.columns.dx]
codes = "dx"
[tables.stay.columns.died]
codes = ["Y", "N"]
[tables.stay.columns.age]
number = { low = 0, high = 120 }
[tables.stay.columns.los]
number = { low = 0, high = 60 }
[tables.stay.columns.systolic]
number = { low = 0, high = 300, step = 0.1 }
[tables.stay.columns.followed]
number = { low = 0, high = 3650 }
[tables.stay.columns.cost]
number = { low = -1000, high = 100000, step = 0.01 }
[tables.stay.columns.admitted]
date = { first = 2020-01-01, last = 2021-12-31 }
""".encode(),
    "clinic.toml",
)
CAP = 12
SITES = {"h1": {"country": "IT"}, "h2": {"country": "UK"}}
SEX, CHAPTER, DX = CodeKey(column="sex"), CodeKey(column="dx", level="chapter"), CodeKey(column="dx")
GROUPS: dict[str, tuple[Key, ...]] = {
    "": (),
    " GROUP BY sex": (SEX,),
    " GROUP BY dx": (DX,),
    " GROUP BY LEVEL(dx, 'chapter'), sex": (CHAPTER, SEX),
}
WORDS = {
    Argument.COLUMN: ("age", "los", "systolic", "cost"),
    Argument.TIME: ("followed", "BAND(age, 20)", "los"),
    Argument.GROUP: ("sex", "BAND(age, 30)", "dx", "YEAR(admitted)", "site.country"),
    Argument.CONDITION: ("died = 'Y'", "systolic > 140 OR sex = 'F'", "age IS NULL"),
    Argument.TERM: ("age", "sex", "died = 'Y'", "LEVEL(dx, 'chapter')"),
    Argument.NUMBER: ("0.5", "0.9", "30"),
    Argument.WORD: ("'x'",),
}
LAST = list(GROUPS)[-1]
FIXED = {"COUNT": "COUNT(age)", "PATIENTS": "COUNT(DISTINCT pid)", "SUM": "SUM(cost)", "MEAN": "AVG(systolic)"}


def calls(function: Function) -> Iterator[str]:
    """Yield calls of a function: as in its own example, then with other arguments of the kinds that it takes."""
    yield function.example
    for shift in range(3):
        wanted = [*function.arguments, *function.arguments[-1:]] if function.repeats else list(function.arguments)
        given = [WORDS[kind][(place + shift) % len(WORDS[kind])] for place, kind in enumerate(wanted) if kind in WORDS]
        yield f"{function.name}({', '.join(given)})"


CALLS = {name: list(calls(function)) for name, (_, function) in FUNCTIONS.items()}
Asked = dict[tuple[Key, ...], dict[str, tuple[Aggregate, ...]]]
"""For each set of groups what is asked there: calls with what they measure."""


def measured(statement: str) -> tuple[Aggregate, ...]:
    """Return what a statement measures; nothing where it is not answered."""
    try:
        return read(statement, AGREED, SITES).part.aggregates
    except StatementError:
        return ()


@cache
def few() -> Asked:
    """Return one call of each function, in the fewest groups that it is answered in."""
    found: Asked = {keys: {} for keys in GROUPS.values()}
    for name, tried in {**{name: [call] for name, call in FIXED.items()}, **CALLS}.items():
        for call, (clause, keys) in product(tried, GROUPS.items()):
            if aggregates := measured(f"SELECT {call} FROM stay{clause}"):
                found[keys][name] = aggregates
                break
    for name, call in FIXED.items():
        found[(CHAPTER, SEX)][name] = measured(f"SELECT {call} FROM stay{LAST}")
    return found


@cache
def many() -> Asked:
    """Return every call in all groups that it is answered in, with and without a FILTER."""
    found: Asked = {keys: {} for keys in GROUPS.values()}
    for call in [*FIXED.values(), *(call for tried in CALLS.values() for call in tried)]:
        for (clause, keys), after in product(GROUPS.items(), ("", " FILTER (WHERE age > 40)")):
            if aggregates := measured(f"SELECT {call}{after} FROM stay{clause}"):
                found[keys][call + after] = aggregates
    return found


def test_every_statistic_is_among_what_is_tried():
    """A new one that no call of this file reaches fails here: give its example columns of this catalogue.

    Rounds of training are asked for by no call: test_step_sensitivity.py and test_step_apps.py try those.
    """
    reached = few().values()
    assert not FUNCTIONS.keys() - {name for by_name in reached for name in by_name}
    asked = {each.statistic for found in reached for some in found.values() for each in some}
    assert STATISTICS.keys() - asked == set(TRAINING)


# --- a hospital of worst cases ------------------------------------------------------------------------------------

TOP = "F,J44,Y,120,60,300,3650,100000,2021-12-31"
BOTTOM = "M,I61,N,0,0,0,0,-1000,2020-01-01"
MIDDLE = "F,I63,Y,60,30,150,1825,49500,2020-06-01"


def lines() -> list[str]:
    """Return rows of patients at either end of all bounds, at both, in every cell, with nothing, and of chance."""
    chance = random.Random(8)  # noqa: S311 - made-up rows
    found = []
    for pid, year in ((pid, year) for pid in ("top", "bottom", "both", "middle", "none") for year in (2020, 2021)):
        for number in range(8):
            row = {"top": TOP, "bottom": BOTTOM, "both": (TOP, BOTTOM)[number % 2], "middle": MIDDLE}.get(
                pid, ",,,,,,,,x"
            )
            found.append(f"{pid},{row.rsplit(',', 1)[0]},{year}-03-0{number + 1}")
    for number in range(90):
        values = [
            f"p{number % 3}" if number < 50 else "everywhere",
            chance.choice(["F", "M", "F", "M", ""]),
            chance.choice(["I61", "I63", "J18", "J44", "Z99"]),
            chance.choice(["Y", "N", ""]),
            chance.choice(["", "0", "120", "35", "66", "81", "-7", "1e9"]),
            chance.choice(["", "0", "60", "7", "3"]),
            chance.choice(["", "0", "300", "151.3", "NaN"]),
            chance.choice(["", "0", "3650", "365", "30"]),
            chance.choice(["", "-1000", "100000", "49500.01", "0"]),
            chance.choice(["2020-02-03", "2021-05-06", "2020-12-31", "2021-12-31", ""]),
        ]
        found.append(",".join(values))
    return found


@pytest.fixture(scope="module")
def one_less(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield the prepared hospital; the patient in the variable ``gone`` has no rows."""
    folder = tmp_path_factory.mktemp("clinic")
    (folder / "data").mkdir()
    names = "pid,sex,dx,died,age,los,systolic,followed,cost,admitted"
    (folder / "data" / "stay.csv").write_text("\n".join([names, *lines()]) + "\n")
    made = prepare(folder / "home", folder / "data", None, AGREED, SITE_KEY)
    with open_database(folder / "copy.duckdb", spill=folder / "spill", memory_limit="512MB", threads=1) as connection:
        connection.execute(f"ATTACH '{made.path}' AS original (READ_ONLY)")
        connection.execute("CREATE TABLE kept AS FROM original.stay")
        connection.execute("CREATE VIEW stay AS FROM kept WHERE _patient <> getvariable('gone')")
        yield connection


def patients(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the prepared patients."""
    return [row[0] for row in connection.execute("SELECT DISTINCT _patient FROM kept ORDER BY 1").fetchall()]


def too_far(tally: Tally, connection: duckdb.DuckDBPyConnection, bound: Bound | None = None) -> dict[int, str]:
    """Return the blocks that a patient moves further than stated; with ``bound``, where that is kept to instead."""
    ran = tally if bound is None else replace(tally, plan=altered(tally.plan, bound=bound))
    statement = compiled(ran, AGREED)
    connection.execute("SET VARIABLE gone = CAST(-1 AS BIGINT)")
    whole, found = run(statement, connection), {}
    assert whole.any()
    for patient in patients(connection):
        connection.execute("SET VARIABLE gone = CAST(? AS BIGINT)", [patient])
        found.update(beyond(whole - run(statement, connection), tally))
    return found


def laid(asked: Asked, keys: tuple[Key, ...], rows: int, groups: int, *, subtotals: bool = False) -> Iterator[Tally]:
    """Yield tallies of all that is asked by these groups, as many statistics together as a part may have."""
    wanted = list(dict.fromkeys(each for found in asked[keys].values() for each in found))
    for at in range(0, len(wanted), 48):
        part = Part(
            table="stay",
            where=EVERYTHING,
            keys=keys,
            aggregates=tuple(wanted[at : at + 48]),
            bound=Bound(rows=rows, groups=groups),
            subtotals=subtotals,
        )
        tally = laid_out(AGREED, part)
        check(tally.plan, AGREED)
        yield tally


def test_no_patient_moves_a_statistic_further_than_stated(one_less):
    """L1, L2 and the largest entry of every block of every statistic, with limits that bind and subtotals."""
    for keys in GROUPS.values():
        for tally in laid(few(), keys, 3, 2):
            assert not too_far(tally, one_less)
    for tally in laid(few(), (CHAPTER, SEX), 3, 3, subtotals=True):
        assert not too_far(tally, one_less)


@pytest.mark.slow
@pytest.mark.parametrize("clause", GROUPS)
@pytest.mark.parametrize("limits", [(CAP, CAP), (2, 1), (3, 2)])
def test_no_patient_moves_any_call_of_a_statistic_further_than_stated(one_less, clause, limits):
    """Every function with several kinds of arguments, with and without FILTER, in every set of groups."""
    for tally in laid(many(), GROUPS[clause], *limits):
        assert not too_far(tally, one_less)


@pytest.mark.slow
def test_no_patient_moves_any_subtotals_further_than_stated(one_less):
    """The totals of a rollup are blocks like any other; a patient is charged for all of them."""
    for tally in laid(many(), (CHAPTER, SEX), 3, 3, subtotals=True):
        assert not too_far(tally, one_less)


def test_without_the_bound_on_rows_every_statistic_is_moved_further(one_less):
    """The same comparison finds a planted defect: all rows of a patient where one is allowed.

    Every sum is seen, not only the counts; of patients only those in groups, as any number of rows is one patient.
    """
    seen, missed = set(), []
    for keys in GROUPS.values():
        for tally in laid(few(), keys, 1, 1):
            found = too_far(tally, one_less, Bound(rows=CAP, groups=CAP))
            (of_part,) = tally.of_aggregate
            for aggregate, needed in zip(tally.plan.parts[0].aggregates, of_part[-1], strict=True):
                seen |= {aggregate.statistic} if found.keys() & set(needed) else set()
            blocks = enumerate(tally.blocks)
            missed += [
                block for place, block in blocks if not isinstance(block.measure, PatientCount) and place not in found
            ]
    # Rounds of training have no rows of their own: tests/node/test_step_sensitivity.py.
    assert not STATISTICS.keys() - seen - {"step", "app"}
    assert not missed


def test_values_beyond_the_bounds_change_nothing(one_less):
    """A prepared table that was not clipped, as no good one is, still moves no sum further than stated."""
    one_less.execute(
        "CREATE OR REPLACE VIEW stay AS SELECT * REPLACE (age * 1000 + 7 AS age, systolic * -99 AS systolic, "
        "cost * 100 AS cost, los + 5000 AS los, followed - 90000 AS followed) "
        "FROM kept WHERE _patient <> getvariable('gone')"
    )
    try:
        for tally in laid(few(), (), 4, 2):
            assert not too_far(tally, one_less)
    finally:
        one_less.execute("CREATE OR REPLACE VIEW stay AS FROM kept WHERE _patient <> getvariable('gone')")
