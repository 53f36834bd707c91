"""Conditions of a plan in words, close to how they are asked, and whether two of them can hold of one row."""

from __future__ import annotations

from queries.agreed.catalogue import NumberColumn, Table
from queries.asked.plan import Between, During, Every, Members, Missing, Not, Predicate, SiteIs, Some
from queries.asked.view import number

MOST_CODES = 6
"""Codes of a list that are written out."""


def terms_of(where: Predicate) -> tuple[Predicate, ...]:
    """Return the conditions that every row must meet."""
    return where.terms if isinstance(where, Every) else (where,)


def in_words(where: Predicate, table: Table | None = None) -> str:
    """Return a condition in words; numbers in the units that their columns have in ``table``, without it in steps."""
    if isinstance(where, Members):
        column = where.column if where.level is None else f"LEVEL({where.column}, '{where.level}')"
        return f"{column} IN ({_codes(where.codes)})"
    if isinstance(where, SiteIs):
        return f"{'site' if where.attribute is None else f'site.{where.attribute}'} IN ({_codes(where.codes)})"
    if isinstance(where, Between):
        return _numbers(where, table) if table else _range(where.column, where.low, where.high)
    if isinstance(where, During):
        return _range(where.column, where.first, where.last)
    if isinstance(where, Missing):
        return f"{where.column} IS NULL"
    if isinstance(where, Not):
        return f"NOT ({in_words(where.term, table)})"
    joint, nothing = (" AND ", "all rows") if isinstance(where, Every) else (" OR ", "no row")
    if not where.terms:
        return nothing
    terms = ((in_words(term, table), isinstance(term, Some)) for term in where.terms)
    return joint.join(f"({words})" if inside else words for words, inside in terms)


def disjoint(one: Predicate, other: Predicate) -> bool:
    """Return whether no row can meet both, as far as two of their outer terms show; when in doubt, it says no."""
    return any(_apart(left, right) for left in terms_of(one) for right in terms_of(other))


def _apart(one: Predicate, other: Predicate) -> bool:
    if isinstance(one, Members) and isinstance(other, Members):
        return (one.column, one.level) == (other.column, other.level) and not set(one.codes) & set(other.codes)
    if isinstance(one, SiteIs) and isinstance(other, SiteIs):
        return one.attribute == other.attribute and not set(one.codes) & set(other.codes)
    if isinstance(one, Between) and isinstance(other, Between):
        return one.column == other.column and (_before(one.high, other.low) or _before(other.high, one.low))
    if isinstance(one, During) and isinstance(other, During):
        return one.column == other.column and (_before(one.last, other.first) or _before(other.last, one.first))
    return False


def _before(end: object, begin: object) -> bool:
    return end is not None and begin is not None and end < begin  # type: ignore[operator]


def _codes(codes: tuple[str, ...]) -> str:
    shown = ", ".join(f"'{code}'" for code in codes[:MOST_CODES])
    return shown if len(codes) <= MOST_CODES else f"{shown}, ... {len(codes)} in all"


def _numbers(where: Between, table: Table) -> str:
    column = table.by_name.get(where.column)
    ends = [
        # Of a column that the table does not have, as in an older catalogue, the step is not known.
        end if end is None or not isinstance(column, NumberColumn) else number(column.in_units(end)).decimal
        for end in (where.low, where.high)
    ]
    return _range(where.column, *ends)


def _range(column: str, low: object, high: object) -> str:
    if low is None and high is None:
        return f"{column} IS NOT NULL"
    if low is None:
        return f"{column} <= {high}"
    return f"{column} >= {low}" if high is None else f"{column} BETWEEN {low} AND {high}"
