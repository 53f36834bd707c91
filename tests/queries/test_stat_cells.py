"""LOGISTIC, LOGISTIC_ODDS, POISSON, POISSON_RATES and RELATIVE_RISK."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from queries.agreed.levels import cells_of, coefficients
from queries.answers.scores import LOGISTIC, RATE, RISK
from queries.asked.build import band, col, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, CodeKey, FlagKey, Members
from queries.asked.reading import Reading
from queries.cost.tally import tally
from queries.errors import PlanError, QueryError
from queries.statistics import STATISTICS
from tests.distributions.pooled import records_of
from tests.queries.cohort import COHORT, FRAME, asked, built
from tests.queries.whole import altered

DIED = FlagKey(term=Members(column="died", codes=("Y",)))
SEX, STAGE = CodeKey(column="sex"), CodeKey(column="stage")
MODEL = Aggregate(statistic="logistic", by=(DIED, SEX, STAGE))
ROWS = FRAME.assign(event=(FRAME.died == "Y").where(FRAME.died.notna()))
FORMULA = "event ~ C(sex) + C(stage) + C(arm)"
GROUPS = "sex, stage, arm = 'B'"
RATIO = Reading(name="ratio")


def reference(kind: str):
    """The model that statsmodels fits to complete rows."""
    rows = ROWS.dropna(subset=["event", "sex", *(["followed"] if kind == "POISSON" else [])])
    rows = rows[rows.followed > 0] if kind == "POISSON" else rows
    rows = rows.assign(event=rows.event.astype(float))
    if kind == "LOGISTIC":
        return smf.logit(FORMULA, rows).fit(disp=0)
    offset = np.log(rows.followed) if kind == "POISSON" else None
    model = smf.glm(FORMULA, rows, family=sm.families.Poisson(), offset=offset)
    return model.fit(cov_type="nonrobust" if kind == "POISSON" else "HC0", tol=1e-12)


CALLS = {
    "LOGISTIC": f"LOGISTIC(died = 'Y', {GROUPS})",
    "POISSON": f"POISSON(died = 'Y', followed, {GROUPS})",
    "RELATIVE_RISK": f"RELATIVE_RISK(died = 'Y', {GROUPS})",
}


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """The exact vectors of the three models, by the node's scanner."""
    found = COHORT.exact(tmp_path_factory.mktemp("cohort"), list(CALLS.values()))
    return dict(zip(CALLS, found, strict=True))


def read(kind: str, vectors: np.ndarray, epsilon: float | None, reading: Reading | None = None):
    """Figures of vectors of a model."""
    return COHORT.drawn(CALLS[kind]).read(vectors.astype(float), epsilon, reading)


def released(kind: str, vectors: np.ndarray, epsilon: float, seed: int = 6):
    """Figures of releases of vectors."""
    noisy = COHORT.drawn(CALLS[kind]).released(vectors, epsilon, np.random.default_rng(seed))
    return read(kind, noisy, epsilon)


def test_sql_and_python_ask_the_same():
    """Groups, bands, conditions and time, in one plan and one view."""
    one = asked("SELECT POISSON(died = 'Y', followed, sex, BAND(age, 25), arm = 'B') AS x FROM visit")
    other = built(statistic("poisson", col("died") == "Y", "followed", "sex", band("age", 25), col("arm") == "B"))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.pages) == encode(other.pages)


def test_coefficients_and_ratios_of_one_model_cost_once():
    """Two readings are one aggregate; logistic regression and relative risks share one block of exclusive cells."""
    question = asked(
        f"SELECT LOGISTIC(died = 'Y', {GROUPS}) AS b, LOGISTIC_ODDS(died = 'Y', {GROUPS}) AS r,"
        f" RELATIVE_RISK(died = 'Y', {GROUPS}) AS k FROM visit"
    )
    assert len(question.part.aggregates) == 2
    assert tally(question.plan, COHORT.catalogue).sizes == (24,)


@pytest.mark.parametrize("kind", CALLS)
def test_without_noise_it_is_the_model_of_the_rows(kind, sums):
    """Coefficients are statsmodels', total intervals nearly its own; ratios are their exponentials."""
    model = reference(kind)
    found = read(kind, sums[kind][None], None)
    assert found.value[0] == pytest.approx(model.params.to_numpy(), abs=1e-5)
    assert found.low[0] == pytest.approx(found.value[0], abs=1e-4)
    expected = model.conf_int().to_numpy()
    assert found.total_low[0] == pytest.approx(expected[:, 0], abs=0.02)
    assert found.total_high[0] == pytest.approx(expected[:, 1], abs=0.02)
    ratios = read(kind, sums[kind][None], None, RATIO)
    assert ratios.value == pytest.approx(np.exp(found.value))
    assert ratios.total_high == pytest.approx(np.exp(found.total_high))


