"""Keys of cells, made from what people write: only public domains can be grouped by."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from queries.agreed.catalogue import CodeColumn, Column, DateColumn, NumberColumn
from queries.agreed.domains import PARTS
from queries.agreed.names import find
from queries.answers.normal import window_of
from queries.asked.plan import AttributeKey, BandKey, CodeKey, DateKey, Key, Predicate, SiteKey
from queries.asked.predicates import Field, Hospital, Rows, Value, no_levels, steps_of
from queries.errors import StatementError

MOST_BANDS = 10_000
"""Most bands of one key; a tally of that many cells is mostly noise already."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Makes keys for one question."""

    rows: Rows
    """Of the question's table."""
    where: Predicate
    """The question's rows, in normal form: a date key covers only the days that they can have."""
    sites: tuple[str, ...]
    """The hospitals that the question is about, sorted."""

    def of(self, subject: Field | Hospital) -> Key:
        """Return one cell for each code, group of a level, hospital, or value of a fact about hospitals."""
        if isinstance(subject, Hospital):
            if subject.attribute is None:
                return SiteKey(sites=self.sites)
            names = (attribute.name for attribute in self.rows.catalogue.site_attributes)
            return AttributeKey(attribute=find(subject.attribute, names, "site attribute"))
        column = self.rows.column(subject.name)
        if subject.level is not None and not isinstance(column, CodeColumn):
            raise no_levels(column)
        if not isinstance(column, CodeColumn):
            raise StatementError(f"{column.name} cannot be a group by itself: {_kind(column)}", remedy=_advice(column))
        level = None if subject.level is None else self.rows.level(column, subject.level)
        return CodeKey(column=column.name, level=level)

    def bands(self, name: str, *, width: Value | None = None, edges: tuple[Value, ...] = ()) -> BandKey:
        """Return bands of a number: of equal ``width`` from the column's lower bound, or starting at each of ``edges``.

        The first band always starts at the lower bound, the last always ends at the upper one.
        """
        column = self.rows.column(name)
        if not isinstance(column, NumberColumn):
            raise StatementError(f"{column.name} has no bands: {_kind(column)}", remedy=_advice(column))
        if width is not None:
            return BandKey(column=column.name, starts=_equal(column, width))
        starts = [column.low, *(_whole(column, edge) for edge in edges)]
        if any(after <= before for before, after in pairwise(starts)) or starts[-1] > column.high:
            low, high = (float(column.in_units(end)) for end in (column.low, column.high))
            raise StatementError(
                "the bands must start one above the other, inside the column's bounds",
                remedy=f"write rising numbers above {low:g} and up to {high:g}",
            )
        return BandKey(column=column.name, starts=tuple(starts))

    def period(self, name: str, part: str) -> DateKey:
        """Return one cell for each part of the calendar that the question's rows can lie in."""
        column = self.rows.column(name)
        if not isinstance(column, DateColumn):
            raise StatementError(f"{column.name} has no {part}: {_kind(column)}", remedy=_advice(column))
        known = find(part, PARTS, "part of a date called")
        first, last = window_of(column, self.where)
        if first > last:
            raise StatementError(f"the condition leaves no day of {column.name}", remedy="widen the dates in WHERE")
        return DateKey(column=column.name, part=known, first=first, last=last)


def _equal(column: NumberColumn, width: Value) -> tuple[int, ...]:
    steps = _whole(column, width)
    if steps < 1:
        raise StatementError("a band must be wider than nothing", remedy="write a width above 0, such as 10")
    if (column.high - column.low) // steps >= MOST_BANDS:
        raise StatementError(f"more than {MOST_BANDS:,} bands", remedy="write a greater width")
    return tuple(range(column.low, column.high + 1, steps))


def _whole(column: NumberColumn, value: Value) -> int:
    steps: Fraction = steps_of(column, value)
    if steps.denominator != 1:
        raise StatementError(
            f"{column.name} is kept in steps of {float(column.step):g}", remedy="write a multiple of that"
        )
    return int(steps)


def _kind(column: Column) -> str:
    if isinstance(column, CodeColumn):
        return "it holds codes"
    return "it holds numbers" if isinstance(column, NumberColumn) else "it holds days"


def _advice(column: Column) -> str:
    if isinstance(column, CodeColumn):
        return f"group by {column.name}" + (f" or LEVEL({column.name}, ...)" if column.codes.levels else "")
    if isinstance(column, NumberColumn):
        return (
            f"group by BAND({column.name}, 10), or by bands from where you say: BAND({column.name}, 18, 65); or ask AVG"
        )
    return f"group by MONTH({column.name}), or another of " + ", ".join(part.upper() for part in PARTS)
