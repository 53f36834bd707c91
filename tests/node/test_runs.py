"""Runs of training: default-deny, judged and approved as one, counted from the charges, and named in the log."""

import json
from dataclasses import fields, replace

import pytest

from node.authority import approvals, runs
from node.authority.approvals import Held
from node.authority.decisions import APPROVE, DENY, REVOKE, Decisions
from node.authority.judging import Outcome, judge
from node.authority.policy import load, parse
from node.books.audit import Audit
from node.books.ledger import NO_ROUND, Ledger, Trained
from node.books.state import transaction
from protocols import request as requests
from protocols.codes import ADVICE
from protocols.farrsum.parameters import Trust
from protocols.wire_pb2 import Note, Proposal, Stand
from queries.asked.canonical import decode, encode
from queries.asked.design import design_of
from queries.asked.network import network_of
from queries.asked.plan import Between, Layer, NumberTerm, Plan
from queries.cost.accounting import rho_of, units
from tests.node.rig import NOW, POLICY, PRICE, announce, catalogue, key_of, plan, request, roster
from tests.node.test_judging import question
from tests.node.trained import (
    APP,
    EACH,
    HOLDING,
    NETWORK,
    ROUNDS,
    RUN,
    STEP,
    TOTAL,
    at,
    notes,
    round_,
    trainer,
    training,
)

GOOD = parse(POLICY.encode(), "policy.toml")
APPROVAL = (Note.NOTE_WITHHELD_APPROVAL,)
BUDGET = (Note.NOTE_WITHHELD_BUDGET,)
POLICY_SAYS_NO = (Note.NOTE_WITHHELD_POLICY,)


@pytest.fixture
def rig(tmp_path):
    """A node that holds every question of one purpose."""
    made = trainer(tmp_path / "home", HOLDING)
    yield made
    made.close()


def ruling(policy=GOOD, asked=None, trained=NO_ROUND, **changes):
    """Return what a policy says of a round."""
    asked = asked or round_(**changes)
    return judge(policy, question(plan=decode(Plan, asked.plan), request=asked, cost=asked.rho_units, trained=trained))


def allowing(**changes):
    """Return the policy with another [training]."""
    return replace(GOOD, training=replace(GOOD.training, **changes))


def held(rig, asked, *, policy=None, hospitals=3):
    """Return a held round with what an approval is bound to."""
    return Held(
        signed=requests.write(asked, key_of("ada")), request=asked, plan=decode(Plan, asked.plan), catalogue=catalogue,
        policy=policy or load(rig.home / "policy.toml").digest, hospitals=hospitals, now=NOW,
    )  # fmt: skip


def decide(rig, kind=APPROVE, asked=None, hospitals=3, facts=None):
    """Decide on the run of a round; return the number."""
    asked = asked or round_()
    limits = runs.limits_of(asked, load(rig.home / "policy.toml").digest, hospitals)
    # A later word says the limits as well: what counts is what it says of them.
    said = {"binding": runs.binding_of(limits), "facts": facts or runs.facts_of(limits)}
    with transaction(rig.connection):
        return Decisions(connection=rig.connection).add(kind, by="li", at=NOW, subject=runs.subject_of(asked), **said)


def covered(rig, asked, **changes):
    """Return what covers a held round."""
    return approvals.covering(rig.connection, held(rig, asked, **changes))


# --- what the policy allows ----------------------------------------------------------------------------------------


def test_without_the_table_nothing_trains():
    """A policy from before training refuses any step, in a run or alone, and says what to add; a count is answered."""
    old = replace(GOOD, training=None)
    for step in (STEP, NETWORK, APP):
        for run in (round_(step=step), replace(round_(step=step), run=None)):
            found = ruling(old, run)
            assert (found.outcome, found.rule, found.code) == (Outcome.WITHHELD, "training", "policy")
            assert "[training]" in found.remedy
    assert judge(old, question()).outcome is Outcome.ALLOWED


STANDS_AGAINST = {
    "training.models": ({"models": ("cox", "linear")}, STEP),
    "training.networks": ({"networks": (b"n" * 32,)}, NETWORK),
    "training.apps": ({"apps": (b"b" * 32,)}, APP),
    "training.most_app_minutes": ({"apps": (APP.app,), "most_app_minutes": 1}, replace(APP, seconds=61)),
    "training.most_app_megabytes": ({"apps": (APP.app,), "most_app_megabytes": 1}, replace(APP, size=(1 << 20) + 1)),
}

