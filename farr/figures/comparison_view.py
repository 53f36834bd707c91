"""A comparison of two releases as people, notebooks, scripts and pandas see it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from farr.cli.figures import figures, number
from farr.figures import tables
from farr.figures.comparison import ComparedCell, ComparedFigure, ComparedTable, Comparison
from farr.figures.saved import Saved
from farr.figures.units import with_unit
from farr.texts import N_, _
from queries.answers.figures import Estimate
from queries.series.change import Change, Verdict

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.table import Table
    from rich.text import Text

VERDICTS = {
    Verdict.RISE: N_("rise"),
    Verdict.FALL: N_("fall"),
    Verdict.NONE: N_("no detectable change"),
}
"""For people; scripts get the English."""

MOST_LISTED = 8
"""Cells of one answer only that are named; to_dict has all."""

_CELL = "padding:2px 10px"


def to_dict(comparison: Comparison) -> dict[str, object]:
    """Return it as JSON can hold it."""
    return {
        "earlier": _release(comparison.earlier),
        "later": _release(comparison.later),
        "interval": {
            "confidence": comparison.confidence,
            "covers": "noise and sampling" if comparison.total else "noise only",
            "jointly": comparison.jointly,
        },
        "tables": [
            {
                "title": table.title,
                "keys": list(table.keys),
                "labels": {name: dict(labels) for name, labels in table.labels.items()},
                "figures": [
                    {
                        "name": figure.name,
                        "unit": figure.unit,
                        "scale": figure.scale,
                        "cells": [_cell(table, cell, total=comparison.total) for cell in figure.cells],
                    }
                    for figure in table.figures
                ],
                "only_earlier": [dict(zip(table.keys, codes, strict=True)) for codes in table.only_earlier],
                "only_later": [dict(zip(table.keys, codes, strict=True)) for codes in table.only_later],
            }
            for table in comparison.tables
        ],
        "refused": [{"table": each.title, "figure": each.name, "reason": each.reason} for each in comparison.refused],
        "notes": list(comparison.notes),
    }


def to_pandas(comparison: Comparison) -> DataFrame:
    """Return a row for each figure of each cell: groups, both figures and the change with their ends, the verdict.

    Columns that could have the name of a group have an underscore after it.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    for table in comparison.tables:
        for figure in table.figures:
            for cell in figure.cells:
                groups = dict(zip(table.keys, cell.keys, strict=True))
                told: dict[str, object] = {"table": table.title} if len(comparison.tables) > 1 else {}
                told |= {"figure": figure.name, "unit": figure.unit, "scale": figure.scale}
                for name, ends in _ends(cell, total=comparison.total).items():
                    told |= {name: ends["value"], f"{name}_low": ends["low"], f"{name}_high": ends["high"]}
                told["verdict"] = cell.change.verdict.value
                rows.append({**groups, **{_other(name, groups): value for name, value in told.items()}})
    frame = pd.DataFrame(rows)
    plain = to_dict(comparison)
    plain.pop("tables")
    frame.attrs["farr"] = plain
    return frame


def parts(comparison: Comparison) -> Iterator[Table | Text]:
    """Yield what is printed: a table for each table, then the lines under it."""
    from rich.text import Text

    for table in comparison.tables:
        if table.title:
            yield Text(tables.visible(table.title))
        yield compared_table(table, total=comparison.total)
        yield Text("")
    for line in lines(comparison):
        yield Text(tables.visible(line))


def compared_table(table: ComparedTable, *, total: bool) -> Table:
    """Return a table: groups, figure, earlier, later, change, verdict."""
    headers, rows = _laid(table, total=total)
    return tables.table(headers, rows, numbers=tuple(range(len(headers) - 4, len(headers) - 1)))


def lines(comparison: Comparison) -> list[str]:
    """Return the lines under the tables: what is in one answer only, what was refused, notes, the releases."""
    found = []
    for table in comparison.tables:
        for cells, text in (
            (table.only_earlier, _("Only in the earlier answer: {cells}.")),
            (table.only_later, _("Only in the later answer: {cells}.")),
        ):
            if cells:
                found.append(_titled(table.title, text.format(cells=_named(cells))))
    for each in comparison.refused:
        said = _("Not compared: {figure}: {reason}.").format(figure=each.name, reason=each.reason)
        found.append(_titled(each.title, said))
    found += comparison.notes
    percent = f"{100 * comparison.confidence:g}"
    if comparison.jointly:
        found.append(_("Intervals: {percent} %, of all cells of a column together.").format(percent=percent))
    else:
        wrong = f"{100 - 100 * comparison.confidence:g}"
        text = _("Intervals: {percent} %, each by itself: of 100 cells without a change {wrong} are found to have one.")
        found.append(text.format(percent=percent, wrong=wrong))
    releases = comparison.earlier.release[:8], comparison.later.release[:8]
    found.append(_("Releases {one} and {other}; no cost.").format(one=releases[0], other=releases[1]))
    return found


