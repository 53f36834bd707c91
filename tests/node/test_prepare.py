from __future__ import annotations

import gzip
import hashlib
import hmac
import os
import stat
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.records import prepare as prepare_module
from node.records.mapping import SourceError, SourceMapping, read_mapping
from node.records.prepare import Prepared, prepare
from queries.agreed.catalogue import DateColumn
from tests.node.ward import HEADER, PRESSURE, SITE_KEY, catalogue, label, prepared


def rows(made: Prepared, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
    """Return prepared rows, sorted."""
    with duckdb.connect(str(made.path), read_only=True) as connection:
        return connection.execute(f"SELECT {columns} FROM admission WHERE {where} ORDER BY ALL").fetchall()


def mapped(text: str) -> SourceMapping:
    """Read a mapping."""
    return read_mapping(text.encode(), "m.toml")


def one(tmp_path: Path, column: str, value: str, mapping: str = "") -> Any:
    """Prepare one row that holds one value and return what became of it."""
    line = {"pid": "1", "sex": "", "dx": "", "sbp": "", "admitted": "2021-05-05"} | {column: value}
    quoted = ",".join('"' + text.replace('"', '""') + '"' for text in line.values())
    made = prepared(tmp_path, HEADER + quoted + "\n", catalogue(dated=False), mapped(mapping))
    return rows(made, f'"{column}"')[0][0]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("120", 1200),
        ("120.04", 1200),
        ("120.05", 1201),
        ("120.25", 1203),
        (" 120 ", 1200),
        ("\u3000120\u3000", 1200),
        ("1.2e2", 1200),
        ("-0.04", 0),
        ("-1", 0),
        ("300.1", 3000),
        ("99999999999999999999999999999999999999999999", 3000),
        ("-99999999999999999999999999999999999999999999", 0),
        ("1e300", 3000),
        ("-9223372036854775808", 0),
        ("9223372036854775807", 3000),
        ("NaN", None),
        ("inf", None),
        ("-Infinity", None),
        ("1e999", None),
        ("", None),
        ("   ", None),
        ("120 mmHg", None),
        ("1,200", None),
        ("'; DROP TABLE admission; --", None),
    ],
)
def test_a_number_is_whole_steps_within_the_bounds_or_missing(tmp_path: Path, text: str, steps: int | None) -> None:
    """Halves go away from zero; vast values are clipped; NaN, infinities and words are missing."""
    assert one(tmp_path, "sbp", text) == steps


@pytest.mark.parametrize(
    ("scale", "offset", "text", "steps"),
    [
        ("7.500617", "0", "16", 1200),
        ("7.500617", "0", "-1e30", 0),
        ("-1", "300", "299.95", 1),
        ("-1", "300", "1e30", 0),
        ("-1", "300", "-1e30", 3000),
        ("0.000000001", "0", "120000000000", 1200),
        ("1", "-0.05", "0.1", 1),
    ],
)
def test_units_are_converted_exactly(tmp_path: Path, scale: str, offset: str, text: str, steps: int) -> None:
    """Catalogue value = source value x scale + offset in exact decimals, then rounded once, then clipped."""
    mapping = f'[tables.admission.columns.sbp]\nscale = "{scale}"\noffset = "{offset}"\n'
    assert one(tmp_path, "sbp", text, mapping) == steps


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.decimals(min_value=-50, max_value=400, places=4), min_size=40, max_size=80),
    scale=st.decimals(min_value="0.001", max_value=10, places=3),
    offset=st.decimals(min_value=-10, max_value=10, places=3),
)
def test_conversion_in_the_database_equals_exact_arithmetic(tmp_path: Path, values, scale, offset) -> None:
    """For any value, scale and offset the steps are those of rational arithmetic, half away from zero."""
    text = HEADER + "".join(f"{number},,,{value},\n" for number, value in enumerate(values))
    mapping = mapped(f'[tables.admission.columns.sbp]\nscale = "{scale}"\noffset = "{offset}"\n')
    made = prepared(tmp_path, text, catalogue(dated=False), mapping)
    expected = []
    for value in values:
        steps = (Fraction(value) * Fraction(scale) + Fraction(offset)) / PRESSURE.step
        rounded = int(abs(steps) + Fraction(1, 2)) * (1 if steps >= 0 else -1)
        expected.append(min(max(rounded, PRESSURE.low), PRESSURE.high))
    assert [row[0] for row in rows(made, "sbp")] == sorted(expected)


