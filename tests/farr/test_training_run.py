"""A run of training: asked round by round, taken up after any cut, stopped by the budget, and never paid twice."""

import ast
import errno
import fcntl
import json
import os
import stat
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from farr import channel, dialing
from farr.errors import FarrError
from farr.questions.asking import Terms
from farr.questions.opening import open_release
from farr.training import refused, runs
from farr.training.card import card_of
from farr.training.estimators import LogisticRegression, Network
from farr.training.frames import Rows, design_of
from farr.training.recipe import Recipe
from farr.training.refused import may_have_charged
from farr.training.run import begin, conduct, first_round, resume, train
from farr.training.terms import prepare
from protocols.errors import Rejected
from protocols.request import Run
from protocols.wire_pb2 import State
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import decode
from queries.asked.design import design_of as digest_of
from queries.asked.plan import Plan
from queries.cost.accounting import rho_of, units
from queries.errors import AuthorityError
from queries.models.contributions import tally_of
from tests.farr import harbour

RECIPE = Recipe(
    name="women", kind="logistic", table="stay", outcome="sex = 'F'", terms=("age",), epsilon=3.0, purpose="audit"
)
CATALOGUE = read_catalogue(harbour.CATALOGUE, "harbour.toml")
SLOPE = 0.05
"""By year, with which the odds of a woman rise."""


def charged(asked, quay):
    """Return what each hospital charges for the rounds that were answered, as it follows from their releases' noise."""
    signed = quay.released.values()
    return sum(open_release(each, asked.known, quay.under).measurement.cost for each in signed)


def people(count=4000):
    """Return patients of whom older ones are rather women, the same at every call."""
    place = np.arange(count)
    age = place * 37 % 101
    odds = 1 / (1 + np.exp(-SLOPE * (age - 60)))
    return pd.DataFrame({"age": age, "sex": np.where((place * 0.61803398875) % 1 < odds, "F", "M")})


@cache
def records(sites):
    """Return the people as hospitals read them, and the shape of the model: the same in every round."""
    prepared = prepare(RECIPE, CATALOGUE, {site: {} for site in sites})
    return design_of(prepared.step, Rows(people(), prepared.setting), prepared.setting), prepared.shape


class Hospitals(harbour.Quay):
    """A coordinator whose hospitals have these people; ``cut`` is told of every call and may raise."""

    def __init__(self, *, cut=lambda _call: None):
        super().__init__(serve=self.tally)
        self.cut = cut
        self.spent = 0
        self.fails = {}

    def tally(self, signed):
        """Return the release of a round."""
        asked = harbour.requests.read(signed, roster=self.under, now=int(harbour.time.time()))
        step = decode(Plan, asked.plan).parts[0].aggregates[0].step
        design, shape = records(tuple(self.under.nodes))
        return harbour.answer(signed, vector=tally_of(step, design, shape))

    def describe(self):
        """Describe the harbour, as much of the budgets spent as is said."""
        self.cut("describe")
        return harbour.description(self.under, spent=self.spent)

    def submit(self, signed):
        """Take a request, the same one again as well."""
        self.cut("submit")
        asked = harbour.requests.read(signed, roster=self.under, now=int(harbour.time.time()))
        if asked.id in self.statuses:
            return self.statuses[asked.id]
        status = super().submit(signed)
        if code := self.fails.get(len(self.submitted)):
            self.statuses[asked.id].state = State.STATE_FAILED
            self.statuses[asked.id].code = code
        self.cut("submitted")
        return status

    def watch(self, request, timeout):
        """Yield the end."""
        self.cut("watch")
        yield from super().watch(request, timeout)

    def release(self, identifier):
        """Return a release."""
        self.cut("release")
        found = super().release(identifier)
        self.cut("released")
        return found


@pytest.fixture
def quay():
    """A coordinator with its hospitals."""
    return Hospitals()


@pytest.fixture
def asked(tmp_path, quay):
    """A client connected to it."""
    return harbour.federation(tmp_path / "home", quay)


