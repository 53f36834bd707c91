"""A run of training in memory: node code computes, calibrates and draws; only the rows are ours."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import sqrt

import numpy as np
import pytest

from farr.training.rehearsal import Federation, drawn, exactly, measured, normal_noise, rehearse
from queries.asked.plan import FlagKey, Missing, NumberTerm, Split, Step
from queries.cost.accounting import rho_of
from queries.models.clips import natural_clips
from queries.models.design import Design
from queries.models.fitted import Fitted
from queries.models.glm import HIDDEN, STRATIFIED
from queries.models.shape import Shape
from queries.models.training import Model, train
from queries.models.turns import Floats

RHO = rho_of(1.0)


def model_of(kind: str, columns: int, **more: object) -> Model:
    """Return a model with natural clips."""
    bare = Step(
        model=kind,
        outcome=FlagKey(term=Missing(column="y")),
        terms=tuple(NumberTerm(column=f"x{place}") for place in range(columns)),
        clip=1,
        reach=1,
        point=(),
        wants=(),
        weights=(),
    )
    clip, reach = natural_clips(bare)
    return Model(step=replace(bare, clip=clip, reach=reach), **more)  # type: ignore[arg-type]


def design_of(x: Floats, outcome: Floats, followed: Floats | None = None) -> Design:
    """Return rows of one patient each."""
    return Design(
        starts=np.arange(len(x)),
        x=x,
        outcome=outcome,
        exposure=np.ones(len(x)) if followed is None else followed,
        stratum=np.zeros(len(x), dtype=np.intp),
    )


def made_up(kind: str, rows: int, seed: int = 3) -> tuple[Design, Shape]:
    """Return rows that follow a model: two numbers and two codes."""
    draws = np.random.default_rng(seed)
    x = np.column_stack([draws.uniform(-1, 1, (rows, 2)), draws.random((rows, 2)) < 0.4]).astype(np.float64)
    predictor = x @ np.array([0.8, -0.5, -0.6, 0.9])
    if kind == "linear":
        return design_of(x, np.clip(0.1 + 0.2 * predictor + draws.normal(0, 0.3, rows), -1, 1)), Shape(columns=4)
    if kind == "logistic":
        return design_of(x, (draws.random(rows) < 1 / (1 + np.exp(1 - predictor))) * 1.0), Shape(columns=4)
    if kind == "poisson":
        return design_of(x, draws.poisson(np.exp(-0.5 + 0.6 * predictor)).astype(np.float64)), Shape(columns=4)
    died = draws.exponential(400 / np.exp(-1.7 + 0.7 * predictor))
    lost = np.minimum(draws.uniform(0, 1095, rows), 729)
    shape = Shape(columns=4, intervals=(0, 60, 180, 365, 730))
    return design_of(x, (died <= lost) * 1.0, np.floor(np.minimum(died, lost))), shape


def errors_of(fit: Fitted) -> Floats:
    """Return the standard errors by the noise alone."""
    assert fit.noise_errors is not None
    return fit.noise_errors


def deviations(kind: str, rows: int, runs: int) -> Floats:
    """Return how far each run's coefficients are from the fit without noise, in noise-only standard errors."""
    design, shape = made_up(kind, rows)
    model = model_of(kind, 4)
    exact = exactly(model, shape, [design])
    federation = Federation(designs=[design], noise=normal_noise(np.random.default_rng(11).standard_normal))
    found = [rehearse(model, shape, federation, RHO) for _ in range(runs)]
    return np.array([(fit.coefficients - exact.coefficients) / errors_of(fit) for fit in found])


def test_noise_of_a_turn_has_the_scale_that_its_share_pays_for() -> None:
    """A gradient that gets the whole of rho 1/2 is noised with a standard deviation of one clip."""
    model = model_of("logistic", 4)
    step = replace(model.step, point=(0,) * 5, wants=("gradient",), weights=(1,))
    noise = measured(step, Shape(columns=4), Fraction(1, 2), honest=1)
    assert sqrt(noise.blocks[0].variance(1)) == pytest.approx(1 << 16, rel=1e-3)
    sample = np.concatenate(
        [drawn(noise, 1, np.random.default_rng(7).bytes) / noise.blocks[0].grid for _ in range(400)]
    )
    assert np.std(sample) == pytest.approx(1 << 16, rel=0.1)


