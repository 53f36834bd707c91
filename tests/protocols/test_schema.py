import sqlite3

import pytest

from protocols.errors import ProtocolError
from protocols.schema import migrate

FIRST = "CREATE TABLE one (a INTEGER)"
SECOND = "CREATE TABLE two (b INTEGER); INSERT INTO one VALUES (7)"


def opened(folder):
    """Open the state in a folder."""
    return sqlite3.connect(folder / "state.sqlite", isolation_level=None)


def version(connection):
    """Return the version of the state."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def test_the_state_is_durable(tmp_path):
    """WAL with a sync at every commit, and foreign keys are held."""
    connection = opened(tmp_path)
    connection.execute("PRAGMA synchronous=OFF")
    migrate(connection, [FIRST])
    pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_each_migration_is_applied_once_in_order(tmp_path):
    """An older state is brought up to date and keeps what it holds."""
    migrate(opened(tmp_path), [FIRST])
    for _ in range(2):
        connection = opened(tmp_path)
        migrate(connection, [FIRST, SECOND])
        assert version(connection) == 2
        assert connection.execute("SELECT a FROM one").fetchall() == [(7,)]


def test_a_state_that_is_newer_than_the_software_is_refused_and_left_alone(tmp_path):
    """After a downgrade nothing is guessed at."""
    migrate(opened(tmp_path), [FIRST, SECOND])
    connection = opened(tmp_path)
    with pytest.raises(ProtocolError, match="update it"):
        migrate(connection, [FIRST])
    assert version(connection) == 2


def test_a_migration_that_fails_leaves_the_state_as_it_was(tmp_path):
    """The version and the half-made tables are rolled back together."""
    migrate(opened(tmp_path), [FIRST])
    connection = opened(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [FIRST, "CREATE TABLE two (b INTEGER); INSERT INTO nowhere VALUES (1)"])
    connection.close()
    connection = opened(tmp_path)
    assert version(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("one",)]
