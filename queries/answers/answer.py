"""From the noisy tally to the table that was asked for: estimates, intervals, and flags on what not to trust.

Values stay unbiased: a noisy count may be negative and is shown so, since sums over clamped ones would be too high.
Intervals are noise-only: they say how far the released figure may be from the exact one over the bounded rows, not how
far those rows may be from a wider population, nor what bounding each patient's rows left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import Catalogue
from queries.agreed.scales import scale_of
from queries.answers.estimates import Estimates, estimates
from queries.answers.figures import FLAGS, Estimate, estimate, rows_of, terms_of
from queries.answers.quantity import Floats
from queries.asked.plan import Plan
from queries.asked.select import select
from queries.asked.view import AxisTerm, Expression, KeyTerm, Pages, View, check_pages
from queries.cost.measurement import Measurement
from queries.cost.tally import tally
from queries.errors import PlanError

COUNTED = ("rows", "patients")
"""Units of figures that are counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerColumn:
    """One column of an answer."""

    name: str
    """The alias."""
    kind: str
    """``key`` or ``estimate``."""
    unit: str
    """Of estimates, such as ``years``; empty where there is none or arithmetic has changed it."""
    total: bool = False
    """Whether its figures have an interval that allows for noise and sampling, beside the noise-only one."""
    scale: str = ""
    """Of keys, what the codes are, see ``queries.agreed.scales``."""
    positive: bool = False
    """Of estimates, whether public facts alone say that exact figures are not below zero."""
    bounds: tuple[float, float] | None = None
    """Of estimates, the public bounds that intervals are cut to and values are not, infinite where there are none; None
    where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One row of an answer."""

    cells: tuple[str | Estimate, ...]
    """By column: the code of a key, or a figure."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The table that was asked for."""

    columns: tuple[AnswerColumn, ...]
    """As the view names them."""
    rows: tuple[AnswerRow, ...]
    """Those that are shown, in order."""
    labels: Mapping[str, Mapping[str, str]]
    """By key column, what each code means, in the language that was asked for."""
    flags: tuple[str, ...]
    """Codes of ``FLAGS`` that hold of the table or of a figure in it."""
    hidden: int
    """Rows that HAVING and LIMIT left out. They were answered and charged."""
    title: str = ""
    """Of the table, where there are several."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it: columns, rows as ``{x, x_low, x_high}``, flags with the cells they are on.

        Figures whose column has ``total`` have ``x_total_low`` and ``x_total_high`` too. A column's ``bounds`` are what
        its intervals are cut to, null where there are none.
        """
        marked: dict[str, list[dict[str, object]]] = {code: [] for code in self.flags}
        rows: list[dict[str, object]] = []
        for index, row in enumerate(self.rows):
            plain: dict[str, object] = {}
            for column, cell in zip(self.columns, row.cells, strict=True):
                if isinstance(cell, str):
                    plain[column.name] = cell
                    continue
                plain |= {column.name: cell.value, f"{column.name}_low": cell.low, f"{column.name}_high": cell.high}
                if column.total:
                    plain |= {f"{column.name}_total_low": cell.total_low, f"{column.name}_total_high": cell.total_high}
                for code in cell.flags:
                    marked[code].append({"row": index, "column": column.name})
            rows.append(plain)
        return {
            "title": self.title,
            "columns": [_plain(column) for column in self.columns],
            "rows": rows,
            "labels": {name: dict(labels) for name, labels in self.labels.items()},
            "flags": [{"code": code, "text": FLAGS[code], "cells": cells} for code, cells in marked.items()],
            "hidden": self.hidden,
        }