def test_a_model_is_trained_over_a_federation(asked, quay):
    """The coefficient by year is that of the people, and the run cost at most what was agreed."""
    trained = train(asked, RECIPE)
    (age,) = trained.table().terms
    assert trained.stopped is None
    assert trained.fitted.finished
    assert abs(age.value - SLOPE) < 2 * age.error + 0.005
    agreed = sum(each.rho_units for each in quay.submitted)
    assert agreed <= units(rho_of(3.0))
    assert trained.run.spent_units == charged(asked, quay) <= agreed
    assert card_of(trained)["privacy"]["units"] == trained.run.spent_units
    assert trained.run.state == runs.FINISHED


def test_every_round_says_which_run_it_is_of(asked, quay):
    """All rounds carry the run's id, its design, which is the plan's own, and the whole price; numbers rise by one."""
    trained = train(asked, RECIPE)
    claims = [each.run for each in quay.submitted]
    assert {(each.id.hex(), each.rho_units) for each in claims} == {(trained.run.id, trained.run.rho_units)}
    assert [each.round for each in claims] == list(range(1, len(claims) + 1))
    assert {each.design for each in claims} == {digest_of(decode(Plan, asked.plan)) for asked in quay.submitted}
    assert all(each.fresh and each.purpose == "audit" for each in quay.submitted)


def test_progress_tells_of_every_round(asked):
    """Who watches hears each round's number, the model before it, and what was spent."""
    heard = []
    train(asked, RECIPE, told=heard.append)
    numbers = [each.number for each in heard]
    assert numbers == sorted(numbers)
    assert heard[0].fitted is None
    assert heard[-1].fitted is not None
    assert heard[-1].spent_units > heard[0].spent_units == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing cut."""
    return train(harbour.federation(tmp_path_factory.mktemp("whole") / "home", Hospitals()), RECIPE)


@pytest.mark.parametrize(
    ("call", "time"),
    [("submit", 1), ("submit", 3), ("submitted", 3), ("watch", 1), ("release", 3), ("released", 1), ("released", 3)],
)
def test_a_run_that_was_cut_anywhere_pays_for_no_round_twice(tmp_path, whole, call, time):
    """Cut at any call of any round, taken up again: the same model as without a cut, each round asked once."""
    left = [time]

    def cut(named):
        if named == call:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    quay = Hospitals(cut=cut)
    home = tmp_path / "home"
    with pytest.raises(KeyboardInterrupt):
        train(harbour.federation(home, quay), RECIPE)
    (kept,) = runs.every(home)
    assert kept.state == runs.RUNNING
    again = harbour.Federation(home)
    again._line.close()
    again._line = quay
    trained = resume(again, kept.id[:6])
    assert np.array_equal(trained.fitted.coefficients, whole.fitted.coefficients)
    assert len({each.id for each in quay.submitted}) == len(quay.submitted) == len(whole.run.rounds)
    assert trained.run.spent_units == whole.run.spent_units


@pytest.mark.parametrize("call", ["submit", "submitted", "release"])
def test_a_run_that_was_killed_pays_for_no_round_twice(tmp_path, whole, call, monkeypatch):
    """A process that ends without another word leaves the requests of its rounds: taken up, none is asked again."""
    left, write = [3], runs.write

    def cut(named):
        if named == call:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    quay, home, written = Hospitals(cut=cut), tmp_path / "home", []
    # Only the first word about the run reaches the disk, as where the process is killed before the next is due.
    monkeypatch.setattr(runs, "write", lambda folder, run: written or (written.append(run), write(folder, run)))
    with pytest.raises(KeyboardInterrupt):
        train(harbour.federation(home, quay), RECIPE)
    monkeypatch.setattr(runs, "write", write)
    (kept,) = runs.every(home)
    assert runs.find(home, kept.id).rounds == ()
    # Who only lists runs is not told that they cost less than they may have.
    assert kept.committed_units >= sum(each.rho_units for each in quay.submitted) > 0
    again = harbour.Federation(home)
    again._line.close()
    again._line = quay
    trained = resume(again, kept.id)
    assert np.array_equal(trained.fitted.coefficients, whole.fitted.coefficients)
    assert len({each.id for each in quay.submitted}) == len(quay.submitted) == len(whole.run.rounds)
    assert trained.run.spent_units == whole.run.spent_units


def test_a_run_stops_before_the_round_that_exceeds_the_budget(asked, quay):
    """When too few hospitals have enough left, nothing more is asked, the last model stays, and the cost is known."""
    quay.cut = lambda _call: setattr(quay, "spent", harbour.LIFETIME - 1 if len(quay.submitted) >= 2 else 0)
    trained = train(asked, RECIPE)
    assert trained.stopped.code == "budget"
    assert len(quay.submitted) == 2
    assert trained.fitted.coefficients.shape == (2,)
    assert not trained.fitted.finished
    assert trained.run.spent_units == charged(asked, quay)
    (kept,) = runs.every(asked.folder)
    assert (kept.state, kept.why) == (runs.STOPPED, "budget")
    quay.cut, quay.spent = lambda _call: None, 0
    assert resume(asked, kept.id).fitted.finished


def test_a_run_that_cannot_be_afforded_is_not_begun(asked, quay):
    """Where the whole run's price is more than is left, no request leaves and no run is kept."""
    quay.spent = harbour.LIFETIME - 1000
    with pytest.raises(FarrError) as refused:
        train(asked, RECIPE)
    assert refused.value.code == "budget"
    assert quay.submitted == []
    assert runs.every(asked.folder) == ()


