"""The audits of ``test_audits``, of rounds of training and their whole path: preparation, rows, clip, noise, decoding.

B: no patient moves a round further than stated, of every model. C: nobody who sees many releases tells two neighbouring
data sets apart better than mu = 2 allows, for a patient who reaches all worst cases at once, and for an app that does
its worst. D: the same from one release with eight thousand patients who are each in or out by a coin. Each is also run
on planted defects: no clip, a clip of the batch or of rows instead of patients, half the sensitivity of an app's
update, noise a fifth too small.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from node.records.prepare import prepare
from node.scan.scan import Scanner
from node.scan.steps import AppRows
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import (
    EVERYTHING,
    ONE,
    POINT,
    Aggregate,
    AppStep,
    BandKey,
    Between,
    Bound,
    FlagKey,
    Part,
    Plan,
    Step,
)
from queries.cost.tally import Block, StepSum, Tally, tally
from queries.models import contributions, information
from queries.models.clipping import BOUND, BOUND_LOSS, BOUND_UPDATE, update
from queries.models.contributions import tally_of
from queries.models.shape import Shape, sum_width
from tests.distributions.test_audits import ALPHA, Federation, distance, game_alarm, law_alarm, small_scale
from tests.node.change import beyond
from tests.queries.designs import MODELS, design_for, only, shape_for, step_for

__all__ = ["small_scale"]

CANARIES = 8_000
RELEASES = 10_000
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def laid_out(step: Step | AppStep, agreed: Catalogue, rows: int) -> Tally:
    """Return the tally of a step of at most so many rows a patient."""
    part = Part(
        table="row",
        where=EVERYTHING,
        keys=(),
        aggregates=(Aggregate(statistic="step" if isinstance(step, Step) else "app", step=step),),
        bound=Bound(rows=rows, groups=1),
    )
    return tally(Plan(catalogue=agreed.digest, parts=(part,)), agreed)


def stated(step: Step, shape: Shape, rows: int) -> Tally:
    """Return the tally of a step of made-up designs, which have no catalogue: its measures in one part."""
    bounds = {"gradient": BOUND, "information": BOUND, "loss": BOUND_LOSS, "grades": 1}
    widths = [sum_width(want, step, shape) for want in step.wants]
    part = Part(table="row", where=EVERYTHING, keys=(), aggregates=(), bound=Bound(rows=rows, groups=1))
    return Tally(
        plan=Plan(catalogue=bytes(32), parts=(part,)),
        blocks=tuple(
            Block(keys=(), measure=StepSum(sum=want, width=width, bound=bounds[want]), where=EVERYTHING)
            for want, width in zip(step.wants, widths, strict=True)
        ),
        sizes=tuple(widths),
        of_aggregate=(),
    )


@dataclass(frozen=True)
class Round(Federation):
    """A round of training, asked of hospitals whose rows are (patient, cell).

    A row of the last cell has its term at 1 and an event that the model hardly expects: with the most rows its patient
    reaches the worst case of all four sums at once. Other rows add next to nothing. An app does its worst: it looks
    for that patient, and points the other way.
    """

    app: bool = False

    @property
    def step(self) -> Step | AppStep:
        """The step: a logistic model at an intercept of -9, or an app's."""
        if self.app:
            return AppStep(
                app=bytes(32),
                message=bytes(32),
                size=1,
                kind="train",
                columns=("cell",),
                entries=3,
                clip=ONE,
                seconds=1,
            )
        last = FlagKey(term=Between(column="cell", low=self.cells - 1, high=None))
        return Step(
            model="logistic",
            outcome=last,
            terms=(last,),
            clip=ONE,
            reach=8,
            point=(-9 * POINT, 0),
            wants=("gradient", "information", "loss", "grades"),
            weights=(6, 2, 1, 1),
            cuts=(0,),
        )

    @property
    def tally(self) -> Tally:
        """The round's shape."""
        return laid_out(self.step, self.agreed, self.rows)

    def exact(self, rows: list[tuple[int, int]]) -> Ints:
        """Prepare and scan one hospital's rows."""
        if not self.app:
            return super().exact(rows)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "row.csv").write_text("pid,cell\n" + "".join(f"{p},{c}\n" for p, c in rows))
        made = prepare(self.folder / "home", self.folder, None, self.agreed, bytes(32))
        scanner = Scanner(made.path, app=self.worst)
        try:
            return scanner.tally(self.tally, self.agreed, "h", {}, own_row=True)
        finally:
            scanner.close()

    def worst(self, step: AppStep, rows: AppRows) -> Ints:
        """Point one way without the patient, and the other way with."""
        seen = bool((rows.columns["cell"] == self.cells - 1).any())
        return update(np.array([3.0, -4.0, 1e300]) * (-1 if seen else 1), clip=step.clip / ONE)


