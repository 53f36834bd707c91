"""Making one prepared table: convert every row, key it, cut each patient to the cap, and count what was left out."""

# Statements are put together from quoted catalogue names and public constants; secrets are parameters.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from node.conversion import BLANKS, Conversion, cleaned, convert
from node.files import SourceFile, identifier, literal, open_source, unreadable
from node.mapping import SourceError, SourceMapping
from queries.catalogue import Table

PATIENT_LABEL = "farr/v1/patient:"
"""Of the digest that stands for a patient in the prepared table."""

ORDER_LABEL = "farr/v1/order:"
"""Of the digest that rows are chosen by. With another label, neither digest can be passed off as the other."""

_BLOCK = 64
"""SHA-256's, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnReport:
    """What became of one column; for the operator, never sent."""

    name: str
    """Catalogue column."""
    missing: int
    """Rows where the source is blank or says that the value is missing."""
    unusable: int
    """Rows where it says something that the catalogue has no place for; they count as missing."""
    clipped: int
    """Rows where a number was moved to the nearest bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReport:
    """What became of one table; for the operator, never sent."""

    name: str
    """Catalogue table."""
    read: int
    """Rows read."""
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
    """In the catalogue's order."""


def build_table(
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    source: SourceFile,
    table: Table,
    *,
    mapping: SourceMapping,
    site_key: bytes,
) -> TableReport:
    """Create the prepared table in ``connection`` and say what became of its rows; raise SourceError."""
    names = {name.casefold() for name in open_source(connection, source, scratch)}
    mapped = mapping.table(table.name)
    patient = mapped.patient or (table.patient,)
    for key in patient:
        _present(source, names, key, "name the patient's column: patient = ... in the mapping")
    conversions = []
    texts = []
    for position, column in enumerate(table.columns):
        described = mapped.column(column.name)
        if not described.absent:
            _present(source, names, described.source, "map it: from = ..., or absent = true where it is not recorded")
        texts.append(cleaned(None if described.absent else described.source, described))
        conversions.append(convert(connection, column, position, described, mapping.file))
    keys = [f"nullif(trim(CAST({identifier(key)} AS VARCHAR), {literal(BLANKS)}), '')" for key in patient]
    statement = _staging(keys, texts, conversions)
    inner, outer = (bytes(byte ^ pad for byte in site_key.ljust(_BLOCK, b"\0")) for pad in (0x36, 0x5C))
    try:
        connection.execute(statement, {"inner": inner, "outer": outer})
        return _cut(connection, table, conversions)
    except duckdb.Error:
        raise unreadable(source) from None


def _present(source: SourceFile, names: set[str], column: str, remedy: str) -> None:
    if column.casefold() not in names:
        raise SourceError("the file has no such column", file=source.path.name, key=column, remedy=remedy)


def _framed(parts: list[str]) -> str:
    """Return SQL that joins texts so that no two different rows read alike: each after its length, NULL as a dash."""
    return " || ".join(f"coalesce(strlen({part}) || ':' || {part}, '-')" for part in parts)


def _keyed(label: str, text: str) -> str:
    """Return SQL of HMAC-SHA256 (RFC 2104) in hexadecimal digits, from the two padded keys.

    Guarantee: equal to Python's hmac. Test: tests/node/test_prepare.py::test_the_order_is_hmac_sha256.
    """
    return f"sha256($outer || unhex(sha256($inner || encode({literal(label)} || {text}))))"


def _leading_64_bits(digest: str) -> str:
    return f"CAST('0x' || left({digest}, 16) AS UBIGINT)"


