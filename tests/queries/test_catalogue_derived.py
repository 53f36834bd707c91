"""Lists, times of day, derived columns and tables of elements in a catalogue file: what is read and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest

from queries.agreed.catalogue import Catalogue, CodeColumn, DateColumn, NumberColumn
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.derived import Among, AnyOf, Derived, Elapsed, Elements, First, Near, Repeat
from queries.errors import CatalogueError, PlanError

TEXT = """
name = "care"
version = "1"
sites_per_patient = 1
rows_per_site = 1000

[codes.dx]
version = "1"
codes = ["I21", "I22", "J18"]
[[codes.dx.levels]]
name = "chapter"
[codes.dx.levels.groups]
IX = { en = "IX", members = ["I21", "I22"] }
X = { en = "X", members = ["J18"] }

[tables.parts]
label = "Diagnoses"
rows_per_patient = 20
each = { table = "stay", lists = ["others", "poa"] }

[tables.stay]
patient = "pid"
rows_per_patient = 3
dated_by = "left"
[tables.stay.columns]
came = { date = { first = 2020-01-01, last = 2022-12-31, time = true } }
left = { date = { first = 2020-01-01, last = 2022-12-31, time = true } }
paid = { date = { first = 2020-01-01, last = 2022-12-31 } }
route = { codes = ["1", "2", "3"] }
dx = { codes = "dx" }
others = { codes = "dx", most = 10 }
poa = { codes = ["1", "4"], most = 10 }
cost = { number = { low = 0, high = 9 } }
[tables.stay.derived.again]
label = { en = "Readmitted", zh = "再入院" }
next_within = { days = 31, from = "left", to = "came", where = { route = ["1", "2"] } }
[tables.stay.derived]
split = { previous_within = { days = 7, from = "left", to = "came", same = ["dx"] } }
isolate = { first = { by = "came", same = ["dx", "cost"], per = "year" } }
twice = { repeat = { same = ["cost", "left"] } }
heart = { any = { of = ["dx", "others"], codes = ["IX"], level = "chapter" } }
door = { minutes = { from = "came", to = "left", low = 0, high = 1440 } }
late = { days = { from = "left", to = "paid", low = -5, high = 90 } }
"""


def _read(text: str = TEXT) -> Catalogue:
    return read_catalogue(text.encode(), "c.toml")


def _changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def test_every_kind_of_derived_column_is_read():
    """Rules come through as values; the columns stand among the table's with kind, codes, bounds and unit."""
    stay = _read().table("stay")
    assert stay.derived == (
        Derived(
            name="again",
            rule=Near(
                after=True, days=31, since="left", until="came", where=(Among(column="route", codes=("1", "2")),)
            ),
        ),
        Derived(name="split", rule=Near(after=False, days=7, since="left", until="came", same=("dx",))),
        Derived(name="isolate", rule=First(by="came", same=("dx", "cost"), per="year")),
        Derived(name="twice", rule=Repeat(same=("cost", "left"))),
        Derived(name="heart", rule=AnyOf(of=("dx", "others"), codes=("IX",), level="chapter")),
        Derived(name="door", rule=Elapsed(unit="minutes", since="came", until="left")),
        Derived(name="late", rule=Elapsed(unit="days", since="left", until="paid")),
    )
    again, door, late = (stay.column(name) for name in ("again", "door", "late"))
    assert isinstance(again, CodeColumn)
    assert (again.label.zh, [code.code for code in again.codes.codes]) == ("再入院", ["Y", "N"])
    assert isinstance(door, NumberColumn)
    assert isinstance(late, NumberColumn)
    assert (door.low, door.high, door.step, door.unit) == (0, 1440, Fraction(1), "min")
    assert (late.low, late.high, late.unit) == (-5, 90, "d")


