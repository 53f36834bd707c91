"""Made-up rows, steps and shapes of every kind of model, for tests of what patients add."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from queries.asked.plan import (
    EVERYTHING,
    ONE,
    POINT,
    BandKey,
    CodeKey,
    FlagKey,
    Layer,
    NumberTerm,
    Step,
)
from queries.models.design import Design
from queries.models.shape import Shape

FAMILIES = ("linear", "logistic", "poisson", "cox")
NETWORKS = ("network", "network of classes", "network of a number")
MODELS = FAMILIES + NETWORKS
INTERVALS = (0, 10, 30, 80)
STRATA = 3
COLUMNS = 4
LAYERS = (
    Layer(kind="linear", width=5),
    Layer(kind="tanh", width=5),
    Layer(kind="linear", width=4),
    Layer(kind="gelu", width=4),
    Layer(kind="linear", width=1),
)


def shape_for(model: str, columns: int = COLUMNS) -> Shape:
    """Return the shape of a model of these tests."""
    if model == "cox":
        return Shape(columns=columns, strata=STRATA, intervals=INTERVALS)
    if model == "network of classes":
        return Shape(columns=columns, classes=3, layers=(*LAYERS[:-1], Layer(kind="linear", width=3)))
    return Shape(columns=columns, layers=LAYERS) if model in NETWORKS else Shape(columns=columns)


def step_for(model: str, chance: np.random.Generator, *, size: float = 0.5, columns: int = COLUMNS) -> Step:
    """Return a step at a random point: ``size`` is the spread of its coefficients."""
    shape = shape_for(model, columns)
    outcome: FlagKey | NumberTerm | CodeKey = FlagKey(term=EVERYTHING)
    if model in {"linear", "poisson", "network of a number"}:
        outcome = NumberTerm(column="outcome")
    elif model == "network of classes":
        outcome = CodeKey(column="outcome")
    point = np.rint(chance.standard_normal(shape.width) * size * POINT)
    made = Step(
        model=model.split(maxsplit=1)[0],
        outcome=outcome,
        terms=(NumberTerm(column="x"),),
        clip=ONE,
        reach=ONE,
        point=tuple(point.astype(np.int64).tolist()),
        wants=("gradient", "loss") if model in NETWORKS else ("gradient", "information", "loss"),
        weights=(20, 1) if model in NETWORKS else (20, 20, 1),
        layers=shape.layers,
        cuts=(-POINT, 0, POINT),
    )
    if model in {"logistic", "network", "cox"}:
        made = replace(made, wants=(*made.wants, "grades"), weights=(*made.weights, 1))
    return replace(made, time=BandKey(column="days", starts=INTERVALS[:-1])) if model == "cox" else made


def design_for(
    model: str, chance: np.random.Generator, patients: int, rows: int = 1, *, columns: int = COLUMNS
) -> Design:
    """Return rows of so many patients, each with one to ``rows`` of them; some terms lie at the ends."""
    counts = chance.integers(1, rows + 1, patients)
    n = int(counts.sum())
    x = np.clip(chance.standard_normal((n, columns)), -1, 1)
    if model in {"linear", "network of a number"}:
        outcome = chance.uniform(-1, 1, n)
    elif model == "poisson":
        outcome = chance.poisson(chance.choice([0.5, 3.0, 20.0], n)).astype(np.float64)
    else:
        outcome = chance.integers(0, 3 if model == "network of classes" else 2, n).astype(np.float64)
    exposure = np.ones(n)
    if model == "poisson":
        exposure = chance.uniform(0.01, 1, n)
    elif model == "cox":
        exposure = chance.integers(0, INTERVALS[-1], n).astype(np.float64)
    return Design(
        starts=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)[:patients],
        x=x,
        outcome=outcome,
        exposure=exposure,
        stratum=chance.integers(0, STRATA, n) if model == "cox" else np.zeros(n, dtype=np.intp),
    )


def only(design: Design, patients: list[int]) -> Design:
    """Return some of the patients, in this order."""
    ends = np.append(design.starts[1:], design.rows)
    each = [np.arange(design.starts[patient], ends[patient]) for patient in patients]
    rows = np.concatenate(each).astype(np.intp) if each else np.zeros(0, dtype=np.intp)
    starts = np.cumsum([0, *map(len, each)])[: len(each)].astype(np.intp)
    return Design(
        starts=starts,
        x=design.x[rows],
        outcome=design.outcome[rows],
        exposure=design.exposure[rows],
        stratum=design.stratum[rows],
    )
