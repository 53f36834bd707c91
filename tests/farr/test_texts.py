"""Texts for people: languages, templates, and that nothing lacks its Chinese."""

import gettext
import io
import re
import string
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import farr
from farr import texts
from farr.figures import tables
from farr.figures.result import MECHANISM
from farr.problems import problem_of
from protocols.codes import ADVICE
from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import FLAGS
from queries.errors import StatementError
from queries.sql import read


@pytest.fixture(autouse=True)
def english_afterwards(monkeypatch):
    """Leave the process speaking English."""
    monkeypatch.setenv("LANGUAGE", "en")
    yield
    texts.use("en")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8", "FARR_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "FARR_LANG": "en"}, "en"),
    ],
)
def test_the_language_is_farrs_own_setting_else_the_locale(environment, language):
    """FARR_LANG comes before LC_ALL, LC_MESSAGES and LANG; anything that is not Chinese is English."""
    assert texts.preferred(environment) == language


def test_carets_stand_under_wide_characters():
    """A caret line points at the right cells although Chinese characters are two cells wide."""
    text = "SELECT 意识,\nCOUNT(*) AS 人数 FROM 表 WHERE x"
    start = text.index("表")
    line, carets = tables.pointer(text, start, start + 1).split("\n")
    assert line == "COUNT(*) AS 人数 FROM 表 WHERE x"
    assert carets == " " * len("COUNT(*) AS xxxx FROM ") + "^^"


# --- completeness

ROOT = Path(farr.__file__).parent
PO = texts.FOLDER / "zh" / "LC_MESSAGES" / "farr.po"

LIBRARY = (
    "Usage:", "Options", "Arguments", "Commands", "Error", "Aborted.", "Show this message and exit.",
    "[default: {}]", "[env var: {}]", "[required]", "Usage: {usage}", "Error: {message}", "Missing command.",
)  # fmt: skip
"""Some of the command-line library's own words."""


def said_by_farr():
    """Return every text that farr/ marks for translation."""
    methods, keywords = [("**.py", "python")], {"_": None, "N_": None}
    return {found[2] for found in extract_from_dir(ROOT, method_map=methods, keywords=keywords)}


def chinese():
    """Return the translations."""
    with PO.open("rb") as file:
        catalogue = read_po(file, locale="zh")
    return {message.id: message.string for message in catalogue if message.id}


def places(text):
    """Return the places that a text fills in, without how they are formatted."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_no_text_of_farr_lacks_its_chinese():
    """Every text marked in farr/, every refusal code's advice and every flag has a Chinese text."""
    needed = said_by_farr() | set(ADVICE.values()) | set(FLAGS.values()) | {MECHANISM, "none"} | set(LIBRARY)
    assert sorted(needed - {text for text, translated in chinese().items() if translated}) == []


def test_translations_fill_in_the_same_places():
    """A Chinese text names exactly the places of the English one, so filling it in never fails."""
    wrong = [text for text, translated in chinese().items() if places(text) != places(translated)]
    assert wrong == []


def test_the_compiled_texts_are_those_of_the_po_file():
    """farr.mo holds what farr.po says: `make messages` was run."""
    with PO.open("rb") as file:
        compiled = io.BytesIO()
        write_mo(compiled, read_po(file, locale="zh"))
    kept = gettext.GNUTranslations(PO.with_suffix(".mo").open("rb"))
    fresh = gettext.GNUTranslations(io.BytesIO(compiled.getvalue()))
    assert {key: text for key, text in kept._catalog.items() if key} == {
        key: text for key, text in fresh._catalog.items() if key
    }


def test_finished_texts_of_other_packages_are_translated_by_their_templates():
    """A refusal with names in it is Chinese, with the names as they are."""
    texts.use("zh")
    translated = texts.translate("there is no column of admission called 'agee'")
    assert "admission" in translated
    assert "'agee'" in translated
    assert "列" in translated
    assert texts.translate("did you mean age?") == "是否指 age？"
    assert texts.translate("a text that nobody wrote") == "a text that nobody wrote"
    texts.use("en")
    assert texts.translate("did you mean age?") == "did you mean age?"


REFUSED = (
    "SELECT * FROM admission", "SELECT age FROM admission", "SELECT COUNT(*) FROM nowhere", "DROP TABLE admission",
    "SELECT MODE(age) FROM admission", "SELECT COUNT(*) FROM admission GROUP BY agee", "SELECT 1", "",
    "SELECT QUANTILE(sex, 0.5) FROM admission", "SELECT MEDIAN(age, age) FROM admission",
    "SELECT QUANTILE(age) FROM admission", "SELECT SQUARE(age) FROM admission", "SELECT SHARE(age) FROM admission",
    "SELECT sex, COUNT(*) FROM admission GROUP BY CUBE (sex)",
    "SELECT sex, COUNT(*) FROM admission GROUP BY ROLLUP (sex), consciousness",
    "SELECT COUNT(*) FROM admission JOIN b ON 1 = 1", "SELECT COUNT(*) FROM admission WHERE sex > 'F'",
    "SELECT COUNT(*) FROM admission WHERE sex = 'X'", "SELECT patient_id FROM admission",
    "SELECT COUNT(*) FROM admission; SELECT 1", "SELECT COUNT(*) FROM admission WHERE age = 'old'",
    "SELECT COUNT(*) FROM admission GROUP BY age", "SELECT SUM(sex) FROM admission", "WITH x AS (SELECT 1) SELECT 1",
    "SELECT COUNT(*) FROM (SELECT 1)", "SELECT COUNT(*) FROM admission LIMIT 0", "SELECT CASE WHEN 1 THEN 2 END",
    "SELECT COUNT(*) / 0 FROM admission", "SELECT COUNT(*) FROM admission WHERE admitted = '1991-13-01'",
    "SELECT COUNT(DISTINCT age) FROM admission", "SELECT BAND(age, 0) AS a, COUNT(*) FROM admission GROUP BY a",
)  # fmt: skip


@pytest.mark.parametrize("statement", REFUSED)
def test_a_refused_statement_is_explained_in_chinese(statement):
    """What is wrong and what to do both come in Chinese for every kind of refusal that a newcomer meets."""
    texts.use("zh")
    catalogue = read_catalogue((ROOT / "demo" / "stroke.toml").read_bytes(), "stroke.toml")
    with pytest.raises(StatementError) as refusal:
        read(statement, catalogue, {"one": {"country": "UK"}})
    problem = problem_of(refusal.value)
    assert re.search("[一-鿿]", problem.message), problem.message
    assert re.search("[一-鿿]", problem.remedy), problem.remedy
