"""What a round of training from a stranger must satisfy."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from protocols import blobs
from protocols.announcement import LONGEST_ROUND
from queries.asked import check_step
from queries.asked.app_time import lasting
from queries.asked.canonical import decode, encode
from queries.asked.check import check
from queries.asked.plan import (
    POINT,
    Aggregate,
    BandKey,
    Bound,
    CodeKey,
    FlagKey,
    Layer,
    Members,
    Missing,
    NumberTerm,
    Plan,
    SiteKey,
    Split,
)
from queries.cost.setting import Setting
from queries.cost.tally import MOST_ENTRIES, StepSum, UpdateSum, tally
from queries.errors import PlanError
from queries.models.columns import names, scaling
from queries.models.contributions import tally_of
from queries.models.design import Design
from queries.models.shape import Shape, shape_of
from queries.statistics import FUNCTIONS
from tests.queries.steps import AGE, APP, COX, DIED, LINEAR, LOGISTIC, MODELS, NETWORK, POISSON, WEIGHT, round_of

GOLDEN = Path(__file__).resolve().parents[1] / "plans" / "training"


@pytest.mark.parametrize("step", [*MODELS.values(), APP], ids=[*MODELS, "app"])
def test_a_round_of_each_kind_passes_and_survives_its_bytes(wide, step):
    """The bases of the refusals below are accepted themselves, also after a trip through bytes."""
    plan = round_of(wide.digest, step)
    assert decode(Plan, encode(plan)) == plan
    check(plan, wide)


BAD_STEPS = {
    "no such model": (LOGISTIC, {"model": "probit"}),
    "a condition of a linear model": (LINEAR, {"outcome": DIED}),
    "a number of a logistic model": (LOGISTIC, {"outcome": WEIGHT}),
    "codes of a cox model": (COX, {"outcome": CodeKey(column="way")}),
    "codes of a poisson model": (POISSON, {"outcome": CodeKey(column="way")}),
    "a count that may be negative": (POISSON, {"outcome": WEIGHT, "exposure": "age"}),
    "an outcome that is not there": (LINEAR, {"outcome": NumberTerm(column="height")}),
    "an outcome that is no number": (LINEAR, {"outcome": NumberTerm(column="sex")}),
    "a bad condition": (LOGISTIC, {"outcome": FlagKey(term=Members(column="sex", codes=("X",)))}),
    "no terms": (LOGISTIC, {"terms": (), "point": (0,)}),
    "too many terms": (
        LOGISTIC,
        {"terms": tuple(BandKey(column="age", starts=(0, end)) for end in range(1, 66)), "point": (0,) * 66},
    ),
    "a term twice": (LOGISTIC, {"terms": (AGE, AGE), "point": (0, 0, 0)}),
    "a term that is not there": (LOGISTIC, {"terms": (NumberTerm(column="height"),), "point": (0, 0)}),
    "a term that is no number": (LOGISTIC, {"terms": (NumberTerm(column="sex"),), "point": (0, 0)}),
    "a term of a bad key": (LOGISTIC, {"terms": (CodeKey(column="age"),), "point": (0, 0)}),
    "a term of a bad condition": (LOGISTIC, {"terms": (FlagKey(term=Missing(column="height")),), "point": (0, 0)}),
    "a term of one cell": (LOGISTIC, {"terms": (AGE, SiteKey(sites=("a",))), "point": (0, 0)}),
    "sites that are not sorted": (LOGISTIC, {"terms": (SiteKey(sites=("b", "a")),), "point": (0, 0)}),
    "no clip": (LOGISTIC, {"clip": 0}),
    "a negative clip": (LOGISTIC, {"clip": -1}),
    "a clip too great": (LOGISTIC, {"clip": (1 << 40) + 1}),
    "no reach": (LOGISTIC, {"reach": 0}),
    "a reach too great": (LOGISTIC, {"reach": (1 << 40) + 1}),
    "too short a point": (LOGISTIC, {"point": (0,) * 4}),
    "too long a point": (LOGISTIC, {"point": (0,) * 6}),
    "a point too far": (LOGISTIC, {"point": (0, 0, 0, 0, (1 << 40) + 1)}),
    "a point too far below": (LOGISTIC, {"point": (0, 0, 0, 0, -(1 << 40) - 1)}),
    "no sums": (LOGISTIC, {"wants": (), "weights": (), "cuts": ()}),
    "an unknown sum": (LOGISTIC, {"wants": ("hessian",), "weights": (1,), "cuts": ()}),
    "sums out of order": (LOGISTIC, {"wants": ("loss", "gradient"), "weights": (1, 1), "cuts": ()}),
    "a sum twice": (LOGISTIC, {"wants": ("loss", "loss"), "weights": (1, 1), "cuts": ()}),
    "information of a network": (NETWORK, {"wants": ("information",)}),
    "grades of a number": (LINEAR, {"wants": ("grades",), "cuts": (0,)}),
    "grades of classes": (NETWORK, {"wants": ("grades",), "cuts": (0,)}),
    "grades without cuts": (LOGISTIC, {"cuts": ()}),
    "cuts without grades": (LINEAR, {"cuts": (0,)}),
    "too many cuts": (LOGISTIC, {"cuts": tuple(range(400))}),
    "cuts that do not rise": (LOGISTIC, {"cuts": (0, 0)}),
    "a cut too far": (LOGISTIC, {"cuts": (0, (1 << 40) + 1)}),
    "too few weights": (LOGISTIC, {"weights": (1, 1, 1)}),
    "too many weights": (LOGISTIC, {"weights": (1,) * 5}),
    "a weight of nothing": (LOGISTIC, {"weights": (1, 1, 1, 0)}),
    "too great a weight": (LOGISTIC, {"weights": (1, 1, 1, 1001)}),
    "a fold too few": (LOGISTIC, {"split": Split(folds=1, first=0, last=0)}),
    "too many folds": (LOGISTIC, {"split": Split(folds=1001, first=0, last=0)}),
    "folds backwards": (LOGISTIC, {"split": Split(folds=5, first=3, last=2)}),
    "a fold that is none": (LOGISTIC, {"split": Split(folds=5, first=0, last=5)}),
    "a fold below none": (LOGISTIC, {"split": Split(folds=5, first=-1, last=2)}),
    "an exposure of another model": (LOGISTIC, {"exposure": "age"}),
    "an exposure that is not there": (POISSON, {"exposure": "height"}),
    "an exposure of codes": (POISSON, {"exposure": "sex"}),
    "a time of another model": (LOGISTIC, {"time": COX.time}),
    "strata of another model": (LOGISTIC, {"strata": (CodeKey(column="sex"),)}),
    "no time": (COX, {"time": None, "strata": (), "point": (0,) * 5}),
    "a time that starts late": (COX, {"time": BandKey(column="age", starts=(1, 30, 120))}),
    "a time of codes": (COX, {"time": BandKey(column="sex", starts=(0,))}),
    "too many intervals": (
        COX,
        {"time": BandKey(column="age", starts=tuple(range(61))), "strata": (), "point": (0,) * 65},
    ),
    "a stratum twice": (COX, {"strata": (CodeKey(column="sex"),) * 2}),
    "too many strata": (
        COX,
        {"strata": tuple(SiteKey(sites=(f"s{each}",)) for each in range(9)), "point": (0,) * (3 + 4)},
    ),
    "strata of nothing": (COX, {"strata": (CodeKey(column="height"),)}),
    "layers of another model": (LINEAR, {"layers": NETWORK.layers}),
    "no layers": (NETWORK, {"layers": (), "point": (0,) * 5}),
    "layers that start bent": (NETWORK, {"layers": NETWORK.layers[1:], "point": (0,) * 12}),
    "a layer that is none": (NETWORK, {"layers": (Layer(kind="conv", width=3), *NETWORK.layers[1:])}),
    "a bend that widens": (
        NETWORK,
        {"layers": (NETWORK.layers[0], Layer(kind="tanh", width=4), NETWORK.layers[2]), "point": (0,) * 30},
    ),
    "a layer of nothing": (NETWORK, {"layers": (Layer(kind="linear", width=0), NETWORK.layers[2]), "point": (0,) * 3}),
    "a layer too wide": (
        NETWORK,
        {"layers": (Layer(kind="linear", width=4097), NETWORK.layers[2]), "point": (0,) * 32_779},
    ),
    "another number of classes": (
        NETWORK,
        {"layers": (Layer(kind="linear", width=2),), "point": (0,) * 10},
    ),
    "an end that is bent": (NETWORK, {"layers": NETWORK.layers[:2], "point": (0,) * 15}),
    "too many columns of a network": (
        NETWORK,
        {
            "terms": (SiteKey(sites=tuple(f"{number:05d}" for number in range(4098))),),
            "layers": (Layer(kind="linear", width=3),),
            "point": (0,) * (3 * 4098),
        },
    ),
    "too many layers": (
        NETWORK,
        {"layers": (NETWORK.layers[0], *[NETWORK.layers[1]] * 15, NETWORK.layers[2])},
    ),
}


@pytest.mark.parametrize(("step", "changes"), BAD_STEPS.values(), ids=BAD_STEPS)
def test_each_way_of_not_being_a_step_is_refused(wide, step, changes):
    """One change at a time, each refused with a remedy, also after a trip through bytes."""
    bad = round_of(wide.digest, replace(step, **changes))
    for plan in (bad, decode(Plan, encode(bad))):
        with pytest.raises(PlanError) as caught:
            check(plan, wide)
        assert caught.value.remedy


def test_too_many_coefficients_are_refused_before_their_sums(wide):
    """Information up to 128 coefficients, models up to 4,096: one more is too many."""
    for bands, wants, passes in (
        (128, ("gradient", "information"), True),
        (129, ("gradient", "information"), False),
        (129, ("gradient",), True),
    ):
        time_ = BandKey(column="weight", starts=tuple(range(-10, -10 + bands // 3)))
        cells = replace(time_, starts=tuple(range(-10, -10 + bands)))
        step = replace(LOGISTIC, terms=(cells,), point=(0,) * bands, wants=wants, weights=(1,) * len(wants), cuts=())
        plan = round_of(wide.digest, step)
        if passes:
            check(plan, wide)
        else:
            with pytest.raises(PlanError, match="128"):
                check(plan, wide)
    sites = tuple(f"{number:05d}" for number in range(4097))
    wide_step = replace(LINEAR, terms=(SiteKey(sites=sites[:4096]),), point=(0,) * 4096)
    check(round_of(wide.digest, wide_step), wide)
    with pytest.raises(PlanError, match="4,096"):
        check(round_of(wide.digest, replace(wide_step, terms=(SiteKey(sites=sites),), point=(0,) * 4097)), wide)


BAD_APPS = {
    "half a digest": {"app": b"a" * 31},
    "half a message": {"message": b"m" * 16},
    "a kind that is none": {"kind": "steal"},
    "no columns": {"columns": ()},
    "columns not sorted": {"columns": ("sex", "age")},
    "a column twice": {"columns": ("age", "age")},
    "a column that is not there": {"columns": ("age", "name")},
    "the patient key": {"columns": ("patient_id",)},
    "no numbers": {"entries": 0},
    "too many numbers": {"entries": (1 << 24) + 1},
    "no clip": {"clip": 0},
    "too great a clip": {"clip": (1 << 40) + 1},
    "a negative message": {"size": -1},
    "a message longer than any that travels": {"size": blobs.MOST_BYTES + 1},
    "no time": {"seconds": 0},
    "more than the longest round": {"seconds": LONGEST_ROUND},
    "more than leaves time to answer": {"seconds": check_step.MOST_SECONDS + 1},
}


@pytest.mark.parametrize("changes", BAD_APPS.values(), ids=BAD_APPS)
def test_each_way_of_not_being_an_apps_round_is_refused(wide, changes):
    """One change at a time."""
    with pytest.raises(PlanError) as caught:
        check(round_of(wide.digest, replace(APP, **changes)), wide)
    assert caught.value.remedy


def test_the_largest_app_fits_what_travels_and_the_longest_round(wide):
    """Its message is a blob; its time, that of both ways and another round's fit into a round that may stay open."""
    largest = replace(APP, size=blobs.MOST_BYTES, entries=check_step.MOST_APP_ENTRIES, seconds=check_step.MOST_SECONDS)
    plan = round_of(wide.digest, largest)
    check(plan, wide)
    # As coordinator/questions.py adds them up: a megabyte a second, a minute for what every round takes.
    travelling = (largest.size + 8 * largest.entries) / (1 << 20)
    assert lasting(largest) + travelling + 60 < LONGEST_ROUND


