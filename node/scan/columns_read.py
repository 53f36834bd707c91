"""The columns of a prepared table that a part of a plan reads: the compiler is told of no others.

Writing a statement takes Ibis a time that grows with the columns of the table, and the common model's have up to a
hundred. Leaving a column out cannot change a sum: a statement that names it would not compile.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.scan.expressions import coded
from queries.asked.plan import (
    AttributeKey,
    CodeKey,
    Every,
    FlagKey,
    Key,
    Members,
    Not,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
)
from queries.cost.tally import Block, ProductSum, RowCount, ValueSum


def columns_of(predicates: tuple[Predicate, ...], blocks: tuple[Block, ...], keys: tuple[Key, ...]) -> frozenset[str]:
    """Return the names, as prepared tables have them, of what conditions, keys and blocks read."""
    found: set[str] = set()
    for predicate in predicates:
        found.update(_of_predicate(predicate))
    for key in (*keys, *(key for block in blocks for key in block.keys)):
        found.update(_of_key(key))
    for block in blocks:
        found.update(_of_predicate(block.where))
        measure = block.measure
        if isinstance(measure, ProductSum):
            found.update((measure.left, measure.right))
        elif isinstance(measure, (RowCount, ValueSum)) and measure.column is not None:
            found.add(measure.column)
    return frozenset(found)


def _of_predicate(term: Predicate) -> Iterator[str]:
    if isinstance(term, (Every, Some)):
        for part in term.terms:
            yield from _of_predicate(part)
    elif isinstance(term, Not):
        yield from _of_predicate(term.term)
    elif isinstance(term, Members):
        yield coded(term.column, term.level)
    elif not isinstance(term, SiteIs):
        yield term.column


def _of_key(key: Key) -> Iterator[str]:
    if isinstance(key, CodeKey):
        yield coded(key.column, key.level)
    elif isinstance(key, FlagKey):
        yield from _of_predicate(key.term)
    elif not isinstance(key, (SiteKey, AttributeKey)):
        yield key.column