def test_too_many_digits_in_a_scale_are_refused(tmp_path: Path) -> None:
    """A conversion that 128 bits cannot hold is an error of the mapping, not of a record."""
    mapping = '[tables.admission.columns.sbp]\nscale = "0.000000001"\noffset = "9999999999"\n'
    with pytest.raises(SourceError) as refused:
        one(tmp_path, "sbp", "1", mapping)
    assert refused.value.key == "columns.sbp"


@pytest.mark.parametrize(
    ("text", "code", "chapter"),
    [
        ("I63", 1, 0),
        ("i63.900x001", 2, 0),
        ("I63900X001", 2, 0),
        ("I63.8", 1, 0),
        ("J18.9", 3, 1),
        ("I6", None, None),
        ("X63", None, None),
        ("", None, None),
    ],
)
def test_a_longer_code_folds_to_its_longest_known_beginning(tmp_path: Path, text: str, code: int, chapter: int) -> None:
    """National extensions fold, in any case, with or without the dot; levels follow the code."""
    line = HEADER + f"1,,{text},,2021-01-01\n"
    assert rows(prepared(tmp_path, line, catalogue()), 'dx, "dx@chapter"') == [(code, chapter)]


def test_listed_source_codes_are_translated_and_others_are_missing(tmp_path: Path) -> None:
    """With ``values`` only listed codes count; a code of the catalogue that is not listed is missing too."""
    mapping = '[tables.admission.columns.sex]\nfrom = "sex"\nvalues = { 1 = "M", w = "F" }\nmissing = ["9"]\n'
    text = HEADER + "a,1,,,2021-01-01\nb, w ,,,2021-01-01\nc,M,,,2021-01-01\nd,9,,,2021-01-01\ne,W,,,2021-01-01\n"
    made = prepared(tmp_path, text, catalogue(), mapped(mapping))
    assert sorted((row[0] for row in rows(made, "sex")), key=str) == [0, 1, None, None, None]
    fate = made.tables[0].columns[0]
    assert (fate.missing, fate.unusable) == (1, 2)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2021-10-31", date(2021, 10, 31)),
        ("20211031", date(2021, 10, 31)),
        ("2021/10/31", date(2021, 10, 31)),
        ("2021/1/3", date(2021, 1, 3)),
        ("2021年10月31日", date(2021, 10, 31)),
        ("2021-10-31 23:59:59", date(2021, 10, 31)),
        ("2021-10-31T23:59:59+08:00", date(2021, 10, 31)),
        ("2021-10-31T00:30:00Z", date(2021, 10, 31)),
        ("2021/10/31 08:00", date(2021, 10, 31)),
        ("20211031235959", date(2021, 10, 31)),
        ("2021-02-29", None),
        ("2021131", None),
        ("19991231", None),
        ("2023-01-01", None),
        ("31.10.2021", None),
        ("0000-00-00", None),
        ("99999-01-01", None),
        ("infinity", None),
        ("today", None),
    ],
)
def test_the_usual_dates_are_read_as_local_days(tmp_path: Path, text: str, day: date | None) -> None:
    """Each usual spelling gives its own calendar day; impossible days and days outside the bounds are missing."""
    assert one(tmp_path, "admitted", text) == day


def test_dates_follow_the_mapping(tmp_path: Path) -> None:
    """Named formats replace the usual ones, after the text was replaced."""
    mapping = '[tables.admission.columns.admitted]\ndates = ["%m-%y", "%d.%m.%Y"]\nreplace = { sty = "01" }\n'
    assert one(tmp_path, "admitted", "sty-21", mapping) == date(2021, 1, 1)
    assert one(tmp_path, "admitted", "31.10.2021", mapping) == date(2021, 10, 31)
    assert one(tmp_path, "admitted", "2021-10-31", mapping) is None


