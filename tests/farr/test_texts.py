"""Texts for people: languages, templates, and that nothing lacks its Chinese."""

import pytest

from farr import tables, texts


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
