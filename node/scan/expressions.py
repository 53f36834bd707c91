"""Predicates and keys of a plan as Ibis expressions over a prepared table.

What a hospital is (its name, its public attributes) is known before any row is read, so those terms become constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from itertools import pairwise
from operator import and_, or_
from typing import Any

import ibis

from queries.agreed.catalogue import Catalogue, CodeColumn, DateColumn, NumberColumn, Table
from queries.agreed.domains import size
from queries.answers.tree import MOST_LEAVES, stride_of
from queries.asked.plan import (
    AttributeKey,
    BandKey,
    Between,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Key,
    Members,
    Missing,
    Not,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
)
from queries.errors import PlanError

Expression = Any
"""An Ibis expression; the library ships no types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The hospital that a statement is compiled for."""

    name: str
    """Its identifier in the roster."""
    attributes: Mapping[str, str]
    """Its public attributes, from the signed roster."""

    def value(self, attribute: str | None) -> str | None:
        """Return one attribute, or the identifier; None where the roster does not say."""
        return self.name if attribute is None else self.attributes.get(attribute)


def prepared_schema(table: Table) -> dict[str, str]:
    """Return the columns of a prepared table with their Ibis types."""
    schema: dict[str, str] = {}
    for column in table.columns:
        if isinstance(column, CodeColumn):
            schema[column.name] = "int32"
            schema.update({f"{column.name}@{level.name}": "int32" for level in column.codes.levels})
        else:
            schema[column.name] = "int64" if isinstance(column, NumberColumn) else "date"
    return {**schema, "_patient": "int64", "_order": "uint64"}


def condition(term: Predicate, rows: Expression, table: Table, site: Site) -> Expression:
    """Return a predicate as a boolean expression over ``rows``, with SQL's unknown where a value is missing."""
    if isinstance(term, Every):
        return _joined(and_, [condition(part, rows, table, site) for part in term.terms], empty=True)
    if isinstance(term, Some):
        return _joined(or_, [condition(part, rows, table, site) for part in term.terms], empty=False)
    if isinstance(term, Not):
        return ~condition(term.term, rows, table, site)
    if isinstance(term, SiteIs):
        value = site.value(term.attribute)
        return ibis.null("boolean") if value is None else ibis.literal(value in term.codes)
    column = table.column(term.column)
    if isinstance(term, Missing):
        return rows[term.column].isnull()
    if isinstance(term, Members) and isinstance(column, CodeColumn):
        if term.level is None:
            known: Mapping[str, int] = column.codes.index
        else:
            known = {group.code: place for place, group in enumerate(column.codes.level(term.level).groups)}
        return rows[coded(term.column, term.level)].isin([known[code] for code in term.codes if code in known])
    if isinstance(term, Between) and isinstance(column, NumberColumn):
        low = column.low if term.low is None else max(term.low, column.low)
        high = column.high if term.high is None else min(term.high, column.high)
        return rows[term.column].between(low, high)
    if isinstance(term, During) and isinstance(column, DateColumn):
        return rows[term.column].between(term.first or column.first, term.last or column.last)
    raise PlanError(f"column {column.name} cannot be compared that way", remedy="see `farr catalogue show`")


def _joined(
    operator: Callable[[Expression, Expression], Expression], terms: list[Expression], *, empty: bool
) -> Expression:
    """Join terms pair by pair.

    Guarantee: whatever ``queries.asked.check`` accepts nests no deeper here than compiler and engine take, which one
    term after the other would from about a thousand on. Test:
    tests/node/test_scan.py::test_a_condition_of_as_many_terms_as_are_accepted_is_answered.
    """
    while len(terms) > 1:
        terms = [reduce(operator, terms[at : at + 2]) for at in range(0, len(terms), 2)]
    return terms[0] if terms else ibis.literal(value=empty)