def _staging(keys: list[str], texts: list[str], conversions: list[Conversion]) -> str:
    """Return the SQL that converts and keys every row, the ones that will be left out included."""
    numbered = list(enumerate(conversions))
    owner = [f"_k{number}" for number in range(len(keys))]
    values = [(name, sql) for conversion in conversions for name, sql in conversion.values]
    content = [f"CAST({identifier(conversion.column.name)} AS VARCHAR)" for conversion in conversions]
    text_columns = [f"{sql} AS _t{number}" for number, sql in enumerate(texts)]
    steps = {
        "texts": [f"{sql} AS {name}" for sql, name in zip(keys, owner, strict=True)] + text_columns,
        "parsed": ["*", *(f"{conversion.parsed} AS _p{number}" for number, conversion in numbered)],
        "refined": ["*", *(f"{conversion.refined} AS _r{number}" for number, conversion in numbered)],
        "valued": [
            *owner,
            *(f"{sql} AS {identifier(name)}" for name, sql in values),
            *(f"{_fate(number, conversion)} AS _f{number}" for number, conversion in numbered),
        ],
        "framed": [
            f"* EXCLUDE ({', '.join(owner)})",
            f"CASE WHEN {' AND '.join(f'{name} IS NOT NULL' for name in owner)} THEN {_framed(owner)} END AS _owner",
            f"{_framed(content)} AS _content",
        ],
    }
    joins = " ".join(join for conversion in conversions for join in conversion.joins)
    sources = ["source", "texts", "parsed", f"refined {joins}", "valued"]
    common = ", ".join(
        f"{name} AS (SELECT {', '.join(columns)} FROM {source})"
        for (name, columns), source in zip(steps.items(), sources, strict=True)
    )
    return (
        f"CREATE OR REPLACE TEMP TABLE staged AS WITH {common} SELECT * EXCLUDE (_owner, _content), "
        f"CAST({_leading_64_bits(_keyed(PATIENT_LABEL, '_owner'))} >> 1 AS BIGINT) AS _patient, "
        f"{_leading_64_bits(_keyed(ORDER_LABEL, '_owner || _content'))} AS _order FROM framed"
    )


def _fate(number: int, conversion: Conversion) -> str:
    """Return SQL of what became of a value: 0 read, 1 missing, 2 unusable, 3 clipped."""
    return (
        f"CAST(CASE WHEN _t{number} IS NULL THEN 1 WHEN {conversion.values[0][1]} IS NULL THEN 2 "
        f"WHEN {conversion.clipped} THEN 3 ELSE 0 END AS UTINYINT)"
    )


def _cut(connection: duckdb.DuckDBPyConnection, table: Table, conversions: list[Conversion]) -> TableReport:
    """Keep each patient's first rows in the keyed order, up to the cap, and count everything."""
    dated = identifier(table.dated_by) if table.dated_by else None
    fates = [f"count(*) FILTER (_f{number} = {fate})" for number in range(len(conversions)) for fate in (1, 2, 3)]
    undated = f"count(*) FILTER (_patient IS NOT NULL AND {dated} IS NULL)" if dated else "0"
    counted = connection.execute(
        f"SELECT count(*), count(*) FILTER (_patient IS NULL), {undated}, {', '.join(fates)} FROM staged"
    ).fetchone()
    year = f", year({dated})" if dated else ""
    kept_columns = f"* EXCLUDE ({', '.join(f'_f{number}' for number in range(len(conversions)))})"
    connection.execute(
        f"CREATE TABLE {identifier(table.name)} AS SELECT {kept_columns} FROM staged "
        f"WHERE _patient IS NOT NULL{f' AND {dated} IS NOT NULL' if dated else ''} "
        # Rows that tie on the keyed order are equal in every column, so whichever of them is kept is the same row.
        f"QUALIFY row_number() OVER (PARTITION BY _patient{year} ORDER BY _order) <= {table.rows_per_patient}"
    )
    kept = connection.execute(f"SELECT count(*) FROM {identifier(table.name)}").fetchone()
    connection.execute("DROP TABLE staged")
    read, no_patient, no_date, *fated = counted or ()
    kept_rows = kept[0] if kept else 0
    return TableReport(
        name=table.name,
        read=read,
        unreadable=_rejected(connection),
        no_patient=no_patient,
        no_date=no_date,
        over_cap=read - no_patient - no_date - kept_rows,
        kept=kept_rows,
        columns=tuple(
            ColumnReport(name=conversion.column.name, missing=missing, unusable=unusable, clipped=clipped)
            for conversion, missing, unusable, clipped in zip(
                conversions, fated[0::3], fated[1::3], fated[2::3], strict=True
            )
        ),
    )


def _rejected(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many lines the reader gave up on, and forget them: the engine kept their text."""
    found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'reject_errors'").fetchone()
    if found is None:
        return 0
    counted = connection.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchone()
    connection.execute("DROP TABLE reject_errors")
    connection.execute("DROP TABLE reject_scans")
    return int(counted[0]) if counted else 0
