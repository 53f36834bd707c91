"""Runs of training as conversations: what they ask, in which order, and at what share of the price."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from queries.asked.check_step import MOST_POINT
from queries.asked.plan import FlagKey, Layer, Missing, NumberTerm, Split, Step
from queries.models.belief import Belief, Observed, belief, curvature, of_noise, pooled
from queries.models.clips import natural_clips
from queries.models.evaluation import auc, concordance, condition_figures, evaluated
from queries.models.fitted import Fitted
from queries.models.glm import UNSETTLED
from queries.models.rounds import unpacked
from queries.models.shape import Shape, sum_width
from queries.models.training import Model, Sums, Turn, train
from queries.models.turns import Floats
from queries.models.units import in_units

KINDS = ("linear", "logistic", "poisson", "cox", "network")
LAYERS = (Layer(kind="linear", width=3), Layer(kind="relu", width=3), Layer(kind="linear", width=1))


def model_of(kind: str) -> tuple[Model, Shape]:
    """Return a model of two columns, with patients held out."""
    step = Step(
        model=kind,
        outcome=NumberTerm(column="y") if kind in ("linear", "poisson") else FlagKey(term=Missing(column="y")),
        terms=(NumberTerm(column="a"), NumberTerm(column="b")),
        clip=1 << 17,
        reach=1 << 17,
        point=(),
        wants=(),
        weights=(),
        layers=LAYERS if kind == "network" else (),
        split=Split(folds=5, first=1, last=4),
    )
    shape = Shape(columns=2, intervals=(0, 30, 90) if kind == "cox" else (), layers=step.layers)
    return Model(step=step, held_out=Split(folds=5, first=0, last=0)), shape


def answer(turn: Turn, shape: Shape, draws: np.random.Generator, scale: float = 10.0) -> Sums:
    """Return sums that make little sense: noise around a plausible information and number of patients."""
    sums = []
    for want in turn.step.wants:
        numbers = draws.normal(0, scale, sum_width(want, turn.step, shape))
        if want == "information":
            numbers = numbers + 50 * np.eye(shape.width)[np.triu_indices(shape.width)]
        if want in ("loss", "grades"):
            numbers = numbers + 500
        sums.append(numbers)
    return Sums(sums=tuple(sums), variances=(scale**2,) * len(sums), contributors=3)


def driven(model: Model, shape: Shape, seed: int, scale: float = 10.0) -> tuple[list[Turn], Fitted]:
    """Drive a run to its end."""
    draws, run = np.random.default_rng(seed), train(model, shape)
    turns = [next(run)]
    while True:
        try:
            turns.append(run.send(answer(turns[-1], shape, draws, scale)))
        except StopIteration as end:
            return turns, end.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_told_the_same_sums_again_asks_the_same(kind: str) -> None:
    """So one that was cut short is taken up by telling it what was recorded."""
    model, shape = model_of(kind)
    first, again = driven(model, shape, 1), driven(model, shape, 1)
    assert [turn.step for turn in first[0]] == [turn.step for turn in again[0]]
    assert (first[1].coefficients == again[1].coefficients).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("held_out", [True, False])
def test_the_turns_of_a_run_cost_exactly_its_price(kind: str, rounds: int, *, held_out: bool) -> None:
    """Shares are above 0 and add up to 1, with evaluation and without; a named number of rounds is kept to."""
    model, shape = model_of(kind)
    model = replace(model, rounds=rounds, held_out=model.held_out if held_out else None)
    turns, fitted = driven(model, shape, 2)
    assert sum((turn.share for turn in turns), start=Fraction(0)) == 1
    assert min(turn.share for turn in turns) > 0
    assert len(fitted.history) == (rounds or len(turns) - held_out) == len(turns) - held_out
    assert fitted.finished
    assert (fitted.evaluation is not None) == held_out


@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson", "cox"])
def test_a_model_that_is_left_far_from_the_fit_says_so(kind: str) -> None:
    """A run that stops after its first turn, from which the fit is far; a linear one is a parabola, and there."""
    model, shape = model_of(kind)
    run = train(model, shape)
    turn = next(run)
    told = answer(turn, shape, np.random.default_rng(1))
    far = (np.where(np.arange(shape.width) < shape.width - 2, 0.0, 900.0), *told.sums[1:])
    stopped = run.send(replace(told, sums=far)).so_far
    assert stopped is not None
    assert not stopped.finished
    assert (UNSETTLED in stopped.notes) == (kind != "linear")


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_last_turn_looks_at_patients_held_out_and_it_has_all_coefficients(kind: str) -> None:
    """Training turns keep the split of the model."""
    model, shape = model_of(kind)
    turns, fitted = driven(model, shape, 3)
    assert {turn.step.split for turn in turns[:-1]} == {model.step.split}
    assert turns[-1].step.split == model.held_out
    assert {len(turn.step.point) for turn in turns} == {shape.width} == {len(fitted.coefficients)}
    cuts = turns[-1].step.cuts
    assert list(cuts) == sorted(set(cuts))
    assert bool(cuts) == (kind in ("logistic", "cox", "network"))


@pytest.mark.parametrize("kind", ["logistic", "cox"])
@pytest.mark.parametrize("slope", [0.0, 1.0, 30.0, -60.0, 500.0])
def test_however_strong_a_model_its_evaluation_is_a_round_that_is_accepted(kind: str, slope: float) -> None:
    """Bands of predictors beyond what is told apart still rise: the last round of a run is not refused."""
    model, shape = model_of(kind)
    _, fitted = driven(model, shape, 5)
    coefficients = np.full(shape.width, slope)
    asked = next(evaluated(model, shape, replace(fitted, coefficients=coefficients), 100 * np.eye(shape.width)))
    assert all(before < after for before, after in pairwise(asked.step.cuts))
    assert max(map(abs, asked.step.cuts)) <= MOST_POINT


@settings(deadline=None, max_examples=40)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), scale=st.sampled_from([0.1, 10.0, 1e4, 1e9]))
def test_no_noise_however_great_makes_a_run_fail_or_its_numbers_infinite(kind: str, seed: int, scale: float) -> None:
    """A turn's point is within its limits, and coefficients and their errors are finite."""
    model, shape = model_of(kind)
    turns, fitted = driven(replace(model, rounds=3), shape, seed, scale)
    assert all(abs(number) <= 1 << 39 for turn in turns for number in turn.step.point)
    assert np.isfinite(fitted.coefficients).all()
    if fitted.errors is not None and fitted.noise_errors is not None:
        assert np.isfinite(fitted.errors).all()
        assert (fitted.errors >= fitted.noise_errors).all()


