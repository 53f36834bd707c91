from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special, stats

from queries.asked.plan import POINT
from queries.models import elementary
from queries.models.design import Design
from queries.models.families import Rows
from queries.models.network import Pass
from queries.models.shape import Shape
from tests.queries.designs import (
    FAMILIES,
    INTERVALS,
    MODELS,
    NETWORKS,
    STRATA,
    design_for,
    only,
    shape_for,
    step_for,
)

GRID = np.linspace(-60, 60, 100_003)
EACH = [
    pytest.param(elementary.exponential, np.exp, GRID, 1e-12, id="exp"),
    pytest.param(elementary.logarithm, np.log, np.exp(GRID), 1e-12, id="log"),
    pytest.param(elementary.logistic, special.expit, GRID, 1e-12, id="logistic"),
    pytest.param(elementary.softplus, lambda v: np.logaddexp(0, v), GRID, 1e-12, id="softplus"),
    pytest.param(elementary.tangent, np.tanh, GRID, 1e-12, id="tanh"),
    pytest.param(elementary.normal, special.ndtr, GRID / 6, 1e-9, id="normal"),
    pytest.param(elementary.density, stats.norm.pdf, GRID / 6, 1e-12, id="density"),
    pytest.param(elementary.log_factorials, lambda v: special.gammaln(v + 1), np.arange(500.0), 1e-12, id="factorials"),
]


@pytest.mark.parametrize(("ours", "theirs", "values", "error"), EACH)
def test_an_elementary_function_is_the_one_of_its_name(ours, theirs, values, error) -> None:
    """To the error that its docstring states, of 1 or of the value where that is larger."""
    wanted = theirs(values)
    assert (np.abs(ours(values) - wanted) <= error * np.maximum(1, np.abs(wanted))).all()