def test_a_round_that_was_refused_is_asked_anew_when_the_run_is_taken_up(asked, quay):
    """A refused round stops the run with its model; taken up later, the round keeps its number and has a new id."""
    quay.fails = {3: "budget"}
    trained = train(asked, RECIPE)
    assert trained.stopped.code == "budget"
    assert trained.run.lost_units == quay.submitted[2].rho_units
    quay.fails = {}
    resume(asked, trained.run.id)
    assert [each.run.round for each in quay.submitted] == [1, 2, 3, 3, 4]
    assert len({each.id for each in quay.submitted}) == 5


def test_a_run_never_costs_more_than_was_agreed(asked, quay):
    """A round that was charged in vain and asked again leaves too little for the last one: it is not asked."""
    quay.fails = {3: "too-few"}
    lost = train(asked, RECIPE).run
    assert lost.committed_units == lost.spent_units + quay.submitted[2].rho_units
    quay.fails = {}
    trained = resume(asked, lost.id)
    assert trained.stopped.code == "run-over"
    assert trained.run.committed_units == trained.run.spent_units + trained.run.lost_units <= trained.run.rho_units
    assert sum(each.rho_units for each in quay.submitted) <= units(rho_of(3.0))
    assert len(trained.fitted.history) == 4
    assert resume(asked, lost.id).stopped.code == "run-over"
    assert len(quay.submitted) == 5


@pytest.mark.parametrize("code", ["not-tls", "intercepted", "internal", "replayed", "timeout"])
def test_a_round_that_may_have_been_handed_in_is_never_asked_anew(tmp_path, whole, code):
    """The answer to a request is lost with its connection: the same request is handed in again, nothing else."""
    left = [3]

    def cut(named):
        if named == "submitted":
            left[0] -= 1
            if left[0] == 0:
                raise FarrError(code, "gone")

    quay = Hospitals(cut=cut)
    federation = harbour.federation(tmp_path / "home", quay)
    with pytest.raises(FarrError, match="gone"):
        train(federation, RECIPE)
    (kept,) = runs.every(federation.folder)
    assert (kept.state, kept.lost_units) == (runs.RUNNING, 0)
    trained = resume(federation, kept.id)
    assert np.array_equal(trained.fitted.coefficients, whole.fitted.coefficients)
    assert len(quay.submitted) == len(whole.run.rounds)
    assert trained.run.spent_units == whole.run.spent_units


def test_every_failure_on_the_way_leaves_in_doubt_what_was_handed_in():
    """Whatever the line and its diagnosis call a broken connection, none of it is taken for a refusal."""
    codes = set()
    for module in (dialing, channel):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FarrError":
                codes |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
    assert {"unreachable", "not-tls", "timeout"} <= codes <= refused.IN_DOUBT