COUNT = Aggregate(statistic="count")
STEP, OF_APP = Aggregate(statistic="step", step=LOGISTIC), Aggregate(statistic="app", step=APP)
BESIDE = {
    "a count": {"aggregates": (COUNT, STEP)},
    "another step": {"aggregates": (STEP, replace(STEP, step=COX))},
    "an app": {"aggregates": (STEP, OF_APP)},
    "keys": {"keys": (CodeKey(column="sex"),)},
    "subtotals": {"keys": (CodeKey(column="sex"),), "subtotals": True},
    "cells of its own": {"aggregates": (replace(STEP, by=(CodeKey(column="sex"),)),)},
    "a column": {"aggregates": (replace(STEP, column="age"),)},
    "columns": {"aggregates": (replace(OF_APP, columns=("age",)),)},
    "a filter": {"aggregates": (replace(STEP, where=Missing(column="age")),)},
    "a count with a step": {"aggregates": (replace(COUNT, step=LOGISTIC),)},
    "a step without one": {"aggregates": (Aggregate(statistic="step"),)},
    "an app without one": {"aggregates": (Aggregate(statistic="app"),)},
    "an app's round as a step": {"aggregates": (replace(STEP, step=APP),)},
    "a step as an app's round": {"aggregates": (replace(OF_APP, step=LOGISTIC),)},
}


