"""Reading a catalogue: what is accepted, and what every complaint says."""

from __future__ import annotations

import hashlib
from datetime import date
from fractions import Fraction

import pytest

from queries.agreed.catalogue import Catalogue, CodeColumn, DateColumn, Label, NumberColumn
from queries.agreed.catalogue_file import MOST_BYTES, read_catalogue
from queries.errors import CatalogueError

SMALL = """
name = "stroke"
version = "1"
sites_per_patient = 1
rows_per_site = 1000

[site.country]
codes = { UK = "United Kingdom" }

[codes.sex]
version = "1"
codes = { F = "female", M = { en = "male", zh = "男" } }

[tables.admission]
patient = "patient_id"
rows_per_patient = 3
dated_by = "admitted"

[tables.admission.columns.sex]
codes = "sex"
[tables.admission.columns.age]
label = "Age"
number = { low = 0, high = 120, step = 0.5 }
unit = "years"
[tables.admission.columns.admitted]
date = { first = 1991-01-01, last = 1996-12-31 }
"""


def _read(text: str) -> Catalogue:
    return read_catalogue(text.encode(), "c.toml")


def _changed(old: str, new: str) -> str:
    """Return the small catalogue with one line changed; a test of a change that changes nothing is a defect."""
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


def test_a_catalogue_says_what_its_file_says():
    """Names, labels, bounds in exact steps, caps, code sets and site attributes come through."""
    catalogue = _read(SMALL)
    table = catalogue.table("admission")
    sex, age, admitted = table.columns
    assert isinstance(sex, CodeColumn)
    assert isinstance(age, NumberColumn)
    assert isinstance(admitted, DateColumn)
    assert [code.code for code in sex.codes.codes] == ["F", "M"]
    assert sex.codes.codes[1].label == Label(en="male", zh="男")
    assert sex.codes.codes[0].label == Label(en="female", zh="female")
    assert (age.low, age.high, age.step, age.unit) == (0, 240, Fraction(1, 2), "years")
    assert sex.label == Label(en="sex", zh="sex")
    assert (admitted.first, admitted.last) == (date(1991, 1, 1), date(1996, 12, 31))
    assert (table.patient, table.rows_per_patient, table.dated_by) == ("patient_id", 3, "admitted")
    assert table.years(date(1992, 6, 1), date(1993, 1, 1)) == 2
    assert catalogue.site_attribute("country").codes.codes[0].code == "UK"
    assert (catalogue.sites_per_patient, catalogue.rows_per_site) == (1, 1000)
    assert catalogue.digest == hashlib.sha256(SMALL.encode()).digest()


def test_a_comment_changes_the_digest_and_nothing_else():
    """Members agree on bytes: the digest covers every one of them."""
    one, two = _read(SMALL), _read(SMALL + "# agreed in Bern\n")
    assert one.digest != two.digest
    assert one.tables == two.tables