def test_questions_cannot_read_a_list():
    """A row of a list has no one cell: it is no column, and the refusal says where its codes can be asked about."""
    stay = _read().table("stay")
    assert [column.name for column in stay.lists] == ["others", "poa"]
    assert "others" not in stay.by_name
    with pytest.raises(PlanError) as refused:
        stay.column("others")
    assert "is a list" in refused.value.message
    assert [column.name for column in stay.recorded] == [
        *("came", "left", "paid", "route", "dx", "cost"),
        *("others", "poa"),
    ]


def test_a_table_of_elements_has_its_bases_columns_and_one_code_for_each_list():
    """Patient, date and columns are the base's, derived ones too; the cap is its own; no hospital records it."""
    catalogue = _read()
    parts, stay = catalogue.table("parts"), catalogue.table("stay")
    assert [table.name for table in catalogue.tables] == ["parts", "stay"]
    assert parts.each == Elements(table="stay", lists=("others", "poa"))
    assert (parts.patient, parts.dated_by, parts.rows_per_patient, parts.label.en) == ("pid", "left", 20, "Diagnoses")
    assert parts.columns[: len(stay.columns)] == stay.columns
    others = parts.column("others")
    assert isinstance(others, CodeColumn)
    assert (others.most, others.codes) == (1, stay.lists[0].codes)
    assert (parts.recorded, parts.lists, parts.derived) == ((), (), ())


def test_a_date_has_a_time_of_day_only_where_it_says_so():
    """The default is the day alone."""
    came, paid = (_read().table("stay").column(name) for name in ("came", "paid"))
    assert isinstance(came, DateColumn)
    assert isinstance(paid, DateColumn)
    assert (came.time, paid.time) == (True, False)


