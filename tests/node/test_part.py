from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from node.authority import approvals
from node.authority.approvals import Cover
from node.authority.decisions import DENY, PAUSE, RESUME, Decisions
from node.books.audit import Audit
from node.books.ledger import Ledger
from node.books.state import open_state, transaction
from protocols import announcement as announcements
from protocols import ring, upload
from protocols.farrsum.parameters import Trust
from protocols.wire_pb2 import Note
from queries.asked.canonical import encode
from tests.node.company import Company, Played
from tests.node.rig import NOW, POLICY, PRICE, Rig, announce, plan, request, roster


@pytest.fixture
def rig(tmp_path):
    """A node with made-up records."""
    made = Rig(tmp_path / "home")
    yield made
    made.close()


def policy_of(*changes):
    """Return the policy with some of its text replaced."""
    text = POLICY
    for old, new in changes:
        text = text.replace(old, new)
    return text


def pack(*changes):
    """Return a plan of several parts: the count by sex with these changes."""
    return plan(parts=tuple(replace(plan().parts[0], **each) for each in changes))


POLICY_SAYS_NO = (Note.NOTE_WITHHELD_POLICY,)
SOME_ABSENT = (Note.NOTE_SOME_TABLES_ABSENT,)
OTHERS = ("aden", "cork", "dover")

ZEROS = {
    "not asked": (request(sites=OTHERS), POLICY, (), "out-of-scope"),
    "not asked, and no policy": (request(sites=OTHERS), "", (), "out-of-scope"),
    "no such table": (request(plan=encode(plan(table="visit"))), POLICY, (Note.NOTE_TABLE_ABSENT,), "unknown-table"),
    "beside no such table": (
        request(plan=encode(plan(beside=("visit",)))),
        POLICY,
        (Note.NOTE_TABLE_ABSENT,),
        "unknown-table",
    ),
    "no table of several": (
        request(plan=encode(pack({"table": "visit"}, {"beside": ("visit",)}))),
        POLICY,
        (Note.NOTE_TABLE_ABSENT,),
        "unknown-table",
    ),
    "no table of several offered": (
        request(plan=encode(pack({}, {"table": "visit"}))),
        policy_of(('tables = "all"', 'tables = ["visit"]')),
        POLICY_SAYS_NO,
        "unknown-table",
    ),
    "no policy": (request(), "", POLICY_SAYS_NO, "policy"),
    "table not offered": (
        request(),
        policy_of(('tables = "all"', 'tables = ["visit"]')),
        POLICY_SAYS_NO,
        "unknown-table",
    ),
    "too dear": (request(rho_units=PRICE * 4), POLICY, (Note.NOTE_WITHHELD_COST,), "cost-limit"),
    "one hospital asked": (request(sites=("brest",), minimum=1), POLICY, POLICY_SAYS_NO, "cohort-too-small"),
    "one answer would do": (request(minimum=1), POLICY, POLICY_SAYS_NO, "cohort-too-small"),
    "too little fear": (request(trust=Trust.FIFTH), POLICY, POLICY_SAYS_NO, "policy"),
    "no fear": (request(trust=Trust.NONE), policy_of(("one-third", "one-fifth")), POLICY_SAYS_NO, "policy"),
    "too few honest": (request(), policy_of(("least_honest = 2", "least_honest = 3")), POLICY_SAYS_NO, "policy"),
    "no budget": (request(), policy_of(("= 10", "= 0.5")), (Note.NOTE_WITHHELD_BUDGET,), "budget"),
}


@pytest.mark.parametrize("what", ZEROS)
def test_what_a_hospital_may_not_or_will_not_answer_gets_zeros_with_noise(rig, what):
    """No record is read and nothing is charged; the noise is whole, the note public, the reason in the audit log."""
    asked, policy, notes, code = ZEROS[what]
    (rig.home / "policy.toml").write_text(policy)
    signed = announce(asked)
    answer = rig.answer(signed)
    entries = rig.answerer.compiler.compile(asked.plan, asked.rho_units, 1).tally.entries + 2
    taken = upload.read(answer, roster=roster, announcement=announcements.tau(signed), entries=entries)
    assert taken.notes == notes
    assert rig.records.reads == 0
    ledger = Ledger(connection=rig.connection)
    assert ledger.spent() == 0
    (charge,) = ledger.charges()
    assert charge.units == 0
    noise = rig.answerer.compiler.compile(asked.plan, asked.rho_units, 1).measurement.blocks[0]
    values = ring.centred(rig.noisy[-1])
    assert len(rig.noisy) == 1
    assert np.all(np.abs(values) < 12 * float(noise.share_scale))
    *_, answered, entry = Audit(connection=rig.connection).entries()
    assert "withheld" not in json.loads(answered.facts)
    assert json.loads(entry.facts)["withheld"] == code
    assert Audit(connection=rig.connection).verify() is None
    # The slot is used up all the same, and the same bytes come again.
    assert rig.answer(signed) == answer
    assert rig.reply(announce(request(2), slot=1)).refusal.code == "slot-used"


