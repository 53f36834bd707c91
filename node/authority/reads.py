"""What a plan reads and tells apart: its keys, its conditions, its columns. Public facts, from the plan alone."""

from __future__ import annotations

from collections.abc import Iterator

from queries.asked.plan import (
    AttributeKey,
    Every,
    FlagKey,
    Key,
    Not,
    Part,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
)

Term = Predicate
"""A condition that is no combination of others."""


def keys(part: Part) -> tuple[Key, ...]:
    """Return every key of a part, those of its aggregates included."""
    return (*part.keys, *(key for aggregate in part.aggregates for key in aggregate.by))


def terms(part: Part) -> Iterator[Term]:
    """Yield every simple condition of a part, wherever it stands: on rows, in filters, in keys."""
    flags = (key.term for key in keys(part) if isinstance(key, FlagKey))
    for predicate in (part.where, *(aggregate.where for aggregate in part.aggregates), *flags):
        yield from _simple(predicate)


def columns(part: Part) -> tuple[str, ...]:
    """Return the columns that a part reads for keys, conditions and figures, as ``table.column``, sorted.

    Guarantee: no column that the plan names is left out. Test:
    tests/node/test_judging.py::test_a_column_counts_as_read_wherever_it_stands.
    """
    found: set[str] = set()
    for key in keys(part):
        if not isinstance(key, (SiteKey, AttributeKey, FlagKey)):
            found.add(key.column)
    for term in terms(part):
        if not isinstance(term, (SiteIs, Not, Every, Some)):
            found.add(term.column)
    for aggregate in part.aggregates:
        found.update(aggregate.columns)
        if aggregate.column is not None:
            found.add(aggregate.column)
    return tuple(sorted(f"{part.table}.{column}" for column in found))


def _simple(predicate: Predicate) -> Iterator[Term]:
    if isinstance(predicate, Not):
        yield from _simple(predicate.term)
    elif isinstance(predicate, (Every, Some)):
        for term in predicate.terms:
            yield from _simple(term)
    else:
        yield predicate
