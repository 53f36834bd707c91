"""The setting of an aggregate: the table that it reads and the cells in which it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from queries.agreed.catalogue import Catalogue, Code, NumberColumn, Table
from queries.agreed.domains import domain, size
from queries.asked.plan import Key
from queries.errors import PlanError


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where an aggregate is asked."""

    catalogue: Catalogue
    """The agreement."""
    table: Table
    """Whose rows are counted."""
    keys: tuple[Key, ...]
    """The cells around it."""

    @cached_property
    def cells(self) -> int:
        """Return the number of cells around an aggregate."""
        return prod(self.size(key) for key in self.keys)

    def size(self, key: Key) -> int:
        """Return the number of cells of a key."""
        return size(key, self.catalogue, self.table)

    def codes(self, key: Key) -> tuple[Code, ...]:
        """Return the cells of a key with their labels."""
        return domain(key, self.catalogue, self.table).codes

    def number(self, name: str | None, statistic: str) -> NumberColumn:
        """Return a number column by name; raise PlanError where there is none of that name."""
        if name is None:
            raise PlanError(f"{statistic} needs a column", remedy="name a number column")
        column = self.table.column(name)
        if not isinstance(column, NumberColumn):
            raise PlanError(
                f"{statistic} of {column.name} makes no sense: it holds no numbers with public bounds",
                remedy="name a number column, or count rows with a condition",
            )
        return column
