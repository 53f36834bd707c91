"""Derived columns: what a hospital's node computes from one patient's own rows, described and not computed.

The catalogue declares them, so that kinds, codes and bounds are public before anybody looks at a record. To questions
they are columns like any other. They are computed over all rows of a patient, before the cap leaves any out, and what
one of them says about a row depends on rows of the same patient at the same hospital only: adding or removing another
patient changes none of them. A value that needs something which the row lacks is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

YES, NO = "Y", "N"
"""The codes of a derived column that answers yes or no, in this order."""

PERIODS = ("year", "month", "ever")
"""The spans in which a row can be the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Among:
    """A condition on a row: one of its columns holds one of these codes."""

    column: str
    """A column of codes."""
    codes: tuple[str, ...]
    """At least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Yes where the patient has another row near enough in time.

    With ``after``, another row's ``until`` lies 0 to ``days`` days after this row's ``since``: a stay that begins
    within 31 days of this one's end. Without, this row's ``until`` lies 0 to ``days`` days after another row's
    ``since``: a stay that ended at most 7 days before this one began. Rows that begin and end on one same day follow
    each other in the keyed order, so that two of them make one pair and not two.
    """

    after: bool
    """Whether the other row is the later one."""
    days: int
    """Greatest distance in calendar days, at least 0."""
    since: str
    """Date column of the earlier of the two rows."""
    until: str
    """Date column of the later of the two rows."""
    same: tuple[str, ...] = ()
    """Columns in which the two rows are equal; a row that lacks one has no answer."""
    where: tuple[Among, ...] = ()
    """What holds of the other row, all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """Yes on the first of the patient's rows with equal values in a period, by day, time of day and keyed order."""

    by: str
    """Date column."""
    same: tuple[str, ...] = ()
    """Columns in which rows are equal; a row that lacks one has no answer."""
    per: str = "ever"
    """One of ``PERIODS``: a calendar year, a calendar month, or all time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Yes on each of the patient's rows but the first, in the keyed order, of those with equal values."""

    same: tuple[str, ...]
    """Columns in which rows are equal, at least one; a row that lacks one has no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """Yes where one of the row's columns or lists holds one of the codes.

    A list without codes is an answer: no. There is none where all columns are missing and no list is recorded.
    """

    of: tuple[str, ...]
    """Columns and lists of one code set, at least one."""
    codes: tuple[str, ...]
    """Of the set, or groups of ``level``; at least one."""
    level: str | None = None
    """The level that the codes are groups of; None: codes of the set itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """The time from one date of a row to another, in whole units, clipped to the column's public bounds."""

    unit: str
    """``minutes``, between columns with a time of day, or ``days``."""
    since: str
    """Date column that the time counts from."""
    until: str
    """Date column that it counts to."""


Rule = Near | First | Repeat | AnyOf | Elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """One derived column: how the column of this name comes about."""

    name: str
    """Of the column, which stands among the table's columns with its kind and bounds."""
    rule: Rule
    """How it is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """What a table of the elements of lists is made of: one row for each element, with the row that it was in."""

    table: str
    """The table whose rows hold the lists."""
    lists: tuple[str, ...]
    """Lists of it, read side by side; a place where the first of them holds no code gives no row."""