@pytest.mark.parametrize("kind", CALLS)
def test_releases_are_unbiased_and_their_intervals_cover(kind, sums):
    """600 releases at an epsilon of 1: no bias, noise-only intervals hold the exact coefficients in 93 to 97 %."""
    exact = read(kind, sums[kind][None], None).value[0]
    found = released(kind, np.tile(sums[kind], (600, 1)), 1.0)
    assert (np.abs(found.bias(exact)) < 4).all()
    covered = ((found.low <= exact) & (exact <= found.high)).mean(axis=0)
    assert 0.94 < covered.mean() < 0.97
    assert (covered > 0.92).all()


def population(kind: str, generator: np.random.Generator, samples: int, rows: int):
    """Vectors of simulated samples, and the coefficients that they come from."""
    design = cells_of(2, 3, 2).design
    truth = np.array([-1.5 if kind == "LOGISTIC" else -2.0, 0.4, 0.3, 0.8, 0.0])
    inside = generator.multinomial(rows, np.outer(np.outer([0.6, 0.4], [0.5, 0.3, 0.2]), [0.5, 0.5]).ravel(), samples)
    rate = np.exp(design @ truth)
    if kind == "POISSON":
        # Ten days each, in steps of half a day.
        return np.concatenate([generator.poisson(rate * inside * 10 / 10), 20 * inside], axis=1), truth - np.log(
            [10, 1, 1, 1, 1]
        )
    events = generator.binomial(inside, rate / (1 + rate) if kind == "LOGISTIC" else rate)
    return np.concatenate([inside - events, events], axis=1), truth


@pytest.mark.parametrize("kind", ["LOGISTIC", "RELATIVE_RISK"])
def test_total_intervals_cover_the_population(kind):
    """Noise and sampling: 93 to 97 % of samples of 1,500; a coefficient of nothing is found in 3 to 7 %."""
    vectors, truth = population(kind, np.random.default_rng(7), 600, 1_500)
    found = released(kind, vectors, 1.0)
    covered = ((found.total_low <= truth) & (truth <= found.total_high)).mean(axis=0)
    assert 0.94 < covered.mean() < 0.97
    assert 0.93 < covered[4] < 0.97
    assert (covered > 0.92).all()


def test_total_intervals_of_rates_cover_the_population():
    """The same of a Poisson regression by time at risk."""
    vectors, truth = population("POISSON", np.random.default_rng(8), 300, 20_000)
    found = released("POISSON", vectors, 3.0)
    covered = ((found.total_low <= truth) & (truth <= found.total_high)).mean(axis=0)
    assert (covered > 0.92).all()
    assert covered.mean() < 0.975


@pytest.mark.parametrize("family", [LOGISTIC, RISK, RATE])
def test_a_level_without_events_has_no_coefficient_and_an_open_end(family):
    """Among negative counts too: the others keep theirs, and no lower end is made up that would leave out the truth."""
    rng = np.random.default_rng(12)
    entries = np.array([[100, 900], [0, 1_000], [150, 850], [120, 880], [0, 1_000], [180, 820]], dtype=float)
    noise = 5.0 * rng.standard_normal((400, *entries.shape))
    value, low, high, total_low, _ = coefficients(cells_of(2, 3), entries + noise, (25.0, 25.0), family)
    assert np.isinf(low[:, 2]).mean() > 0.9
    assert np.isnan(value[:, 2]).mean() > 0.5
    others = coefficients(cells_of(2, 2), entries[[0, 2, 3, 5]][None], (0.0, 0.0), family)[0, 0]
    assert np.isfinite(value[:, [0, 1, 3]]).mean() > 0.99
    covered = ((low <= np.insert(others, 2, -50.0)) & (high >= np.insert(others, 2, -50.0))).mean(axis=0)
    assert (covered > 0.92).all()
    assert (total_low <= low + 1e-6).all()