@pytest.mark.parametrize("changes", BESIDE.values(), ids=BESIDE)
def test_a_step_stands_alone(wide, changes):
    """Nothing else in its part, no cells, no condition of its own, and a step is of training only."""
    with pytest.raises(PlanError):
        check(round_of(wide.digest, LOGISTIC, **changes), wide)


def test_no_second_part_stands_beside_a_step(wide):
    """Neither another round nor a question."""
    (part,) = round_of(wide.digest, LOGISTIC).parts
    for other in (replace(part, aggregates=(COUNT,)), replace(part, bound=Bound(rows=1, groups=1))):
        with pytest.raises(PlanError, match="beside"):
            check(Plan(catalogue=wide.digest, parts=(part, other)), wide)


def test_nobody_asks_for_a_step_by_name():
    """No function of SQL or Python makes a round of training."""
    assert not {name for name, (statistic, _) in FUNCTIONS.items() if statistic in ("step", "app")}


def test_sums_are_laid_end_to_end_in_the_order_of_what_is_wanted(wide):
    """One block each, of the width that everybody can compute; an app's one block may be longer than a question's."""
    found = tally(round_of(wide.digest, LOGISTIC), wide)
    assert [block.measure.sum for block in found.blocks] == list(LOGISTIC.wants)
    assert found.sizes == (5, 15, 2, 8)
    assert [block.weight for block in found.blocks] == [20, 10, 1, 2]
    assert tally(round_of(wide.digest, COX), wide).sizes == (16, 136, 2, 4 * 3 * 2)
    assert tally(round_of(wide.digest, NETWORK), wide).sizes == (27,)
    assert all(isinstance(block.measure, StepSum) for block in found.blocks)
    long = tally(round_of(wide.digest, replace(APP, entries=check_step.MOST_APP_ENTRIES)), wide)
    assert isinstance(long.blocks[0].measure, UpdateSum)
    assert long.entries == check_step.MOST_APP_ENTRIES > MOST_ENTRIES


