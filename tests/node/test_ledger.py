from __future__ import annotations

import contextlib
import sqlite3
import stat
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.authority.policy import PERIODS, period_start
from node.books.audit import ANSWERED, Audit
from node.books.ledger import Caps, Charge, Ledger, Spent, _link
from node.books.state import FILE, MIGRATIONS, StateError, open_state, read_state, transaction
from protocols.errors import ProtocolError, Rejected

CAP = 1000
NOW = 1_800_000_000
DAY = 24 * 3600
CAPS = Caps(lifetime=CAP, purpose=CAP, period=CAP, since=0)


@pytest.fixture
def connection(tmp_path):
    """An open state."""
    opened = open_state(tmp_path)
    yield opened
    opened.close()


def charge(number=1, **changes):
    """Return the charge of this number."""
    made = Charge(
        request=number.to_bytes(16, "big"),
        epoch=1,
        slot=number,
        tau=number.to_bytes(32, "big"),
        units=10,
        table="stay",
        analyst="ada",
        purpose="statistics",
        at=NOW,
        evidence="{}",
        reason="研究",
        period=NOW - 40 * DAY,
        policy=bytes(range(32)),
    )
    return replace(made, **changes)


def pay(connection, made, upload=None, caps=CAPS):
    """Charge, store and tell, in one transaction."""
    ledger = Ledger(connection=connection)
    with transaction(connection):
        ledger.charge(made, caps)
        ledger.store(made.tau, b"announcement", upload or b"upload of " + made.tau)
        Audit(connection=connection).append(ANSWERED, made.at, {"round": made.tau.hex()})


def test_charges_add_up_and_come_back(connection):
    """What is charged is listed as it was, and the sum is what was spent."""
    ledger = Ledger(connection=connection)
    pay(connection, charge(1))
    pay(connection, charge(2, units=0))
    assert list(ledger.charges()) == [charge(1), charge(2, units=0)]
    assert ledger.spent() == 10
    assert ledger.verify() is None


def test_the_cap_holds_to_the_unit(connection):
    """A charge that reaches the cap is admitted, one unit more is refused and changes nothing."""
    pay(connection, charge(1, units=CAP - 1))
    with pytest.raises(Rejected, match="budget"):
        pay(connection, charge(2, units=2))
    pay(connection, charge(3, units=1))
    pay(connection, charge(4, units=0))
    with pytest.raises(Rejected, match="budget"):
        pay(connection, charge(5, units=1))
    assert Ledger(connection=connection).spent() == CAP


@pytest.mark.parametrize(
    "caps",
    [replace(CAPS, lifetime=19), replace(CAPS, purpose=19), replace(CAPS, period=19, since=NOW)],
    ids=["for life", "for the purpose", "in the period"],
)
def test_each_cap_stops_a_charge(connection, caps):
    """The third of three equal charges fits none of the caps: each is checked where the charge is written."""
    wide = Caps(lifetime=20, purpose=20, period=20, since=NOW)
    pay(connection, charge(1), caps=wide)
    with pytest.raises(Rejected, match="budget"):
        pay(connection, charge(2), caps=caps)
    pay(connection, charge(2), caps=wide)
    with pytest.raises(Rejected, match="budget"):
        pay(connection, charge(3, units=1), caps=wide)
    pay(connection, charge(3, units=0), caps=wide)
    assert Ledger(connection=connection).spent() == 20


