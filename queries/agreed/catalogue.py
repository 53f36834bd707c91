"""The catalogue: the public agreement of a federation on what its tables mean.

Every bound, cap, code and label here is a public constant that the members agreed on, never read off data; that is why
the shape of an answer and its sensitivity are known before anyone looks at a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType

from queries.agreed.derived import Derived, Elements
from queries.errors import PlanError


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name for people, in both languages."""

    en: str
    """English."""
    zh: str
    """Simplified Chinese; the English one where the catalogue gives none."""

    def in_language(self, language: str) -> str:
        """Return the label in ``language`` (``en`` or ``zh``)."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code of a code set, or one group of a level."""

    code: str
    """As it is written in questions and answers."""
    label: Label
    """What it means."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """A coarser view of a code set: each group is a run of neighbouring codes."""

    name: str
    """As questions name it, such as ``chapter``."""
    label: Label
    """For people."""
    groups: tuple[Code, ...]
    """The groups, in the order of the codes."""
    group_of: tuple[int, ...]
    """For each code of the set, the index of its group; never falling."""

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Return the position of each group."""
        return MappingProxyType({group.code: position for position, group in enumerate(self.groups)})


@dataclass(frozen=True, kw_only=True)
class CodeSet:
    """A versioned list of codes with its levels, finest first."""

    name: str
    """As the catalogue names it."""
    version: str
    """Changes whenever a code does."""
    codes: tuple[Code, ...]
    """Every code that an answer may have a row for."""
    levels: tuple[Level, ...] = ()
    """Coarser views; empty for a flat set."""
    folds: bool = False
    """Whether a longer local code folds to its longest known beginning (I63.900x001 to I63)."""

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Return the position of each code."""
        return MappingProxyType({code.code: position for position, code in enumerate(self.codes)})

    def level(self, name: str) -> Level:
        """Return the level called ``name``; raise PlanError when there is none."""
        for level in self.levels:
            if level.name == name:
                return level
        known = ", ".join(level.name for level in self.levels) or "none"
        raise PlanError(f"code set {self.name} has no level {name!r}", remedy=f"its levels: {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeColumn:
    """A column of codes, or a list of them in each row; a value outside the set counts as missing."""

    name: str
    """As questions name it."""
    label: Label
    """For people."""
    codes: CodeSet
    """What it may hold."""
    most: int = 1
    """The most codes of one row. Above 1 it is a list, which no question reads: see ``Table.lists``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn:
    """A column of numbers, kept as whole multiples of a step, clipped to public bounds."""

    name: str
    """As questions name it."""
    label: Label
    """For people."""
    low: int
    """Least value, in steps; a smaller value is clipped to it."""
    high: int
    """Greatest value, in steps; a larger value is clipped to it."""
    step: Fraction
    """The unit of ``low`` and ``high``, in units of the column: 1 for whole numbers, 1/100 for cents."""
    unit: str = ""
    """Of the values, such as ``mmHg``."""

    def in_units(self, steps: int | Fraction) -> Fraction:
        """Turn steps into units of the column."""
        return steps * self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class DateColumn:
    """A column of calendar days; a day outside the bounds counts as missing."""

    name: str
    """As questions name it."""
    label: Label
    """For people."""
    first: date
    """Earliest day."""
    last: date
    """Latest day."""
    time: bool = False
    """Whether the node keeps the time of day as well; derived columns read it, questions read days."""


Column = CodeColumn | NumberColumn | DateColumn


@dataclass(frozen=True, kw_only=True)
class Table:
    """A private table: its columns, whose rows they are, and how many of them one patient may contribute."""

    name: str
    """As questions name it."""
    label: Label
    """For people."""
    patient: str
    """Name of the key that says whose a row is; never a column that questions can read."""
    columns: tuple[Column, ...]
    """What questions can read: the recorded columns, then the derived ones."""
    rows_per_patient: int
    """The cap: most rows of one patient, per calendar year where ``dated_by`` is set, else in all. At least 1."""
    dated_by: str | None = None
    """The date column whose calendar year the cap counts in; None: the cap is for the whole table."""
    lists: tuple[CodeColumn, ...] = ()
    """Columns with several codes in a row. A row must have one cell, so questions cannot read them; derived columns
    and tables of their elements can."""
    derived: tuple[Derived, ...] = ()
    """How the columns come about that the node computes from a patient's own rows; empty in a table of elements."""
    each: Elements | None = None
    """Set for a table of the elements of lists: no hospital records it, whoever has the other table has it."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Return the columns by name."""
        return MappingProxyType({column.name: column for column in self.columns})

    @cached_property
    def recorded(self) -> tuple[Column, ...]:
        """Return the columns that a hospital records, lists last; none of a table of elements."""
        if self.each is not None:
            return ()
        computed = {derived.name for derived in self.derived}
        return (*(column for column in self.columns if column.name not in computed), *self.lists)

    def column(self, name: str) -> Column:
        """Return the column called ``name``; raise PlanError when there is none."""
        try:
            return self.by_name[name]
        except KeyError:
            if any(column.name == name for column in self.lists):
                remedy = "ask the table of its elements, or a derived column: see `farr catalogue show`"
                raise PlanError(f"column {name!r} is a list", remedy=remedy) from None
            known = ", ".join(self.by_name)
            raise PlanError(f"table {self.name} has no column {name!r}", remedy=f"its columns: {known}") from None

    def years(self, first: date | None, last: date | None) -> int:
        """Return how many calendar years the window touches; without a window, those of the column's bounds."""
        if self.dated_by is None:
            return 1
        column = self.column(self.dated_by)
        if not isinstance(column, DateColumn):
            raise PlanError(f"table {self.name}: dated_by must name a date column", remedy="correct the catalogue")
        begin = max(first or column.first, column.first)
        end = min(last or column.last, column.last)
        return max(1, end.year - begin.year + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAttribute:
    """A public fact about each hospital, such as its country; its values are in the signed roster."""

    name: str
    """As questions name it, after ``site.``."""
    label: Label
    """For people."""
    codes: CodeSet
    """Its possible values."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All that a federation agreed on. Members hold the same bytes, which the signed roster pins by digest."""

    name: str
    """Of the federation's catalogue."""
    version: str
    """Changes whenever anything does."""
    tables: tuple[Table, ...]
    """The private tables."""
    site_attributes: tuple[SiteAttribute, ...]
    """The public facts about hospitals."""
    sites_per_patient: int
    """The most hospitals that one patient's rows are assumed to lie in; sensitivity is multiplied by it."""
    rows_per_site: int
    """The most rows that one hospital's table may hold; sums are clamped to it, which keeps the ring from wrapping."""
    source: bytes = field(repr=False)
    """The catalogue file as it was read: what is hashed, signed and sent."""
    label: Label | None = None
    """For people; None: the name says enough."""

    @cached_property
    def digest(self) -> bytes:
        """Return the SHA-256 of the file."""
        return hashlib.sha256(self.source).digest()

    def table(self, name: str) -> Table:
        """Return the table called ``name``; raise PlanError when there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        known = ", ".join(table.name for table in self.tables)
        raise PlanError(f"there is no table {name!r}", remedy=f"the catalogue's tables: {known}")

    def site_attribute(self, name: str) -> SiteAttribute:
        """Return the site attribute called ``name``; raise PlanError when there is none."""
        for attribute in self.site_attributes:
            if attribute.name == name:
                return attribute
        known = ", ".join(f"site.{attribute.name}" for attribute in self.site_attributes) or "none"
        raise PlanError(f"there is no site attribute {name!r}", remedy=f"the catalogue's site attributes: {known}")