@pytest.mark.parametrize(
    "refusal",
    [AuthorityError("no-mandate", "it ended", remedy=""), FarrError("no-mandate", "none"), Rejected("expired", "it")],
)
def test_a_round_that_this_side_refuses_leaves_the_last_model(asked, quay, monkeypatch, refusal):
    """As where the mandate ends in the middle of a run: what was paid for is not lost, and the run can go on."""
    priced, asks = asked.priced, []

    def ends(question, terms, price):
        asks.append(price)
        if len(asks) == 4:
            raise refusal
        return priced(question, terms, price)

    monkeypatch.setattr(asked, "priced", ends)
    trained = train(asked, RECIPE)
    assert (trained.stopped.code, len(quay.submitted)) == (refusal.code, 2)
    assert (trained.run.state, trained.run.lost_units) == (runs.STOPPED, 0)
    assert len(trained.fitted.history) == 2
    assert resume(asked, trained.run.id).stopped is None


def test_a_run_that_is_driven_again_goes_on_from_what_is_kept(asked, quay, whole):
    """A notebook that runs the same cell twice holds a run as it was begun: no round is paid for twice."""
    run, left = begin(asked, RECIPE, by_residence=False, patience=3600), [3]

    def cut(named):
        if named == "watch":
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    quay.cut = cut
    with pytest.raises(KeyboardInterrupt):
        conduct(asked, run)
    trained = conduct(asked, run)
    assert len(quay.submitted) == len(whole.run.rounds)
    assert np.array_equal(trained.fitted.coefficients, whole.fitted.coefficients)
    assert conduct(asked, run).run == trained.run


@pytest.mark.parametrize(
    ("code", "sites", "charged"),
    [
        ("too-few", ["answered", "asked", "policy"], True),
        ("too-few", ["offline", "policy"], True),
        ("interrupted", ["connected", "connected"], True),
        ("too-few", ["policy", "policy"], False),
        ("expired", ["offline", "connected"], False),
        ("denied", ["denied", "held"], False),
    ],
)
def test_a_failed_request_may_have_been_charged_for_once_its_round_was_open(code, sites, charged):
    """While it waits no hospital charges; then those that did not refuse may have."""
    state = SimpleNamespace(code=code, sites=dict(enumerate(sites)))
    assert may_have_charged(state) == charged


def test_a_run_is_taken_further_by_one_process_at_a_time(asked):
    """Two at once would ask the same round under two ids; the second is told, and the run stays as it is."""
    run = begin(asked, RECIPE, by_residence=False, patience=3600)
    with runs.alone(runs.folder_of(asked.folder, run.id)):
        for taken in (lambda: resume(asked, run.id), lambda: conduct(asked, run)):
            with pytest.raises(FarrError) as refused:
                taken()
            assert refused.value.code == "busy"
    assert resume(asked, run.id).fitted.finished


def test_a_process_that_was_forked_meanwhile_does_not_hold_the_run(tmp_path, monkeypatch):
    """As a ServerApp's loaders of data, which may outlive the run: they have a copy of all that is open."""
    held, opens = [], os.open
    monkeypatch.setattr(os, "open", lambda *given: held.append(opens(*given)) or held[-1])
    with runs.alone(tmp_path / "run"):
        copy = os.dup(held[-1])
        with pytest.raises(FarrError), runs.alone(tmp_path / "run"):
            pass
    with runs.alone(tmp_path / "run"):
        os.close(copy)


def test_a_home_that_keeps_no_locks_is_told(tmp_path, monkeypatch):
    """Some network file systems: rather than two processes that pay twice, none."""

    def none(_descriptor, _what):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(FarrError) as refused, runs.alone(tmp_path / "run"):
        pass
    assert refused.value.code == "no-lock"


@pytest.mark.parametrize("name", ["run", "Run"])
def test_a_model_never_takes_the_place_of_its_run(asked, quay, name):
    """A model is saved beside run.json under its own name, some file systems seeing no capitals."""
    with pytest.raises(FarrError) as refused:
        train(asked, replace(RECIPE, name=name))
    assert (refused.value.code, quay.submitted) == ("model", [])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../elsewhere"},
        {"epsilon": 0.0},
        {"held_out": Fraction(2)},
        {"clip": Fraction(0)},
        {"minimum": 0},
        {"rows_per_patient": 0},
    ],
)
def test_a_recipe_made_in_python_is_read_as_strictly_as_a_file(asked, quay, changes):
    """What no file may say is refused before anything is asked or written."""
    with pytest.raises(FarrError) as refused:
        train(asked, replace(RECIPE, **changes))
    assert refused.value.code == "model"
    assert quay.submitted == []
    assert runs.every(asked.folder) == ()


