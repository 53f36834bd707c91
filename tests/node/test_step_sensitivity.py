"""How far one patient moves a round of training: real preparations and queries, against what is charged."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from node.records.mapping import read_mapping
from node.records.prepare import Prepared, prepare
from node.scan.engine import open_database
from node.scan.expressions import Site
from node.scan.steps import Reader, Steps
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.plan import (
    EVERYTHING,
    ONE,
    Aggregate,
    Bound,
    CodeKey,
    FlagKey,
    Members,
    NumberTerm,
    Part,
    Plan,
    Split,
    Step,
)
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally, tally
from tests.node.change import beyond
from tests.node.stays import AGREED, ATTRIBUTES, MODELS, pointed, prepared, random_lines, round_of

FARTHEST = 1 << 40
"""The largest coefficient that a plan may name."""


class Copy:
    """A copy of a prepared database from which one patient at a time can be taken."""

    def __init__(self, made: Prepared, table: str, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        connection.execute(f"ATTACH '{made.path}' AS original (READ_ONLY)")
        connection.execute(f"CREATE TABLE kept AS FROM original.{table}")
        connection.execute("SET VARIABLE gone = CAST(-1 AS BIGINT)")
        connection.execute(f"CREATE VIEW {table} AS FROM kept WHERE _patient <> getvariable('gone')")

    @property
    def patients(self) -> list[int]:
        """Return the patients, those of most rows first."""
        found = self.connection.execute("SELECT _patient FROM kept GROUP BY ALL ORDER BY count(*) DESC, _patient")
        return [row[0] for row in found.fetchall()]

    def sums(self, asked: Tally, catalogue, gone: int = -1) -> NDArray[np.int64]:
        """Return a round's sums without one patient; nothing is kept from one call to the next."""
        self.connection.execute("SET VARIABLE gone = CAST(? AS BIGINT)", [gone])
        reader = Reader(
            catalogue=catalogue,
            site=Site(name="h1", attributes=ATTRIBUTES),
            own_row=True,
            fetch=lambda sql: self.connection.execute(sql).fetchnumpy(),
        )
        step = asked.plan.parts[0].aggregates[0].step
        assert isinstance(step, Step)
        return Steps().step(asked, step, reader)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """Yield a hospital of 300 stays of few patients, with values at, beyond and without bounds."""
    made = prepared(tmp_path_factory.mktemp("stays"), random_lines(3, 300, 40))
    folder = tmp_path_factory.mktemp("copy")
    with open_database(folder / "copy.duckdb", spill=folder / "spill", memory_limit="512MB", threads=1) as connection:
        yield Copy(made, "stay", connection)


