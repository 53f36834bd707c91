"""Preparation: the hospital's files become one DuckDB file in the catalogue's terms, each patient cut to the cap.

A question then reads small integers and days, with codes looked up, numbers clipped and patients bounded already.
The file's name is a digest of all that it was made from, so a name that exists is a preparation that is complete.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from node.records.files import SourceFile, find, literal
from node.records.mapping import IDENTITY, SourceError, SourceMapping
from node.records.report import ColumnReport, TableReport
from node.records.staging import build_table
from node.scan.engine import SPILL, open_database
from queries.agreed.catalogue import Catalogue

FORMAT = "3"
"""Changes whenever the prepared tables do, so that an older file is made anew."""

SITE_KEY_BYTES = 32

STAGING = "preparing-"
PREPARED = "prepared-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A prepared database."""

    path: Path
    """The DuckDB file, readable by its owner only."""
    tables: tuple[TableReport, ...]
    """The tables that the hospital has."""
    reused: bool
    """Whether nothing had changed since it was made."""


def prepare(
    home: Path,
    data: Path,
    mapping: SourceMapping | None,
    catalogue: Catalogue,
    site_key: bytes,
    *,
    memory_limit: str = "512MB",
) -> Prepared:
    """Make the prepared database in ``home`` from the files in ``data``, or find it there unchanged.

    A new file takes its name only when it is complete; a kill at any time leaves the older one or the newer one.
    ``site_key`` is 32 secret bytes of this hospital. Raises SourceError, which names files and columns only.

    Guarantee: a patient's kept rows are a function of that patient's rows, the key and the catalogue; no other
    patient's rows decide which, nor what a derived column says of them. Tests:
    tests/node/test_sensitivity_fuzz.py::test_a_patients_rows_depend_on_no_other,
    tests/node/test_derivation.py::test_removing_another_patient_changes_no_derived_value.
    """
    if len(site_key) != SITE_KEY_BYTES:
        raise SourceError("is not 32 bytes", file="site key", remedy="restore it from the node's backup")
    if not data.is_dir():
        # Without this, a share that is not mounted would look like a hospital without a table.
        raise SourceError("is not a folder", file=str(data), remedy="name the data folder in node.toml, or with --data")
    mapping = mapping or IDENTITY
    mapping.check(catalogue)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    recorded = [table.name for table in catalogue.tables if table.each is None]
    sources = {table: find(data, table, mapping.table(table)) for table in recorded}
    fingerprint = _fingerprint(sources, mapping, catalogue, site_key)
    path = home / f"{PREPARED}{fingerprint}.duckdb"
    # What a killed process spilled is gone before anything new is.
    for stale in (*home.glob(STAGING + "*"), home / SPILL):
        shutil.rmtree(stale, ignore_errors=True)
    if path.exists():
        return Prepared(path=path, tables=_stored_report(path), reused=True)
    scratch = Path(tempfile.mkdtemp(prefix=STAGING, dir=home))  # mkdtemp: readable by its owner only
    try:
        reports = _build(scratch, sources, mapping, catalogue, site_key=site_key, memory_limit=memory_limit)
        if _fingerprint(sources, mapping, catalogue, site_key) != fingerprint:
            raise SourceError("changed while it was read", file=str(data), remedy="start again when it is complete")
        finished = scratch / "tables.duckdb"
        finished.chmod(0o600)
        with finished.open("rb") as file:
            os.fsync(file.fileno())
        finished.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for older in home.glob(PREPARED + "*.duckdb"):
        if older != path:
            older.unlink(missing_ok=True)
    return Prepared(path=path, tables=reports, reused=False)


def _fingerprint(
    sources: dict[str, SourceFile | None], mapping: SourceMapping, catalogue: Catalogue, site_key: bytes
) -> str:
    parts = [FORMAT, duckdb.__version__, catalogue.digest.hex(), mapping.digest.hex()]
    for name, source in sources.items():
        parts.append(f"{name}:{source.path.name}:{_stamp(source.path)}" if source else name)
    # Keyed: the name of a file says nothing to somebody without the key.
    return hmac.new(site_key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


def _stamp(path: Path) -> str:
    """Return what changes when a file does; a file that went away has changed."""
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_size}:{found.st_mtime_ns}"


def _stored_report(path: Path) -> tuple[TableReport, ...]:
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            ((report,),) = connection.execute("SELECT report FROM _report").fetchall()
        return tuple(
            TableReport(**{**table, "columns": tuple(ColumnReport(**column) for column in table["columns"])})
            for table in json.loads(report)
        )
    except (duckdb.Error, ValueError, TypeError, KeyError):
        raise SourceError("is damaged", file=path.name, remedy="delete it: it will be made anew") from None


def _build(
    scratch: Path,
    sources: dict[str, SourceFile | None],
    mapping: SourceMapping,
    catalogue: Catalogue,
    *,
    site_key: bytes,
    memory_limit: str,
) -> tuple[TableReport, ...]:
    with open_database(scratch / "tables.duckdb", spill=scratch / "spill", memory_limit=memory_limit) as connection:
        _set_time_zone(connection, mapping)
        reports = {
            report.name: report
            for table in catalogue.tables
            if (source := sources.get(table.name)) is not None
            for report in build_table(
                connection,
                scratch,
                source,
                table,
                elements=tuple(each for each in catalogue.tables if each.each and each.each.table == table.name),
                mapping=mapping,
                site_key=site_key,
            )
        }
        made = tuple(reports[table.name] for table in catalogue.tables if table.name in reports)
        connection.execute("CREATE TABLE _report (report VARCHAR)")
        connection.execute("INSERT INTO _report VALUES (?)", [json.dumps([asdict(report) for report in made])])
    return made


def _set_time_zone(connection: duckdb.DuckDBPyConnection, mapping: SourceMapping) -> None:
    try:
        connection.execute(f"SET TimeZone = {literal(mapping.time_zone)}")
    except duckdb.Error:
        remedy = 'write an IANA name such as "Asia/Shanghai"'
        raise SourceError("is not a time zone", file=mapping.file, key="time_zone", remedy=remedy) from None
