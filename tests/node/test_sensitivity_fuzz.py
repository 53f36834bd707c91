from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from node.records.mapping import read_mapping
from node.records.prepare import Prepared, prepare
from node.scan.engine import open_database
from node.scan.statement import Statement
from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet, NumberColumn, Table
from queries.asked.plan import (
    EVERYTHING,
    Aggregate,
    BandKey,
    Between,
    Bound,
    CodeKey,
    DateKey,
    Key,
    Members,
    Missing,
    Not,
    SiteKey,
)
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally
from tests.node.change import beyond, compiled, run
from tests.node.ward import HEADER, SITE_KEY, catalogue, codes, label, prepared, scan, shape
from tests.queries.whole import altered

DIABETES = Path(__file__).resolve().parents[2].parent / "shared/data/diabetes_130_hospitals/diabetic_data.csv.gz"
EVERY_MEASURE = (
    Aggregate(statistic="count"),
    Aggregate(statistic="patients"),
    Aggregate(statistic="sum", column="days"),
    Aggregate(statistic="mean", column="drugs"),
)


# --- real patients with several encounters ----------------------------------------------------------------------


def number(name: str, high: int) -> NumberColumn:
    """Return a column of whole numbers from 0."""
    return NumberColumn(name=name, label=label(name), low=0, high=high, step=Fraction(1))


RACES = ("Caucasian", "AfricanAmerican", "Hispanic", "Asian", "Other")
AGES = tuple(f"{low}-{low + 9}" for low in range(0, 100, 10))


def code_column(name: str, *names: str) -> CodeColumn:
    """Return a column of codes."""
    return CodeColumn(name=name, label=label(name), codes=CodeSet(name=name, version="1", codes=codes(*names)))


ENCOUNTERS = Catalogue(
    name="diabetes",
    version="1",
    tables=(
        Table(
            name="admission",
            label=label("encounter"),
            patient="patient_nbr",
            columns=(
                code_column("race", *RACES),
                code_column("gender", "Female", "Male"),
                code_column("age", *AGES),
                code_column("readmitted", "NO", "<30", ">30"),
                number("days", 14),
                number("drugs", 60),
            ),
            rows_per_patient=12,
        ),
    ),
    site_attributes=(),
    sites_per_patient=1,
    rows_per_site=100_000,
    source=b"diabetes",
)
ENCOUNTER_MAPPING = read_mapping(
    (
        '[tables.admission]\nfile = "site.csv"\n[tables.admission.columns]\n'
        'days = { from = "time_in_hospital" }\ndrugs = { from = "num_medications" }\n'
        "age = { values = { "
        + ", ".join(f"'[{low}-{low + 10})' = \"{low}-{low + 9}\"" for low in range(0, 100, 10))
        + ' } }\nrace = { missing = ["?"] }\n'
    ).encode(),
    "diabetes.toml",
)
QUESTIONS = (
    shape(ENCOUNTERS, EVERY_MEASURE, rows=12, groups=12),
    shape(ENCOUNTERS, EVERY_MEASURE, keys=(CodeKey(column="readmitted"), CodeKey(column="age")), rows=3, groups=3),
    shape(
        ENCOUNTERS,
        [replace(asked, where=Members(column="readmitted", codes=(">30", "NO"))) for asked in EVERY_MEASURE[1:3]],
        keys=(SiteKey(sites=("h1",)), CodeKey(column="age"), BandKey(column="days", starts=tuple(range(15)))),
        where=Between(column="drugs", low=1, high=None),
        rows=5,
        groups=2,
    ),
)


@dataclass(frozen=True)
class Hospital:
    """One surrogate site, prepared, with the patients of most encounters first."""

    lines: list[dict[str, str]]
    heaviest: list[str]
    made: Prepared

    def without(self, patient: str, folder: Path) -> Prepared:
        """Prepare anew without one patient."""
        return encounters([line for line in self.lines if line["patient_nbr"] != patient], folder)


