"""Answers as flat tables of plain values, and all that is to be known of them beside their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.answers.answer import Answer
from queries.answers.figures import Estimate

if TYPE_CHECKING:
    from farr.figures.result import Result

Value = str | float | int | None


@dataclass(frozen=True, kw_only=True)
class Flat:
    """Tables as rows of plain values."""

    names: tuple[str, ...]
    """Of the columns, each different."""
    texts: frozenset[str]
    """Names of those that hold texts; the others hold numbers."""
    rows: tuple[Mapping[str, Value], ...]
    """By name; a column that a row's table lacks is left out."""


def metadata(result: Result) -> dict[str, object]:
    """Return everything of an answer but its rows: statement, privacy, hospitals, release, cost, columns, flags."""
    plain = result.to_plain()
    plain.pop("rows", None)
    plain.pop("tables", None)
    if len(result.answers) > 1:
        parts = [answer.to_plain() for answer in result.answers]
        plain["tables"] = [{name: value for name, value in part.items() if name != "rows"} for part in parts]
    return plain


def flat(result: Result, only: Answer | None = None, *, units: bool = False) -> Flat:
    """Return the tables, or ``only`` one of them, as one flat table.

    A key has a column ``x_label`` where codes have labels. A figure has ``x_low`` and ``x_high``, ``x_total_low`` and
    ``x_total_high`` where it has that interval, ``x_flags`` and, with ``units``, ``x_unit``.
    """
    chosen = result.answers if only is None else (only,)
    names: dict[str, bool] = {"table": True} if len(chosen) > 1 else {}
    rows: list[Mapping[str, Value]] = []
    for answer in chosen:
        laid = [_cells(answer, place, units=units) for place in range(len(answer.columns))]
        called = _unlike([name for cells in laid for name, _text, _values in cells])
        values = [column for cells in laid for _name, _text, column in cells]
        for name, text in zip(called, (text for cells in laid for _name, text, _values in cells), strict=True):
            names[name] = names.get(name, False) or text
        first: dict[str, Value] = {"table": answer.title} if len(chosen) > 1 else {}
        rows += [{**first, **dict(zip(called, line, strict=True))} for line in zip(*values, strict=True)]
    texts = frozenset(name for name, text in names.items() if text)
    return Flat(names=tuple(names), texts=texts, rows=tuple(_typed(row, texts) for row in rows))


def _cells(answer: Answer, place: int, *, units: bool) -> list[tuple[str, bool, list[Value]]]:
    """Return what one column of an answer becomes: names, whether they hold texts, values."""
    column = answer.columns[place]
    cells = [row.cells[place] for row in answer.rows]
    if column.kind == "key":
        labels = answer.labels.get(column.name, {})
        codes: list[Value] = [str(cell) for cell in cells]
        told: list[Value] = [labels.get(str(code), str(code)) for code in codes]
        named = any(label != code for code, label in labels.items())
        return [(column.name, True, codes), *([(f"{column.name}_label", True, told)] if named else [])]
    figures = [cell for cell in cells if isinstance(cell, Estimate)]
    ends: list[tuple[str, bool, list[Value]]] = [
        (column.name, False, [figure.value for figure in figures]),
        (f"{column.name}_low", False, [figure.low for figure in figures]),
        (f"{column.name}_high", False, [figure.high for figure in figures]),
    ]
    if column.total:
        ends.append((f"{column.name}_total_low", False, [figure.total_low for figure in figures]))
        ends.append((f"{column.name}_total_high", False, [figure.total_high for figure in figures]))
    ends.append((f"{column.name}_flags", True, [" ".join(figure.flags) for figure in figures]))
    if units:
        ends.append((f"{column.name}_unit", True, [column.unit for _figure in figures]))
    return ends


def _unlike(names: Sequence[str]) -> list[str]:
    """Return names that are all different: an alias may be called ``n_low`` as well."""
    taken: list[str] = []
    for name in names:
        other = name
        while other in taken:
            other += "_"
        taken.append(other)
    return taken


def _typed(row: Mapping[str, Value], texts: frozenset[str]) -> Mapping[str, Value]:
    """Write numbers as texts in a column that holds texts in another table."""
    return {name: str(value) if name in texts and isinstance(value, float) else value for name, value in row.items()}