@pytest.fixture
def asked(tmp_path) -> Callable[..., Round]:
    """Make rounds at mu = 2."""
    return partial(Round, cells=2, rows=3, rho=Fraction(2), honest=1, folder=tmp_path / "hospital")


# --- planted defects --------------------------------------------------------------------------------------------------


@pytest.fixture
def no_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add patients' gradients as they are."""
    monkeypatch.setattr(contributions, "clipped", lambda values, *_: values)


@pytest.fixture
def clip_of_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clip the sum of a batch to as much as its patients might have added together."""
    real = contributions.clipped

    def clipped(values: Floats, bound: int, _width: int = 0) -> Floats:
        return real(values.sum(axis=0, keepdims=True), bound * len(values))

    monkeypatch.setattr(contributions, "clipped", clipped)


@pytest.fixture
def clip_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clip each row, and add a patient's rows afterwards."""
    real, whole = contributions.clipped, contributions.whole

    def held(values: Floats) -> Floats:
        return real(whole(values), BOUND) if values.ndim == 2 else whole(values)

    monkeypatch.setattr(contributions, "whole", held)
    monkeypatch.setattr(contributions, "clipped", lambda values, *_: values)


@pytest.fixture
def no_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add patients' informations as they are."""
    monkeypatch.setattr(information, "_lower", lambda *_: None)


@pytest.fixture
def half_of_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charge for an update's clip, not for twice that."""
    real = Round.measurement.fget
    monkeypatch.setattr(Round, "measurement", property(lambda self: real(replace(self, rho=4 * self.rho))))


GRADIENT = ["no_clip", "clip_of_batch", "clip_of_rows"]
DEFECTS = [*GRADIENT, "no_reach"]


# --- A: the law of the noise ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_noise_of_a_round_has_the_declared_law(asked) -> None:
    """Of all four sums, from three hospitals' shares."""
    assert not law_alarm(asked(rho=Fraction(1, 3), honest=3))


@pytest.mark.slow
@pytest.mark.usefixtures("small_scale")
def test_the_law_audit_notices_noise_of_a_round_that_is_a_fifth_too_small(asked) -> None:
    """Planted defect: scale -20 %."""
    assert law_alarm(asked(rho=Fraction(1, 3), honest=3))


# --- B: the sensitivity -----------------------------------------------------------------------------------------------


