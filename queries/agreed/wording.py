"""Rows and cells as Python writes them: ``col("age") >= 65``, ``band("age", 10)``.

Each term remembers what was asked and is made into a part of the plan when the question is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from queries.asked.plan import Every, Key, Not, Predicate, Some
from queries.asked.predicates import Field, Hospital, Rows, Subject, Value
from queries.asked.question import Draft
from queries.errors import StatementError

Amount = int | float | Decimal | Fraction
"""A number; a float means the decimal that it prints as."""


# --- which rows -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on rows; combine with ``&``, ``|`` and ``~``."""

    made: Callable[[Rows], Predicate]
    """Makes it for one table."""

    def __and__(self, other: Where) -> Where:
        """Both hold."""
        return Where(lambda rows: Every(terms=(self.made(rows), other.made(rows))))

    def __or__(self, other: Where) -> Where:
        """At least one holds."""
        return Where(lambda rows: Some(terms=(self.made(rows), other.made(rows))))

    def __invert__(self) -> Where:
        """It does not hold; unknown stays unknown."""
        return Where(lambda rows: Not(term=self.made(rows)))

    def __bool__(self) -> bool:
        """Raise StatementError: ``and``, ``or``, ``not`` and chained comparisons would lose half of the condition."""
        raise not_true_or_false()


class Term:
    """A column, a level of one, or a fact about hospitals: compare it to get a condition, or group by it."""

    __hash__ = None  # type: ignore[assignment]  # == makes a condition, so a term is no key of a dict

    def __init__(self, subject: Subject) -> None:
        """Take what it names; use ``col``, ``level`` or ``site``."""
        self.subject = subject

    def _compared(self, operator: str, value: Value) -> Where:
        return Where(lambda rows: rows.compare(self.subject, operator, value))

    def __eq__(self, value: Value) -> Where:  # type: ignore[override]
        """It is this value."""
        return self._compared("=", value)

    def __ne__(self, value: Value) -> Where:  # type: ignore[override]
        """It is another value; a missing one is neither."""
        return self._compared("<>", value)

    def __lt__(self, value: Value) -> Where:
        """It is below."""
        return self._compared("<", value)

    def __le__(self, value: Value) -> Where:
        """It is at most this."""
        return self._compared("<=", value)

    def __gt__(self, value: Value) -> Where:
        """It is above."""
        return self._compared(">", value)

    def __ge__(self, value: Value) -> Where:
        """It is at least this."""
        return self._compared(">=", value)

    def between(self, low: Value, high: Value) -> Where:
        """It lies within, ends included."""
        return Where(lambda rows: rows.between(self.subject, low, high))

    def is_in(self, *values: Value) -> Where:
        """It is one of these values."""
        return Where(lambda rows: rows.among(self.subject, values))

    def starts_with(self, beginning: str) -> Where:
        """Its code, of a hierarchical set, begins so."""
        return Where(lambda rows: rows.begins(self.subject, beginning))

    def is_missing(self) -> Where:
        """It has no valid value."""
        return Where(lambda rows: rows.missing(self.subject))


def col(name: str) -> Term:
    """Return a column by name."""
    return Term(Field(name=name))


def level(column: str, name: str) -> Term:
    """Return a level of a code column, such as the chapter of a diagnosis."""
    return Term(Field(name=column, level=name))


def site(attribute: str | None = None) -> Term:
    """Return the hospital itself, or a public fact about it."""
    return Term(Hospital(attribute=attribute))


# --- which cells ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """A key; name its column of the answer with ``named``."""

    made: Callable[[Draft], Key]
    """Makes it for one question."""
    name: str
    """Of its column in the answer."""

    def named(self, name: str) -> Group:
        """Call its column in the answer so."""
        return replace(self, name=name)


def group(what: Term | Group | str) -> Group:
    """Return a key of a column by name, or of a term."""
    if isinstance(what, Group):
        return what
    subject = (col(what) if isinstance(what, str) else what).subject
    name = subject.attribute or "site" if isinstance(subject, Hospital) else subject.level or subject.name
    return Group(lambda draft: draft.cells.of(subject), name)


def band(column: str, width: Amount | None = None, *, edges: tuple[Amount, ...] = ()) -> Group:
    """Return bands of a number, of one width from the column's lower bound or starting at each of ``edges``."""
    if (width is None) == (not edges):
        raise StatementError("bands have a width or edges", remedy='write band("age", 10) or band("age", edges=(65,))')
    return Group(lambda draft: draft.cells.bands(column, width=width, edges=edges), column)


def period(column: str, part: str) -> Group:
    """Return a part of the calendar of a date column: one of ``queries.agreed.domains.PARTS``."""
    return Group(lambda draft: draft.cells.period(column, part), part)


def year(column: str) -> Group:
    """Return the years of a date column."""
    return period(column, "year")


def quarter(column: str) -> Group:
    """Return the quarters of a date column, such as 2019-Q2."""
    return period(column, "quarter")


def month(column: str) -> Group:
    """Return the months of a date column, such as 2019-04."""
    return period(column, "month")


def week(column: str) -> Group:
    """Return the ISO weeks of a date column, such as 2019-W17."""
    return period(column, "week")


def day(column: str) -> Group:
    """Return the days of a date column."""
    return period(column, "day")


def month_of_year(column: str) -> Group:
    """Return the months 01 to 12, of all years together."""
    return period(column, "month_of_year")


def weekday(column: str) -> Group:
    """Return the days of the week, 1 (Monday) to 7, of all weeks together."""
    return period(column, "weekday")


def not_true_or_false() -> StatementError:
    """Return the refusal to take a condition that was not asked yet for true or false."""
    return StatementError(
        "a condition is not true or false before it is asked", remedy="combine with & | ~ in parentheses, and between()"
    )
