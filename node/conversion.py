"""SQL that turns a source text into a catalogue value: a code's index, a whole number of steps, a day.

Nothing here can fail on a record: what does not parse becomes NULL, and a NULL contributes nothing to any tally.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, lcm

import duckdb

from node.files import identifier, literal
from node.mapping import ColumnMapping, SourceError
from queries.catalogue import CodeColumn, Column, NumberColumn

NANO = 10**9
"""Source numbers are read to nine decimals; a tenth is rounded half away from zero before anything else."""

BLANKS = " \t\r\n\u00a0\u3000"
"""What counts as white space around a text: also the no-break and the ideographic space."""

USUAL_DATES = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y年%m月%d日")
"""Formats of a day where the mapping names none; a time of day after it is cut off first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How one catalogue column is made, in three steps: text _t, parsed _p, refined _r, each with its position."""

    column: Column
    """The catalogue's."""
    parsed: str
    """SQL over the cleaned texts."""
    refined: str
    """SQL over the parsed values."""
    joins: tuple[str, ...]
    """SQL of the lookups of codes, over the refined values."""
    values: tuple[tuple[str, str], ...]
    """Prepared column and its SQL. The first is the column itself, the rest are levels of its code set."""
    clipped: str = "false"
    """SQL: whether the value lay outside the column's bounds."""


def convert(
    connection: duckdb.DuckDBPyConnection, column: Column, position: int, mapped: ColumnMapping, file: str
) -> Conversion:
    """Return the conversion of a column; code lists become temporary tables of ``connection``.

    Guarantee: for every text, a code is NULL or an index of the set, a number is NULL or within the column's bounds, a
    day is NULL or within the column's days. Test: tests/node/test_prepare.py::test_prepared_values_stay_in_the_domain.
    """
    text, parsed, refined = f"_t{position}", f"_p{position}", f"_r{position}"
    if isinstance(column, CodeColumn):
        folds = column.codes.folds and mapped.values is None
        joins, values = _codes(connection, column, position, mapped, folds=folds)
        folded = f"upper(replace({text}, '.', ''))" if folds else text
        return Conversion(column=column, parsed=folded, refined=parsed, joins=joins, values=values)
    if isinstance(column, NumberColumn):
        number, steps = _steps(column, mapped, file, text, parsed)
        # Least and greatest skip NULL: without the CASE a missing number would become a bound.
        value = f"CASE WHEN {refined} IS NOT NULL THEN least(greatest({refined}, {column.low}), {column.high}) END"
        return Conversion(
            column=column,
            parsed=number,
            refined=steps,
            joins=(),
            values=((column.name, f"CAST({value} AS BIGINT)"),),
            clipped=f"coalesce({refined} NOT BETWEEN {column.low} AND {column.high}, false)",
        )
    head, day = _day(mapped, text, parsed)
    value = f"CASE WHEN {refined} BETWEEN DATE '{column.first}' AND DATE '{column.last}' THEN {refined} END"
    return Conversion(column=column, parsed=head, refined=day, joins=(), values=((column.name, value),))


def cleaned(source: str | None, mapped: ColumnMapping) -> str:
    """Return the SQL of a source column's text; NULL where it is blank or stands for missing."""
    if source is None:
        return "CAST(NULL AS VARCHAR)"
    text = f"CAST({identifier(source)} AS VARCHAR)"
    for before, after in mapped.replace:
        text = f"replace({text}, {literal(before)}, {literal(after)})"
    text = f"nullif(trim({text}, {literal(BLANKS)}), '')"
    if listed := ", ".join(literal(missing.strip(BLANKS)) for missing in mapped.missing):
        text = f"CASE WHEN {text} NOT IN ({listed}) THEN {text} END"
    return text