@given(seed=st.integers(0, 2**32))
def test_a_triangle_unpacks_to_the_symmetric_matrix_of_the_same_norm(seed: int) -> None:
    """The square root of 2 off the diagonal is what keeps lengths."""
    triangle = np.random.default_rng(seed).normal(size=10)
    matrix = unpacked(triangle, 4)
    assert (matrix == matrix.T).all()
    assert np.linalg.norm(matrix) == pytest.approx(np.linalg.norm(triangle))


def test_the_spread_that_a_noisy_information_adds_is_that_of_simulation() -> None:
    """E[N M N] of symmetric Gaussian noise, against 5,000 draws."""
    draws = np.random.default_rng(4)
    half = draws.normal(size=(3, 3))
    spread = half @ half.T
    curved = curvature(1000 * np.eye(3), variance=4.0)
    drawn = np.array([unpacked(triangle, 3) for triangle in draws.normal(0, 2, (5_000, 6))])
    simulated = (drawn @ spread @ drawn).mean(axis=0)
    assert of_noise(spread, curved) == pytest.approx(simulated, abs=1.0)


def test_where_the_information_is_clear_belief_is_a_newton_step_with_its_covariance() -> None:
    """With a penalty and the noise of the gradient alone it is H^-1 S H^-1."""
    information = np.diag([400.0, 100.0])
    ridge = np.array([0.0, 5.0])
    observed = Observed(gradient=np.array([40.0, -20.0]), point=np.array([0.5, 1.0]), variance=9.0)
    weak = Belief(mean=np.zeros(2), covariance=np.eye(2) * 1e6)
    found = belief(observed, curvature(information, 1e-6), ridge, weak, weak)
    whole = np.linalg.inv(information + np.diag(ridge))
    newton = observed.point + whole @ (observed.gradient - ridge * observed.point)
    assert found.mean == pytest.approx(newton, abs=1e-3)
    assert found.covariance == pytest.approx(9 * whole @ whole, rel=1e-2, abs=1e-9)


def test_noise_of_the_information_counts_by_the_way_from_the_points_to_the_fit() -> None:
    """What it does to the gradient that is expected there is added to the gradient's own noise."""
    information, way = np.diag([4e4, 1e4]), np.array([0.6, -0.8])
    observed = Observed(gradient=information @ way, point=np.zeros(2), variance=1.0)
    weak = Belief(mean=np.zeros(2), covariance=np.eye(2) * 1e6)
    found = belief(observed, curvature(information, 100.0), np.zeros(2), weak, weak)
    turned = np.linalg.inv(information)
    expected = turned @ (np.eye(2) + 50 * (np.eye(2) + np.outer(way, way))) @ turned
    assert found.covariance == pytest.approx(expected, rel=0.05)


def test_eigenvalues_are_moved_back_to_what_the_matrix_has_along_their_vectors() -> None:
    """The lowest of a noisy information is four tenths too low, which errors by its inverse would follow."""
    draws = np.random.default_rng(12)
    information = np.diag([60.0, 90.0, 110.0, 140.0, 300.0, 400.0, 600.0, 700.0, 800.0, 3000.0])
    raw, moved, along = [], [], []
    for triangle in draws.normal(0, 20, (200, 55)):
        noisy = information + unpacked(triangle, 10)
        found = curvature(noisy, 400.0)
        lowest = found.vectors[:, 0]
        raw.append(np.linalg.eigvalsh(noisy)[0])
        moved.append(lowest @ found.matrix @ lowest)
        along.append(lowest @ information @ lowest)
    assert np.mean(raw) < 0.65 * np.mean(along)
    assert 0.75 < np.mean(moved) / np.mean(along) < 1


