"""The operator's decisions: append-only, each one with its entry in the audit log."""

import json
import sqlite3

import pytest

from node.authority.decisions import APPROVE, DECIDED, DENY, PAUSE, RESUME, Decisions
from node.books.audit import Audit
from node.books.state import StateError, open_state, transaction
from protocols.errors import Rejected

SUBJECT = bytes(16)


@pytest.fixture
def connection(tmp_path):
    """An empty state."""
    opened = open_state(tmp_path)
    yield opened
    opened.close()


def test_a_decision_and_its_audit_entry_are_one(connection):
    """Both are there after the transaction, neither without one or after one that failed."""
    decisions = Decisions(connection=connection)
    with pytest.raises(StateError):
        decisions.add(APPROVE, by="li", at=1, subject=SUBJECT)
    with pytest.raises(RuntimeError), transaction(connection):
        decisions.add(APPROVE, by="li", at=1, subject=SUBJECT)
        raise RuntimeError
    assert (decisions.of_kind(APPROVE), list(Audit(connection=connection).entries())) == ([], [])
    with transaction(connection):
        number = decisions.add(APPROVE, by="li", at=7, subject=SUBJECT, binding=b"b" * 32, facts={"units": 5})
    (entry,) = Audit(connection=connection).entries()
    assert (entry.kind, entry.at, json.loads(entry.facts)) == (
        DECIDED,
        7,
        {"decision": APPROVE, "number": number, "by": "li", "subject": SUBJECT.hex(), "binding": (b"b" * 32).hex()},
    )
    kept = decisions.numbered(number)
    assert (kept.kind, kept.by, kept.at, kept.facts) == (APPROVE, "li", 7, {"units": 5})


def test_no_decision_is_ever_changed_or_removed(connection):
    """Neither an update nor a deletion is possible."""
    with transaction(connection):
        Decisions(connection=connection).add(DENY, by="li", at=1, subject=SUBJECT)
    for statement in ("UPDATE decisions SET kind = 'approve'", "DELETE FROM decisions"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)


def test_the_last_word_counts(connection):
    """Paused, resumed, paused: paused; a decision on another subject says nothing of this one."""
    decisions = Decisions(connection=connection)
    seen = [decisions.paused]
    for kind in (PAUSE, RESUME, PAUSE):
        with transaction(connection):
            decisions.add(kind, by="li", at=1)
        seen.append(decisions.paused)
    assert seen == [False, True, False, True]
    assert decisions.newest((PAUSE, RESUME), b"other") is None


@pytest.mark.parametrize("by", ["", "x" * 81, "li\nna", "\x1b[31m"])
def test_a_decision_names_somebody(connection, by):
    """A name is not empty, not long, and nothing that a terminal would act upon."""
    with pytest.raises(Rejected), transaction(connection):
        Decisions(connection=connection).add(PAUSE, by=by, at=1)
    assert not Decisions(connection=connection).paused
