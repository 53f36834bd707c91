"""What a researcher is told of a linear model's predictions: losses that can be, and the share that is explained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queries.asked.plan import NumberTerm, Split, Step
from queries.models.belief import curvature
from queries.models.clipping import BOUND_LOSS, MOST_SQUARE
from queries.models.clips import natural_clips
from queries.models.contributions import tally_of
from queries.models.design import Design
from queries.models.explained import Varies, r_squared, varies
from queries.models.fitted import Fitted
from queries.models.shape import Shape
from queries.models.training import Model
from tests.queries.noisy_runs import trained

SHAPE = Shape(columns=3)
SLOPES = np.array([0.1, 0.3, -0.2, 0.05])
SPREAD = 0.15
COLUMN = 0.4


def rows_of(chance: np.random.Generator, patients: int, rows: int) -> Design:
    """Return rows of a linear model whose columns spread by ``COLUMN`` and whose residuals by ``SPREAD``."""
    n = patients * rows
    x = np.clip(chance.normal(0, COLUMN, (n, SHAPE.columns)), -1, 1)
    outcome = np.clip(SLOPES[0] + x @ SLOPES[1:] + chance.normal(0, SPREAD, n), -1, 1)
    return Design(
        starts=np.arange(0, n, rows), x=x, outcome=outcome, exposure=np.ones(n), stratum=np.zeros(n, dtype=np.intp)
    )


def fitted_to(
    design: Design, held: Design, chance: np.random.Generator, noise: float, rows: int, penalty: float = 0.0
) -> Fitted:
    """Return a run's model: in every sum noise of ``noise`` patients, over the root of the turn's and sum's share."""
    terms = tuple(NumberTerm(column=name) for name in "abc")
    step = Step(
        model="linear", outcome=NumberTerm(column="y"), terms=terms, clip=1, reach=1, point=(), wants=(), weights=(),
        split=Split(folds=5, first=1, last=4),
    )  # fmt: skip
    clip, reach = natural_clips(step, rows)
    held_out = Split(folds=5, first=0, last=0)
    model = Model(step=replace(step, clip=clip, reach=reach), held_out=held_out, penalty=penalty)
    return trained(model, SHAPE, design, chance, noise, held=held)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_share_that_is_explained_is_that_of_the_population(rows) -> None:
    """Little noise: as near as sampling leaves it, with one row of a patient or three."""
    chance = np.random.default_rng(3)
    fitted = fitted_to(rows_of(chance, 6000, rows), rows_of(chance, 1500, rows), chance, 0.02, rows)
    explained = COLUMN**2 * float(SLOPES[1:] @ SLOPES[1:])
    found = fitted.evaluation.figure("r_squared")
    assert found.value == pytest.approx(explained / (explained + SPREAD**2), abs=0.05)
    assert found.high - found.low < 0.2


def test_a_penalty_takes_nothing_off_the_outcomes_variance() -> None:
    """Slopes of half their size leave residuals that go along with what they predict."""
    chance, patients = np.random.default_rng(7), 6000
    fitted = fitted_to(
        rows_of(chance, patients, 1), rows_of(chance, 1500, 1), chance, 0.02, 1, penalty=patients * COLUMN**2
    )
    explained = COLUMN**2 * float(SLOPES[1:] @ SLOPES[1:])
    assert fitted.coefficients[1:] == pytest.approx(SLOPES[1:] / 2, abs=0.03)
    found = fitted.evaluation.figure("r_squared")
    missed = SPREAD**2 + explained / 4
    assert found.value == pytest.approx(1 - missed / (explained + SPREAD**2), abs=0.05)


def test_intervals_of_the_explained_share_cover_it_with_noise() -> None:
    """Of 60 runs on other patients each, 52 or more contain it; the noise is much of their width."""
    chance = np.random.default_rng(4)
    explained = COLUMN**2 * float(SLOPES[1:] @ SLOPES[1:])
    true, inside, widths = explained / (explained + SPREAD**2), 0, []
    for _ in range(60):
        fitted = fitted_to(rows_of(chance, 3000, 1), rows_of(chance, 1000, 1), chance, 0.5, 1)
        found = fitted.evaluation.figure("r_squared")
        inside += found.low <= true <= found.high
        widths.append(found.high - found.low)
    assert 52 <= inside <= 60
    assert 0.1 < np.median(widths) < 1.5


LINEAR = Step(
    model="linear", outcome=NumberTerm(column="y"), terms=(NumberTerm(column="a"),), clip=1, reach=1, point=(0, 0),
    wants=("loss",), weights=(1,),
)  # fmt: skip


