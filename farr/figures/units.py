"""Units as people read them: those of Farr itself and the usual ones of catalogues, in the language in use."""

from __future__ import annotations

from farr.texts import N_, _

UNITS = (
    N_("rows"), N_("patients"), N_("site-patients"), N_("cases"), N_("deaths"), N_("points"),
    N_("years"), N_("days"), N_("hours"), N_("minutes"), N_("1/min"), N_("CNY"), N_("BRL"),
)  # fmt: skip
"""Units that have a word in other languages; the others, such as mmHg, are written alike in all."""

POWERS = "²³"


def in_words(unit: str) -> str:
    """Return a unit in the language in use, powers kept; files and JSON have it as the catalogue does."""
    word = unit.rstrip(POWERS)
    return _(word) + unit[len(word) :] if word in UNITS else unit


def with_unit(name: str, unit: str) -> str:
    """Return the name of a column with its unit in brackets; rows need none."""
    return f"{name} [{in_words(unit)}]" if unit and unit != "rows" else name
