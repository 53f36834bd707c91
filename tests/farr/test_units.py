"""Units as people read them: their Chinese, what is written alike in all languages, and rows."""

import gettext
import io
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from farr import texts
from farr.figures.units import UNITS, in_words, with_unit

PO = Path(texts.__file__).parent / "locale" / "zh" / "LC_MESSAGES" / "farr.po"


@pytest.fixture
def chinese(monkeypatch):
    """Speak the Chinese of the source file, whether or not it was compiled."""
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(PO.read_bytes())))
    compiled.seek(0)
    monkeypatch.setattr(texts._current, "messages", gettext.GNUTranslations(compiled))


@pytest.mark.usefixtures("chinese")
def test_usual_units_are_chinese_with_their_powers():
    """Days squared are still squared; a unit that is written alike everywhere, or that nobody knows, stays."""
    assert [in_words(unit) for unit in ("days", "days²", "mmHg", "furlongs", "")] == [
        "天",
        "天²",
        "mmHg",
        "furlongs",
        "",
    ]
    assert [unit for unit in UNITS if in_words(unit).isascii()] == []


def test_rows_need_no_unit():
    """A count of rows stands by itself; what has a unit says it."""
    texts.use("en")
    assert [with_unit("n", unit) for unit in ("rows", "", "days²")] == ["n", "n", "n [days²]"]
