"""The bounded rows of a step as arrays: one query, then numbers scaled by public bounds and cells spread into columns.

A row without an outcome, a time, an amount above 0 or a stratum is left out after a patient's rows were bounded, so
that what one row lacks never brings in another.
"""

# Statements are put together from whole numbers and names made here.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.scan.expressions import Site, fixed_cell
from node.scan.keyed import leading_64_bits
from node.scan.row_columns import RowColumns
from node.scan.statement import BOUNDED, bounded_rows, where_clause
from queries.agreed.catalogue import Catalogue, NumberColumn
from queries.asked.plan import AttributeKey, Key, ModelTerm, NumberTerm, Part, SiteKey, Split, Step
from queries.cost.setting import Setting
from queries.models.columns import columns_of
from queries.models.design import Design, Floats
from queries.models.shape import Shape, shape_of

FOLD_LABEL = "farr/v1/fold:"
"""Of the digest that says in which fold a patient lies."""

MISSING = -(1 << 31)
"""Stands for no value. Prepared numbers lie within 2^31 - 1 of zero, and cells from 0 up."""

MOST_NUMBERS = 1 << 22
"""Numbers of a design's terms that are spread at once: 32 MiB. A patient's rows stay together."""

Columns = Mapping[str, NDArray[np.int64]]
Read = str | int | None
"""Where a term's or a key's numbers are: a column of the query; the hospital's own cell; None where it has no cell."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A step compiled for one hospital. Whatever is in it follows from public facts."""

    sql: str
    """Gives the patient's number ``p``, rows of one patient together, and whole numbers by the names below; "" where
    the hospital has no row that could take part."""
    setting: Setting
    """The table."""
    shape: Shape
    """Of the model."""
    step: Step
    """What it was compiled for; only what says how rows are read counts."""
    terms: tuple[Read, ...]
    """Of each term."""
    outcome: str
    """The column of the outcome."""
    amount: str
    """The column of time or exposure; "" for neither."""
    strata: tuple[tuple[str | int, int], ...]
    """Of each key of the strata, and the number of cells of those after it."""

    def designs(self, columns: Columns) -> Iterator[Design]:
        """Yield what the query gave piece by piece, each piece of whole patients and of bounded size.

        Guarantee: every number is finite, whatever the columns hold, and follows from one row alone. Test:
        tests/node/test_step_matrix.py::test_the_design_is_what_the_rows_say.
        """
        patients = columns["p"]
        changes = np.flatnonzero(patients[1:] != patients[:-1]) + 1
        edges = np.concatenate([[0], changes, [len(patients)]]) if len(patients) else np.zeros(1, dtype=np.intp)
        most = max(1, MOST_NUMBERS // max(1, self.shape.columns))
        begin = 0
        while begin < len(edges) - 1:
            end = max(begin + 1, int(np.searchsorted(edges, edges[begin] + most, side="right")) - 1)
            first, last = int(edges[begin]), int(edges[end])
            piece = {name: values[first:last] for name, values in columns.items()}
            yield self._design(piece, edges[begin:end] - first)
            begin = end

    def numbers(self, rows: int) -> int:
        """Return how many 64-bit numbers the designs of so many rows hold."""
        return rows * (self.shape.columns + 4)

    def _design(self, columns: Columns, starts: NDArray[np.intp]) -> Design:
        rows = len(columns["p"])
        return Design(
            starts=starts.astype(np.intp),
            x=self._terms(columns, rows),
            outcome=self._outcome(columns[self.outcome]),
            exposure=self._exposure(columns[self.amount]) if self.amount else np.ones(rows),
            stratum=self._stratum(columns, rows),
        )

    def _terms(self, columns: Columns, rows: int) -> Floats:
        x = np.zeros((rows, self.shape.columns))
        place = 0
        for term, read in zip(self.step.terms, self.terms, strict=True):
            width = columns_of(term, self.setting)
            if isinstance(term, NumberTerm):
                x[:, place] = _scaled(columns[str(read)], self.setting.number(term.column, "step"))
            elif isinstance(read, str):
                cells = columns[read]
                # A row in the first cell, or in none, has zeros in all columns of the term.
                known = np.flatnonzero((cells >= 1) & (cells <= width))
                x[known, place + cells[known] - 1] = 1.0
            elif read is not None and 1 <= read <= width:
                x[:, place + read - 1] = 1.0
            place += width
        return x

    def _outcome(self, values: NDArray[np.int64]) -> Floats:
        outcome = self.step.outcome
        if not isinstance(outcome, NumberTerm):
            return values.astype(np.float64)
        column = self.setting.number(outcome.column, "step")
        if self.step.model != "poisson":
            return _scaled(values, column)
        return np.clip(values, 0, column.high) * column.step.numerator / column.step.denominator

    def _exposure(self, values: NDArray[np.int64]) -> Floats:
        if self.step.time is not None:
            column = self.setting.number(self.step.time.column, "step")
            return np.clip(values, column.low, column.high).astype(np.float64)
        column = self.setting.number(self.step.exposure, "step")
        found: Floats = np.clip(values, 1, column.high) / column.high
        return found

    def _stratum(self, columns: Columns, rows: int) -> NDArray[np.intp]:
        found = np.zeros(rows, dtype=np.intp)
        for read, stride in self.strata:
            found += (columns[read] if isinstance(read, str) else read) * stride
        return found


def _scaled(values: NDArray[np.int64], column: NumberColumn) -> Floats:
    """Return numbers from -1 to 1 by a column's bounds; 0 for a missing one."""
    inside = np.clip(values, column.low, column.high)
    scaled: Floats = (2 * inside - (column.low + column.high)) / (column.high - column.low)
    scaled[values == MISSING] = 0.0
    return scaled


class _Reading:
    """Collects what a step's query selects."""

    def __init__(self, part: Part, setting: Setting, site: Site, *, own_row: bool) -> None:
        self.columns = RowColumns(part, (), setting.catalogue, site)
        self.catalogue, self.site, self.own_row = setting.catalogue, site, own_row
        self.selected: list[str] = []
        self.needed: list[str] = []

    def number(self, name: str) -> str:
        return self._select(self.columns.recorded(name))

    def key(self, key: Key) -> Read:
        if isinstance(key, (SiteKey, AttributeKey)):
            # A site key of a hospital whose policy keeps its own row back is that of a hospital outside the key.
            return None if isinstance(key, SiteKey) and not self.own_row else fixed_cell(key, self.site, self.catalogue)
        return self._select(self.columns.cell((key,)))

    def term(self, term: ModelTerm) -> Read:
        return self.number(term.column) if isinstance(term, NumberTerm) else self.key(term)

    def require(self, name: str, condition: str = "IS NOT NULL") -> None:
        self.needed.append(f"{self.selected[int(name[1:])]} {condition}")

    def _select(self, sql: str) -> str:
        self.selected.append(sql)
        return f"c{len(self.selected) - 1}"


def compile_step(step: Step, part: Part, catalogue: Catalogue, site: Site, *, own_row: bool) -> Matrix:
    """Compile a step of a checked plan for one hospital; raise PlanError where it does not fit.

    Guarantee: at most ``part.bound.rows`` rows of a patient are read, chosen among the patient's own; the query does
    not fail for what a row holds. Test: tests/node/test_step_sensitivity.py.
    """
    setting = Setting(catalogue=catalogue, table=catalogue.table(part.table), keys=())
    reading = _Reading(part, setting, site, own_row=own_row)
    terms = tuple(reading.term(term) for term in step.terms)
    outcome = str(reading.term(step.outcome))
    reading.require(outcome)
    amount = ""
    if step.time is not None or step.exposure is not None:
        amount = reading.number(step.time.column if step.time is not None else str(step.exposure))
        reading.require(amount, "IS NOT NULL" if step.time is not None else "> 0")
    strata = []
    for key, stride in reading.columns.strides(step.strata):
        read = reading.key(key)
        if isinstance(read, str):
            reading.require(read)
        strata.append((read, stride))
    placed = tuple((read, stride) for read, stride in strata if read is not None)
    return Matrix(
        sql=_sql(reading, part, step.split) if len(placed) == len(strata) else "",
        setting=setting,
        shape=shape_of(step, setting),
        step=step,
        terms=terms,
        outcome=outcome,
        amount=amount,
        strata=placed,
    )


def _sql(reading: _Reading, part: Part, split: Split | None) -> str:
    # Whatever is no 32-bit number counts as missing: the cast cannot fail.
    numbers = ", ".join(
        f"CAST(coalesce(TRY_CAST({sql} AS INTEGER), {MISSING}) AS BIGINT) AS c{place}"
        for place, sql in enumerate(reading.selected)
    )
    needed = list(reading.needed)
    if split is not None:
        needed.append(f"{fold_of(split.folds)} BETWEEN {split.first} AND {split.last}")
    matches = where_clause(reading.columns.holds(part.where))
    beginning = bounded_rows(part, reading.catalogue, reading.columns, matches)
    return f"{beginning}SELECT _patient AS p, {numbers} FROM {BOUNDED} WHERE {' AND '.join(needed)} ORDER BY 1, _order"


def fold_of(folds: int) -> str:
    """Return SQL of the fold of a row's patient, from 0.

    The patient's number is the beginning of a keyed digest (``node.scan.keyed``), so that a digest of it can be
    neither foreseen nor repeated outside.

    Guarantee: a patient lies in the same fold in every round, in one fold only, whatever other patients there are.
    Test: tests/node/test_step_matrix.py::test_folds_are_disjoint_and_stay.
    """
    digest = f"sha256('{FOLD_LABEL}' || CAST(_patient AS VARCHAR))"
    return f"{leading_64_bits(digest)} % {folds}"