@given(
    asked=st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["statistics", "research"]), st.integers(0, 3)), max_size=30
    ),
    lifetime=st.integers(0, 60),
    purpose=st.integers(0, 40),
    period=st.integers(0, 30),
)
@settings(max_examples=40, deadline=None)
def test_the_caps_are_never_exceeded(asked, lifetime, purpose, period):
    """Whatever is charged in whatever order, no sum passes its cap, and what is refused would have passed one."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(open_state(Path(folder))) as state:
        paid = []
        for number, (units, name, month) in enumerate(asked, start=1):
            at = NOW + 100 * month
            caps = Caps(lifetime=lifetime, purpose=purpose, period=period, since=at)
            spent = (
                sum(each for each, _name, _at in paid),
                sum(each for each, named, _at in paid if named == name),
                sum(each for each, _name, when in paid if when >= at),
            )
            fits = all(gone + units <= cap for gone, cap in zip(spent, (lifetime, purpose, period), strict=True))
            try:
                pay(state, charge(number, units=units, purpose=name, at=at), caps=caps)
            except Rejected as rejected:
                assert rejected.code == "budget"
                assert not fits
            else:
                assert fits
                paid.append((units, name, at))
        assert Ledger(connection=state).spent() == sum(units for units, _name, _at in paid) <= lifetime


def test_another_purpose_and_another_period_have_room_of_their_own(connection):
    """What one purpose or an earlier period has spent does not count against the next; the lifetime does."""
    caps = Caps(lifetime=CAP, purpose=10, period=10, since=NOW)
    pay(connection, charge(1, at=NOW - 1), caps=caps)
    pay(connection, charge(2, purpose="research"), caps=caps)
    with pytest.raises(Rejected, match="10 more than 0 units in the period"):
        pay(connection, charge(3, purpose="teaching"), caps=caps)
    with pytest.raises(Rejected, match="10 more than 0 units for the purpose"):
        pay(connection, charge(3), caps=replace(caps, since=NOW + 1))
    assert Ledger(connection=connection).spending("statistics", NOW) == Spent(lifetime=20, purpose=10, period=10)


def test_a_clock_that_was_set_back_frees_nothing(connection):
    """Charges from its future count in the period that now runs."""
    caps = Caps(lifetime=CAP, purpose=CAP, period=10, since=NOW)
    pay(connection, charge(1, at=NOW + 10_000_000), caps=caps)
    with pytest.raises(Rejected, match="in the period"):
        pay(connection, charge(2), caps=caps)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(-11, 12)), min_size=2, max_size=25),
    st.sampled_from(PERIODS),
)
@settings(max_examples=25, deadline=None)
def test_no_change_of_the_hour_at_which_periods_begin_makes_room(turns, kind):
    """A period of one name has one cap, however often its policy moves the hour; and the next name has one of its own.

    Without it each move would open a new period hours after the last, with a cap of its own.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(open_state(Path(folder))) as state:
        at, paid = NOW, {}
        for number, (hours, offset) in enumerate(turns, start=1):
            at += hours * 3600
            start = period_start(kind, at, offset * 3600)
            name = start + offset * 3600
            made = charge(number, units=1, at=at, period=start)
            caps = Caps(lifetime=CAP, purpose=CAP, period=2, since=start)
            told = [each for each in Ledger(connection=state).charges() if each.counts_since(start)]
            assert Ledger(connection=state).spending("statistics", start).period == sum(each.units for each in told)
            with contextlib.suppress(Rejected):
                pay(state, made, caps=caps)
                paid[name] = paid.get(name, 0) + 1
            assert all(count <= 2 for count in paid.values())
        assert paid


def test_what_was_charged_in_this_month_by_other_clocks_stays_in_it(connection):
    """By China's clocks November began eight hours ago; by UTC it has just begun, and what was charged since counts."""
    begun = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    at = begun - 3600
    pay(connection, charge(1, at=at, period=period_start("month", at, 8 * 3600)))
    ledger = Ledger(connection=connection)
    assert ledger.spending("statistics", begun).period == 10
    assert ledger.spending("statistics", begun - 8 * 3600).period == 10
    pay(connection, charge(2, at=begun - 10 * 3600, period=period_start("month", begun - 10 * 3600)))
    assert ledger.spending("statistics", begun).period == 10
    december = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp()) - 8 * 3600
    assert ledger.spending("statistics", december).period == 0


def test_rows_from_before_verify_and_go_on(tmp_path):
    """A ledger of the version before keeps its chain; its rows count, and none can be dressed up with later fields."""
    connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    for number, script in enumerate(MIGRATIONS[:2], start=1):
        connection.executescript(f"BEGIN; {script}; PRAGMA user_version={number}; COMMIT;")
    old = charge(1, reason="", period=0, policy=b"", version=1, purpose="why it was asked")
    linked = _link(bytes(32), 1, old)
    values = (1, old.request, 1, 1, old.tau, 10, "stay", "ada", "why it was asked", NOW, "{}", linked)
    connection.execute(f"INSERT INTO charges VALUES ({', '.join('?' * 12)})", values)
    connection.close()
    connection = open_state(tmp_path)
    ledger = Ledger(connection=connection)
    assert list(ledger.charges()) == [old]
    pay(connection, charge(2))
    assert ledger.verify() is None
    assert ledger.spent() == 20
    connection.execute("DROP TRIGGER charges_never_changes")
    connection.execute("UPDATE charges SET approval = 1 WHERE number = 1")
    assert ledger.verify() == 1
    connection.close()


