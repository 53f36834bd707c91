"""An answer whose records are read away from the desk: whatever came between counts, and nothing leaks by it."""

from dataclasses import replace

import numpy as np
import pytest

from node.answer import Begun
from node.authority.decisions import DENY, PAUSE, Decisions
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import announcement as announcements
from protocols import upload as uploads
from protocols.errors import Rejected
from protocols.farrsum.slots import AHEAD
from protocols.wire_pb2 import NodeMessage, Note
from tests.node.rig import NOW, POLICY, announce, request, roster
from tests.node.trained import APP, COMPILER, round_, trainer

ALLOWING = POLICY.replace("training.apps = []", f'training.apps = ["{APP.app.hex()}"]')
WITHHELD = {
    "paused": (Note.NOTE_PAUSED,),
    "forbidden": (Note.NOTE_WITHHELD_POLICY,),
    "spent": (Note.NOTE_WITHHELD_BUDGET,),
}


@pytest.fixture
def rig(tmp_path):
    """A node whose policy names the app."""
    made = trainer(tmp_path / "home", ALLOWING)
    yield made
    made.close()


def begin(rig, **changes):
    """Announce a round of the app; return the announcement, and the answer as far as it was begun."""
    signed = announce(round_(step=APP), **changes)
    begun = rig.replier.begin(signed, roster)
    assert isinstance(begun, Begun)
    assert begun.app == APP
    return signed, begun


def end(rig, begun, held=roster):
    """Read the records and end the answer."""
    exact = rig.answerer.exact(begun)
    return rig.replier.end(begun, lambda: exact, held)


def notes_of(signed, message):
    """Return what an upload says of itself."""
    entries = COMPILER.compile(round_(step=APP).plan, round_(step=APP).rho_units, 3).tally.entries + 2
    read = uploads.read(message.upload, roster=roster, announcement=announcements.tau(signed), entries=entries)
    return read.notes


def charges(rig):
    """Return what the node charged."""
    return list(Ledger(connection=rig.connection).charges())


def test_an_answer_in_two_steps_is_the_answer_in_one(rig):
    """Nothing is durable after the first; after the second all of it is, and the same bytes come again."""
    signed, begun = begin(rig)
    assert charges(rig) == []
    assert rig.records.reads == 0
    message = end(rig, begun)
    assert message.WhichOneof("kind") == "upload"
    assert rig.records.reads == 1
    assert [each.tau for each in charges(rig)] == [announcements.tau(signed)]
    assert rig.replier.begin(signed, roster) == message
    assert rig.answer(signed) == message.upload
    assert end(rig, begun) == message
    assert len(charges(rig)) == 1


def test_what_needs_no_app_is_answered_at_once(rig):
    """Questions, refusals, and rounds of apps that the hospital keeps out of, have no second step."""
    assert isinstance(rig.replier.begin(announce(request(1)), roster), NodeMessage)
    assert rig.replier.begin(announce(request(2), slot=1), roster).refusal.code == "slot-used"
    (rig.home / "policy.toml").write_text(POLICY)
    signed = announce(round_(step=APP), slot=2)
    assert notes_of(signed, rig.replier.begin(signed, roster)) == (Note.NOTE_WITHHELD_POLICY,)


@pytest.mark.parametrize("what", WITHHELD)
def test_what_the_hospital_decided_meanwhile_counts(rig, what):
    """Paused, forbidden or out of budget while the app ran: zeros at no cost with a note, whatever the app gave."""
    signed, begun = begin(rig)
    if what == "paused":
        with transaction(rig.connection):
            Decisions(connection=rig.connection).add(PAUSE, by="li", at=NOW)
    else:
        changed = POLICY if what == "forbidden" else ALLOWING.replace("lifetime_epsilon = 10", "lifetime_epsilon = 0.1")
        (rig.home / "policy.toml").write_text(changed)
    assert notes_of(signed, end(rig, begun)) == WITHHELD[what]
    assert [each.units for each in charges(rig)] == [0]


