"""Coefficients and ratios: a point with its intervals for each term, and the line of no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.plots import intervals
from farr.plots.fonts import Script
from farr.plots.places import NOT_DRAWN, of_groups, of_places
from farr.plots.shape import Laid
from farr.plots.sheet import DASHES, GROUPS, INK, SAMPLING, Drawn
from farr.plots.values import axis_title, written
from queries.answers.figures import Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MOST_TERMS, MOST_GROUPS = 40, 4
"""Of one picture."""

TERM = 0.3
"""Inches."""


def forest(all_axes: list[Axes], laid: Laid, script: Script) -> Drawn:
    """Draw the terms of a model. Ratios, never negative, are on a logarithmic axis about 1; others about 0."""
    from matplotlib.lines import Line2D

    terms, groups = laid.along[:MOST_TERMS], laid.groups[:MOST_GROUPS]
    names = of_places(terms, script, cells=34)
    for axes, column in zip(all_axes, laid.columns, strict=False):
        held: list[Estimate | None] = []
        for place, group in enumerate(groups):
            figures = laid.row(column, group)[: len(terms)]
            offset = (place - (len(groups) - 1) / 2) * 0.8 / len(groups)
            _points(axes, figures, offset, GROUPS[place] if len(groups) > 1 else INK)
            if len(groups) == 1:
                texts = written([figure for figure in figures if figure is not None])
                for at, figure in enumerate(figures):
                    if figure is not None:
                        color = INK if intervals.reliable(figure) else SAMPLING
                        axes.text(
                            1.01, at, next(texts), transform=axes.get_yaxis_transform(), va="center",
                            fontsize=8, color=color,
                        )  # fmt: skip
            held += figures
        _scale(axes, held, ratio=column.positive)
        axes.set_yticks(range(len(terms)), names)
        axes.set_ylim(len(terms) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x", color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(axis_title(column, script), fontsize=8.5)
    told: list[Artist] = [
        Line2D([], [], color=GROUPS[place], marker="s", linestyle="none", label=name)
        for place, name in enumerate(of_groups(groups, script, laid.group_name))
        if len(groups) > 1
    ]
    everything = [figure for column in laid.columns for group in groups for figure in laid.row(column, group)]
    left = len(laid.along) - len(terms) + len(laid.groups) - len(groups)
    rows = len(terms) * (1 + 0.5 * (len(groups) - 1)) + 0.45 * sum(name.count("\n") for name in names)
    return Drawn(
        body=len(all_axes) * (TERM * rows + 0.75),
        legend=(*told, *intervals.legend(everything, script, hatched=False)),
        notes=(script.say(NOT_DRAWN).format(count=left),) if left else (),
    )


def _points(axes: Axes, figures: list[Estimate | None], offset: float, color: str) -> None:
    for place, figure in enumerate(figures):
        if figure is None or figure.value is None:
            continue
        solid = intervals.reliable(figure)
        intervals.whisker(axes, place + offset, figure, upright=False)
        axes.plot(
            [figure.value], [place + offset], marker="s" if solid else "o", markersize=6, zorder=6,
            color=color if solid else SAMPLING, markerfacecolor=color if solid else "white",
        )  # fmt: skip


def _scale(axes: Axes, figures: list[Estimate | None], *, ratio: bool) -> None:
    found = [figure for figure in figures if figure is not None]
    values = [figure.value for figure in found if figure.value is not None]
    if ratio and values and min(values) > 0:
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

        ends = [end for figure in found if intervals.reliable(figure) for end in intervals.ends_of(figure) if end > 0]
        ends += [*values, 1.0]
        axes.set_xscale("log")
        axes.set_xlim(max(min(ends) / 1.15, 1e-3), min(max(ends) * 1.15, 1e3))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.axvline(1.0, color=INK, linewidth=0.9, linestyle=DASHES[1])
        return
    axes.set_xlim(intervals.limits(figures, about=[0.0]))
    axes.axvline(0.0, color=INK, linewidth=0.9, linestyle=DASHES[1])
