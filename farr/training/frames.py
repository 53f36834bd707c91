"""Rows in a DataFrame, in the catalogue's columns, as the numbers that a model reads: as hospitals read their records.

Facts about hospitals are columns called ``site`` and ``site.country``.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from farr.errors import FarrError
from farr.texts import _
from queries.agreed.catalogue import CodeColumn, CodeSet, DateColumn, NumberColumn
from queries.agreed.domains import period_starts
from queries.asked.plan import (
    AttributeKey,
    BandKey,
    Between,
    CodeKey,
    DateKey,
    Every,
    FlagKey,
    Key,
    Members,
    Missing,
    Not,
    NumberTerm,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
    Step,
)
from queries.cost.setting import Setting
from queries.models.columns import scaling
from queries.models.design import Design, Floats

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Flags = NDArray[np.bool_]
Cells = NDArray[np.intp]

_FIRST = date(1970, 1, 1).toordinal()

NOWHERE = -1
"""The cell of a row that lies in none."""


class Rows:
    """Reads the rows of a frame for one table."""

    def __init__(self, frame: DataFrame, setting: Setting) -> None:
        """Read a frame; columns are looked up when they are needed. Raises FarrError where they have no names."""
        if not hasattr(frame, "columns"):
            raise FarrError(
                "no-frame",
                _("the rows are no DataFrame: a model reads columns by their names"),
                remedy=_("name columns as in the catalogue: farr catalogue show"),
            )
        self._frame = frame
        self._setting = setting
        self._table = setting.table

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return len(self._frame)

    def matrix(self, step: Step) -> Floats:
        """Return the terms, of shape (rows, columns), each within [-1, 1]; a value that is missing is 0."""
        found: list[Floats] = []
        for term in step.terms:
            if isinstance(term, NumberTerm):
                found.append(np.nan_to_num(self.scaled(term.column))[:, None])
            else:
                cells = self.cells(term)
                found.append((cells[:, None] == np.arange(1, self._setting.size(term))).astype(np.float64))
        return np.concatenate(found, axis=1) if found else np.zeros((self.count, 0))

    def scaled(self, name: str) -> Floats:
        """Return a number within [-1, 1] by its column's bounds; NaN without a value."""
        column = self._setting.number(name, "step")
        scale = scaling(column)
        held: Floats = (self.steps(name) * float(column.step) - float(scale.middle)) / float(scale.half)
        return held

    def steps(self, name: str) -> Floats:
        """Return a number in its column's steps, rounded half away from zero and within its bounds; NaN without."""
        import pandas as pd

        column = self._setting.number(name, "step")
        values = pd.to_numeric(self._column(name), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            whole = np.sign(values) * np.floor(np.abs(values) / float(column.step) + 0.5)
        held: Floats = np.clip(whole, column.low, column.high)
        return held

    def cells(self, key: Key) -> Cells:
        """Return each row's cell of a key, ``NOWHERE`` without one."""
        if isinstance(key, FlagKey):
            holds, known = self.holds(key.term)
            return np.where(known, holds.astype(np.intp), NOWHERE)
        if isinstance(key, SiteKey):
            return _places(self._column("site"), {site: place for place, site in enumerate(key.sites)})
        if isinstance(key, AttributeKey):
            return _places(
                self._column(f"site.{key.attribute}"),
                self._setting.catalogue.site_attribute(key.attribute).codes.index,
            )
        if isinstance(key, BandKey):
            steps = self.steps(key.column)
            found = np.searchsorted(np.array(key.starts, dtype=np.float64), steps, side="right") - 1
            return np.where(np.isnan(steps), NOWHERE, found).astype(np.intp)
        if isinstance(key, DateKey):
            return self._periods(key)
        return self.codes(key)

    def codes(self, key: CodeKey | Members) -> Cells:
        """Return the place of each row's code, or of its group where a level is named."""
        codes = self._codes(key.column)
        found = _places(self._column(key.column), codes.index, codes)
        if key.level is None:
            return found
        groups = np.array(codes.level(key.level).group_of, dtype=np.intp)
        return np.where(found == NOWHERE, NOWHERE, groups[found])

    def holds(self, term: Predicate) -> tuple[Flags, Flags]:
        """Return of each row whether a condition holds, and whether that is known, by SQL's three-valued logic."""
        if isinstance(term, Not):
            holds, known = self.holds(term.term)
            return ~holds & known, known
        if isinstance(term, (Every, Some)):
            parts = [self.holds(part) for part in term.terms]
            decisive = isinstance(term, Some)
            holds = np.full(self.count, not decisive)
            known = np.full(self.count, fill_value=True)
            decided = np.full(self.count, fill_value=False)
            for part, sure in parts:
                decided |= sure & (part == decisive)
                known &= sure
                holds = (holds | part) if decisive else (holds & part)
            return np.where(decided, decisive, holds & known), decided | known
        if isinstance(term, SiteIs):
            name = "site" if term.attribute is None else f"site.{term.attribute}"
            column = self._column(name)
            return column.isin(term.codes).to_numpy(), column.notna().to_numpy()
        if isinstance(term, Missing):
            return ~self._present(term.column), np.full(self.count, fill_value=True)
        if isinstance(term, Members):
            cells = self.codes(term)
            codes = self._codes(term.column)
            index = codes.index if term.level is None else codes.level(term.level).index
            return np.isin(cells, [index[code] for code in term.codes]), cells != NOWHERE
        if isinstance(term, Between):
            values = self.steps(term.column)
            return _inside(values, term.low, term.high), ~np.isnan(values)
        days = self._days(term.column)
        low, high = (None if end is None else end.toordinal() for end in (term.first, term.last))
        return _inside(days, low, high), ~np.isnan(days)

    def _codes(self, name: str) -> CodeSet:
        column = self._table.column(name)
        if not isinstance(column, CodeColumn):
            raise TypeError(column)
        return column.codes

    def _present(self, name: str) -> Flags:
        column = self._table.column(name)
        if isinstance(column, CodeColumn):
            found: Flags = self.codes(CodeKey(column=name)) != NOWHERE
            return found
        return ~np.isnan(self.steps(name) if isinstance(column, NumberColumn) else self._days(name))

    def _days(self, name: str) -> Floats:
        """Return days since the beginning of the calendar; NaN for one that is missing or outside the bounds."""
        import pandas as pd

        column = self._table.column(name)
        if not isinstance(column, DateColumn):
            raise TypeError(column)
        when = pd.to_datetime(self._column(name), errors="coerce").to_numpy().astype("datetime64[D]")
        days = np.where(np.isnat(when), np.nan, when.astype(np.int64) + float(_FIRST))
        outside = (days < column.first.toordinal()) | (days > column.last.toordinal())
        return np.where(outside, np.nan, days)

    def _periods(self, key: DateKey) -> Cells:
        import pandas as pd

        days = self._days(key.column)
        when = pd.to_datetime(self._column(key.column), errors="coerce")
        if key.part == "month_of_year":
            found = when.dt.month.to_numpy(dtype=np.float64, na_value=np.nan) - 1
        elif key.part == "weekday":
            found = when.dt.day_of_week.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            starts = np.array([day.toordinal() for day in period_starts(key)], dtype=np.float64)
            found = (np.searchsorted(starts, days, side="right") - 1).astype(np.float64)
        outside = np.isnan(days) | (days < key.first.toordinal()) | (days > key.last.toordinal())
        return np.where(outside, NOWHERE, np.nan_to_num(found, nan=NOWHERE)).astype(np.intp)

    def _column(self, name: str) -> Series[Any]:
        try:
            return self._frame[name]
        except KeyError:
            raise FarrError(
                "missing-column",
                _("the table has no column {name}, which the model reads").format(name=name),
                remedy=_("name columns as in the catalogue: farr catalogue show"),
            ) from None


def design_of(step: Step, rows: Rows, setting: Setting) -> Design:
    """Return the rows of a frame as a hospital has them, each a patient's own; those without an outcome left out."""
    outcome = _outcome(step, rows, setting)
    exposure = np.ones(rows.count)
    if step.exposure is not None:
        column = setting.number(step.exposure, "step")
        exposure = rows.steps(step.exposure) / column.high
        outcome = np.where(exposure > 0, outcome, np.nan)
    if step.time is not None:
        exposure = rows.steps(step.time.column)
    stratum = np.zeros(rows.count, dtype=np.intp)
    for key in step.strata:
        cells = rows.cells(key)
        outcome = np.where(cells == NOWHERE, np.nan, outcome)
        stratum = stratum * setting.size(key) + np.maximum(cells, 0)
    kept = np.flatnonzero(np.isfinite(outcome) & np.isfinite(exposure))
    return Design(
        starts=np.arange(len(kept), dtype=np.intp),
        x=rows.matrix(step)[kept],
        outcome=outcome[kept],
        exposure=exposure[kept],
        stratum=stratum[kept],
    )


def outcomes(step: Step, rows: Rows, setting: Setting) -> Floats:
    """Return what came of each row: the place of its class, or a number in units of its column; NaN: not known."""
    if isinstance(step.outcome, NumberTerm):
        return rows.steps(step.outcome.column) * float(setting.number(step.outcome.column, "step").step)
    cells = rows.cells(step.outcome).astype(np.float64)
    return np.where(cells == NOWHERE, np.nan, cells)


def _outcome(step: Step, rows: Rows, setting: Setting) -> Floats:
    if isinstance(step.outcome, NumberTerm):
        if step.model != "poisson":
            return rows.scaled(step.outcome.column)
        return np.maximum(rows.steps(step.outcome.column), 0) * float(setting.number(step.outcome.column, "step").step)
    cells = rows.cells(step.outcome).astype(np.float64)
    return np.where(cells == NOWHERE, np.nan, cells)


def _inside(values: Floats, low: int | None, high: int | None) -> Flags:
    with np.errstate(invalid="ignore"):
        above = np.full(len(values), fill_value=True) if low is None else values >= low
        below = np.full(len(values), fill_value=True) if high is None else values <= high
    found: Flags = above & below & ~np.isnan(values)
    return found


def _places(column: Series[Any], index: Any, folding: CodeSet | None = None) -> Cells:
    places: dict[Any, int] = {}
    for value in column.unique():
        text = _text(value)
        found = index.get(text, NOWHERE)
        if found == NOWHERE and folding is not None and folding.folds:
            ends = (text[:end] for end in range(len(text) - 1, 0, -1))
            found = next((index[beginning] for beginning in ends if beginning in index), NOWHERE)
        places[value] = found
    return column.map(places).fillna(NOWHERE).to_numpy(dtype=np.intp)


def _text(value: object) -> str:
    """Return a code as it is written: a number that pandas made of it without its point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
