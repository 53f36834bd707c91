"""Standardised rates, ratios and incidences, released thousands of times on real and simulated patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.sql import read
from tests.distributions.drawn import Drawn, Figures
from tests.distributions.pooled import Released, column, record
from tests.distributions.shared import CHINA, SIH, STROKE, answers_of, rows_of
from tests.queries.quick import CATALOGUE, SITES

pytestmark = pytest.mark.slow

Floats = np.ndarray


RELEASES = 5_000
BUDGETS = 0.3, 1.0, 3.0

STARTS = 45, 65, 75
BANDS = "BAND(age, 45, 65, 75)"
DIRECT = f"STANDARDISED_RATE(died = 'Y', {BANDS}, 'who-2000')"
INDIRECT = f"SMR(died = 'Y', {BANDS}, 0.02, 0.05, 0.08, 0.12)"
INCIDENCE = f"INCIDENCE({BANDS}, 'who-2000', 610000, 240000, 90000, 60000)"
WRITTEN = {"direct": DIRECT, "ratio": INDIRECT, "incidence": INCIDENCE}

REFERENCE = np.array([0.02, 0.05, 0.08, 0.12])
PEOPLE = np.array([610_000, 240_000, 90_000, 60_000])

SPREAD, SHARES = np.array([0.3, 0.3, 0.2, 0.2]), np.array([0.02, 0.05, 0.09, 0.15])
"""A population of patients: ages, and the risk of the event in each."""


def weights() -> Floats:
    """The published percentages by band, adding up to 1."""
    who = [8.86, 8.69, 8.60, 8.47, 8.22, 7.93, 7.61, 7.15, 6.59, 6.04, 5.37, 4.55, 3.72, 2.96, 2.21, 1.52, 0.91, 0.63]
    groups = np.array([sum(who[:9]), sum(who[9:13]), sum(who[13:15]), sum(who[15:])])
    return groups / groups.sum()


@dataclass(frozen=True)
class Asked:
    """One figure, to be released as often as wanted."""

    name: str

    @property
    def drawn(self) -> Drawn:
        """The question, one row of each patient."""
        statement = f"SELECT {WRITTEN[self.name]} AS x FROM admission"
        return Drawn(CATALOGUE, read(statement, CATALOGUE, SITES, rows_per_patient=1))

    def read(self, vectors: Floats, epsilon: float | None) -> Figures:
        """The figures of vectors."""
        drawn = self.drawn
        return drawn.read(vectors, epsilon, drawn.question.view.columns[-1].expression.reading)

    def released(self, exact: Floats, epsilon: float, *, hospitals: int = 1, seed: int = 1) -> Figures:
        """Releases of exact vectors, shape (releases, entries); ``hospitals``: each adds the whole noise (naive)."""
        rng = np.random.default_rng(seed)
        vectors = self.drawn.released(exact, epsilon, rng, times=hospitals)
        return self.read(vectors, epsilon)

    def ignoring(self, exact: Floats, epsilon: float, seed: int = 1) -> Figures:
        """The same read as if there were no noise: the other naive way."""
        return self.read(self.drawn.released(exact, epsilon, np.random.default_rng(seed)), None)


def truth_of(name: str, yes: Floats, rows: Floats) -> float:
    """The figure by numpy: of events and rows by band."""
    if name == "direct":
        return float(weights() @ (yes / rows))
    if name == "ratio":
        return float(yes.sum() / (REFERENCE @ rows))
    return float(100_000 * weights() @ (rows / PEOPLE))


def vector(name: str, yes: Floats, rows: Floats) -> Floats:
    """Events and rows by band, as the tally holds them: shape (..., entries)."""
    if name == "incidence":
        return rows
    return np.stack([rows - yes, yes], axis=-1).reshape(*rows.shape[:-1], -1)


def by_band(age: Floats, event: Floats) -> tuple[Floats, Floats]:
    """Events and rows by band."""
    place = np.searchsorted(STARTS, age, side="right")
    return np.bincount(place, weights=event, minlength=4), np.bincount(place, minlength=4).astype(float)


def sih() -> tuple[Floats, Floats]:
    """Deaths in hospital and admissions of the Brazilian set, by band."""
    frame = rows_of(SIH, text=True)
    unit, number = frame["COD_IDADE"].astype(int), frame["IDADE"].astype(int)
    age = np.where(unit == 4, number, np.where(unit == 5, 100 + number, 0))
    yes, rows = by_band(age, frame["MORTE"].astype(int))
    exact = answers_of(SIH)
    assert rows.sum() == exact["rows"]
    assert yes.sum() == sum(exact["deaths_by_hospital"].values())
    return yes, rows


def stroke() -> tuple[Floats, Floats]:
    """Deaths by day 14 and patients of the stroke trial, by band."""
    frame = rows_of(STROKE)
    yes, rows = by_band(frame["AGE"].to_numpy(), (frame["ID14"] == 1).to_numpy())
    exact = answers_of(STROKE)
    assert rows.sum() == exact["age"]["n"]
    assert yes.sum() == sum(each["1"] for each in exact["stype_x_dead14"].values())
    return yes, rows


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("records", [sih, stroke])
@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_real_records(name, records, epsilon):
    """5,000 releases: unbiased, intervals cover 93 to 97 %; ours is better than noise of every hospital summed."""
    yes, rows = records()
    truth = truth_of(name, yes, rows)
    exact = np.tile(vector(name, yes, rows), (RELEASES, 1))
    assert Asked(name).read(exact[:1], None).value[0, 0] == pytest.approx(truth)
    found = Asked(name).released(exact, epsilon)
    assert abs(found.bias([truth])[0]) < 4
    assert 0.93 < found.covered([truth])[0] < 0.97
    naive = Asked(name).released(exact, epsilon, hospitals=100)
    assert naive.error([truth])[0] > 5 * found.error([truth])[0] or np.isnan(naive.value).any()


def population(name: str, rows: int, number: int = RELEASES, seed: int = 3) -> tuple[Floats, float]:
    """Samples of a population, and its own figure."""
    rng = np.random.default_rng(seed)
    if name == "incidence":
        risk = rows * SPREAD / PEOPLE
        return rng.poisson(risk * PEOPLE, (number, 4)).astype(float), float(100_000 * weights() @ risk)
    patients = rng.multinomial(rows, SPREAD, number).astype(float)
    yes = rng.binomial(patients.astype(int), SHARES).astype(float)
    truth = weights() @ SHARES if name == "direct" else (SPREAD @ SHARES) / (SPREAD @ REFERENCE)
    return vector(name, yes, patients), float(truth)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("rows", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("epsilon", [1.0, 3.0])
def test_simulated_populations(name, rows, epsilon):
    """Total intervals cover the population's own figure in 93 to 97 % of 5,000 samples."""
    exact, truth = population(name, rows)
    found = Asked(name).released(exact, epsilon)
    assert 0.93 < found.covered([truth], total=True)[0] < 0.97