def fixed_cell(key: Key, site: Site, catalogue: Catalogue) -> int | None:
    """Return the cell of a key about hospitals that this hospital fills; None where it fills none."""
    if isinstance(key, SiteKey):
        return key.sites.index(site.name) if site.name in key.sites else None
    if isinstance(key, AttributeKey):
        value = site.value(key.attribute)
        return None if value is None else catalogue.site_attribute(key.attribute).codes.index.get(value)
    raise PlanError("not a key about hospitals", remedy="report this as a defect")


def row_cell(key: Key, rows: Expression, table: Table, catalogue: Catalogue, site: Site) -> Expression:
    """Return the cell of a key about rows: 0 up to the size of its domain, or NULL for a row without a cell."""
    if isinstance(key, CodeKey):
        return rows[coded(key.column, key.level)].cast("int64")
    if isinstance(key, BandKey):
        return _band(key, rows[key.column], table)
    if isinstance(key, DateKey):
        day = rows[key.column]
        covered = day.between(key.first, key.last) & ibis.literal(size(key, catalogue, table) > 0)
        return ibis.cases((covered, _period(key, day)), else_=ibis.null("int64"))
    if isinstance(key, FlagKey):
        holds = condition(key.term, rows, table, site)
        return ibis.cases(
            (holds, ibis.literal(1, "int64")), (~holds, ibis.literal(0, "int64")), else_=ibis.null("int64")
        )
    raise PlanError("not a key about rows", remedy="report this as a defect")


def coded(column: str, level: str | None) -> str:
    """Return the name, in a prepared table, of a code column or of the column of one of its levels."""
    return column if level is None else f"{column}@{level}"


def _band(key: BandKey, value: Expression, table: Table) -> Expression:
    starts = key.starts
    widths = {after - start for start, after in pairwise(starts)}
    if len(widths) == 1:
        # Least skips NULL: the CASE keeps a missing number out of the last band.
        index = ibis.least((value - starts[0]) // widths.pop(), len(starts) - 1).cast("int64")
        return ibis.cases((value >= starts[0], index), else_=ibis.null("int64"))
    column = table.column(key.column)
    if isinstance(column, NumberColumn) and (stride := stride_of(column, starts)):
        return ibis.cases((value >= starts[0], _rooted(value, column) // stride), else_=ibis.null("int64"))
    branches = [(value >= start, ibis.literal(index, "int64")) for index, start in reversed(list(enumerate(starts)))]
    return ibis.cases(*branches, else_=ibis.null("int64"))


def _rooted(value: Expression, column: NumberColumn) -> Expression:
    """Return the leaf of a tree whose leaves grow with the root of the value, in three comparisons and not a thousand.

    Guarantee: the leaf that ``queries.answers.tree.tree_of`` says, whatever the float root comes to: it may be off by
    one, which whole numbers then put right. Test: tests/node/test_bands.py::test_rooted_leaves_are_those_of_the_tree.
    """
    values = column.high - column.low + 1
    near = (value.cast("float64") * (MOST_LEAVES**2 / values)).sqrt().floor().cast("int64")
    begins, after = near * near * values // MOST_LEAVES**2, (near + 1) * (near + 1) * values // MOST_LEAVES**2
    return near + ibis.cases((value >= after, 1), (value < begins, -1), else_=0).cast("int64")


def _period(key: DateKey, day: Expression) -> Expression:
    first = key.first
    year, month = day.year().cast("int64"), day.month().cast("int64")
    if key.part == "year":
        return year - first.year
    if key.part == "quarter":
        return (year - first.year) * 4 + (month + 2) // 3 - (first.month + 2) // 3
    if key.part == "month":
        return (year - first.year) * 12 + month - first.month
    if key.part == "week":
        return day.delta(first - timedelta(days=first.weekday()), unit="day") // 7
    if key.part == "day":
        return day.delta(first, unit="day")
    if key.part == "month_of_year":
        return month - 1
    if key.part == "weekday":
        return day.day_of_week.index().cast("int64")
    raise PlanError(f"a date has no part {key.part!r}", remedy="report this as a defect")
