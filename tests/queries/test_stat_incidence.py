"""RATE and INCIDENCE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from queries.asked.build import band, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, BandKey, CodeKey, FlagKey, Members, SiteKey
from queries.asked.reading import Reading
from queries.asked.view import check_pages
from queries.cost.tally import tally
from queries.errors import PlanError, StatementError
from tests.queries.quick import CATALOGUE, PATIENTS, asked, built, drawn, exact, patients, releases
from tests.queries.test_answer import Release
from tests.queries.whole import altered

BANDS = "BAND(age, 45, 60, 75)"
PEOPLE = np.array([60_000.0, 20_000, 15_000, 10_000])
INCIDENCE = f"INCIDENCE({BANDS}, 'segi', 60000, 20000, 15000, 10000)"
SEGI = np.array([74_000, 15_000, 9_000, 2_000]) / 100_000

AGES = BandKey(column="age", starts=(0, 45, 60, 75))
DIED = FlagKey(term=Members(column="died", codes=("Y",)))


def cases(ward: dict) -> np.ndarray:
    """Patients by band."""
    return np.bincount(np.searchsorted([45, 60, 75], ward["age"], side="right"), minlength=4)


@pytest.mark.parametrize(
    ("written", "measure"),
    [
        ("RATE(1200000)", statistic("rate", 1_200_000)),
        (INCIDENCE, statistic("incidence", band("age", edges=(45, 60, 75)), "segi", 60_000, 20_000, 15_000, 10_000)),
        ("INCIDENCE(sex, 1, 1, 500, 400.5)", statistic("incidence", "sex", 1, 1, 500, 400.5)),
    ],
)
def test_sql_and_python_ask_the_same(written, measure):
    """One plan and one view."""
    one, other = asked(written), built(measure)
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.view) == encode(other.view)


def test_a_crude_rate_costs_nothing_beside_a_count():
    """It reads the count's own block, whatever the population."""
    both = tally(asked("RATE(1000) AS y, RATE(2000) AS z, COUNT(*)").plan, CATALOGUE)
    assert len(both.blocks) == 1


def test_without_noise_rates_are_cases_over_people():
    """Crude and standardised, per 100,000, by numpy."""
    ward = patients()
    assert exact(drawn("RATE(50000)"), ward).value[0, 0] == pytest.approx(PATIENTS * 2)
    found = exact(drawn(INCIDENCE), ward).value[0, 0]
    assert found == pytest.approx(100_000 * (SEGI * cases(ward) / PEOPLE).sum())


def test_without_noise_intervals_are_the_exact_poisson_and_fay_and_feuers():
    """Of a crude rate the Poisson interval; of a standardised one the gamma interval, by scipy."""
    ward = patients(number=40)
    crude = exact(drawn("RATE(100000)"), ward)
    assert crude.total_low[0, 0] == pytest.approx(chi2.ppf(0.025, 80) / 2)
    assert crude.total_high[0, 0] == pytest.approx(chi2.ppf(0.975, 82) / 2)
    found = exact(drawn(INCIDENCE), ward)
    weight = 100_000 * SEGI / PEOPLE
    rate, spread, most = weight @ cases(ward), weight**2 @ cases(ward), weight.max()
    assert found.total_low[0, 0] == pytest.approx(spread / rate / 2 * chi2.ppf(0.025, 2 * rate**2 / spread))
    up = (spread + most**2) / (rate + most)
    assert found.total_high[0, 0] == pytest.approx(up / 2 * chi2.ppf(0.975, 2 * (rate + most) / up))


@pytest.mark.parametrize("written", ["RATE(100000)", INCIDENCE])
@pytest.mark.parametrize(("rows", "epsilon"), [(300, 0.3), (3_000, 1.0)])
def test_releases_are_unbiased_and_their_intervals_cover(written, rows, epsilon):
    """Over 4,000 releases: no bias, noise-only coverage 93 to 97 %."""
    ward = {name: values[:rows] for name, values in patients().items()}
    question = drawn(written)
    truth = exact(question, ward).value[0]
    found = releases(question, ward, epsilon)
    assert abs(found.bias(truth)[0]) < 4
    assert 0.93 < found.covered(truth)[0] < 0.97


@pytest.mark.parametrize("written", ["RATE(105000)", INCIDENCE])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_total_intervals_cover_the_populations_rate(written, epsilon):
    """Noise and chance together: 93 to 97 % of 4,000 years of a population whose risks are known."""
    rng = np.random.default_rng(7)
    risk = np.array([0.001, 0.004, 0.01, 0.02])
    sums = rng.poisson(risk * PEOPLE, (4_000, 4))
    truth = 100_000 * (SEGI @ risk if written == INCIDENCE else risk @ PEOPLE / PEOPLE.sum())
    sums = sums if written == INCIDENCE else sums.sum(axis=1, keepdims=True)
    question = drawn(written)
    reading = question.question.view.columns[-1].expression.reading
    found = question.read(question.released(sums, epsilon, rng), epsilon, reading)
    assert abs(found.bias([truth])[0]) < 4
    assert 0.93 < found.covered([truth], total=True)[0] < 0.97


def figures(statement: str, sums: list[float]) -> list[float]:
    """The figures of ``x``, row by row."""
    return [row.cells[-1].value for row in Release(statement).answer([sums]).rows]


