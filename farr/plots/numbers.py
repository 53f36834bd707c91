"""Single numbers: each written large, with its intervals under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.cli.figures import number
from farr.plots import intervals
from farr.plots.fonts import Script
from farr.plots.places import NOT_DRAWN
from farr.plots.shape import Laid
from farr.plots.sheet import INK, SAMPLING, UNRELIABLE, Drawn
from farr.plots.values import axis_title, short
from farr.texts import N_
from queries.answers.answer import AnswerColumn
from queries.answers.figures import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 16
"""Numbers of one picture."""

ACROSS = 2
"""Side by side."""

ROW = 1.0
"""Inches."""

NOISE = N_("95 %, noise only: {low} to {high}")
TOTAL = N_("95 %, noise and sampling: {low} to {high}")
UNKNOWN = N_("no interval")


def numbers(all_axes: list[Axes], laid: Laid, script: Script) -> Drawn:
    """Write figures that have no axis in common."""
    axes = all_axes[0]
    axes.set_axis_off()
    several = len(laid.columns) > 1
    found = [
        (_name(column, script.name(place.label, place.code), script, several=several), figure)
        for group in laid.groups
        for place in laid.along
        for column in laid.columns
        if (figure := laid.figures.get((column.name, group.code, place.code))) is not None
    ]
    shown = found[:MOST]
    across = ACROSS if len(shown) > 1 else 1
    rows = -(-len(shown) // across)
    axes.set_xlim(0, across)
    axes.set_ylim(rows, 0)
    for place, (name, figure) in enumerate(shown):
        _number(axes, (place % across + 0.02, place // across), name, figure, script)
    left = len(found) - len(shown)
    return Drawn(body=ROW * rows + 0.1, legend=(), notes=(script.say(NOT_DRAWN).format(count=left),) if left else ())


def _name(column: AnswerColumn, label: str, script: Script, *, several: bool) -> str:
    title = axis_title(column, script)
    return title if not label else f"{title} · {label}" if several else label


def _number(axes: Axes, at: tuple[float, int], name: str, figure: Estimate, script: Script) -> None:
    x, row = at
    solid = intervals.reliable(figure)
    color = INK if solid else SAMPLING
    axes.text(x, row + 0.12, name, fontsize=8.5, color="#5a5a5a", va="center")
    axes.text(x, row + 0.42, short(figure), fontsize=20, color=color, va="center")
    lines = [
        script.say(text).format(low=_end(low, figure), high=_end(high, figure))
        for text, low, high in ((NOISE, figure.low, figure.high), (TOTAL, figure.total_low, figure.total_high))
        if low is not None and high is not None
    ]
    lines = lines or [script.say(UNKNOWN)]
    lines += [] if solid else [script.say(UNRELIABLE)]
    axes.text(x, row + 0.62, "\n".join(lines), fontsize=7.5, color=color, va="top", linespacing=1.25)


def _end(end: float, figure: Estimate) -> str:
    return number(end, ((figure.high or 0.0) - (figure.low or 0.0)) / 2)
