"""The hospitals of a lab: a folder of data for each, as given, or split from one file by a column."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farr.errors import FarrError
from farr.texts import _
from protocols import checks
from protocols.errors import Rejected
from queries.agreed.catalogue import Label

FACTS = "hospitals.toml"
"""Beside the folders, if there is one: labels and public attributes by site."""

DATA_SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """A hospital to be."""

    id: str
    """Member id."""
    label: Label
    """Name for people."""
    folder: Path
    """Where its tables are."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Public facts."""


def in_folders(data: Path, most: int | None) -> tuple[Hospital, ...]:
    """Return the hospitals of ``data``: one for each folder in it that holds tables, at most the ``most`` largest."""
    if not data.is_dir():
        raise FarrError(
            "no-data",
            _("{path} is not a folder").format(path=data),
            remedy=_("give a folder with one folder for each hospital"),
        )
    facts = _facts(data / FACTS)
    found = [folder for folder in sorted(data.iterdir()) if folder.is_dir() and _size(folder)]
    if not found:
        raise FarrError(
            "no-data",
            _("{path} holds no hospital").format(path=data),
            remedy=_("make one folder for each hospital, such as {path}/north/admission.csv").format(path=data),
        )
    for folder in found:
        try:
            checks.name(folder.name, folder.name)
        except Rejected as error:
            raise FarrError(
                "bad-name",
                _("{folder}: a hospital's folder is named with a-z 0-9 . _ - only").format(folder=folder),
                remedy=_("rename it; {facts} can give it a label in any script").format(facts=data / FACTS),
            ) from error
    largest = sorted(found, key=lambda folder: (-_size(folder), folder.name))[:most]
    return tuple(_hospital(folder.name, folder, facts) for folder in sorted(largest))


def split(file: Path, table: str, column: str, into: Path, most: int | None) -> tuple[Hospital, ...]:
    """Split a CSV or Parquet file by a column, one folder in ``into`` for each value, the ``most`` largest only."""
    import duckdb

    if not file.is_file():
        raise FarrError("no-data", _("{path} is not a file").format(path=file))
    reader = "read_parquet(?)" if file.suffix == ".parquet" else "read_csv(?, header = true, all_varchar = true)"
    into.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        rows = database.execute(f"SELECT * FROM {reader}", [str(file)])  # noqa: S608 - one of two constants
        known = [described[0] for described in rows.description or ()]
        if column not in known:
            raise FarrError(
                "no-column",
                _("{path} has no column {column}").format(path=file, column=column),
                remedy=_("its columns: {columns}").format(columns=", ".join(known)),
            )
        quoted = '"' + column.replace('"', '""') + '"'
        database.execute(f"CREATE TABLE whole AS SELECT * FROM {reader}", [str(file)])  # noqa: S608
        sizes = database.execute(
            f"SELECT {quoted}::VARCHAR AS site, count(*) AS n FROM whole WHERE {quoted} IS NOT NULL "  # noqa: S608
            "GROUP BY 1 ORDER BY n DESC, site"
        ).fetchall()
        names = _names([str(value) for value, _rows in sizes][:most])
        for value, name in names.items():
            (into / name).mkdir(exist_ok=True)
            target = str(into / name / f"{table}.csv").replace("'", "''")
            database.execute(
                f"COPY (SELECT * FROM whole WHERE {quoted}::VARCHAR = ?) TO '{target}' (FORMAT csv, HEADER)",  # noqa: S608
                [value],
            )
    facts: dict[str, dict[str, object]] = {name: {"label": value} for value, name in names.items()}
    return tuple(_hospital(name, into / name, facts) for name in sorted(names.values()))


def _names(values: Sequence[str]) -> dict[str, str]:
    """Return a member id for each value of the column that hospitals are split by."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for position, value in enumerate(values, start=1):
        plain = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:40].strip("-")
        name = f"site-{plain}" if plain.isdigit() else plain or f"hospital-{position}"
        while name in taken:
            name = f"{name}-{position}"
        names[value] = name
        taken.add(name)
    return names


def _facts(file: Path) -> dict[str, dict[str, object]]:
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _hospital(name: str, folder: Path, facts: dict[str, dict[str, object]]) -> Hospital:
    fact = facts.get(name, {})
    label, attributes = fact.get("label", name), fact.get("attributes", {})
    english = str(label.get("en", name)) if isinstance(label, dict) else str(label)
    chinese = str(label.get("zh", english)) if isinstance(label, dict) else str(label)
    plain = {str(key): str(value) for key, value in attributes.items()} if isinstance(attributes, dict) else {}
    return Hospital(id=name, label=Label(en=english, zh=chinese), folder=folder.resolve(), attributes=plain)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.name.endswith(DATA_SUFFIXES))
