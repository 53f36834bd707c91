"""A node's durable state: one SQLite file, written by one thread, whose rows of evidence cannot be changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.books.damage import is_torn
from protocols.errors import ProtocolError
from protocols.schema import migrate

FILE = "node.db"
"""Name of the file in the node's home."""

LOCK = "serve.lock"
"""Name of the file that a node holds locked while it serves the home."""

TORN = (
    "node.db-wal ends in a torn write: start the node first, which puts that right and charges for an answer that it "
    "may have undone"
)

WAIT = 10.0
"""Seconds to wait for a lock; only `farr node` commands that read ever hold one beside the service."""

_APPEND_ONLY = """
CREATE TRIGGER {table}_never_changes BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;
CREATE TRIGGER {table}_never_shrinks BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""

MIGRATIONS = (
    f"""
    CREATE TABLE charges (
        number INTEGER PRIMARY KEY,
        request BLOB NOT NULL UNIQUE CHECK (length(request) = 16),
        epoch INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        tau BLOB NOT NULL UNIQUE CHECK (length(tau) = 32),
        units INTEGER NOT NULL CHECK (units BETWEEN 0 AND 1125899906842624),
        table_name TEXT NOT NULL,
        analyst TEXT NOT NULL,
        purpose TEXT NOT NULL,
        at INTEGER NOT NULL,
        evidence TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        UNIQUE (epoch, slot)
    ) STRICT;
    CREATE TABLE uploads (
        tau BLOB PRIMARY KEY REFERENCES charges (tau),
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        announcement BLOB NOT NULL,
        upload BLOB NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        at INTEGER NOT NULL,
        facts TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32)
    ) STRICT;
    CREATE INDEX audit_by_kind ON audit (kind, at);
    CREATE TABLE roster (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        version INTEGER NOT NULL,
        signed BLOB NOT NULL
    ) STRICT;
    {_APPEND_ONLY.format(table="charges")};
    {_APPEND_ONLY.format(table="uploads")};
    {_APPEND_ONLY.format(table="audit")}
    """,
    """
    CREATE TABLE epochs (
        number INTEGER PRIMARY KEY CHECK (number > 0),
        frozen BLOB UNIQUE CHECK (length(frozen) = 32)
    ) STRICT;
    CREATE TRIGGER epochs_rise BEFORE INSERT ON epochs WHEN NEW.number < (SELECT max(number) FROM epochs)
        BEGIN SELECT RAISE(ABORT, 'epochs rise'); END;
    CREATE TRIGGER epochs_keep_their_freeze BEFORE UPDATE ON epochs
        WHEN NEW.number IS NOT OLD.number OR (OLD.frozen IS NOT NULL AND NEW.frozen IS NOT OLD.frozen)
        BEGIN SELECT RAISE(ABORT, 'an epoch keeps its freeze'); END;
    CREATE TRIGGER epochs_never_shrink BEFORE DELETE ON epochs
        BEGIN SELECT RAISE(ABORT, 'epochs are kept'); END;
    CREATE TABLE slots (
        epoch INTEGER NOT NULL REFERENCES epochs (number),
        slot INTEGER NOT NULL CHECK (slot > 0),
        announced BLOB NOT NULL UNIQUE CHECK (length(announced) = 32),
        sent INTEGER NOT NULL CHECK (sent IN (0, 1)),
        confirmed BLOB CHECK (length(confirmed) = 32),
        released BLOB CHECK (length(released) = 32),
        PRIMARY KEY (epoch, slot)
    ) STRICT;
    CREATE TRIGGER slots_keep_their_promises BEFORE UPDATE ON slots
        WHEN NEW.epoch IS NOT OLD.epoch OR NEW.slot IS NOT OLD.slot OR NEW.announced IS NOT OLD.announced
            OR NEW.sent < OLD.sent
            OR (OLD.confirmed IS NOT NULL AND NEW.confirmed IS NOT OLD.confirmed)
            OR (OLD.released IS NOT NULL AND NEW.released IS NOT OLD.released)
        BEGIN SELECT RAISE(ABORT, 'a slot keeps its promises'); END;
    CREATE TRIGGER slots_never_shrink BEFORE DELETE ON slots
        BEGIN SELECT RAISE(ABORT, 'slots are kept'); END
    """,
    f"""
    ALTER TABLE charges ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE charges ADD COLUMN reason TEXT NOT NULL DEFAULT '';
    ALTER TABLE charges ADD COLUMN period INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE charges ADD COLUMN policy BLOB NOT NULL DEFAULT x'';
    ALTER TABLE charges ADD COLUMN approval INTEGER CHECK (approval > 0);
    CREATE INDEX charges_by_time ON charges (at);
    CREATE TABLE proposals (
        request BLOB PRIMARY KEY CHECK (length(request) = 16),
        signed BLOB NOT NULL,
        arrived INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        subject BLOB NOT NULL,
        binding BLOB NOT NULL CHECK (length(binding) = 32),
        decided_by TEXT NOT NULL,
        at INTEGER NOT NULL,
        facts TEXT NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_subject ON decisions (subject, number);
    CREATE TABLE acquainted (
        member TEXT NOT NULL,
        identity_key BLOB NOT NULL CHECK (length(identity_key) = 32),
        at INTEGER NOT NULL,
        PRIMARY KEY (member, identity_key)
    ) STRICT;
    CREATE TABLE tree (
        level INTEGER NOT NULL,
        position INTEGER NOT NULL,
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        PRIMARY KEY (level, position)
    ) STRICT;
    CREATE TABLE checkpoints (
        size INTEGER PRIMARY KEY,
        signed BLOB NOT NULL
    ) STRICT;
    CREATE TABLE heads (
        member TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        signed BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER heads_rise BEFORE UPDATE ON heads WHEN NEW.size < OLD.size
        BEGIN SELECT RAISE(ABORT, 'heads rise'); END;
    CREATE INDEX audit_by_round ON audit (kind, json_extract(facts, '$.round'))
        WHERE kind IN ('answered', 'released') AND json_valid(facts);
    {_APPEND_ONLY.format(table="decisions")};
    {_APPEND_ONLY.format(table="acquainted")};
    {_APPEND_ONLY.format(table="tree")};
    {_APPEND_ONLY.format(table="checkpoints")}
    """,
    """
    CREATE TABLE ended (request BLOB PRIMARY KEY CHECK (length(request) = 16)) STRICT
    """,
    """
    CREATE INDEX charges_by_run ON charges (json_extract(evidence, '$.run.id')) WHERE json_valid(evidence)
    """,
)
"""One script a version; an older state is brought forward, a newer one refused."""


class StateError(ProtocolError):
    """The node's state is not what it must be; the node does not answer with it."""


def open_state(home: Path) -> sqlite3.Connection:
    """Open the state in ``home``, making it where it is missing, readable by its owner only.

    The connection may be handed from one thread to another but is used by one at a time.
    """
    path = home / FILE
    # SQLite gives its write-ahead log the permissions of the file, so the file is made first and closed to others.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, timeout=WAIT, check_same_thread=False)
    migrate(connection, MIGRATIONS)
    return connection


def read_state(home: Path) -> sqlite3.Connection:
    """Open the state for reading only; raise StateError where there is none."""
    path = home / FILE
    if not path.is_file():
        raise StateError("the node has not run yet: it has no state")
    insist_whole(home)
    connection = sqlite3.connect(path, isolation_level=None, timeout=WAIT, check_same_thread=False)
    connection.execute("PRAGMA query_only=ON")
    return connection


def insist_whole(home: Path) -> None:
    """Raise StateError where the last write was torn and the node has not started since.

    Guarantee: no command beside the node tidies the tear away, as SQLite does when the last connection closes, before
    the node has charged for what it may have undone. Test:
    tests/crash/test_torn.py::test_no_command_tidies_a_tear_away.
    """
    if not _is_served(home) and is_torn(home / f"{FILE}-wal"):
        raise StateError(TORN)


def _is_served(home: Path) -> bool:
    """Tell whether a node serves this home; while one does, its last write may just be under way."""
    try:
        with (home / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of the body durably, or none of it.

    Guarantee: whatever is raised inside, or ends the process, nothing of the body is kept. Test:
    tests/node/test_ledger.py::test_a_failed_transaction_leaves_nothing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