def test_zeros_with_noise_go_through_the_round_like_any_part(rig):
    """A hospital that keeps back confirms and opens like the others, so their sum is not lost."""
    (rig.home / "policy.toml").write_text("")
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    shares = rig.seats.unmask(played.unmask(rig.seats.confirm(played.confirm)))
    assert np.array_equal(played.finish(shares), rig.noisy[-1])


@pytest.mark.parametrize("trust", Trust)
def test_a_trust_setting_at_the_floor_is_answered(rig, trust):
    """A request that fears as much as the policy demands, or more, is answered."""
    (rig.home / "policy.toml").write_text(policy_of(("one-third", trust.value)))
    for number, fear in enumerate((Trust.NONE, Trust.FIFTH, Trust.THIRD), start=1):
        signed = announce(request(number, trust=fear), slot=number)
        taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
        assert bool(taken.notes) == (list(Trust).index(fear) < list(Trust).index(trust))


def test_a_question_that_is_allowed_reads_the_records(rig):
    """The records are in the vector, the cost is charged, and nothing is noted."""
    signed = announce()
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
    assert taken.notes == ()
    assert rig.records.reads == 1
    assert Ledger(connection=rig.connection).spent() > 0
    *_, entry = Audit(connection=rig.connection).entries()
    assert "withheld" not in json.loads(entry.facts)


TABLES = {
    "all there": (pack({}, {"table": "visit"}), ("stay", "visit"), '"all"', (), {"stay", "visit"}),
    "one absent": (pack({}, {"table": "visit"}), ("stay",), '"all"', SOME_ABSENT, {"stay"}),
    "one not offered": (pack({}, {"table": "visit"}), ("stay", "visit"), '["visit"]', SOME_ABSENT, {"visit"}),
    "a ratio of which one is absent": (
        pack({"beside": ("visit",)}, {"table": "visit", "beside": ("stay",)}, {"weight": 2}),
        ("stay",),
        '"all"',
        SOME_ABSENT,
        {"stay"},
    ),
    "beside a table that is there": (plan(beside=("visit",)), ("stay", "visit"), '"all"', (), {"stay", "visit"}),
    "more tables than are asked": (plan(), ("stay", "visit"), '"all"', (), {"stay"}),
}


@pytest.mark.parametrize("what", TABLES)
def test_of_a_pack_the_tables_are_read_that_are_there_and_offered(tmp_path, what):
    """Parts of absent tables are zeros and noted; the whole is charged, since what is charged may not tell of data."""
    asked, there, offers, notes, read = TABLES[what]
    rig = Rig(tmp_path / "home", tables=frozenset(there))
    (rig.home / "policy.toml").write_text(policy_of(('tables = "all"', f"tables = {offers}")))
    signed = announce(request(plan=encode(asked)))
    compiled = rig.answerer.compiler.compile(encode(asked), PRICE, 1)
    entries = compiled.tally.entries + 2
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=entries)
    assert taken.notes == notes
    assert rig.records.tables == read
    (charge,) = Ledger(connection=rig.connection).charges()
    assert charge.units == compiled.cost
    assert charge.table == ", ".join(sorted(read))
    rig.close()


def test_who_is_not_asked_does_not_count_as_the_group_it_hides_in(tmp_path):
    """With own_row = false, the hospitals alike are those whose records are asked for, not those that add zeros."""
    rig = Rig(tmp_path / "home")
    (rig.home / "policy.toml").write_text(
        policy_of(
            ("own_row = true", "own_row = false"), ("minimum = 2", "minimum = 3"), ("hospitals = 3", "hospitals = 2")
        )
    )
    few = announce(request(sites=("aden", "brest"), minimum=2))
    taken = upload.read(rig.answer(few), roster=roster, announcement=announcements.tau(few), entries=4)
    assert taken.notes == (Note.NOTE_OWN_ROW_WITHHELD,)
    enough = announce(replace(request(2), sites=("aden", "brest", "cork"), minimum=2), slot=2)
    taken = upload.read(rig.answer(enough), roster=roster, announcement=announcements.tau(enough), entries=4)
    assert taken.notes == ()
    rig.close()


def test_a_paused_node_adds_zeros_and_goes_on_when_resumed(rig):
    """The operator's word holds from the next question on, without a restart; a round in between keeps its noise."""
    for kind, notes in ((PAUSE, (Note.NOTE_PAUSED,)), (RESUME, ()), (PAUSE, (Note.NOTE_PAUSED,))):
        with transaction(rig.connection):
            number = Decisions(connection=rig.connection).add(kind, by="it", at=NOW)
        signed = announce(request(number), slot=number)
        taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
        assert taken.notes == notes
    assert rig.records.reads == 1
    assert [charge.units > 0 for charge in Ledger(connection=rig.connection).charges()] == [False, True, False]


