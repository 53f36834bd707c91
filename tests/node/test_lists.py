from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.records.mapping import SourceError, read_mapping
from node.records.prepare import prepare
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.plan import EVERYTHING, Aggregate, Bound, CodeKey, Part, Plan
from queries.cost.tally import tally
from tests.node.care import agreed, prepared, rows_of
from tests.node.ward import SITE_KEY, scan

E10, I21, I22, I63, J18 = range(5)


def lists(folder: Path, lines: str, mapping: str = "") -> list[Any]:
    """Return the prepared lists of other diagnoses, by item."""
    made = prepared(folder, lines, mapping=read_mapping(mapping.encode(), "m.toml"))
    return [row["others"] for row in sorted(rows_of(made), key=lambda row: row["item"])]


def stay(others: str = "", item: int = 0, poa: str = "", pid: str = "a", day: str = "2021-01-02") -> str:
    """Write a line."""
    return f"{pid},2021-01-01,{day},1,I63,{others},{poa},{item}\n"


def test_a_list_is_split_and_unknown_codes_keep_their_place(tmp_path: Path) -> None:
    """Places hold, so that lists can be read side by side; a list longer than allowed is cut; blanks are no codes."""
    lines = stay("J18;I21", 0) + stay(" J18 ;?; I21", 1) + stay("", 2) + stay("E10;E10;E10;E10", 3) + stay(";;", 4)
    assert lists(tmp_path, lines) == [[J18, I21], [J18, None, I21], [None], [E10] * 3, [None] * 3]


def test_a_list_may_stand_in_several_columns_of_the_file(tmp_path: Path) -> None:
    """``from`` names the columns in order; replacements, missing values and mapped codes hold for each."""
    mapping = """
[tables.stay.columns.others]
from = ["dx", "kind", "poa"]
values = { I63 = "J18", 1 = "E10", x = "I22" }
missing = ["4"]
replace = { yy = "x" }
"""
    lines = stay(poa="4", item=0) + stay(poa="yy", item=1) + stay(poa="I21", item=2)
    assert lists(tmp_path, lines, mapping) == [[J18, E10, None], [J18, E10, I22], [J18, E10, None]]


def test_a_separator_of_the_mapping_and_a_list_that_is_not_recorded(tmp_path: Path) -> None:
    """``split`` names what stands between codes; an absent list is missing, unlike an empty one."""
    assert lists(tmp_path, stay("J18 / I21"), '[tables.stay.columns.others]\nsplit = "/"\n') == [[J18, I21]]
    absent = read_mapping(b"[tables.stay.columns.others]\nabsent = true\n", "m.toml")
    (row,) = rows_of(prepared(tmp_path, stay("J18"), mapping=absent))
    assert (row["others"], row["heart"], row["ami"]) == (None, None, 1)


FOLDING = """
name = "folding"
version = "1"
sites_per_patient = 1
rows_per_site = 1000
[codes.diagnosis]
use = "icd-10"
version = "2019"
[tables.stay]
patient = "pid"
rows_per_patient = 9
[tables.stay.columns]
dx = { codes = "diagnosis" }
others = { codes = "diagnosis", most = 5 }
came = { date = { first = 2020-01-01, last = 2030-12-31, time = true } }
[tables.other]
rows_per_patient = 9
each = { table = "stay", lists = ["others"] }
"""


def test_codes_in_a_list_fold_as_they_do_alone(tmp_path: Path) -> None:
    """National extensions, capitals and dots: each element becomes what a column of one code would be, levels too."""
    codes = ["I63.900x001", "i21.0", "J18", "XX", "E119"]
    lines = "".join(f"{code},{code},{';'.join(codes)},\n" for code in codes)
    (tmp_path / "stay.csv").write_text("pid,dx,others,came\n" + lines)
    made = prepare(tmp_path / "home", tmp_path, None, read_catalogue(FOLDING.encode(), "f.toml"), SITE_KEY)
    rows = rows_of(made)
    alone = {row["dx"] for row in rows} - {None}
    assert len(alone) == 4
    assert all(set(row["others"]) - {None} == alone for row in rows)
    levels = {(row["dx"], row["dx@block"], row["dx@chapter"]) for row in rows} - {(None, None, None)}
    parts = rows_of(made, "other")
    assert {(row["others"], row["others@block"], row["others@chapter"]) for row in parts} == levels
    assert len(parts) == 4 * len(codes)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.sampled_from("EIJ0128?;; '\\]["), max_size=30), min_size=1, max_size=30))
