"""The sheet that every picture is on: its title, its legend, what it cost and where it comes from, its colours.

Colours differ in lightness as well as in hue (Okabe and Ito's, and cividis), so that pictures work for colour-blind
readers and in grey print.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.plots.fonts import LATIN, Script
from farr.texts import N_, _

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches."""

DOTS = 150
"""Of a PNG, per inch."""

SUFFIXES = (".png", ".svg", ".pdf")
"""Of files that a picture can be saved in."""

INK, NOISE, SAMPLING, FAINT, FILL, ALARM = "#222222", "#1b1b1b", "#747474", "#b9b9b9", "#7fb2d9", "#d55e00"

GROUPS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#8a7b00")
"""Of up to eight groups."""

DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)), (0, (3, 1, 1, 1)))
"""Of the lines of groups, so that they differ in grey too."""

NOISE_ONLY = N_("interval (95 %): noise only")
WITH_SAMPLING = N_("interval (95 %): noise and sampling")
UNRELIABLE = N_("not reliable: the noise is more than a third of the value")

_LINE, _MARGIN = 0.19, 0.12
"""Inches."""

_TITLE_CELLS, _FOOT_CELLS = 88, 128
"""Width of the sheet in cells of the two sizes of type; a font with Chinese has narrower Latin letters."""

_NARROW = 1.18

_MOST_TITLE = 3
"""Lines."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What stands around a picture."""

    title: str
    """The table's title or the question."""
    source: tuple[str, ...]
    """Lines under it: privacy, hospitals, release."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was drawn on the axes, and what must be said of it."""

    body: float
    """Height of the axes with all around them, in inches."""
    legend: tuple[Artist, ...]
    """Labelled artists."""
    notes: tuple[str, ...] = ()
    """Such as what was left out."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished picture; notebooks show it."""

    figure: Figure
    """Matplotlib's; may be changed further."""
    script: Script
    """What it is written with."""

    def save(self, path: str | Path) -> None:
        """Write it as PNG, SVG or PDF, by the ending of the name."""
        target = checked(path)
        target.write_bytes(self._bytes(target.suffix.lower().removeprefix(".")))

    def png(self) -> bytes:
        """Return it as PNG."""
        return self._bytes("png")

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return self.png()

    def _bytes(self, kind: str) -> bytes:
        held = io.BytesIO()
        # Neither a date nor a program's name: the same answer makes the same file.
        metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        with self.script.in_use():
            self.figure.savefig(held, format=kind, dpi=DOTS, metadata=metadata)
        return held.getvalue()


def checked(path: str | Path) -> Path:
    """Return the path of a picture; raise FarrError for a name of another ending, before anything is asked or drawn."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise FarrError(
            "no-picture",
            _("a picture is no {suffix} file").format(suffix=target.suffix or target.name),
            remedy=_("end the name in one of {names}").format(names=", ".join(SUFFIXES)),
        )
    if not target.parent.is_dir():
        raise FarrError(
            "no-picture", _("there is no folder {name}").format(name=target.parent), remedy=_("make it first")
        )
    return target


def blank(panels: int, heights: Iterable[float] | None = None) -> tuple[Figure, list[Axes]]:
    """Return a sheet with axes one below the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panels, 1, squeeze=False, height_ratios=list(heights) if heights else None)
    for each in axes[:, 0]:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    return figure, list(axes[:, 0])


def finished(figure: Figure, heading: Heading, drawn: Drawn, script: Script) -> Picture:
    """Return the picture with title, legend and source around what was drawn; the sheet grows by what they need."""
    wide = 1.0 if script.families[0] == LATIN else _NARROW
    title = lines_of(heading.title, int(wide * _TITLE_CELLS))
    title = title if len(title) <= _MOST_TITLE else [*title[: _MOST_TITLE - 1], title[_MOST_TITLE - 1] + " …"]
    foot = [line for text in (*drawn.notes, *heading.source) for line in lines_of(text, int(wide * _FOOT_CELLS))]
    rows = _legend_rows(drawn.legend, int(wide * (_FOOT_CELLS - 12)))
    head = _MARGIN + 1.25 * _LINE * len(title) + _LINE * len(rows) + (0.1 if rows else 0.0)
    under = 2 * _MARGIN + 0.8 * _LINE * len(foot)
    height = head + drawn.body + under
    figure.set_size_inches(WIDTH, height)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.01, under / height, 0.98, drawn.body / height), hspace=0.08)  # type: ignore[call-arg]
    left = 0.015
    top = 1 - _MARGIN / height
    figure.text(left, top, "\n".join(title), ha="left", va="top", fontsize=10.5, color=INK, linespacing=1.25)
    at = top - 1.25 * _LINE * len(title) / height
    for row in rows:
        legend = figure.legend(
            handles=list(row), loc="upper left", bbox_to_anchor=(left, at), ncols=len(row), frameon=False,
            fontsize=8, borderaxespad=0.0, borderpad=0.15, handlelength=2.2, columnspacing=1.6,
        )  # fmt: skip
        legend.set_in_layout(False)
        at -= _LINE / height
    figure.text(
        left, _MARGIN / height, "\n".join(foot), ha="left", va="bottom", fontsize=7, color="#5a5a5a", linespacing=1.3
    )
    for text in figure.texts:
        text.set_in_layout(False)
    return Picture(figure=figure, script=script)


def lines_of(text: str, cells: int) -> list[str]:
    """Return a text in lines of so many cells; Chinese characters take two."""
    from rich.console import Console
    from rich.text import Text

    plain = " ".join(text.split())
    wrapped = Text(plain).wrap(Console(width=cells, file=io.StringIO()), cells)
    return [str(line).strip() for line in wrapped if str(line).strip()]


def shortened(text: str, cells: int, lines: int = 2) -> str:
    """Return a label in at most so many lines of so many cells."""
    found = lines_of(text, cells)
    if len(found) > lines:
        found = [*found[: lines - 1], found[lines - 1].rstrip()[: max(1, len(found[lines - 1]) - 1)] + "…"]
    return "\n".join(found)


def _legend_rows(legend: tuple[Artist, ...], cells: int) -> list[tuple[Artist, ...]]:
    from rich.cells import cell_len

    rows: list[list[Artist]] = []
    used = 0
    for each in legend:
        size = cell_len(str(each.get_label())) + 8
        if not rows or used + size > cells:
            rows.append([])
            used = 0
        rows[-1].append(each)
        used += size
    return [tuple(row) for row in rows]
