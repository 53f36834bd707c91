"""ODDS_RATIO, RISK_RATIO and RISK_DIFFERENCE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import contingency
from statsmodels.stats.proportion import proportions_ztest

from queries.asked.build import col, statistic
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

DIED, MALE = (FlagKey(term=Members(column=name, codes=(code,))) for name, code in (("died", "Y"), ("sex", "M")))
RATIOS = Aggregate(statistic="ratios", by=(DIED, MALE))
READINGS = ("odds_ratio", "risk_ratio", "risk_difference")
CALL = "ODDS_RATIO(died = 'Y', sex = 'M')"
COMPLETE = FRAME.dropna(subset=["died", "sex"])


def exact() -> dict[str, float]:
    """The figures of complete rows."""
    table = pd.crosstab(COMPLETE.sex, COMPLETE.died).loc[["M", "F"], ["Y", "N"]].to_numpy()
    shares = table[:, 0] / table.sum(axis=1)
    return {
        "odds_ratio": contingency.odds_ratio(table, kind="sample").statistic,
        "risk_ratio": contingency.relative_risk(table[0, 0], table[0].sum(), table[1, 0], table[1].sum()).relative_risk,
        "risk_difference": shares[0] - shares[1],
    }


def counts(rows: int, exposed: float, share: float, other: float) -> np.ndarray:
    """Shares of the four cells of a population, in the order of the block, times rows."""
    return rows * np.array([(1 - exposed) * (1 - other), exposed * (1 - share), (1 - exposed) * other, exposed * share])


def true(name: str, shares: np.ndarray) -> float:
    """The figure of exact counts."""
    d, b, c, a = shares
    return {
        "odds_ratio": a * d / (b * c),
        "risk_ratio": a / (a + b) * (c + d) / c,
        "risk_difference": a / (a + b) - c / (c + d),
    }[name]


def read(sums: np.ndarray, name: str, epsilon: float | None, seed: int = 4):
    """Figures of releases of four counts."""
    question = COHORT.drawn(CALL)
    noisy = sums if epsilon is None else question.released(sums, epsilon, np.random.default_rng(seed))
    return question.read(noisy, epsilon, Reading(name=name))


@pytest.mark.parametrize("name", READINGS)
def test_sql_and_python_ask_the_same(name):
    """One plan and one view, however a condition is spelt."""
    one = asked(f"SELECT {name}(died = 'Y', NOT (age < 65)) AS x FROM visit")
    other = built(statistic(name, col("died") == "Y", col("age") >= 65))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.pages) == encode(other.pages)


def test_all_three_are_read_from_one_table():
    """Asked together they cost what one costs: one aggregate, one block of four cells."""
    calls = ", ".join(f"{name}(died = 'Y', sex = 'M') AS {name}" for name in READINGS)
    question = asked(f"SELECT {calls} FROM visit")
    assert len(question.part.aggregates) == 1
    assert tally(question.plan, COHORT.catalogue).sizes == (4,)


def test_without_noise_they_are_the_tables(tmp_path):
    """Scipy's figures over rows of which both are known; and the log odds ratio's total interval is Woolf's."""
    (sums,) = COHORT.exact(tmp_path, [CALL])
    for name, value in exact().items():
        found = read(sums[None].astype(float), name, None)
        assert found.value[0, 0] == pytest.approx(value)
        assert found.low[0, 0] == pytest.approx(value)
        assert found.high[0, 0] == pytest.approx(value)
    table = pd.crosstab(COMPLETE.sex, COMPLETE.died).loc[["M", "F"], ["Y", "N"]].to_numpy()
    woolf = contingency.odds_ratio(table, kind="sample").confidence_interval()
    found = read(sums[None].astype(float), "odds_ratio", None)
    assert (found.total_low[0, 0], found.total_high[0, 0]) == pytest.approx((woolf.low, woolf.high))


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_releases_are_unbiased_and_their_intervals_cover(name, epsilon):
    """Over 6,000 releases of one table: noise-only intervals hold it in 93 to 97 %, mean errors are those of chance."""
    sums = np.rint(counts(4_000, 0.4, 0.25, 0.15))
    truth = true(name, sums)
    found = read(np.tile(sums, (6_000, 1)), name, epsilon)
    assert abs(found.bias([truth])[0]) < 4
    assert 0.93 < found.covered([truth])[0] < 0.97


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize(("rows", "epsilon"), [(500, 1.0), (500, 3.0), (5_000, 0.3)])
def test_total_intervals_cover_the_population(name, rows, epsilon):
    """Noise and sampling: 93 to 97 % of 6,000 samples."""
    shares = counts(1, 0.4, 0.3, 0.2)
    samples = np.random.default_rng(9).multinomial(rows, shares, 6_000)
    found = read(samples, name, epsilon)
    assert 0.93 < found.covered([true(name, shares)], total=True)[0] < 0.97


