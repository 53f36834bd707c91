"""What a plan reads and tells apart: its keys, its conditions, its columns. Public facts, from the plan alone."""

from __future__ import annotations

from collections.abc import Iterator

from queries.asked.plan import (
    AppStep,
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
from queries.asked.step_reads import keys_of, step_columns

Term = Predicate
"""A condition that is no combination of others."""


def keys(part: Part) -> tuple[Key, ...]:
    """Return every key of a part, those of its aggregates included: a model's terms, outcome, time and strata too."""
    return (*part.keys, *keys_of(part.aggregates))


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
        found.update((*aggregate.columns, *step_columns(aggregate)))
        if aggregate.column is not None:
            found.add(aggregate.column)
    return tuple(sorted(f"{part.table}.{column}" for column in found))


def handed(part: Part) -> tuple[str, ...]:
    """Return the columns of which a researcher's app sees every row's own value: each day, each code."""
    return tuple(
        name for aggregate in part.aggregates if isinstance(aggregate.step, AppStep) for name in step_columns(aggregate)
    )


def _simple(predicate: Predicate) -> Iterator[Term]:
    waiting = [predicate]
    while waiting:
        term = waiting.pop()
        if isinstance(term, Not):
            waiting.append(term.term)
        elif isinstance(term, (Every, Some)):
            waiting += reversed(term.terms)
        else:
            yield term
