"""A pack of indicators: what a commission reports every month, each figure with its definition and its rule.

A pack is one file that everybody holds byte for byte; its digest says which one was run. It holds questions in Farr's
SQL and no code, so whoever can read the catalogue can read what a pack asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType

from queries.agreed.catalogue import Label
from queries.agreed.names import offer
from queries.errors import StatementError

FIGURE = "value"
"""What the column of an indicator's figure is called."""

ROWS = "rows"
"""What the column of the rows that it rests on is called, where there is one."""

SHORT_DIGEST = 8
"""Hex digits of a digest that people see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """A way in which figures may be grouped."""

    name: str
    """As ``--by`` names it."""
    label: Label
    """For people."""
    expression: str
    """A group in Farr's SQL; ``{date}`` stands for the day by which the rows are dated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A public number that no hospital holds, such as a population: an argument of the run."""

    name: str
    """As ``--public`` names it, and in braces in a figure."""
    label: Label
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """When a figure may be shown."""

    least: int
    """Fewest rows that it may rest on, judged on noised counts where there is one."""
    caution: Fraction
    """From so many percent of the figure as the noise's standard deviation on, it is shown with a mark."""
    suppress: Fraction
    """From so many percent on, it is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What an indicator asks of one table."""

    table: str
    """A private table."""
    figure: str
    """In Farr's SQL, over aggregates; public numbers stand in braces."""
    where: str
    """The rows, in Farr's SQL; empty: all of the period."""
    dated_by: str
    """The date column that the period is about."""
    rows: int
    """Most rows of one patient that enter, for each month of the period."""
    volume: Fraction
    """About how many rows there are for each discharge, for foresight only."""
    share: Fraction
    """About how large a share is that the figure asks for, for foresight only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One indicator. Its figure is that of ``top``, or ``factor`` times the quotient of ``top`` and ``bottom``."""

    number: int
    """In the catalogue of indicators; several may be of one number."""
    name: str
    """As commands name it."""
    label: Label
    """For people."""
    definition: Label
    """What it says, in a sentence."""
    numerator: Label
    """What is counted or added up."""
    denominator: Label
    """What it is divided by; "none" where it is not."""
    source: str
    """Who defines it."""
    unit: Label
    """As reported: per mille, CNY, days."""
    top: Side
    """The figure, or what is above the line."""
    bottom: Side | None
    """What is below the line, where that is of another table."""
    factor: Fraction
    """What a quotient of two tables is multiplied by."""
    base: str
    """What it rests on: ``value`` for the figure itself, a figure in SQL of the same table, or empty."""
    by: tuple[str, ...]
    """Groupings that it always has."""
    groupings: tuple[str, ...]
    """Groupings that it may have beside."""
    without: tuple[str, ...]
    """Codes of its own groupings whose rows are left out of the answer."""
    note: Label | None
    """What must be said with it."""
    public: tuple[str, ...]
    """The public numbers that it needs."""
    reliability: Reliability
    """When it may be shown."""
    weight: int
    """Of each of its numbers, in the division of the privacy loss."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Return the tables that it asks."""
        return (self.top,) if self.bottom is None else (self.top, self.bottom)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A pack of indicators."""

    name: str
    """Such as ``monthly``."""
    version: str
    """Changed whenever anything changes."""
    catalogue: str
    """Name of the catalogue that its questions are in terms of."""
    label: Label
    """For people."""
    groupings: Mapping[str, Grouping]
    """By name."""
    public: Mapping[str, Given]
    """By name."""
    means: Mapping[str, Mapping[str, Fraction]]
    """By table and number column, about its mean, in its unit: for foresight only."""
    indicators: tuple[Indicator, ...]
    """In the file's order. Names are unique."""
    source: bytes
    """The file."""

    @cached_property
    def digest(self) -> bytes:
        """Return the SHA-256 of the file."""
        return hashlib.sha256(self.source).digest()

    @property
    def title(self) -> str:
        """Return how hospitals and analysts name exactly this pack: ``monthly@1a2b3c4d``."""
        return f"{self.name}@{self.digest.hex()[:SHORT_DIGEST]}"

    @cached_property
    def by_name(self) -> Mapping[str, Indicator]:
        """Return the indicators by name."""
        return MappingProxyType({each.name: each for each in self.indicators})

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the numbers that it covers, rising."""
        return tuple(sorted({each.number for each in self.indicators}))

    def indicator(self, name: str) -> Indicator:
        """Return an indicator by name; raise StatementError where there is none."""
        if name not in self.by_name:
            raise StatementError(f"there is no indicator {name!r}", remedy=offer(name, self.by_name))
        return self.by_name[name]

    def named(self, names: tuple[str, ...]) -> tuple[Indicator, ...]:
        """Return indicators by their names or numbers, each once, in the file's order; all where none is named."""
        wanted: set[str] = set()
        for name in names:
            alike = {each.name for each in self.indicators if str(each.number) == name.removeprefix("#")}
            wanted |= alike or {self.indicator(name).name}
        return tuple(each for each in self.indicators if not names or each.name in wanted)
