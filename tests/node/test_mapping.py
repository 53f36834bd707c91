from __future__ import annotations

from fractions import Fraction

import pytest

from node.records.mapping import IDENTITY, SourceError, read_mapping
from tests.node.ward import catalogue

FULL = """
time_zone = "Europe/Rome"
[tables.admission]
file = "ward.csv"
encoding = "GBK"
delimiter = ";"
patient = ["hospital", "row"]
[tables.admission.columns.sex]
from = "GESCHLECHT"
values = { 1 = "M", 2 = "F" }
missing = ["9"]
[tables.admission.columns.admitted]
dates = ["%d.%m.%Y"]
replace = { sty = "01" }
[tables.admission.columns.sbp]
from = "kPa"
scale = "7.500617"
offset = -1
[tables.admission.columns.dx]
absent = true
"""


def test_every_key_of_a_mapping_is_read() -> None:
    """What the file says is what the mapping holds; numbers are exact decimals."""
    mapping = read_mapping(FULL.encode(), "m.toml")
    mapping.check(catalogue())
    table = mapping.table("admission")
    assert (mapping.time_zone, table.file, table.encoding, table.delimiter) == (
        "Europe/Rome",
        "ward.csv",
        "gb18030",
        ";",
    )
    assert table.patient == ("hospital", "row")
    assert table.column("sex").sources == ("GESCHLECHT",)
    assert table.column("sex").values == (("1", "M"), ("2", "F"))
    assert table.column("sex").missing == ("9",)
    assert table.column("admitted").dates == ("%d.%m.%Y",)
    assert table.column("admitted").replace == (("sty", "01"),)
    assert table.column("sbp").scale == Fraction(7500617, 10**6)
    assert table.column("sbp").offset == -1
    assert table.column("dx").absent


def test_without_a_mapping_everything_has_its_own_name() -> None:
    """The identity mapping names each catalogue column itself and accepts any catalogue."""
    IDENTITY.check(catalogue())
    assert IDENTITY.table("admission").column("sex").sources == ("sex",)
    assert IDENTITY.digest != read_mapping(FULL.encode(), "m.toml").digest


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("tables = 3", "tables"),
        ("tabels = {}", "tabels"),
        ("time_zone = 8", "time_zone"),
        ("[tables.admission]\nfiles = 'a'", "tables.admission.files"),
        ("[tables.admission]\nfile = 1", "tables.admission.file"),
        ("[tables.admission]\nencoding = 'latin1'", "tables.admission.encoding"),
        ("[tables.admission]\ndelimiter = ';;'", "tables.admission.delimiter"),
        ("[tables.admission]\ndelimiter = '\"'", "tables.admission.delimiter"),
        ("[tables.admission]\npatient = []", "tables.admission.patient"),
        ("[tables.admission]\npatient = [1]", "tables.admission.patient"),
        ("[tables.admission]\ncolumns = 1", "tables.admission.columns"),
        ("[tables.visit]\nfile = 'v.csv'", "tables.visit"),
        ("[tables.admission.columns.height]\nfrom = 'h'", "tables.admission.columns.height"),
        ("[tables.admission.columns.sex]\nform = 'h'", "tables.admission.columns.sex.form"),
        ("[tables.admission.columns.sex]\nabsent = 'yes'", "tables.admission.columns.sex.absent"),
        ("[tables.admission.columns.sex]\nvalues = ['M']", "tables.admission.columns.sex.values"),
        ("[tables.admission.columns.sex]\nvalues = { x = 'Q' }", "tables.admission.columns.sex.values"),
        ("[tables.admission.columns.sex]\nmissing = 'Q'", "tables.admission.columns.sex.missing"),
        ("[tables.admission.columns.sex]\nscale = '2'", "tables.admission.columns.sex"),
        ("[tables.admission.columns.sex]\ndates = ['%Y']", "tables.admission.columns.sex.dates"),
        ("[tables.admission.columns.sbp]\nvalues = { x = 'M' }", "tables.admission.columns.sbp.values"),
        ("[tables.admission.columns.sbp]\nscale = 0.1", "tables.admission.columns.sbp.scale"),
        ("[tables.admission.columns.sbp]\nscale = '0'", "tables.admission.columns.sbp.scale"),
        ("[tables.admission.columns.sbp]\nscale = 'NaN'", "tables.admission.columns.sbp.scale"),
        ("[tables.admission.columns.sbp]\nscale = '1e12'", "tables.admission.columns.sbp.scale"),
        ("[tables.admission.columns.sbp]\noffset = 'one'", "tables.admission.columns.sbp.offset"),
        ("[tables.admission.columns.sbp]\noffset = true", "tables.admission.columns.sbp.offset"),
    ],
)
def test_a_wrong_mapping_is_refused_by_key_with_a_remedy(text: str, key: str) -> None:
    """Each error names the file, the dotted key and what to do."""
    with pytest.raises(SourceError) as refused:
        read_mapping(text.encode(), "m.toml").check(catalogue())
    assert (refused.value.file, refused.value.key) == ("m.toml", key)
    assert refused.value.remedy
    assert str(refused.value).startswith(f"m.toml: {key}: ")


@pytest.mark.parametrize("source", [b"[tables", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_refused(source: bytes) -> None:
    """Broken syntax and broken UTF-8 name the file."""
    with pytest.raises(SourceError) as refused:
        read_mapping(source, "m.toml")
    assert refused.value.file == "m.toml"


def test_a_byte_order_mark_before_the_mapping_is_skipped() -> None:
    """Editors on Windows write one."""
    assert read_mapping(b"\xef\xbb\xbf[tables.admission]\n", "m.toml").table("admission").file is None
