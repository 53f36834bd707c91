"""Heat maps: two keys and one figure; lighter is more, each cell with its value where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from farr.plots import intervals
from farr.plots.fonts import Script
from farr.plots.places import NOT_DRAWN, of_groups, of_places
from farr.plots.shape import Laid
from farr.plots.sheet import SAMPLING, UNRELIABLE, Drawn
from farr.plots.values import axis_title, short
from queries.answers.figures import Estimate
from queries.answers.quantity import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MOST_ROWS, MOST_COLUMNS = 40, 30
"""Of one map."""

ROOM = 14
"""Columns up to which cells hold their values."""

CELL = 0.3
"""Inches."""


def heat(all_axes: list[Axes], laid: Laid, script: Script) -> Drawn:
    """Draw a map for each figure: the key along the axis in rows, the others in columns."""
    from matplotlib.patches import Patch

    places, groups = laid.along[:MOST_ROWS], laid.groups[:MOST_COLUMNS]
    rows, across = of_places(places, script, cells=30), of_groups(groups, script, laid.group_name)
    weak = False
    for axes, column in zip(all_axes, laid.columns, strict=False):
        figures = [laid.row(column, group)[: len(places)] for group in groups]
        values = np.array(
            [
                [np.nan if figure is None or figure.value is None else figure.value for figure in each]
                for each in figures
            ]
        ).T
        image = axes.imshow(values, aspect="auto", cmap="cividis", interpolation="none")
        figure = axes.figure
        bar = figure.colorbar(image, ax=axes, pad=0.015, fraction=0.05)
        bar.set_label(axis_title(column, script), fontsize=8.5)
        bar.ax.tick_params(labelsize=7.5)
        bar.outline.set_visible(False)
        weak |= _cells(axes, figures, values, image)
        axes.set_yticks(range(len(places)), rows)
        narrow = len(groups) > 6 or max(len(name) for name in across) > 14  # noqa: PLR2004  what fits side by side
        axes.set_xticks(
            range(len(groups)), across, rotation=40 if narrow else 0, ha="right" if narrow else "center",
            rotation_mode="anchor" if narrow else None,
        )  # fmt: skip
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel(script.name(laid.along_name, laid.scale), fontsize=8.5)
    all_axes[-1].set_xlabel(script.name(laid.group_name), fontsize=8.5)
    left = len(laid.along) - len(places) + len(laid.groups) - len(groups)
    hatched = Patch(facecolor="white", edgecolor=SAMPLING, hatch=intervals.HATCH, label=script.say(UNRELIABLE))
    return Drawn(
        body=len(all_axes) * (max(1.6, CELL * len(places) * (1.3 if len(groups) <= ROOM else 1.0)) + 1.1),
        legend=(hatched,) if weak else (),
        notes=(script.say(NOT_DRAWN).format(count=left),) if left else (),
    )


def _cells(axes: Axes, figures: list[list[Estimate | None]], values: Floats, image: AxesImage) -> bool:
    """Write the values and hatch what is unreliable; return whether anything is."""
    from matplotlib.patches import Rectangle

    weak = False
    roomy = len(figures) <= ROOM
    for across, each in enumerate(figures):
        for down, figure in enumerate(each):
            if figure is None or figure.value is None:
                continue
            dark = float(np.asarray(image.norm(values[down, across]))) < 0.55  # noqa: PLR2004  where cividis turns light
            if not intervals.reliable(figure):
                weak = True
                axes.add_patch(
                    Rectangle(
                        (across - 0.5, down - 0.5), 1, 1, facecolor="white", edgecolor=SAMPLING,
                        hatch=intervals.HATCH, linewidth=0.3,
                    )
                )  # fmt: skip
                dark = False
            if roomy:
                text = short(figure)
                if figure.low is not None and figure.high is not None and len(figures) <= ROOM // 2:
                    half = Estimate(value=(figure.high - figure.low) / 2, low=figure.low, high=figure.high, flags=())
                    text += f" ± {short(half)}"
                axes.text(
                    across, down, text, ha="center", va="center", fontsize=7,
                    color="white" if dark else "#111111",
                    bbox=None if intervals.reliable(figure) else
                    {"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                )  # fmt: skip
    return weak