LETS_PASS = {
    "training.models": {"models": ("logistic",)},
    "training.networks": {"networks": (network_of(NETWORK.layers),)},
    "training.apps": {"apps": (APP.app,)},
    "training.most_app_minutes": {"apps": (APP.app,), "most_app_minutes": 2},
    "training.most_app_megabytes": {"apps": (APP.app,), "most_app_megabytes": 2},
}


@pytest.mark.parametrize("rule", STANDS_AGAINST)
@pytest.mark.parametrize("alone", [False, True])
def test_each_key_of_training_stands_against_a_step(rule, alone):
    """By its own name, in a run or alone, with a detail and a remedy; one step further it passes."""
    changes, step = STANDS_AGAINST[rule]
    asked = round_(step=step)
    asked = replace(asked, run=None) if alone else asked
    found = ruling(allowing(**changes), asked)
    assert (found.outcome, found.rule, found.code) == (Outcome.WITHHELD, rule, "policy")
    assert found.detail
    assert found.remedy
    assert ruling(allowing(**LETS_PASS[rule]), asked).outcome is Outcome.ALLOWED


def test_an_app_is_never_allowed_by_a_word_for_all():
    """The policy of the tests allows all models and networks; an app needs its own hash."""
    assert ruling(step=NETWORK).outcome is Outcome.ALLOWED
    assert ruling(step=APP).rule == "training.apps"


def test_a_network_is_named_by_each_of_its_layers():
    """Another width, kind, order or number of layers is another network; another outcome is not."""
    first, second, _last = NETWORK.layers
    names = {
        network_of(layers)
        for layers in (
            (first, second), (second, first), (first,), (replace(first, width=5), second),
            (first, Layer(kind="tanh", width=2)), (first, second, second),
        )
    }  # fmt: skip
    assert len(names) == 6


# --- a run is judged as one ----------------------------------------------------------------------------------------


def test_the_limits_on_one_question_are_on_a_whole_run():
    """A run of three rounds is as dear as one question of its price, to the limit and to a person's approval."""
    for name, outcome in (("most_units_per_question", Outcome.WITHHELD), ("approval_above_units", Outcome.HELD)):
        assert ruling(replace(GOOD, **{name: TOTAL - 1})).outcome is outcome
        assert ruling(replace(GOOD, **{name: TOTAL})).outcome is Outcome.ALLOWED
        later = Trained(rounds=2, units=2 * EACH, others=0, answers=2)
        assert ruling(replace(GOOD, **{name: TOTAL - 1}), trained=later).outcome is outcome
        assert ruling(replace(GOOD, **{name: EACH}), replace(round_(), run=None)).outcome is Outcome.ALLOWED


BUDGETS = {
    "lifetime_epsilon": ("lifetime_units", lambda units_: units_),
    "purposes.test": ("purposes", lambda units_: {"test": units_}),
    "epsilon_per_period": ("units_per_period", lambda units_: units_),
}


@pytest.mark.parametrize("rule", BUDGETS)
def test_a_run_that_does_not_fit_as_a_whole_is_not_begun(rule):
    """Before the first round all of it must fit, and the ruling names the cap; a later round needs its own room."""
    name, value = BUDGETS[rule]
    tight = replace(GOOD, **{name: value(TOTAL - 1)})
    found = ruling(tight)
    assert (found.outcome, found.rule, found.code) == (Outcome.WITHHELD, rule, "budget")
    assert ruling(replace(GOOD, **{name: value(TOTAL)})).outcome is Outcome.ALLOWED
    assert ruling(tight, trained=Trained(rounds=1, units=EACH, others=0, answers=1)).outcome is Outcome.ALLOWED
    narrow = replace(GOOD, **{name: value(EACH - 1)})
    assert ruling(narrow, trained=Trained(rounds=1, units=EACH, others=0, answers=1)).code == "budget"


RUN_RULES = {
    "run": Trained(rounds=1, units=EACH, others=1, answers=1),
    "run.rounds": Trained(rounds=ROUNDS, units=0, others=0, answers=ROUNDS),
    "run.price": Trained(rounds=1, units=TOTAL - EACH + 1, others=0, answers=1),
    "run.repeats": Trained(rounds=1, units=0, others=0, answers=2 * ROUNDS),
}


@pytest.mark.parametrize("rule", RUN_RULES)
def test_each_rule_of_a_run_stands_against_a_round(rule):
    """Another claim, one round, unit or answer too many: withheld with a code of its own and a remedy."""
    found = ruling(trained=RUN_RULES[rule])
    assert (found.outcome, found.rule, found.code) == (Outcome.WITHHELD, rule, "wrong-run")
    assert found.code in ADVICE
    assert "new run" in found.remedy
    last = Trained(rounds=ROUNDS - 1, units=TOTAL - EACH, others=0, answers=2 * ROUNDS - 1)
    assert ruling(trained=last).outcome is Outcome.ALLOWED


