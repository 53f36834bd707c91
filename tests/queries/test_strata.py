"""Cox models with a baseline of its own in each stratum: what noise and prior do to what strata have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queries.asked.plan import EVERYTHING, BandKey, CodeKey, FlagKey, NumberTerm, Step
from queries.models.belief import curvature, of_noise
from queries.models.clips import natural_clips
from queries.models.design import Design
from queries.models.rounds import unpacked
from queries.models.shape import Shape
from queries.models.training import Model
from tests.queries.noisy_runs import trained

STRATA = 8
SHAPE = Shape(columns=1, strata=STRATA, intervals=(0, 30, 91))
SLOPE = 3.0


def rows_of(chance: np.random.Generator, patients: int) -> Design:
    """Return patients of eight strata whose column is nowhere near 0, as age between its bounds is."""
    x = np.clip(chance.normal(0.5, 0.2, (patients, 1)), -1, 1)
    stratum = chance.integers(0, STRATA, patients)
    died = chance.exponential(1 / np.exp(-6.5 + 0.2 * (stratum - 4) + SLOPE * x[:, 0]))
    return Design(
        starts=np.arange(patients),
        x=x,
        outcome=(died < 90).astype(float),
        exposure=np.floor(np.minimum(died, 90)),
        stratum=stratum.astype(np.intp),
    )


def model() -> Model:
    """Return the model of these rows."""
    step = Step(
        model="cox", outcome=FlagKey(term=EVERYTHING), terms=(NumberTerm(column="x"),), clip=1, reach=1, point=(),
        wants=(), weights=(), time=BandKey(column="days", starts=SHAPE.intervals[:-1]), strata=(CodeKey(column="s"),),
    )  # fmt: skip
    clip, reach = natural_clips(step)
    return Model(step=replace(step, clip=clip, reach=reach))


def test_strata_take_nothing_off_the_slopes_that_they_have_in_common() -> None:
    """A slope that moves all baselines alike: over 16 runs it errs to one side by little of its error."""
    chance = np.random.default_rng(6)
    design = rows_of(chance, 5000)
    exact = trained(replace(model(), rounds=14), SHAPE, design, chance, 1e-4)
    runs = [trained(model(), SHAPE, design, chance, 5.0) for _ in range(16)]
    assert all(run.noise_errors is not None for run in runs)
    missed = np.array([(run.coefficients - exact.coefficients)[-1] for run in runs])
    errors = np.array([run.noise_errors[-1] for run in runs])
    assert errors.mean() < 1
    assert abs((missed / errors).mean()) < 0.6
    assert (np.abs(missed) < 1.96 * errors).mean() > 0.8


def test_noise_that_is_not_there_is_not_counted() -> None:
    """E[N M N] where the entries between the first three coefficients are exact, against 8,000 draws."""
    draws = np.random.default_rng(7)
    half = draws.normal(size=(5, 5))
    spread = half @ half.T
    noise = np.array([unpacked(triangle, 5) for triangle in draws.normal(0, 2, (8_000, 15))])
    noise[:, :3, :3] *= np.eye(3)
    simulated = (noise @ spread @ noise).mean(axis=0)
    found = of_noise(spread, curvature(1000 * np.eye(5), 4.0, 3))
    assert found == pytest.approx(simulated, abs=0.05 * np.abs(simulated).max())
    assert found != pytest.approx(of_noise(spread, curvature(1000 * np.eye(5), 4.0)), rel=0.2)


def test_eigenvalues_are_moved_back_by_the_noise_that_there_is() -> None:
    """Of a model with many baselines most entries are exact: the lowest eigenvalue is moved less than were they not."""
    draws = np.random.default_rng(12)
    information = np.diag([60.0, 90.0, 110.0, 140.0, 200.0, 300.0, 400.0, 600.0, 700.0, 900.0])
    for exact, low, high in ((8, 0.75, 1.05), (0, 1.1, 3.0)):
        moved, along = [], []
        for triangle in draws.normal(0, 20, (200, 55)):
            noise = unpacked(triangle, 10)
            noise[:8, :8] *= np.eye(8)
            found = curvature(information + noise, 400.0, exact)
            lowest = found.vectors[:, 0]
            moved.append(lowest @ found.matrix @ lowest)
            along.append(lowest @ information @ lowest)
        assert low < np.mean(moved) / np.mean(along) < high