def answers(
    plan: Plan,
    pages: Pages,
    catalogue: Catalogue,
    noisy: NDArray[np.int64],
    measurement: Measurement,
    *,
    contributors: int,
    language: str = "en",
) -> tuple[Answer, ...]:
    """Return the table of each view; raise PlanError when the parts do not fit each other.

    ``noisy`` is the sum of ``contributors`` hospitals' noisy vectors, shape (entries,), each block in steps of its
    noise's grid.

    Guarantee: values are what was released, in the column's units, never clamped or rounded, so that sums over them
    stay unbiased. Test: tests/queries/test_answer.py::test_values_are_what_was_released.
    """
    check_pages(pages, plan, catalogue)
    layout = tally(plan, catalogue)
    if noisy.shape != (layout.entries,) or len(measurement.blocks) != len(layout.blocks) or contributors < 1:
        raise PlanError("the sum does not have the shape of the plan", remedy="take plan and sum from one release")
    blocks = [
        noisy[start : start + size] / noise.grid
        for start, size, noise in zip(layout.offsets, layout.sizes, measurement.blocks, strict=True)
    ]
    variances = [float(noise.variance(contributors)) for noise in measurement.blocks]
    groupings = estimates(layout, catalogue, blocks, variances)
    return tuple(_answer(view, groupings, language) for view in pages.views)


def with_small_cells(answer: Answer, least: int) -> Answer:
    """Return an answer whose counts below ``least`` are marked, so that pages show them as ``<least``; 0: as it is.

    For display only, as hospitals' rules for publishing ask for it: what protects patients is the noise, and values
    stay what was released.
    """
    counts = [column.kind == "estimate" and column.unit in COUNTED for column in answer.columns]
    if least <= 0 or not any(counts):
        return answer
    rows = tuple(
        AnswerRow(
            cells=tuple(_marked(cell, least) if count else cell for cell, count in zip(row.cells, counts, strict=True))
        )
        for row in answer.rows
    )
    small = any(isinstance(cell, Estimate) and cell.below for row in rows for cell in row.cells)
    seen = {*answer.flags, *(("small-cell",) if small else ())}
    return replace(answer, rows=rows, flags=tuple(code for code in FLAGS if code in seen))


def _plain(column: AnswerColumn) -> dict[str, object]:
    bounds = {} if column.bounds is None else {"bounds": [end if isfinite(end) else None for end in column.bounds]}
    return {"name": column.name, "kind": column.kind, "unit": column.unit, "total": column.total, **bounds}


def _marked(cell: str | Estimate, least: int) -> str | Estimate:
    if isinstance(cell, str) or cell.value is None or cell.value >= least:
        return cell
    return replace(cell, flags=(*cell.flags, "small-cell"), below=least)


def _answer(view: View, groupings: Mapping[int, Estimates], language: str) -> Answer:
    rows = rows_of(view, groupings)

    def values(expression: Expression) -> Floats:
        if isinstance(expression, (KeyTerm, AxisTerm)):
            place: Floats = rows.places(expression).astype(np.float64)
            return place
        return rows.numbers(expression).value

    whole = len(rows)
    shown = select(view, values, whole)
    chosen = view.having is not None or (view.limit is not None and view.limit < whole)
    columns: list[AnswerColumn] = []
    filled: list[Sequence[str | Estimate]] = []
    labels = {}
    for output in view.columns:
        if isinstance(output.expression, (KeyTerm, AxisTerm)):
            codes = rows.codes(output.expression)
            labels[output.name] = MappingProxyType({code.code: code.label.in_language(language) for code in codes})
            columns.append(AnswerColumn(name=output.name, kind="key", unit="", scale=scale_of(rows, output.expression)))
            filled.append([codes[place].code for place in rows.places(output.expression)[shown]])
        else:
            numbers = rows.numbers(output.expression)
            positive = groupings[-1].never_negative(output.expression)
            figures = [estimate(numbers, int(row), positive=positive) for row in shown]
            columns.append(
                AnswerColumn(
                    name=output.name,
                    kind="estimate",
                    unit=groupings[-1].unit_of(output.expression),
                    total=any(figure.total_low is not None for figure in figures),
                    positive=positive,
                    bounds=numbers.bounds,
                )
            )
            filled.append(figures)
    lines = tuple(AnswerRow(cells=cells_of) for cells_of in zip(*filled, strict=True))
    seen = {flag for row in lines for cell in row.cells if isinstance(cell, Estimate) for flag in cell.flags}
    seen |= {"selected"} if chosen else set()
    seen |= {"adds-up"} if len(rows.groupings) > 1 and all(map(groupings[-1].adds_up, terms_of(view))) else set()
    return Answer(
        columns=tuple(columns),
        rows=lines,
        labels=MappingProxyType(labels),
        flags=tuple(code for code in FLAGS if code in seen),
        hidden=whole - len(shown),
        title=view.title,
    )