def test_a_recipe_of_odd_fractions_can_be_taken_up(asked, quay):
    """What is trained is what is kept: a third is written with few places, in both."""
    quay.cut = lambda call: (_ for _ in ()).throw(KeyboardInterrupt) if call == "submit" and quay.submitted[1:] else 0
    with pytest.raises(KeyboardInterrupt):
        train(asked, replace(RECIPE, penalty=Fraction(1, 3), held_out=Fraction(1, 3)))
    quay.cut = lambda _call: None
    (kept,) = runs.every(asked.folder)
    assert resume(asked, kept.id).stopped is None


def test_a_damaged_run_hides_no_other(asked):
    """The list has the rest, and hears of it."""
    whole, other = (begin(asked, RECIPE, by_residence=False, patience=3600) for _ in range(2))
    (runs.folder_of(asked.folder, other.id) / runs.FILE).write_text("{}")
    heard = []
    assert runs.every(asked.folder, heard.append) == (whole,)
    assert [each.code for each in heard] == ["damaged-run"]


def test_a_home_with_a_damaged_request_takes_up_no_run(asked, quay):
    """It may be the request of a round that was paid for: rather than ask that one again, the file is named."""
    run = begin(asked, RECIPE, by_residence=False, patience=3600)
    folder = asked.folder / "requests"
    folder.mkdir()
    (folder / f"{bytes(16).hex()}.bin").write_bytes(b"\xff" * 40)
    with pytest.raises(FarrError, match="requests") as refused:
        resume(asked, run.id)
    assert (refused.value.code, quay.submitted) == ("damaged-run", [])


