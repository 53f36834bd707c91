"""Figures as a picture writes them, and what the axis that they lie along is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from farr.cli.figures import figures, number
from farr.figures.units import in_words
from farr.plots.fonts import Script
from farr.texts import N_
from queries.answers.answer import AnswerColumn
from queries.answers.figures import Estimate


def axis_title(column: AnswerColumn, script: Script) -> str:
    """Return a column's name with its unit."""
    name = script.name(column.name, script.say(N_("figure")))
    unit = script.name(in_words(column.unit), column.unit)
    return f"{name} [{unit}]" if column.unit and column.unit != column.name else name


def written(found: Sequence[Estimate]) -> Iterator[str]:
    """Yield each figure with its half-width or interval, without marks."""
    yield from figures([replace(each, total_low=None, total_high=None) for each in found], marks=False)


def short(figure: Estimate) -> str:
    """Return a figure to the digits that its noise leaves."""
    if figure.value is None:
        return "–"
    if figure.below:
        return f"<{figure.below}"
    half = 0.0 if figure.low is None or figure.high is None else (figure.high - figure.low) / 2
    return number(figure.value, half) if half else f"{figure.value:,.4g}"
