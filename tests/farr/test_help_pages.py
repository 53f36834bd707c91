"""Help is shown whole on a narrow terminal, in both languages."""

import re

import pytest

from farr import texts
from farr.cli import main


@pytest.fixture(autouse=True)
def english_afterwards():
    """Leave the process speaking English."""
    yield
    texts.use("en")


def page(monkeypatch, capsys, *arguments):
    """Return a help page of eighty columns, and its text without the frame."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    assert main.main([*arguments, "--help"], {}) == 0
    shown = capsys.readouterr().out
    return shown, re.sub(r"[\s│]", "", shown)


@pytest.mark.parametrize("command", ["query", "train", "node", "lab"])
def test_no_chinese_text_ends_in_an_ellipsis(monkeypatch, capsys, command):
    """A Chinese sentence is one word to rich, which cuts a word that is longer than its column."""
    shown, _text = page(monkeypatch, capsys, "--lang", "zh", command)
    assert "用法" in shown
    assert "…" not in shown


def test_brackets_in_a_help_text_are_shown(monkeypatch, capsys):
    """`farr[plot]` is what is to be installed; `farr` is not."""
    assert "needsfarr[plot]." in page(monkeypatch, capsys, "query")[1]
