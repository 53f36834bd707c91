"""Conditions on rows, made from what people write, and their one normal form.

Both front doors, SQL and Python, come through ``Rows``. A condition is refused when no value of the catalogue's could
ever meet it, since an answer of pure noise is not what anybody wants to pay for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet, Column, DateColumn, NumberColumn, Table
from queries.agreed.names import find, offer
from queries.asked.plan import Between, During, Members, Missing, Not, Predicate, SiteIs, Some
from queries.errors import StatementError

Value = str | int | float | Decimal | Fraction | date
"""What a column is compared with."""

Sites = Mapping[str, Mapping[str, str]]
"""Certified hospitals: identifier to public attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column of the table, or a level of it."""

    name: str
    """As it was written."""
    level: str | None = None
    """As it was written; None: the column itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """The hospital that holds the row, or a public fact about it."""

    attribute: str | None = None
    """As it was written; None: its identifier."""


Subject = Field | Hospital


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Makes conditions on the rows of one table."""

    catalogue: Catalogue
    """The agreement."""
    table: Table
    """Of the catalogue."""
    sites: Sites
    """Whom a condition on hospitals may name."""

    def column(self, name: str) -> Column:
        """Return the column that a name means; raise StatementError for none and for the patient key."""
        if name.casefold() == self.table.patient.casefold() and name not in self.table.by_name:
            raise StatementError(
                f"{self.table.patient} says whose a row is and cannot be read",
                remedy=f"count patients with COUNT(DISTINCT {self.table.patient})",
            )
        return self.table.by_name[find(name, self.table.by_name, f"column of {self.table.name} called")]

    def level(self, column: CodeColumn, name: str) -> str:
        """Return the level of a column's code set that a name means."""
        return find(name, (level.name for level in column.codes.levels), f"level of {column.name} called")

    def compare(self, subject: Subject, operator: str, value: Value) -> Predicate:
        """Return the condition ``subject operator value``; the operator is one of ``= <> < <= > >=``."""
        if operator == "<>":
            return Not(term=self.compare(subject, "=", value))
        if operator == "=":
            return self.among(subject, (value,))
        column = self.ordered(subject, operator)
        at = _position(column, value)
        if operator in ("<", "<="):
            return _interval(column, None, math.ceil(at) - 1 if operator == "<" else math.floor(at))
        return _interval(column, math.floor(at) + 1 if operator == ">" else math.ceil(at), None)

    def between(self, subject: Subject, low: Value, high: Value) -> Predicate:
        """Return the condition that a number or a day lies within, ends included."""
        column = self.ordered(subject, "BETWEEN")
        return _interval(column, math.ceil(_position(column, low)), math.floor(_position(column, high)))

    def among(self, subject: Subject, values: tuple[Value, ...]) -> Predicate:
        """Return the condition that a subject is one of ``values``."""
        if not values:
            raise StatementError("an empty list holds for no row", remedy="name at least one value")
        if isinstance(subject, Hospital):
            return SiteIs(attribute=self._attribute(subject), codes=self._hospitals(subject, values))
        column = self.column(subject.name)
        if not isinstance(column, CodeColumn):
            if subject.level is not None:
                raise no_levels(column)
            terms = tuple(_exactly(column, value) for value in values)
            return terms[0] if len(terms) == 1 else Some(terms=terms)
        level = None if subject.level is None else self.level(column, subject.level)
        known = column.codes.index if level is None else column.codes.level(level).index
        what = f"code of {column.name}" if level is None else f"{level} of {column.name}"
        codes = (_known_code(value, known, what, None if level else column.codes) for value in values)
        return Members(column=column.name, codes=tuple(sorted(set(codes))), level=level)

    def begins(self, subject: Subject, beginning: str) -> Predicate:
        """Return the condition that a code of a hierarchical set begins so: membership in those codes of the set."""
        column = None if isinstance(subject, Hospital) or subject.level else self.column(subject.name)
        if not isinstance(column, CodeColumn) or not column.codes.levels:
            raise StatementError(
                "only codes of a set with levels can be matched by their beginning",
                remedy="list the codes with IN",
            )
        codes = tuple(sorted(code for code in column.codes.index if beginning and code.startswith(beginning)))
        if not codes:
            raise StatementError(
                f"no code of {column.name} begins with {beginning!r}",
                remedy=offer(beginning, column.codes.index),
            )
        return Members(column=column.name, codes=codes)

    def missing(self, subject: Subject) -> Predicate:
        """Return the condition that a column has no valid value."""
        if isinstance(subject, Hospital):
            raise StatementError("facts about hospitals are not missing", remedy="leave the condition out")
        return Missing(column=self.column(subject.name).name)

    def ordered(self, subject: Subject, operator: str) -> NumberColumn | DateColumn:
        """Return the column that a subject names, if its values have an order; raise StatementError otherwise."""
        if isinstance(subject, Hospital):
            raise StatementError(f"hospitals have no order for {operator}", remedy="use = or IN")
        column = self.column(subject.name)
        if isinstance(column, CodeColumn):
            levels = " or LEVEL(...)" if column.codes.levels else ""
            raise StatementError(f"codes have no order for {operator}", remedy=f"use = or IN{levels}")
        if subject.level is not None:
            raise no_levels(column)
        return column

    def _attribute(self, subject: Hospital) -> str | None:
        if subject.attribute is None:
            return None
        return find(subject.attribute, (each.name for each in self.catalogue.site_attributes), "site attribute")

    def _hospitals(self, subject: Hospital, values: tuple[Value, ...]) -> tuple[str, ...]:
        attribute = self._attribute(subject)
        if attribute is None:
            codes = {_known_code(value, self.sites, "certified hospital", None) for value in values}
        else:
            named = self.catalogue.site_attribute(attribute).codes
            codes = {_known_code(value, named.index, f"value of site.{attribute}", None) for value in values}
        return tuple(sorted(codes))


