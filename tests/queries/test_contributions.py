from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.asked.plan import ONE, POINT, Step
from queries.models import contributions
from queries.models.clipping import BOUND, BOUND_LOSS, most_loss
from queries.models.contributions import tally_of, tally_of_all
from queries.models.design import Design
from queries.models.families import Rows
from queries.models.shape import Shape
from tests.queries.designs import FAMILIES, MODELS, design_for, only, shape_for, step_for

FAR = (1 << 40) - 1


def blocks(step: Step, design: Design, shape: Shape) -> dict[str, np.ndarray]:
    """Return the sums of a step by name."""
    widths = {
        "gradient": shape.width,
        "information": shape.width * (shape.width + 1) // 2,
        "loss": 2,
        "grades": (len(step.cuts) + 1) * max(1, len(shape.intervals) - 1) * 2,
    }
    ends = [*accumulate(widths[want] for want in step.wants)]
    found = tally_of(step, design, shape)
    assert found.dtype == np.int64
    assert len(found) == ends[-1]
    return dict(zip(step.wants, np.split(found, ends[:-1]), strict=True))


def squared(change: np.ndarray) -> int:
    """Return the squared L2 norm, in Python's whole numbers."""
    return sum(int(value) ** 2 for value in change)


def allowed(want: str, rows: int) -> int:
    """Return the largest squared change that one patient of so many rows may make."""
    return {"gradient": BOUND**2, "information": BOUND**2, "loss": 2 * BOUND_LOSS**2, "grades": rows**2}[want]


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_one_patient_more_moves_no_sum_further_than_its_bound(model, data) -> None:
    """Whoever leaves, at coefficients near and far, with clips small and large, one row or several."""
    chance = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    design = design_for(model, chance, data.draw(st.integers(1, 12)), data.draw(st.sampled_from([1, 1, 3, 9])))
    step = step_for(model, chance, size=data.draw(st.sampled_from([0.0, 0.3, 5.0, 900.0])))
    if data.draw(st.booleans()):
        step = replace(step, point=tuple(FAR if each > 0 else -FAR for each in step.point))
    clip = data.draw(st.sampled_from([1, ONE // 100, ONE, 30 * ONE, 1 << 40]))
    step = replace(step, clip=clip, reach=data.draw(st.sampled_from([1, ONE // 100, ONE, 30 * ONE, 1 << 40])))
    shape = shape_for(model)
    everybody = blocks(step, design, shape)
    for patient in range(design.patients):
        others = [other for other in range(design.patients) if other != patient]
        without = blocks(step, only(design, others), shape)
        alone = blocks(step, only(design, [patient]), shape)
        rows = only(design, [patient]).rows
        for want in step.wants:
            change = everybody[want] - without[want]
            assert squared(change) <= allowed(want, rows)
            if want != "information":
                assert (change == alone[want]).all()


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("model", MODELS)
def test_a_patient_adds_the_same_alone_and_among_thousands(model, rows) -> None:
    """To the last bit: alone, in groups of any number, and in another order among five thousand."""
    chance = np.random.default_rng(5)
    patients = 5_000
    design = design_for(model, chance, patients, rows, columns=7)
    shape, step = shape_for(model, 7), step_for(model, chance, columns=7)
    step = replace(step, wants=tuple(want for want in step.wants if want != "information"), weights=(1, 1, 1))
    step = replace(step, clip=ONE // 3)
    order = chance.permutation(patients).tolist()
    everybody = tally_of(step, design, shape)
    assert (tally_of(step, only(design, order), shape) == everybody).all()
    some = order[:60]
    each = sum(tally_of(step, only(design, [patient]), shape) for patient in some)
    for cut in (1, 2, 7, 16, 33, 60):
        groups = [some[first : first + cut] for first in range(0, 60, cut)]
        assert (sum(tally_of(step, only(design, group), shape) for group in groups) == each).all()
    assert (tally_of(step, only(design, order[60:]), shape) + each == everybody).all()


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("model", FAMILIES)
def test_an_information_does_not_depend_on_the_order_of_patients(model, rows, monkeypatch) -> None:
    """Whole numbers until the last rounding, so the same in any order, and in pieces or at once."""
    chance = np.random.default_rng(6)
    patients = 700
    design = design_for(model, chance, patients, rows)
    step = replace(step_for(model, chance), wants=("information",), weights=(1,))
    order = chance.permutation(patients).tolist()
    found = tally_of(step, design, shape_for(model))
    monkeypatch.setattr(contributions, "MOST_ROWS", 300)
    assert (tally_of(step, only(design, order), shape_for(model)) == found).all()


@pytest.mark.parametrize("model", MODELS)
def test_sums_do_not_depend_on_how_patients_are_divided(model) -> None:
    """Into designs, as a node that reads many rows divides them: informations are rounded once."""
    chance = np.random.default_rng(15)
    design, shape = design_for(model, chance, 90, 3), shape_for(model)
    step = replace(step_for(model, chance), clip=ONE // 2)
    together = tally_of(step, design, shape)
    for size in (1, 7, 40):
        designs = [only(design, list(range(first, min(90, first + size)))) for first in range(0, 90, size)]
        assert (tally_of_all(step, iter(designs), shape) == together).all()


def dense(step: Step, design: Design, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return each patient's gradient and information, unclipped, from the definition."""
    rows = Rows(step=step, design=design, shape=shape)
    owner = np.searchsorted(design.starts, np.arange(design.rows), side="right") - 1
    gradient = np.zeros((design.patients, shape.width))
    information = np.zeros((design.patients, shape.width, shape.width))
    for row in range(design.rows):
        for interval in range(rows.intervals):
            z = np.zeros(shape.width)
            z[design.stratum[row] * rows.intervals + interval] = 1
            z[shape.width - shape.columns :] = design.x[row]
            gradient[owner[row]] += rows.residuals[interval, row] * z
            information[owner[row]] += rows.curvatures[interval, row] * np.outer(z, z)
    return gradient, information


def triangle(matrices: np.ndarray) -> np.ndarray:
    """Return upper triangles row by row, off the diagonal times the square root of 2."""
    above, across = np.triu_indices(matrices.shape[-1])
    return matrices[..., above, across] * np.where(above == across, 1, math.sqrt(2))


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("model", FAMILIES)
def test_sums_are_those_of_the_definition_where_nobody_is_clipped(model, rows) -> None:
    """Gradient and information, to the rounding of each patient's numbers."""
    chance = np.random.default_rng(7)
    design, shape = design_for(model, chance, 300, rows), shape_for(model)
    reach = {"linear": 30, "logistic": 8, "poisson": 200, "cox": 200}[model]
    step = replace(step_for(model, chance), clip=2000 * ONE, reach=reach * ONE)
    gradient, information = dense(step, design, shape)
    found = blocks(step, design, shape)
    unit = 2000 / BOUND
    assert np.abs(found["gradient"] * unit - gradient.sum(axis=0)).max() < unit * math.sqrt(design.rows)
    wanted = triangle(information.sum(axis=0))
    assert np.abs(found["information"] * (reach / BOUND) - wanted).max() < 0.002 * wanted.max()


@pytest.mark.parametrize("model", FAMILIES)
def test_a_patients_rows_are_added_before_they_are_clipped(model) -> None:
    """The sum of clipped patients, from the definition: not of clipped rows, nor the clipped sum of everybody."""
    chance = np.random.default_rng(8)
    design, shape = design_for(model, chance, 200, 4), shape_for(model)
    gradient, _ = dense(step_for(model, np.random.default_rng(9)), design, shape)
    lengths = np.sqrt((gradient**2).sum(axis=1))
    clip = float(np.median(lengths))
    step = replace(step_for(model, np.random.default_rng(9)), clip=int(clip * ONE), wants=("gradient",), weights=(1,))
    wanted = (gradient * np.minimum(1, clip / lengths)[:, None]).sum(axis=0)
    found = tally_of(step, design, shape) * (clip / BOUND)
    assert np.abs(found - wanted).max() < clip * (2 * design.rows / BOUND + 1e-4)
    assert np.abs(gradient.sum(axis=0) - wanted).max() > clip


@pytest.mark.parametrize("model", FAMILIES)
def test_a_clipped_information_of_one_row_keeps_its_direction(model) -> None:
    """Of a patient with one row beyond the reach: the same matrix, at nearly the whole bound."""
    chance = np.random.default_rng(10)
    design, shape = design_for(model, chance, 1), shape_for(model)
    step = replace(step_for(model, chance), wants=("information",), weights=(1,), reach=ONE // 2000)
    found = tally_of(step, design, shape)
    wanted = triangle(dense(step, design, shape)[1][0])
    along = float(found @ wanted) / math.sqrt(float(wanted @ wanted))
    # Of a Cox model curvatures in several intervals make a shorter matrix than their sum, which is what is clipped.
    assert along > (BOUND / 3 if model == "cox" else BOUND - 40)
    assert along**2 > 0.9999 * squared(found)
    assert squared(found) <= BOUND**2


@pytest.mark.parametrize("model", MODELS)
def test_a_loss_is_cut_by_patient(model) -> None:
    """Between none and the most, added over the patient's rows; and the patients are counted."""
    chance = np.random.default_rng(11)
    design, shape = design_for(model, chance, 80, 4), shape_for(model)
    step = step_for(model, chance, size=1.5)
    one = Rows(step=step, design=design, shape=shape) if model in FAMILIES else None
    found = blocks(step, design, shape)["loss"]
    assert found[0] == 80 * BOUND_LOSS
    assert 0 < found[1] <= found[0]
    if one is not None:
        by_patient = np.clip(np.add.reduceat(one.losses, design.starts), 0, most_loss(step))
        assert found[1] == pytest.approx(by_patient.sum() * BOUND_LOSS / most_loss(step), abs=2 * design.rows)


@pytest.mark.parametrize("model", ["logistic", "cox", "network"])
def test_grades_count_each_row_once_in_its_cell(model) -> None:
    """By band of the predictor, interval of exit and outcome, as counted one by one."""
    chance = np.random.default_rng(12)
    design, shape = design_for(model, chance, 60, 3), shape_for(model)
    step = step_for(model, chance, size=1.0)
    found = blocks(step, design, shape)["grades"].reshape(len(step.cuts) + 1, -1, 2)
    assert found.sum() == design.rows
    assert (found.sum(axis=(0, 1)) == np.bincount(design.outcome.astype(int), minlength=2)).all()
    if model == "cox":
        point = np.array(step.point[shape.baselines :]) / POINT
        scores = design.x @ point
        wanted = np.zeros_like(found)
        for score, days, event in zip(scores, design.exposure, design.outcome.astype(int), strict=True):
            band = sum(score >= cut / POINT for cut in step.cuts)
            exits = max(place for place, start in enumerate(shape.intervals[:-1]) if start <= days)
            wanted[band, exits, event] += 1
        assert (found == wanted).all()


def test_a_value_at_a_cut_lies_above_it() -> None:
    """Bands start at a cut, as bands of numbers do."""
    shape = Shape(columns=1)
    chance = np.random.default_rng(1)
    step = replace(step_for("logistic", chance, columns=1), point=(0, POINT), wants=("grades",), weights=(1,))
    design = replace(design_for("logistic", chance, 1, columns=1), x=np.zeros((1, 1)), outcome=np.ones(1))
    assert tally_of(step, design, shape).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("model", MODELS)
def test_no_patients_add_nothing(model) -> None:
    """Zeros of the right length."""
    chance = np.random.default_rng(13)
    found = blocks(step_for(model, chance), only(design_for(model, chance, 2), []), shape_for(model))
    assert not any(values.any() for values in found.values())


def test_rows_that_are_no_numbers_add_nothing_to_a_gradient() -> None:
    """A design never holds any; should it, the others are added as ever."""
    chance = np.random.default_rng(14)
    design, shape = design_for("logistic", chance, 3), shape_for("logistic")
    step = replace(step_for("logistic", chance), wants=("gradient", "information"), weights=(1, 1))
    broken = replace(design, x=np.where(np.arange(3)[:, None] == 1, np.nan, design.x))
    found, others = tally_of(step, broken, shape), tally_of(step, only(design, [0, 2]), shape)
    change = found - others
    assert squared(change[: shape.width]) <= BOUND**2
    assert squared(change[shape.width :]) <= BOUND**2