def test_each_cell_of_the_first_groups_has_a_population_of_its_own():
    """Of regions by months, one population for each region, or for each region and month."""
    grouped = "FROM admission GROUP BY sex, died"
    assert figures(f"SELECT sex, died, RATE(1000) AS x {grouped}", [1, 2, 3, 4]) == [100, 200, 300, 400]
    assert figures(f"SELECT sex, died, RATE(1000, 500) AS x {grouped}", [1, 2, 3, 4]) == [100, 200, 600, 800]
    each = "RATE(1000, 500, 250, 100)"
    assert figures(f"SELECT sex, died, {each} AS x {grouped}", [1, 2, 3, 4]) == [100, 400, 1200, 4000]
    aged = "INCIDENCE(age >= 60, 1, 1, 1000, 500, 250, 100)"
    assert figures(f"SELECT sex, {aged} AS x FROM admission GROUP BY sex", [1, 2, 3, 4]) == pytest.approx([250, 2600])


def test_subtotals_are_over_the_people_of_the_cells_that_they_add_up():
    """All regions together have the people of all of them; all months of a region have the region's people."""
    release = Release("SELECT sex, died, RATE(1000, 500) AS x FROM admission GROUP BY ROLLUP (sex, died)")
    sums = {1: [10.0], 2: [3.0, 7.0], 4: [1.0, 2.0, 3.0, 4.0]}
    answer = release.answer([sums[size] for size in release.tally.sizes])
    found = {tuple(row.cells[:2]): row.cells[2].value for row in answer.rows}
    assert found["M", "*"] == pytest.approx(300)
    assert found["F", "*"] == pytest.approx(1_400)
    assert found["*", "*"] == pytest.approx(100_000 * 10 / 1_500)


def test_a_rate_below_zero_is_shown_as_it_is():
    """Unbiased, flagged, with an interval that starts at zero."""
    (row,) = Release("SELECT RATE(100000) AS x FROM admission").answer([[-4]]).rows
    (figure,) = row.cells
    assert figure.value == -4
    assert figure.low == figure.total_low == 0
    assert "negative" in figure.flags


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("RATE()", "still needs"),
        ("RATE('segi')", "a number"),
        ("RATE(0)", "above 0"),
        ("RATE(-5)", "above 0"),
        ("RATE(1000, 2000)", "2 populations where 1"),
        (f"INCIDENCE({BANDS}, 'segi', 1, 2, 3)", "3 populations where 4"),
        (f"INCIDENCE({BANDS}, 1, 2, 3, 4, 5, 6)", "2 populations where 4"),
        (f"INCIDENCE({BANDS}, 1, 2)", "0 populations where 4"),
        (f"INCIDENCE({BANDS}, 'segi', 1, 2, 3, 0)", "above 0"),
        (f"INCIDENCE({BANDS}, 'nobody', 1, 2, 3, 4)", "no standard population"),
        (f"INCIDENCE({BANDS}, 'segi', 'segi', 1, 2, 3, 4)", "weights"),
        (f"INCIDENCE({BANDS}, -1, 1, 1, 1, 1, 2, 3, 4)", "weights"),
        ("INCIDENCE(site, 'segi', 1, 2, 3, 4)", "what patients are"),
        ("INCIDENCE(sex, 'segi', 1, 2)", "weighs bands of ages"),
    ],
)
def test_what_makes_no_rate_is_refused(written, said):
    """With what is wrong, a remedy and a place in the text."""
    with pytest.raises(StatementError, match=said) as refused:
        asked(written)
    assert refused.value.remedy
    assert refused.value.text


@pytest.mark.parametrize(
    "hostile",
    [
        Aggregate(statistic="incidence", by=(SiteKey(sites=("a",)),)),
        Aggregate(statistic="incidence", by=(AGES, DIED)),
        Aggregate(statistic="incidence", column="age"),
        Aggregate(statistic="incidence", columns=("age",)),
        Aggregate(statistic="incidence", by=(CodeKey(column="sex"),)),
    ],
)
def test_hostile_plans_are_refused(hostile):
    """Whatever a stranger puts into the aggregate, also strata that the answer is grouped by."""
    plan = altered(asked(INCIDENCE).plan, aggregates=(hostile,), keys=(CodeKey(column="sex"),))
    with pytest.raises(PlanError) as refused:
        check(plan, CATALOGUE)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "reading",
    [
        Reading(),
        Reading(name="other", numbers=("1",)),
        Reading(words=("segi",), numbers=("1",)),
        Reading(words=("x" * 10_000,), numbers=("1", "1", "1", "1")),
        Reading(numbers=("1",) * 4_096),
        Reading(numbers=("0",) * 8),
    ],
)
def test_hostile_readings_are_refused(reading):
    """Whatever a stranger puts into the view."""
    question = asked(INCIDENCE)
    column = replace(question.view.columns[0], expression=replace(question.view.columns[0].expression, reading=reading))
    pages = replace(question.pages, views=(replace(question.view, columns=(column,)),))
    with pytest.raises(PlanError) as refused:
        check_pages(pages, question.plan, CATALOGUE)
    assert refused.value.remedy
    assert len(refused.value.message) < 500
