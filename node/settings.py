"""What a node's service is started with, and the file in its home that says where its data are."""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.records.mapping import SourceError, SourceMapping
from node.scan.work import MANY
from protocols.credentials import Credentials
from protocols.wire_pb2 import Signed
from queries.agreed.catalogue import Catalogue

FILE = "node.toml"
"""Name of the file in the node's home."""

_KEYS = ("data", "mapping", "threads", "memory_limit", "many_rows")

MOST_ROWS = 1 << 40
"""Most that ``many_rows`` may say: as ``rows_per_site`` of a catalogue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One node. Everything that it was given; its own files lie in ``home``."""

    credentials: Credentials
    """Who it is, its keys, and where the coordinator answers."""
    roster: Signed
    """The roster that it joined with, or a newer one."""
    catalogue: Catalogue
    """What its data are prepared for."""
    home: Path
    """Folder of its state (``node.db``), its policy (``policy.toml``) and its prepared data."""
    data: Path
    """Folder of its source files, which are only read."""
    mapping: SourceMapping | None
    """How the source files are written; None: as the catalogue has it."""
    software: str
    """What it calls itself, such as ``farr/0.1.0``."""
    threads: int = 1
    """Threads of a scan."""
    memory_limit: str = "512MB"
    """Of the engine."""
    many_rows: int = MANY
    """Rows of a table that the operator reckons with, in round numbers: see ``node.scan.work``."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""
    renew: Callable[[Credentials], Credentials | None] | None = None
    """Renews the certificate when it is time to: the credentials that hold from now on, or None where those given do.
    Called beside the service, in a thread; it may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a node's data are and what reading them may take, as ``node.toml`` says."""

    data: Path
    """Folder with one file for each table, or the files that the mapping names."""
    mapping: Path | None = None
    """Mapping file; None: the files are written as the catalogue has it."""
    threads: int = 1
    """Threads of a scan."""
    memory_limit: str = "512MB"
    """Of the engine."""
    many_rows: int = MANY
    """Rows of a table that the operator reckons with, in round numbers: see ``node.scan.work``."""


def write_source(home: Path, source: Source) -> None:
    """Write ``node.toml``, in place of an older one, readable by its owner only."""
    lines = ["# Where this node's data are. Options of `farr node serve` come before what is written here.\n"]
    lines.append(f"data = {_quoted(str(source.data.resolve()))}\n")
    if source.mapping is not None:
        lines.append(f"mapping = {_quoted(str(source.mapping.resolve()))}\n")
    lines.append(f"threads = {source.threads}\n")
    lines.append(f"memory_limit = {_quoted(source.memory_limit)}\n")
    if source.many_rows != MANY:
        lines.append(f"many_rows = {source.many_rows}\n")
    fresh = home / f".{FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(lines)
    fresh.replace(home / FILE)


def read_source(home: Path) -> Source:
    """Read ``node.toml``; raise SourceError, naming the key, where it is missing or wrong."""
    path = home / FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError("cannot be read", file=FILE, remedy="name the data folder with --data") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError("is not TOML in UTF-8", file=FILE, remedy="correct the text") from error
    for key in sorted(values.keys() - set(_KEYS)):
        raise SourceError("is not a known key", file=FILE, key=key, remedy="use " + ", ".join(_KEYS))
    mapping = _text(values, "mapping") if "mapping" in values else None
    return Source(
        data=home / Path(_text(values, "data")).expanduser(),
        mapping=None if mapping is None else home / Path(mapping).expanduser(),
        threads=_whole(values, "threads", 1, 1024),
        many_rows=_whole(values, "many_rows", MANY, MOST_ROWS),
        memory_limit=_text(values, "memory_limit") if "memory_limit" in values else "512MB",
    )


def _whole(values: Mapping[str, object], key: str, usual: int, most: int) -> int:
    value = values.get(key, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        remedy = f"write {key} = {usual}"
        raise SourceError(f"is not a whole number from 1 to {most}", file=FILE, key=key, remedy=remedy)
    return value


def _text(values: Mapping[str, object], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise SourceError("is missing or not text", file=FILE, key=key, remedy=f'write {key} = "..."')
    return value


def _quoted(text: str) -> str:
    # A TOML basic string is a JSON string in which DEL is escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