@pytest.mark.parametrize(
    ("low", "high", "step", "steps"),
    [
        ("-1", "1", "0.001", (-1000, 1000)),
        ('"0.1"', '"0.3"', '"0.1"', (1, 3)),
        ("0.05", "30", "0.05", (1, 600)),
        ("1e2", "2e2", "10", (10, 20)),
        ("0", "2147483647", "1", (0, 2147483647)),
    ],
)
def test_bounds_are_exact_decimals(low, high, step, steps):
    """0.1 means one tenth, not the nearest binary number; quotes make no difference."""
    text = _changed("low = 0, high = 120, step = 0.5", f"low = {low}, high = {high}, step = {step}")
    age = _read(text).table("admission").column("age")
    assert isinstance(age, NumberColumn)
    assert (age.low, age.high) == steps


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("number = { low = 0, high = 120, step = 0.5 }\nunit", "unit", "tables.admission.columns.age"),
        ("low = 0, high", "high", "tables.admission.columns.age.number.low"),
        ("high = 120, ", "", "tables.admission.columns.age.number.high"),
        ("first = 1991-01-01, ", "", "tables.admission.columns.admitted.date.first"),
        (", last = 1996-12-31", "", "tables.admission.columns.admitted.date.last"),
        ("rows_per_patient = 3\n", "", "tables.admission.rows_per_patient"),
        ("rows_per_patient = 3", "row_per_patient = 3", "tables.admission.row_per_patient"),
        ('patient = "patient_id"\n', "", "tables.admission.patient"),
        ("sites_per_patient = 1\n", "", "sites_per_patient"),
        ("rows_per_site = 1000\n", "", "rows_per_site"),
    ],
)
def test_a_missing_bound_or_cap_is_refused(old, new, key):
    """Whatever a sensitivity rests on has no default."""
    with pytest.raises(CatalogueError) as caught:
        _read(_changed(old, new))
    assert caught.value.key == key
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("high = 120", "high = 0", "tables.admission.columns.age.number.high", "not above low"),
        ("low = 0,", "low = true,", "tables.admission.columns.age.number.low", "not a number"),
        ("low = 0,", "low = nan,", "tables.admission.columns.age.number.low", "not a number"),
        ("low = 0,", "low = -inf,", "tables.admission.columns.age.number.low", "not a number"),
        ("low = 0,", 'low = "zero",', "tables.admission.columns.age.number.low", "not a number"),
        ("low = 0,", 'low = "１",', "tables.admission.columns.age.number.low", "not a number"),
        ("low = 0,", "low = 1e-300,", "tables.admission.columns.age.number.low", "decimal places"),
        ("low = 0,", "low = 1e999999999,", "tables.admission.columns.age.number.low", "decimal places"),
        ("low = 0,", "low = 0.3,", "tables.admission.columns.age.number.low", "whole number of steps"),
        ("step = 0.5", "step = 0", "tables.admission.columns.age.number.step", "not above 0"),
        ("step = 0.5", "step = -1", "tables.admission.columns.age.number.step", "not above 0"),
        ("step = 0.5", "step = 0.00000005", "tables.admission.columns.age.number.step", "steps"),
        ("step = 0.5", "steps = 0.5", "tables.admission.columns.age.number.steps", "unknown key"),
        ("1996-12-31", "1990-12-31", "tables.admission.columns.admitted.date.last", "earlier than first"),
        ("1996-12-31", "1996-12-31T00:00:00", "tables.admission.columns.admitted.date.last", "not a day"),
        ("1996-12-31", '"1996-12-31"', "tables.admission.columns.admitted.date.last", "not a day"),
        ("rows_per_patient = 3", "rows_per_patient = 0", "tables.admission.rows_per_patient", "not a whole number"),
        ("rows_per_patient = 3", "rows_per_patient = 3.0", "tables.admission.rows_per_patient", "not a whole number"),
        ("rows_per_patient = 3", "rows_per_patient = true", "tables.admission.rows_per_patient", "not a whole number"),
        ("sites_per_patient = 1", "sites_per_patient = 0", "sites_per_patient", "not a whole number"),
        ('dated_by = "admitted"', 'dated_by = "age"', "tables.admission.dated_by", "not a date column"),
        ('dated_by = "admitted"', 'dated_by = "day"', "tables.admission.dated_by", "not a date column"),
        ('patient = "patient_id"', 'patient = "SEX"', "tables.admission.patient", "also a column"),
        ('patient = "patient_id"', 'patient = "patient id"', "tables.admission.patient", "not a name"),
        ('codes = "sex"', 'codes = "gender"', "tables.admission.columns.sex.codes", "no code set"),
        ('codes = "sex"', "codes = {}", "tables.admission.columns.sex.codes", "not a table"),
        ('codes = "sex"', 'codes = ["a", "a"]', "tables.admission.columns.sex.codes", "twice"),
        ('codes = "sex"', 'codes = ["a", 1]', "tables.admission.columns.sex.codes[1]", "not a printable code"),
        ('codes = "sex"', 'codes = { " a" = "x" }', "tables.admission.columns.sex.codes. a", "not a printable code"),
        ('codes = "sex"', "codes = { a = 1 }", "tables.admission.columns.sex.codes.a", "not a label"),
        ('codes = "sex"', 'codes = { a = { fr = "x" } }', "tables.admission.columns.sex.codes.a", "not a label"),
        ('codes = "sex"', 'codes = "sex"\nunit = "kg"', "tables.admission.columns.sex.unit", "only numbers"),
        ('codes = "sex"', 'codes = "sex"\nnumber = { low = 0, high = 1 }', "tables.admission.columns.sex", "2 kinds"),
        ('label = "Age"', "label = { zh = 1 }", "tables.admission.columns.age.label", "not a label"),
        ('label = "Age"', 'label = "A\\u0007"', "tables.admission.columns.age.label", "not a label"),
        ("columns.age]", "columns.site]", "tables.admission.columns.site", "reserved"),
        ("columns.age]", "columns._age]", "tables.admission.columns._age", "reserved"),
        ("columns.age]", 'columns."a b"]', "tables.admission.columns.a b", "not a name"),
        ("columns.age]", 'columns."1st"]', "tables.admission.columns.1st", "not a name"),
        ("columns.age]", 'columns."ａｇｅ"]', "tables.admission.columns.ａｇｅ", "second spelling"),
        ("columns.age]", f"columns.{'a' * 64}]", f"tables.admission.columns.{'a' * 64}", "longer than"),
        ("columns.age]", "columns.Sex]", "tables.admission.columns.Sex", "only in capitals"),
        ("columns.age]", "colums.age]", "tables.admission.colums", "unknown key"),
        ("[tables.admission]", "[tables.SITE]", "tables.SITE", "reserved"),
        ("[site.country]", "[site.site]", "site.site", "reserved"),
        ('name = "stroke"', 'name = "a-b"', "name", "not a name"),
        ('name = "stroke"', 'title = "stroke"', "title", "unknown key"),
        ('[codes.sex]\nversion = "1"', "[codes.sex]", "codes.sex.version", "missing"),
        ('[codes.sex]\nversion = "1"', "[codes.sex]\nversion = 1", "codes.sex.version", "not a printable text"),
    ],
)
def test_each_fault_names_file_key_and_remedy(old, new, key, words):
    """A person who reads only the message knows where to look and what to write."""
    with pytest.raises(CatalogueError) as caught:
        _read(
            _changed(old, new).replace("[tables.admission.", "[tables.SITE.") if "SITE]" in new else _changed(old, new)
        )
    assert caught.value.file == "c.toml"
    assert caught.value.key == key
    assert words in caught.value.message
    assert caught.value.remedy
    assert str(caught.value).startswith(f"c.toml: {key}: ")


def test_a_misspelt_key_is_answered_with_the_nearest_known_one():
    """The remedy for a slip is the word that was meant."""
    with pytest.raises(CatalogueError) as caught:
        _read(_changed("rows_per_patient = 3", "rows_per_pateint = 3"))
    assert "rows_per_patient" in caught.value.remedy


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (b"name = ", "line 1, column 8"),
        (b'name = "a"\nname = "b"', "line 2, column 11"),
        (b"\xff\xfe", "byte 0"),
        ("名 = 1".encode("gb18030"), "byte 0"),
        (b"a = " + b"[" * 100_000, "(file)"),
        (b"a = " + b"9" * 10_000, "(file)"),
        (b"#" * (MOST_BYTES + 1), "(file)"),
        (b"", "name"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(source, key):
    """Broken, foreign and hostile bytes give the same kind of complaint as a wrong value."""
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(source, "c.toml")
    assert caught.value.key in (key, "end of document")
    assert caught.value.remedy


def test_names_may_be_in_any_script():
    """Chinese table and column names are names like any other."""
    text = _changed("columns.age]", 'columns."年龄"]')
    assert "年龄" in _read(text).table("admission").by_name