@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson", "cox"])
def test_without_noise_a_run_ends_at_the_maximum_of_the_likelihood(kind: str) -> None:
    """The gradient vanishes there, to what whole numbers leave."""
    design, shape = made_up(kind, 2000)
    exact = exactly(model_of(kind, 4), shape, [design])
    reference = newton(kind, design, shape)
    # Cox and Poisson: a few patients' parts are clipped.
    assert exact.coefficients == pytest.approx(reference, abs=0.002 if kind in ("linear", "logistic") else 0.1)


def newton(kind: str, design: Design, shape: Shape) -> Floats:
    """Return the fit of a textbook, written for this test alone: dense columns, no clip."""
    edges = np.array(shape.intervals or (0, 1), dtype=np.float64)
    spent = np.ones((1, design.rows))
    events = design.outcome[None, :]
    if shape.intervals:
        spent = np.clip((design.exposure + 0.5 - edges[:-1, None]) / np.diff(edges)[:, None], 0, 1)
        last = np.searchsorted(edges[:-1], design.exposure, side="right") - 1
        events = design.outcome * (last == np.arange(len(edges) - 1)[:, None])
    base = len(spent)
    columns = np.concatenate(
        [np.column_stack([np.tile(np.eye(base)[place], (design.rows, 1)), design.x]) for place in range(base)]
    )
    seen, amount = events.ravel(), spent.ravel()
    at = np.zeros(columns.shape[1])
    for _ in range(60):
        predictor = columns @ at
        if kind == "linear":
            mean, weight = predictor, np.ones_like(predictor)
        elif kind == "logistic":
            mean = 1 / (1 + np.exp(-predictor))
            weight = mean * (1 - mean)
        else:
            mean = weight = amount * np.exp(predictor)
        step = np.linalg.solve((columns * weight[:, None]).T @ columns, columns.T @ (seen - mean))
        at = at + np.clip(step, -1, 1)
    found: Floats = at
    return found


@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson", "cox"])
def test_intervals_by_the_noise_cover_the_fit_without_it(kind: str) -> None:
    """About 95 in 100 do at 2,000 patients and epsilon 1; the slow test says it more sharply."""
    covered = np.abs(deviations(kind, 2000, 40)) < 1.96
    # 40 runs of 5 to 8 coefficients: three standard errors of runs whose coefficients go together are about 6 points.
    assert 0.88 < covered.mean() < 0.995


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson", "cox"])
def test_of_a_thousand_fits_93_to_97_percent_cover_the_fit_without_noise(kind: str) -> None:
    """At 4,000 patients and epsilon 1, over all coefficients, and none of them lies apart from the rest."""
    covered = (np.abs(deviations(kind, 4000, 1000)) < 1.96).mean(axis=0)
    assert 0.93 < covered.mean() < 0.97
    assert covered.min() > 0.92


@pytest.mark.parametrize("kind", ["logistic", "poisson", "cox"])
def test_a_handful_of_patients_gives_finite_coefficients_and_says_what_noise_hides(kind: str) -> None:
    """With 60 patients there is next to nothing but noise: intervals are wide and a note says so, none diverges."""
    design, shape = made_up(kind, 60)
    entropy = np.random.default_rng(13).bytes
    fits = [rehearse(model_of(kind, 4), shape, Federation(designs=[design]), RHO, entropy) for _ in range(5)]
    for fit in fits:
        assert np.abs(fit.coefficients).max() < 30
        assert errors_of(fit).min() > 0.3
    assert sum(HIDDEN in fit.notes for fit in fits) >= 4


