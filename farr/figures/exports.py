"""Answers as files for other programs: CSV, XLSX, Parquet and JSON, each with intervals, flags and where it comes from.

Names and labels come from people. Spreadsheets take a text that begins with one of ``= + - @`` for a formula, so CSV
writes an apostrophe before it, and XLSX marks every text as one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.figures.flat import Value, flat, metadata
from farr.texts import _

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

    from farr.figures.result import Result

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""By which spreadsheets know UTF-8."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a text must not begin with in a spreadsheet."""

METADATA = "metadata"
"""The last sheet of a workbook."""

PARQUET_KEY = b"farr"
"""Of the schema's metadata: everything of the answer but its rows, as JSON."""

LONGEST_SHEET_NAME = 31
"""Characters, by Excel."""

FORBIDDEN_IN_SHEET_NAMES = "[]:*?/\\"


def export(result: Result, path: str | Path) -> None:
    """Write an answer in the format that the name of the file ends in; raise FarrError for another."""
    target = checked(path)
    target.write_bytes(FORMATS[target.suffix.lower()](result))


def checked(path: str | Path) -> Path:
    """Return the path; raise FarrError where it cannot be written, so that nothing is spent before that is known."""
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise FarrError(
            "no-export",
            _("there is no export to {suffix}").format(suffix=target.suffix or target.name),
            remedy=_("end the name in one of {names}").format(names=", ".join(FORMATS)),
        )
    if not target.parent.is_dir():
        raise FarrError(
            "no-export", _("there is no folder {name}").format(name=target.parent), remedy=_("make it first")
        )
    return target


def to_csv(result: Result) -> bytes:
    """Return the tables as one CSV (RFC 4180) in UTF-8 with a byte order mark.

    Every row repeats units and where it comes from, since CSV has no other place for that. Several tables have a column
    ``table`` before the others.

    Guarantee: no cell is taken for a formula, whatever names and labels were chosen. Test:
    tests/farr/test_exports.py::test_no_text_of_a_csv_is_a_formula.
    """
    found = flat(result, units=True)
    source = source_of(result)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([guarded(name) for name in (*found.names, *source)])
    for row in found.rows:
        values = (*(row.get(name) for name in found.names), *source.values())
        writer.writerow([guarded(value) if isinstance(value, str) else value for value in values])
    return BYTE_ORDER_MARK + text.getvalue().encode()


def to_xlsx(result: Result) -> bytes:
    """Return an Excel workbook: one sheet for each table, and one of metadata.

    Guarantee: texts are stored as texts, so none is taken for a formula, also after it was edited. Test:
    tests/farr/test_exports.py::test_no_text_of_a_workbook_is_a_formula.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    taken = {METADATA}
    for answer in result.answers:
        found = flat(result, answer)
        sheet = book.create_sheet(_sheet_name(answer.title or _("answer"), taken))
        _fill(sheet, [found.names, *([row.get(name) for name in found.names] for row in found.rows)])
    _fill(book.create_sheet(METADATA), [("what", "value"), *_listed("", metadata(result))])
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def to_parquet(result: Result) -> bytes:
    """Return the tables as one Parquet file, metadata as JSON under ``farr`` in the schema's metadata.

    Several tables have a column ``table`` before the others, and nulls where a table lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = flat(result)
    columns = {
        name: pa.array([row.get(name) for row in found.rows], pa.string() if name in found.texts else pa.float64())
        for name in found.names
    }
    plain = json.dumps(metadata(result), ensure_ascii=False, allow_nan=False).encode()
    held = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({PARQUET_KEY: plain}), held)
    return held.getvalue()


def to_json(result: Result) -> bytes:
    """Return what ``--json`` prints."""
    return (json.dumps(result.to_plain(), ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


FORMATS: Mapping[str, Callable[[Result], bytes]] = {
    ".csv": to_csv,
    ".xlsx": to_xlsx,
    ".parquet": to_parquet,
    ".json": to_json,
}
"""By the ending of a file's name."""


def source_of(result: Result) -> dict[str, Value]:
    """Return where an answer comes from, as columns of a CSV."""
    released = datetime.fromtimestamp(result.released_at, UTC)
    return {
        "farr_release": result.release,
        "farr_released_at": released.isoformat().replace("+00:00", "Z"),
        "farr_epsilon": result.privacy.epsilon,
        "farr_hospitals_answered": len(result.sites.answered),
        "farr_hospitals_asked": len(result.sites.asked),
        "farr_statement": " ".join(result.statement.split()),
    }


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _sheet_name(title: str, taken: set[str]) -> str:
    """Return a name that Excel accepts and that no other sheet has, in any case of its letters."""
    plain = "".join(" " if letter in FORBIDDEN_IN_SHEET_NAMES else letter for letter in title).strip(" '") or "table"
    name, number = plain[:LONGEST_SHEET_NAME], 1
    while name.lower() in {each.lower() for each in taken}:
        number += 1
        end = f" {number}"
        name = plain[: LONGEST_SHEET_NAME - len(end)] + end
    taken.add(name)
    return name


def _fill(sheet: Worksheet, rows: Sequence[Sequence[Value]]) -> None:
    from openpyxl.styles import Font

    for down, row in enumerate(rows, start=1):
        for across, value in enumerate(row, start=1):
            _write(sheet.cell(row=down, column=across), value)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"


def _write(cell: Cell, value: Value) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if not isinstance(value, str) or not value:
        cell.value = None if value == "" else value
        return
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
    # Without these two a text that begins with an equals sign would be a formula, now or when somebody edits it.
    cell.data_type = "s"
    cell.quotePrefix = value.startswith(FORMULA)


def _listed(name: str, value: object) -> list[tuple[str, Value]]:
    """Return nested metadata as lines of a dotted name and a plain value."""
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in _listed(f"{name}.{key}".lstrip("."), inner)]
    if isinstance(value, (list, tuple)):
        if all(isinstance(each, str) for each in value):
            return [(name, ", ".join(value))]
        return [line for place, inner in enumerate(value, start=1) for line in _listed(f"{name}.{place}", inner)]
    if value is None or isinstance(value, bool):
        return [(name, "" if value is None else str(value).lower())]
    # Ledger units have more digits than a cell's number keeps.
    exact = isinstance(value, (int, float)) and abs(value) < 2**53
    return [(name, float(value) if isinstance(value, (int, float)) and exact else str(value))]
