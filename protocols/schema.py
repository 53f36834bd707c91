"""The version of a party's SQLite state: migrations in order, applied once each, each in its own transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from protocols.errors import ProtocolError


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Make the state durable (WAL, synchronous=FULL) and bring it to the newest version.

    A migration is a script of statements. A state newer than this software is refused rather than guessed at.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise ProtocolError(f"the state has version {version}, this software knows {len(migrations)}: update it")
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version={number}; COMMIT;")