def test_a_model_stratified_by_hospital_keeps_their_hazards_apart() -> None:
    """Hospitals between whose patients deaths are three times as frequent: each its baseline, all the columns."""
    design, shape = made_up("cox", 6000)
    hospital = np.arange(6000) % 5
    quicker = hospital > 2
    followed = np.where(quicker, np.floor(design.exposure / 3), design.exposure)
    stratified = replace(design, exposure=followed, stratum=hospital)
    shape = replace(shape, strata=5, intervals=(0, 180, 730))
    exact = exactly(model_of("cox", 4), shape, [stratified]).coefficients
    baselines = exact[:10].reshape(5, 2)
    assert (baselines[3:].min(axis=0) > baselines[:3].max(axis=0) + 0.5).all()
    fit = rehearse(model_of("cox", 4), shape, Federation(designs=[stratified]), rho_of(3.0))
    assert (np.abs(fit.coefficients - exact) < 4.5 * errors_of(fit)).all()
    assert np.abs(fit.coefficients - exact)[10:].max() < 0.4
    assert STRATIFIED in fit.notes


def test_many_hospitals_cost_no_accuracy() -> None:
    """Forty hospitals that share the noise give the errors of one that adds it all; each the whole, worse ones."""
    design, shape = made_up("logistic", 4000)
    parts = [design_of(design.x[first::40].copy(), design.outcome[first::40].copy()) for first in range(40)]
    model = model_of("logistic", 4)

    def errors(federation: Federation) -> Floats:
        return errors_of(rehearse(model, shape, federation, RHO))

    one, shared = errors(Federation(designs=[design])), errors(Federation(designs=parts))
    each = errors(Federation(designs=parts, honest=1))
    assert shared == pytest.approx(one, rel=0.25)
    assert (each > 3 * one).all()


def test_a_held_out_fold_is_evaluated_and_intervals_contain_the_exact_figures() -> None:
    """Area under the curve, Brier's score and calibration on patients who did not train; four runs in five at least."""
    design, shape = made_up("logistic", 12_000)
    train_rows, held = np.arange(12_000) % 4 > 0, np.arange(12_000) % 4 == 0
    federation = Federation(
        designs=[design_of(design.x[train_rows], design.outcome[train_rows])],
        held=[design_of(design.x[held], design.outcome[held])],
    )
    split = Split(folds=4, first=1, last=3)
    model = model_of("logistic", 4, held_out=Split(folds=4, first=0, last=0), evaluation_share=Fraction(1, 4))
    model = replace(model, step=replace(model.step, split=split))
    within = 0
    for _ in range(5):
        fit = rehearse(model, shape, federation, RHO)
        assert fit.evaluation is not None
        auc = fit.evaluation.figure("auc")
        assert auc is not None
        exact = area(design.outcome[held], design.x[held] @ fit.coefficients[1:])
        within += auc.low - 0.005 < exact < auc.high + 0.005
        assert {figure.name for figure in fit.evaluation.figures} == {
            "loss", "auc", "brier", "calibration_slope", "calibration_in_the_large"
        }  # fmt: skip
        assert len(fit.evaluation.bands) == 12
    assert within >= 4


def area(outcome: Floats, score: Floats) -> float:
    """Return the area under the curve over all pairs."""
    having, without = score[outcome > 0], np.sort(score[outcome == 0])
    return float(np.searchsorted(without, having).mean() / len(without))


def test_so_far_is_the_model_that_a_stopped_run_keeps() -> None:
    """None before the first sums, then the model after the turns that were paid for."""
    design, shape = made_up("logistic", 2000)
    federation = Federation(designs=[design])
    run = train(model_of("logistic", 4), shape)
    turn = next(run)
    assert turn.so_far is None
    kept: list[Fitted] = []
    for _ in range(3):
        turn = run.send(federation.sums(turn, shape, RHO, np.random.default_rng(5).bytes))
        assert turn.so_far is not None
        kept.append(turn.so_far)
    assert [len(fit.history) for fit in kept] == [1, 2, 3]
    assert not any(fit.finished for fit in kept)
