"""What became of a hospital's rows and values while they were prepared: counts for its operator, never sent."""

from __future__ import annotations

from dataclasses import dataclass

READ, MISSING, UNUSABLE, CLIPPED, OUTSIDE, UNMAPPED = range(6)
"""What became of a value: kept as it is; blank; not a code, number or day of any kind; moved to the nearest bound; a
day outside the catalogue's days; a code that the mapping does not list. The last two and the third count as missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnReport:
    """What became of one column.

    Guarantee: nothing but counts: no value of a record is in it. Test:
    tests/node/test_lists.py::test_a_report_holds_counts_only.
    """

    name: str
    """Catalogue column."""
    rows: int
    """Rows looked at; of a derived column those with a patient and the date that the cap counts by."""
    missing: int
    """Rows where the source is blank or says that the value is missing; a derived column has no answer there."""
    unusable: int
    """Rows where it says something that the catalogue has no place for; they count as missing."""
    clipped: int
    """Rows where a number was moved to the nearest bound."""
    outside: int = 0
    """Of the unusable ones, days outside the catalogue's days."""
    unmapped: int = 0
    """Of the unusable ones, codes that the mapping's ``values`` does not list."""
    cut: int = 0
    """Rows whose list is longer than the catalogue allows; the rest of the list was left out."""
    derived: bool = False
    """Whether the node computed the column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReport:
    """What became of one table."""

    name: str
    """Catalogue table."""
    read: int
    """Rows read; of a table of elements, the elements."""
    unreadable: int
    """Lines of a text file that could not be read."""
    no_patient: int
    """Rows left out because nobody can say whose they are."""
    no_date: int
    """Rows left out because the day that the cap counts by is missing."""
    over_cap: int
    """Rows left out because their patient has more than the catalogue's cap."""
    kept: int
    """Rows that questions see."""
    columns: tuple[ColumnReport, ...]
    """In the catalogue's order, lists after the recorded columns; none for a table of elements."""
