"""Names of places and groups as a picture shows them: short, each different, and such that the fonts can write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from farr.plots.fonts import Script
from farr.plots.shape import Place
from farr.plots.sheet import shortened
from farr.texts import N_
from queries.series import Series

STEPS = {
    "year": (1, 2, 5, 10, 20, 50),
    "quarter": (1, 2, 4, 8, 20, 40),
    "month": (1, 2, 3, 6, 12, 24, 60, 120),
    "week": (1, 2, 4, 8, 13, 26, 52, 104, 260, 520),
    "day": (1, 2, 7, 14, 28, 91, 182, 364, 728),
}
"""By what a period is, how many of them lie between two ticks."""

YES_AND_NO = {"Y", "N"}
"""Codes of conditions."""

MOST_TICKS = 12
"""Of a time axis."""


def of_places(places: Sequence[Place], script: Script, *, cells: int, lines: int = 2) -> list[str]:
    """Return the labels of places in at most so many lines of so many cells; where two are the same, with the codes."""
    labels = [script.name(place.label, place.code.replace("\x1f", " · ")) for place in places]
    seen = Counter(labels)
    codes = [script.name(place.code.replace("\x1f", " · ")) for place in places]
    told = [
        f"{code} {label}" if seen[label] > 1 and code != label else label
        for label, code in zip(labels, codes, strict=True)
    ]
    return [shortened(label, cells, lines) for label in told]


def of_groups(groups: Sequence[Place], script: Script, name: str) -> list[str]:
    """Return the names of groups, which a legend or the end of a line shows; of a single one without a name, empty.

    ``name`` is that of their key; it stands before yes and no.
    """
    if {place.code for place in groups} <= YES_AND_NO:
        groups = [Place(code=place.code, label=f"{name}: {place.label}") for place in groups]
    return of_places(groups, script, cells=26, lines=2)


def ticks_of(codes: Sequence[str]) -> list[int]:
    """Return the positions of at most a dozen periods to name: where years, quarters or months begin."""
    period = Series.of(codes[:1], [0.0], 0.0).period
    step = next((step for step in STEPS[period] if len(codes) <= step * MOST_TICKS), STEPS[period][-1])
    if period == "month" and step > 1:
        within = min(12, step)
        first = next((at for at, code in enumerate(codes) if (int(code[5:7]) - 1) % within == 0), 0)
    elif period == "quarter" and step > 1:
        first = next((at for at, code in enumerate(codes) if code.endswith("Q1")), 0)
    else:
        first = 0
    return list(range(first, len(codes), step))


NOT_DRAWN = N_("{count:,} further groups are not drawn.")
"""Said under a picture."""