@pytest.mark.parametrize("step", MODELS.values(), ids=MODELS)
def test_each_coefficient_has_a_name_of_its_own(wide, step):
    """As many names as coefficients, no two alike; of a Cox model baselines first, strata slowest."""
    setting = Setting(catalogue=wide, table=wide.table("discharge"), keys=())
    codes = [each.code for each in names(step, setting)]
    assert len(set(codes)) == len(codes) == shape_of(step, setting).width
    if step.model == "cox":
        assert codes[:4] == [
            "baseline 0-29, F, 3",
            "baseline 30-119, F, 3",
            "baseline 120, F, 3",
            "baseline 0-29, F, 2",
        ]
        assert codes[-4:] == ["age", "sex=M", "province=11", "level=2"]
    if step.model == "logistic":
        assert codes[0] == "intercept"


def test_numbers_are_scaled_by_public_bounds(wide):
    """The middle of the bounds becomes 0 and the ends -1 and 1."""
    column = wide.table("discharge").column("weight")
    found = scaling(column)
    assert [(column.in_units(end) - found.middle) / found.half for end in (column.low, column.high)] == [-1, 1]


def test_the_bytes_of_a_round_stay_what_they_were(wide):
    """Hospitals of different releases must agree on them: a change here needs a new version of the protocol."""
    for name, step in (*MODELS.items(), ("app", APP)):
        assert (GOLDEN / f"{name}.json").read_bytes() == encode(round_of(bytes(32), step)) + b"\n"


