"""The mapping: how a hospital's own files say what the catalogue says, as the operator wrote it in TOML.

Without a mapping every table is ``<table>.parquet`` or ``<table>.csv`` with the catalogue's own column names and codes.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from typing import Any, NoReturn

from queries.agreed.catalogue import Catalogue, CodeColumn, Column, DateColumn, NumberColumn

ENCODINGS: Mapping[str, str] = {"utf-8": "utf-8", "utf8": "utf-8", "gb18030": "gb18030", "gbk": "gb18030"}
"""How a text file may be written, by the names that a mapping may use. GB18030 contains GBK and GB 2312."""

DEFAULT_TIME_ZONE = "Asia/Shanghai"
"""Where the calendar day of a Parquet instant is taken. Text carries its own local day."""

LIST_SEPARATOR = ";"
"""What stands between the codes of a list where the mapping says nothing else."""

MOST_SOURCES = 200
"""Most columns of a file that one list is read from."""

MOST_NAMED = 12
"""Codes that a complaint about another code lists."""

MOST_DIGITS = 15
MOST_EXPONENT = 9
"""Of a scale or an offset: converted values then fit in 128 bits, exactly."""


class SourceError(Exception):
    """A mapping or a data file is not what it must be; for the hospital's operator, never for an analyst.

    Guarantee: messages name files, keys and columns, never a value of a record.
    Test: tests/node/test_prepare.py::test_an_unreadable_file_is_named_without_its_content.
    """

    def __init__(self, message: str, *, file: str, key: str = "", remedy: str) -> None:
        """Name the file, the dotted key or the column, what is wrong and what to do."""
        super().__init__(f"{file}: {key}: {message} - {remedy}" if key else f"{file}: {message} - {remedy}")
        self.message = message
        self.file = file
        self.key = key
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """Where one catalogue column comes from."""

    sources: tuple[str, ...]
    """The file's own columns: one, or for a list perhaps one for each place."""
    absent: bool = False
    """Whether the hospital does not record it: missing in every row."""
    values: tuple[tuple[str, str], ...] | None = None
    """Source code and catalogue code; a code that is not listed counts as missing. None: the same codes."""
    missing: tuple[str, ...] = ()
    """Source values that mean missing, beside a blank."""
    dates: tuple[str, ...] = ()
    """Formats in strptime's letters; empty: the usual ones."""
    replace: tuple[tuple[str, str], ...] = ()
    """Replacements in the text, in this order, before anything else."""
    scale: Fraction = Fraction(1)
    """Catalogue value = source value x scale + offset."""
    offset: Fraction = Fraction(0)
    """In units of the catalogue column."""
    split: str | None = None
    """What stands between the codes of a list that is in one column; None: ``LIST_SEPARATOR``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMapping:
    """Where one catalogue table comes from."""

    file: str | None = None
    """In the data folder; None: ``<table>.parquet``, else ``<table>.csv``."""
    encoding: str = "utf-8"
    """Of a text file: ``utf-8`` or ``gb18030``."""
    delimiter: str = ","
    """Of a text file."""
    multiline: bool = False
    """Whether texts in quotes may go on in the next line of a text file; if not, a file with such a text is refused."""
    patient: tuple[str, ...] | None = None
    """Source columns that together say whose a row is; None: the catalogue's name."""
    columns: Mapping[str, ColumnMapping] = field(default_factory=dict)
    """By catalogue column; a column that is not listed has the same name and codes in the source."""
    loaded_through: date | None = None
    """The day to which the table is complete, on the operator's word; None: nobody said."""

    def column(self, name: str) -> ColumnMapping:
        """Return where a catalogue column comes from."""
        return self.columns.get(name) or ColumnMapping(sources=(name,))