def test_a_row_is_written_in_the_newest_version_only(connection):
    """Nobody can leave the later fields out of a row's digest by writing it the old way."""
    with pytest.raises(StateError):
        pay(connection, charge(1, version=1))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"slot": 2, "tau": bytes(32)}, "replayed"),
        ({"request": bytes(16), "tau": bytes(32)}, "slot-used"),
        ({"request": bytes(16), "slot": 2, "tau": bytes(32), "units": -1}, "budget"),
        ({"request": bytes(16), "slot": 1 << 63, "tau": bytes(32)}, "malformed"),
        ({"request": bytes(16), "epoch": 1 << 64, "tau": bytes(32)}, "malformed"),
    ],
)
def test_one_request_one_slot_one_announcement(connection, changes, code):
    """A request, and a slot of an epoch, is charged under one announcement only."""
    pay(connection, charge(1))
    with pytest.raises(Rejected, match=code):
        pay(connection, charge(1, **changes))
    assert list(Ledger(connection=connection).charges()) == [charge(1)]


def test_the_same_slot_of_another_epoch_is_free(connection):
    """Slots count within an epoch."""
    pay(connection, charge(1))
    pay(connection, charge(2, slot=1, epoch=2))
    assert Ledger(connection=connection).spent() == 20


def test_a_charge_outside_a_transaction_is_refused(connection):
    """Charge, upload and entry exist together or not at all."""
    ledger = Ledger(connection=connection)
    with pytest.raises(StateError):
        ledger.charge(charge(), CAPS)
    with pytest.raises(StateError):
        ledger.store(bytes(32), b"", b"")
    with pytest.raises(StateError):
        Audit(connection=connection).append(ANSWERED, 0, {})
    assert ledger.spent() == 0


def test_a_failed_transaction_leaves_nothing(connection):
    """Whatever is raised before the commit, no part of the transaction is kept and the next one works."""

    def fail(error):
        with transaction(connection):
            Ledger(connection=connection).charge(charge(), CAPS)
            raise error

    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            fail(error)
    assert Ledger(connection=connection).spent() == 0
    pay(connection, charge())


def test_an_upload_needs_its_charge(connection):
    """The state itself refuses an upload without a charge for its announcement."""
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        Ledger(connection=connection).store(bytes(32), b"", b"upload")


@pytest.mark.parametrize("table", ["charges", "uploads", "audit"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET digest = zeroblob(32)"])
def test_evidence_is_append_only(connection, table, statement):
    """The state refuses to change or remove a row of evidence."""
    pay(connection, charge())
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement.format(table))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE charges SET units = 1 WHERE number = 2",
        "UPDATE charges SET purpose = 'other' WHERE number = 2",
        "UPDATE charges SET slot = 70 WHERE number = 2",
        "DELETE FROM charges WHERE number = 2",
        "UPDATE charges SET number = number + 10 WHERE number = 2",
        "UPDATE charges SET at = -1 WHERE number = 2",
        "UPDATE charges SET reason = 'other' WHERE number = 2",
        "UPDATE charges SET period = 0 WHERE number = 2",
        "UPDATE charges SET policy = x'00' WHERE number = 2",
        "UPDATE charges SET approval = 7 WHERE number = 2",
        "UPDATE charges SET version = 1 WHERE number = 2",
    ],
)
def test_a_changed_row_is_named(connection, change):
    """Somebody who takes the triggers away and changes a row leaves a chain that breaks at that row."""
    for number in (1, 2, 3):
        pay(connection, charge(number))
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("DROP TRIGGER charges_never_changes")
    connection.execute("DROP TRIGGER charges_never_shrinks")
    connection.execute(change)
    assert Ledger(connection=connection).verify() == 2


def test_a_charge_that_was_cut_off_the_end_is_missed_by_the_audit_log(connection):
    """A ledger that lost its last rows does not fit the audit log any more."""
    pay(connection, charge(1))
    pay(connection, charge(2))
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("DROP TRIGGER charges_never_shrinks")
    connection.execute("DELETE FROM charges WHERE number = 2")
    assert Ledger(connection=connection).verify() is None
    assert Audit(connection=connection).verify() == 3