def test_a_run_that_is_too_dear_for_the_budget_answers_zeros_from_its_first_round(tmp_path):
    """The note says so; a later round for which there is no room says the same."""
    small = POLICY.replace("epsilon_per_period = 100", "epsilon_per_period = 0.9")
    rig = trainer(tmp_path / "home", small)
    assert units(rho_of(0.9)) > EACH
    assert notes(rig, round_(1), 1) == BUDGET
    (rig.home / "policy.toml").write_text(POLICY)
    assert notes(rig, round_(2), 2) == ()
    (rig.home / "policy.toml").write_text(POLICY.replace("epsilon_per_period = 100", "epsilon_per_period = 0.6"))
    assert units(rho_of(0.6)) < 2 * EACH
    assert notes(rig, round_(3), 3) == BUDGET
    assert len([each for each in Ledger(connection=rig.connection).charges() if each.units]) == 1
    rig.close()


OTHER_DESIGNS = {
    "another term": replace(STEP, terms=(NumberTerm(column="age"),), point=(0, 0)),
    "another model": NETWORK,
    "a wider clip": replace(STEP, clip=2 * STEP.clip),
    "an app": APP,
}


@pytest.mark.parametrize("what", OTHER_DESIGNS)
def test_a_round_of_another_design_than_it_says_is_refused(tmp_path, what):
    """The request's word is not taken: refused by a code, nothing read, nothing charged; before the round it is denied.

    Other coefficients and other sums are the same design.
    """
    rig = trainer(tmp_path / "home")
    lying = replace(round_(step=OTHER_DESIGNS[what]), run=round_().run)
    refused = rig.reply(announce(lying), roster)
    assert (refused.refusal.code, rig.records.reads) == ("wrong-run", 0)
    (heard,) = rig.replier.proposal(Proposal(request=requests.write(lying, key_of("ada"))), roster)
    assert heard.verdict.stand == Stand.STAND_DENIED
    later = replace(STEP, point=(5, 6, 7), wants=("gradient", "loss"), weights=(3, 1))
    assert notes(rig, replace(round_(2, later), run=round_().run), 2) == ()
    rig.close()


def test_a_question_that_trains_nothing_is_of_no_run(tmp_path):
    """A count that says it is a round is refused: it would be covered by an approval that nobody gave for a count."""
    rig = trainer(tmp_path / "home")
    assert rig.reply(announce(request(run=round_().run)), roster).refusal.code == "wrong-run"
    mixed = encode(plan(aggregates=(*training().parts[0].aggregates, *plan().parts[0].aggregates)))
    assert rig.reply(announce(round_(plan=mixed)), roster).refusal.code == "bad-plan"
    rig.close()


# --- what was charged ----------------------------------------------------------------------------------------------


def test_rounds_are_charged_one_by_one_and_name_their_run(tmp_path):
    """Each at its own price; the ledger's evidence and the audit entry hold the run and the round."""
    rig = trainer(tmp_path / "home")
    for number in (1, 2):
        assert notes(rig, round_(number, at(number, 0, 0)), number) == ()
    ledger = Ledger(connection=rig.connection)
    charges = list(ledger.charges())
    units_ = sum(each.units for each in charges)
    assert ledger.trained(round_(3)) == Trained(rounds=2, units=units_, others=0, answers=2)
    assert ledger.trained(request()) == NO_ROUND
    named = [json.loads(each.evidence)["run"] for each in charges]
    assert [(each["id"], each["round"], each["rounds"], each["units"]) for each in named] == [
        (RUN.hex(), 1, ROUNDS, TOTAL), (RUN.hex(), 2, ROUNDS, TOTAL),
    ]  # fmt: skip
    told = [json.loads(each.facts) for each in Audit(connection=rig.connection).entries() if each.kind == "answered"]
    assert [(each["run"], each["run_round"]) for each in told] == [
        (RUN.hex(), 1),
        (RUN.hex(), 2),
    ]
    assert ledger.verify() is None
    rig.close()


def test_a_question_of_no_run_names_none(tmp_path):
    """Neither in the ledger nor in the log."""
    rig = trainer(tmp_path / "home")
    assert notes(rig, request(), 1) == ()
    (charge,) = Ledger(connection=rig.connection).charges()
    (told,) = [each.facts for each in Audit(connection=rig.connection).entries() if each.kind == "answered"]
    assert "run" not in json.loads(charge.evidence)
    assert "run" not in json.loads(told)
    rig.close()