@pytest.mark.parametrize("word", ["infinity", "-infinity", "Epoch"])
@pytest.mark.parametrize("mapping", ["", 'dates = ["%d.%m.%Y"]'])
def test_a_word_that_databases_export_for_a_day_is_missing(tmp_path: Path, word: str, mapping: str) -> None:
    """The engine reads these words as 1900-01-01, a day that nobody recorded."""
    agreed = catalogue(dated=False)
    admitted = DateColumn(name="admitted", label=label("day"), first=date(1900, 1, 1), last=date(2022, 12, 31))
    (table,) = agreed.tables
    agreed = replace(agreed, tables=(replace(table, columns=(*table.columns[:3], admitted)),))
    made = prepared(
        tmp_path, HEADER + f"1,M,I63,120,{word}\n", agreed, mapped(f"[tables.admission.columns.admitted]\n{mapping}\n")
    )
    assert rows(made, "admitted") == [(None,)]
    assert made.tables[0].columns[3].unusable == 1


def test_a_format_of_days_that_is_none_is_the_mappings_error(tmp_path: Path) -> None:
    """The operator is sent to the mapping, not to export the file again."""
    wrong = mapped('[tables.admission.columns.admitted]\ndates = ["%d.%m.%Y", "%Q"]\n')
    with pytest.raises(SourceError, match="format") as refused:
        prepared(tmp_path, HEADER + "1,M,I63,120,01.01.2021\n", catalogue(), wrong)
    assert (refused.value.file, refused.value.key) == ("m.toml", "columns.admitted.dates")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_text_is_read_in_each_encoding(tmp_path: Path, encoding: str) -> None:
    """Column names and codes survive UTF-8, a byte-order mark and GB18030, four-byte characters included."""
    mapping = """
[tables.admission]
patient = "编号"
encoding = "%s"
[tables.admission.columns]
sex = { from = "性别", values = { "男" = "M", "女𠀀" = "F" } }
dx = { from = "诊断" }
sbp = { from = "血压" }
admitted = { from = "入院日期" }
""" % ("gb18030" if encoding == "gb18030" else "utf-8")
    text = "编号,性别,诊断,血压,入院日期\r\n甲,男,I63.900x001,120,2021年3月4日\r\n乙,女𠀀,J18,,2021/03/05\r\n"
    made = prepared(tmp_path, text.encode(encoding), catalogue(), mapped(mapping))
    assert sorted(rows(made, "sex, dx, sbp, admitted")) == [
        (0, 2, 1200, date(2021, 3, 4)),
        (1, 3, None, date(2021, 3, 5)),
    ]


HEADINGS = {
    "two names that become one": "编号,性别,诊断,血压,入院日期",
    "a column that the mapping names": "编号,sex,dx,sbp,admitted",
}


@pytest.mark.parametrize("heading", HEADINGS.values(), ids=HEADINGS)
def test_a_file_in_another_encoding_is_said_to_be_in_another(tmp_path: Path, heading: str) -> None:
    """An export whose encoding the mapping leaves out: the remedy is to name it, not to rename its columns."""
    mapping = mapped('[tables.admission]\npatient = "编号"\n')
    with pytest.raises(SourceError, match="is not utf-8 text") as caught:
        prepared(tmp_path, (heading + "\n甲,男,J18,1,2021-03-05\n").encode("gb18030"), catalogue(), mapping)
    assert 'encoding = "gb18030"' in caught.value.remedy


@pytest.mark.parametrize("name", ["ＩＣＤ", "分型Ⅱ", "Größe"])
def test_column_names_in_any_letters_are_found(tmp_path: Path, name: str) -> None:
    """The engine folds the case of ASCII alone; a full-width or Roman capital in a name does not hide the column."""
    mapping = mapped(f'[tables.admission.columns]\ndx = {{ from = "{name}" }}\n')
    text = f"pid,sex,{name},sbp,admitted\n1,M,I63,120,2021-01-01\n"
    assert rows(prepared(tmp_path, text, catalogue(), mapping), "dx") == [(1,)]
    wrong = mapped(f'[tables.admission.columns]\ndx = {{ from = "{name.casefold()}" }}\n')
    with pytest.raises(SourceError, match="no such column"):
        prepared(tmp_path, text, catalogue(), wrong)


