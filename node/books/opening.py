"""Opening the state of a node that is to answer: what is gone, damaged or was cut short is found before it counts.

A message says which file is wrong and what to do. Nothing is repaired behind the operator's back, and no state is ever
begun anew where there was one: an empty ledger would be a whole new budget.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from node.authority import policy
from node.authority.policy import Policy
from node.books.audit import TORN, Audit
from node.books.damage import is_torn
from node.books.ledger import Caps, Charge, Ledger, upload_digest
from node.books.state import FILE, StateError, open_state, transaction
from protocols.errors import ProtocolError
from protocols.log import Fact
from protocols.wire_pb2 import Signed

MARK = "node.db.begun"
"""Empty file that says that there is a state: made once the first one is there."""

WAL = f"{FILE}-wal"

TEAR = "torn write"
"""Name of the purpose of a charge for what a tear may have cost; nobody can ask for it."""

GONE = (
    "node.db is missing or empty, although this node has run here: put it back from the newest backup; where there is "
    "none, join anew in another folder, with a new token from the registrar"
)
DAMAGED = (
    "node.db is damaged: put it back from the newest backup, delete node.db-wal and node.db-shm beside it, and start "
    "the node again; the disk may be failing"
)
UNWRITABLE = (
    "node.db cannot be written: mount its disk for writing, or let the node's user own the file and its folder; then "
    "start the node again"
)
FOLDER_UNWRITABLE = (
    "the node's folder cannot be written (serve.lock): mount its disk for writing, or let the node's user own the "
    "folder; then start the node again"
)
FULL = "node.db cannot grow, the disk is full: free some room and start the node again; nothing is lost"
UNKNOWN_COST = (
    "node.db-wal ends in a torn write, which may have been an answer, and policy.toml, which says what one may cost, "
    "cannot be read: correct policy.toml and start the node again"
)


def open_checked(home: Path, clock: Callable[[], float]) -> sqlite3.Connection:
    """Open the state in ``home`` for answering; raise StateError, saying what to do, where it must not be used.

    Guarantee: a state that is gone or that SQLite cannot repair is refused, never replaced by an empty one; a
    transaction that was cut short is charged for as the dearest answer that the policy allows, since it may have been
    one that left. Tests: tests/crash/test_crashes.py, tests/crash/test_torn.py.
    """
    path = home / FILE
    if (home / MARK).exists() and (not path.is_file() or not path.stat().st_size):
        raise StateError(GONE)
    torn = is_torn(home / WAL)
    # Read first: what the tear may have cost has to be known before SQLite tidies it away.
    allowed = _policy(home) if torn else None
    try:
        connection = open_state(home)
    except (OSError, sqlite3.Error) as error:
        raise _explained(error) from error
    try:
        _check(connection)
        if allowed is not None:
            _charge(connection, allowed, int(clock()))
            # What is left of the tear behind the newer rows would be found, and charged, once more.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if not (home / MARK).exists():
            os.close(os.open(home / MARK, os.O_WRONLY | os.O_CREAT, 0o600))
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise _explained(error) from error
    except ProtocolError:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Refuse to answer with a ledger or an audit log that somebody changed: what was spent would be unknown."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StateError(DAMAGED)
    if (row := Ledger(connection=connection).verify()) is not None:
        raise StateError(f"the ledger is not as it was written: row {row}; restore it from the newest backup")
    if (entry := Audit(connection=connection).verify()) is not None:
        raise StateError(f"the audit log is not as it was written: entry {entry}; restore it from the newest backup")
    _check_contents(connection)


def _check_contents(connection: sqlite3.Connection) -> None:
    """Refuse a state in which long values are not what was written: SQLite keeps no digest of its pages.

    Guarantee: an announcement that was answered gets the bytes that it got before, or the node does not start. Test:
    tests/crash/test_torn.py::test_a_stored_upload_that_a_disk_changed_is_found.
    """
    for digest, upload in connection.execute("SELECT digest, upload FROM uploads"):
        if upload_digest(upload) != digest:
            raise StateError(DAMAGED)
    try:
        for (facts,) in connection.execute("SELECT facts FROM decisions"):
            json.loads(facts)
        for table in ("roster", "proposals", "checkpoints", "heads"):
            for (signed,) in connection.execute(f"SELECT signed FROM {table}"):  # noqa: S608 - own names
                Signed.FromString(signed)
    except (ValueError, DecodeError) as error:
        raise StateError(DAMAGED) from error


def _policy(home: Path) -> Policy:
    try:
        return policy.load(home / policy.FILE)
    except policy.PolicyError as error:
        raise StateError(UNKNOWN_COST) from error


def _charge(connection: sqlite3.Connection, allowed: Policy, now: int) -> None:
    units = allowed.most_units_per_question
    ledger, audit = Ledger(connection=connection), Audit(connection=connection)
    if audit.halted:
        # It answered nothing after that, and the operator's word on what was forgotten is still to come.
        return
    with transaction(connection):
        spent = ledger.spent() + units
        ledger.charge(
            Charge(
                request=secrets.token_bytes(16),
                epoch=0,
                slot=ledger.head()[0] + 1,
                tau=secrets.token_bytes(32),
                units=units,
                table="",
                analyst="",
                purpose=TEAR,
                at=now,
                evidence="{}",
                period=allowed.period_start(now),
            ),
            Caps(lifetime=spent, purpose=spent, period=spent, since=now),
        )
        facts: dict[str, Fact] = {"file": WAL, "units": units, "spent": spent}
        audit.append(TORN, now, facts)


def _explained(error: Exception) -> StateError:
    """Return what to tell the operator of a fault of the disk."""
    text = str(error).lower()
    if isinstance(error, PermissionError) or "readonly" in text or "unable to open" in text or "read-only" in text:
        return StateError(UNWRITABLE)
    if isinstance(error, OSError) or "full" in text or "disk i/o error" in text:
        return StateError(FULL if "full" in text or "space" in text or "large" in text else UNWRITABLE)
    return StateError(DAMAGED)