def test_a_request_that_is_handed_in_again_is_the_same_one(asked, quay, monkeypatch):
    """Under a round's id only what was signed first ever leaves: not at another price, nor with another time in it."""
    handed = []
    monkeypatch.setattr(quay, "submit", handed.append)
    run = begin(asked, RECIPE, by_residence=False, patience=3600)
    first, prepared = first_round(asked, RECIPE, by_residence=False, patience=3600, late=False)
    other = asked.priced(first.question, Terms(purpose="audit", fresh=True), first.rho_units // 2)
    claim = Run(id=bytes.fromhex(run.id), design=digest_of(prepared.plan), round=1, rounds=9, rho_units=run.rho_units)
    asked.ask_round(first, bytes(16), claim)
    asked.ask_round(other, bytes(16), claim)
    assert handed[0] == handed[1]


def test_a_round_whose_release_cannot_be_looked_at_yet_is_not_given_up(asked, quay):
    """Where the request has not failed, nothing is asked anew: the round is taken up when it can be."""

    def cut(call):
        if call == "release" and len(quay.submitted) == 3:
            raise FarrError("wrong-catalogue", "not now")

    quay.cut = cut
    with pytest.raises(FarrError, match="not now"):
        train(asked, RECIPE)
    (kept,) = runs.every(asked.folder)
    assert (kept.state, kept.lost_units) == (runs.RUNNING, 0)
    quay.cut = lambda _call: None
    trained = resume(asked, kept.id)
    assert trained.stopped is None
    assert len(quay.submitted) == len(trained.run.rounds)


def test_a_round_that_was_refused_at_the_door_is_not_said_to_have_cost_anything(asked, quay):
    """A request that the coordinator does not take reaches no hospital, so none of its price is lost."""

    def cut(call):
        if call == "submit" and len(quay.submitted) == 2:
            raise FarrError("busy", "no more requests")

    quay.cut = cut
    trained = train(asked, RECIPE)
    assert (trained.stopped.code, trained.run.lost_units) == ("busy", 0)
    quay.cut = lambda _call: None
    assert resume(asked, trained.run.id).stopped is None


def test_a_round_that_never_left_and_has_expired_is_asked_under_another_id(tmp_path, whole):
    """Killed between keeping a request and sending it, taken up days later: the run goes on at once."""
    sent, late = [], []

    def cut(call):
        sent.append(call) if call == "submit" else None
        if sent.count("submit") == 3 and call == "submit":
            raise KeyboardInterrupt
        if late and call == "submit":
            late.clear()
            raise FarrError("expired", "request")

    quay = Hospitals(cut=cut)
    federation = harbour.federation(tmp_path / "home", quay)
    with pytest.raises(KeyboardInterrupt):
        train(federation, RECIPE)
    late.append(True)
    (kept,) = runs.every(federation.folder)
    trained = resume(federation, kept.id)
    assert trained.stopped is None
    assert np.array_equal(trained.fitted.coefficients, whole.fitted.coefficients)
    assert (trained.run.spent_units, trained.run.lost_units) == (whole.run.spent_units, 0)


def test_a_refused_first_round_leaves_no_model(asked, quay):
    """Without a first answer there is nothing to keep: the refusal is raised as it is."""
    quay.fails = {1: "policy"}
    with pytest.raises(FarrError) as refused:
        train(asked, RECIPE)
    assert refused.value.code == "policy"


def test_a_release_of_another_round_is_refused(asked, quay):
    """A kept run whose rounds were exchanged is not replayed: each release must answer that very round."""
    trained = train(asked, RECIPE)
    first, second, *rest = trained.run.rounds
    changed = replace(
        trained.run,
        rounds=(
            replace(first, request=second.request, release=second.release, rho_units=second.rho_units),
            replace(second, request=first.request, release=first.release, rho_units=first.rho_units),
            *rest,
        ),
    )
    runs.write(asked.folder, changed)
    with pytest.raises(Rejected):
        resume(asked, trained.run.id)


def test_what_is_kept_of_a_run_is_its_owners_alone(asked):
    """Nobody else can read a run, and what is read is what was written."""
    run = begin(asked, RECIPE, by_residence=False, patience=3600)
    path = runs.folder_of(asked.folder, run.id) / runs.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert runs.find(asked.folder, run.id[:5]) == run
    with pytest.raises(FarrError):
        runs.find(asked.folder, "../..")
    path.write_text(json.dumps({"format": 1}))
    with pytest.raises(FarrError) as damaged:
        runs.find(asked.folder, run.id)
    assert damaged.value.code == "damaged-run"


def test_a_run_outlives_no_change_of_the_catalogue(asked):
    """A run that was begun under another catalogue is not gone on with."""
    run = begin(asked, RECIPE, by_residence=False, patience=3600)
    runs.write(asked.folder, replace(run, catalogue="00" * 32))
    with pytest.raises(FarrError) as refused:
        resume(asked, run.id)
    assert refused.value.code == "wrong-catalogue"


def test_patients_held_out_tell_how_well_it_predicts(asked, quay):
    """With a share held out the last round is of other patients, and the model has an evaluation."""
    quay.serve = quay.tally
    trained = train(asked, replace(RECIPE, held_out=Fraction(1, 5)))
    splits = [decode(Plan, each.plan).parts[0].aggregates[0].step.split for each in quay.submitted]
    assert {(each.first, each.last) for each in splits[:-1]} == {(1, 4)}
    assert (splits[-1].first, splits[-1].last, splits[-1].folds) == (0, 0, 5)
    assert trained.fitted.evaluation.figure("auc").value > 0.6


def test_a_module_that_does_not_fit_the_terms_is_refused_before_anything_is_asked(asked, quay):
    """A network's module must take as many numbers as the terms have columns, and give one for each class."""

    def linear(given, outputs):
        named = {"__module__": "torch.nn.modules.linear"}
        return type("Linear", (SimpleNamespace,), named)(in_features=given, out_features=outputs, bias=0)

    layers = [linear(3, 4), linear(4, 1)]
    kind = type("Sequential", (SimpleNamespace,), {"__module__": "torch.nn.modules.container"})
    module = kind(children=lambda: iter(layers))
    with pytest.raises(FarrError, match="takes 3"):
        Network(module, purpose="audit").fit(asked, table="stay", outcome="sex = 'F'", terms=["age"])
    assert quay.submitted == []


def test_an_estimator_is_fitted_over_a_federation(asked):
    """What fit gives is trained, and the coefficient is that of the people."""
    model = LogisticRegression(epsilon=3, purpose="audit").fit(asked, table="stay", outcome="sex = 'F'", terms=["age"])
    assert abs(model.coef_[0, 0] - SLOPE) < 0.02
    assert model.card_["hospitals"]["in_every_round"] == list(harbour.SITES)
