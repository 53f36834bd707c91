"""Pairs of codes as a graph: codes on a circle, the heavier a pair the thicker its line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from farr.errors import FarrError
from farr.figures.graph import Graph
from farr.plots.fonts import Script
from farr.plots.sheet import FILL, GROUPS, INK, Drawn, shortened
from farr.texts import N_, _

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_EDGES = 30
"""The heaviest; more would hide each other."""

THICKEST = 7.0
"""Points."""


def network(axes: Axes, graph: Graph, script: Script) -> Drawn:
    """Draw the heaviest pairs that the noise alone cannot explain; raise FarrError where there is none."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch

    certain = graph.certain()
    drawn = certain.heaviest(MOST_EDGES)
    if not drawn.edges:
        raise FarrError(
            "no-graph",
            _("no pair is above the noise"),
            remedy=_("ask with more epsilon, or for a coarser level of the codes"),
        )
    at = {node.id: place for node, place in zip(drawn.nodes, _circle(len(drawn.nodes)), strict=True)}
    weights = [abs(edge.weight.value or 0.0) for edge in drawn.edges]
    for edge, weight in zip(drawn.edges, weights, strict=True):
        width = max(0.4, THICKEST * weight / max(weights))
        if edge.source == edge.target:
            axes.plot(*at[edge.source], marker="o", markersize=9 + 2 * width, color=GROUPS[1], zorder=2)
            continue
        axes.add_patch(
            FancyArrowPatch(
                at[edge.source], at[edge.target], connectionstyle="arc3,rad=0.12", arrowstyle="-|>",
                mutation_scale=7 + width, linewidth=width, color=GROUPS[0], alpha=0.55, shrinkA=6, shrinkB=7, zorder=3,
            )
        )  # fmt: skip
    for node in drawn.nodes:
        x, y = at[node.id]
        axes.plot(x, y, marker="o", markersize=9, color=FILL, markeredgecolor=INK, zorder=4)
        code = node.id.partition(":")[2] if node.column else node.id
        label = script.name(node.label, code)
        text = shortened(label if label == code else f"{code} {label}", 26, 2)
        across = "center" if abs(x) < 0.15 else "left" if x > 0 else "right"  # noqa: PLR2004  near the top or bottom
        axes.text(x * 1.07, y * 1.09, text, ha=across, va="center", fontsize=7.5, color=INK)
    axes.set_xlim(-1.9, 1.9)
    axes.set_ylim(-1.17, 1.17)
    axes.set_aspect("equal")
    axes.set_axis_off()
    heaviest, lightest = drawn.edges[0], drawn.edges[-1]
    name = script.name(graph.weight, script.say(N_("figure")))
    legend = [
        Line2D([], [], color=GROUPS[0], alpha=0.6, linewidth=max(0.4, THICKEST * weight / max(weights)),
               label=f"{name} {edge.weight.value:,.4g}")
        for edge, weight in ((heaviest, weights[0]), (lightest, weights[-1]))
    ]  # fmt: skip
    if any(edge.source == edge.target for edge in drawn.edges):
        alone = script.say(N_("a code with itself"))
        legend.append(Line2D([], [], color=GROUPS[1], marker="o", linestyle="none", markersize=9, label=alone))
    note = script.say(N_("Drawn: the {drawn} heaviest of {certain} pairs above the noise; {all} pairs were asked."))
    return Drawn(
        body=4.7,
        legend=tuple(legend),
        notes=(note.format(drawn=len(drawn.edges), certain=len(certain.edges), all=len(graph.edges)),),
    )


def _circle(count: int) -> list[tuple[float, float]]:
    angles = math.pi / 2 - 2 * math.pi * np.arange(count) / max(1, count)
    return [(1.15 * math.cos(angle), math.sin(angle)) for angle in angles]