def encounters(lines: list[dict[str, str]], folder: Path) -> Prepared:
    """Write and prepare encounters."""
    folder.mkdir(exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    (folder / "site.csv").write_text(text.getvalue())
    return prepare(folder / "home", folder, ENCOUNTER_MAPPING, ENCOUNTERS, SITE_KEY)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """Prepare the encounters that began in the emergency department."""
    if not DIABETES.exists():
        pytest.skip("the diabetes set is not beside the repository")
    with gzip.open(DIABETES, "rt") as file:
        lines = [line for line in csv.DictReader(file) if line["medical_specialty"] == "Emergency/Trauma"]
    counted = Counter(line["patient_nbr"] for line in lines)
    heaviest = [patient for patient, _ in counted.most_common(500)]
    return Hospital(lines=lines, heaviest=heaviest, made=encounters(lines, tmp_path_factory.mktemp("diabetes")))


def patient_numbers(made: Prepared) -> list[int]:
    """Return the prepared patients, those of most rows first."""
    with duckdb.connect(str(made.path), read_only=True) as connection:
        found = connection.execute("SELECT _patient FROM admission GROUP BY ALL ORDER BY count(*) DESC, _patient")
        return [row[0] for row in found.fetchall()]


@pytest.fixture(scope="module")
def one_less(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a copy of the prepared database in which the patient in the variable ``gone`` has no rows."""
    folder = tmp_path_factory.mktemp("copy")
    with open_database(folder / "copy.duckdb", spill=folder / "spill", memory_limit="512MB", threads=1) as connection:
        connection.execute(f"ATTACH '{hospital.made.path}' AS original (READ_ONLY)")
        connection.execute("CREATE TABLE kept AS FROM original.admission")
        connection.execute("CREATE VIEW admission AS FROM kept WHERE _patient <> getvariable('gone')")
        yield connection


def vector_without(patient: int, statement: Statement, connection: duckdb.DuckDBPyConnection) -> NDArray[np.int64]:
    """Return the tally of the copy without one patient."""
    connection.execute("SET VARIABLE gone = CAST(? AS BIGINT)", [patient])
    return run(statement, connection)


@pytest.mark.parametrize("tally", QUESTIONS, ids=lambda tally: f"rows-{tally.plan.parts[0].bound.rows}")
def test_none_of_the_500_heaviest_patients_moves_a_tally_further_than_stated(hospital, one_less, tally) -> None:
    """Real encounters, every measure, limits below the cap: L1, L2 and the largest entry hold in every block."""
    whole, statement = scan(hospital.made, tally, ENCOUNTERS), compiled(tally, ENCOUNTERS)
    assert (vector_without(-1, statement, one_less) == whole).all()
    reached = 0
    for patient in patient_numbers(hospital.made)[:500]:
        change = whole - vector_without(patient, statement, one_less)
        assert not beyond(change, tally)
        reached = max(reached, int(np.abs(change[: tally.sizes[0]]).sum()))
    # The heaviest patients use up what the plan allows, so a bound that did nothing would have been seen.
    assert reached == of_tally(tally, 1)[0].l1


def test_the_stated_sensitivity_is_exceeded_without_the_bound(hospital, one_less) -> None:
    """The same comparison finds a planted defect: rows, then groups, of a patient left unlimited."""
    for tally, bound in (
        (QUESTIONS[1], Bound(rows=12, groups=12)),
        (QUESTIONS[2], Bound(rows=5, groups=5)),
    ):
        statement = compiled(replace(tally, plan=altered(tally.plan, bound=bound)), ENCOUNTERS)
        whole = vector_without(-1, statement, one_less)
        heavy = patient_numbers(hospital.made)[:60]
        assert any(beyond(whole - vector_without(patient, statement, one_less), tally) for patient in heavy)


def contents(connection: duckdb.DuckDBPyConnection) -> dict[int, Counter[tuple[object, ...]]]:
    """Return the kept rows of each patient."""
    kept: dict[int, Counter[tuple[object, ...]]] = {}
    for patient, *row in connection.execute("SELECT _patient, * EXCLUDE (_patient) FROM admission").fetchall():
        kept.setdefault(patient, Counter())[tuple(row)] += 1
    return kept


def opened(made: Prepared) -> duckdb.DuckDBPyConnection:
    """Open a prepared database as the scanner does."""
    return open_database(made.path, spill=made.path.parent, memory_limit="256MB", threads=1, read_only=True)


def test_a_patients_rows_depend_on_no_other(hospital, tmp_path: Path) -> None:
    """Preparing anew without one of the heaviest patients leaves every other patient's kept rows as they were."""
    with opened(hospital.made) as connection:
        whole = contents(connection)
    for place in (0, 1, 250):
        made = hospital.without(hospital.heaviest[place], tmp_path / str(place))
        with opened(made) as connection:
            rest = contents(connection)
        gone = whole.keys() - rest.keys()
        assert len(gone) == 1
        assert rest == {patient: rows for patient, rows in whole.items() if patient not in gone}
        for tally in QUESTIONS:
            assert not beyond(scan(hospital.made, tally, ENCOUNTERS) - scan(made, tally, ENCOUNTERS), tally)


# --- made-up worst cases ------------------------------------------------------------------------------------------

WORST = """
nan,M,I63,NaN,2021-01-01
null,,,,2021-01-01
null,,,,2021-01-01
infinity,F,J18,inf,2021-01-01
infinity,F,J18,-inf,2021-01-02
infinity,F,J18,1e999,2021-01-03
least,M,I61,-9223372036854775808,2020-02-29
least,M,I61,-170141183460469231731687303715884105728,2020-02-28
greatest,M,I61,9223372036854775807,2020-02-29
greatest,M,I61,1e300,2020-02-28
outside,X,Z99,-1,2021-05-05
outside,男,I,1,1999-01-01
outside,M,I63,5000,2030-01-01
nobody's,M,I63,100,
,M,I63,100,2021-01-01
everywhere,M,I61,10,2020-01-01
everywhere,F,I63,100,2020/2/1
everywhere,M,I63.9,150,20200301
everywhere,F,J18,200,2021年4月1日
everywhere,M,J18.9,250,2021-05-01 23:59:59
everywhere,F,I63.900x001,300,2021-06-01T00:00:00+08:00
everywhere,M,I61,0,2022-07-01
everywhere,F,I63,50,2022-08-01
everywhere,M,J18,220,2022-09-01
everywhere,F,I61,130,2022-10-01
twin,M,I63,250,2021-01-01
twin,M,I63,250,2021-01-01
twin,M,I63,250,2021-01-01
twin,M,I63,250,2021-01-01
twin,M,I63,250,2021-01-01
twin ,M,I63,250,2021-01-01
years,F,J18,0,2020-12-31
years,F,J18,0,2021-01-01
years,F,J18,0,2021-12-31
years,F,J18,0,2022-01-01
years,F,J18,0,2020-12-31
years,F,J18,0,2020-06-01
years,F,J18,0,2020-06-02
years,F,J18,0,2020-06-03
'; DROP TABLE admission; --,M,I63,100,2021-01-01
"""
AGREED = catalogue(cap=3)
OF_PRESSURE = (
    Aggregate(statistic="count"),
    Aggregate(statistic="patients"),
    Aggregate(statistic="sum", column="sbp"),
    Aggregate(statistic="mean", column="sbp", where=Not(term=Missing(column="sex"))),
)
KEYS: tuple[tuple[Key, ...], ...] = (
    (),
    (CodeKey(column="dx"), CodeKey(column="sex")),
    (CodeKey(column="dx", level="chapter"),),
    (BandKey(column="sbp", starts=(0, 1000, 2000)),),
    (DateKey(column="admitted", part="month_of_year", first=AGREED.tables[0].column("admitted").first,
             last=AGREED.tables[0].column("admitted").last), CodeKey(column="sex")),
)  # fmt: skip


def movements(
    text: str, tallies: list[Tally], folder: Path, encoding: str = "utf-8", owners: Collection[str] = ()
) -> None:
    """Prepare with everybody and, for each patient anew, without; compare the change with what is stated."""
    lines = text.strip().splitlines()
    statements = [compiled(tally, AGREED) for tally in tallies]
    written = "gb18030" if encoding == "gb18030" else "utf-8"
    mapping = read_mapping(f'[tables.admission]\nencoding = "{written}"\n'.encode(), "m.toml")

    def read(chosen: list[str]) -> tuple[dict[int, Counter[tuple[object, ...]]], list[NDArray[np.int64]], Prepared]:
        made = prepared(folder, (HEADER + "\n".join(chosen) + "\n").encode(encoding), AGREED, mapping)
        with opened(made) as connection:
            return contents(connection), [run(statement, connection) for statement in statements], made

    before, everybody, whole = read(lines)
    assert (everybody[0] == scan(whole, tallies[0], AGREED)).all()
    for owner in owners or {line.split(",")[0].strip() for line in lines}:
        kept, others, _ = read([line for line in lines if line.split(",")[0].strip() != owner])
        assert len(before.keys() - kept.keys()) <= 1
        assert kept == {patient: rows for patient, rows in before.items() if patient in kept}
        for tally, vector, without in zip(tallies, everybody, others, strict=True):
            assert not beyond(vector - without, tally), owner


@pytest.mark.parametrize(
    ("encoding", "limits", "owners"),
    [
        ("utf-8", [(9, 9), (2, 1)], ()),
        ("utf-8-sig", [(3, 2)], ("everywhere", "twin")),
        ("gb18030", [(1, 1)], ("everywhere", "outside")),
    ],
)
def test_no_made_up_patient_moves_a_tally_further_than_stated(tmp_path: Path, encoding, limits, owners) -> None:
    """Missing, infinite, least and greatest values, unknown codes, repeats, every group, several years, encodings."""
    tallies = [shape(AGREED, OF_PRESSURE, keys=keys, rows=m, groups=g) for keys in KEYS[1:] for m, g in limits]
    movements(WORST, tallies, tmp_path, encoding, owners)


rows = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["M", "F", "", "Q"]),
    st.sampled_from(["I61", "I63.9", "J18", "", "?"]),
    st.sampled_from(["", "0", "300", "150", "NaN", "-inf", "1e40", "151.25"]),
    st.sampled_from(["2020-01-01", "2020-12-31", "2021/1/1", "20220202", "", "2019-01-01"]),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(rows, min_size=4, max_size=30),
    keys=st.sampled_from(KEYS),
    limits=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    where=st.sampled_from([EVERYTHING, Not(term=Members(column="sex", codes=("M",)))]),
)
def test_no_patient_of_a_random_table_moves_a_tally_further_than_stated(tmp_path, table, keys, limits, where) -> None:
    """Whole preparations with and without each patient; the other patients' kept rows stay the same."""
    text = "".join(",".join(row) + "\n" for row in table)
    tally = shape(AGREED, OF_PRESSURE, keys=keys, where=where, rows=limits[0], groups=min(limits))
    movements(text, [tally], tmp_path)
