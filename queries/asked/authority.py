"""How far an analyst's authority reaches: whether a plan, and the hospitals asked, lie within regions and tables.

An authority over a region is over the hospitals there, unless the request says residence: then it is over the patients
who live there, at whatever hospital. Coordinator and hospitals each decide it for themselves from the signed request,
the roster and the catalogue; all of that is public.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from queries.agreed import places
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import Every, Members, Plan, Predicate, Some
from queries.errors import AuthorityError

Sites = Mapping[str, Mapping[str, str]]
"""Certified hospitals: identifier to public facts."""

MOST_NAMED = 5
"""Hospitals that a message names."""


def permits(
    plan: Plan,
    catalogue: Catalogue,
    *,
    regions: Collection[str],
    tables: Collection[str],
    sites: Sites,
    asked: Collection[str],
    by_residence: bool,
) -> None:
    """Raise AuthorityError where a plan, put to the hospitals ``asked``, reaches beyond ``regions`` or ``tables``.

    Empty ``regions``: the whole federation; empty ``tables``: every table. ``plan`` has been checked against the
    catalogue.

    Guarantee: with regions, either every hospital asked is in one of them, or (``by_residence``) every row that is
    read is of a patient who lives in one of them; a region that the catalogue does not know allows nothing. Tests:
    tests/queries/test_authority.py.
    """
    if tables:
        needed = {table for part in plan.parts for table in (part.table, *part.beside)}
        if beyond := sorted(needed - set(tables)):
            raise AuthorityError(
                "wrong-table",
                f"beyond the mandate: the table {', '.join(beyond)}",
                remedy=f"its tables: {', '.join(sorted(tables))}",
            )
    if not regions:
        return
    if by_residence:
        _check_residence(plan, catalogue, regions)
    elif outside := sorted(set(asked) - hospitals_in(catalogue, regions, sites)):
        more = ", ..." if len(outside) > MOST_NAMED else ""
        raise AuthorityError(
            "out-of-region",
            f"{len(outside)} of the hospitals asked are outside the mandate's regions ({', '.join(sorted(regions))}): "
            f"{', '.join(outside[:MOST_NAMED])}{more}",
            remedy="ask the hospitals there, or ask by residence about the patients who live there",
        )


def hospitals_in(catalogue: Catalogue, regions: Collection[str], sites: Sites) -> frozenset[str]:
    """Return the hospitals in any of the regions; none where the catalogue cannot place one of the regions.

    Guarantee: a mandate that names a region nobody can place reaches no hospital, rather than those of its other
    regions. Test: tests/queries/test_authority.py::test_a_region_that_the_catalogue_does_not_know_allows_nothing.
    """
    if not all(places.place_of(catalogue, region) for region in regions):
        return frozenset()
    return frozenset(
        site for site, facts in sites.items() if any(places.is_in(catalogue, region, facts) for region in regions)
    )


def _check_residence(plan: Plan, catalogue: Catalogue, regions: Collection[str]) -> None:
    for part in plan.parts:
        column = places.residence_of(catalogue.table(part.table))
        if column is None:
            raise AuthorityError(
                "out-of-region",
                f"rows of {part.table} do not say where patients live",
                remedy="ask by the hospital's region",
            )
        known = [places.within(column.codes, region) for region in regions]
        inside = frozenset[str]().union(*known) if all(known) else frozenset[str]()
        if not _is_limited(part.where, column.name, inside, catalogue, part.table):
            raise AuthorityError(
                "out-of-region",
                f"the question to {part.table} is not only about patients who live in {', '.join(sorted(regions))}",
                remedy=f"add a condition on {column.name}, such as LEVEL({column.name}, 'prefecture') = '3301'",
            )


def _is_limited(where: Predicate, column: str, inside: frozenset[str], catalogue: Catalogue, table: str) -> bool:
    """Tell whether every row that meets ``where`` has one of the codes ``inside``; a negation never counts as such."""
    if isinstance(where, Every):
        return any(_is_limited(term, column, inside, catalogue, table) for term in where.terms)
    if isinstance(where, Some):
        return all(_is_limited(term, column, inside, catalogue, table) for term in where.terms)
    if not isinstance(where, Members) or where.column != column:
        return False
    if where.level is None:
        return inside.issuperset(where.codes)
    residence = places.residence_of(catalogue.table(table))
    if residence is None:
        return False
    level = residence.codes.level(where.level)
    groups = {level.index[code] for code in where.codes}
    codes = zip(residence.codes.codes, level.group_of, strict=True)
    return all(code.code in inside for code, group in codes if group in groups)