@pytest.mark.parametrize(("ours", "theirs", "values", "error"), EACH)
def test_an_elementary_function_of_a_number_does_not_depend_on_its_neighbours(ours, theirs, values, error) -> None:
    """The same bits alone, in short arrays, in the middle of long ones and at their ends, with any stride."""
    some = values[:: max(1, len(values) // 203)]
    together = ours(some)
    for length in (1, 2, 3, 5, 8, 13):
        for first in range(0, len(some), length):
            assert (ours(some[first : first + length]) == together[first : first + length]).all()
    assert (ours(np.repeat(some, 2)[::2]) == together).all()
    assert (ours(np.stack([some, some], axis=1)) == together[:, None]).all()
    assert (ours(some[::-1])[::-1] == together).all()


def test_products_of_rows_do_not_depend_on_other_rows() -> None:
    """A row's bits are those that it has alone."""
    chance = np.random.default_rng(1)
    rows, weights = chance.standard_normal((300, 37)), chance.standard_normal((11, 37))
    together, single = elementary.product(rows, weights), elementary.weighed(rows, weights[0])
    for place in range(300):
        assert (elementary.product(rows[place : place + 1], weights) == together[place]).all()
        assert elementary.weighed(rows[place : place + 1], weights[0]) == single[place]
    np.testing.assert_allclose(together, rows @ weights.T, atol=1e-12)
    np.testing.assert_allclose(single, rows @ weights[0], atol=1e-12)


@pytest.mark.parametrize("model", FAMILIES)
def test_gradients_and_curvatures_are_derivatives_of_the_losses(model) -> None:
    """By central differences of minus the log-likelihood, coefficient by coefficient, row by row."""
    chance = np.random.default_rng(2)
    design, shape = design_for(model, chance, 40), shape_for(model)
    step = step_for(model, chance)
    rows = Rows(step=step, design=design, shape=shape)
    everyone = np.arange(design.rows)
    gradient = np.zeros((design.rows, shape.width))
    gradient[:, rows.places] = rows.gradients(everyone)
    small = POINT >> 14
    for place in range(shape.width):
        moved = []
        for by in (small, -small):
            point = tuple(each + by * (index == place) for index, each in enumerate(step.point))
            moved.append(Rows(step=replace(step, point=point), design=design, shape=shape))
        up, down = moved
        slope = (up.losses - down.losses) / (2 * small / POINT)
        np.testing.assert_allclose(-slope, gradient[:, place], atol=1e-5 * (1 + np.abs(slope).max()))
        if place == shape.width - shape.columns:
            bend = (up.gradients(everyone) - down.gradients(everyone))[:, -shape.columns] / (2 * small / POINT)
            wanted = rows.curvatures.sum(axis=0) * design.x[:, 0] ** 2
            np.testing.assert_allclose(-bend, wanted, atol=1e-5 * (1 + np.abs(wanted).max()))


def episodes(design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split Cox rows into one for each interval that they reach: columns, what happened, and share of the interval."""
    columns, happened, amounts = [], [], []
    edges = list(pairwise(INTERVALS))
    for x, event, days, stratum in zip(design.x, design.outcome, design.exposure, design.stratum, strict=True):
        for place, (start, end) in enumerate(edges):
            if days < start:
                break
            cell = np.zeros(STRATA * len(edges))
            cell[stratum * len(edges) + place] = 1
            columns.append(np.r_[cell, x])
            happened.append(event * (start <= days < end))
            amounts.append((min(days + 0.5, end) - start) / (end - start))
    return np.array(columns), np.array(happened), np.array(amounts)


def fitted_by_statsmodels(model: str, design: Design) -> np.ndarray:
    """Fit the model that Farr's is meant to be."""
    x = sm.add_constant(design.x, has_constant="add")
    if model == "linear":
        return np.asarray(sm.OLS(design.outcome, x).fit().params)
    if model == "logistic":
        return np.asarray(sm.Logit(design.outcome, x).fit(disp=0).params)
    seen, exposure = design.outcome, design.exposure
    if model == "cox":
        x, seen, exposure = episodes(design)
    return np.asarray(sm.GLM(seen, x, family=sm.families.Poisson(), exposure=exposure).fit(tol=1e-12).params)


def newton(model: str, design: Design, shape: Shape) -> np.ndarray:
    """Maximise the likelihood with Farr's gradients and curvatures alone."""
    step = step_for(model, np.random.default_rng(0))
    point = np.zeros(shape.width)
    everyone = np.arange(design.rows)
    for _ in range(30):
        whole = tuple(np.rint(point * POINT).astype(np.int64).tolist())
        rows = Rows(step=replace(step, point=whole), design=design, shape=shape)
        gradient = np.zeros(shape.width)
        gradient[rows.places] = rows.gradients(everyone).sum(axis=0)
        information = np.zeros((shape.width, shape.width))
        for interval in range(rows.intervals):
            z = np.zeros((design.rows, shape.width))
            z[everyone, design.stratum * rows.intervals + interval] = 1
            z[:, shape.width - shape.columns :] = design.x
            information += z.T @ (rows.curvatures[interval][:, None] * z)
        point += np.linalg.solve(information, gradient)
    return point


@pytest.mark.parametrize("model", FAMILIES)
def test_the_best_coefficients_are_those_of_statsmodels(model) -> None:
    """OLS, Logit, a Poisson GLM with exposure, and for Cox one on rows split at the intervals."""
    design = design_for(model, np.random.default_rng(3), 600)
    np.testing.assert_allclose(newton(model, design, shape_for(model)), fitted_by_statsmodels(model, design), atol=1e-5)


def test_losses_are_minus_log_likelihoods() -> None:
    """Of a count with its factorial, of an event with the hazard of its interval, of a number half the square."""
    chance = np.random.default_rng(4)
    for model in ("linear", "logistic", "poisson"):
        design, step = design_for(model, chance, 50), step_for(model, chance)
        rows = Rows(step=step, design=design, shape=shape_for(model))
        point = np.array(step.point) / POINT
        predictor = point[0] + design.x @ point[1:]
        wanted = {
            "linear": (design.outcome - predictor) ** 2 / 2,
            "logistic": -stats.bernoulli.logpmf(design.outcome, special.expit(predictor)),
            "poisson": -stats.poisson.logpmf(design.outcome, design.exposure * np.exp(predictor)),
        }
        np.testing.assert_allclose(rows.losses, wanted[model], atol=1e-9)


def test_a_cox_row_is_followed_until_the_middle_of_its_last_step() -> None:
    """Its shares of the intervals, and the interval of its exit, at both ends and at a start."""
    design = replace(design_for("cox", np.random.default_rng(5), 5), exposure=np.array([0.0, 9.0, 10.0, 79.0, 500.0]))
    rows = Rows(step=step_for("cox", np.random.default_rng(6)), design=design, shape=shape_for("cox"))
    assert rows.exits.tolist() == [0, 0, 1, 2, 2]
    wanted = [[0.05, 0, 0], [0.95, 0, 0], [1, 0.025, 0], [1, 1, 49.5 / 50], [1, 1, 1]]
    np.testing.assert_allclose(rows.spent.T, wanted)


@pytest.mark.parametrize("model", FAMILIES)
def test_far_coefficients_give_numbers_nevertheless(model) -> None:
    """At the ends of what a point may hold, every array is finite and no predictor is beyond 30."""
    chance = np.random.default_rng(7)
    step = step_for(model, chance)
    far = tuple((1 << 40) * (-1) ** place for place in range(len(step.point)))
    rows = Rows(step=replace(step, point=far), design=design_for(model, chance, 30), shape=shape_for(model))
    assert np.abs(rows.predictors).max() <= elementary.MOST
    for values in (rows.residuals, rows.curvatures, rows.losses, rows.gradients(np.arange(30))):
        assert np.isfinite(values).all()
    assert (rows.curvatures >= 0).all()
    assert math.isfinite(float(rows.losses.sum()))


@pytest.mark.parametrize("model", MODELS)
def test_a_rows_numbers_have_the_same_bits_alone_and_among_others(model) -> None:
    """Before anything is rounded to whole numbers, which would hide most of a difference."""
    chance = np.random.default_rng(8)
    columns = 37
    step, shape = step_for(model, chance, columns=columns), shape_for(model, columns)
    design = design_for(model, chance, 400, columns=columns)
    seen = Pass if model in NETWORKS else Rows

    def numbers(of: Design) -> dict[str, np.ndarray]:
        rows = seen(step=step, design=of, shape=shape)
        gradients = np.zeros((of.rows, shape.width))
        gradients[:, rows.places] = rows.gradients(np.arange(of.rows))
        found = {"gradients": gradients, "losses": rows.losses}
        if isinstance(rows, Rows):
            return found | {"predictor": rows.predictor, "curvatures": rows.curvatures.T}
        return found | {"output": rows.output}

    together = numbers(design)
    for size in (1, 3, 17):
        for first in range(0, 120, size):
            some = numbers(only(design, list(range(first, first + size))))
            assert all((some[name] == values[first : first + size]).all() for name, values in together.items())
