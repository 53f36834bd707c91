"""The leaves of a statement: names of columns and hospitals, and values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from fractions import Fraction
from types import MappingProxyType

from sqlglot import exp

from queries.asked.predicates import Field, Hospital, Subject, Value, day_of
from queries.asked.question import Draft
from queries.asked.view import Expression
from queries.sql.places import Places

DATE_PARTS: Mapping[type, str] = MappingProxyType(
    {exp.Year: "year", exp.Quarter: "quarter", exp.Month: "month", exp.Week: "week", exp.Day: "day"}
)
"""The functions that cut a date to a part of the calendar."""

_DECIMAL = re.compile(r"[0-9]{0,30}(\.[0-9]{0,30})?")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the names in a statement refer to."""

    draft: Draft
    """The question in the making."""
    places: Places
    """Where each part of the statement is."""
    names: tuple[str, ...]
    """What the table may be called before a dot, in lower case."""
    sides: Mapping[str, Mapping[str, Expression]] = field_of(default_factory=dict)
    """Where several questions stand side by side: by their names, what their columns show."""


def bare(node: exp.Expression) -> exp.Expression:
    """Take off the parentheses around a node."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def subject(node: exp.Expression, scope: Scope) -> Subject | None:
    """Return the column, level or fact about hospitals that a node names; None when it is something else.

    Raise StatementError when the name means nothing.
    """
    node = bare(node)
    if isinstance(node, exp.Column):
        return _named(node, scope)
    if isinstance(node, exp.Anonymous) and node.name.upper() == "LEVEL":
        return _level(node, scope)
    return None


def field(node: exp.Expression, scope: Scope, reader: str) -> Field:
    """Return the column that ``reader``, a function, is given; raise StatementError when it is given anything else."""
    found = _named(node, scope) if isinstance(bare(node), exp.Column) else None
    if isinstance(found, Field):
        return found
    raise scope.places.refusal(node, f"{reader} reads a column", f"write {reader} with the name of a column")


def value(node: exp.Expression, scope: Scope) -> Value:
    """Return the value that a node writes; raise StatementError when it is not a plain value."""
    node = bare(node)
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else number(node, scope)
    if isinstance(node, exp.Neg) and isinstance(bare(node.this), exp.Literal) and not bare(node.this).is_string:
        return -number(bare(node.this), scope)
    if isinstance(node, exp.Cast):
        with scope.places.at(node):
            return day_of(str(node.this.this))
    if isinstance(node, exp.Null):
        place = scope.places.keyword("NULL", after=scope.places.of(node)[0]) or scope.places.of(node)
        raise scope.places.refusal(place, "nothing is equal to NULL", "write IS NULL or IS NOT NULL")
    if isinstance(node, (exp.Column, exp.Anonymous)):
        raise scope.places.refusal(
            node, "columns are compared with values", "write a number, or text in single quotation marks"
        )
    raise scope.places.refusal(node, "a plain value is expected", "write a number, or text in single quotation marks")


def number(node: exp.Expression, scope: Scope) -> Fraction:
    """Return the exact number that a literal writes; raise StatementError for text, exponents and endless digits."""
    written = str(node.this)
    if node.is_string or not _DECIMAL.fullmatch(written) or not any(map(str.isdigit, written)):
        raise scope.places.refusal(node, "a plain number is expected", "write decimal digits, such as 2.5")
    return Fraction(written)


def whole_number(node: exp.Expression) -> int | None:
    """Return the whole number that a literal writes, or None when it writes something else."""
    written = str(node.this) if isinstance(node, exp.Literal) and not node.is_string else ""
    return int(written) if written.isascii() and written.isdigit() and len(written) <= 9 else None  # noqa: PLR2004


def _named(node: exp.Expression, scope: Scope) -> Subject:
    node = bare(node)
    name, before, rows = node.name, node.text("table"), scope.draft.rows
    with scope.places.at(node):
        if before and before.casefold() == "site":
            found: Subject = Hospital(attribute=name)
            scope.draft.cells.of(found)
            return found
    if before and before.casefold() not in scope.names:
        raise scope.places.refusal(
            node, f"there is no table {before!r} in this question", f"write {scope.names[0]}.{name}, or {name}"
        )
    if not before and name.casefold() == "site" and name not in rows.table.by_name:
        return Hospital()
    with scope.places.at(node):
        return Field(name=rows.column(name).name)


def _level(node: exp.Expression, scope: Scope) -> Field:
    parts = node.expressions
    if len(parts) != 2 or not (isinstance(parts[1], exp.Literal) and parts[1].is_string):  # noqa: PLR2004
        raise scope.places.refusal(node, "LEVEL takes a column and a level", "write LEVEL(column, 'chapter')")
    named = field(parts[0], scope, "LEVEL")
    with scope.places.at(parts[1]):
        found = Field(name=named.name, level=str(parts[1].this))
        scope.draft.cells.of(found)
        return found
