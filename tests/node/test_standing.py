"""Standing approvals: runs of a pack within all limits, and nothing beside; each is checked, charged and counted."""

import json
from dataclasses import replace

import pytest

from node.authority import approvals, standing
from node.authority.approvals import Held
from node.authority.decisions import APPROVE, DENY, STANDING, WITHDRAW, Decisions
from node.authority.policy import load
from node.authority.standing import Limits
from node.books.audit import Audit
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import announcement as announcements
from protocols import request as requests
from protocols import upload as uploads
from protocols.wire_pb2 import Note
from queries.agreed.pack_items import items_of
from queries.asked.canonical import decode, encode
from queries.asked.plan import Aggregate, CodeKey, Plan
from tests.node.rig import NOW, POLICY, PRICE, Rig, announce, catalogue, key_of, plan, request, roster

HOLDING = POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["test"]')
PACK = b"p" * 32
HELD = (Note.NOTE_WITHHELD_APPROVAL,)
YEAR = 366 * 24 * 3600


@pytest.fixture
def rig(tmp_path):
    """A node that holds every question of one purpose."""
    made = Rig(tmp_path / "home")
    (made.home / "policy.toml").write_text(HOLDING)
    yield made
    made.close()


def limits(**changes):
    """Return limits within which the count by sex is answered once a year, twice in all."""
    made = Limits(
        title="monthly@70707070",
        items=tuple(sorted(item.hex() for item in items_of(plan(), catalogue))),
        purpose="test",
        every="year",
        runs=1,
        units=PRICE,
        total=2 * PRICE,
        hospitals=3,
        time="month",
        place="",
        until=NOW + 10 * YEAR,
        analyst="",
    )
    return replace(made, **changes)


def approve(rig, **changes):
    """Approve the pack's runs; return the approval's number."""
    made = limits(**changes)
    with transaction(rig.connection):
        return Decisions(connection=rig.connection).add(
            STANDING,
            by="li",
            at=NOW,
            subject=PACK,
            binding=standing.binding_of(PACK, made),
            facts=standing.facts_of(made),
        )


def run(number=1, **changes):
    """Return a run of the pack."""
    return request(number, **{"pack": PACK, **changes})


def covered(rig, asked=None, *, now=NOW, hospitals=3):
    """Return what covers a held request."""
    asked = asked or run()
    held = Held(
        signed=requests.write(asked, key_of("ada")),
        request=asked,
        plan=decode(Plan, asked.plan),
        catalogue=catalogue,
        policy=load(rig.home / "policy.toml").digest,
        hospitals=hospitals,
        now=now,
    )
    return approvals.covering(rig.connection, held)


def against(rig, asked):
    """Return the standing approvals that do not cover a request."""
    return standing.against(
        rig.connection, request=asked, plan=decode(Plan, asked.plan), catalogue=catalogue, hospitals=3, now=NOW
    )


def notes(rig, asked, slot):
    """Have the node answer; return its upload's notes."""
    signed = announce(asked, slot=slot)
    upload = rig.answer(signed)
    return uploads.read(upload, roster=roster, announcement=announcements.tau(signed), entries=4).notes


def test_a_run_is_answered_charged_and_logged_under_the_approval(rig):
    """No new word is needed; the charge and the audit entry name the standing approval."""
    number = approve(rig)
    assert notes(rig, run(), 1) == ()
    (charge,) = Ledger(connection=rig.connection).charges()
    assert (charge.approval, charge.units > 0) == (number, True)
    (answered,) = [each for each in Audit(connection=rig.connection).entries() if each.kind == "answered"]
    assert json.loads(answered.facts)["approval"] == number
    (seen,) = standing.each(rig.connection)
    assert (seen.runs, seen.spent) == (1, charge.units)


BEYOND = {
    "another purpose": {"purpose": "research"},
    "a dearer run": {"rho_units": PRICE + 1},
    "no pack": {"pack": b""},
    "another pack": {"pack": b"q" * 32},
    "more than the pack": {
        "plan": encode(plan(aggregates=(Aggregate(statistic="count"), Aggregate(statistic="sum", column="age"))))
    },
    "another grouping": {"plan": encode(plan(keys=(CodeKey(column="died"),)))},
}


@pytest.mark.parametrize("what", BEYOND)
def test_what_only_says_that_it_is_a_run_is_held(rig, what):
    """The request's word is not taken: whatever is beyond the approved pack or its limits waits for a person."""
    approve(rig)
    assert covered(rig) is not None
    assert covered(rig, run(**BEYOND[what])) is None