@pytest.mark.parametrize("moment", ["checked", "scanned"])
@pytest.mark.parametrize(
    ("word", "about", "note"),
    [
        (PAUSE, b"", Note.NOTE_PAUSED),
        (DENY, request().id, Note.NOTE_WITHHELD_APPROVAL),
    ],
    ids=["paused", "denied"],
)
def test_a_word_given_while_records_are_read_counts(tmp_path, word, about, note, moment):
    """Paused or denied, by another process, before the charge is durable: zeros and a note, and nothing is charged."""

    def step(name):
        if name == moment:
            with closing(open_state(tmp_path / "home")) as beside, transaction(beside):
                Decisions(connection=beside).add(word, by="it", at=NOW, subject=about)

    rig = Rig(
        tmp_path / "home",
        step=step,
        noise=lambda exact, measurement: given.append(exact) or rig.noise(exact, measurement),
    )
    given = []
    signed = announce()
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
    assert taken.notes == (note,)
    assert rig.records.reads == 1
    assert not given[0].any()
    (charge,) = Ledger(connection=rig.connection).charges()
    assert charge.units == 0
    rig.close()


def test_what_the_policy_holds_is_read_only_under_an_approval_of_exactly_this(rig, monkeypatch):
    """Without one: zeros and a note. With one: the records, and the charge and the entry name it and the policy."""
    text = policy_of(('approval_purposes = "none"', 'approval_purposes = ["test"]'))
    (rig.home / "policy.toml").write_text(text)
    signed = announce()
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
    assert taken.notes == (Note.NOTE_WITHHELD_APPROVAL,)
    assert rig.records.reads == 0

    seen = []

    def covering(connection, held):
        seen.append(held)
        return Cover(decision=5, standing=False)

    monkeypatch.setattr(approvals, "covering", covering)
    monkeypatch.setattr(approvals, "holds", lambda *_arguments: True)
    signed = announce(request(2), slot=2)
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
    assert taken.notes == ()
    assert rig.records.reads == 1
    (held,) = seen
    digest = hashlib.sha256(text.encode()).digest()
    assert (held.request.id, held.policy, held.hospitals) == (request(2).id, digest, 3)
    *_, charge = Ledger(connection=rig.connection).charges()
    assert (charge.approval, charge.policy) == (5, digest)
    *_, entry = Audit(connection=rig.connection).entries()
    facts = json.loads(entry.facts)
    assert (facts["approval"], facts["policy"], facts["units"]) == (5, digest.hex(), charge.units)


def test_an_approval_does_not_lift_what_the_policy_withholds(rig, monkeypatch):
    """A person's word stands in for a person's word only, never for a budget or a rule."""
    monkeypatch.setattr(approvals, "covering", lambda *_: Cover(decision=5, standing=False))
    held = ('approval_purposes = "none"', 'approval_purposes = "all"')
    (rig.home / "policy.toml").write_text(policy_of(held, ("epsilon_per_period = 100", "epsilon_per_period = 0.5")))
    signed = announce()
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
    assert taken.notes == (Note.NOTE_WITHHELD_BUDGET,)
    assert rig.records.reads == 0


BUDGETS = {
    "for life": ("lifetime_epsilon = 10", "lifetime_epsilon = 1.5"),
    "for the purpose": ("purposes.test = 100", "purposes.test = 1.5"),
    "in the period": ("epsilon_per_period = 100", "epsilon_per_period = 1.5"),
}


@pytest.mark.parametrize("what", BUDGETS)
def test_each_budget_ends_with_zeros_and_a_note(rig, what):
    """The question that no longer fits reads no record, and the next ones neither."""
    (rig.home / "policy.toml").write_text(policy_of(BUDGETS[what]))
    for number in (1, 2, 3, 4):
        signed = announce(request(number), slot=number)
        taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
        assert taken.notes == (() if number <= 2 else (Note.NOTE_WITHHELD_BUDGET,))
    assert rig.records.reads == 2
    *_, charge = Ledger(connection=rig.connection).charges()
    assert charge.units == 0


def test_the_smallest_count_to_show_goes_with_the_records_only(rig):
    """An upload with records names the policy's smallest count; one of zeros has nothing to protect."""
    (rig.home / "policy.toml").write_text(policy_of(("minimum_cell = 0", "minimum_cell = 10")))
    for number, sites, cell in ((1, OTHERS, 0), (2, ("aden", "brest", "cork"), 10)):
        signed = announce(request(number, sites=sites), slot=number)
        taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
        assert taken.minimum_cell == cell


def test_newcomers_in_a_round_do_not_hide_this_hospital(rig):
    """With newcomers waiting, hospitals that the node has not met reach no smallest number; the log names them."""
    (rig.home / "policy.toml").write_text(policy_of(("newcomer_days = 0", "newcomer_days = 7")))
    signed = announce()
    taken = upload.read(rig.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=4)
    assert taken.notes == POLICY_SAYS_NO
    *_, entry = Audit(connection=rig.connection).entries()
    assert json.loads(entry.facts)["rule"] == "minimum_hospitals"
    assert "dover" in json.loads(entry.facts)["detail"]