def moved(model: str) -> set[str]:
    """Take each patient away from random rows, at near and far coefficients; return the sums that move too far."""
    chance, found, shape = np.random.default_rng(20261122), set(), shape_for(model)
    for size in (0.5, 0.5, 5.0, 800.0):
        design = design_for(model, chance, 7, 4)
        step = replace(step_for(model, chance, size=size), clip=ONE // 50, reach=ONE // 50)
        shaped = stated(step, shape, 4)
        whole = tally_of(step, design, shape)
        for patient in range(design.patients):
            others = only(design, [other for other in range(design.patients) if other != patient])
            found |= {step.wants[place] for place in beyond(whole - tally_of(step, others, shape), shaped)}
    return found


@pytest.mark.parametrize("model", MODELS)
def test_no_patient_moves_a_round_further_than_stated(model) -> None:
    """Of every model, with several rows, far beyond the clip."""
    assert not moved(model)


@pytest.mark.parametrize("defect", GRADIENT)
@pytest.mark.parametrize("model", MODELS)
def test_the_sensitivity_audit_notices_a_clip_that_is_not_of_patients(model, defect, request) -> None:
    """Planted defects: no clip, a clip of the batch, a clip of rows."""
    request.getfixturevalue(defect)
    assert moved(model) == {"gradient"}


@pytest.mark.usefixtures("no_reach")
@pytest.mark.parametrize("model", ["linear", "logistic", "poisson", "cox"])
def test_the_sensitivity_audit_notices_an_information_that_is_not_clipped(model) -> None:
    """Planted defect: patients' informations as they are."""
    assert moved(model) == {"information"}


def test_two_updates_are_at_most_twice_the_bound_apart() -> None:
    """Whatever an app returns with and without one patient: not a number, infinite, too long, turned round."""
    chance = np.random.default_rng(1)
    values = [chance.standard_normal(50) * 10.0**size for size in range(-8, 300, 11)]
    values += [-each for each in values] + [np.full(50, np.nan), np.full(50, np.inf), np.zeros(50)]
    found = [update(each, clip=2.0) for each in values]
    lengths = [sum(int(entry) ** 2 for entry in one - other) for one in found for other in found]
    assert (2 * BOUND_UPDATE - 60) ** 2 < max(lengths) <= (2 * BOUND_UPDATE) ** 2


# --- C: the distinguishing game ---------------------------------------------------------------------------------------


def test_many_releases_of_a_round_tell_neighbours_apart_no_better_than_the_cost_allows(asked) -> None:
    """The patient who reaches the worst cases of all four sums: allowed, and nearly reached."""
    seen = distance(asked(), RELEASES, batch=RELEASES)
    assert 1.5 < seen <= 2


@pytest.mark.usefixtures("small_scale")
def test_the_game_notices_noise_of_a_round_that_is_a_fifth_too_small(asked) -> None:
    """Planted defect: scale -20 %."""
    assert game_alarm(asked(), RELEASES, batch=RELEASES)


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_game_notices_a_clip_that_is_not_of_patients(asked, defect, request) -> None:
    """Planted defects: no clip, a clip of the batch, a clip of rows, an information that is not clipped."""
    request.getfixturevalue(defect)
    assert game_alarm(asked(), 1_000, batch=1_000)


def test_many_updates_of_an_app_tell_neighbours_apart_no_better_than_the_cost_allows(asked) -> None:
    """An app that does its worst reaches what is charged, and no more."""
    seen = distance(asked(app=True), RELEASES, batch=RELEASES)
    assert 1.5 < seen <= 2


@pytest.mark.usefixtures("half_of_update")
def test_the_game_notices_an_update_that_is_charged_for_half(asked) -> None:
    """Planted defect: C where 2C is the sensitivity."""
    assert distance(asked(app=True), 1_000, batch=1_000) > 2


@pytest.mark.slow
@pytest.mark.usefixtures("small_scale")
def test_the_game_notices_noise_of_an_update_that_is_a_fifth_too_small(asked) -> None:
    """Planted defect: scale -20 %."""
    assert game_alarm(asked(app=True), RELEASES, batch=RELEASES)


# --- D: one release ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Canaries(Federation):
    """A gradient of a Cox model in which each patient has a baseline alone, and of which it expects nothing."""

    @property
    def step(self) -> Step:
        """The step: as many strata as patients, one interval, an event in every row, and a term that is never 1."""
        return Step(
            model="cox",
            outcome=FlagKey(term=Between(column="cell", low=0, high=None)),
            terms=(FlagKey(term=Between(column="cell", low=None, high=-1)),),
            clip=ONE // 2,
            reach=ONE,
            point=(-20 * POINT,) * (self.cells + 1),
            wants=("gradient",),
            weights=(1,),
            time=BandKey(column="cell", starts=(0,)),
            strata=(BandKey(column="cell", starts=tuple(range(self.cells))),),
        )

    @property
    def tally(self) -> Tally:
        """One block."""
        return laid_out(self.step, self.agreed, 1)


def one_release_alarm(asked: Canaries) -> bool:
    """Guess from one release which canaries were in; alarm when more guesses are right than the cost allows."""
    coin = (np.frombuffer(os.urandom(CANARIES), dtype=np.uint8) & 1).astype(np.int64)
    exact = asked.exact([(canary, canary) for canary in np.flatnonzero(coin).tolist()])
    assert (exact[:CANARIES] >= coin * (BOUND - 1)).all()
    (block,) = asked.measurement.blocks
    middle = BOUND / 2 / float(block.variance(1)) ** 0.5
    right = int(((asked.releases([exact], 1, batch=1)[0][:CANARIES] > middle) == coin).sum())
    allowed = stats.norm.cdf(float(2 * asked.measurement.rho) ** 0.5 / 2)
    return bool(stats.binom.sf(right - 1, CANARIES, allowed) < ALPHA)


def canaries(folder) -> Canaries:
    """Return the round of audit D."""
    return Canaries(cells=CANARIES, rows=1, rho=Fraction(2), honest=1, folder=folder / "hospital")


def test_one_release_of_a_gradient_betrays_no_more_canaries_than_the_cost_allows(tmp_path) -> None:
    """Eight thousand patients with a coefficient each, in one release."""
    assert not one_release_alarm(canaries(tmp_path))


@pytest.mark.usefixtures("small_scale")
def test_one_release_of_a_gradient_with_noise_a_fifth_too_small_betrays_more(tmp_path) -> None:
    """Planted defect: scale -20 %."""
    assert one_release_alarm(canaries(tmp_path))
