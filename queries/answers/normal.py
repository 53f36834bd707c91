"""The normal form of conditions: what means the same, as far as is cheap to see, is spelt the same.

Every rewriting here holds in SQL's three-valued logic, also for rows where the column has no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from queries.agreed.catalogue import DateColumn, NumberColumn, Table
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, Between, During, Every, Members, Missing, Not, Predicate, SiteIs, Some

NOTHING = Some()
"""No row."""


def normal(predicate: Predicate, table: Table) -> Predicate:
    """Return the normal form: negations pushed inwards, nests flattened, terms merged, sorted by canonical bytes.

    Guarantee: it is true, false or unknown of exactly the rows that ``predicate`` is, so no rewriting widens what a
    patient is charged for. Test: tests/queries/test_build.py::test_the_normal_form_means_the_same.
    """
    if isinstance(predicate, Not):
        return _negated(predicate.term, table)
    if isinstance(predicate, Every):
        return _joined(Every, [normal(term, table) for term in predicate.terms])
    if isinstance(predicate, Some):
        return _joined(Some, [normal(term, table) for term in predicate.terms])
    if isinstance(predicate, (Members, SiteIs)) and predicate.codes != tuple(sorted(set(predicate.codes))):
        return _with_codes(predicate, set(predicate.codes))
    return predicate


def window_of(column: DateColumn, where: Predicate) -> tuple[date, date]:
    """Return the days of a date column that rows meeting a normal ``where`` can have; may be empty (first > last)."""
    first, last = column.first, column.last
    for term in where.terms if isinstance(where, Every) else (where,):
        if isinstance(term, During) and term.column == column.name:
            first = max(first, term.first or first)
            last = min(last, term.last or last)
    return first, last


def sites_left(where: Predicate, sites: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the hospitals, sorted, that every outer term about hospitals alone is true of."""
    terms = where.terms if isinstance(where, Every) else (where,)
    about = [term for term in terms if _public(term)]
    return tuple(sorted(site for site in sites if all(_true_of(term, site, sites[site]) for term in about)))


def _negated(term: Predicate, table: Table) -> Predicate:
    if isinstance(term, Not):
        return normal(term.term, table)
    if isinstance(term, Every):
        return normal(Some(terms=tuple(Not(term=part) for part in term.terms)), table)
    if isinstance(term, Some):
        return normal(Every(terms=tuple(Not(term=part) for part in term.terms)), table)
    term = normal(term, table)
    if isinstance(term, Between) and isinstance(column := table.by_name.get(term.column), NumberColumn):
        if term.low is not None and term.high is None and term.low > column.low:
            return Between(column=term.column, low=None, high=term.low - 1)
        if term.high is not None and term.low is None and term.high < column.high:
            return Between(column=term.column, low=term.high + 1, high=None)
    if isinstance(term, During) and isinstance(column := table.by_name.get(term.column), DateColumn):
        if term.first is not None and term.last is None and term.first > column.first:
            return During(column=term.column, first=None, last=term.first - timedelta(days=1))
        if term.last is not None and term.first is None and term.last < column.last:
            return During(column=term.column, first=term.last + timedelta(days=1), last=None)
    return Not(term=term)


def _joined(kind: type[Every | Some], terms: list[Predicate]) -> Predicate:
    """Flatten, drop what changes nothing, merge and sort the normal terms of a conjunction or a disjunction."""
    decisive: Predicate = NOTHING if kind is Every else EVERYTHING
    flat: list[Predicate] = []
    for term in terms:
        flat += term.terms if isinstance(term, kind) else (term,)
    if decisive in flat:
        return decisive
    flat = _intersected(flat) if kind is Every else _united(flat)
    ordered = sorted(dict.fromkeys(flat), key=encode)
    return ordered[0] if len(ordered) == 1 else kind(terms=tuple(ordered))


def _intersected(terms: list[Predicate]) -> list[Predicate]:
    """Merge the intervals of each column; where they have nothing in common they stay apart, and no row meets all."""
    rest: list[Predicate] = [term for term in terms if not isinstance(term, (Between, During))]
    for name in dict.fromkeys(term.column for term in terms if isinstance(term, Between)):
        rest += _common_numbers([term for term in terms if isinstance(term, Between) and term.column == name])
    for name in dict.fromkeys(term.column for term in terms if isinstance(term, During)):
        rest += _common_days([term for term in terms if isinstance(term, During) and term.column == name])
    return rest


def _common_numbers(terms: list[Between]) -> list[Between]:
    low = max((term.low for term in terms if term.low is not None), default=None)
    high = min((term.high for term in terms if term.high is not None), default=None)
    if low is not None and high is not None and low > high:
        return terms
    return [Between(column=terms[0].column, low=low, high=high)]


def _common_days(terms: list[During]) -> list[During]:
    first = max((term.first for term in terms if term.first is not None), default=None)
    last = min((term.last for term in terms if term.last is not None), default=None)
    if first is not None and last is not None and first > last:
        return terms
    return [During(column=terms[0].column, first=first, last=last)]


def _united(terms: list[Predicate]) -> list[Predicate]:
    """Merge memberships of the same column and level, or of the same fact about hospitals."""
    codes: dict[Predicate, set[str]] = {}
    for term in terms:
        bare = _with_codes(term, set()) if isinstance(term, (Members, SiteIs)) else term
        codes.setdefault(bare, set()).update(term.codes if isinstance(term, (Members, SiteIs)) else ())
    return [
        _with_codes(term, members) if isinstance(term, (Members, SiteIs)) else term for term, members in codes.items()
    ]


def _with_codes(term: Members | SiteIs, codes: set[str]) -> Predicate:
    listed = tuple(sorted(codes))
    if isinstance(term, Members):
        return Members(column=term.column, codes=listed, level=term.level)
    return SiteIs(attribute=term.attribute, codes=listed)


def _public(term: Predicate) -> bool:
    """Return whether a condition is about hospitals alone."""
    if isinstance(term, SiteIs):
        return True
    if isinstance(term, Not):
        return _public(term.term)
    if isinstance(term, (Every, Some)):
        return bool(term.terms) and all(_public(part) for part in term.terms)
    return False


def _true_of(term: Predicate, site: str, facts: Mapping[str, str]) -> bool:
    return _truth(term, site, facts) is True


def _truth(term: Predicate, site: str, facts: Mapping[str, str]) -> bool | None:
    """Return whether a condition about hospitals holds of one; None where the roster does not say."""
    if isinstance(term, SiteIs):
        value = site if term.attribute is None else facts.get(term.attribute)
        return None if value is None else value in term.codes
    if isinstance(term, Not):
        inner = _truth(term.term, site, facts)
        return None if inner is None else not inner
    if isinstance(term, (Members, Between, During, Missing)):
        return None
    parts = [_truth(part, site, facts) for part in term.terms]
    decisive = isinstance(term, Some)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive
