"""Rounds of training at the hospital: the bounded rows as arrays, and what their patients add to a round.

The rows of a model are read once and kept for its later rounds, which then cost a few milliseconds. The records never
change while a node runs: preparation makes a new file, and a scanner is of one file.
"""

# Statements are put together from names made here.
# ruff: noqa: S608

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.scan.expressions import Site
from node.scan.matrix import Matrix, compile_step
from node.scan.row_columns import RowColumns
from node.scan.statement import BOUNDED, bounded_rows, where_clause
from queries.agreed.catalogue import Catalogue, CodeColumn, NumberColumn, Table
from queries.asked.design import design_of
from queries.asked.plan import AppStep, Part, Step
from queries.cost.tally import Tally
from queries.models.clipping import BOUND_UPDATE
from queries.models.contributions import tally_of_all
from queries.models.design import Design

MOST_KEPT = 1 << 28
"""Bytes of designs that are kept, 256 MiB; larger ones are read anew in every round."""

MOST_DESIGNS = 64
"""Designs that are kept; the one that was not used for longest goes first."""


class NoAppsError(Exception):
    """Apps do not run at this hospital."""


Fetch = Callable[[str], Mapping[str, NDArray[Any]]]
"""Runs a query and returns its columns, masked where they have no value; raises what the engine raises."""


@dataclass(frozen=True, kw_only=True)
class AppRows:
    """The bounded rows that an app is handed: a patient's are limited as in any question, and nobody's is named."""

    table: str
    """The table that they are of."""
    columns: Mapping[str, NDArray[Any]]
    """By name, in the order of ``AppStep.columns``; all of the same length, in an order that says nothing. Numbers:
    float64 in units of the column, NaN without a value. Codes: text, empty without a value. Days: datetime64[D], NaT
    without a value. No array holds objects."""

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


App = Callable[[AppStep, AppRows], NDArray[np.int64]]
"""Runs an app on a hospital's rows and returns its clipped update: ``entries`` whole numbers, int64, in units of
``clip / ONE / BOUND_UPDATE``, their L2 norm at most ``BOUND_UPDATE`` (``queries.models.clipping.update``).

Guarantee that it owes: never raises for what a row holds or what the app does with it; then it returns zeros. It may
raise Rejected for what has nothing to do with rows: the app is not there, its message did not come.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What a round is computed from: one hospital's facts and its records."""

    catalogue: Catalogue
    """The agreement."""
    site: Site
    """The hospital."""
    own_row: bool
    """Whether groups by hospital may show its own."""
    fetch: Fetch
    """Its prepared database."""


@dataclass(kw_only=True)
class Steps:
    """Computes rounds of training and keeps the designs of those asked last. Safe to share between threads."""

    app: App | None = None
    """Runs apps; None: there are none here."""
    most: int = MOST_KEPT
    """Bytes of designs that are kept."""
    _kept: OrderedDict[bytes, tuple[Matrix, tuple[Design, ...], int]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def step(self, tally: Tally, step: Step, reader: Reader) -> NDArray[np.int64]:
        """Return the exact sums of a step over the hospital's patients, in units of the tally's blocks.

        Raises PlanError where the plan does not fit, and what the engine raises.

        Guarantee: one patient more or less moves no block further than its sensitivity. Test:
        tests/node/test_step_sensitivity.py.
        """
        name = _name(tally, step, reader)
        with self._lock:
            if (known := self._kept.get(name)) is not None:
                self._kept.move_to_end(name)
        if known is not None:
            matrix, designs, _ = known
            return tally_of_all(step, designs, matrix.shape)
        matrix = compile_step(step, tally.plan.parts[0], reader.catalogue, reader.site, own_row=reader.own_row)
        if not matrix.sql:
            return np.zeros(tally.entries, dtype=np.int64)
        columns = {column: np.ma.getdata(values) for column, values in reader.fetch(matrix.sql).items()}
        size = 8 * matrix.numbers(len(columns["p"]))
        if size > self.most:
            return tally_of_all(step, matrix.designs(columns), matrix.shape)
        designs = tuple(matrix.designs(columns))
        with self._lock:
            self._kept[name] = (matrix, designs, size)
            while len(self._kept) > MOST_DESIGNS or sum(each[2] for each in self._kept.values()) > self.most:
                self._kept.popitem(last=False)
        return tally_of_all(step, designs, matrix.shape)

    def update(self, tally: Tally, step: AppStep, reader: Reader) -> NDArray[np.int64]:
        """Return an app's update, or zeros where what it gave is no update of the length and size agreed on.

        Raises NoAppsError where no app can run here, and what the engine raises.

        Guarantee: whatever an app gives, what goes on is ``tally.entries`` whole numbers whose L2 norm is at most
        ``BOUND_UPDATE``: twice that is what is charged. Test:
        tests/node/test_step_apps.py::test_whatever_an_app_gives_is_no_longer_than_its_bound.
        """
        if self.app is None:
            raise NoAppsError
        (part,) = tally.plan.parts
        rows = app_rows(step, part, reader)
        given = self.app(step, rows)
        fits = given.shape == (tally.entries,) and given.dtype == np.int64
        return given if fits and _short(given) else np.zeros(tally.entries, dtype=np.int64)


def app_rows(step: AppStep, part: Part, reader: Reader) -> AppRows:
    """Return the bounded rows of a part with an app's columns; raise what the engine raises."""
    table = reader.catalogue.table(part.table)
    columns = RowColumns(part, (), reader.catalogue, reader.site)
    matches = where_clause(columns.holds(part.where))
    named = [columns.recorded(name) for name in step.columns]
    beginning = bounded_rows(part, reader.catalogue, columns, matches)
    selected = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate(named))
    found = reader.fetch(f"{beginning}SELECT {selected} FROM {BOUNDED} ORDER BY _order")
    return AppRows(
        table=table.name,
        columns={name: _in_words(table, name, found[f"c{place}"]) for place, name in enumerate(step.columns)},
    )


def _in_words(table: Table, name: str, values: NDArray[Any]) -> NDArray[Any]:
    column, absent = table.column(name), np.ma.getmaskarray(values)
    held = np.ma.getdata(values)
    if isinstance(column, NumberColumn):
        numbers = held.astype(np.float64) * column.step.numerator / column.step.denominator
        return np.where(absent, np.nan, numbers)
    if isinstance(column, CodeColumn):
        words = np.array(["", *(code.code for code in column.codes.codes)])
        known = ~absent & (held >= 0) & (held < len(words) - 1)
        chosen: NDArray[Any] = words[np.where(known, held, -1).astype(np.intp) + 1]
        return chosen
    return np.where(absent, np.datetime64("NaT", "D"), held.astype("datetime64[D]"))


def _name(tally: Tally, step: Step, reader: Reader) -> bytes:
    """Return what decides a design: what a run's rounds share, the folds, and the hospital's facts."""
    facts = (reader.site.name, sorted(reader.site.attributes.items()), reader.own_row, step.split)
    return hashlib.sha256(design_of(tally.plan) + repr(facts).encode()).digest()


def _short(given: NDArray[np.int64]) -> bool:
    """Return whether a vector is within its bound, in whole numbers."""
    if given.size and not -BOUND_UPDATE <= given.min() <= given.max() <= BOUND_UPDATE:
        return False
    # Squares of at most 2^40, 2^16 of them at a time: no sum leaves 64 bits.
    pieces = (given[place : place + (1 << 16)] for place in range(0, given.size, 1 << 16))
    return sum(int(np.dot(piece, piece)) for piece in pieces) <= BOUND_UPDATE**2
