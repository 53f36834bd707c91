"""What an operator sees of a run of training, what their one word on it is about, and how ledger and policy tell it."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from coordinator.progress import describe
from farr.cli import approval_pages, node_approvals, node_ledger
from farr.cli import requests as requests_command
from farr.errors import FarrError
from farr.hospital import approving, policy_words, ruling_words, run_words
from farr.hospital.accounts import Account, entries, exported, plain_charge
from farr.hospital.learnt import learnt
from farr.hospital.office import Office
from farr.questions import states
from node.authority import policy, runs, training
from node.authority.decisions import APPROVE, Decisions
from node.authority.policy import parse
from node.books.ledger import NO_ROUND, Charge, Ledger
from protocols import request as requests
from protocols.wire_pb2 import Proposal, RequestStatus, State
from queries.asked.canonical import decode
from queries.asked.network import network_of
from queries.asked.plan import Plan
from tests.node.rig import NOW, POLICY, announce, key_of, request, roster
from tests.node.test_runs import APPROVAL, notes
from tests.node.trained import APP, EACH, HOLDING, NETWORK, ROUNDS, RUN, STEP, TOTAL, at, round_, trainer


@pytest.fixture
def rig(tmp_path):
    """A node that holds every question of one purpose."""
    made = trainer(tmp_path / "home", HOLDING)
    yield made
    made.close()


@pytest.fixture
def office(rig):
    """The office of the same node."""
    return Office(home=rig.home, held=None, bench=rig.replier.proposals.bench, roster=roster, clock=lambda: float(NOW))


def hear(rig, asked=None):
    """Have the node hear of a round; return its id."""
    asked = asked or round_()
    rig.replier.proposal(Proposal(request=requests.write(asked, key_of("ada"))), roster)
    return asked.id.hex()


def test_a_run_is_shown_by_its_plan_at_the_price_of_all_rounds(rig, office, capsys):
    """Not by its analyst's text: model, outcome, terms, rounds, price, design; and what of it was answered here."""
    case = approving.find(office, hear(rig))
    design = round_().run.design.hex()[:8]
    assert case.text == (
        f"a run: logistic regression of died IN ('Y') on 2 terms, up to {ROUNDS} rounds, together at most epsilon 1, "
        f"design {design}…"
    )
    plain = case.to_plain()["run"]
    assert (plain["id"], plain["round"], plain["rounds"], plain["units"]) == (RUN.hex(), 1, ROUNDS, TOTAL)
    assert (plain["answered"], plain["spent"]) == (0, 0)
    approval_pages.describe(case)
    approval_pages.describe_closely(approving.closely(office, case))
    seen = " ".join(capsys.readouterr().out.split())
    for told in (RUN.hex(), "epsilon 1,", "this is round 1; 0 answered here", "logistic regression of died"):
        assert told in seen


def test_what_would_be_left_is_after_the_whole_run(rig, office):
    """Before the first round all of it is taken off; after rounds of it, what is left of it."""
    left = approving.closely(office, approving.find(office, hear(rig))).left
    assert {each.before - each.after for each in left} == {TOTAL}
    approving.approve(office, approving.find(office, round_().id.hex()), "li")
    assert notes(rig, round_(), 1) == ()
    spent = Ledger(connection=rig.connection).spent()
    later = approving.closely(office, approving.find(office, hear(rig, round_(2)))).left
    assert {each.before - each.after for each in later} == {TOTAL - spent}


STEPS = {
    "an app": (APP, f"the Flower app {APP.app.hex()} on 2 columns"),
    "a network": (
        NETWORK,
        f"neural network of died IN ('Y') on 2 terms, layers {network_of(NETWORK.layers).hex()}",
    ),
    "a model": (replace(STEP, model="cox"), "Cox regression of died IN ('Y') on 2 terms"),
}


@pytest.mark.parametrize("what", STEPS)
def test_what_is_trained_has_words(what):
    """An app and a network by all of the digest that a policy allows them by."""
    step, words = STEPS[what]
    assert run_words.step_in_words(step, None) == words
    assert set(run_words.MODELS) == {*training.MODELS, training.NETWORK}


def test_one_word_approves_all_rounds(rig, office):
    """Bound to the run, the policy and the hospitals as shown; later rounds are ready; the charges name the word."""
    number = approving.approve(office, approving.find(office, hear(rig)), "li")
    (kept,) = Decisions(connection=rig.connection).of_kind(APPROVE)
    assert (kept.number, kept.subject) == (number, runs.subject_of(round_()))
    assert runs.limits_in(kept) == runs.limits_of(round_(), parse(HOLDING.encode(), "policy.toml").digest, 3)
    for each in (1, 2):
        case = approving.find(office, hear(rig, round_(each, at(each, 0, 0))))
        assert (case.stand, case.word.number) == (approving.READY, number)
        assert notes(rig, round_(each, at(each, 0, 0)), each) == ()
    assert {each.approval for each in Ledger(connection=rig.connection).charges()} == {number}