def test_the_state_is_private_and_durable(tmp_path):
    """Only the owner can read the file and its log; commits reach the disk before they return."""
    connection = open_state(tmp_path)
    pay(connection, charge())
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    for path in tmp_path.glob(FILE + "*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection.close()


def test_a_newer_state_is_refused(tmp_path):
    """A state that a newer version wrote is not guessed at."""
    connection = open_state(tmp_path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ProtocolError, match="version 99"):
        open_state(tmp_path)


def test_reading_the_state_writes_nothing(tmp_path):
    """The commands that look at a running node's state cannot change it, and say so where there is none."""
    with pytest.raises(StateError):
        read_state(tmp_path)
    open_state(tmp_path).close()
    reader = read_state(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO roster VALUES (1, 1, x'00')")
    reader.close()


class Accounts(RuleBasedStateMachine):
    """Any order of charges, refusals, replays and restarts, beside a model that keeps every upload that left."""

    def __init__(self):
        """Begin with an empty ledger."""
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.connection = self.opened()
        self.released = {}
        self.paid = {}
        self.about = {}

    def opened(self):
        """Open the state without waiting for the disk: the process is not killed here."""
        connection = open_state(Path(self.folder.name))
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    @rule(
        request=st.integers(0, 6),
        epoch=st.integers(1, 2),
        slot=st.integers(0, 6),
        units=st.integers(0, 400),
        purpose=st.sampled_from(("statistics", "research")),
        day=st.integers(0, 2),
    )
    def ask(self, request, epoch, slot, units, purpose, day):
        """Ask under some names, perhaps used ones, for a price that may not fit."""
        tau = bytes([request, epoch, slot]).ljust(32, b"\0")
        asked = charge(
            1,
            request=bytes([request]) * 16,
            epoch=epoch,
            slot=slot,
            tau=tau,
            units=units,
            purpose=purpose,
            at=NOW + day,
        )
        caps = Caps(lifetime=CAP, purpose=700, period=500, since=NOW + day)
        ledger = Ledger(connection=self.connection)
        if stored := ledger.stored(tau):
            assert stored == self.released[tau]
            return
        spent = sum(self.paid.values())
        for_purpose = sum(self.paid[found] for found, (named, _) in self.about.items() if named == purpose)
        recent = sum(self.paid[found] for found, (_, at) in self.about.items() if at >= NOW + day)
        full = units and (spent + units > CAP or for_purpose + units > 700 or recent + units > 500)
        names = {(bytes(found[:1]), bytes(found[1:3])) for found in self.released}
        used = any(found[0] == tau[:1] or found[1] == tau[1:3] for found in names)
        upload = bytes(tau) + len(self.released).to_bytes(4, "big")
        try:
            pay(self.connection, asked, upload=upload, caps=caps)
        except Rejected as rejected:
            assert used or full
            assert rejected.code in {"replayed", "slot-used", "budget"}
        else:
            assert not used
            assert not full
            self.released[tau], self.paid[tau], self.about[tau] = upload, units, (purpose, NOW + day)

    @rule(request=st.integers(7, 9), units=st.integers(1, 400))
    def fail(self, request, units):
        """A fault after the charge and before the commit."""
        tau = bytes([request]) * 32
        asked = charge(1, request=bytes([request]) * 16, slot=100, tau=tau, units=units)
        with contextlib.suppress(Rejected, ZeroDivisionError), transaction(self.connection):
            Ledger(connection=self.connection).charge(asked, CAPS)
            raise ZeroDivisionError

    @rule()
    def restart(self):
        """Close the state and open it again."""
        self.connection.close()
        self.connection = self.opened()

    @invariant()
    def nothing_is_lost_and_nothing_exceeded(self):
        """The sum is what the released uploads cost, and at most the cap; every upload is kept and known."""
        ledger = Ledger(connection=self.connection)
        assert ledger.spent() == sum(self.paid.values()) <= CAP
        for tau, upload in self.released.items():
            assert ledger.stored(tau) == upload
            assert ledger.paid(upload)
        assert not ledger.paid(b"another upload")
        assert ledger.verify() is None
        assert Audit(connection=self.connection).verify() is None

    def teardown(self):
        """Close and remove the state."""
        self.connection.close()
        self.folder.cleanup()


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