def test_where_the_noise_hides_the_information_belief_stays_with_the_prior() -> None:
    """No direction is believed because the noise made it look informative."""
    weak = Belief(mean=np.zeros(3), covariance=np.eye(3) * 6.25)
    observed = Observed(gradient=np.array([30.0, 2.0, -1.0]), point=np.zeros(3), variance=100.0)
    found = belief(observed, curvature(np.diag([300.0, -40.0, 3.0]), 400.0), np.zeros(3), weak, weak)
    deviations = np.sqrt(np.diag(found.covariance))
    assert deviations[0] < 0.5
    assert (deviations[1:] > 1.5).all()
    assert (np.abs(found.mean[1:]) < 1.5).all()


def test_turns_are_averaged_by_precision() -> None:
    """The one with a quarter of the variance counts four times."""
    turns = [
        Observed(gradient=np.array([1.0]), point=np.array([0.0]), variance=4.0),
        Observed(gradient=np.array([6.0]), point=np.array([5.0]), variance=1.0),
    ]
    found = pooled(turns)
    assert (float(found.gradient[0]), float(found.point[0]), found.variance) == pytest.approx((5.0, 4.0, 0.8))


def test_units_are_undone_for_each_sum() -> None:
    """A patient at the clip, at the reach, with the highest loss, in one cell."""
    step = replace(
        model_of("logistic")[0].step, wants=("gradient", "information", "loss", "grades"), weights=(1, 1, 1, 1)
    )
    blocks = (np.array([65536.0]), np.array([65536.0]), np.array([4096.0, 4096.0]), np.array([1.0]))
    found = in_units(step, blocks, (65536.0**2, 65536.0**2, 4096.0**2, 1.0), 5)
    assert [numbers.tolist() for numbers in found.sums] == [[2.0], [2.0], [1.0, 8.0], [1.0]]
    assert found.variances == pytest.approx((4.0, 4.0, 1.0, 1.0))
    assert blocks[2].tolist() == [4096.0, 4096.0]
    number = replace(step, model="linear")
    assert in_units(number, blocks, (1.0,) * 4, 5).sums[2].tolist() == [1.0, 1.0]


def test_natural_clips_hold_the_longest_gradient_of_a_logistic_model() -> None:
    """Every term at its end and a residual of 1."""
    step = model_of("logistic")[0].step
    clip, reach = natural_clips(step, rows=2)
    assert clip / 65536 == pytest.approx(2 * 3**0.5, abs=1e-4)
    assert reach / 65536 == pytest.approx(2 * 0.5 * 0.25 * 3, abs=1e-4)


def counts_of(bands: NDArray[np.int64], outcome: NDArray[np.int64]) -> Floats:
    """Return rows by band and outcome."""
    return np.array(
        [[((bands == band) & (outcome == each)).sum() for each in (0, 1)] for band in range(12)], dtype=float
    )


def test_area_and_concordance_of_cells_are_those_of_the_rows_with_ties_counted_half() -> None:
    """Against all pairs of 300 rows."""
    draws = np.random.default_rng(6)
    bands, outcome = draws.integers(0, 12, 300), draws.integers(0, 2, 300)
    exits = draws.integers(0, 4, 300)
    higher = (bands[:, None] > bands) + 0.5 * (bands[:, None] == bands)
    pairs = (outcome[:, None] == 1) & (outcome == 0)
    assert auc(counts_of(bands, outcome)) == pytest.approx(higher[pairs].mean())
    cells = np.zeros((12, 4, 2))
    np.add.at(cells, (bands, exits, outcome), 1)
    compared = (outcome[:, None] == 1) & (exits[:, None] < exits)
    assert concordance(cells) == pytest.approx(higher[compared].mean())


def test_intervals_of_figures_cover_what_is_so_with_noise_and_chance() -> None:
    """Cells drawn from a known population, with noise: of 40 intervals of each figure 35 or more contain it."""
    draws = np.random.default_rng(8)
    predictors = np.linspace(-3, 1.5, 12)
    chance = 1 / (1 + np.exp(-predictors))
    rows = 250.0
    expected = np.column_stack([rows * (1 - chance), rows * chance])
    truth = {figure.name: figure.value for figure in condition_figures(expected, 1e-9, predictors)}
    assert truth["calibration_slope"] == pytest.approx(1)
    assert truth["calibration_in_the_large"] == pytest.approx(0, abs=1e-6)
    inside = dict.fromkeys(truth, 0)
    for _ in range(40):
        cells = draws.poisson(expected) + draws.normal(0, 8, expected.shape)
        for figure in condition_figures(cells, 64.0, predictors):
            inside[figure.name] += figure.low <= truth[figure.name] <= figure.high
    assert min(inside.values()) >= 35, inside
    assert sum(inside.values()) < 40 * len(inside)  # none is as wide as to contain everything
