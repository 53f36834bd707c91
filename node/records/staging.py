"""Making one prepared table: convert every row, key it, derive, cut each patient to the cap, count what was lost."""

# Statements are put together from quoted catalogue names and public constants; secrets are parameters.
# ruff: noqa: S608

from __future__ import annotations

from pathlib import Path

import duckdb

from node.records.conversion import MINUTE, Conversion, convert, texts
from node.records.files import (
    SourceFile,
    another_encoding,
    as_compared,
    identifier,
    literal,
    misread,
    open_source,
    unreadable,
)
from node.records.mapping import SourceError, SourceMapping
from node.records.report import CLIPPED, MISSING, OUTSIDE, UNMAPPED, UNUSABLE, ColumnReport, TableReport
from node.scan import derivation
from node.scan.cut import cut
from node.scan.elements import build_elements
from node.scan.keyed import ORDER_LABEL, PATIENT_LABEL, framed, keyed, leading_64_bits, secrets_of
from node.scan.lookup import BLANKS
from queries.agreed.catalogue import Table


def build_table(
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    source: SourceFile,
    table: Table,
    *,
    elements: tuple[Table, ...] = (),
    mapping: SourceMapping,
    site_key: bytes,
) -> tuple[TableReport, ...]:
    """Create the prepared table in ``connection``, with the tables of its lists' elements; raise SourceError.

    Returns what became of the rows of each, the table itself first.
    """
    names = {as_compared(name) for name in open_source(connection, source, scratch)}
    mapped = mapping.table(table.name)
    patient = mapped.patient or (table.patient,)
    for key in patient:
        _present(source, names, key, "name the patient's column: patient = ... in the mapping")
    conversions, read = [], []
    for position, column in enumerate(table.recorded):
        described = mapped.column(column.name)
        for name in () if described.absent else described.sources:
            _present(source, names, name, "map it: from = ..., or absent = true where it is not recorded")
        read.append(texts(column, described))
        conversions.append(convert(connection, column, position, described, mapping.file))
    keys = [f"nullif(trim(CAST({identifier(key)} AS VARCHAR), {literal(BLANKS)}), '')" for key in patient]
    try:
        spanning = _spanning(source, names)
        connection.execute(_staging(keys, read, conversions, spanning), secrets_of(site_key))
        _refuse_spanning(connection, source)
        return _prepared(connection, table, conversions, elements, source=source, site_key=site_key)
    except duckdb.Error:
        raise unreadable(source) from None


def _present(source: SourceFile, names: set[str], column: str, remedy: str) -> None:
    if as_compared(column) not in names:
        if another_encoding(names):
            raise misread(source)
        raise SourceError("the file has no such column", file=source.path.name, key=column, remedy=remedy)


def _spanning(source: SourceFile, names: set[str]) -> str:
    """Return the SQL of whether a row goes over more than one line of its file."""
    if source.parquet or source.described.multiline:
        return "FALSE"
    whole = f"concat_ws('', {', '.join(identifier(name) for name in sorted(names))})"
    return f"contains({whole}, chr(10)) OR contains({whole}, chr(13))"


def _refuse_spanning(connection: duckdb.DuckDBPyConnection, source: SourceFile) -> None:
    """Raise SourceError where a row goes over several lines, unless the operator said that texts do.

    Guarantee: a quote that one patient's record opens and a later record happens to close merges no records unseen.
    Test: tests/redteam/test_two_worlds.py::test_a_record_cannot_merge_others_into_itself.
    """
    if connection.execute("SELECT 1 FROM staged WHERE _spans LIMIT 1").fetchone():
        remedy = "a quote is missing; or, where texts do go over several lines, write multiline = true in the mapping"
        raise SourceError("has a record that goes over several lines", file=source.path.name, remedy=remedy)


