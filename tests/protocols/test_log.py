"""The append-only log: its chain, its tree, and what it shows of itself."""

from __future__ import annotations

import sqlite3

import pytest

from protocols import merkle
from protocols.errors import ProtocolError, Rejected
from protocols.log import Log

TABLES = """
CREATE TABLE audit (number INTEGER PRIMARY KEY, kind TEXT, at INTEGER, facts TEXT, digest BLOB);
CREATE TABLE tree (level INTEGER, position INTEGER, digest BLOB, PRIMARY KEY (level, position));
"""


def fresh(count=0):
    """Return a log in memory with some entries."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(TABLES)
    log = Log(connection=connection, table="audit")
    for number in range(count):
        add(log, number=number)
    return log


def add(log, kind="started", at=7, **facts):
    """Add an entry in a step of its own."""
    log.connection.execute("BEGIN IMMEDIATE")
    try:
        entry = log.append(kind, at, facts)
    except BaseException:
        log.connection.execute("ROLLBACK")
        raise
    log.connection.execute("COMMIT")
    return entry


def test_the_tree_is_that_of_the_entries_digests():
    """At every size, what is kept of the tree gives the root that the entries give anew."""
    log = fresh(21)
    digests = [entry.digest for entry in log.entries()]
    for size in range(22):
        kept = {}
        for number, linked in enumerate(digests[:size]):
            for level, position, hashed in merkle.grown(
                number, merkle.leaf(linked), lambda a, b, kept=kept: kept[a, b]
            ):
                kept[level, position] = hashed
        assert log.root(size) == merkle.root(size, lambda a, b, kept=kept: kept[a, b])
    assert log.verify() is None


def test_an_entry_and_its_leaf_are_one_step():
    """Outside a transaction nothing is added; a step that fails leaves neither entry nor leaf."""
    log = fresh(3)
    with pytest.raises(ProtocolError):
        log.append("started", 7, {})
    before = log.root(3)
    with pytest.raises(Rejected):
        add(log, text="x" * 5000)
    assert log.head()[0] == 3
    assert log.root(3) == before
    assert log.verify() is None


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("UPDATE audit SET facts = '{}' WHERE number = 5", 5),
        ("UPDATE audit SET digest = zeroblob(32) WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number > 5", 6),
        ("UPDATE tree SET digest = zeroblob(32) WHERE level = 0 AND position = 4", 5),
        ("UPDATE tree SET digest = zeroblob(32) WHERE level = 1 AND position = 1", 3),
        ("DELETE FROM tree WHERE level = 0 AND position = 6", 7),
        ("INSERT INTO tree VALUES (0, 40, zeroblob(32))", 10),
    ],
)
def test_the_first_bad_entry_is_named(change, first):
    """Whatever is changed in the entries or in the tree, the first entry that it concerns is named."""
    log = fresh(9)
    log.connection.execute(change)
    assert log.verify() == first


def test_nothing_is_added_to_a_log_that_lost_its_end():
    """The tree still has the leaves; another entry would be a second history."""
    log = fresh(9)
    log.connection.execute("DELETE FROM audit WHERE number > 5")
    with pytest.raises(ProtocolError, match="entry 6"):
        add(log)


def test_a_log_from_before_the_tree_grows_one_at_its_next_entry():
    """An older state loses nothing and needs no step of its own."""
    log, same = fresh(9), fresh(10)
    log.connection.execute("DELETE FROM tree")
    assert log.verify() is None
    add(log, number=9)
    assert log.root(10) == same.root(10)
    assert log.verify() is None


def test_an_entry_is_shown_with_a_proof_that_holds():
    """Every entry, in logs of several sizes."""
    from protocols.log import link

    log = fresh(9)
    for size in range(1, 10):
        for number in range(1, size + 1):
            shown = log.shown(number, size)
            linked = link(shown.previous, shown.number, shown.kind, shown.at, shown.facts)
            merkle.verify_inclusion(merkle.leaf(linked), number - 1, size, shown.inclusion, log.root(size))