def test_the_largest_network_is_judged_quickly(wide):
    """20,000 weights, written in full, fit into a plan and are read and checked in moments."""
    bands = BandKey(column="age", starts=tuple(range(16)))
    one = Bound(rows=1, groups=1)
    layers = (Layer(kind="linear", width=1049), Layer(kind="linear", width=3))
    step = replace(NETWORK, layers=layers, terms=(bands,), point=(-(1 << 40),) * 19_934)
    data = encode(round_of(wide.digest, step, bound=one))
    start = time.process_time()
    check(decode(Plan, data), wide)
    assert time.process_time() - start < 2
    layers = (Layer(kind="linear", width=1050), Layer(kind="linear", width=3))
    step = replace(step, layers=layers, point=(-(1 << 40),) * 19_953)
    with pytest.raises(PlanError, match="network") as refused:
        check(round_of(wide.digest, step, bound=one), wide)
    assert refused.value.code == "plan"
    assert "narrower layers" in refused.value.remedy


def test_the_work_that_a_network_makes_is_bounded_by_patient(wide):
    """By its weights, by the numbers that are bent, by its classes and by the rows of a patient; all of them public."""
    one, more = Bound(rows=1, groups=1), Bound(rows=5, groups=5)

    def asked(width: int, kinds: int, bound: Bound) -> Plan:
        first, last = Layer(kind="linear", width=width), Layer(kind="linear", width=3)
        layers = (first, *[Layer(kind="gelu", width=width)] * kinds, last)
        step = replace(NETWORK, layers=layers, terms=(AGE,), point=(0,) * (5 * width + 3))
        return round_of(wide.digest, step, bound=bound)

    for width, kinds in ((3989, 0), (949, 1), (110, 11)):
        check(asked(width, kinds, one), wide)
        with pytest.raises(PlanError, match="work"):
            check(asked(width + 1, kinds, one), wide)
        with pytest.raises(PlanError, match="work"):
            check(asked(width, kinds, more), wide)
        check(asked(width // 5 - 10, kinds, more), wide)


def test_a_network_at_the_limit_takes_seconds():
    """Of networks that are as much work as may be, 10,000 patients take some seconds of one core, not minutes."""
    chance, patients = np.random.default_rng(1), 300
    networks = ((64, (128, 64), 1, 0), (4, (3333,), 0, 0), (1, (1050,), 1, 0), (1, (111,), 11, 0), (3, (), 0, 1000))
    for columns, widths, kinds, classes in networks:
        bent = tuple(
            (Layer(kind="linear", width=width), *[Layer(kind="gelu", width=width)] * kinds) for width in widths
        )
        layers = (*chain.from_iterable(bent), Layer(kind="linear", width=max(1, classes)))
        shape = Shape(columns=columns, layers=layers, classes=classes)
        point = tuple(np.rint(0.1 * chance.standard_normal(shape.width) * POINT).astype(int).tolist())
        outcome = CodeKey(column="way") if classes else DIED
        step = replace(
            NETWORK, outcome=outcome, layers=layers, point=point, wants=("gradient", "loss"), weights=(19, 1)
        )
        assert 0.9 * check_step.MOST_WORK < check_step.work_of(step) <= check_step.MOST_WORK
        design = Design(
            starts=np.arange(patients),
            x=chance.uniform(-1, 1, (patients, columns)),
            outcome=np.zeros(patients),
            exposure=np.ones(patients),
            stratum=np.zeros(patients, dtype=np.intp),
        )
        began = time.process_time()
        assert tally_of(step, design, shape).any()
        # Seven times what was measured: this machine may be slow, or have much else to do.
        assert time.process_time() - began < 15 * patients / 10_000
