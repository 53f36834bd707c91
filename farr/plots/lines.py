"""Lines with bands: series over a calendar, distributions, and survival curves as steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from farr.figures.units import in_words
from farr.plots import intervals
from farr.plots.fonts import Script
from farr.plots.places import NOT_DRAWN, of_groups, of_places, ticks_of
from farr.plots.shape import TIME, Laid, Place, Shape
from farr.plots.sheet import DASHES, GROUPS, INK, NOISE_ONLY, SAMPLING, WITH_SAMPLING, Drawn
from farr.plots.values import axis_title
from farr.texts import N_
from queries.agreed.scales import DATE
from queries.answers.figures import Estimate
from queries.answers.quantity import Floats

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MOST_LINES = 8
"""Of one picture: more colours cannot be told apart."""

MANY = 60
"""Points from which on none is marked by itself."""

NOISE_SHADE, TOTAL_SHADE = 0.38, 0.16
"""Opacity of bands: the noise-only one darker."""

UNRELIABLE_POINTS = N_("open points: the noise is more than a third of the value")


def lines(all_axes: list[Axes], laid: Laid, script: Script) -> Drawn:
    """Draw one line for each group along a calendar, times or a distribution, named at its end."""
    groups = laid.groups[:MOST_LINES]
    stepped = laid.shape is Shape.CURVE
    at = positions(laid)
    names = of_groups(groups, script, laid.group_name)
    weak = False
    for axes, column in zip(all_axes, laid.columns, strict=False):
        ends: list[tuple[float, str, str]] = []
        held: list[Estimate | None] = []
        for place, group in enumerate(groups):
            figures = laid.row(column, group)
            color = GROUPS[place]
            weak |= _line(axes, at, figures, color=color, dash=DASHES[place], stepped=stepped)
            last = next((figure.value for figure in reversed(figures) if figure and figure.value is not None), None)
            if names[place] and last is not None:
                ends.append((last, names[place], color))
            held += figures
        _held(axes, held, stepped=stepped, positive=column.positive)
        _named(axes, ends)
        axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylabel(axis_title(column, script), fontsize=8.5)
        label(axes, laid.along, at, laid.scale, script)
        if stepped:
            axes.set_xlim(min(0.0, float(at.min())), 1.01 * _last(at, held))
    all_axes[-1].set_xlabel(_along(laid, script), fontsize=8.5)
    left = len(laid.groups) - len(groups)
    return Drawn(
        body=len(all_axes) * 3.1,
        legend=tuple(_legend(laid, script, weak=weak and not stepped)),
        notes=(script.say(NOT_DRAWN).format(count=left),) if left else (),
    )


def _along(laid: Laid, script: Script) -> str:
    """Return the name of the axis; of times, whose ticks are numbers, with the unit that their labels end in."""
    name = script.name(laid.along_name, laid.scale)
    unit = laid.along[0].label.removeprefix(laid.along[0].code).strip() if laid.scale == TIME else ""
    return f"{name} [{script.name(in_words(unit), unit)}]" if unit else name


def _last(at: Floats, figures: list[Estimate | None]) -> float:
    """Return the last time that any curve is known at; ``figures`` are those of all curves, one after the other."""
    places = [place % len(at) for place, figure in enumerate(figures) if figure and figure.value is not None]
    return float(at[max(places, default=len(at) - 1)])


def positions(laid: Laid) -> Floats:
    """Return where places lie: one apart, or at the numbers that they are."""
    if laid.scale != DATE:
        try:
            return np.array([float(place.code) for place in laid.along])
        except ValueError:
            pass
    return np.arange(len(laid.along), dtype=np.float64)


def label(axes: Axes, places: tuple[Place, ...], at: Floats, scale: str, script: Script) -> None:
    """Name the places along an axis, as many as there is room for."""
    if scale == DATE:
        codes = [place.code for place in places]
        ticks = ticks_of(codes)
        axes.set_xticks(ticks, [codes[tick] for tick in ticks])
        axes.set_xlim(-0.5, len(places) - 0.5)
    elif not np.array_equal(at, np.arange(len(places))) or all(place.code == f"{n}" for n, place in enumerate(places)):
        return
    else:
        axes.set_xticks(at, of_places(places, script, cells=12))


def _line(axes: Axes, at: Floats, figures: list[Estimate | None], *, color: str, dash: object, stepped: bool) -> bool:
    """Draw one line with its bands; return whether any of its points is unreliable."""
    value, low, high, total_low, total_high = (
        np.array([np.nan if figure is None or (end := getattr(figure, name)) is None else end for figure in figures])
        for name in ("value", "low", "high", "total_low", "total_high")
    )
    if stepped and len(at) and at.min() > 0:
        # All are there at the start.
        at = np.concatenate([[0.0], at])
        value, low, high, total_low, total_high = (
            np.concatenate([[1.0], each]) for each in (value, low, high, total_low, total_high)
        )
    known = np.flatnonzero(np.isfinite(value))
    if stepped and len(known):
        # The last estimate has no step after it to show its interval on.
        end = known[-1]
        at, value, low, high, total_low, total_high = (
            each[: end + 1] for each in (at, value, low, high, total_low, total_high)
        )
        last = next(figure for figure in reversed(figures) if figure is not None and figure.value is not None)
        intervals.whisker(axes, float(at[-1]), last, upright=True, color=color)
    step: Literal["post"] | None = "post" if stepped else None
    axes.fill_between(at, total_low, total_high, step=step, color=color, alpha=TOTAL_SHADE, linewidth=0)
    axes.fill_between(at, low, high, step=step, color=color, alpha=NOISE_SHADE, linewidth=0)
    axes.plot(at, value, color=color, linestyle=dash, linewidth=1.6, drawstyle="steps-post" if stepped else "default")
    if stepped:
        return False
    weak = np.array([figure is not None and not intervals.reliable(figure) for figure in figures])
    size = 4.0 if len(at) <= MANY else 2.5
    if len(at) <= MANY:
        axes.plot(at[~weak], value[~weak], color=color, linestyle="none", marker="o", markersize=size)
    axes.plot(
        at[weak], value[weak], color=color, linestyle="none", marker="o", markersize=size, markerfacecolor="white",
        markeredgewidth=0.9,
    )  # fmt: skip
    return bool(weak.any())


def _held(axes: Axes, held: list[Estimate | None], *, stepped: bool, positive: bool) -> None:
    if stepped:
        axes.set_ylim(-0.02, 1.04)
        return
    low, high = intervals.limits(held)
    near = positive and low > 0 and low < 0.5 * high
    axes.set_ylim(0.0 if near else low, high)
    if low < 0 < high:
        axes.axhline(0.0, color=INK, linewidth=0.8)


def _named(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Write the names of lines at their right ends, moved apart where they would lie on each other."""
    if not ends:
        return
    bottom, top = axes.get_ylim()
    height = (top - bottom) * 0.075
    order = sorted(range(len(ends)), key=lambda place: ends[place][0])
    at = [min(max(ends[place][0], bottom), top) for place in order]
    for place in range(1, len(at)):
        at[place] = max(at[place], at[place - 1] + height)
    excess = max(0.0, at[-1] - top)
    at = [each - excess for each in at]
    for place, y in zip(order, at, strict=True):
        _value, name, color = ends[place]
        axes.text(
            1.012, y, name, transform=axes.get_yaxis_transform(), color=color, va="center", fontsize=8, linespacing=0.95
        )


def _legend(laid: Laid, script: Script, *, weak: bool) -> list[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Artist] = [Patch(color=SAMPLING, alpha=0.85, label=script.say(NOISE_ONLY))]
    if any(column.total for column in laid.columns):
        entries.append(Patch(color=SAMPLING, alpha=0.35, label=script.say(WITH_SAMPLING)))
    if weak:
        entries.append(
            Line2D([], [], color=INK, marker="o", markerfacecolor="white", linestyle="none",
                   label=script.say(UNRELIABLE_POINTS))
        )  # fmt: skip
    return entries