def test_a_round_that_was_not_charged_is_not_counted(rig):
    """Neither one that was held, nor one whose commit failed: exactly the charged ones."""
    ledger = Ledger(connection=rig.connection)
    assert notes(rig, round_(1), 1) == APPROVAL
    assert ledger.trained(round_()) == NO_ROUND
    decide(rig)
    rig.records.fault = MemoryError()
    assert rig.reply(announce(round_(2), slot=2), roster).WhichOneof("kind") == "refusal"
    assert ledger.trained(round_()) == NO_ROUND
    rig.records.fault = None
    assert notes(rig, round_(2), 3) == ()
    assert ledger.trained(round_()).rounds == 1


def test_a_round_that_is_asked_again_is_one_round_and_charged_twice(tmp_path):
    """Its release was lost after the charge: the same turn under a new request is answered, paid for, and counted once.

    Another point under the same number, and the same point under another number, are rounds of their own; the price of
    the run holds whatever is repeated.
    """
    rig = trainer(tmp_path / "home")
    ledger, cheap = Ledger(connection=rig.connection), {"rho_units": EACH // 2}
    for slot in (1, 2):
        assert notes(rig, round_(slot, run={"round": 1}, **cheap), slot) == ()
    first, second = ledger.charges()
    assert first.units == second.units > 0
    asked = round_(9, run={"round": 2}, **cheap)
    assert ledger.trained(asked) == Trained(rounds=1, units=2 * first.units, others=0, answers=2)
    assert ledger.trained(round_(9, run={"round": 1}, **cheap)).rounds == 0
    assert ledger.trained(round_(9, at(1, 0, 0), run={"round": 1}, **cheap)).rounds == 1
    for slot, number in ((3, 2), (4, 3), (5, 3)):
        assert notes(rig, round_(slot, run={"round": number}, **cheap), slot) == ()
    assert notes(rig, round_(6, at(1, 0, 0), run={"round": 3}, **cheap), 6) == POLICY_SAYS_NO
    assert ledger.trained(round_(7)).units == 5 * first.units
    rig.close()


def test_the_price_of_a_run_holds_whatever_is_repeated(tmp_path):
    """One turn for ever, each time under a new request: it ends where the run's price does."""
    rig = trainer(tmp_path / "home")
    for slot in range(1, ROUNDS + 1):
        assert notes(rig, round_(slot, run={"round": 1}), slot) == ()
    assert notes(rig, round_(ROUNDS + 1, run={"round": 1}), ROUNDS + 1) == (Note.NOTE_WITHHELD_COST,)
    charged = [each.units for each in Ledger(connection=rig.connection).charges()]
    assert charged[-1] == 0
    assert TOTAL - EACH < sum(charged) <= TOTAL
    rig.close()


def test_the_rounds_of_a_run_are_found_by_an_index(rig):
    """Ten thousand rounds are not read through for each further one."""
    rows = rig.connection.execute(
        "EXPLAIN QUERY PLAN SELECT count(*) FROM charges WHERE json_valid(evidence) "
        "AND json_extract(evidence, '$.run.id') = ? AND analyst = ? AND units > 0",
        ("00", "ada"),
    ).fetchall()
    assert any("charges_by_run" in row[3] for row in rows)


# --- a person's word -----------------------------------------------------------------------------------------------


def test_an_approval_of_a_run_answers_all_of_its_rounds(rig):
    """One word at the first held round; each charge and each audit entry names it; the round after the last is held."""
    assert notes(rig, round_(1), 1) == APPROVAL
    number = decide(rig)
    for each in range(1, ROUNDS + 1):
        assert notes(rig, round_(10 + each, at(each, 0, 0)), 1 + each) == ()
    charged = [each for each in Ledger(connection=rig.connection).charges() if each.units]
    assert [each.approval for each in charged] == [number] * ROUNDS
    assert sum(each.units for each in charged) <= TOTAL
    told = [json.loads(each.facts) for each in Audit(connection=rig.connection).entries() if each.kind == "answered"]
    assert [each.get("approval") for each in told] == [None, number, number, number]


OLD = training(where=Between(column="age", low=80, high=None))

BEYOND = {
    "another run": {"run": {"id": b"s" * 16}},
    "another length": {"run": {"rounds": ROUNDS + 1}},
    "a dearer run": {"run": {"rho_units": TOTAL + 1}},
    "a cheaper run": {"run": {"rho_units": TOTAL - 1}},
    "another purpose": {"purpose": "research"},
    "another analyst": {"analyst": "bela"},
    "a weaker trust": {"trust": Trust.FIFTH},
    "another design": {"step": replace(STEP, clip=2 * STEP.clip)},
    "other rows": {"plan": encode(OLD), "run": {"design": design_of(OLD)}},
    "no run": {"run": None},
}


@pytest.mark.parametrize("what", BEYOND)
def test_an_approval_covers_the_rounds_of_its_run_and_nothing_else(rig, what):
    """Whatever the operator saw of the run stays as it was, but for round, coefficients and sums."""
    decide(rig)
    later = replace(STEP, point=(5, 6, 7), wants=("loss",), weights=(1,))
    assert covered(rig, round_(2, later)) is not None
    changes = BEYOND[what]
    asked = replace(round_(2), run=None) if what == "no run" else round_(2, **changes)
    assert covered(rig, asked) is None


def test_another_policy_or_fewer_hospitals_void_the_approval_of_a_run(rig):
    """As of a single request; and a run that was approved among four hospitals is not answered among three."""
    decide(rig, hospitals=4)
    assert covered(rig, round_(2), hospitals=4) is not None
    assert covered(rig, round_(2), hospitals=5) is not None
    assert covered(rig, round_(2), hospitals=3) is None
    assert covered(rig, round_(2), hospitals=4, policy=b"p" * 32) is None


def test_every_limit_of_a_run_is_in_its_binding(rig):
    """Another value of any limit gives another binding, so the audit log holds each of them."""
    limits = runs.limits_of(round_(), b"p" * 32, 3)
    others = [
        replace(limits, **{field.name: 99 if isinstance(getattr(limits, field.name), int) else "other"})
        for field in fields(limits)
    ]
    assert len({runs.binding_of(each) for each in (limits, *others)}) == len(others) + 1


def test_limits_of_a_run_that_somebody_widened_approve_nothing(rig):
    """Facts that the audit log's digest is not of are void, and so is a word whose facts are not a run's at all."""
    dear = round_(run={"rho_units": 1 << 49})
    decide(rig, asked=round_(), facts=runs.facts_of(runs.limits_of(dear, load(rig.home / "policy.toml").digest, 3)))
    assert covered(rig, dear) is None
    assert covered(rig, round_()) is None
    decide(rig, facts={"units": TOTAL})
    assert covered(rig, round_()) is None


@pytest.mark.parametrize("kind", [DENY, REVOKE])
def test_a_later_word_stops_the_rest(rig, kind):
    """Taken back in mid-run: the next round is zeros, the first stays charged; approved once more it goes on."""
    decide(rig)
    assert notes(rig, round_(1), 1) == ()
    decide(rig, kind)
    assert notes(rig, round_(2), 2) == APPROVAL
    spent = Ledger(connection=rig.connection).spent()
    assert spent > 0
    decide(rig)
    assert notes(rig, round_(3), 3) == ()
    assert Ledger(connection=rig.connection).spent() > spent


def test_a_denied_run_is_not_answered_although_the_policy_would_allow_it(rig):
    """Denied while it was held; the policy then holds nothing: no round of it is answered, another run is."""
    decide(rig, DENY)
    (rig.home / "policy.toml").write_text(POLICY)
    assert notes(rig, round_(1), 1) == APPROVAL
    assert notes(rig, round_(2, run={"id": b"s" * 16}), 2) == ()


def test_a_word_on_a_run_taken_back_while_records_are_read_answers_nothing(tmp_path):
    """Revoked between the look at the policy and the charge: refused, nothing charged."""
    rig = trainer(tmp_path / "home", HOLDING, step=lambda name: name == "checked" and decide(rig, REVOKE))
    decide(rig)
    assert rig.reply(announce(round_()), roster).refusal.code == "denied"
    assert list(Ledger(connection=rig.connection).charges()) == []
    rig.close()


def test_where_a_run_stands_is_told_before_each_round(rig):
    """Held before the word, ready after it, for later rounds at once; denied for a round beyond the run's price."""

    def stand(asked):
        (heard,) = rig.replier.proposal(Proposal(request=requests.write(asked, key_of("ada"))), roster)
        return heard.verdict.stand

    assert stand(round_(1)) == Stand.STAND_HELD
    decide(rig)
    assert (stand(round_(1)), stand(round_(2))) == (Stand.STAND_READY, Stand.STAND_READY)
    assert notes(rig, round_(1), 1) == ()
    assert stand(round_(3, rho_units=TOTAL)) == Stand.STAND_DENIED
    assert EACH < PRICE