def test_a_run_that_was_answered_is_still_told_by_its_plan(rig, office):
    """Its analyst's own text and reason stand nowhere in its place; what cannot be read is said to be so."""
    approving.approve(office, approving.find(office, hear(rig)), "li")
    shown = approving.find(office, round_().id.hex())
    assert notes(rig, round_(), 1) == ()
    answered = approving.find(office, round_().id.hex())
    assert (answered.stand, answered.text) == (approving.ANSWERED, shown.text)
    assert answered.text.startswith("a run: logistic regression of died")
    unread = replace(answered, request=replace(answered.request, plan=b"{}"))
    assert unread.text == "a run whose plan cannot be read"


def test_an_approval_of_a_run_is_of_what_was_shown(rig, office):
    """A policy that changes between the look and the word: the word is for the one that was looked at, so void."""
    shown = approving.find(office, hear(rig))
    (rig.home / "policy.toml").write_text(HOLDING + "#\n")
    approving.approve(office, shown, "li")
    assert approving.find(office, shown.id).stand == approving.HELD
    (rig.home / "policy.toml").write_text(HOLDING)
    assert approving.find(office, shown.id).stand == approving.READY


def test_a_word_taken_back_in_mid_run_stops_the_rest(rig, office):
    """By the id of any of its rounds, answered ones too, or of the run; approved anew it goes on; then denied."""
    approving.approve(office, approving.find(office, hear(rig)), "li")
    assert notes(rig, round_(1), 1) == ()
    answered = approving.find(office, RUN.hex()[:6])
    assert answered.stand == approving.ANSWERED
    with pytest.raises(FarrError, match="was answered"):
        approving.approve(office, answered, "li")
    approving.revoke(office, answered, "li")
    assert approving.find(office, hear(rig, round_(2))).stand == approving.HELD
    approving.approve(office, approving.find(office, RUN.hex()), "li")
    assert approving.find(office, round_(2).id.hex()).stand == approving.READY
    approving.deny(office, approving.find(office, round_(1).id.hex()), "wang", "enough")
    denied = approving.find(office, round_(2).id.hex())
    assert (denied.stand, denied.word.facts) == (approving.DENIED, {"reason": "enough"})


def test_a_run_is_found_by_the_beginning_of_its_id(rig, office):
    """Its newest round stands for it; a beginning that two runs share names none."""
    hear(rig, round_(1))
    assert approving.find(office, "7272").id == round_(1).id.hex()
    hear(rig, round_(2, run={"id": b"r" * 15 + b"s"}))
    with pytest.raises(FarrError, match="2 requests begin"):
        approving.find(office, "7272")
    assert approving.find(office, (b"r" * 15 + b"s").hex()).id == round_(2).id.hex()


def charges(rig):
    """Return what was charged for a count, two rounds of a run, and another count between them."""
    (rig.home / "policy.toml").write_text(POLICY)
    for slot, asked in enumerate((request(1), round_(1), request(2), round_(2)), start=1):
        rig.answer(announce(asked, slot=slot))
    return Account(
        charges=tuple(Ledger(connection=rig.connection).charges()),
        policy=parse(POLICY.encode(), "policy.toml"),
        now=NOW,
        runs=learnt(rig.connection, None),
    )


def test_a_run_that_nobody_had_to_approve_is_stopped_by_its_id(rig, office, monkeypatch, capsys):
    """Allowed by the policy, so no request waits: found by what it was charged; its next round is withheld, others not.

    Taken back, it goes on.
    """
    charges(rig)
    monkeypatch.setattr("farr.hospital.office.office", lambda _home: nullcontext(office))
    with pytest.raises(FarrError, match="no request here begins with 99"):
        node_approvals.deny(identifier="99", home=rig.home, by="wang")
    node_approvals.deny(identifier=RUN.hex()[:8], home=rig.home, by="wang", reason="enough")
    assert f"on all rounds of run {RUN.hex()[:8]}: denied" in " ".join(capsys.readouterr().out.split())
    assert notes(rig, round_(3), 5) == APPROVAL
    assert notes(rig, round_(4, run={"id": b"s" * 16}), 6) == ()
    node_approvals.revoke(identifier=round_(1).id.hex(), home=rig.home, by="wang")
    assert notes(rig, round_(5), 7) == ()
    with pytest.raises(FarrError, match="nobody decided"):
        node_approvals.revoke(identifier=RUN.hex(), home=rig.home, by="wang")