def test_a_denial_meanwhile_counts(rig):
    """Denied while the app ran, the round gets zeros."""
    from node.authority import approvals, runs

    signed, begun = begin(rig)
    asked = begun.announcement.request
    limits = runs.limits_of(asked, begun.part.policy, 3)
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(
            DENY,
            by="li",
            at=NOW,
            subject=runs.subject_of(asked),
            binding=runs.binding_of(limits),
            facts=runs.facts_of(limits),
        )
    assert approvals.denied(rig.connection, asked)
    assert notes_of(signed, end(rig, begun)) == (Note.NOTE_WITHHELD_APPROVAL,)
    assert [each.units for each in charges(rig)] == [0]


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (lambda rig: rig.answer(announce(request(7), slot=1)), "slot-used"),
        (lambda rig: rig.answer(announce(round_(step=APP), slot=2)), "replayed"),
        (lambda rig: [rig.sit(number) for number in (2, 3)], "wrong-epoch"),
    ],
    ids=["the slot", "the request", "the epoch"],
)
def test_what_was_bound_meanwhile_refuses_it_and_costs_nothing(rig, other, code):
    """Another round in the slot, of the request, or newer epochs: nothing of this one leaves or is charged."""
    signed, begun = begin(rig)
    other(rig)
    before = charges(rig)
    assert end(rig, begun).refusal.code == code
    assert charges(rig) == before
    assert Ledger(connection=rig.connection).stored(announcements.tau(signed)) is None


def test_another_roster_meanwhile_refuses_it(rig):
    """A round ends with the roster that it was announced under."""
    _, begun = begin(rig)
    assert end(rig, begun, replace(roster, version=roster.version + 1)).refusal.code == "stale-roster"
    assert charges(rig) == []


def test_a_fault_beside_the_desk_leaves_a_code_and_a_random_reference(rig):
    """What the reading raised is kept for the operator, and nothing of it leaves or is charged."""
    _, begun = begin(rig)

    def fails():
        raise ValueError("patient 42")

    refusal = rig.replier.end(begun, fails, roster).refusal
    assert refusal.code == "unavailable"
    assert "patient 42" in (rig.home / "failures" / f"{refusal.reference}.txt").read_text()

    def refuses():
        raise Rejected("no-app", "not here")

    assert rig.replier.end(begun, refuses, roster).refusal.code == "no-app"
    assert charges(rig) == []


def test_a_long_round_keeps_its_slot_while_others_use_later_ones(rig):
    """As many rounds as there are slots ahead come and go while the app runs; its own slot is still there, once."""
    _, begun = begin(rig)
    for number in range(2, AHEAD + 2):
        rig.answer(announce(request(number), slot=number))
        rig.seats.replenish()
    rig.answer(announce(request(40), slot=AHEAD + 2))
    assert end(rig, begun).WhichOneof("kind") == "upload"
    assert not rig.seats._held
    rig.answer(announce(request(41), slot=AHEAD + 3))
    assert 1 not in rig.seats._taken[1].ready


def test_an_app_that_would_run_in_vain_is_not_begun(rig):
    """After its turn came, the time that is left has to be enough for the app; a clock that is ahead harms nobody."""
    signed = announce(round_(step=APP), deadline=NOW + 90)
    begun = rig.replier.begin(signed, roster, 20.0, lasts=0.0)
    assert isinstance(begun, Begun)
    rig.now = NOW + 40.0
    assert rig.replier.begin(signed, roster, 40.0, lasts=begun.lasts).refusal.code == "late"
    assert not rig.seats._held
    rig.now = NOW + 20.0
    assert isinstance(rig.replier.begin(signed, roster, 20.0, lasts=begun.lasts), Begun)


def test_an_app_that_is_longer_than_its_round_is_not_begun(rig):
    """Else a coordinator keeps apps busy for hours with rounds that are over; a clock that is ahead harms nobody."""
    long = replace(APP, seconds=1000)
    for deadline, begins in ((NOW + 600, False), (NOW + 800, True)):
        found = rig.replier.begin(announce(round_(step=long), deadline=deadline), roster)
        assert isinstance(found, Begun) == begins
        assert begins or found.refusal.code == "late"
        assert len(rig.seats._held) == begins
    assert charges(rig) == []


def test_what_was_read_of_a_table_that_is_closed_meanwhile_is_not_in_the_answer(rig):
    """A table that the policy took away while the app ran: what is noised is zeros."""
    noised = []
    noise = rig.answerer.noise
    object.__setattr__(
        rig.answerer, "noise", lambda exact, measurement: noised.append(exact) or noise(exact, measurement)
    )
    _, begun = begin(rig)
    assert rig.answerer.exact(begun).any()
    (rig.home / "policy.toml").write_text(ALLOWING.replace('tables = "all"', 'tables = ["visit"]'))
    end(rig, begun)
    assert [np.abs(each).max() for each in noised] == [0]
    assert sum(each.units for each in charges(rig)) == 0
