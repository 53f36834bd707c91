"""Attacks on rounds of training: a plan that passes every check and still moves further, or takes more, than it says.

Each test first or last shows that what is attacked works: far enough out to matter, or answered as ever.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from node.scan.engine import open_database
from node.scan.expressions import Site
from node.scan.scan import Scanner
from node.scan.steps import Reader, Steps
from queries.asked.check import check
from queries.asked.plan import (
    EVERYTHING,
    ONE,
    POINT,
    BandKey,
    CodeKey,
    DateKey,
    FlagKey,
    Layer,
    Members,
    Missing,
    NumberTerm,
    SiteIs,
    SiteKey,
    Step,
)
from queries.cost.sensitivity import of_tally
from queries.errors import PlanError
from queries.models import contributions
from queries.models.clipping import BOUND, BOUND_LOSS
from queries.models.contributions import tally_of
from queries.models.design import Design
from queries.models.shape import Shape
from tests.node.change import beyond
from tests.node.stays import AGREED, ATTRIBUTES, MODELS, TERMS, pointed, prepared, random_lines, round_of
from tests.node.test_step_sensitivity import Copy
from tests.queries.designs import only

TIMES = tuple(range(11))
COLUMNS = 12


def far_cox(stratum: NDArray[np.intp]) -> Design:
    """Return patients whose gradients are far beyond the clip, each of another direction."""
    chance = np.random.default_rng(4)
    patients = len(stratum)
    return Design(
        starts=np.arange(patients),
        x=chance.uniform(-1, 1, (patients, COLUMNS)),
        outcome=np.zeros(patients),
        exposure=np.full(patients, 9.0),
        stratum=stratum,
    )


def test_a_patient_alone_in_a_stratum():
    """A Cox model at a far point, whose strata nearly nobody is in: a gradient then has fewer numbers than the model.

    Gained: with that one patient there, everybody else's part was rounded in another way, each by up to a unit: of
    100,000 patients more than is charged for one.
    """
    shape = Shape(columns=COLUMNS, strata=3, intervals=TIMES)
    chance = np.random.default_rng(3)
    # Two numbers at the most that a row may hold, the others of any size below.
    baselines = np.where(np.arange(10) < 3, 8.0, chance.uniform(-3, 0, 10))
    step = Step(
        model="cox",
        outcome=FlagKey(term=EVERYTHING),
        terms=(NumberTerm(column="x"),),
        clip=1 << 6,
        reach=ONE,
        point=tuple(np.rint(np.append(np.tile(baselines, 3), [0.1] * COLUMNS) * POINT).astype(int).tolist()),
        wants=("gradient",),
        weights=(1,),
    )
    patients = 1000
    design = far_cox(np.append(np.zeros(patients, dtype=np.intp), 2))
    everybody = tally_of(step, design, shape)
    without = tally_of(step, only(design, list(range(patients))), shape)
    alone = tally_of(step, only(design, [patients]), shape)
    assert (everybody - without == alone).all()
    length = sum(int(entry) ** 2 for entry in alone)
    assert 0.999 * BOUND**2 < length <= BOUND**2


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a prepared hospital of 300 stays of few patients, some of them twice."""
    lines = random_lines(11, 280, 40)
    return prepared(tmp_path_factory.mktemp("stays"), [*lines, *lines[:20]])


@pytest.fixture(scope="module")
def copy(made, tmp_path_factory):
    """Yield a copy of it from which patients can be taken."""
    folder = tmp_path_factory.mktemp("copy")
    with open_database(folder / "copy.duckdb", spill=folder / "spill", memory_limit="512MB", threads=1) as connection:
        yield Copy(made, "stay", connection)


ODD = (
    NumberTerm(column="age"),
    BandKey(column="age", starts=(0, 1, 109)),
    CodeKey(column="dx"),
    CodeKey(column="dx", level="chapter"),
    FlagKey(term=Members(column="dx", codes=("I61",))),
    FlagKey(term=Missing(column="dx")),
    FlagKey(term=EVERYTHING),
    FlagKey(term=SiteIs(attribute=None, codes=("h1",))),
    DateKey(column="admitted", part="weekday", first=date(2020, 1, 1), last=date(2020, 1, 9)),
    *TERMS[5:],
)
"""Terms that say the same in many ways, so that one row has as many ones as can be had."""