@pytest.mark.parametrize("name", READINGS)
def test_nothing_is_called_a_difference_in_4_to_6_of_100(name):
    """Without a difference, total intervals exclude none of it in 4 to 6 % of 10,000 samples; the naive test in more.

    Naive: the two shares are tested as if there were no noise.
    """
    samples = np.random.default_rng(10).multinomial(1_000, counts(1, 0.5, 0.2, 0.2), 10_000)
    found = read(samples, name, 0.5)
    nothing = 0.0 if name == "risk_difference" else 1.0
    assert 0.04 < 1 - found.covered([nothing], total=True)[0] < 0.06
    noisy = COHORT.drawn(CALL).released(samples[:1_000], 0.5, np.random.default_rng(1))
    naive = [proportions_ztest([a, c], [a + b, c + d])[1] < 0.05 for d, b, c, a in noisy]
    assert np.mean(naive) > 0.09


@pytest.mark.parametrize("name", ["odds_ratio", "risk_ratio"])
def test_an_end_stays_open_where_the_noise_leaves_none(name):
    """Two events among the unexposed at an epsilon of 0.3: mostly no upper end, and never a wrong one too often."""
    sums = np.array([500.0, 460.0, 2.0, 40.0])
    found = read(np.tile(sums, (6_000, 1)), name, 0.3)
    inside = (found.low <= true(name, sums)) & (true(name, sums) <= found.high)
    assert 0.93 < inside.mean() < 0.97
    assert 0.8 < np.isinf(found.high).mean() < 1
    assert (found.total_low <= found.low).all()
    unknown = np.isnan(found.value)
    assert 0.2 < unknown.mean() < 0.8
    assert ((found.total_low == 0) & np.isinf(found.total_high))[unknown].all()


def test_by_group_each_cell_has_its_own(tmp_path):
    """By stage, in the answer: pandas' figures; a difference may be negative and is not marked for that."""
    records = records_of(
        tmp_path, COHORT.catalogue, {"visit": FRAME.assign(patient_id=[f"p{row}" for row in range(len(FRAME))])}
    )
    statement = "SELECT stage, 100 * RISK_DIFFERENCE(died = 'Y', arm = 'B') AS x FROM visit GROUP BY stage"
    (answer,) = records.ask(statement).truth()
    records.scanner.close()
    for row in answer.rows:
        stage, found = row.cells
        shares = (
            FRAME[FRAME.stage == stage].dropna(subset=["died"]).groupby("arm").died.apply(lambda x: (x == "Y").mean())
        )
        assert found.value == pytest.approx(100 * (shares["B"] - shares["A"]), abs=0.1)
        assert "negative" not in found.flags


@pytest.mark.parametrize(
    "call",
    [
        "ODDS_RATIO(died = 'Y')",
        "ODDS_RATIO(died, sex)",
        "RISK_RATIO(died = 'Y', died = 'Y')",
        "RISK_DIFFERENCE(died = 'Y', sex = 'M', arm = 'A')",
        "ODDS_RATIO(died = 'Y', 2)",
    ],
)
def test_what_makes_no_sense_is_refused(call):
    """Anything but two unlike conditions."""
    with pytest.raises(QueryError) as refused:
        asked(f"SELECT {call} AS x FROM visit")
    assert refused.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ()},
        {"by": (DIED,)},
        {"by": (DIED, DIED)},
        {"by": (DIED, CodeKey(column="sex"))},
        {"by": (DIED, MALE, CodeKey(column="stage"))},
        {"column": "age"},
        {"columns": ("age",)},
    ],
)
def test_hostile_aggregates_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else."""
    plan = altered(asked(f"SELECT {CALL} AS x FROM visit").plan, aggregates=(replace(RATIOS, **changes),))
    with pytest.raises(PlanError):
        check(plan, COHORT.catalogue)


@pytest.mark.parametrize(
    "reading", [Reading(), Reading(name="x"), Reading(name="odds_ratio", numbers=("1",)), Reading(words=("a",))]
)
def test_hostile_readings_are_refused(reading):
    """A view from a stranger that reads something else raises PlanError."""
    with pytest.raises(PlanError):
        STATISTICS["ratios"].check_reading(RATIOS, None, reading)
