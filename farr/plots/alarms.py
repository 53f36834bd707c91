"""A series with its alarms: the released figures, what was to be expected, the threshold, and where it was passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from farr.plots import intervals
from farr.plots.fonts import Script
from farr.plots.lines import NOISE_SHADE, label
from farr.plots.shape import Place
from farr.plots.sheet import ALARM, GROUPS, INK, NOISE_ONLY, SAMPLING, Drawn
from farr.plots.values import axis_title
from farr.texts import N_
from queries.agreed.scales import DATE
from queries.answers.answer import AnswerColumn
from queries.answers.figures import Estimate
from queries.answers.quantity import Floats
from queries.series import Alarms, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 12
"""Runs of alarms that are named in the picture."""

NEAR = 0.1
"""Share of the axis that a name takes."""

RAISED, EXPECTED, THRESHOLD = N_("alarm ({method})"), N_("expected"), N_("threshold, noise included")
NONE_RAISED = N_("no alarm ({method})")


def series(axes: Axes, column: AnswerColumn, figures: list[Estimate | None], alarms: Alarms, script: Script) -> Drawn:
    """Draw a series as it was judged; ``figures`` are those of the periods, with their intervals."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    at = np.arange(len(alarms.periods), dtype=np.float64)
    value, expected, threshold = (_numbers(alarms, name) for name in ("value", "expected", "threshold"))
    low, high = (
        np.array([np.nan if figure is None or (end := getattr(figure, name)) is None else end for figure in figures])
        for name in ("low", "high")
    )
    axes.fill_between(at, low, high, color=GROUPS[0], alpha=NOISE_SHADE, linewidth=0)
    axes.plot(at, value, color=GROUPS[0], linewidth=1.3)
    axes.plot(at, expected, color=INK, linewidth=1.1, linestyle="--")
    axes.plot(at, threshold, color=SAMPLING, linewidth=1.2, linestyle=":", drawstyle="steps-mid")
    raised = [place for place, judged in enumerate(alarms.periods) if judged.alarm]
    axes.plot(at[raised], value[raised], linestyle="none", marker="^", markersize=8, color=ALARM, zorder=5)
    runs = _runs(raised)
    beside, up = -len(at), 7
    for first, last in runs if len(runs) <= MOST_NAMED else []:
        # Names of alarms that are near each other stand one above the other.
        up = 16 if up == 7 and first - beside < NEAR * len(at) else 7  # noqa: PLR2004  the lower of two rows
        beside = last
        ends = dict.fromkeys(alarms.periods[place].label for place in (first, last))
        axes.annotate(
            " – ".join(ends), ((first + last) / 2, np.nanmax(value[first : last + 1])), xytext=(0, up),
            textcoords="offset points", ha="center", fontsize=7, color=ALARM,
        )  # fmt: skip
    tops = [end for end in (*value, *threshold) if np.isfinite(end)]
    axes.set_ylim(intervals.limits([*figures, *_as_figures(tops)]))
    bottom, top = axes.get_ylim()
    axes.set_ylim(min(bottom, 0.0), top + 0.06 * (top - bottom))
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel(axis_title(column, script), fontsize=8.5)
    label(axes, tuple(Place(code=each.label, label=each.label) for each in alarms.periods), at, DATE, script)
    told = script.say(RAISED if raised else NONE_RAISED).format(method=alarms.method)
    return Drawn(
        body=3.4,
        legend=(
            Patch(color=GROUPS[0], alpha=NOISE_SHADE, label=script.say(NOISE_ONLY)),
            Line2D([], [], color=INK, linewidth=1.1, linestyle="--", label=script.say(EXPECTED)),
            Line2D([], [], color=SAMPLING, linewidth=1.2, linestyle=":", label=script.say(THRESHOLD)),
            Line2D([], [], color=ALARM, linestyle="none", marker="^", markersize=8, label=told),
        ),
        notes=() if alarms.warning is None else (script.say(alarms.warning),),
    )


def _numbers(alarms: Alarms, name: str) -> Floats:
    def of(judged: Judged) -> float:
        found = getattr(judged, name)
        return float(found) if found is not None and np.isfinite(found) else np.nan

    return np.array([of(judged) for judged in alarms.periods])


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of neighbours."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place - 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _as_figures(ends: list[float]) -> list[Estimate]:
    return [Estimate(value=end, low=end, high=end, flags=()) for end in ends]