def test_few_events_have_a_conservative_interval():
    """With some ten events Fay and Feuer's interval covers at least 95 %: it may be too wide, never too narrow."""
    rng = np.random.default_rng(4)
    risk = 10 * SPREAD / PEOPLE
    truth = 100_000 * weights() @ risk
    found = Asked("incidence").read(rng.poisson(risk * PEOPLE, (20_000, 4)).astype(float), None)
    assert found.covered([truth], total=True)[0] > 0.945


PROVINCES = """
name = "cases"
version = "1"
label = {{ en = "Cases", zh = "病例" }}
sites_per_patient = 1
rows_per_site = 100_000_000
[codes.province]
version = "1"
codes = {{ {codes} }}
[tables.case_report]
label = {{ en = "Cases", zh = "病例" }}
patient = "case"
rows_per_patient = 1
[tables.case_report.columns.province]
codes = "province"
"""


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_notifiable_diseases_of_china_over_their_provinces_people(epsilon):
    """Scarlet fever in the 31 provinces: rates of 5,000 releases against the published incidence."""
    frame = rows_of(CHINA)
    frame = frame[(frame["Diseases"] == "Scarlet fever") & (frame["Province"] != "Total")]
    frame = frame[frame["YearMonth"].str.startswith("2014")]
    frame = frame.assign(cases=pd.to_numeric(frame["Cases"]), rate=pd.to_numeric(frame["Incidence"]))
    names = sorted(frame["Province"].unique())
    cases = frame.groupby("Province")["cases"].sum()[names].to_numpy()
    rates = frame.groupby("Province")["rate"].sum()[names].to_numpy()
    known = (cases > 50) & (rates > 0)
    people = np.where(known, np.rint(100_000 * cases / np.where(rates > 0, rates, 1)), 1_000_000)
    exact = answers_of(CHINA)
    assert cases.sum() == exact["cases_by_disease_year"]["Scarlet fever"]["2014"]
    listed = ", ".join(f'"{place:02}" = "{name}"' for place, name in enumerate(names))
    catalogue = read_catalogue(PROVINCES.format(codes=listed).encode(), "cases.toml")
    given = ", ".join(str(int(each)) for each in people)
    asked = read(f"SELECT province, RATE({given}) AS x FROM case_report GROUP BY province", catalogue, {"cdc": {}})
    released = Released(catalogue=catalogue, question=asked, exact=cases.astype(np.int64))
    figures = [column(answer, "x") for (answer,) in released.releases(RELEASES, epsilon=epsilon, seed=2)]
    value, low, high = (
        np.array([[getattr(each, end) for each in row] for row in figures]) for end in ("value", "low", "high")
    )
    truth = 100_000 * cases / people
    assert truth[known] == pytest.approx(rates[known], rel=0.01)
    for place in np.flatnonzero(known):
        found = record(value[:, place], low[:, place], high[:, place], truth[place])
        assert abs(found.bias) < 4.5
        assert 0.93 < found.covered < 0.97


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_ratios_across_tables(epsilon):
    """Visits per admission with noise in both: Fieller's interval covers 93 to 97 % of 5,000 releases."""
    text = (
        "SELECT v.n / d.n AS x FROM (SELECT COUNT(*) AS n FROM visit) AS v, (SELECT COUNT(*) AS n FROM admission) AS d"
    )
    asked = read(text, CATALOGUE, SITES, rows_per_patient=1)
    tables = [part.table for part in asked.plan.parts]
    cases = np.array([{"visit": 600, "admission": 240}[table] for table in tables])
    released = Released(catalogue=CATALOGUE, question=asked, exact=cases)
    rows = [column(answer, "x")[0] for (answer,) in released.releases(RELEASES, epsilon=epsilon, seed=2)]
    found = record(*(np.array([getattr(each, end) for each in rows]) for end in ("value", "low", "high")), 2.5)
    assert 0.93 < found.covered < 0.97


def measured() -> list[tuple[object, ...]]:
    """Rows of the table in docs/statistics.md: figure, rows, budget, our error and coverages, and the naive ways'."""
    lines: list[tuple[object, ...]] = []
    for name in WRITTEN:
        for rows in (1_000, 10_000, 100_000):
            samples, of_population = population(name, rows)
            one = population(name, rows, number=1, seed=9)[0][0]
            truth = float(Asked(name).read(one[None], None).value[0, 0])
            exact = np.tile(one, (RELEASES, 1))
            for epsilon in BUDGETS:
                found, naive = Asked(name).released(exact, epsilon), Asked(name).released(exact, epsilon, hospitals=10)
                total = Asked(name).released(samples, epsilon)
                ignored = Asked(name).ignoring(samples, epsilon)
                lines.append(
                    (
                        *(name, rows, epsilon, found.error([truth])[0] / truth, found.covered([truth])[0]),
                        *(total.covered([of_population], total=True)[0], np.isnan(found.value).mean()),
                        *(naive.error([truth])[0] / truth, ignored.covered([of_population], total=True)[0]),
                    )
                )
    return lines
