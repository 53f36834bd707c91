"""Files for other programs and notebooks: they read back equal to the answer, and no name in them is ever obeyed."""

import csv
import io
import json

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

from farr import texts
from farr.errors import FarrError
from farr.figures import exports
from tests.farr import drawing
from tests.farr.drawing import answer, estimate, figure, key, result

HOSTILE = '=HYPERLINK("x")'
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def english():
    """Speak English."""
    texts.use("en")


@pytest.fixture
def several():
    """Return two tables of different columns."""
    rows = [("F", figure(1.5, 1.0)), ("M", drawing.undefined())]
    first = answer([key("性别"), estimate("n")], rows, {"性别": drawing.SEX}, title="first: by sex/1")
    columns = [estimate("n"), estimate("rate", "%", total=True)]
    second = answer(columns, [(figure(9.0, 1.0), figure(5.0, 1.0, total=2.0))], title="second")
    return result(first, second)


@pytest.fixture
def hostile():
    """Return an answer whose names and labels are formulas and markup."""
    labels = {MARKUP: {"-1": HOSTILE, "@x": MARKUP}}
    rows = [("-1", figure(-5.0, 1.0)), ("@x", figure(2.0, 1.0))]
    return result(answer([key(MARKUP), estimate("+n")], rows, labels, title=""), statement="=cmd|' /C calc'!A0")


def read_csv(data):
    """Return the rows of a CSV as dictionaries."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_csv_reads_back_as_the_answer():
    """Byte order mark, CRLF, codes and labels, every end of every interval, flags, units, and where it comes from."""
    data = drawing.by_sex().to_csv()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\r\n") == data.count(b"\n") == 3
    female, male = read_csv(data)
    assert (female["性别"], female["性别_label"], female["人数_unit"]) == ("F", "女", "rows")
    names = ("rate", "rate_low", "rate_high", "rate_total_low", "rate_total_high")
    assert [float(female[name]) for name in names] == [17.5, 14.5, 20.5, 13.5, 21.5]
    assert (female["rate_flags"], male["rate_flags"]) == ("", "unreliable")
    assert female["farr_release"] == "35482c65" * 4
    assert (female["farr_hospitals_answered"], female["farr_hospitals_asked"]) == ("2", "3")
    assert female["farr_released_at"] == "2027-01-15T08:00:00Z"


def test_several_tables_of_a_csv_have_their_titles(several):
    """A column ``table`` says which; a column that a table lacks is empty."""
    rows = read_csv(several.to_csv())
    assert [row["table"] for row in rows] == ["first: by sex/1", "first: by sex/1", "second"]
    assert [row["n"] for row in rows] == ["1.5", "", "9.0"]
    assert rows[0]["rate"] == ""
    assert rows[2]["性别"] == ""


def test_no_text_of_a_csv_is_a_formula(hostile):
    """Every cell that a spreadsheet would calculate and that is no number has an apostrophe before it."""
    cells = [cell for row in csv.reader(io.StringIO(hostile.to_csv().decode("utf-8-sig"))) for cell in row]
    told = [cell for cell in cells if cell.startswith(exports.FORMULA)]
    assert told
    assert [float(cell) for cell in told] == [-5.0, -6.0, -4.0]
    assert "'" + HOSTILE in cells
    assert "'+n" in cells


def test_a_workbook_reads_back_as_the_answer(several):
    """A sheet for each table under a name that Excel accepts, numbers as numbers, and a sheet of metadata."""
    book = openpyxl.load_workbook(io.BytesIO(several.to_xlsx()))
    assert book.sheetnames == ["first  by sex 1", "second", "metadata"]
    frame = pd.read_excel(io.BytesIO(several.to_xlsx()), sheet_name="first  by sex 1")
    assert frame["性别_label"].tolist() == ["女", "男"]
    assert frame["n"].tolist()[0] == 1.5
    assert pd.isna(frame["n"].tolist()[1])
    assert frame["n_flags"].tolist()[1] == "unreliable"
    told = dict(book["metadata"].iter_rows(values_only=True))
    assert told["privacy.epsilon"] == 0.5
    assert told["sites.names"] == "aden, brest"
    assert told["release.id"] == "35482c65" * 4
    assert told["tables.2.columns.2.unit"] == "%"
    assert told["statement"].startswith("SELECT")


def test_no_text_of_a_workbook_is_a_formula(hostile):
    """Texts are stored as texts and marked so, whatever they begin with."""
    book = openpyxl.load_workbook(io.BytesIO(hostile.to_xlsx()))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert HOSTILE in [cell.value for cell in cells]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    for cell in cells:
        if isinstance(cell.value, str) and cell.value.startswith(exports.FORMULA):
            assert cell.data_type == "s"
            assert cell.quotePrefix


def test_sheets_of_like_titles_have_names_of_their_own():
    """Titles that are the same in Excel's eyes, too long or called as the metadata get different names."""
    long = "mortality of patients with heart failure"
    tables = [answer([estimate("n")], [(figure(1.0, 1.0),)], title=title) for title in (long, long.upper(), "Metadata")]
    names = openpyxl.load_workbook(io.BytesIO(result(*tables).to_xlsx())).sheetnames
    assert len({name.lower() for name in names}) == len(names) == 4
    assert all(len(name) <= 31 for name in names)