def test_a_column_without_a_name_does_not_refuse_the_file(tmp_path: Path) -> None:
    """A numbered index in front, or a delimiter at the end of every line, hides no other column."""
    text = ",pid,sex,dx,sbp,admitted,\n0,1,M,I63,120,2021-01-01,\n"
    assert rows(prepared(tmp_path, text, catalogue()), "sex, dx, sbp") == [(0, 1, 1200)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_a_folder_is_called_changes_no_value(tmp_path: Path, kind: str) -> None:
    """Neither a folder ``sex=F`` nor one that reads as a pattern puts other values in the place of the file's."""
    data, likeness = tmp_path / "sex=F" / "wave[1]", tmp_path / "sex=F" / "wave1"
    for folder, sex in ((data, "M"), (likeness, "F")):
        folder.mkdir(parents=True)
        if kind == "csv":
            (folder / "admission.csv").write_text(HEADER + f"1,{sex},I63,120,2021-01-01\n")
        else:
            names = HEADER.strip().split(",")
            values = ("1", sex, "I63", "120", "2021-01-01")
            columns = {name: [value] for name, value in zip(names, values, strict=True)}
            pq.write_table(pa.table(columns), folder / "admission.parquet")
    assert rows(prepare(tmp_path / "home", data, None, catalogue(), SITE_KEY), "sex") == [(0,)]


def test_a_byte_that_means_nothing_in_gb18030_makes_its_field_missing(tmp_path: Path) -> None:
    """A damaged byte costs its field, not the file."""
    mapping = mapped('[tables.admission]\nencoding = "gb18030"\n')
    made = prepared(tmp_path, HEADER.encode() + b"1,M\xff,I63,120,2021-01-01\n", catalogue(), mapping)
    assert rows(made, "sex, dx, sbp") == [(None, 1, 1200)]


def test_quotes_newlines_and_delimiters_inside_fields_are_data(tmp_path: Path) -> None:
    """RFC 4180 quoting holds, and a missing field in quotes is missing."""
    text = HEADER[:-1] + '\r\n"a,1","M",I63,"",2021-01-01\r\n"b\n""2""",F,J18,"12",2021-01-01\r\n\r\n'
    said = read_mapping(b"[tables.admission]\nmultiline = true\n", "mapping.toml")
    made = prepared(tmp_path, text, catalogue(), said)
    assert sorted(rows(made, "sex, sbp"), key=str) == [(0, None), (1, 120)]
    with pytest.raises(SourceError, match="several lines"):
        prepared(tmp_path / "unsaid", text, catalogue())


def test_lines_that_cannot_be_read_are_counted_and_left_out(tmp_path: Path) -> None:
    """Too few fields, too many, or broken UTF-8: the operator sees how many, the rest is answered."""
    text = HEADER.encode() + b"1,M\n2,F,I63,1,2021-01-01,x,y\n3,\xff,I63,1,2021-01-01\n4,M,I63,1,2021-01-01\n"
    made = prepared(tmp_path, text, catalogue())
    assert len(rows(made)) == 1
    assert made.tables[0].unreadable == 3


def test_parquet_is_read_like_text(tmp_path: Path) -> None:
    """Typed columns give the same prepared rows as their text; an instant falls on the day of the mapping's zone."""
    instant = pa.array([1635690600, None], pa.timestamp("s", tz="UTC"))  # 2021-10-31 14:30 UTC, 22:30 in Shanghai
    late = pa.array([1635697800, 1635697800], pa.timestamp("s", tz="UTC"))  # 16:30 UTC: already 1 November in Shanghai
    (tmp_path / "data").mkdir()
    for days, expected in ((instant, [date(2021, 10, 31)]), (late, [date(2021, 11, 1)] * 2)):
        table = pa.table(
            {
                "pid": pa.array([7, 8], pa.int64()),
                "sex": ["M", "F"],
                "dx": ["I63", "J18"],
                "sbp": pa.array([120.05, float("nan")], pa.float64()),
                "admitted": days,
            }
        )
        pq.write_table(table, tmp_path / "data" / "admission.parquet")
        made = prepare(tmp_path / "home", tmp_path / "data", None, catalogue(), SITE_KEY)
        assert [row[0] for row in rows(made, "admitted")] == expected
        assert rows(made, "sex, dx, sbp")[0] == (0, 1, 1201)


def test_prepared_values_stay_in_the_domain(tmp_path: Path) -> None:
    """Whatever the text, codes are indices, numbers are within the bounds, days within the days, or all are missing."""
    nasty = [
        "",
        "NaN",
        "inf",
        "-1e308",
        "-9223372036854775808",
        "9" * 400,
        "M",
        "I63",
        "2021-01-01",
        "9999-12-31",
        "\0",
    ]
    lines = (f'{p},"{a}","{a}","{a}","{b}"\n' for p, a in enumerate(nasty) for b in nasty)
    made = prepared(tmp_path, HEADER + "".join(lines), catalogue(cap=200, dated=False))
    low, high = date(2020, 1, 1), date(2022, 12, 31)
    for sex, dx, chapter, sbp, day in rows(made, 'sex, dx, "dx@chapter", sbp, admitted'):
        assert sex in (None, 0, 1)
        assert dx in (None, 0, 1, 2, 3)
        assert (chapter is None) == (dx is None)
        assert sbp is None or 0 <= sbp <= 3000
        assert day is None or low <= day <= high


def test_the_order_is_hmac_sha256(tmp_path: Path) -> None:
    """The order key and the patient are Python's HMAC over the framed patient and content, first 8 bytes."""
    made = prepared(tmp_path, HEADER + "甲1,M,I63.9,120,2021-03-04\n乙,,,,2021-03-04\n", catalogue())
    found = {(patient, order) for patient, order in rows(made, "_patient, _order")}
    expected = set()
    for owner, content in (("4:甲1", "1:0" + "1:2" + "4:1200" + "10:2021-03-04"), ("3:乙", "-" * 3 + "10:2021-03-04")):
        order = hmac.new(SITE_KEY, b"farr/v1/order:" + (owner + content).encode(), hashlib.sha256).digest()
        patient = hmac.new(SITE_KEY, b"farr/v1/patient:" + owner.encode(), hashlib.sha256).digest()
        expected.add((int.from_bytes(patient[:8], "big") >> 1, int.from_bytes(order[:8], "big")))
    assert found == expected


def test_composite_patient_keys_do_not_run_together(tmp_path: Path) -> None:
    """("a", "bc") and ("ab", "c") are two patients; a key with a missing part is nobody's."""
    text = "h,p,sex,dx,sbp,admitted\na,bc,M,,,2021-01-01\nab,c,M,,,2021-01-01\na,,M,,,2021-01-01\n"
    made = prepared(tmp_path, text, catalogue(), mapped('[tables.admission]\npatient = ["h", "p"]\n'))
    assert len({row[0] for row in rows(made, "_patient")}) == 2
    assert made.tables[0].no_patient == 1


def test_each_patient_is_cut_to_the_cap_of_each_year(tmp_path: Path) -> None:
    """At most the cap per calendar year, and what is left out is counted."""
    lines = [f"{p},M,I63,{number},{year}-06-01\n" for p in "ab" for year in (2020, 2021) for number in range(5)]
    made = prepared(tmp_path, HEADER + "".join(lines) + "a,M,I63,1,\n,M,I63,1,2021-01-01\n", catalogue(cap=3))
    counted = rows(made, "DISTINCT _patient, year(admitted), count(*) OVER (PARTITION BY _patient, year(admitted))")
    assert [row[2] for row in counted] == [3, 3, 3, 3]
    report = made.tables[0]
    assert (report.read, report.kept, report.over_cap, report.no_date, report.no_patient) == (22, 12, 8, 1, 1)


def test_an_undated_cap_counts_over_all_years(tmp_path: Path) -> None:
    """Without ``dated_by`` the cap is for the whole table, and a row without a day is kept."""
    lines = [f"a,M,I63,{number},{2020 + number % 2}-06-01\n" for number in range(9)]
    made = prepared(tmp_path, HEADER + "".join(lines) + "b,M,I63,1,\n", catalogue(cap=4, dated=False))
    assert made.tables[0].kept == 5


def test_which_rows_are_kept_depends_on_the_key_only(tmp_path: Path) -> None:
    """The order of lines in the file changes nothing; another key chooses other rows."""
    lines = [f"a,M,I63,{number},2021-06-01\n" for number in range(60)]
    kept = rows(prepared(tmp_path / "1", HEADER + "".join(lines), catalogue()), "sbp")
    again = rows(prepared(tmp_path / "2", HEADER + "".join(reversed(lines)), catalogue()), "sbp")
    other = rows(prepared(tmp_path / "3", HEADER + "".join(lines), catalogue(), key=bytes(32)), "sbp")
    assert kept == again
    assert kept != other


def test_nothing_is_prepared_twice_and_any_change_is_noticed(tmp_path: Path) -> None:
    """Data, mapping, catalogue and key each decide the file; the older file is gone."""
    text = HEADER + "1,M,I63,120,2021-01-01\n"
    first = prepared(tmp_path, text, catalogue())
    data, home = tmp_path / "data", tmp_path / "home"
    again = prepare(home, data, None, catalogue(), SITE_KEY)
    assert (again.reused, again.path, again.tables) == (True, first.path, first.tables)
    assert not first.reused
    os.utime(data / "admission.csv", ns=(1, 1))
    changed = [
        prepare(home, data, None, catalogue(), SITE_KEY),
        prepare(home, data, mapped("[tables.admission]\n"), catalogue(), SITE_KEY),
        prepare(home, data, None, catalogue(cap=5), SITE_KEY),
        prepare(home, data, None, catalogue(cap=5), bytes(32)),
    ]
    assert not any(made.reused for made in changed)
    assert [path.name for path in home.iterdir()] == [changed[-1].path.name]


def test_the_prepared_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Mode 0600, and nothing else is left in the home."""
    made = prepared(tmp_path, HEADER + "1,M,I63,120,2021-01-01\n", catalogue())
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert list((tmp_path / "home").iterdir()) == [made.path]


def test_a_preparation_cut_short_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the new file is complete the older one stays; what a killed process left behind is cleared."""
    first = prepared(tmp_path, HEADER + "1,M,I63,120,2021-01-01\n", catalogue())
    home = tmp_path / "home"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(prepare_module, "build_table", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(tmp_path, HEADER + "1,F,I63,120,2021-01-01\n1,F,I63,120,2021-01-01\n", catalogue())
    assert list(home.iterdir()) == [first.path]
    (home / "preparing-x").mkdir()
    (home / "preparing-x" / "tables.duckdb").write_bytes(b"half")
    (home / "spill").mkdir()
    (home / "spill" / "rows.tmp").write_bytes(b"rows")
    made = prepare(home, tmp_path / "data", None, catalogue(), SITE_KEY)
    assert list(home.iterdir()) == [made.path]
    assert made.path != first.path


def test_a_damaged_preparation_is_named_and_can_be_deleted(tmp_path: Path) -> None:
    """The operator learns which file; without it, it is made anew."""
    made = prepared(tmp_path, HEADER + "1,M,I63,120,2021-01-01\n", catalogue())
    made.path.write_bytes(b"not a database")
    with pytest.raises(SourceError, match="is damaged"):
        prepare(tmp_path / "home", tmp_path / "data", None, catalogue(), SITE_KEY)
    made.path.unlink()
    assert not prepare(tmp_path / "home", tmp_path / "data", None, catalogue(), SITE_KEY).reused


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export still being written must not become an answer."""
    real = prepare_module.build_table

    def grows(*arguments: Any, **keywords: Any) -> Any:
        report = real(*arguments, **keywords)
        with (tmp_path / "data" / "admission.csv").open("a") as file:
            file.write("2,M,I63,120,2021-01-01\n")
        return report

    monkeypatch.setattr(prepare_module, "build_table", grows)
    with pytest.raises(SourceError, match="changed while it was read"):
        prepared(tmp_path, HEADER + "1,M,I63,120,2021-01-01\n", catalogue())
    assert list((tmp_path / "home").iterdir()) == []


def test_a_file_that_is_gone_while_it_is_read_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that goes away is the operator's to mend, like a file that changes."""
    real = prepare_module.build_table

    def goes(*arguments: Any, **keywords: Any) -> Any:
        report = real(*arguments, **keywords)
        (tmp_path / "data" / "admission.csv").unlink()
        return report

    monkeypatch.setattr(prepare_module, "build_table", goes)
    with pytest.raises(SourceError, match="changed while it was read"):
        prepared(tmp_path, HEADER + "1,M,I63,120,2021-01-01\n", catalogue())


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("damage", ["cut", "overwritten", "overwritten at once"])
def test_a_damaged_archive_is_named_without_its_content(tmp_path: Path, encoding: str, damage: str) -> None:
    """A gzip file that ends early, or whose bytes mean nothing, is an error of the file in every encoding."""
    names = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000))
    lines = "".join(f"{name},M,I63,1,2021-01-01\n" for name in names)
    whole = gzip.compress((HEADER + lines).encode())
    half, early = len(whole) // 2, 12
    damaged = {
        "cut": whole[:half],
        "overwritten": whole[:half] + b"\xff" * 64 + whole[half + 64 :],
        "overwritten at once": whole[:early] + b"\xff" * 64 + whole[early + 64 :],
    }
    (tmp_path / "a.csv.gz").write_bytes(damaged[damage])
    mapping = mapped(f'[tables.admission]\nfile = "a.csv.gz"\nencoding = "{encoding}"\n')
    with pytest.raises(SourceError, match="cannot be read as") as refused:
        prepare(tmp_path / "home", tmp_path, mapping, catalogue(), SITE_KEY)
    assert refused.value.file == "a.csv.gz"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("admission.csv", b"pid,sex,dx,sbp,admitted\n"[:9] + b"SECRET\xff\xfe"),
        ("admission.csv", b""),
        ("admission.csv", b"pid,sex,SEX,dx,sbp,admitted\nSECRET,,,,,\n"),
        ("admission.csv", b"pid,dx,sbp,admitted\nSECRET,,,\n"),
        ("admission.csv", b"id,sex,dx,sbp,admitted\nSECRET,,,,\n"),
        ("admission.parquet", b"PAR1 SECRET PAR1"),
    ],
)
def test_an_unreadable_file_is_named_without_its_content(tmp_path: Path, name: str, content: bytes) -> None:
    """The operator learns which file or column and what to do; no value and no word of the engine is in the error."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as refused:
        prepare(tmp_path / "home", tmp_path, None, catalogue(), SITE_KEY)
    assert refused.value.file == name
    assert refused.value.remedy
    assert "SECRET" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_mapped_file_that_is_absent_is_refused_and_an_unmapped_table_is_not_offered(tmp_path: Path) -> None:
    """A named file must exist; a table without a file is simply not at this hospital."""
    with pytest.raises(SourceError, match="no such file"):
        prepare(tmp_path, tmp_path, mapped('[tables.admission]\nfile = "no.csv"\n'), catalogue(), SITE_KEY)
    assert prepare(tmp_path / "home", tmp_path, None, catalogue(), SITE_KEY).tables == ()


def test_a_column_that_the_hospital_does_not_record_is_missing_everywhere(tmp_path: Path) -> None:
    """``absent`` stands for a column that the file lacks."""
    mapping = mapped("[tables.admission.columns.sex]\nabsent = true\n")
    made = prepared(tmp_path, "pid,dx,sbp,admitted\n1,I63,120,2021-01-01\n", catalogue(), mapping)
    assert rows(made, "sex, sbp") == [(None, 1200)]


def test_a_short_site_key_and_a_wrong_time_zone_are_refused(tmp_path: Path) -> None:
    """Both are errors of the operator's files."""
    with pytest.raises(SourceError, match="32 bytes"):
        prepare(tmp_path, tmp_path, None, catalogue(), b"short")
    with pytest.raises(SourceError, match="time zone"):
        prepare(tmp_path, tmp_path, mapped('time_zone = "Asia/Nowhere"'), catalogue(), SITE_KEY)
