from __future__ import annotations

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.books.promises import Promises
from node.books.state import StateError, open_state, transaction
from protocols.errors import Rejected
from protocols.farrsum.epoch_record import EpochRecord
from protocols.farrsum.slot_record import SlotRecord

ONE, TWO, THREE = (bytes([value]) * 32 for value in (1, 2, 3))
FIRST, SECOND = f"x'{ONE.hex()}'", f"x'{TWO.hex()}'"


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """An open state."""
    opened = open_state(tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


@pytest.fixture
def promises(tmp_path):
    """Promises in a state of their own, with one bound epoch and one bound slot."""
    opened = open_state(tmp_path)
    made = Promises(connection=opened)
    with transaction(opened):
        made.keep_epoch(EpochRecord(number=4, frozen=ONE))
        made.keep_slot(4, 7, SlotRecord(announced=ONE, sent=True, confirmed=TWO, released=THREE))
    yield made
    opened.close()


def test_promises_come_back_as_they_were_kept(promises):
    """Epoch and slot are read back whole; what was never bound is empty."""
    assert promises.epoch() == EpochRecord(number=4, frozen=ONE)
    assert promises.frozen(4) == ONE
    assert promises.frozen(3) is None
    assert promises.has_frozen(ONE)
    assert promises.seated() == 4
    assert not promises.has_frozen(TWO)
    assert promises.slot(4, 7) == SlotRecord(announced=ONE, sent=True, confirmed=TWO, released=THREE)
    assert promises.slot(4, 8) == SlotRecord()
    assert promises.bound(ONE) == (4, promises.slot(4, 7))
    assert promises.bound(TWO) is None


def test_a_promise_outside_a_transaction_is_refused(promises):
    """What is not committed with the answer that follows from it is not a promise."""
    for keep in (
        lambda: promises.keep_epoch(EpochRecord(number=5)),
        lambda: promises.keep_slot(4, 8, SlotRecord(announced=TWO)),
    ):
        with pytest.raises(StateError):
            keep()


def test_an_epoch_number_that_the_state_cannot_hold_is_refused(promises):
    """A number beyond the state's integers is malformed and binds nothing."""
    with pytest.raises(Rejected, match="malformed"), transaction(promises.connection):
        promises.keep_epoch(EpochRecord(number=1 << 63))
    assert promises.epoch().number == 4


UNSAID = (
    "UPDATE slots SET confirmed = NULL",
    "UPDATE slots SET released = NULL",
    "UPDATE slots SET sent = 0",
    f"UPDATE slots SET announced = {SECOND}",
    f"UPDATE slots SET confirmed = {FIRST}",
    f"UPDATE slots SET released = {FIRST}",
    "UPDATE slots SET slot = 8",
    "DELETE FROM slots",
    "UPDATE epochs SET frozen = NULL",
    f"UPDATE epochs SET frozen = {SECOND}",
    "UPDATE epochs SET number = 9",
    "DELETE FROM epochs",
    "INSERT INTO epochs VALUES (3, NULL)",
    f"INSERT INTO slots VALUES (4, 9, {FIRST}, 1, NULL, NULL)",
    f"INSERT INTO slots VALUES (4, 7, {SECOND}, 1, NULL, NULL)",
)


@pytest.mark.parametrize("statement", UNSAID)
def test_the_state_itself_refuses_to_unsay(promises, statement):
    """No statement unbinds or replaces a promise, so a defect elsewhere cannot either."""
    with pytest.raises(sqlite3.IntegrityError):
        promises.connection.execute(statement)
    assert promises.slot(4, 7) == SlotRecord(announced=ONE, sent=True, confirmed=TWO, released=THREE)
    assert promises.epoch() == EpochRecord(number=4, frozen=ONE)


taus = st.sampled_from([ONE, TWO, THREE])
steps = st.lists(st.tuples(st.sampled_from(["announce", "send", "confirm", "release"]), taus, taus), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(steps=steps)
def test_the_state_keeps_exactly_what_the_record_allows(connection, steps):
    """Whatever is asked in whatever order, the durable slot is the value that protocols/ says, and none is refused."""
    connection.execute("PRAGMA synchronous=OFF")
    promises, record = Promises(connection=connection), SlotRecord()
    connection.execute("BEGIN IMMEDIATE")
    try:
        promises.keep_epoch(EpochRecord(number=1))
        for name, tau, context in steps:
            try:
                bound = getattr(record, name)(*((tau, context) if name in {"confirm", "release"} else (tau,)))
            except Rejected:
                continue
            promises.keep_slot(1, 1, bound)
            record = bound
            assert promises.slot(1, 1) == record
    finally:
        connection.execute("ROLLBACK")