@pytest.mark.parametrize("size", [0, 1 << 30, FARTHEST], ids=["at zero", "near", "far"])
@pytest.mark.parametrize("model", MODELS)
def test_no_patient_moves_a_round_further_than_stated(copy: Copy, model: str, size: int) -> None:
    """Every model and sum, one row and several of a patient, at zero, near and as far out as a plan may go."""
    for rows, clip in ((1, ONE // 8), (6, 1), (4, 1 << 40)):
        step = replace(pointed(MODELS[model], rows, size), clip=clip, reach=clip)
        asked = round_of(step, rows=rows)
        whole = copy.sums(asked, AGREED)
        for patient in copy.patients[:: 5 if rows == 6 else 11]:
            assert not beyond(whole - copy.sums(asked, AGREED, patient), asked)


def test_a_clip_that_binds_is_reached_and_no_more(copy: Copy) -> None:
    """The heaviest patients come close to what is charged, so a bound that did nothing would be seen.

    An information of several rows is shortened by the sum of their lengths, which is more than the length of the sum.
    """
    step = replace(pointed(MODELS["logistic"]), clip=1 << 8, reach=1 << 8)
    asked = round_of(step)
    whole = copy.sums(asked, AGREED)
    (gradient, information, _, grades) = of_tally(asked, 1)
    most = [0] * len(asked.sizes)
    for patient in copy.patients[:12]:
        moved = whole - copy.sums(asked, AGREED, patient)
        for place, (start, size) in enumerate(zip(asked.offsets, asked.sizes, strict=True)):
            most[place] = max(most[place], sum(int(entry) ** 2 for entry in moved[start : start + size]))
    assert 0.998 * gradient.l2_squared < most[0] <= gradient.l2_squared
    assert 0.6 * information.l2_squared < most[1] <= information.l2_squared
    assert most[3] <= grades.l2_squared


def test_the_stated_sensitivity_is_exceeded_without_the_bound_on_rows(copy: Copy) -> None:
    """The same comparison finds a planted defect: more rows of a patient than are charged for."""
    step = replace(pointed(MODELS["logistic"]), wants=("grades",), weights=(1,))
    stated, more = round_of(step, rows=1), round_of(step, rows=6)
    whole = copy.sums(more, AGREED)
    assert any(beyond(whole - copy.sums(more, AGREED, patient), stated) for patient in copy.patients[:10])


def test_a_patient_outside_the_folds_moves_nothing(copy: Copy) -> None:
    """Held-out patients add nothing to training, and those who train nothing to the evaluation."""
    step = pointed(MODELS["logistic"])
    train = round_of(replace(step, split=Split(folds=4, first=0, last=2)))
    test = round_of(replace(step, split=Split(folds=4, first=3, last=3)))
    wholes = copy.sums(train, AGREED), copy.sums(test, AGREED)
    both = 0
    for patient in copy.patients:
        moved = [
            bool((whole != copy.sums(asked, AGREED, patient)).any())
            for whole, asked in zip(wholes, (train, test), strict=True)
        ]
        assert not all(moved)
        both |= 1 * moved[0] | 2 * moved[1]
    assert both == 3


# --- real patients with several encounters ----------------------------------------------------------------------

DIABETES = Path(__file__).resolve().parents[2].parent / "shared/data/diabetes_130_hospitals/diabetic_data.csv.gz"
ENCOUNTERS = read_catalogue(
    b"""
name = "diabetes"
version = "1"
sites_per_patient = 1
rows_per_site = 100_000
[tables.admission]
patient = "patient_nbr"
rows_per_patient = 12
[tables.admission.columns.race]
codes = ["Caucasian", "AfricanAmerican", "Hispanic", "Asian", "Other"]
[tables.admission.columns.gender]
codes = ["Female", "Male"]
[tables.admission.columns.readmitted]
codes = ["NO", "<30", ">30"]
[tables.admission.columns.days]
number = { low = 0, high = 14 }
[tables.admission.columns.drugs]
number = { low = 0, high = 60 }
""",
    "diabetes.toml",
)
MAPPING = read_mapping(
    b"""[tables.admission]
file = "site.csv"
[tables.admission.columns]
days = { from = "time_in_hospital" }
drugs = { from = "num_medications" }
race = { missing = ["?"] }
""",
    "mapping.toml",
)


def test_none_of_the_heaviest_real_patients_moves_a_round_further_than_stated(tmp_path: Path) -> None:
    """Readmission by days, drugs, race and sex at one hospital, whose patients come up to forty times."""
    if not DIABETES.exists():
        pytest.skip("the diabetes set is not beside the repository")
    with gzip.open(DIABETES, "rt") as file:
        lines = [line for line in csv.DictReader(file) if line["medical_specialty"] == "Emergency/Trauma"]
    names = ["patient_nbr", "race", "gender", "readmitted", "time_in_hospital", "num_medications"]
    with (tmp_path / "site.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)
    made = prepare(tmp_path / "home", tmp_path, MAPPING, ENCOUNTERS, bytes(range(32)))
    step = Step(
        model="logistic",
        outcome=FlagKey(term=Members(column="readmitted", codes=("<30",))),
        terms=(NumberTerm(column="days"), NumberTerm(column="drugs"), CodeKey(column="race"), CodeKey(column="gender")),
        clip=ONE // 2,
        reach=ONE // 2,
        point=(1 << 29,) * 8,
        wants=("gradient", "information", "loss", "grades"),
        weights=(1, 1, 1, 1),
        cuts=(0,),
    )
    part = Part(
        table="admission",
        where=EVERYTHING,
        keys=(),
        aggregates=(Aggregate(statistic="step", step=step),),
        bound=Bound(rows=12, groups=12),
    )
    asked = tally(Plan(catalogue=ENCOUNTERS.digest, parts=(part,)), ENCOUNTERS)
    assert Counter(line["patient_nbr"] for line in lines).most_common(1)[0][1] >= 12
    with open_database(
        tmp_path / "copy.duckdb", spill=tmp_path / "spill", memory_limit="512MB", threads=1
    ) as connection:
        copy = Copy(made, "admission", connection)
        whole = copy.sums(asked, ENCOUNTERS)
        for patient in copy.patients[:40]:
            assert not beyond(whole - copy.sums(asked, ENCOUNTERS, patient), asked)
