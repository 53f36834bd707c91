"""An answer of several tables from one release, in every form that people get it in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from farr import texts
from farr.cli.figures import answer_table, footnotes
from farr.figures.result import flag_texts
from farr.questions.asking import Terms, half_widths
from protocols.wire_pb2 import Note
from queries.asked.view import Pages
from tests.farr import harbour

STATEMENT = "SELECT sex AS 性别, COUNT(*) AS 人数, COUNT(*) FILTER (WHERE sex = 'F') AS f FROM stay GROUP BY sex"


@pytest.fixture
def quay():
    """A coordinator."""
    return harbour.Quay()


@pytest.fixture
def asked(tmp_path, quay):
    """A client connected to it."""
    return harbour.federation(tmp_path / "home", quay)


@pytest.fixture
def pack(asked):
    """A question shown as two tables: numbers by sex, and the two sexes' women in descending order."""
    from queries.sql import read

    question = read(STATEMENT, asked.catalogue, asked.known.roster.nodes)
    view = question.view
    first = replace(view, title="各性别", columns=view.columns[:2])
    second = replace(view, title="women", columns=(view.columns[0], view.columns[2]), limit=1)
    return replace(question, pages=Pages(views=(first, second)))


def test_each_table_is_an_answer_of_its_own(asked, pack):
    """In the order of the views, each with its title, columns, rows and what is hidden of it."""
    result = asked.ask(pack)
    assert [each.title for each in result.answers] == ["各性别", "women"]
    assert [[column.name for column in each.columns] for each in result.answers] == [["性别", "人数"], ["性别", "f"]]
    assert [(len(each.rows), each.hidden) for each in result.answers] == [(2, 0), (1, 1)]
    assert result.answer is result.answers[0]


def test_json_lists_the_tables_and_says_the_rest_once(asked, pack):
    """With one table its columns and rows are at the top; with several they are in a list, each under its title."""
    plain = json.loads(json.dumps(asked.ask(pack).to_plain(), allow_nan=False))
    assert [table["title"] for table in plain["tables"]] == ["各性别", "women"]
    assert {"columns", "rows", "flags", "hidden"} <= plain["tables"][0].keys()
    assert not {"columns", "rows", "flags"} & plain.keys()
    assert {"privacy", "sites", "release", "cost", "remaining"} <= plain.keys()
    assert plain["privacy"]["noise_sd"].keys() == {"各性别: 人数", "women: f"}
    single = asked.ask(STATEMENT).to_plain()
    assert "tables" not in single
    assert {"columns", "rows", "title"} <= single.keys()


def test_each_table_is_a_frame_with_its_own_metadata(asked, pack):
    """By title; a frame's attributes are about its own table and about the whole release."""
    result = asked.ask(pack)
    frames = result.to_frames()
    assert list(frames) == ["各性别", "women"]
    assert list(frames["women"].columns) == ["性别", "f", "f_low", "f_high"]
    assert frames["各性别"].equals(result.to_frame())
    facts = frames["women"].attrs["farr"]
    assert facts["hidden"] == 1
    assert "tables" not in facts
    assert "rows" not in facts
    assert facts["release"] == frames["各性别"].attrs["farr"]["release"]


def test_a_frame_explains_its_flags_in_the_language_in_use(asked, pack, monkeypatch):
    """As the plain form and the footnotes do."""
    monkeypatch.setenv("LANGUAGE", "en")
    result = asked.ask(pack)
    texts.use("zh")
    try:
        said = {flag["code"]: flag["text"] for flag in result.to_frames()["women"].attrs["farr"]["flags"]}
        assert "selected" in said
        assert said == {code: text for code, text in flag_texts(result).items() if code in said}
        assert not said["selected"].isascii()
    finally:
        texts.use("en")


def test_footnotes_are_about_all_tables(asked, pack):
    """Marks of any table are explained once, hidden rows are counted over all of them."""
    result = asked.ask(pack)
    written = "\n".join(footnotes(result))
    assert "1 rows are not shown" in written
    assert [len(answer_table(each).columns) >= 2 for each in result.answers] == [True, True]


def test_a_dry_run_names_the_figures_of_every_table(asked, pack):
    """Each half-width stands under its table's title, also where two tables have a column of the same name."""
    asking = asked.estimate(pack, Terms(epsilon=1.0))
    assert half_widths(asking, asked.catalogue).keys() == {"各性别: 人数", "women: f"}


def test_a_hospital_that_lacks_some_of_the_tables_is_named(asked, quay):
    """It took part and was charged, but not in all figures: the result says which hospital that was."""
    lacking = harbour.SITES[1]
    quay.serve = lambda message: harbour.answer(message, notes={lacking: (Note.NOTE_SOME_TABLES_ABSENT,)})
    result = asked.ask(STATEMENT)
    assert result.sites.without_some == (lacking,)
    assert lacking not in result.sites.zeros
    assert lacking in result.sites.charged
    assert result.to_plain()["sites"]["without_some_tables"] == [lacking]
    assert any(lacking in line and "some of the tables" in line for line in footnotes(result))
