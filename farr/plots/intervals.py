"""Intervals of figures: noise only dark, with the sampling error light and longer; and axes that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from farr.plots.fonts import Script
from farr.plots.sheet import FAINT, NOISE, NOISE_ONLY, SAMPLING, UNRELIABLE, WITH_SAMPLING
from queries.answers.figures import SUPPRESS, Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

WIDEST = 1.0
"""How far an axis goes for intervals of unreliable figures, in lengths of what it holds without them."""

HATCH = "////"


def reliable(figure: Estimate) -> bool:
    """Return whether a figure may be shown as one; of a test without an interval, whether it has a value."""
    return figure.reliability != SUPPRESS


def ends_of(figure: Estimate) -> list[float]:
    """Return what an axis must hold of a figure: its value and the ends of its intervals."""
    ends = (figure.value, figure.low, figure.high, figure.total_low, figure.total_high)
    return [end for end in ends if end is not None]


def limits(
    figures: Iterable[Estimate | None], *, include: Sequence[float] = (), about: Sequence[float] = ()
) -> tuple[float, float]:
    """Return the ends of an axis: all intervals of reliable figures, the others within twice that length.

    ``include``: values that may lie at the very end, such as the zero that bars stand on; ``about``: values inside.
    Where no figure is reliable, the half with the shortest intervals counts as if it were.
    """
    found = sorted((figure for figure in figures if figure is not None and ends_of(figure)), key=_length)
    held = [end for figure in found if reliable(figure) for end in ends_of(figure)]
    if not held:
        held = [end for figure in found[: -(-len(found) // 2)] for end in ends_of(figure)]
    inner = [*held, *include, *about]
    if not inner:
        return 0.0, 1.0
    low, high = min(inner), max(inner)
    length = (high - low) or abs(high) or 1.0
    loose = [end for figure in found for end in ends_of(figure)]
    low, high = max(min([*loose, low]), low - WIDEST * length), min(max([*loose, high]), high + WIDEST * length)
    pad = 0.04 * (high - low or length)
    return low - (0.0 if low in include else pad), high + (0.0 if high in include else pad)


def _length(figure: Estimate) -> float:
    return max(ends_of(figure)) - min(ends_of(figure))


def whisker(axes: Axes, at: float, figure: Estimate, *, upright: bool, color: str = NOISE) -> None:
    """Draw the intervals of a figure at a place; ``upright``: values run upwards."""
    weak = not reliable(figure)
    if figure.total_low is not None and figure.total_high is not None:
        light = FAINT if weak else SAMPLING
        _line(axes, at, (figure.total_low, figure.total_high), upright=upright, color=light, width=1.3, cap=4.0)
    if figure.low is not None and figure.high is not None:
        dark = SAMPLING if weak else color
        _line(axes, at, (figure.low, figure.high), upright=upright, color=dark, width=2.6, cap=0.0)


def legend(figures: Iterable[Estimate | None], script: Script, *, hatched: bool = True) -> list[Artist]:
    """Return what the legend says of the intervals that there are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found = [figure for figure in figures if figure is not None]
    entries: list[Artist] = []
    if any(figure.low is not None and figure.high is not None for figure in found):
        entries.append(Line2D([], [], color=NOISE, linewidth=2.6, label=script.say(NOISE_ONLY)))
    if any(figure.total_low is not None for figure in found):
        entries.append(Line2D([], [], color=SAMPLING, linewidth=1.3, label=script.say(WITH_SAMPLING)))
    if not all(reliable(figure) for figure in found):
        label = script.say(UNRELIABLE)
        entries.append(
            Patch(facecolor="white", edgecolor=SAMPLING, hatch=HATCH, label=label)
            if hatched
            else Line2D([], [], color=SAMPLING, marker="o", markerfacecolor="white", label=label)
        )
    return entries


def _line(
    axes: Axes, at: float, ends: tuple[float, float], *, upright: bool, color: str, width: float, cap: float
) -> None:
    places = ([at, at], list(ends)) if upright else (list(ends), [at, at])
    marker = ("_" if upright else "|") if cap else None
    axes.plot(
        *places,
        color=color,
        linewidth=width,
        marker=marker,
        markersize=cap,
        solid_capstyle="butt",
        zorder=4 - bool(cap),
    )