def test_a_prepared_list_stays_in_the_domain(tmp_path: Path, texts: list[str]) -> None:
    """Whatever the text, a list is at most as long as the catalogue says and holds indices of the set."""
    made = prepared(tmp_path, "".join(f'p,2021-01-01,2021-01-01,1,I63,"{text}",,0\n' for text in texts))
    for row in rows_of(made):
        assert len(row["others"]) <= 3
        assert set(row["others"]) <= {None, *range(5)}


def test_a_table_of_elements_has_a_row_for_each_code_with_its_row(tmp_path: Path) -> None:
    """Lists are read in step, the row's own and derived columns are there, and a place without a code gives none."""
    made = prepared(tmp_path, stay("J18;?;I21", 1, "4;1") + stay("", 2) + stay("E10", 3, ";4", pid="b"))
    rows = sorted(rows_of(made, "diagnosis"), key=lambda row: (row["item"], row["others"]))
    assert [(row["item"], row["others"], row["poa"], row["dx"]) for row in rows] == [
        (1, I21, None, I63),
        (1, J18, 1, I63),
        (3, E10, None, I63),
    ]
    assert [row["others@chapter"] for row in rows] == [1, 2, 0]
    assert [row["ami"] for row in rows] == [0, 0, 1]
    assert not any(key.startswith("_row") for key in rows[0])
    assert [table.name for table in made.tables] == ["stay", "diagnosis"]


def test_a_table_of_elements_has_a_cap_of_its_own(tmp_path: Path) -> None:
    """Elements come from all of the patient's rows, also from those beyond their own cap, and are cut by year."""
    lines = "".join(
        stay("J18;I21;E10", number, day=f"{year}-02-0{1 + number}") for year in (2021, 2022) for number in range(5)
    )
    made = prepared(tmp_path, lines, agreed(cap=1, parts=7))
    rows = rows_of(made, "diagnosis")
    assert len(rows_of(made)) == 2
    assert [sum(row["left"].year == year for row in rows) for year in (2021, 2022)] == [7, 7]
    assert len({row["item"] for row in rows}) > 1
    assert (made.tables[1].read, made.tables[1].over_cap, made.tables[1].kept) == (30, 16, 14)


def test_elements_and_derived_columns_are_asked_like_any_other(tmp_path: Path) -> None:
    """The scanner sees ordinary tables and columns."""
    catalogue = agreed(cap=3, parts=3)
    made = prepared(tmp_path, stay("J18;I21", 1) + stay("J18", 2, pid="b"), catalogue)

    def asked(table: str, column: str) -> list[int]:
        part = Part(
            table=table,
            where=EVERYTHING,
            keys=(CodeKey(column=column),),
            aggregates=(Aggregate(statistic="count"),),
            bound=Bound(rows=9, groups=1),
        )
        plan = Plan(catalogue=catalogue.digest, parts=(part,))
        return scan(made, tally(plan, catalogue), catalogue).tolist()

    assert asked("diagnosis", "others") == [0, 1, 0, 0, 1]
    assert asked("stay", "ami") == [1, 1]