def _codes(
    connection: duckdb.DuckDBPyConnection, column: CodeColumn, position: int, mapped: ColumnMapping, *, folds: bool
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    pairs = mapped.values if mapped.values is not None else tuple((code, code) for code in column.codes.index)
    indices: dict[str, int] = {}
    for source, code in pairs:
        # One row for each text: a second one would multiply a patient's rows in the join.
        indices.setdefault(_folded(source) if folds else source.strip(BLANKS), column.codes.index[code])
    table = f"_codes_{position}"
    levels = [[level.group_of[index] for index in indices.values()] for level in column.codes.levels]
    lists = [list(indices), list(indices.values()), *levels]
    fields = ["code VARCHAR", "position INTEGER", *(f"l{number} INTEGER" for number in range(len(levels)))]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({', '.join(fields)})")
    connection.execute(f"INSERT INTO {table} SELECT {', '.join(['unnest(?)'] * len(lists))}", lists)
    # The longest known beginning wins: lookups go from the longest codes to the shortest, and the first hit counts.
    lengths = sorted({len(code) for code in indices}, reverse=True) if folds else [0]
    aliases = [f"{table}_{length}" for length in lengths]
    beginnings = [f"left(_r{position}, {length})" if folds else f"_r{position}" for length in lengths]
    joins = tuple(
        f"LEFT JOIN {table} AS {alias} ON {alias}.code = {beginning}"
        for alias, beginning in zip(aliases, beginnings, strict=True)
    )
    names = [(column.name, "position")]
    names += [(f"{column.name}@{level.name}", f"l{number}") for number, level in enumerate(column.codes.levels)]
    return joins, tuple(
        (name, f"coalesce({', '.join(f'{alias}.{field}' for alias in aliases)})") for name, field in names
    )


def _folded(code: str) -> str:
    return code.strip(BLANKS).replace(".", "").upper()


def _steps(column: NumberColumn, mapped: ColumnMapping, file: str, text: str, parsed: str) -> tuple[str, str]:
    """Return the SQL of the number, and of its whole steps: exact, rounded half away from zero, before clipping.

    Numbers are first limited to what reaches one step beyond the bounds, so no product can overflow.
    """
    factor, shift = mapped.scale / column.step, mapped.offset / column.step
    ends = sorted(((column.low - 1 - shift) / factor, (column.high + 1 - shift) / factor))
    low, high = floor(ends[0]), ceil(ends[1])
    common = lcm(factor.denominator, shift.denominator)
    times, plus, divisor = int(factor * common), int(shift * common) * NANO, common * NANO
    most = max(abs(low), abs(high))
    if most >= 10**18 or 2 * (most * NANO * abs(times) + abs(plus)) + divisor >= 1 << 126:
        raise SourceError(
            "scale and offset need more digits than can be kept exactly",
            file=file,
            key=f"columns.{column.name}",
            remedy="use fewer digits",
        )
    number = f"TRY_CAST({text} AS DECIMAL(38, 9))"
    # Beyond 29 digits the decimal does not parse, but a finite double still says on which side of the bounds it lies.
    vast = f"TRY_CAST({text} AS DOUBLE)"
    number = (
        f"CASE WHEN {number} IS NOT NULL THEN least(greatest({number}, {low}), {high}) "
        f"WHEN isfinite({vast}) AND {vast} > 1e28 THEN {high} WHEN isfinite({vast}) AND {vast} < -1e28 THEN {low} END"
    )
    scaled = f"(CAST({parsed} * {NANO} AS HUGEINT) * {times} + {plus})"
    return number, f"sign({scaled}) * ((abs({scaled}) * 2 + {divisor}) // {2 * divisor})"


def _day(mapped: ColumnMapping, text: str, parsed: str) -> tuple[str, str]:
    """Return the SQL of the text of a day, and of the day."""
    if mapped.dates:
        return text, f"CAST(try_strptime({parsed}, [{', '.join(map(literal, mapped.dates))}]) AS DATE)"
    # A time after the day is cut off, not converted: the file's own time zone is the hospital's.
    head = f"regexp_extract({text}, '^([^T ]+)', 1)"
    compact = f"regexp_full_match({text}, '[0-9]{{14}}([.][0-9]+)?')"
    return (
        f"CASE WHEN {compact} THEN left({text}, 8) ELSE {head} END",
        f"CAST(try_strptime({parsed}, [{', '.join(map(literal, USUAL_DATES))}]) AS DATE)",
    )
