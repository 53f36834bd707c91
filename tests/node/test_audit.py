from __future__ import annotations

import json

import pytest

from node.books.audit import MOST_REFUSALS, REFUSED, STARTED, Audit
from node.books.state import open_state, transaction
from protocols.errors import Rejected


@pytest.fixture
def connection(tmp_path):
    """An open state that does not wait for the disk."""
    opened = open_state(tmp_path)
    opened.execute("PRAGMA synchronous=OFF")
    yield opened
    opened.close()


def tell(connection, kind=STARTED, at=1_800_000_000, **facts):
    """Add an entry."""
    with transaction(connection):
        Audit(connection=connection).append(kind, at, facts)


def test_entries_come_back_in_order(connection):
    """What is told is listed as it was told, in any script."""
    tell(connection, software="farr/1")
    tell(connection, purpose="卒中登记")
    found = list(Audit(connection=connection).entries())
    assert [entry.number for entry in found] == [1, 2]
    assert json.loads(found[1].facts) == {"purpose": "卒中登记"}
    assert Audit(connection=connection).verify() is None
    assert Audit(connection=connection).head() == (2, found[1].digest)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET facts = '{}' WHERE number = 3",
        "UPDATE audit SET at = at + 1 WHERE number = 3",
        "UPDATE audit SET kind = 'roster' WHERE number = 3",
        "UPDATE audit SET digest = zeroblob(32) WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
        "UPDATE audit SET number = 90 WHERE number = 3",
        "UPDATE audit SET number = -3 WHERE number = 3",
    ],
)
def test_the_first_bad_entry_is_named(connection, change):
    """A changed, removed or moved entry breaks the chain at its place."""
    for number in range(1, 6):
        tell(connection, software=str(number))
    connection.execute("DROP TRIGGER audit_never_changes")
    connection.execute("DROP TRIGGER audit_never_shrinks")
    connection.execute(change)
    expected = 1 if "-3" in change else 3
    assert Audit(connection=connection).verify() == expected


def test_an_entry_that_was_inserted_is_found(connection):
    """An entry at the end with a made-up digest does not follow from the ones before it."""
    tell(connection, software="1")
    connection.execute("INSERT INTO audit VALUES (2, 'started', 0, '{}', randomblob(32))")
    assert Audit(connection=connection).verify() == 2


def test_an_entry_is_short(connection):
    """Nobody can fill the disk with one entry."""
    with pytest.raises(Rejected, match="oversized"):
        tell(connection, purpose="x" * 5000)


def test_refusals_of_a_day_are_limited(connection):
    """Beyond the limit of a day refusals are left to the node's own log; the next day there is room again."""
    audit = Audit(connection=connection)
    with transaction(connection):
        for number in range(MOST_REFUSALS):
            assert audit.has_room(1_800_000_000)
            audit.append(REFUSED, 1_800_000_000, {"code": "busy", "number": number})
    assert not audit.has_room(1_800_000_000)
    assert audit.has_room(1_800_000_000 + 24 * 3600)
