"""SQL that turns a source text into a catalogue value: a code's index, a list of them, a number of steps, a day.

Nothing here can fail on a record: what does not parse becomes NULL, and a NULL contributes nothing to any tally.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, lcm

import duckdb

from node.records.files import identifier, literal
from node.records.mapping import LIST_SEPARATOR, ColumnMapping, SourceError
from node.records.report import CLIPPED, MISSING, OUTSIDE, READ, UNMAPPED, UNUSABLE
from node.scan.lookup import BLANKS, look_up
from queries.agreed.catalogue import CodeColumn, Column, NumberColumn

NANO = 10**9
"""Source numbers are read to nine decimals; a tenth is rounded half away from zero before anything else."""

USUAL_DATES = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y年%m月%d日")
"""Formats of a day where the mapping names none; a time of day after it is cut off first."""


CLOCK = (
    "^[^T ]+[T ]+([0-9]{1,2}[:：时][0-9]{1,2})"  # hours and minutes, after the day
    "(?:(?:[:：]|分)(?:[0-9]{1,2}(?:[.,][0-9]+)?秒?)?)?"  # seconds
    " *(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?$"  # a zone, which is the hospital's own
)
"""A time of day after a day, where the mapping names no formats. Anything else behind it, such as PM, is not read."""

CLOCK_FIELDS = ("%H", "%-H", "%I", "%-I", "%c", "%X")
"""Parts of a format that give a time of day."""

MINUTE = "@minute"
"""Behind a date column's name: the prepared column of its minutes since the beginning of 1970, local time."""


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
    """Prepared column and its SQL. The first is the column itself, the rest are levels of its code set or minutes."""
    fate: str
    """SQL of what became of the value: one of the fates of ``node.records.report``."""
    clock: tuple[str, str] | None = None
    """SQL of a time of day in two steps: its text _m over the text, its minutes _c over _m; None: it is not kept."""
    cut: str = ""
    """SQL: whether codes of a list were left out because there are more than the catalogue allows; empty: never."""


def convert(
    connection: duckdb.DuckDBPyConnection, column: Column, position: int, mapped: ColumnMapping, file: str
) -> Conversion:
    """Return the conversion of a column; code lists become temporary tables of ``connection``.

    Guarantee: for every text, a code is NULL or an index of the set, a list holds at most the catalogue's number of
    such codes, a number is NULL or within the column's bounds, a day is NULL or within the column's days. Tests:
    tests/node/test_prepare.py::test_prepared_values_stay_in_the_domain,
    tests/node/test_lists.py::test_a_prepared_list_stays_in_the_domain.
    """
    text, parsed, refined = f"_t{position}", f"_p{position}", f"_r{position}"
    if isinstance(column, CodeColumn) and column.most > 1:
        return _list(connection, column, position, mapped)
    if isinstance(column, CodeColumn):
        known = look_up(column, position, mapped)
        joins, values = known.joins(connection, refined, column.name)
        lost = UNUSABLE if mapped.values is None else UNMAPPED
        return Conversion(
            column=column,
            parsed=known.text(text),
            refined=parsed,
            joins=joins,
            values=values,
            fate=_fate(text, values[0][1], str(lost)),
        )
    if isinstance(column, NumberColumn):
        number, steps = _steps(column, mapped, file, text, parsed)
        # Least and greatest skip NULL: without the CASE a missing number would become a bound.
        value = f"CASE WHEN {refined} IS NOT NULL THEN least(greatest({refined}, {column.low}), {column.high}) END"
        clipped = f"coalesce({refined} NOT BETWEEN {column.low} AND {column.high}, false)"
        return Conversion(
            column=column,
            parsed=number,
            refined=steps,
            joins=(),
            values=((column.name, f"CAST({value} AS BIGINT)"),),
            fate=_fate(text, value, str(UNUSABLE), clipped),
        )
    _check_formats(connection, column, mapped, file)
    head, day = _day(mapped, text, parsed)
    value = f"CASE WHEN {refined} BETWEEN DATE '{column.first}' AND DATE '{column.last}' THEN {refined} END"
    lost_day = f"CASE WHEN {refined} IS NULL THEN {UNUSABLE} ELSE {OUTSIDE} END"
    minutes = f"CASE WHEN ({value}) IS NOT NULL THEN ({refined} - DATE '1970-01-01') * 1440 + _c{position} END"
    return Conversion(
        column=column,
        parsed=head,
        refined=day,
        joins=(),
        values=((column.name, value), *([(column.name + MINUTE, minutes)] if column.time else [])),
        fate=_fate(text, value, lost_day),
        clock=_clock(mapped, text, f"_m{position}") if column.time else None,
    )


def texts(column: Column, mapped: ColumnMapping) -> str:
    """Return the SQL of a column's text, or of a list's texts: NULL where it is blank or stands for missing."""
    if not (isinstance(column, CodeColumn) and column.most > 1):
        return "CAST(NULL AS VARCHAR)" if mapped.absent else _cleaned(_replaced(mapped.sources[0], mapped), mapped)
    if mapped.absent:
        return "CAST(NULL AS VARCHAR[])"
    if len(mapped.sources) > 1:
        return f"[{', '.join(_cleaned(_replaced(source, mapped), mapped) for source in mapped.sources)}]"
    whole = f"coalesce({_replaced(mapped.sources[0], mapped)}, '')"
    parts = f"str_split({whole}, {literal(mapped.split or LIST_SEPARATOR)})"
    return f"list_transform({parts}, lambda part: {_cleaned('part', mapped)})"


