"""Reading a hospital's files: every field as text, whatever the file's encoding.

The engine's own type sniffing is not used: what it guesses depends on the records, and so would the node's answers.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import BinaryIO, cast

import duckdb

from node.records.mapping import SourceError, TableMapping

CHUNK = 1 << 22
"""Bytes of a file that are re-encoded at a time."""


UNDECODED = "\N{REPLACEMENT CHARACTER}"
"""What stands for bytes that mean nothing in an encoding."""

_DAMAGED = (OSError, EOFError, zlib.error)
"""What reading a file raises that ends early, whose compressed bytes mean nothing, or that is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file that a table is read from."""

    path: Path
    """Where it is."""
    described: TableMapping
    """How it is written."""

    @property
    def parquet(self) -> bool:
        """Return whether it is Parquet, else text."""
        return self.path.suffix == ".parquet"


def find(data: Path, table: str, described: TableMapping) -> SourceFile | None:
    """Return the file of a table; None where the hospital has none; raise SourceError where a named one is missing."""
    if described.file is not None:
        named = data / described.file
        if not named.is_file():
            remedy = "correct the name in the mapping"
            raise SourceError("no such file in the data folder", file=described.file, remedy=remedy)
        return SourceFile(path=named, described=described)
    for suffix in (".parquet", ".csv"):
        if (path := data / (table + suffix)).is_file():
            return SourceFile(path=path, described=described)
    return None


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def as_compared(name: str) -> str:
    """Return a column's name as the engine compares names: it folds ASCII letters, and no others."""
    return name.encode().lower().decode()


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def open_source(connection: duckdb.DuckDBPyConnection, source: SourceFile, scratch: Path) -> tuple[str, ...]:
    """Make the file readable as the view ``source`` and return its column names; raise SourceError where it is not.

    ``scratch`` is a private folder: text that the engine cannot decode is re-encoded into it.
    """
    try:
        if source.parquet:
            reading = f"read_parquet({_one_file(source.path)}, hive_partitioning = false)"
            connection.execute(f"CREATE OR REPLACE TEMP VIEW source AS FROM {reading}")
            described = connection.execute("DESCRIBE source").fetchall()
            return tuple(str(row[0]) for row in described)
        names = _header(source)
        columns = "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names) + "}"
        path = _as_utf8(source, scratch) if source.described.encoding != "utf-8" else _undamaged(source)
        # A line that cannot be read is left out and counted: its text must not reach an error message.
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW source AS FROM read_csv({_one_file(path)}, hive_partitioning = false, "
            f"auto_detect = false, header = true, columns = {columns}, "
            f"delim = {literal(source.described.delimiter)}, quote = '\"', escape = '\"', "
            "ignore_errors = true, store_rejects = true)"
        )
        return names
    except duckdb.Error:
        raise unreadable(source) from None


def another_encoding(names: Collection[str]) -> bool:
    """Tell whether column names hold bytes that mean nothing in the encoding that they were read in."""
    return any(UNDECODED in name for name in names)


def misread(source: SourceFile) -> SourceError:
    """Return the error of a file whose column names are in another encoding than the mapping says."""
    remedy = 'name its encoding in the mapping, such as encoding = "gb18030"'
    return SourceError(f"is not {source.described.encoding} text", file=source.path.name, remedy=remedy)


def unreadable(source: SourceFile) -> SourceError:
    """Return the error of a file that the engine refuses, without the engine's words: they may quote a record."""
    kind = "Parquet" if source.parquet else f"{source.described.encoding} text in columns"
    return SourceError(f"cannot be read as {kind}", file=source.path.name, remedy="export it again")


def _one_file(path: Path) -> str:
    """Quote a path for SQL, so that it means this file and no other.

    The engine takes names for patterns, and a folder ``sex=F`` for a column that replaces the file's own: the latter is
    switched off wherever this is used.

    Guarantee: what is read is the file whose size and time the preparation's name is made of. Test:
    tests/node/test_prepare.py::test_what_a_folder_is_called_changes_no_value.
    """
    return literal(escape(str(path)))


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _header(source: SourceFile) -> tuple[str, ...]:
    encoding = "utf-8-sig" if source.described.encoding == "utf-8" else source.described.encoding
    try:
        with io.TextIOWrapper(_open(source.path), encoding=encoding, errors="replace", newline="") as lines:
            names = tuple(next(csv.reader(lines, delimiter=source.described.delimiter), ()))
    except (csv.Error, *_DAMAGED):
        raise unreadable(source) from None
    names = tuple(name.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") for name in names)
    if not names:
        raise SourceError("is empty", file=source.path.name, remedy="export it with a line of column names")
    # An index that was written without a name, or a delimiter at the end of every line, makes a column as well.
    names = tuple(name or f"column {place}" for place, name in enumerate(names, start=1))
    if len({as_compared(name) for name in names}) < len(names):
        if another_encoding(names):
            raise misread(source)
        raise SourceError("names a column twice", file=source.path.name, remedy="give each column its own name")
    return names


def _as_utf8(source: SourceFile, scratch: Path) -> Path:
    """Re-encode a file; a byte that means nothing becomes U+FFFD, which no code set, number or date contains."""
    target = scratch / "source.csv"
    decoder = codecs.getincrementaldecoder(source.described.encoding)(errors="replace")
    with target.open("wb") as out:
        for chunk in _chunks(source):
            out.write(decoder.decode(chunk, final=not chunk).encode())
    return target


def _undamaged(source: SourceFile) -> Path:
    """Return the path of a file; raise SourceError where it is an archive that does not hold what was put into it.

    The engine does not compare an archive with the checksum in it, and reads what a damaged one comes to.

    Guarantee: no record of another's making is counted. Test:
    tests/node/test_prepare.py::test_a_damaged_archive_is_named_without_its_content.
    """
    if source.path.suffix == ".gz":
        for _ in _chunks(source):
            pass
    return source.path


def _chunks(source: SourceFile) -> Iterator[bytes]:
    """Yield a file's bytes, an empty chunk at the end; raise SourceError where they cannot be had."""
    try:
        with _open(source.path) as raw:
            while chunk := raw.read(CHUNK):
                yield chunk
    except _DAMAGED:
        raise unreadable(source) from None
    yield b""
