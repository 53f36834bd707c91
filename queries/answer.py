"""From the noisy tally to the table that was asked for: estimates, intervals, and flags on what not to trust.

Values stay unbiased: a noisy count may be negative and is shown so, since sums over clamped ones would be too high.
Intervals are noise-only: they say how far the released figure may be from the exact one over the bounded rows, not how
far those rows may be from a wider population, nor what bounding each patient's rows left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from queries.catalogue import Catalogue
from queries.domains import domain
from queries.errors import PlanError
from queries.estimates import Estimates, estimates, expected_sum, unit_of
from queries.measurement import Measurement
from queries.plan import Plan
from queries.quantity import Floats, Quantity
from queries.select import select
from queries.tally import tally
from queries.view import Expression, KeyTerm, View, check_view

CAUTION, UNRELIABLE = 16.6, 33.3
"""Percent of the value that the noise's standard deviation is above which a value gets the flag."""

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "unreliable": "the noise is more than a third of the value, or its size is unknown",
        "caution": "the noise is between a sixth and a third of the value",
        "negative": "below zero, where the exact value cannot be: noise around a small value",
        "selected": "rows were chosen by their noisy values; intervals do not allow for that",
        "approximate": "the interval is an approximation (delta method), poor where the noise is large",
    }
)
"""What each flag means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerColumn:
    """One column of an answer."""

    name: str
    """The alias."""
    kind: str
    """``key`` or ``estimate``."""
    unit: str
    """Of estimates, such as ``years``; empty where there is none or arithmetic has changed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One figure."""

    value: float | None
    """Unbiased; None where it is undefined."""
    low: float | None
    """Lower end of the 95 % noise-only interval; None where it has none."""
    high: float | None
    """Upper end; None where it has none."""
    flags: tuple[str, ...]
    """Codes of ``FLAGS``."""


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

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it: columns, rows as ``{x, x_low, x_high}``, flags with the cells they are on."""
        marked: dict[str, list[dict[str, object]]] = {code: [] for code in self.flags}
        rows: list[dict[str, object]] = []
        for index, row in enumerate(self.rows):
            plain: dict[str, object] = {}
            for column, cell in zip(self.columns, row.cells, strict=True):
                if isinstance(cell, str):
                    plain[column.name] = cell
                    continue
                plain |= {column.name: cell.value, f"{column.name}_low": cell.low, f"{column.name}_high": cell.high}
                for code in cell.flags:
                    marked[code].append({"row": index, "column": column.name})
            rows.append(plain)
        return {
            "columns": [{"name": each.name, "kind": each.kind, "unit": each.unit} for each in self.columns],
            "rows": rows,
            "labels": {name: dict(labels) for name, labels in self.labels.items()},
            "flags": [{"code": code, "text": FLAGS[code], "cells": cells} for code, cells in marked.items()],
            "hidden": self.hidden,
        }