def test_parquet_reads_back_as_the_answer(several):
    """Numbers are doubles, missing ones null, and the schema holds everything else as JSON."""
    table = pq.read_table(io.BytesIO(several.to_parquet()))
    assert table.column("n").to_pylist() == [1.5, None, 9.0]
    assert table.column("rate_total_high").to_pylist() == [None, None, 7.0]
    assert table.column("性别").to_pylist() == ["F", "M", None]
    told = json.loads(table.schema.metadata[b"farr"])
    assert told["privacy"]["epsilon"] == 0.5
    assert [each["title"] for each in told["tables"]] == ["first: by sex/1", "second"]
    assert told["tables"][0]["flags"][0]["code"] == "unreliable"
    assert "rows" not in told["tables"][0]


def test_names_that_collide_stay_apart():
    """An alias may be called like the interval of another column."""
    found = result(answer([estimate("n_low"), estimate("n")], [(figure(1.0, 1.0), figure(5.0, 1.0))]))
    names = pq.read_table(io.BytesIO(found.to_parquet())).column_names
    assert len(set(names)) == len(names) == 8


@pytest.mark.parametrize("suffix", list(exports.FORMATS))
def test_an_export_goes_by_the_ending_of_the_name(tmp_path, suffix, several):
    """Each format is written; capitals are no other format."""
    several.export(tmp_path / f"a{suffix.upper()}")
    assert (tmp_path / f"a{suffix.upper()}").stat().st_size > 100


def test_json_is_what_the_command_prints(tmp_path):
    """The file holds the same object."""
    found = drawing.by_sex()
    found.export(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == found.to_plain()


def test_an_unknown_ending_is_refused_before_anything_is_written(tmp_path):
    """The formats that there are are named; a folder that is not there is named too."""
    with pytest.raises(FarrError, match=r"\.csv, \.xlsx, \.parquet, \.json"):
        drawing.by_sex().export(tmp_path / "a.doc")
    with pytest.raises(FarrError, match="no folder"):
        drawing.by_sex().export(tmp_path / "none" / "a.csv")
    assert list(tmp_path.iterdir()) == []


# --- notebooks


def shown(found, monkeypatch):
    """Return the HTML without the lines that need a real release's price."""
    from farr.cli import figures

    monkeypatch.setattr(figures, "_privacy", lambda _result: "Privacy: epsilon 0.5")
    return found._repr_html_()


def test_a_notebook_shows_figures_intervals_and_cost(monkeypatch):
    """Half-widths in the cell, the interval on pointing, flags, and what it cost below."""
    html = shown(drawing.by_sex(), monkeypatch)
    assert "120 ± 15" in html
    assert 'title="95 %, noise only: 105 to 135"' in html
    assert "noise and sampling" in html
    assert "the noise is more than a third of the value" in html
    assert "epsilon 0.5" in html
    assert "2 of 3" in html


def test_a_notebook_shows_names_as_text(hostile, monkeypatch):
    """Aliases, labels, titles and codes that are markup stay text."""
    html = shown(hostile, monkeypatch)
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_frame_keeps_what_it_came_with():
    """Metadata lie in the frame's attributes."""
    frame = drawing.by_sex().to_frame()
    assert frame.attrs["farr"]["release"]["id"] == "35482c65" * 4
    assert frame["rate_total_high"].tolist() == [21.5, 6.5]