def _staging(keys: list[str], read: list[str], conversions: list[Conversion], spanning: str) -> str:
    """Return the SQL that converts and keys every row, the ones that will be left out included."""
    numbered = list(enumerate(conversions))
    owner = [f"_k{number}" for number in range(len(keys))]
    values = [(name, sql) for conversion in conversions for name, sql in conversion.values]
    content = [f"CAST({identifier(name)} AS VARCHAR)" for name in _content(conversions)]
    text_columns = [f"{sql} AS _t{number}" for number, sql in enumerate(read)]
    steps = {
        "texts": [f"{sql} AS {name}" for sql, name in zip(keys, owner, strict=True)]
        + text_columns
        + [f"{spanning} AS _spans"],
        "parsed": [
            "*",
            *(f"{conversion.parsed} AS _p{number}" for number, conversion in numbered),
            *(f"{conversion.clock[0]} AS _m{number}" for number, conversion in numbered if conversion.clock),
        ],
        "refined": [
            "*",
            *(f"{conversion.refined} AS _r{number}" for number, conversion in numbered),
            *(f"{conversion.clock[1]} AS _c{number}" for number, conversion in numbered if conversion.clock),
        ],
        "valued": [
            *owner,
            "_spans",
            *(f"{sql} AS {identifier(name)}" for name, sql in values),
            *(f"CAST({conversion.fate} AS UTINYINT) AS _f{number}" for number, conversion in numbered),
            *(f"{conversion.cut} AS _cut{number}" for number, conversion in numbered if conversion.cut),
        ],
        "framed": [
            f"* EXCLUDE ({', '.join(owner)})",
            f"CASE WHEN {' AND '.join(f'{name} IS NOT NULL' for name in owner)} THEN {framed(owner)} END AS _owner",
            f"{framed(content)} AS _content",
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
        f"CAST({leading_64_bits(keyed(PATIENT_LABEL, '_owner'))} >> 1 AS BIGINT) AS _patient, "
        f"{leading_64_bits(keyed(ORDER_LABEL, '_owner || _content'))} AS _order FROM framed"
    )


def _content(conversions: list[Conversion]) -> list[str]:
    """Return the prepared columns that tell a row from another: all but the levels, which follow from the codes."""
    return [
        name
        for conversion in conversions
        for name, _ in conversion.values
        if name == conversion.column.name or name == conversion.column.name + MINUTE
    ]


def _prepared(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    conversions: list[Conversion],
    elements: tuple[Table, ...],
    *,
    source: SourceFile,
    site_key: bytes,
) -> tuple[TableReport, ...]:
    """Keep each patient's first rows in the keyed order, up to the cap, and count everything."""
    dated = identifier(table.dated_by) if table.dated_by else None
    undated = f"count(*) FILTER (_patient IS NOT NULL AND {dated} IS NULL)" if dated else "0"
    counted = connection.execute(
        f"SELECT count(*), count(*) FILTER (_patient IS NULL), {undated} FROM staged"
    ).fetchone()
    read, no_patient, no_date = counted or (0, 0, 0)
    reports = _column_reports(connection, conversions, read)
    # What was counted stays behind: from here on a row is what questions, derived columns and lists need.
    counters = ", ".join(_counters(conversions))
    rows = (
        f"SELECT * EXCLUDE ({counters}) FROM staged "
        f"WHERE _patient IS NOT NULL{f' AND {dated} IS NOT NULL' if dated else ''}"
    )
    if table.derived:
        derivation.derive(connection, table, rows)
        rows = f"SELECT * FROM {derivation.DERIVED}"
        reports += _derived_reports(connection, table)
    kept = cut(connection, table, rows)
    whole = TableReport(
        name=table.name,
        read=read,
        unreadable=_rejected(connection, source),
        no_patient=no_patient,
        no_date=no_date,
        over_cap=read - no_patient - no_date - kept,
        kept=kept,
        columns=reports,
    )
    parts = [build_elements(connection, table, each, rows, site_key=site_key) for each in elements]
    derivation.forget(connection)
    connection.execute("DROP TABLE staged")
    return (whole, *parts)


def _counters(conversions: list[Conversion]) -> list[str]:
    """Return the staged columns that hold what became of each value."""
    numbered = list(enumerate(conversions))
    return ["_spans", *(f"_f{number}" for number, _ in numbered)] + [
        f"_cut{number}" for number, each in numbered if each.cut
    ]


def _column_reports(
    connection: duckdb.DuckDBPyConnection, conversions: list[Conversion], rows: int
) -> tuple[ColumnReport, ...]:
    fates = (MISSING, UNUSABLE, CLIPPED, OUTSIDE, UNMAPPED)
    counts = [
        [f"count(*) FILTER (_f{number} = {fate})" for fate in fates]
        + [f"count(*) FILTER (_cut{number})" if conversion.cut else "0"]
        for number, conversion in enumerate(conversions)
    ]
    wanted = ", ".join(f"[{', '.join(counted)}]" for counted in counts)
    found = connection.execute(f"SELECT {wanted} FROM staged").fetchone() or ()
    return tuple(
        ColumnReport(
            name=conversion.column.name,
            rows=rows,
            missing=missing,
            unusable=unusable + outside + unmapped,
            clipped=clipped,
            outside=outside,
            unmapped=unmapped,
            cut=too_long,
        )
        for conversion, (missing, unusable, clipped, outside, unmapped, too_long) in zip(
            conversions, found, strict=True
        )
    )


def _derived_reports(connection: duckdb.DuckDBPyConnection, table: Table) -> tuple[ColumnReport, ...]:
    names = [derived.name for derived in table.derived]
    missing = ", ".join(f"count(*) - count({identifier(name)})" for name in names)
    rows, *found = connection.execute(f"SELECT count(*), {missing} FROM {derivation.DERIVED}").fetchone() or ()
    return tuple(
        ColumnReport(name=name, rows=rows, missing=absent, unusable=0, clipped=0, derived=True)
        for name, absent in zip(names, found, strict=True)
    )


def _rejected(connection: duckdb.DuckDBPyConnection, source: SourceFile) -> int:
    """Return how many lines the reader gave up on, and forget them: the engine kept their text.

    Guarantee: a file in which a quote that is not closed takes other lines with it is refused, since one patient's
    record would decide there whether others are counted. Test:
    tests/redteam/test_two_worlds.py::test_a_record_cannot_swallow_others.
    """
    found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'reject_errors'").fetchone()
    if found is None:
        return 0
    counted = connection.execute(
        "SELECT count(DISTINCT line), count(*) FILTER (contains(rtrim(csv_line, chr(10) || chr(13)), chr(10))) "
        "FROM reject_errors"
    ).fetchone()
    connection.execute("DROP TABLE reject_errors")
    connection.execute("DROP TABLE reject_scans")
    lines, swallowing = counted or (0, 0)
    if swallowing:
        remedy = "export it again with texts in quotes and every quote within a text written twice"
        raise SourceError("has a quote that takes the lines after it with it", file=source.path.name, remedy=remedy)
    return int(lines)