def html_of(comparison: Comparison) -> str:
    """Return it as HTML.

    Guarantee: names and labels, which other people chose, are text in it, never markup. Test:
    tests/farr/test_comparison.py::test_a_notebook_shows_names_of_a_comparison_as_text.
    """
    shown = []
    for table in comparison.tables:
        headers, rows = _laid(table, total=comparison.total)
        head = "".join(f'<th style="{_CELL}">{escape(header)}</th>' for header in headers)
        body = "".join(
            "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
        )
        title = f"<caption>{escape(table.title)}</caption>" if table.title else ""
        shown.append(f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    small = "<br>".join(map(escape, lines(comparison)))
    return f'<div>{"".join(shown)}<div style="font-size:85%;color:#666;margin-top:4px">{small}</div></div>'


def _laid(table: ComparedTable, *, total: bool) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows of texts, all figures below one another."""
    named = [any(label != code for code, label in table.labels.get(name, {}).items()) for name in table.keys]
    headers = []
    for name, labelled in zip(table.keys, named, strict=True):
        headers += [name, ""] if labelled else [name]
    rows = []
    for figure in table.figures:
        for cell, texts in zip(figure.cells, _texts(figure, total=total), strict=True):
            row = []
            for name, code, labelled in zip(table.keys, cell.keys, named, strict=True):
                row += [code, table.labels[name].get(code, "")] if labelled else [code]
            rows.append([*row, _heading(figure), *texts])
    return [*headers, *_columns()], rows


def _columns() -> tuple[str, str, str, str, str]:
    return _("figure"), _("earlier"), _("later"), _("change"), _("verdict")


def _heading(figure: ComparedFigure) -> str:
    return with_unit(figure.name, figure.unit)


def _texts(figure: ComparedFigure, *, total: bool) -> list[tuple[str, str, str, str]]:
    earlier = figures([_released(cell.earlier, total=total) for cell in figure.cells])
    later = figures([_released(cell.later, total=total) for cell in figure.cells])
    changes = _changes([cell.change for cell in figure.cells])
    verdicts = [_(VERDICTS[cell.change.verdict]) for cell in figure.cells]
    return list(zip(earlier, later, changes, verdicts, strict=True))


def _released(figure: Estimate, *, total: bool) -> Estimate:
    """Return a figure with the one interval that is compared; the change says what its flags would."""
    low, high = (figure.total_low, figure.total_high) if total else (figure.low, figure.high)
    return Estimate(value=figure.value, low=low, high=high, flags=())


def _changes(changes: list[Change]) -> list[str]:
    """Return changes as texts: ``+20 ± 13``, or with both ends; a ratio after a multiplication sign."""
    shown = []
    for change in changes:
        if math.isnan(change.change):
            shown.append(_("undefined"))
            continue
        before = "× " if change.scale == "ratio" else "+" if change.change > 0 else ""
        if change.scale == "difference" and math.isfinite(change.high - change.low):
            whole = Estimate(value=change.change, low=change.low, high=change.high, flags=())
            shown.append(before + figures([whole])[0])
            continue
        ends = [abs(end - change.change) for end in (change.low, change.high) if math.isfinite(end)]
        step = max(ends, default=abs(change.change) / 10)
        text = _("{value} ({low} to {high})").format(
            value=number(change.change, step), low=_end(change.low, step), high=_end(change.high, step)
        )
        shown.append(before + text)
    return shown


def _end(end: float, step: float) -> str:
    return number(end, step) if math.isfinite(end) else "∞" if end > 0 else "-∞"


def _release(saved: Saved) -> dict[str, object]:
    return {
        "release": saved.release,
        "digest": saved.digest,
        "released_at": saved.released_at,
        "statement": saved.statement,
        "verified": saved.verified,
    }


def _cell(table: ComparedTable, cell: ComparedCell, *, total: bool) -> dict[str, object]:
    groups = dict(zip(table.keys, cell.keys, strict=True))
    return {"groups": groups, **_ends(cell, total=total), "verdict": cell.change.verdict.value}


def _ends(cell: ComparedCell, *, total: bool) -> dict[str, dict[str, float | None]]:
    """Return both figures, as they were released, and the change, each with the ends of its interval."""
    found: dict[str, dict[str, float | None]] = {}
    for name, figure in (("earlier", cell.earlier), ("later", cell.later)):
        shown = _released(figure, total=total)
        found[name] = {"value": shown.value, "low": shown.low, "high": shown.high}
    change = cell.change
    found["change"] = {"value": _finite(change.change), "low": _finite(change.low), "high": _finite(change.high)}
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _other(name: str, taken: dict[str, str]) -> str:
    return f"{name}_" if name in taken else name


def _titled(title: str, text: str) -> str:
    return f"{title}: {text}" if title else text


def _named(cells: tuple[tuple[str, ...], ...]) -> str:
    shown = ", ".join(" / ".join(codes) for codes in cells[:MOST_LISTED])
    return f"{shown}, +{len(cells) - MOST_LISTED}" if len(cells) > MOST_LISTED else shown