def test_the_ledger_tells_a_run_in_one_line(rig, monkeypatch, capsys):
    """Its rounds' sum where its first round stands; each other charge in its own line; the total is the same."""
    account = charges(rig)
    lines = entries(account)
    assert [(each.run, len(each.charges)) for each in lines] == [("", 1), (RUN.hex(), 2), ("", 1)]
    assert lines[1].loss.units == sum(each.units for each in lines[1].charges) <= 2 * EACH
    assert sum(each.loss.units for each in lines) == account.lifetime().spent.units
    monkeypatch.setattr(node_ledger, "_account", lambda _home: account)
    node_ledger.ledger(_context(rig.home), home=rig.home)
    line = next(each for each in capsys.readouterr().out.splitlines() if each.startswith(RUN.hex()[:8]))
    assert "ada, test" in line
    assert "stay: a run, 2 rounds: logistic regression of died IN ('Y') on 2 terms" in line


def _context(home):
    return type("Context", (), {"obj": home, "invoked_subcommand": None})()


def test_exported_charges_name_their_run(rig):
    """In JSON and CSV, charge by charge; a charge without evidence, from a tear, is of none."""
    account = charges(rig)
    assert [plain_charge(1, each)["run_round"] for each in account.charges] == [None, 1, None, 2]
    assert exported(account, ".csv").count(RUN.hex()) == 2 * 2  # the column, and the evidence
    torn = Charge(
        request=bytes(16), epoch=1, slot=1, tau=bytes(32), units=1, table="", analyst="", purpose="", at=NOW,
        evidence="{}",
    )  # fmt: skip
    assert entries(Account(charges=(torn,), policy=None, now=NOW))[0].run == ""


def test_an_analyst_sees_which_round_of_which_run_a_request_is(capsys):
    """As the coordinator reports it, for people and as JSON; of any other question nothing."""

    def told(asked):
        question = SimpleNamespace(request=asked)
        status = describe(question, state=State.STATE_WAITING, round_=None, connected=frozenset(), now=1.0)
        return states.read(RequestStatus.FromString(status.SerializeToString()))

    state = told(round_(3))
    assert state.run.in_words() == f"round 3 of {ROUNDS} of run {RUN.hex()[:8]}"
    assert state.to_plain()["run"] == {"id": RUN.hex(), "round": 3, "rounds": ROUNDS, "rho_units": TOTAL}
    assert told(request()).run is None
    requests_command.describe(state)
    assert f"training: round 3 of {ROUNDS} of run {RUN.hex()[:8]}" in capsys.readouterr().out


def words(text):
    """Return what `farr node policy check` says of a policy, sentences and remarks."""
    allowed = parse(text.encode(), "policy.toml")
    return " ".join((*policy_words.in_words(allowed), *policy_words.remarks(allowed)))


def test_a_policy_tells_what_may_be_trained():
    """The default: regressions; without the table: nothing, and how to add it; networks and apps where allowed."""
    told = words(policy.DEFAULT)
    assert "linear regression, logistic regression, Poisson regression, Cox regression" in told
    assert "network" not in told
    old = policy.DEFAULT[: policy.DEFAULT.index("[training]")]
    assert "Nothing is trained." in words(old)
    assert "copy that table from" in words(old)
    app = "ab" * 32
    text = policy.DEFAULT.replace("apps = []", f'apps = ["{app}"]').replace('networks = "none"', 'networks = "all"')
    assert "Any neural network may be trained." in words(text)
    assert "abababab…; at most 30 minutes a round" in words(text)
    assert "without a sandbox" not in words(text)
    open_ = text.replace("apps = false", "apps = true").replace('reason = ""', 'reason = "an old kernel"')
    assert "an old kernel" in words(open_)
    assert "unsandboxed_apps = true" in words(open_)
    assert "Nothing is trained." in words(policy.DEFAULT.replace('["linear", "logistic", "poisson", "cox"]', '"none"'))


def _told(check):
    return check.told() if callable(check.told) else check.told


def test_details_of_training_have_forms():
    """Whatever a rule of training or of a run says is one of the texts that people read translated."""
    details = []
    for allowed in (None, parse(POLICY.encode(), "policy.toml").training):
        for asked in (round_(step=step) for step in (STEP, NETWORK, APP)):
            details += [_told(each) for each in training.checks(allowed, decode(Plan, asked.plan))]
            for trained in (NO_ROUND, replace(NO_ROUND, others=1)):
                details += [_told(each) for each in runs.checks(asked, trained)]
    assert {training.ABSENT, runs.OTHERS, runs.ALIKE} < set(details)
    for detail in details:
        assert any(ruling_words._values(form, detail) is not None for form in ruling_words.FORMS), detail
    assert set(ruling_words.REMEDIES) == {training.ADD, runs.NEW_RUN}
