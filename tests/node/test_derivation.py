from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.scan import derivation
from tests.node.care import DERIVED, agreed, prepared, rows_of

YES, NO = 0, 1
Row = dict[str, Any]


# --- the same columns once more, row by row and patient by patient in Python ---------------------------------------


def said(*, condition: bool) -> int:
    """Return the index of yes or no."""
    return YES if condition else NO


def near(
    row: Row,
    rows: Iterable[Row],
    days: int,
    since: str,
    until: str,
    same: Sequence[str],
    where: Callable,
    *,
    after: bool,
) -> int | None:
    """Say it with two loops: another row is near this one."""
    if row[since if after else until] is None or any(row[name] is None for name in same):
        return None
    for other in rows:
        if other is row or any(other[name] != row[name] for name in same) or not where(other):
            continue
        early, late = (row, other) if after else (other, row)
        if early[since] is None or late[until] is None or not 0 <= (late[until] - early[since]).days <= days:
            continue
        one_day = row[since] == row[until] == other[since] == other[until]
        if not one_day or (other["_order"] > row["_order"]) == after:
            return YES
    return NO


def first(row: Row, rows: Iterable[Row], by: str, same: Sequence[str], span: Callable[[date], object]) -> int | None:
    """Say it with a minimum: this is the first row of its kind."""
    if row[by] is None or any(row[name] is None for name in same):
        return None
    alike = [
        other
        for other in rows
        if other[by] is not None and span(other[by]) == span(row[by]) and all(other[name] == row[name] for name in same)
    ]

    def place(other: Row) -> tuple[object, ...]:
        minute = other[f"{by}@minute"]
        return (other[by], minute is None, minute or 0, other["_order"])

    return said(condition=min(alike, key=place) is row)


def holds(row: Row, columns: Sequence[str], codes: set[int]) -> int | None:
    """Say it with a set."""
    values = [row[name] if isinstance(row[name], list) else [row[name]] for name in columns]
    if all(row[name] is None for name in columns):
        return None
    return said(condition=any(value in codes for held in values for value in held if value is not None))


def elapsed(row: Row, behind: str, low: int, high: int) -> int | None:
    """Say it with a subtraction."""
    since, until = row["came" + behind], row["left" + behind]
    if since is None or until is None:
        return None
    passed = (until - since).days if behind == "" else until - since
    return min(max(passed, low), high)


def reference(row: Row, rows: Sequence[Row]) -> Row:
    """Return every derived column of a row among the rows of its patient."""

    def planned(other: Row) -> bool:
        return other["kind"] in (0, 1)

    def anything(_: Row) -> bool:
        return True

    dx, year, month = ["dx"], (lambda day: day.year), (lambda day: (day.year, day.month))
    alike = [o for o in rows if o["item"] == row["item"] and o["left"] == row["left"]]
    known = row["item"] is not None and row["left"] is not None
    return {
        "again": near(row, rows, 31, "left", "came", [], planned, after=True),
        "split": near(row, rows, 7, "left", "came", dx, anything, after=False),
        "repeated": near(row, rows, 7, "left", "left", ["item"], lambda o: o["kind"] == 0, after=False),
        "soon": near(row, rows, 0, "left", "left", [], anything, after=True),
        "first_ever": first(row, rows, "came", dx, lambda _: 0),
        "first_of_year": first(row, rows, "came", dx, year),
        "first_of_month": first(row, rows, "left", [], month),
        "twice": said(condition=min(o["_order"] for o in alike) != row["_order"]) if known else None,
        "ami": holds(row, ["dx", "others"], {1, 2}),
        "heart": holds(row, ["others"], {1, 2, 3}),
        "lungs": holds(row, ["dx"], {0, 4}),
        "wait": elapsed(row, "@minute", 0, 2880),
        "los": elapsed(row, "", -1, 60),
    }