_AGAIN = "tables.stay.derived.again"


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("next_within = { days", "nextwithin = { days", f"{_AGAIN}.nextwithin", "unknown key"),
        ('lists = ["others", "poa"]', 'lists = ["others", "dx"]', "tables.parts.each.lists[1]", "no list"),
        ('lists = ["others", "poa"]', 'lists = ["poa", "poa"]', "tables.parts.each.lists[1]", "twice"),
        ('lists = ["others", "poa"]', "lists = []", "tables.parts.each.lists", "not a list"),
        ('each = { table = "stay"', 'each = { table = "parts"', "tables.parts.each.table", "no table"),
        ('each = { table = "stay"', 'each = { of = "stay"', "tables.parts.each.of", "unknown key"),
        ("rows_per_patient = 20\n", "", "tables.parts.rows_per_patient", "missing"),
        ('label = "Diagnoses"\n', 'patient = "pid"\n', "tables.parts.patient", "unknown key"),
        ("time = true } }\nleft", 'time = "yes" } }\nleft', "tables.stay.columns.came.date.time", "neither true"),
        ('poa = { codes = ["1", "4"], most = 10', "poa = { codes = [], most = 10", "tables.stay.columns.poa.codes", ""),
        ('["1", "4"], most = 10', '["1", "4"], most = 1', "tables.stay.columns.poa.most", "whole number from 2"),
        ('["1", "4"], most = 10', '["1", "4"], most = 201', "tables.stay.columns.poa.most", "whole number from 2"),
        ("low = 0, high = 9 } }", "low = 0, high = 9 }, most = 3 }", "tables.stay.columns.cost.most", "only codes"),
        ('patient = "pid"', 'patient = "again"', "tables.stay.patient", "also a column"),
        ('patient = "pid"', 'patient = "Others"', "tables.stay.patient", "also a column"),
        ('dated_by = "left"', 'dated_by = "others"', "tables.stay.dated_by", "not a date column"),
        ("split = {", "Cost = {", "tables.stay.derived.Cost", "also a recorded column"),
        ("split = {", "Others = {", "tables.stay.derived.Others", "also a recorded column"),
        ("split = {", "_split = {", "tables.stay.derived._split", "reserved"),
        ("days = 31", "days = -1", f"{_AGAIN}.next_within.days", "whole number"),
        ("days = 31, ", "", f"{_AGAIN}.next_within.days", "missing"),
        ('from = "left", to = "came", where', 'to = "came", where', f"{_AGAIN}.next_within.from", "missing"),
        ('to = "came", where', 'to = "dx", where', f"{_AGAIN}.next_within.to", "not a date column"),
        ('to = "came", where', 'to = "split", where', f"{_AGAIN}.next_within.to", "records no column"),
        ('to = "came", where', 'to = "cane", where', f"{_AGAIN}.next_within.to", "records no column"),
        ('route = ["1", "2"]', 'route = ["1", "9"]', f"{_AGAIN}.next_within.where.route[1]", "no code '9'"),
        ('route = ["1", "2"]', "route = [1]", f"{_AGAIN}.next_within.where.route[0]", "no code 1"),
        ('route = ["1", "2"]', "route = []", f"{_AGAIN}.next_within.where.route", "not a list"),
        ('route = ["1", "2"]', 'cost = ["1"]', f"{_AGAIN}.next_within.where.cost", "holds no codes"),
        ('route = ["1", "2"]', 'poa = ["1"]', f"{_AGAIN}.next_within.where.poa", "is a list"),
        ('same = ["dx"] }', 'same = ["others"] }', "tables.stay.derived.split.previous_within.same[0]", "is a list"),
        ('same = ["dx"] }', "same = [] }", "tables.stay.derived.split.previous_within.same", "not a list"),
        ('same = ["dx"] }', 'same = ["dx", "dx"] }', "tables.stay.derived.split.previous_within.same[1]", "twice"),
        ('per = "year"', 'per = "week"', "tables.stay.derived.isolate.first.per", "no period"),
        ('first = { by = "came", ', "first = { ", "tables.stay.derived.isolate.first.by", "missing"),
        ('same = ["cost", "left"]', "days = 3", "tables.stay.derived.twice.repeat.days", "unknown key"),
        ('of = ["dx", "others"]', 'of = ["dx", "poa"]', "tables.stay.derived.heart.any.of[1]", "another code set"),
        ('of = ["dx", "others"]', 'of = ["cost"]', "tables.stay.derived.heart.any.of[0]", "holds no codes"),
        ('of = ["dx", "others"]', 'of = ["dy"]', "tables.stay.derived.heart.any.of[0]", "records no column"),
        ('codes = ["IX"]', 'codes = ["I21"]', "tables.stay.derived.heart.any.codes[0]", "no code 'I21'"),
        ('level = "chapter"', 'level = "block"', "tables.stay.derived.heart.any.level", "no level"),
        ('to = "left", low = 0', 'to = "paid", low = 0', "tables.stay.derived.door.minutes.to", "no time of day"),
        ("low = 0, high = 1440", "high = 1440", "tables.stay.derived.door.minutes.low", "missing"),
        ("low = 0, high = 1440", "low = 0, high = 0", "tables.stay.derived.door.minutes.high", "not above low"),
        ("low = -5, high = 90", "low = -5, high = 1e9", "tables.stay.derived.late.days.high", "whole number"),
        ("twice = {", "twice = { days = { from = 'left', to = 'paid', low = 0, high = 9 }, ",
         "tables.stay.derived.twice", "2 kinds"),
    ],
)  # fmt: skip
def test_each_fault_of_a_derived_column_names_its_key_and_a_remedy(old, new, key, words):
    """Bounds have no default, names are recorded columns of the same table, codes are of the set."""
    with pytest.raises(CatalogueError) as caught:
        _read(_changed(old, new))
    assert caught.value.key == key
    assert words in caught.value.message
    assert caught.value.remedy


def test_a_derived_column_without_a_kind_is_refused():
    """A label alone says nothing."""
    with pytest.raises(CatalogueError) as caught:
        _read(_changed('next_within = { days = 31, from = "left", to = "came", where = { route = ["1", "2"] } }', ""))
    assert caught.value.key == _AGAIN
