"""A run of training: asked round by round, taken up after any cut, stopped by the budget, and never paid twice."""

import json
import stat
from dataclasses import replace
from fractions import Fraction
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from farr.errors import FarrError
from farr.training import runs
from farr.training.estimators import LogisticRegression, Network
from farr.training.frames import Rows, design_of
from farr.training.recipe import Recipe
from farr.training.run import begin, resume, train
from farr.training.terms import prepare
from protocols.errors import Rejected
from protocols.wire_pb2 import State
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import decode
from queries.asked.design import design_of as digest_of
from queries.asked.plan import Plan
from queries.cost.accounting import rho_of, units
from queries.models.contributions import tally_of
from tests.farr import harbour

RECIPE = Recipe(
    name="women", kind="logistic", table="stay", outcome="sex = 'F'", terms=("age",), epsilon=3.0, purpose="audit"
)
CATALOGUE = read_catalogue(harbour.CATALOGUE, "harbour.toml")
SLOPE = 0.05
"""By year, with which the odds of a woman rise."""


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
    assert sum(each.rho_units for each in quay.submitted) <= units(rho_of(3.0))
    assert trained.run.spent_units == sum(each.rho_units for each in quay.submitted)
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
    assert kept.rounds == ()
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
    assert trained.run.spent_units == sum(each.rho_units for each in quay.submitted)
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
    assert resume(asked, trained.run.id).stopped is None
    assert [each.run.round for each in quay.submitted][:5] == [1, 2, 3, 3, 4]


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
