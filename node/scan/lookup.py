"""Finding a source code in a code set, as SQL: by joins for a column of codes, within the row for a list of them."""

# Statements are put together from quoted catalogue names and public constants.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from node.records.mapping import ColumnMapping
from queries.agreed.catalogue import CodeColumn, CodeSet

BLANKS = " \t\r\n\u00a0\u3000"
"""What counts as white space around a text: also the no-break and the ideographic space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The source codes of one column."""

    name: str
    """Of the temporary table, and of the temporary type."""
    codes: CodeSet
    """What they mean."""
    indices: Mapping[str, int]
    """Source code, and index in the code set."""
    folds: bool
    """Whether the longest known beginning of a text counts."""

    def text(self, text: str) -> str:
        """Return the SQL of a text as source codes are spelt."""
        return f"upper(replace({text}, '.', ''))" if self.folds else text

    def joins(self, connection: duckdb.DuckDBPyConnection, text: str, column: str) -> tuple[tuple[str, ...], _Values]:
        """Create the temporary table; return the joins to it, and the prepared columns with their SQL."""
        levels = [[level.group_of[index] for index in self.indices.values()] for level in self.codes.levels]
        lists = [list(self.indices), list(self.indices.values()), *levels]
        fields = ["code VARCHAR", "position INTEGER", *(f"l{number} INTEGER" for number in range(len(levels)))]
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {self.name} ({', '.join(fields)})")
        connection.execute(f"INSERT INTO {self.name} SELECT {', '.join(['unnest(?)'] * len(lists))}", lists)
        beginnings = {f"{self.name}_{length}": self._beginning(text, length) for length in self._lengths()}
        joins = tuple(
            f"LEFT JOIN {self.name} AS {alias} ON {alias}.code = {beginning}" for alias, beginning in beginnings.items()
        )
        names = [(column, "position")]
        names += [(f"{column}@{level.name}", f"l{number}") for number, level in enumerate(self.codes.levels)]
        return joins, tuple(
            (name, f"coalesce({', '.join(f'{alias}.{field}' for alias in beginnings)})") for name, field in names
        )

    def index(self, connection: duckdb.DuckDBPyConnection, text: str) -> str:
        """Create the temporary type, in which the engine finds a text without a join; return the SQL of the index."""
        connection.execute(f"DROP TYPE IF EXISTS {self.name}")
        if not self.indices:
            return "CAST(NULL AS INTEGER)"
        known = f"SELECT unnest(?) AS code, unnest(range({len(self.indices)})) AS place"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {self.name}_type AS {known}", [list(self.indices)])
        connection.execute(f"CREATE TEMP TYPE {self.name} AS ENUM (SELECT code FROM {self.name}_type ORDER BY place)")
        tried = [f"TRY_CAST({self._beginning(text, length)} AS {self.name})" for length in self._lengths()]
        place = f"enum_code(coalesce({', '.join(tried)}))"
        indices = list(self.indices.values())
        # The engine counts source codes in their own order, which is the set's only where nothing was mapped.
        same = indices == list(range(len(indices)))
        return f"CAST({place} AS INTEGER)" if same else f"CAST({indices} AS INTEGER[])[CAST({place} AS INTEGER) + 1]"

    def _lengths(self) -> list[int]:
        """Return the lengths of the source codes, longest first, so that the longest known beginning wins."""
        return sorted({len(code) for code in self.indices}, reverse=True) if self.folds else [0]

    def _beginning(self, text: str, length: int) -> str:
        return f"left({text}, {length})" if self.folds else text


_Values = tuple[tuple[str, str], ...]


def look_up(column: CodeColumn, position: int, mapped: ColumnMapping) -> Lookup:
    """Return the source codes of a column: those of the mapping, else the catalogue's own."""
    folds = column.codes.folds and mapped.values is None
    pairs = mapped.values if mapped.values is not None else tuple((code, code) for code in column.codes.index)
    indices: dict[str, int] = {}
    for source, code in pairs:
        # One entry for each text: a second one would multiply a patient's rows in the join.
        text = source.strip(BLANKS)
        indices.setdefault(text.replace(".", "").upper() if folds else text, column.codes.index[code])
    return Lookup(name=f"_codes_{position}", codes=column.codes, indices=indices, folds=folds)