def patients(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Return the rows of each patient."""
    found = defaultdict(list)
    for row in rows:
        found[row["_patient"]].append(row)
    return found


def line(row: Sequence[object]) -> str:
    """Write a line of the file."""
    return ",".join(str(field) for field in row) + "\n"


days = st.integers(0, 80).map(lambda day: date(2020, 12, 1) + timedelta(days=day))
moments = st.tuples(days, st.sampled_from(["", "", " 07:30", "T23:59:59", " 00:00"])).map(lambda m: f"{m[0]}{m[1]}")
stays = st.tuples(
    st.sampled_from(["a", "a", "b", "c"]),
    moments | st.just(""),
    moments,
    st.sampled_from(["1", "2", "3", ""]),
    st.sampled_from(["I21", "J18", "I63", "", "?"]),
    st.sampled_from(["", "I22", "J18;I63", "?;E10;", "J18;J18;J18;I21"]),
    st.sampled_from(["", "1", "4;1"]),
    st.sampled_from(["1", "2", ""]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.lists(stays, min_size=4, max_size=40), equal=st.integers(0, 3))
def test_each_derived_column_equals_its_definition(tmp_path: Path, table, equal: int) -> None:
    """For any rows, equal ones included, the engine and two loops in Python agree on every column of every row."""
    rows = rows_of(prepared(tmp_path, "".join(map(line, table + table[:1] * equal))))
    for own in patients(rows).values():
        assert len({row["_order"] for row in own}) == len(own)
        for row in own:
            assert {name: row[name] for name in DERIVED} == reference(row, own)


@pytest.mark.slow
def test_each_derived_column_equals_its_definition_at_the_size_of_a_hospital(tmp_path: Path) -> None:
    """The same over 150,000 rows, one patient with 5,000 of them: the engine takes other ways through large tables."""
    begin, rows = date(2020, 1, 1), []
    for number in range(150_000):
        digits = list(hashlib.sha256(str(number).encode()).digest())
        came = begin + timedelta(days=digits[0] * 4 + digits[1] % 4)
        left = came + timedelta(days=digits[2] % 20 if digits[3] % 4 else 0)
        pid = "heavy" if number % 30 == 0 else f"p{number * 7919 % 20_011}"
        codes = ("I21", "J18", "I63", "E10", "")
        clock = f" {digits[4] % 24:02d}:{digits[5] % 60:02d}" if digits[6] % 3 else ""
        others = ";".join(codes[digit % 5] for digit in digits[7 : 7 + digits[10] % 4])
        rows.append(
            (pid, f"{came}{clock}", f"{left}{clock}", digits[11] % 4, codes[digits[12] % 5], others, "", digits[13] % 3)
        )
    found = patients(rows_of(prepared(tmp_path, "".join(map(line, rows)), agreed(cap=100_000))))
    assert max(map(len, found.values())) > 1_000
    for own in found.values():
        for row in own[:50]:
            assert {name: row[name] for name in DERIVED} == reference(row, own)


def kept(made: Any, table: str) -> dict[int, Counter[str]]:
    """Return the kept rows of each patient, hidden columns included."""
    return {patient: Counter(map(str, rows)) for patient, rows in patients(rows_of(made, table)).items()}


def changed_by_removal(folder: Path, table: Sequence[Sequence[object]]) -> bool:
    """Tell whether preparing without one patient changes anything that is kept of another, in either table."""
    caps = agreed(cap=3, parts=4)
    whole = prepared(folder, "".join(map(line, table)), caps)
    for gone in {row[0] for row in table}:
        less = prepared(folder / "less", "".join(line(row) for row in table if row[0] != gone), caps)
        for name in ("stay", "diagnosis"):
            before, after = kept(whole, name), kept(less, name)
            if len(before.keys() - after.keys()) > 1 or any(before[patient] != after[patient] for patient in after):
                return True
    return False


def crowd() -> list[Sequence[object]]:
    """Return stays of four patients who look alike: alone each has a gap where the others have stays."""
    begin = date(2021, 1, 1)
    return [
        (pid, f"{begin + timedelta(days=day)} 08:00", f"{begin + timedelta(days=day + 1)} 09:00", 1, dx, "I21", "1", 1)
        for number, pid in enumerate("abcd")
        for day, dx in ((5 * number, "I21"), (5 * number, "I21"), (5 * number + 60, "I21"), (90, "J18"))
    ]


CROWD = crowd()


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.lists(stays, min_size=4, max_size=25))
def test_removing_another_patient_changes_no_derived_value(tmp_path: Path, table) -> None:
    """Neighbouring data sets differ in one patient's rows: every other keeps the same rows with the same values."""
    assert not changed_by_removal(tmp_path, [*table, *CROWD[:8]])


def test_a_window_over_all_patients_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above finds a planted defect: windows that are not split by patient."""
    monkeypatch.setattr(derivation, "OWNER", "1")
    assert changed_by_removal(tmp_path, CROWD)


def test_each_kind_of_window_over_all_patients_would_be_noticed(tmp_path: Path, monkeypatch) -> None:
    """The crowd is such that every window that forgets the patient gives other answers than the patients' own."""
    lines = "".join(map(line, CROWD))
    right = rows_of(prepared(tmp_path, lines))
    monkeypatch.setattr(derivation, "OWNER", "1")
    wrong = rows_of(prepared(tmp_path / "wrong", lines))
    for name in ("again", "split", "repeated", "soon", "first_ever", "first_of_year", "first_of_month", "twice"):
        answers = [Counter((row["_patient"], row[name]) for row in rows) for rows in (right, wrong)]
        assert answers[0] != answers[1], name


@pytest.mark.parametrize(
    ("stays", "again"),
    [
        (["2021-01-01,2021-01-05", "2021-02-05,2021-02-06"], [YES, NO]),
        (["2021-01-01,2021-01-05", "2021-02-06,2021-02-07"], [NO, NO]),
        (["2021-01-01,2021-01-05", "2021-01-05,2021-01-09"], [YES, NO]),
        (["2021-01-01,2021-01-01", "2021-01-01,2021-01-01"], [YES, NO]),
        (["2021-01-01,2021-01-01"], [NO]),
        (["2020-12-20,2020-12-31", "2021-01-30,2021-02-01", ",2021-02-02"], [YES, NO, NO]),
    ],
)
def test_a_readmission_is_another_stay_within_31_days_of_the_discharge(tmp_path: Path, stays, again) -> None:
    """Day 31 counts and day 32 does not; a stay is not its own readmission; two stays of one day make one pair."""
    rows = rows_of(prepared(tmp_path, "".join(f"a,{stay},1,I21,,,{n}\n" for n, stay in enumerate(stays))))
    if stays[0] == stays[-1]:
        assert sorted(row["again"] for row in rows) == sorted(again)
    else:
        assert [row["again"] for row in sorted(rows, key=lambda row: row["item"])] == again


def test_the_condition_is_on_the_other_row(tmp_path: Path) -> None:
    """A planned return (kind 3) is no readmission, whatever the first stay was."""
    lines = "a,2021-01-01,2021-01-02,3,,,,0\na,2021-01-05,2021-01-06,1,,,,1\na,2021-01-09,2021-01-10,3,,,,2\n"
    rows = sorted(rows_of(prepared(tmp_path, lines)), key=lambda row: row["item"])
    assert [row["again"] for row in rows] == [YES, NO, NO]


def test_columns_are_derived_before_the_cap(tmp_path: Path) -> None:
    """A row that the cap leaves out still makes another one a readmission."""
    lines = "".join(f"a,2021-01-{day:02d},2021-01-{day:02d},1,,,,{day % 10}\n" for day in range(1, 29))
    full = {(row["came"], row["again"], row["first_of_month"]) for row in rows_of(prepared(tmp_path, lines))}
    (only,) = rows_of(prepared(tmp_path / "cut", lines, agreed(cap=1)))
    assert (only["came"], only["again"], only["first_of_month"]) in full
    assert len(full) == 28


def test_equal_rows_are_cut_alike_in_any_order_of_the_file(tmp_path: Path) -> None:
    """Which of a patient's equal rows are the repeats is settled by their place in the keyed order, not by the file."""
    lines = [f"a,2021-01-0{day},2021-01-0{day},1,,,,1\n" for day in (1, 1, 1, 2, 2, 3)]
    made = [rows_of(prepared(tmp_path / str(n), "".join(given), agreed(cap=4))) for n, given in
            enumerate((lines, lines[::-1]))]  # fmt: skip
    assert made[0] == made[1]
    assert len(made[0]) == 4