CLOCKS = {
    "2021-03-04 08:05": (8, 5),
    "2021-03-04T08:05:59": (8, 5),
    "2021-03-04 08:05:59.123": (8, 5),
    "2021-03-04T23:59:59+08:00": (23, 59),
    "2021-03-04T00:00:00Z": (0, 0),
    "20210304080559": (8, 5),
    "2021/3/4 8:05": (8, 5),
    "2021/3/4 8:5": (8, 5),
    "2021年3月4日 8时05分": (8, 5),
    "2021年3月4日 8时05分30秒": (8, 5),
    "2021-03-04": None,
    "2021-03-04 08:05 PM": None,
    "2021-03-04 24:00": None,
    "2021-03-04 24:05": None,
    "2021-03-04 08:60": None,
    "2021-03-04 morning": None,
}


def test_a_time_of_day_is_kept_in_minutes(tmp_path: Path) -> None:
    """Minutes since 1970 in local time; a text that is not clearly a time of day leaves the day without one."""
    rows = rows_of(
        prepared(tmp_path, "".join(f"p{n},{text},2021-03-05,1,,,,{n % 9}\n" for n, text in enumerate(CLOCKS)))
    )
    assert {row["came"] for row in rows} == {date(2021, 3, 4)}
    begin = (date(2021, 3, 4) - date(1970, 1, 1)).days * 1440
    expected = [clock and begin + clock[0] * 60 + clock[1] for clock in CLOCKS.values()]
    assert sorted((row["came@minute"] for row in rows), key=str) == sorted(expected, key=str)
    for text in ("2021-03-04 08:05 PM", "2021/3/4 8:5"):
        (row,) = rows_of(prepared(tmp_path, f"a,{text},2021-03-05,1,,,,0\n"))
        assert row["came@minute"] == (CLOCKS[text] and begin + 485)


def test_a_day_outside_the_bounds_has_no_time_of_day(tmp_path: Path) -> None:
    """Neither does a missing one."""
    rows = rows_of(prepared(tmp_path, "a,2019-12-31 10:00,2021-03-05,1,,,,0\nb,,2021-03-05,1,,,,1\n"))
    assert [(row["came"], row["came@minute"]) for row in rows] == [(None, None)] * 2


def test_formats_of_the_mapping_give_the_time_of_day(tmp_path: Path) -> None:
    """A format with hours gives one, a format without gives none, in the hospital's own time."""
    mapping = read_mapping(b'[tables.stay.columns.came]\ndates = ["%d.%m.%Y", "%d.%m.%Y %I:%M %p"]\n', "m.toml")
    lines = "a,04.03.2021 08:05 PM,2021-03-05,1,,,,0\nb,04.03.2021,2021-03-05,1,,,,1\nc,infinity,2021-03-05,1,,,,2\n"
    rows = sorted(rows_of(prepared(tmp_path, lines, mapping=mapping)), key=lambda row: row["item"])
    begin = date(2021, 3, 4).toordinal() - date(1970, 1, 1).toordinal()
    assert [row["came@minute"] for row in rows] == [begin * 1440 + 20 * 60 + 5, None, None]
    assert [row["came"] for row in rows] == [date(2021, 3, 4)] * 2 + [None]


def test_rows_that_differ_in_the_minute_only_are_two_rows(tmp_path: Path) -> None:
    """The keyed order is of all that is prepared: what cannot be asked is part of it."""
    lines = "".join(f"a,2021-03-04 08:0{minute},2021-03-05,1,,,,0\n" for minute in range(5))
    assert len({row["_order"] for row in rows_of(prepared(tmp_path, lines))}) == 5