@pytest.mark.parametrize("model", ["logistic", "linear", "poisson", "cox"])
def test_terms_that_overlap_and_strata_of_one_group(copy, model):
    """The same column as number, bands, codes, level and condition; strata of one cell; clips at both ends.

    Gained: a row counted once for each way of saying the same, or a patient in several strata.
    """
    step = replace(MODELS[model], terms=ODD)
    if model == "cox":
        one = BandKey(column="age", starts=(0,))
        step = replace(step, strata=(one, SiteKey(sites=("h1",)), CodeKey(column="sex")))
    for size, clip in ((POINT, 1), (1 << 40, 1), (POINT // 4, ONE)):
        asked = round_of(replace(pointed(step, 2, size), clip=clip, reach=clip))
        check(asked.plan, AGREED)
        whole = copy.sums(asked, AGREED)
        assert whole.any()
        for patient in copy.patients[::9]:
            assert not beyond(whole - copy.sums(asked, AGREED, patient), asked)


def test_a_row_that_cannot_take_part_makes_no_room_for_another(tmp_path):
    """Of two rows of each patient one has no outcome; one row of a patient is asked for.

    Gained: the other row of those patients, and with it whether the first one's outcome is known.
    """
    rows = [f"p{each},M,I61,120,50,1,9,0,{died},2020-01-01" for each in range(60) for died in ("Y", "")]
    scanner = Scanner(prepared(tmp_path, rows).path)
    step = replace(MODELS["logistic"], wants=("loss",), weights=(1,), cuts=())

    def counted(bound: int) -> int:
        asked = round_of(pointed(step), rows=bound)
        found = scanner.tally(asked, AGREED, "h1", ATTRIBUTES, own_row=True)
        return int(found[0]) // BOUND_LOSS

    assert counted(2) == 60
    assert 10 < counted(1) < 50
    scanner.close()


def test_rows_in_another_order(made, tmp_path):
    """The same stays, written to the source file in another order.

    Gained: which rows of a patient are read, and in the last bit everybody's part, from where a row stands in a file.
    """
    lines = random_lines(11, 280, 40)
    scanners = [Scanner(made.path), Scanner(prepared(tmp_path, [*lines[:20], *reversed(lines)]).path)]
    for name, step in MODELS.items():
        for rows in (1, 3):
            asked = round_of(pointed(step, 5, 1 << 33), rows=rows)
            first, second = (each.tally(asked, AGREED, "h1", ATTRIBUTES, own_row=True) for each in scanners)
            assert (first == second).all(), name
            assert first.any()
    for each in scanners:
        each.close()


def test_a_design_that_was_kept_for_other_facts(made):
    """Rounds alike but for one thing, asked of one node one after the other, and each of a node that was just started.

    Gained: rows that the policy, the roster or the next question's condition leave out, from an earlier round's.
    """
    with open_database(made.path, spill=made.path.parent / "s", memory_limit="512MB", threads=1, read_only=True) as one:

        def fetch(sql: str) -> Mapping[str, NDArray[Any]]:
            return one.execute(sql).fetchnumpy()

        def reader(**facts: object) -> Reader:
            given = {"site": Site(name="h1", attributes=ATTRIBUTES), "own_row": True, **facts}
            return Reader(catalogue=AGREED, fetch=fetch, **given)

        terms = (TERMS[0], *TERMS[5:])
        step = pointed(replace(MODELS["cox"], strata=(CodeKey(column="sex"),), terms=terms), 1)
        narrow = FlagKey(term=Members(column="dx", codes=("I61",)))
        readers = [
            reader(),
            reader(own_row=False),
            reader(site=Site(name="h1", attributes={"country": "FR"})),
            reader(site=Site(name="h2", attributes=ATTRIBUTES)),
        ]
        others = [
            round_of(step),
            round_of(step, rows=1),
            round_of(step, where=narrow.term),
            round_of(replace(step, outcome=narrow)),
            round_of(replace(step, time=BandKey(column="days", starts=(0, 9, 31)))),
            round_of(replace(step, clip=step.clip // 9)),
            round_of(replace(step, strata=(FlagKey(term=Missing(column="age")),))),
            round_of(replace(step, terms=(*terms[1:], terms[0]))),
        ]
        kept, first = Steps(), {}
        for again in (False, True):
            for place, asked in enumerate(others):
                what = asked.plan.parts[0].aggregates[0].step
                for number, told in enumerate(readers):
                    found = kept.step(asked, what, told).tobytes()
                    fresh = first[place, number] if again else Steps().step(asked, what, told).tobytes()
                    assert found == fresh
                    first[place, number] = found
    assert len(set(first.values())) == len(others) * len(readers)


def test_thousands_of_strata_of_one_group():
    """Keys of one cell each add no coefficient, so that nothing else limits how many a plan names.

    Gained: minutes of a hospital's time for one plan, before a row is read.
    """
    start = date(2020, 1, 1)
    keys = tuple(
        DateKey(column="admitted", part="year", first=start, last=start + timedelta(days=each)) for each in range(300)
    )
    began = time.process_time()
    with pytest.raises(PlanError, match="strata"):
        check(round_of(pointed(replace(MODELS["cox"], strata=keys))).plan, AGREED)
    assert time.process_time() - began < 1
    check(round_of(pointed(replace(MODELS["cox"], strata=keys[:8]))).plan, AGREED)


def test_a_network_of_a_column_for_each_of_many_thousand_codes():
    """A network's weights are limited; a first layer of one number leaves room for 19,000 columns.

    Gained: a hospital's memory, a row of half a megabyte for each of its patients' rows.
    """
    narrow = (Layer(kind="linear", width=1),)
    for count, passes in ((4097, True), (4098, False)):
        step = replace(
            MODELS["network"],
            outcome=NumberTerm(column="sbp"),
            terms=(SiteKey(sites=tuple(f"h{each:05}" for each in range(count))),),
            layers=narrow,
        )
        if passes:
            check(round_of(pointed(step), rows=1).plan, AGREED)
        else:
            with pytest.raises(PlanError, match="columns"):
                check(round_of(pointed(step), rows=1).plan, AGREED)


def test_a_network_of_wide_layers():
    """Sixteen layers, each as wide as the weights allow, of rows that went through together.

    Gained: gigabytes of a hospital's memory, and its node with them.
    """
    layers = (
        Layer(kind="linear", width=3900),
        *[Layer(kind="relu", width=3900)] * 14,
        Layer(kind="linear", width=1),
    )
    shape = Shape(columns=13, layers=layers)
    patients = 150
    step = Step(
        model="network",
        outcome=FlagKey(term=EVERYTHING),
        terms=(NumberTerm(column="x"),),
        clip=ONE,
        reach=ONE,
        point=(POINT // 64,) * shape.width,
        wants=("gradient",),
        weights=(1,),
        layers=layers,
    )
    design = Design(
        starts=np.arange(patients),
        x=np.random.default_rng(1).uniform(-1, 1, (patients, 13)),
        outcome=np.zeros(patients),
        exposure=np.ones(patients),
        stratum=np.zeros(patients, dtype=np.intp),
    )
    tracemalloc.start()
    try:
        assert tally_of(step, design, shape).any()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All at once they would be 70 MB of numbers between layers alone; 4,096 rows, as of other networks, two gigabytes.
    assert most < 40e6


def test_more_patients_than_64_bits_hold(monkeypatch):
    """A nation's hospital, with a reach so small that every patient's information is as long as it may be.

    Gained: a sum that runs over with one patient more, and moves by a million times what is charged.
    """
    design, shape = only(far_cox(np.zeros(1, dtype=np.intp)), [0]), Shape(columns=COLUMNS)
    step = Step(
        model="logistic",
        outcome=FlagKey(term=EVERYTHING),
        terms=(NumberTerm(column="x"),),
        clip=1,
        reach=1,
        point=(0,) * shape.width,
        wants=("information",),
        weights=(1,),
    )
    # As many patients as go through at once, each with the most that one adds to a number.
    piece = np.full((shape.width, shape.width), 1 << 53)
    monkeypatch.setattr(contributions, "products", lambda *_: piece)
    fewer, more = (contributions.tally_of_all(step, (design for _ in range(count)), shape) for count in (2000, 2001))
    assert (fewer > 0).all()
    assert (more - fewer <= 1.5 * (1 << 31)).all()
    assert (more - fewer >= 1 << 31).all()


def test_grades_of_a_patient_with_all_rows_in_one_band(tmp_path):
    """One patient's six rows agree in everything; cuts lie where nobody is.

    Gained: six rows at the price of one.
    """
    rows = [f"p{each // 6},M,I61,120,50,1,9,0,Y,2020-01-0{each % 6 + 1}" for each in range(12)]
    scanner = Scanner(prepared(tmp_path, rows).path)
    step = replace(MODELS["logistic"], wants=("grades",), weights=(1,), cuts=(-(1 << 40), 0, 1 << 40))
    asked = round_of(pointed(step, size=0))
    found = scanner.tally(asked, AGREED, "h1", ATTRIBUTES, own_row=True)
    (stated,) = of_tally(asked, 1)
    assert sorted(found)[-2:] == [0, 12]
    assert stated.l2_squared == (12 // 2) ** 2
    scanner.close()
