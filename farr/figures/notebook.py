"""An answer as a notebook shows it: figures with half-widths, intervals on pointing at them, what it cost below."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from farr.cli.figures import MARKS, figures, footnotes, number
from farr.figures.result import flag_texts
from farr.figures.units import with_unit
from farr.texts import _
from queries.answers.answer import Answer, AnswerColumn
from queries.answers.figures import SUPPRESS, Estimate

if TYPE_CHECKING:
    from farr.figures.result import Result

MOST_ROWS = 200
"""Of a table as it is shown; to_frame has all."""

_CELL = "padding:2px 10px"
_RIGHT = f"{_CELL};text-align:right"
_LEFT = f"{_CELL};text-align:left"


def html_of(result: Result) -> str:
    """Return all tables of an answer as HTML.

    Guarantee: names, labels, titles and hospitals' names, which other people chose, are text in it, never markup.
    Test: tests/farr/test_exports.py::test_a_notebook_shows_names_as_text.
    """
    parts = [_table(answer) for answer in result.answers]
    marks = [f"{MARKS[flag]} {text}" for flag, text in flag_texts(result).items()]
    notes = [line for line in footnotes(result) if not any(line.endswith(mark.split(" ", 1)[1]) for mark in marks)]
    small = "<br>".join(escape(line).replace("\n", "<br>") for line in (*marks, *notes))
    return f'<div>{"".join(parts)}<div style="font-size:85%;color:#666;margin-top:4px">{small}</div></div>'


def _table(answer: Answer) -> str:
    head = "".join(
        f'<th style="{_LEFT if column.kind == "key" else _RIGHT}">{escape(_heading(column))}</th>'
        for column in answer.columns
    )
    columns = [_column(answer, place) for place in range(len(answer.columns))]
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    title = f"<caption>{escape(answer.title)}</caption>" if answer.title else ""
    more = len(answer.rows) - MOST_ROWS
    rest = f"<p>{escape(_('{count:,} more rows: see to_frame()').format(count=more))}</p>" if more > 0 else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _heading(column: AnswerColumn) -> str:
    return with_unit(column.name, column.unit)


def _column(answer: Answer, place: int) -> list[str]:
    column = answer.columns[place]
    cells = [row.cells[place] for row in answer.rows[:MOST_ROWS]]
    if column.kind == "key":
        labels = answer.labels.get(column.name, {})
        return [_key(str(cell), labels.get(str(cell), str(cell))) for cell in cells]
    found = [cell for cell in cells if isinstance(cell, Estimate)]
    return [_figure(each, text) for each, text in zip(found, figures(found), strict=True)]


def _key(code: str, label: str) -> str:
    shown = escape(code) if label == code else f"{escape(code)} <span style='color:#777'>{escape(label)}</span>"
    return f'<td style="{_LEFT}">{shown}</td>'


def _figure(figure: Estimate, text: str) -> str:
    faint = ";color:#999" if figure.reliability == SUPPRESS else ""
    return f'<td style="{_RIGHT}{faint}" title="{escape(_pointed(figure))}">{escape(text)}</td>'


def _pointed(figure: Estimate) -> str:
    """Return what stands beside a figure that is pointed at."""
    if figure.below:
        return _("below {count}").format(count=figure.below)
    lines = [
        template.format(low=number(low, (high - low) / 2), high=number(high, (high - low) / 2))
        for template, low, high in (
            (_("95 %, noise only: {low} to {high}"), figure.low, figure.high),
            (_("95 %, noise and sampling: {low} to {high}"), figure.total_low, figure.total_high),
        )
        if low is not None and high is not None
    ]
    return "; ".join(lines or [_("no interval")])