STANDS_AGAINST = {
    "another purpose": "purpose",
    "a dearer run": "units",
    "more than the pack": "items",
    "another grouping": "items",
}
"""What of BEYOND is a run of the pack all the same, and the limit that holds it."""


@pytest.mark.parametrize("what", BEYOND)
def test_the_limit_that_holds_a_run_is_named(rig, what):
    """Of another pack's run, or of none, nothing is said."""
    number = approve(rig)
    named = [(number, STANDS_AGAINST[what])] if what in STANDS_AGAINST else []
    assert [(each.number, each.limit) for each in against(rig, run(**BEYOND[what]))] == named


NARROWER = {
    "its end": {"until": NOW},
    "another analyst": {"analyst": "bela"},
    "more hospitals": {"hospitals": 4},
    "no budget left": {"total": PRICE - 1},
}


@pytest.mark.parametrize("what", NARROWER)
def test_each_limit_holds_a_run(rig, what):
    """The same run under a narrower approval is held, and the limit is named."""
    approve(rig, **NARROWER[what])
    assert covered(rig) is None
    (limit,) = NARROWER[what]
    assert [each.limit for each in against(rig, run())] == [limit]


def test_runs_are_counted_by_period_and_in_total(rig):
    """One a year and two in all: a second run in the year is held, so is a third after years."""
    approve(rig)
    assert notes(rig, run(1), 1) == ()
    assert notes(rig, run(2), 2) == HELD
    year = standing.each(rig.connection).__next__()
    assert year.runs == 1
    assert covered(rig, run(3), now=NOW + YEAR) is not None
    rig.connection.execute("BEGIN IMMEDIATE")
    rig.connection.execute(
        "INSERT INTO charges (number, request, epoch, slot, tau, units, table_name, analyst, purpose, at, evidence,"
        " digest, approval) SELECT 99, randomblob(16), 1, 99, randomblob(32), units, '', '', '', at, '',"
        " randomblob(32), approval FROM charges WHERE number = 1"
    )
    rig.connection.execute("COMMIT")
    assert covered(rig, run(3), now=NOW + YEAR) is None


def test_a_run_that_was_not_charged_is_not_counted(rig):
    """Where a commit fails after the approval was found, nothing is counted: the same run is still covered."""
    approve(rig)
    rig.records.fault = MemoryError()
    refused = rig.replier.reply(announce(run(1)), roster)
    assert refused.WhichOneof("kind") == "refusal"
    rig.records.fault = None
    assert covered(rig, run(1)) is not None
    assert notes(rig, run(1), 1) == ()


def test_a_withdrawn_approval_covers_nothing(rig):
    """Withdrawn: the next run is held; a single approval of that run still answers it."""
    number = approve(rig)
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(WITHDRAW, by="li", at=NOW, subject=standing.subject_of(number))
    assert covered(rig) is None
    assert [each.limit for each in against(rig, run())] == ["withdrawn"]
    assert notes(rig, run(1), 1) == HELD


def test_a_denied_run_is_held_although_the_pack_is_approved(rig):
    """The operator's word on one request comes before a standing approval."""
    approve(rig)
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(DENY, by="li", at=NOW, subject=run().id)
    assert covered(rig) is None
    assert covered(rig, run(2)) is not None


def test_limits_that_somebody_widened_approve_nothing(rig):
    """The facts of a decision are bound by the digest that the audit log keeps: other facts under it are void."""
    made = limits(units=1 << 49, total=1 << 50)
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(
            STANDING,
            by="li",
            at=NOW,
            subject=PACK,
            binding=standing.binding_of(PACK, limits()),
            facts=standing.facts_of(made),
        )
    assert covered(rig) is None
    assert [each.limit for each in against(rig, run())] == [standing.VOID]


def test_an_approval_of_one_request_comes_first(rig):
    """With both, the charge names the one that was given for this request."""
    approve(rig)
    asked = run()
    held = Held(
        signed=requests.write(asked, key_of("ada")), request=asked, plan=plan(), catalogue=catalogue,
        policy=load(rig.home / "policy.toml").digest, hospitals=3, now=NOW,
    )  # fmt: skip
    with transaction(rig.connection):
        number = Decisions(connection=rig.connection).add(
            APPROVE, by="li", at=NOW, subject=asked.id, binding=held.binding
        )
    assert covered(rig, asked) == approvals.Cover(decision=number, standing=False)
