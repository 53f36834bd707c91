"""Right answers: hundreds of fresh releases over real processes against the exact figures of the pooled records."""

import itertools
import math
import re
from pathlib import Path

import duckdb
import pytest

import farr
from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.node_homes import policy_with
from farr.lab.watchdog import Watch
from queries.agreed.catalogue_file import read_catalogue

RELEASES = 200
HOSPITALS = 5
EPSILON = 2.0
DEMO = Path(farr.__file__).parent / "demo"
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ist_stroke_trial" / "ist_17_countries.csv.gz"

QUESTION = """
    SELECT sex, BAND(age, 50, 60, 70, 80, 90) AS age, aspirin, COUNT(*) AS patients, AVG(systolic) AS pressure
    FROM admission GROUP BY sex, BAND(age, 50, 60, 70, 80, 90), aspirin
"""
EXACT = """
    SELECT SEX, least(greatest(AGE::INT // 10, 4), 9) AS band, RXASP, count(*), avg(RSBP::DOUBLE)
    FROM pooled GROUP BY ALL ORDER BY ALL
"""
BANDS = ("0-49", "50-59", "60-69", "70-79", "80-89", "90-120")
LARGE = 75
"""Patients of a cell beside which the noise at this price is small."""


def pooled(folder):
    """Return the folder of the largest hospitals, from the shared trial data where they are, else the bundle's own."""
    if not SHARED.is_file():
        return DEMO / "data" / "ist"
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE trial AS SELECT *, row_number() OVER () AS row FROM read_csv('{SHARED}')")
        largest = database.execute(
            f"SELECT HOSPNUM FROM trial GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {HOSPITALS}"
        ).fetchall()
        for (hospital,) in largest:
            site = folder / f"ist-{hospital}"
            site.mkdir(parents=True)
            target = site / "admission.csv"
            database.execute(f"COPY (FROM trial WHERE HOSPNUM = {hospital}) TO '{target}' (FORMAT csv, HEADER)")
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Ask one question afresh 200 times; yield the answers and the exact rows by group."""
    folder = tmp_path_factory.mktemp("answers")
    hospitals = in_folders(pooled(folder / "data"), HOSPITALS)
    files = [f"{hospital.folder}/admission.csv" for hospital in hospitals]
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE pooled AS FROM read_csv({files}, all_varchar = true)")
        exact = database.execute(EXACT).fetchall()
    described = labs.Federation(
        catalogue=read_catalogue((DEMO / "stroke.toml").read_bytes(), "stroke.toml"),
        hospitals=hospitals,
        mapping=DEMO / "stroke_mapping.toml",
        policy=re.sub(r"(?m)^(most_epsilon_per_question|approval_above_epsilon) = .*", r"\1 = 2.0", policy_with(100.0)),
    )
    home = folder / "lab"
    with Watch(home) as watch:
        labs.up(home, described, watch)
        try:
            with farr.connect(home) as federation:
                frames = [federation.sql(QUESTION, epsilon=EPSILON, fresh=True) for _ in range(RELEASES)]
        finally:
            labs.down(home)
    return frames, exact


def errors(frames, exact, column, place):
    """Yield for every figure of every answer its error and whether its interval holds the exact value."""
    truth = {(row[0], BANDS[row[1] - 4], row[2]): row[place] for row in exact}
    for frame in frames:
        assert {(row.sex, row.age, row.aspirin) for row in frame.itertuples()} >= truth.keys()
        for row in frame.to_dict("records"):
            value = truth.get((row["sex"], row["age"], row["aspirin"]))
            if value is not None:
                low, high = row[f"{column}_low"], row[f"{column}_high"]
                yield row[column] - value, not (value < low or value > high)


def test_intervals_of_counts_cover_the_exact_values_as_often_as_they_say(answers):
    """Over 200 fresh releases of 24 cells the 95 % intervals hold the exact pooled counts 93 to 97 % of the time."""
    frames, exact = answers
    covered = [held for _error, held in errors(frames, exact, "patients", 3)]
    assert len(covered) == RELEASES * len(exact)
    assert 0.93 < sum(covered) / len(covered) < 0.97


def test_the_mean_error_of_counts_is_the_analytic_one(answers):
    """The mean absolute error is sd x sqrt(2 / pi) within 5 %, for the sd that the results state."""
    frames, exact = answers
    found = [abs(error) for error, _held in errors(frames, exact, "patients", 3)]
    half = frames[0]["patients_high"][0] - frames[0]["patients"][0]
    expected = half / 1.959963984540054 * math.sqrt(2 / math.pi)
    assert sum(found) / len(found) == pytest.approx(expected, rel=0.05)


def test_intervals_of_averages_cover_the_exact_values(answers):
    """Averages over cells that are large against the noise are covered 93 to 97 % of the time, and are not biased."""
    frames, exact = answers
    large = [row for row in exact if row[3] >= LARGE]
    found = list(errors(frames, large, "pressure", 4))
    assert 0.93 < sum(held for _error, held in found) / len(found) < 0.97
    spread = math.sqrt(sum(error**2 for error, _held in found) / len(found))
    assert abs(sum(error for error, _held in found) / len(found)) < 5 * spread / math.sqrt(len(found)) + 0.15
    assert large


def test_every_cell_of_the_public_domain_is_answered(answers):
    """Each answer has all cells, in the same order, whether or not a hospital has a patient there."""
    frames, _exact = answers
    keys = {tuple(zip(frame["sex"], frame["age"], frame["aspirin"], strict=True)) for frame in frames}
    assert keys == {tuple(itertools.product(("F", "M"), BANDS, ("Y", "N")))}