@dataclass(frozen=True, kw_only=True)
class SourceMapping:
    """A whole mapping file."""

    file: str = "(no mapping)"
    """As messages name it."""
    source: bytes = b""
    """The file as it was read."""
    tables: Mapping[str, TableMapping] = field(default_factory=dict)
    """By catalogue table."""
    time_zone: str = DEFAULT_TIME_ZONE
    """IANA name: where the calendar day of a Parquet instant is taken."""

    @cached_property
    def digest(self) -> bytes:
        """Return the SHA-256 of the file."""
        return hashlib.sha256(self.source).digest()

    def table(self, name: str) -> TableMapping:
        """Return where a catalogue table comes from."""
        return self.tables.get(name) or TableMapping()

    def loaded(self, catalogue: Catalogue) -> Mapping[str, date]:
        """Return the day to which each table is complete, where the operator said so.

        A table of elements is as complete as the table that holds the lists.
        """
        days = {}
        for table in catalogue.tables:
            day = self.table(table.each.table if table.each else table.name).loaded_through
            if day is not None:
                days[table.name] = day
        return days

    def check(self, catalogue: Catalogue) -> None:
        """Raise SourceError where the mapping names what the catalogue does not have."""
        known = {table.name: table for table in catalogue.tables}
        for name, mapped in self.tables.items():
            place = f"tables.{name}"
            if name not in known:
                _refuse(self.file, place, "the catalogue has no such table", "use one of " + ", ".join(known))
            if (each := known[name].each) is not None:
                remedy = f"map {each.table}: this table is made of its lists"
                _refuse(self.file, place, "is not read from a file", remedy)
            columns = {column.name: column for column in known[name].recorded}
            for column, described in mapped.columns.items():
                if any(column == derived.name for derived in known[name].derived):
                    remedy = "remove it: the node computes it"
                    _refuse(self.file, f"{place}.columns.{column}", "is a derived column", remedy)
                if column not in columns:
                    remedy = "use one of " + ", ".join(columns)
                    _refuse(self.file, f"{place}.columns.{column}", "the catalogue has no such column", remedy)
                _check_column(self.file, f"{place}.columns.{column}", columns[column], described)


IDENTITY = SourceMapping()
"""The mapping of a hospital whose files already speak the catalogue's language."""

_TABLE_KEYS = ("file", "encoding", "delimiter", "multiline", "patient", "loaded_through", "columns")
_COLUMN_KEYS = ("from", "split", "absent", "values", "missing", "dates", "replace", "scale", "offset")


def read_mapping(source: bytes, file: str) -> SourceMapping:
    """Read a mapping file; raise SourceError with the file, the key and the remedy where it is wrong."""
    try:
        document = tomllib.loads(source.decode("utf-8-sig"))
    except UnicodeDecodeError:
        _refuse(file, "", "is not UTF-8", "save the mapping as UTF-8; only the data may have another encoding")
    except tomllib.TOMLDecodeError as error:
        _refuse(file, "", f"is not TOML: {error}", "correct the line")
    except (ValueError, RecursionError):
        # Numbers of thousands of digits and tables within tables without end are faults of their own kind.
        _refuse(file, "", "is not TOML", "correct numbers that are too long and tables that nest too deep")
    _only(file, "", document, ("tables", "time_zone"))
    tables = {
        name: _table(file, f"tables.{name}", _section(file, f"tables.{name}", described))
        for name, described in _section(file, "tables", document.get("tables", {})).items()
    }
    time_zone = _text(file, "time_zone", document.get("time_zone", DEFAULT_TIME_ZONE))
    return SourceMapping(file=file, source=source, tables=tables, time_zone=time_zone)


def _table(file: str, key: str, described: Mapping[str, Any]) -> TableMapping:
    _only(file, key, described, _TABLE_KEYS)
    encoding = ENCODINGS.get(_text(file, f"{key}.encoding", described.get("encoding", "utf-8")).lower())
    if encoding is None:
        _refuse(file, f"{key}.encoding", "is not an encoding that can be read", 'write "utf-8" or "gb18030"')
    delimiter = _text(file, f"{key}.delimiter", described.get("delimiter", ","))
    if len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii():
        _refuse(file, f"{key}.delimiter", "is not one character", 'write "," or ";" or "\\t" or "|"')
    multiline = described.get("multiline", False)
    if not isinstance(multiline, bool):
        _refuse(file, f"{key}.multiline", "is neither true nor false", "write multiline = true, or leave it out")
    patient = described.get("patient")
    if patient is not None:
        patient = _texts(file, f"{key}.patient", [patient] if isinstance(patient, str) else patient)
        if not patient:
            _refuse(file, f"{key}.patient", "is empty", "name the column that says whose a row is")
    columns = {
        name: _column(file, f"{key}.columns.{name}", name, _section(file, f"{key}.columns.{name}", column))
        for name, column in _section(file, f"{key}.columns", described.get("columns", {})).items()
    }
    named = described.get("file")
    loaded = described.get("loaded_through")
    if loaded is not None and type(loaded) is not date:  # a time of day would claim more than a day
        _refuse(file, f"{key}.loaded_through", "is not a day", "write loaded_through = 2026-10-31, without quotes")
    return TableMapping(
        file=None if named is None else _text(file, f"{key}.file", named),
        encoding=encoding,
        delimiter=delimiter,
        multiline=multiline,
        patient=patient,
        columns=columns,
        loaded_through=loaded,
    )


