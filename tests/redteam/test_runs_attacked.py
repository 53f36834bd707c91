"""Attacks on runs of training: a word, a budget or a policy stretched over rounds that nobody looked at.

Each test first or last shows that the run itself, as it was approved, is answered.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.authority import runs, standing
from node.authority.decisions import APPROVE, DENY, STANDING, Decisions
from node.authority.policy import load
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import request as requests
from protocols.errors import Rejected
from protocols.wire_pb2 import Note, Role
from queries.agreed.pack_items import items_of
from queries.asked.canonical import decode
from queries.asked.plan import Plan
from tests.node import test_approvals as single
from tests.node import test_standing as packs
from tests.node import trained
from tests.node.rig import MEMBERS, NOW, POLICY, PRICE, announce, catalogue, key_of, member, request, roster
from tests.node.trained import EACH, HOLDING, ROUNDS, STEP, TOTAL, at, round_, trainer

HELD = (Note.NOTE_WITHHELD_APPROVAL,)
NO = (Note.NOTE_WITHHELD_POLICY,)
TOO_DEAR = (Note.NOTE_WITHHELD_COST,)

BOTH = replace(roster, members=tuple(sorted((*MEMBERS, member("bela", Role.ROLE_ANALYST)), key=lambda each: each.id)))
"""The roster with a second analyst."""


@pytest.fixture
def rig(tmp_path):
    """A node whose policy holds every question for a person."""
    made = trainer(tmp_path / "home", HOLDING)
    yield made
    made.close()


@pytest.fixture
def free(tmp_path):
    """A node whose policy holds nothing."""
    made = trainer(tmp_path / "free", POLICY)
    yield made
    made.close()


def notes(rig, asked, slot):
    """Have the node answer; return its notes, and check that it charges exactly where it reads."""
    reads, spent = rig.records.reads, Ledger(connection=rig.connection).spent()
    found = trained.notes(rig, asked, slot)
    read = rig.records.reads > reads
    assert read == (Ledger(connection=rig.connection).spent() > spent) == (found == ())
    return found


def decide(rig, kind=APPROVE, asked=None):
    """Decide on a run, as the command does."""
    asked = asked or round_()
    limits = runs.limits_of(asked, load(rig.home / "policy.toml").digest, 3)
    said = {"binding": runs.binding_of(limits), "facts": runs.facts_of(limits)} if kind == APPROVE else {}
    with transaction(rig.connection):
        return Decisions(connection=rig.connection).add(kind, by="li", at=NOW, subject=runs.subject_of(asked), **said)


def test_a_run_of_another_analyst_under_the_same_id(tmp_path):
    """An analyst sees the id of somebody's approved run and signs rounds of it as a run of her own.

    Gained: a person's word given to somebody else; or that somebody's rounds and price, used up by another.
    """
    rig = trainer(tmp_path / "home", HOLDING, held=BOTH)

    def told(asked, slot):
        reads = rig.records.reads
        rig.answer(announce(asked, slot=slot, held=BOTH), BOTH)
        return rig.records.reads > reads

    decide(rig)
    assert not told(round_(1, analyst="bela"), 1)
    (rig.home / "policy.toml").write_text(POLICY)
    for number in range(ROUNDS):
        assert told(round_(10 + number, analyst="bela"), 2 + number)
    assert Ledger(connection=rig.connection).trained(round_()).rounds == 0
    (rig.home / "policy.toml").write_text(HOLDING)
    assert told(round_(2), 9)
    rig.close()


def test_another_design_under_an_approved_run(rig):
    """The run of a small model is approved; its later rounds train a larger one, or clip a patient less.

    Gained: columns that nobody approved, or more of each patient at the same price.
    """
    decide(rig)
    wide = replace(STEP, clip=100 * STEP.clip)
    assert notes(rig, round_(1, wide), 1) == HELD
    lying = replace(round_(2, wide), run=round_().run)
    assert rig.reply(announce(lying, slot=2)).refusal.code == "wrong-run"
    assert notes(rig, round_(3), 3) == ()


def test_more_rounds_than_the_run_has(free, rig):
    """The same run goes on under ever new requests, each of which says that it is round 1.

    Gained: for one word, or within one look at the budget, any number of cheap sums of the same patients.
    """
    decide(rig)
    for node in (rig, free):
        for number in range(ROUNDS):
            asked = round_(number, at(number, 0, 0), run={"round": 1}, rho_units=EACH // 4)
            assert notes(node, asked, 1 + number) == ()
        assert notes(node, round_(9, at(9, 0, 0), run={"round": 1}, rho_units=EACH // 4), 9) == NO


def test_one_round_asked_for_ever(free, rig):
    """The same turn under ever new requests, as if its release had been lost each time.

    Gained: for one word, an average in which the noise vanishes. Each answer is charged, and their sum is the run's.
    Or, cheap as they come, another answer each hour of an app that looks at the clock, and the hospital's machine.
    """
    decide(rig)
    for node in (rig, free):
        asked = 2 * ROUNDS
        for number in range(asked):
            assert notes(node, round_(number, run={"round": 1}, rho_units=TOTAL // asked), 1 + number) == ()
        assert notes(node, round_(asked, run={"round": 1}, rho_units=TOTAL // asked), 1 + asked) == TOO_DEAR
        assert Ledger(connection=node.connection).spent() <= TOTAL
    cheap = {"run": {"round": 1, "id": b"c" * 16}, "rho_units": TOTAL // 100}
    for number in range(2 * ROUNDS):
        assert notes(free, round_(20 + number, **cheap), 8 + number) == ()
    assert notes(free, round_(40, **cheap), 8 + 2 * ROUNDS) == NO


def test_a_price_that_creeps(free, rig):
    """Each round costs a little more than the last, or says that the run costs more than its first round said.

    Gained: a run that costs more than was approved, or than the limit on one question allows.
    """
    decide(rig)
    dearer = {"run": {"rho_units": TOTAL + EACH}}
    for node, beyond in ((rig, HELD), (free, NO)):
        assert notes(node, round_(1, rho_units=EACH), 1) == ()
        assert notes(node, round_(2, rho_units=TOTAL - EACH + TOTAL // 9), 2) == TOO_DEAR
        assert notes(node, round_(3, **dearer), 3) in {beyond, NO}
        assert notes(node, round_(4, rho_units=EACH), 4) == ()
        assert Ledger(connection=node.connection).trained(round_()).units <= TOTAL


def test_a_cheap_run_of_dear_rounds(free):
    """A request says that its whole run costs less than the round itself; or each round costs as much as the run.

    Gained: an approval, or a pass below the limit, at the price of the claim. The first is no request at all.
    """
    signed = requests.write(round_(1, rho_units=TOTAL, run={"rho_units": EACH}), key_of("ada"))
    with pytest.raises(Rejected, match="malformed"):
        requests.read(signed, roster=roster, now=NOW)
    assert notes(free, round_(1, rho_units=TOTAL), 1) == ()
    assert notes(free, round_(2, rho_units=TOTAL), 2) == TOO_DEAR
    left = TOTAL - Ledger(connection=free.connection).trained(round_()).units
    assert 0 <= left < TOTAL // 1000


def test_a_dear_run_cut_into_cheap_rounds(tmp_path):
    """Each round costs less than what a person has to approve, and than what one question may cost; all of them more.

    Gained: a dear question without a person's look. The run's price is what is compared.
    """
    careful = POLICY.replace("approval_above_epsilon = 100", "approval_above_epsilon = 0.8")
    rig = trainer(tmp_path / "home", careful)
    assert notes(rig, replace(round_(1), run=None), 1) == ()
    assert notes(rig, round_(2), 2) == HELD
    (rig.home / "policy.toml").write_text(POLICY.replace("question = 2.0", "question = 0.8"))
    assert notes(rig, round_(3), 3) == TOO_DEAR
    (rig.home / "policy.toml").write_text(POLICY)
    assert notes(rig, round_(4), 4) == ()
    rig.close()


def test_an_approval_of_a_run_replayed(rig):
    """An approved round is announced again; then the run is denied, and the rounds before are asked again.

    Gained: several sums, with noise of their own, for one charge; or an approval that outlives its end.
    """
    decide(rig)
    assert notes(rig, round_(1), 1) == ()
    assert rig.reply(announce(round_(1), slot=2)).refusal.code == "replayed"
    decide(rig, DENY)
    assert notes(rig, round_(2), 3) == HELD
    assert rig.reply(announce(round_(1), slot=4)).refusal.code == "replayed"
    assert notes(rig, round_(3, run={"id": b"s" * 16}), 5) == HELD


def test_a_policy_changed_in_mid_run(rig):
    """The policy is edited between two rounds: first so that it still holds them, then so that it trains nothing.

    Gained: rounds under rules that nobody approved the run by.
    """
    decide(rig)
    assert notes(rig, round_(1), 1) == ()
    (rig.home / "policy.toml").write_text(HOLDING.replace("least_honest = 2", "least_honest = 1"))
    assert notes(rig, round_(2), 2) == HELD
    closed = "".join(line for line in HOLDING.splitlines(keepends=True) if not line.startswith("training."))
    (rig.home / "policy.toml").write_text(closed)
    assert notes(rig, round_(3), 3) == NO
    (rig.home / "policy.toml").write_text(HOLDING)
    assert notes(rig, round_(4), 4) == ()


def test_a_run_under_the_id_of_a_request(rig):
    """A run takes the id of a request that was approved; or a run is denied whose id is that of somebody's request.

    Gained: a word on a count for a model; or a stranger's question denied by a word on something else.
    """
    counted = request(7)
    single.decide(rig, APPROVE, single.held(rig, counted))
    posing = round_(1, run={"id": counted.id})
    assert notes(rig, posing, 1) == HELD
    decide(rig, DENY, posing)
    assert notes(rig, counted, 2) == ()
    posing = round_(2, id=round_().run.id)
    decide(rig)
    assert notes(rig, replace(posing, run=None), 3) == HELD
    assert notes(rig, round_(3), 4) == ()


def test_a_round_that_says_it_is_of_an_approved_pack(rig):
    """A round of training claims a pack whose runs were approved, although the pack could not even hold a model.

    Gained: training under a word for counts. Even were the step among the pack's items, its run is what is approved.
    """
    items = items_of(decode(Plan, round_().plan), catalogue)
    made = packs.limits(items=tuple(sorted(item.hex() for item in items)), units=PRICE, total=9 * PRICE, runs=9)
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(
            STANDING, by="li", at=NOW, subject=packs.PACK,
            binding=standing.binding_of(packs.PACK, made), facts=standing.facts_of(made),
        )  # fmt: skip
    assert notes(rig, round_(1, pack=packs.PACK), 1) == HELD
    decide(rig)
    assert notes(rig, round_(2, pack=packs.PACK), 2) == ()