def test_each_kind_of_loss_is_counted(tmp_path: Path) -> None:
    """Bad codes, codes that the mapping does not list, bad days, days out of bounds, long lists, clipped numbers."""
    mapping = read_mapping(b'[tables.stay.columns.kind]\nvalues = { A = "1" }\n', "m.toml")
    lines = (
        "a,2019-01-01,2021-01-02,A,XX,J18;?,,77\n"
        "a,noon,2021-01-02,1,I63,J18;J18;J18;J18,,5\n"
        "b,,2021-01-02,A,,J18;J18;J18;,,\n"
        ",2021-01-01,2021-01-02,A,,,,\n"
        "c,2021-01-01,,A,,,,\n"
    )
    report = prepared(tmp_path, lines, agreed(cap=1), mapping).tables[0]
    found = {column.name: column for column in report.columns}

    def counts(name: str) -> tuple[int, ...]:
        each = found[name]
        return (each.rows, each.missing, each.unusable, each.clipped, each.outside, each.unmapped, each.cut)

    assert counts("came") == (5, 1, 2, 0, 1, 0, 0)
    assert counts("kind") == (5, 0, 1, 0, 0, 1, 0)
    assert counts("dx") == (5, 3, 1, 0, 0, 0, 0)
    assert counts("others") == (5, 2, 1, 0, 0, 0, 1)
    assert counts("item") == (5, 3, 0, 1, 0, 0, 0)
    assert (report.read, report.no_patient, report.no_date, report.over_cap, report.kept) == (5, 1, 1, 1, 2)
    assert counts("wait") == (3, 3, 0, 0, 0, 0, 0)
    assert found["wait"].derived
    assert not found["dx"].derived


def test_a_report_holds_counts_only(tmp_path: Path) -> None:
    """What is stored of a preparation for its operator has names of the catalogue and numbers, no value of a record."""
    made = prepared(tmp_path, "SECRET,SECRET,2021-01-02,SECRET,SECRET,SECRET;SECRET,SECRET,SECRET\n")
    with duckdb.connect(str(made.path), read_only=True) as connection:
        ((stored,),) = connection.execute("SELECT report FROM _report").fetchall()
        assert connection.execute("SELECT count(*) FROM duckdb_types() WHERE NOT internal").fetchone() == (0,)
        assert {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()} == {
            "stay",
            "diagnosis",
            "_report",
        }
    assert "SECRET" not in stored
    assert json.loads(stored)[0]["name"] == "stay"
    names = {column.name for column in made.tables[0].columns} | {"stay", "diagnosis"}
    for table in made.tables:
        for value in dataclasses.asdict(table).values():
            assert isinstance(value, int | list | tuple) or value in names


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[tables.diagnosis]\nfile = 'd.csv'", "tables.diagnosis"),
        ("[tables.stay.columns.again]\nabsent = true", "tables.stay.columns.again"),
        ("[tables.stay.columns.dx]\nfrom = ['a', 'b']", "tables.stay.columns.dx"),
        ("[tables.stay.columns.dx]\nsplit = ';'", "tables.stay.columns.dx"),
        ("[tables.stay.columns.others]\nfrom = []", "tables.stay.columns.others.from"),
        ("[tables.stay.columns.others]\nfrom = ['a', 'a']", "tables.stay.columns.others.from"),
        ("[tables.stay.columns.others]\nfrom = ['a', 1]", "tables.stay.columns.others.from"),
        ("[tables.stay.columns.others]\nsplit = ''", "tables.stay.columns.others.split"),
        ("[tables.stay.columns.others]\nfrom = ['a', 'b']\nsplit = ';'", "tables.stay.columns.others.split"),
        ("[tables.stay.columns.others]\nvalues = { x = 'Q' }", "tables.stay.columns.others.values"),
        ("[tables.stay]\nloaded_through = '2026-10-31'", "tables.stay.loaded_through"),
        ("[tables.stay]\nloaded_through = 2026-10-31T00:00:00", "tables.stay.loaded_through"),
    ],
)
def test_a_wrong_mapping_of_a_list_is_refused_by_key(text: str, key: str) -> None:
    """Each error names the dotted key and what to do."""
    with pytest.raises(SourceError) as refused:
        read_mapping(text.encode(), "m.toml").check(agreed())
    assert refused.value.key == key
    assert refused.value.remedy


def test_a_column_of_a_list_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    """All the columns that a list is read from must be there."""
    mapping = read_mapping(b'[tables.stay.columns.others]\nfrom = ["dx", "dx2"]\n', "m.toml")
    with pytest.raises(SourceError) as refused:
        prepared(tmp_path, stay(), mapping=mapping)
    assert refused.value.key == "dx2"