def _column(file: str, key: str, name: str, described: Mapping[str, Any]) -> ColumnMapping:
    _only(file, key, described, _COLUMN_KEYS)
    values = described.get("values")
    absent = described.get("absent", False)
    if not isinstance(absent, bool):
        _refuse(file, f"{key}.absent", "is neither true nor false", "write absent = true")
    scale = _number(file, f"{key}.scale", described.get("scale", "1"))
    if scale == 0:
        _refuse(file, f"{key}.scale", "is 0", "write the number that a source value is multiplied by")
    given = described.get("from", name)
    sources = (given,) if isinstance(given, str) else _texts(file, f"{key}.from", given)
    if not sources or len(set(sources)) != len(sources) or len(sources) > MOST_SOURCES:
        remedy = f"name 1 to {MOST_SOURCES} columns of the file, each once"
        _refuse(file, f"{key}.from", "names no column, one twice, or too many", remedy)
    split = _text(file, f"{key}.split", described["split"]) if "split" in described else None
    if split is not None and (not split or len(sources) > 1):
        remedy = 'write it where one column holds the whole list: split = ";"'
        _refuse(file, f"{key}.split", "separates nothing", remedy)
    return ColumnMapping(
        sources=sources,
        absent=absent,
        values=None if values is None else _pairs(file, f"{key}.values", values),
        missing=_texts(file, f"{key}.missing", described.get("missing", [])),
        dates=_texts(file, f"{key}.dates", described.get("dates", [])),
        replace=_pairs(file, f"{key}.replace", described.get("replace", {})),
        scale=scale,
        offset=_number(file, f"{key}.offset", described.get("offset", "0")),
        split=split,
    )


def _check_column(file: str, key: str, column: Column, described: ColumnMapping) -> None:
    if described.values is not None:
        if not isinstance(column, CodeColumn):
            _refuse(file, f"{key}.values", "only a column of codes has values", "remove it")
        unknown = [code for _, code in described.values if code not in column.codes.index]
        if unknown:
            _refuse(
                file,
                f"{key}.values",
                f"code set {column.codes.name} has no code {unknown[0]!r}",
                f"use one of {_some(column)}; or leave the value out: it then counts as missing",
            )
    if not (isinstance(column, CodeColumn) and column.most > 1) and (
        len(described.sources) > 1 or described.split is not None
    ):
        _refuse(file, key, "only a list has several columns or a separator", "name one column: from = ...")
    if described.dates and not isinstance(column, DateColumn):
        _refuse(file, f"{key}.dates", "only a column of dates has date formats", "remove it")
    if (described.scale != 1 or described.offset != 0) and not isinstance(column, NumberColumn):
        _refuse(file, key, "only a column of numbers has a scale or an offset", "remove them")


def _some(column: CodeColumn) -> str:
    codes = tuple(column.codes.index)
    return ", ".join(codes[:MOST_NAMED]) + (", ..." if len(codes) > MOST_NAMED else "")


def _number(file: str, key: str, value: object) -> Fraction:
    """Read an exact decimal; a TOML float would already have lost digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    try:
        decimal = Decimal(_text(file, key, value))
    except InvalidOperation:
        _refuse(file, key, "is not a decimal number", 'write it in quotes, such as "0.0113"')
    if (
        not decimal.is_finite()
        or len(decimal.as_tuple().digits) > MOST_DIGITS
        or abs(decimal.adjusted()) > MOST_EXPONENT
    ):
        _refuse(file, key, "is out of range", "use at most 15 digits between 0.000000001 and 9999999999")
    return Fraction(decimal)


def _pairs(file: str, key: str, value: object) -> tuple[tuple[str, str], ...]:
    section = _section(file, key, value)
    return tuple((name, _text(file, f"{key}.{name}", text)) for name, text in section.items())


def _texts(file: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        _refuse(file, key, "is not a list", 'write a list of texts, such as ["99"]')
    return tuple(_text(file, key, text) for text in value)


def _text(file: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        _refuse(file, key, "is not text", "put it in quotes")
    return value


def _section(file: str, key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _refuse(file, key, "is not a table of keys", f"write [{key}]")
    return value


def _only(file: str, key: str, section: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in section:
        if name not in known:
            _refuse(file, f"{key}.{name}" if key else name, "is not a known key", "use one of " + ", ".join(known))


def _refuse(file: str, key: str, message: str, remedy: str) -> NoReturn:
    raise SourceError(message, file=file, key=key, remedy=remedy)