def answer(
    plan: Plan,
    view: View,
    catalogue: Catalogue,
    noisy: NDArray[np.int64],
    measurement: Measurement,
    *,
    contributors: int,
    language: str = "en",
) -> Answer:
    """Return the table; raise PlanError when the parts do not fit each other.

    ``noisy`` is the sum of ``contributors`` hospitals' noisy vectors, shape (entries,), each block in steps of its
    noise's grid.

    Guarantee: values are what was released, in the column's units, never clamped or rounded, so that sums over them
    stay unbiased. Test: tests/queries/test_answer.py::test_values_are_what_was_released.
    """
    check_view(view, plan)
    layout = tally(plan, catalogue)
    if noisy.shape != (layout.entries,) or len(measurement.blocks) != len(layout.blocks) or contributors < 1:
        raise PlanError("the sum does not have the shape of the plan", remedy="take plan and sum from one release")
    blocks = [
        noisy[start : start + size] / noise.grid
        for start, size, noise in zip(layout.offsets, layout.sizes, measurement.blocks, strict=True)
    ]
    variances = [float(noise.variance(contributors)) for noise in measurement.blocks]
    table = catalogue.table(plan.table)
    found = estimates(plan, layout, table, blocks, variances)
    domains = [domain(key, catalogue, table).codes for key in plan.keys]
    sizes = tuple(len(codes) for codes in domains)
    places: NDArray[np.intp] = np.indices(sizes, dtype=np.intp).reshape(len(sizes), prod(sizes))
    cells = prod(sizes)

    def values(expression: Expression) -> Floats:
        if isinstance(expression, KeyTerm):
            place: Floats = places[expression.key].astype(np.float64)
            return place
        return found.of(expression).value

    shown = select(view, values, cells)
    chosen = view.having is not None or (view.limit is not None and view.limit < cells)
    columns, filled, labels = [], [], {}
    for output in view.columns:
        if isinstance(output.expression, KeyTerm):
            codes = domains[output.expression.key]
            labels[output.name] = MappingProxyType({code.code: code.label.in_language(language) for code in codes})
            columns.append(AnswerColumn(name=output.name, kind="key", unit=""))
            filled.append([codes[place].code for place in places[output.expression.key][shown]])
        else:
            unit = unit_of(output.expression, plan, table)
            columns.append(AnswerColumn(name=output.name, kind="estimate", unit=unit))
            filled.append(_figures(output.expression, found, shown))
    rows = tuple(AnswerRow(cells=cells_of) for cells_of in zip(*filled, strict=True))
    seen = {flag for row in rows for cell in row.cells if isinstance(cell, Estimate) for flag in cell.flags}
    return Answer(
        columns=tuple(columns),
        rows=rows,
        labels=MappingProxyType(labels),
        flags=tuple(code for code in FLAGS if code in seen or (chosen and code == "selected")),
        hidden=cells - len(shown),
    )


def _figures(expression: Expression, found: Estimates, shown: NDArray[np.intp]) -> list[str | Estimate]:
    quantity = found.of(expression)
    low, high = quantity.interval()
    deviation = np.sqrt(quantity.variance())
    approximate = not quantity.linear and quantity.ratio is None
    positive = found.never_negative(expression)
    figures: list[str | Estimate] = []
    for cell in shown:
        value = _finite(quantity.value[cell])
        ends = _finite(low[cell]), _finite(high[cell])
        flags = [_reliability(value, float(deviation[cell]), ends)]
        flags += ["negative"] if positive and value is not None and value < 0 else []
        flags += ["approximate"] if approximate else []
        figures.append(Estimate(value=value, low=ends[0], high=ends[1], flags=tuple(filter(None, flags))))
    return figures


def _reliability(value: float | None, deviation: float, ends: tuple[float | None, float | None]) -> str:
    if deviation == 0:
        return ""
    if not value or None in ends or not isfinite(deviation):
        return "unreliable"
    percent = 100 * deviation / abs(value)
    return "unreliable" if percent > UNRELIABLE else "caution" if percent > CAUTION else ""


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def expected_half_widths(
    plan: Plan,
    view: View,
    catalogue: Catalogue,
    measurement: Measurement,
    *,
    contributors: int,
    expect: float | None = None,
) -> tuple[float | None, ...]:
    """Return, for each column of the view, half the width of the 95 % interval in a cell; reads no records.

    Exact for linear columns. For others ``expect`` says how many rows a cell holds; numbers are then taken to lie at
    mid-range, and every FILTER to hold of every row, which is the widest. None for keys and where it is unknowable.
    """
    check_view(view, plan)
    layout = tally(plan, catalogue)
    table = catalogue.table(plan.table)
    variances = [float(noise.variance(contributors)) for noise in measurement.blocks]
    blocks = [np.array([expected_sum(block.measure, table, expect or 0.0)]) for block in layout.blocks]
    found = estimates(plan, layout, table, blocks, variances)
    return tuple(
        None if isinstance(column.expression, KeyTerm) else _half_width(found.of(column.expression), expect)
        for column in view.columns
    )


def _half_width(quantity: Quantity, expect: float | None) -> float | None:
    if not quantity.linear and not expect:
        return None
    return _finite(1.959963984540054 * float(np.sqrt(quantity.variance()[0])))
