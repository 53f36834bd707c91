"""Bars: one for each code with its interval, or columns for each band; unreliable ones are hatched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.plots import intervals
from farr.plots.fonts import Script
from farr.plots.places import NOT_DRAWN, of_groups, of_places
from farr.plots.shape import Laid
from farr.plots.sheet import FILL, GROUPS, INK, SAMPLING, Drawn
from farr.plots.values import axis_title, written
from queries.answers.figures import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 40
"""Bars of one picture; the first of the answer."""

MOST_PLACES = 60
"""Places of columns."""

BAR = 0.31
"""Inches."""

ROOM = 110
"""Cells that the names of columns have side by side."""

LONG = 16
"""Cells from which on a name is broken into lines."""

SHARE = 0.8
"""Of a place that its bars take."""


def bars(all_axes: list[Axes], laid: Laid, script: Script) -> Drawn:
    """Draw a horizontal bar for each code, one set of axes for each figure."""
    shown = laid.along[:MOST_BARS]
    names = of_places(shown, script, cells=34)
    for axes, column in zip(all_axes, laid.columns, strict=False):
        figures = laid.row(column, laid.groups[0])[: len(shown)]
        texts = written([figure for figure in figures if figure is not None])
        _bars(axes, figures, upright=False, color=FILL, offset=0.0, width=0.62)
        for at, figure in enumerate(figures):
            if figure is not None:
                axes.text(
                    1.01, at, next(texts), transform=axes.get_yaxis_transform(), va="center", fontsize=8,
                    color=INK if intervals.reliable(figure) else SAMPLING,
                )  # fmt: skip
        axes.set_yticks(range(len(shown)), names)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(intervals.limits(figures, include=[0.0]))
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.grid(visible=True, axis="x", color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(axis_title(column, script), fontsize=8.5)
    figures = [figure for column in laid.columns for figure in laid.row(column, laid.groups[0])]
    rows = len(shown) + sum(name.count("\n") for name in names) * 0.45
    return Drawn(
        body=len(all_axes) * (BAR * rows + 0.62),
        legend=tuple(intervals.legend(figures, script)),
        notes=_left_out(len(laid.along) - len(shown), script),
    )


def columns(all_axes: list[Axes], laid: Laid, script: Script) -> Drawn:
    """Draw a column for each band, side by side for each group."""
    from matplotlib.patches import Patch

    shown = laid.along[:MOST_PLACES]
    every = _every([place.label for place in shown])
    names = of_places(shown, script, cells=max(5, ROOM * every // max(1, len(shown))), lines=2)
    width = SHARE / len(laid.groups)
    for axes, column in zip(all_axes, laid.columns, strict=False):
        held = []
        for place, group in enumerate(laid.groups):
            figures = laid.row(column, group)[: len(shown)]
            color = FILL if len(laid.groups) == 1 else GROUPS[place]
            offset = (place - (len(laid.groups) - 1) / 2) * width
            _bars(axes, figures, upright=True, color=color, offset=offset, width=width * 0.92)
            held += figures
        axes.set_xticks(range(0, len(shown), every), names[::every])
        axes.set_xlim(-0.6, len(shown) - 0.4)
        axes.set_ylim(intervals.limits(held, include=[0.0]))
        axes.axhline(0.0, color=INK, linewidth=0.8)
        axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylabel(axis_title(column, script), fontsize=8.5)
    all_axes[-1].set_xlabel(script.name(laid.along_name, laid.scale), fontsize=8.5)
    groups = [
        Patch(facecolor=GROUPS[place], label=name)
        for place, name in enumerate(of_groups(laid.groups, script, laid.group_name))
        if len(laid.groups) > 1
    ]
    figures = [figure for column in laid.columns for group in laid.groups for figure in laid.row(column, group)]
    return Drawn(
        body=len(all_axes) * 2.9,
        legend=(*groups, *intervals.legend(figures, script)),
        notes=_left_out(len(laid.along) - len(shown), script),
    )


def _bars(
    axes: Axes, figures: list[Estimate | None], *, upright: bool, color: str, offset: float, width: float
) -> None:
    for place, figure in enumerate(figures):
        if figure is None or figure.value is None:
            continue
        at = place + offset
        solid = intervals.reliable(figure)
        style = (
            {"color": color}
            if solid
            else {"facecolor": "white", "edgecolor": SAMPLING, "hatch": intervals.HATCH, "linewidth": 0.8}
        )
        if upright:
            axes.bar(at, figure.value, width=width, **style)
        else:
            axes.barh(at, figure.value, height=width, **style)
        intervals.whisker(axes, at, figure, upright=upright)


def _every(labels: list[str]) -> int:
    """Return how many columns one name stands for, so that names fit beside each other."""
    from rich.cells import cell_len

    longest = min(LONG, max(map(cell_len, labels), default=1) + 1)
    return max(1, -(-len(labels) * longest // ROOM))


def _left_out(count: int, script: Script) -> tuple[str, ...]:
    return (script.say(NOT_DRAWN).format(count=count),) if count > 0 else ()