def test_where_all_is_noise_nothing_is_claimed():
    """Twenty rows at an epsilon of 0.3: hardly a figure, ends open, nothing raised and nothing warned of."""
    vectors = np.tile(np.array([1, 0, 2, 1, 0, 1, 0, 2, 3, 0, 2, 1, 0, 1, 1, 0, 2, 0, 1, 1, 0, 0, 1, 0]), (200, 1))
    found = released("LOGISTIC", vectors, 0.3)
    known = np.isfinite(found.value)
    assert known.mean() < 0.5
    assert np.isinf(found.high[known] - found.low[known]).mean() > 0.8


def test_terms_have_names_in_both_languages_and_units_of_nothing(tmp_path):
    """In an answer by arm: an axis of terms, first codes left out, ratios that cannot be negative, intercept first."""
    records = records_of(
        tmp_path, COHORT.catalogue, {"visit": FRAME.assign(patient_id=[f"p{row}" for row in range(len(FRAME))])}
    )
    statement = "SELECT arm, LOGISTIC_ODDS(died = 'Y', sex, stage, age >= 65) AS x FROM visit GROUP BY arm"
    (answer,) = records.ask(statement).truth()
    records.scanner.close()
    assert [row.cells[1] for row in answer.rows][:5] == ["intercept", "sex=M", "stage=2", "stage=3", "age>=65"]
    assert answer.labels["term"]["sex=M"] == "Sex: male"
    for arm, rows in ROWS.dropna(subset=["event", "sex"]).assign(old=lambda x: x.age >= 65).groupby("arm"):
        numbers = rows.assign(event=rows.event.astype(float))
        model = smf.logit("event ~ C(sex) + C(stage) + C(old)", numbers).fit(disp=0)
        found = [row.cells[2].value for row in answer.rows if row.cells[0] == arm]
        assert found == pytest.approx(np.exp(model.params.to_numpy()), rel=0.02)


def test_a_model_is_read_in_well_under_a_second():
    """Twelve cells of five terms; what is asked of the validation and of a page of figures."""
    import time

    vectors, _ = population("LOGISTIC", np.random.default_rng(7), 1, 20_000)
    begun = time.process_time()
    released("LOGISTIC", vectors, 1.0)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    "call",
    [
        "LOGISTIC(died = 'Y')",
        "LOGISTIC(died, sex)",
        "LOGISTIC(died = 'Y', sex, sex)",
        "LOGISTIC(died = 'Y', died = 'Y')",
        "LOGISTIC(died = 'Y', only)",
        "LOGISTIC(died = 'Y', arm)",
        "LOGISTIC(died = 'Y', age)",
        "LOGISTIC(died = 'Y', region, BAND(age, 5))",
        "LOGISTIC(died = 'Y', BAND(age, 1))",
        "POISSON(died = 'Y', sex)",
        "POISSON(died = 'Y', change, sex)",
        "POISSON(died = 'Y', followed)",
        "RELATIVE_RISK(died = 'Y', followed)",
    ],
)
def test_what_makes_no_sense_is_refused(call):
    """No group, a number for one, one twice, one cell only, the question's own group, negative time, too many terms."""
    with pytest.raises(QueryError) as refused:
        asked(f"SELECT arm, {call} AS x FROM visit GROUP BY arm")
    assert refused.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ()},
        {"by": (DIED,)},
        {"by": (SEX, DIED)},
        {"by": (DIED, SEX, SEX)},
        {"by": (DIED, CodeKey(column="only"))},
        {"by": (DIED, CodeKey(column="region"), STAGE, SEX, CodeKey(column="arm"), FlagKey(term=DIED.term))},
        {"column": "age"},
        {"columns": ("age",)},
        {"statistic": "poisson", "column": "sex"},
        {"statistic": "poisson", "column": "change"},
        {"statistic": "poisson", "by": ()},
        {"statistic": "poisson", "columns": ("age",)},
    ],
)
def test_hostile_aggregates_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else."""
    plan = altered(
        asked("SELECT LOGISTIC(died = 'Y', sex) AS x FROM visit").plan, aggregates=(replace(MODEL, **changes),)
    )
    with pytest.raises(PlanError):
        check(plan, COHORT.catalogue)


@pytest.mark.parametrize("reading", [Reading(name="x"), Reading(name="ratio", numbers=("1",)), Reading(words=("a",))])
def test_hostile_readings_are_refused(reading):
    """A view from a stranger that reads something else raises PlanError."""
    for name in ("logistic", "poisson"):
        with pytest.raises(PlanError):
            STATISTICS[name].check_reading(MODEL, None, reading)
