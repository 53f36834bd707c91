"""What a pack asks, item by item, so that a run of it can be told from any other question by its plan alone.

An item is one statistic of one table: what it measures, of which rows, in which groups of its own. What a run chooses
is no part of it: the period, the hospitals, where patients live, the parts of the calendar, and the bound on a
patient's rows, which grows with the period and changes the noise, never the loss that is charged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from queries.agreed.catalogue import Catalogue, Table
from queries.agreed.places import residence_of
from queries.asked.canonical import encode
from queries.asked.plan import (
    EVERYTHING,
    AttributeKey,
    Bound,
    CodeKey,
    DateKey,
    During,
    Every,
    Key,
    Members,
    Part,
    Plan,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
)

LABEL = b"farr1/pack-item"

_ONE_ROW = Bound(rows=1, groups=1)


def items_of(plan: Plan, catalogue: Catalogue) -> frozenset[bytes]:
    """Return the digests of what a plan asks: one for each statistic, and one for each group that it is told apart by.

    Two plans have a digest in common if and only if they ask for the same statistic of the same rows but for period
    and place, or group one by the same thing.

    Guarantee: a plan whose items are all among a pack's asks nothing that the pack does not ask, but for crossing its
    groupings, which ``crossed`` counts. Test:
    tests/queries/test_pack_items.py::test_whatever_a_pack_does_not_ask_is_another_item.
    """
    return frozenset(digest for part in plan.parts for digest in _items(part, catalogue.table(part.table)))


def crossed(plan: Plan, catalogue: Catalogue) -> int:
    """Return how many groupings, other than those that a run chooses, a part of the plan crosses at most."""
    tables = ((part, catalogue.table(part.table)) for part in plan.parts)
    return max(sum(not _is_free_key(key, table) for key in part.keys) for part, table in tables)


def _items(part: Part, table: Table) -> Iterator[bytes]:
    rows = _rows(part.where, table)
    keys = [key for key in part.keys if not _is_free_key(key, table)]
    for aggregate in part.aggregates:
        alone = replace(
            part,
            where=rows,
            keys=(),
            aggregates=(aggregate,),
            bound=_ONE_ROW,
            subtotals=False,
            weight=1,
        )
        item = hashlib.sha256(LABEL + encode(alone)).digest()
        yield item
        for key in keys:
            yield hashlib.sha256(LABEL + item + encode(key)).digest()


def _rows(where: Predicate, table: Table) -> Predicate:
    """Return the condition without those of its outer terms that only choose a period, hospitals or homes.

    A term is left out only where all rows must meet it, so what is left out narrows the rows and never widens them.
    """
    terms = where.terms if isinstance(where, Every) else (where,)
    kept = tuple(term for term in terms if not _is_free(term, table))
    if not kept:
        return EVERYTHING
    return kept[0] if len(kept) == 1 else Every(terms=kept)


def _is_free(term: Predicate, table: Table) -> bool:
    return (isinstance(term, During) and term.column == table.dated_by) or _is_place(term, table)


def _is_place(term: Predicate, table: Table) -> bool:
    if isinstance(term, Some):
        return bool(term.terms) and all(_is_place(each, table) for each in term.terms)
    if isinstance(term, SiteIs):
        return True
    home = residence_of(table)
    return isinstance(term, Members) and home is not None and term.column == home.name


def _is_free_key(key: Key, table: Table) -> bool:
    if isinstance(key, (SiteKey, AttributeKey)):
        return True
    if isinstance(key, DateKey):
        return key.column == table.dated_by
    home = residence_of(table)
    return isinstance(key, CodeKey) and home is not None and key.column == home.name
