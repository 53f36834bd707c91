"""`farr node check` without a node: how files and a mapping fit a catalogue, said to the operator alone."""

import json
from dataclasses import replace

import pytest

from farr import texts
from farr.cli.main import main
from farr.hospital.conformance import FINE, LOOK, NEVER, verdict
from farr.hospital.derivations import in_words
from node.records.report import ColumnReport
from queries.agreed.catalogue_file import read_catalogue
from tests.node import care

MAPPING = """
[tables.stay]
loaded_through = 2026-10-31
[tables.stay.columns.kind]
values = { A = "1" }
"""
LINES = (
    "p1,2021-01-01 08:00,2021-01-02 09:00,A,I21,J18,1,3\n"
    "p1,2021-01-03 08:00,2021-01-04 09:00,SECRET,I21,J18;J18;J18;J18,1,99\n"
    "p2,1999-01-01,2021-01-04 09:00,A,SECRET,,,5\n"
)


@pytest.fixture
def files(tmp_path):
    """A catalogue, a mapping and a folder of data; the process speaks English afterwards."""
    (tmp_path / "c.toml").write_text(care.TEXT.replace("CAP", "5").replace("PARTS", "5"))
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stay.csv").write_text(care.HEADER + LINES)
    yield tmp_path
    texts.use("en")


def checked(files, *more):
    """Run the check on these files; return the exit code."""
    given = ["--catalogue", files / "c.toml", "--data", files / "data", "--mapping", files / "m.toml", *more]
    return main(["node", "check", *map(str, given)], {})


def test_files_are_checked_against_a_catalogue_before_joining(files, capsys):
    """No home, no federation: a verdict for each column, and nothing is left on the disk."""
    before = sorted(files.rglob("*"))
    assert checked(files, "--json") == 0
    (data,) = json.loads(capsys.readouterr().out)
    stay, diagnosis = data["tables"]
    assert (stay["read"], stay["kept"], stay["loaded_through"]) == (3, 3, "2026-10-31")
    assert (diagnosis["table"], diagnosis["read"], diagnosis["loaded_through"]) == ("diagnosis", 4, "2026-10-31")
    found = {column["column"]: column for column in stay["columns"]}
    assert (found["came"]["outside"], found["came"]["verdict"]) == (1, "look")
    assert (found["kind"]["unmapped"], found["kind"]["unmapped_share"]) == (1, round(1 / 3, 6))
    assert (found["dx"]["unusable"], found["dx"]["unmapped"]) == (1, 0)
    assert (found["others"]["cut"], found["others"]["missing"], found["others"]["cut_share"]) == (1, 1, 0.5)
    assert (found["item"]["clipped"], found["left"]["verdict"]) == (1, "fine")
    assert (found["wait"]["derived"], found["wait"]["missing"]) == (True, 1)
    assert sorted(files.rglob("*")) == before


def test_no_value_of_a_record_is_shown(files, capsys):
    """Counts and shares of columns, in either form and language; what the files hold stays in them."""
    for more in ((), ("--json",), ("--lang", "zh")):
        checked(files, *more)
        shown = capsys.readouterr()
        assert "others" in shown.out
        assert "SECRET" not in shown.out + shown.err


def test_the_table_for_people_gives_counts_with_shares(files, capsys):
    """One line for each column: the verdict in words, then counts with percentages."""
    checked(files)
    shown = capsys.readouterr().out
    assert "complete to 2026-10-31" in shown
    line = next(line for line in shown.splitlines() if line.startswith("kind"))
    assert "look at it" in line
    assert "1 (33.3%)" in line
    assert "again (derived)" in shown


def test_a_file_that_cannot_be_read_is_refused_with_a_remedy(files, capsys):
    """The exit code tells a script, the message a person."""
    (files / "data" / "stay.csv").write_text("pid,came\n")
    assert checked(files) == 1
    assert "map it: from" in capsys.readouterr().err


def test_a_folder_without_any_table_is_not_good(files, capsys):
    """A mapping that nobody named, or a folder mistyped: the check does not end well, and says where to look."""
    (files / "data" / "stay.csv").rename(files / "data" / "export.csv")
    assert checked(files) == 1
    shown = capsys.readouterr()
    assert "no table of the catalogue has a file" in shown.out + shown.err
    assert "name the mapping in node.toml" in shown.out + shown.err


def test_without_a_home_or_a_catalogue_the_check_says_what_it_needs(files, capsys, monkeypatch):
    """Neither is guessed."""
    monkeypatch.delenv("FARR_HOME", raising=False)
    assert main(["node", "check"], {}) != 0
    assert "--home" in capsys.readouterr().err
    assert main(["node", "check", "--catalogue", str(files / "c.toml"), "--data", str(files / "none")], {}) != 0
    assert "is not a folder" in capsys.readouterr().err


COLUMN = ColumnReport(name="dx", rows=1000, missing=0, unusable=0, clipped=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, FINE),
        ({"unusable": 50}, FINE),
        ({"unusable": 51}, LOOK),
        ({"clipped": 51}, LOOK),
        ({"cut": 51}, LOOK),
        ({"unusable": 20, "clipped": 20, "cut": 20}, LOOK),
        ({"missing": 990}, FINE),
        ({"missing": 990, "unusable": 1}, LOOK),
        ({"missing": 1000}, NEVER),
        ({"rows": 0}, NEVER),
    ],
)
def test_above_five_percent_of_the_values_somebody_should_look(changes, said):
    """Of the values that are there: a column that is rarely filled and always wrong is not fine."""
    assert verdict(replace(COLUMN, **changes)) == said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_derived_column_is_put_in_words(files, language):
    """The columns that a rule reads are in its words."""
    texts.use(language)
    stay = read_catalogue((files / "c.toml").read_bytes(), "c.toml").table("stay")
    words = {derived.name: in_words(derived.rule) for derived in stay.derived}
    assert len(set(words.values())) == len(words)
    assert "31" in words["again"]
    assert "kind" in words["again"]
    assert "dx" in words["split"]
    assert "IX (chapter)" in words["heart"]


def test_the_catalogue_shows_lists_and_what_is_derived(files, capsys):
    """People and scripts see how a column comes about, and of what a table of elements is made."""
    assert main(["catalogue", "check", str(files / "c.toml")], {}) == 0
    shown = capsys.readouterr().out
    assert "one row for each element of others, poa in stay" in shown
    assert "a list of at most 3 codes" in shown
    assert main(["catalogue", "check", str(files / "c.toml"), "--json"], {}) == 0
    stay, diagnosis = json.loads(capsys.readouterr().out)["tables"]
    assert [each["most"] for each in stay["lists"]] == [3, 3]
    assert stay["derived"][0]["kind"] == "Near"
    assert diagnosis["each"] == {"table": "stay", "lists": ["others", "poa"]}