def _replaced(source: str, mapped: ColumnMapping) -> str:
    text = f"CAST({identifier(source)} AS VARCHAR)"
    for before, after in mapped.replace:
        text = f"replace({text}, {literal(before)}, {literal(after)})"
    return text


def _cleaned(text: str, mapped: ColumnMapping) -> str:
    text = f"nullif(trim({text}, {literal(BLANKS)}), '')"
    if listed := ", ".join(literal(missing.strip(BLANKS)) for missing in mapped.missing):
        text = f"CASE WHEN {text} NOT IN ({listed}) THEN {text} END"
    return text


def _fate(text: str, value: str, lost: str, clipped: str = "false") -> str:
    kept = f"CASE WHEN {clipped} THEN {CLIPPED} ELSE {READ} END"
    return f"CASE WHEN {text} IS NULL THEN {MISSING} WHEN {value} IS NULL THEN {lost} ELSE {kept} END"


def _list(
    connection: duckdb.DuckDBPyConnection, column: CodeColumn, position: int, mapped: ColumnMapping
) -> Conversion:
    """Return the conversion of a list: a code that is not known keeps its place, so that lists can be read in step."""
    text, parsed, refined = f"_t{position}", f"_p{position}", f"_r{position}"
    known = look_up(column, position, mapped)
    lost = UNUSABLE if mapped.values is None else UNMAPPED
    fewer = f"list_count({parsed}) > list_count({refined})"
    missing = f"coalesce(list_count({text}), 0) = 0"
    return Conversion(
        column=column,
        parsed=f"list_transform({text}[1:{column.most}], lambda part: {known.text('part')})",
        refined=f"list_transform({parsed}, lambda part: {known.index(connection, 'part')})",
        joins=(),
        values=((column.name, refined),),
        fate=f"CASE WHEN {missing} THEN {MISSING} WHEN {fewer} THEN {lost} ELSE {READ} END",
        cut=f"coalesce(list_count({text}[{column.most + 1}:]), 0) > 0",
    )


# --- numbers and days -------------------------------------------------------------------------------------------


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


def _check_formats(connection: duckdb.DuckDBPyConnection, column: Column, mapped: ColumnMapping, file: str) -> None:
    """Raise SourceError where a format is none; without this it would look like a fault of the data file."""
    try:
        for form in mapped.dates:
            connection.execute(f"SELECT try_strptime('', {literal(form)})")
    except duckdb.Error:
        remedy = 'write formats in strptime\'s letters, such as "%d.%m.%Y"'
        key = f"columns.{column.name}.dates"
        raise SourceError("names a format that is none", file=file, key=key, remedy=remedy) from None


def _day(mapped: ColumnMapping, text: str, parsed: str) -> tuple[str, str]:
    """Return the SQL of the text of a day, and of the day."""
    listed = ", ".join(map(literal, mapped.dates or USUAL_DATES))
    # In any format the engine reads "infinity" and "epoch" as a day in 1900, which nobody recorded.
    day = f"CASE WHEN regexp_matches({parsed}, '[0-9]') THEN CAST(try_strptime({parsed}, [{listed}]) AS DATE) END"
    if mapped.dates:
        return text, day
    # A time after the day is cut off, not converted: the file's own time zone is the hospital's.
    head = f"regexp_extract({text}, '^([^T ]+)', 1)"
    compact = f"regexp_full_match({text}, '[0-9]{{14}}([.][0-9]+)?')"
    return f"CASE WHEN {compact} THEN left({text}, 8) ELSE {head} END", day


def _clock(mapped: ColumnMapping, text: str, found: str) -> tuple[str, str]:
    """Return the SQL of the text of a time of day, and of its minutes since midnight; NULL where there is none."""
    if mapped.dates:
        formats = [form for form in mapped.dates if any(field in form for field in CLOCK_FIELDS)]
        if not formats:
            return text, "CAST(NULL AS BIGINT)"
        stamp = f"CAST(try_strptime({found}, [{', '.join(map(literal, formats))}]) AS TIMESTAMP)"
        return text, f"CAST(date_part('hour', {stamp}) * 60 + date_part('minute', {stamp}) AS BIGINT)"
    compact = f"regexp_full_match({text}, '[0-9]{{14}}([.][0-9]+)?')"
    digits = f"substr({text}, 9, 2) || ':' || substr({text}, 11, 2)"
    spelt = f"translate(regexp_extract({text}, {literal(CLOCK)}, 1), '：时', '::')"
    time = f"TRY_CAST({found} || ':00' AS TIME)"
    minutes = f"CAST(date_part('hour', {time}) * 60 + date_part('minute', {time}) AS BIGINT)"
    # The engine reads 24:00 as a time as well, which would be the next day's.
    return f"CASE WHEN {compact} THEN {digits} ELSE {spelt} END", f"CASE WHEN {minutes} < 1440 THEN {minutes} END"