def test_a_loss_is_hardly_cut_where_an_outcome_has_a_long_tail() -> None:
    """Stays of some four days within bounds of 1 to 14: the mean of the losses is that of the squares within 2 %."""
    chance, n = np.random.default_rng(8), 20_000
    days = np.clip(np.round(chance.gamma(2.2, 2.0, n)), 1, 14)
    outcome = (days - days.mean()) / 6.5
    design = Design(
        starts=np.arange(n),
        x=np.zeros((n, 1)),
        outcome=outcome,
        exposure=np.ones(n),
        stratum=np.zeros(n, dtype=np.intp),
    )
    patients, total = tally_of(LINEAR, design, Shape(columns=1)) / BOUND_LOSS * [1, MOST_SQUARE]
    assert patients == n
    assert total / n == pytest.approx((outcome**2).mean() / 2, rel=0.02)


def test_noise_leaves_something_of_the_explained_share_of_a_small_study() -> None:
    """2,000 patients held out, noise of 27 patients as at an epsilon of 1, an outcome that fills half its bounds."""
    outcome = Varies(variance=0.1, error=0.002, rows=1.0)
    found = r_squared(LINEAR, outcome, np.array([2000.0, 80.0]), (27 * 1.0) ** 2)
    assert found.value == pytest.approx(0.2)
    assert found.high - found.value < 0.6


def test_the_error_of_an_outcomes_variance_is_what_samples_say() -> None:
    """Of an outcome that is mostly explained: which patients there are moves how far columns spread, too."""
    chance, patients, slopes = np.random.default_rng(6), 400, np.array([0.05, 0.5, -0.3, 0.2])
    left, found = 0.05**2, []
    step = Step(
        model="linear", outcome=NumberTerm(column="y"), terms=(NumberTerm(column="a"),), clip=1, reach=1, point=(),
        wants=("loss",), weights=(1,),
    )  # fmt: skip
    for _ in range(400):
        x = np.column_stack([np.ones(patients), chance.normal(0, 0.3, (patients, 3))])
        y = x @ slopes + chance.normal(0, np.sqrt(left), patients)
        information = x.T @ x
        fit = np.linalg.solve(information, x.T @ y)
        loss = np.array([patients, float(((y - x @ fit) ** 2).sum()) / 2])
        fitted = Fitted(
            kind="linear", names=("", "", "", ""), coefficients=fit, noise_covariance=1e-12 * np.eye(4),
            sampling_covariance=left * np.linalg.inv(information), contributors=5, history=(), finished=True, notes=(),
        )  # fmt: skip
        found.append(varies(step, fitted, curvature(information, 1e-9), [(loss, 1e-9)]))
    spread = np.std([each.variance for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=0.15)


def test_no_loss_that_is_shown_is_one_that_cannot_be() -> None:
    """Below 0 or above where a patient's is cut: the noise alone puts sums there. The share is hidden by it."""
    chance = np.random.default_rng(5)
    found = [fitted_to(rows_of(chance, 300, 1), rows_of(chance, 100, 1), chance, 4.0, 1) for _ in range(20)]
    losses = [each.loss for fitted in found for each in fitted.history if each.loss is not None]
    assert min(losses) == 0.0
    for fitted in found:
        for each in fitted.history:
            assert each.loss is None or 0.0 <= each.low <= each.loss <= each.high <= MOST_SQUARE
        figure = fitted.evaluation.figure("loss")
        assert np.isnan(figure.value) or 0.0 <= figure.low <= figure.value <= figure.high <= MOST_SQUARE


def test_a_share_of_nothing_that_is_known_is_hidden() -> None:
    """No outcome's variance, one that its error may account for, and no patients held out that the noise shows."""
    loss = np.array([500.0, 10.0])
    step = Step(
        model="linear", outcome=NumberTerm(column="y"), terms=(NumberTerm(column="a"),), clip=1, reach=1, point=(),
        wants=("loss",), weights=(1,),
    )  # fmt: skip
    clear = Varies(variance=0.1, error=0.01, rows=1.0)
    assert r_squared(step, clear, loss, 1.0).value == pytest.approx(1 - 2 * 10 / 500 / 0.1)
    assert np.isnan(r_squared(step, None, loss, 1.0).value)
    assert np.isnan(r_squared(step, replace(clear, error=0.04), loss, 1.0).value)
    assert np.isnan(r_squared(step, clear, loss, 1e6).value)
