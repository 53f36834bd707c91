"""Where hospitals are and where patients live, by membership in the catalogue's own lists of regions.

A region is a code of such a list or a group of one of its levels. What lies in it is what the list says; the beginning
of a code is never asked, since places change hands and codes are given out anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet, SiteAttribute, Table

PLACES = ("county", "prefecture", "province", "area", "region", "country")
"""Names of site attributes that say where a hospital is."""

RESIDENCE = frozenset({"prefecture", "province"})
"""A column whose code set has these levels says where a patient lives."""

_FULL = 6
"""Digits of a county's code; a province's or a prefecture's own six digits end in zeros and stand for all of it."""


def plain(region: str) -> str:
    """Return the code of a region without the zeros that fill it up: 330000 is 33, 330100 is 3301."""
    return region.removesuffix("00").removesuffix("00") if len(region) == _FULL else region


def within(codes: CodeSet, region: str) -> frozenset[str]:
    """Return the codes of a set that lie in a region; none where the set does not know the region.

    Guarantee: membership is what the list says, so no code is in a region because it begins like it. Test:
    tests/queries/test_authority.py::test_a_place_is_in_a_region_by_the_list_and_not_by_its_digits.
    """
    short = plain(region)
    for level in codes.levels:
        if short in level.index:
            group = level.index[short]
            return frozenset(code.code for code, of in zip(codes.codes, level.group_of, strict=True) if of == group)
    return frozenset({each for each in (short, region) if each in codes.index})


def place_of(catalogue: Catalogue, region: str) -> tuple[SiteAttribute, frozenset[str]] | None:
    """Return the first fact about hospitals that knows a region, and its codes there; None where none does."""
    for fact in catalogue.site_attributes:
        if fact.name in PLACES and (codes := within(fact.codes, region)):
            return fact, codes
    return None


def is_known(catalogue: Catalogue, region: str) -> bool:
    """Tell whether the catalogue knows a region: as a place of hospitals or of patients."""
    columns = (residence_of(table) for table in catalogue.tables)
    return place_of(catalogue, region) is not None or any(
        within(column.codes, region) for column in columns if column is not None
    )


def is_in(catalogue: Catalogue, region: str, facts: Mapping[str, str]) -> bool:
    """Tell whether a hospital with these public facts is in a region.

    Every fact that could tell must say so: one that is missing, or says otherwise, leaves the hospital outside.
    """
    known = [
        (fact.name, codes)
        for fact in catalogue.site_attributes
        if fact.name in PLACES and (codes := within(fact.codes, region))
    ]
    told = [facts[name] in codes for name, codes in known if name in facts]
    return bool(told) and all(told)


def residence_of(table: Table) -> CodeColumn | None:
    """Return the column of a table that says where patients live; None where there is none."""
    for column in table.columns:
        if isinstance(column, CodeColumn) and {level.name for level in column.codes.levels} >= RESIDENCE:
            return column
    return None