def number_of(value: Value) -> Fraction:
    """Return an exact number; a float means the decimal that it prints as. Raise StatementError for anything else."""
    if isinstance(value, float) and math.isfinite(value):
        return Fraction(repr(value))
    if isinstance(value, (int, Fraction)) and not isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, Decimal) and value.is_finite():
        return Fraction(value)
    raise StatementError(
        f"{_written(value)} is not a number", remedy="write a number without quotation marks, such as 65"
    )


def steps_of(column: NumberColumn, value: Value) -> Fraction:
    """Return a value in the column's steps, exactly."""
    return number_of(value) / column.step


def day_of(value: Value) -> date:
    """Return a calendar day; raise StatementError for anything that is not one."""
    if type(value) is date:
        return value
    try:
        day = date.fromisoformat(value if isinstance(value, str) else "")
        if day.isoformat() == value:
            return day
    except ValueError:
        pass
    raise StatementError(
        f"{_written(value)} is not a calendar day", remedy="write days as 'YYYY-MM-DD', such as '2019-01-31'"
    )


def _position(column: NumberColumn | DateColumn, value: Value) -> Fraction:
    return Fraction(day_of(value).toordinal()) if isinstance(column, DateColumn) else steps_of(column, value)


def _exactly(column: NumberColumn | DateColumn, value: Value) -> Predicate:
    at = _position(column, value)
    if at.denominator != 1:
        step = float(column.step) if isinstance(column, NumberColumn) else 1
        raise StatementError(
            f"{column.name} is never {_written(value)}: it is kept in steps of {step:g}", remedy="use BETWEEN, < or >"
        )
    return _interval(column, int(at), int(at))


def _interval(column: NumberColumn | DateColumn, low: int | None, high: int | None) -> Predicate:
    """Return the condition of lying within whole positions; ends that do not limit the column are left out."""
    if isinstance(column, DateColumn):
        least, greatest = column.first.toordinal(), column.last.toordinal()
        bounds = f"{column.first} to {column.last}"
    else:
        least, greatest = column.low, column.high
        bounds = f"{float(column.in_units(least)):g} to {float(column.in_units(greatest)):g}"
    turned = low is not None and high is not None and low > high
    low = least if low is None else max(low, least)
    high = greatest if high is None else min(high, greatest)
    if low > high:
        remedy = f"write the lower end first, within {bounds}" if turned else f"write values within {bounds}"
        raise StatementError(f"no value of {column.name} meets this", remedy=remedy)
    # With both ends left out a condition would say nothing; the lower one stays: it still asks for a valid value.
    first = None if low == least and high < greatest else low
    last = None if high == greatest else high
    if isinstance(column, DateColumn):
        return During(
            column=column.name,
            first=None if first is None else date.fromordinal(first),
            last=None if last is None else date.fromordinal(last),
        )
    return Between(column=column.name, low=first, high=last)


def _known_code(value: Value, known: Collection[str], what: str, codes: CodeSet | None) -> str:
    # Codes are often digits, which people write without quotation marks.
    written = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if isinstance(value, Fraction) and value.denominator == 1:
        written = str(value.numerator)
    if not written:
        raise StatementError(f"{_written(value)} is not a {what}", remedy="write the code in single quotation marks")
    if written in known:
        return written
    near = offer(written, known)
    if codes is not None and codes.folds and (shorter := [code for code in known if written.startswith(code)]):
        near = f"codes fold to {max(shorter, key=len)}: ask for that"
    raise StatementError(f"there is no {what} {written!r}", remedy=near)


def no_levels(column: Column) -> StatementError:
    """Return the refusal to name a level of a column that does not hold codes."""
    return StatementError(f"{column.name} has no levels: it does not hold codes", remedy="use the column itself")


def _written(value: Value) -> str:
    """Return a value as people write it."""
    return f"{float(value):g}" if isinstance(value, Fraction) else repr(value)
