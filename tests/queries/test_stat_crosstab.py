"""CHI_SQUARE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats.contingency import association

from queries.answers.answer import answers
from queries.asked.build import band, col, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, CodeKey, FlagKey, Members
from queries.cost.tally import tally
from queries.errors import PlanError, QueryError
from tests.distributions.pooled import records_of
from tests.queries.cohort import COHORT, FRAME, asked, built
from tests.queries.whole import altered

SEX, STAGE, REGION = (CodeKey(column=name) for name in ("sex", "stage", "region"))
TABLE = Aggregate(statistic="table", by=(SEX, STAGE))
STATISTIC, DF, P, V = range(4)


def pooled(one: str = "stage", other: str = "died") -> np.ndarray:
    """The exact table."""
    return pd.crosstab(FRAME[one], FRAME[other]).to_numpy().astype(float)


def read(tables: np.ndarray, statement: str = "CHI_SQUARE(stage, died)", epsilon: float | None = 1.0, seed: int = 3):
    """Figures of releases of tables, shape (releases, rows, columns)."""
    question = COHORT.drawn(statement)
    flat = tables.reshape(len(tables), -1).astype(float)
    if epsilon is not None:
        flat = question.released(flat, epsilon, np.random.default_rng(seed))
    return question.read(flat, epsilon)


def test_sql_and_python_ask_the_same():
    """Groups, bands and conditions, in one plan and one view."""
    one = asked("SELECT CHI_SQUARE(BAND(age, 20), died = 'Y') AS x FROM visit")
    other = built(statistic("chi_square", band("age", 20), col("died") == "Y"))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.pages) == encode(other.pages)


def test_it_costs_one_block_of_exclusive_cells():
    """Whatever is read from the table, a patient's row moves one cell of it by one."""
    layout = tally(asked("SELECT CHI_SQUARE(sex, stage) AS x FROM visit").plan, COHORT.catalogue)
    assert layout.sizes == (6,)


def test_without_noise_it_is_pearsons(tmp_path):
    """Statistic, degrees of freedom and V are scipy's over complete rows; the p-value is within simulation error."""
    found = read(COHORT.exact(tmp_path, ["CHI_SQUARE(stage, died)"])[0][None], epsilon=None).value[0]
    expected = stats.chi2_contingency(pooled(), correction=False)
    assert found[[STATISTIC, DF]] == pytest.approx([expected.statistic, expected.dof])
    assert found[V] == pytest.approx(association(pooled().astype(int)))
    assert found[P] == 1 / 2_000
    null = pooled("stage", "relapsed")
    found = read(null[None], epsilon=None).value[0]
    expected = stats.chi2_contingency(null, correction=False)
    assert expected.pvalue > 0.05
    assert found[P] == pytest.approx(expected.pvalue, abs=4 * np.sqrt(0.25 / 2_000))


def test_what_has_no_association_is_rarely_called_significant_where_the_naive_test_mostly_is():
    """1,000 tables of 200 rows without association: 3 to 7 % of p-values are below 0.05, naively more than 40 %."""
    rng = np.random.default_rng(5)
    tables = rng.multinomial(200, np.outer([0.5, 0.3, 0.2], [0.7, 0.3]).ravel(), 1_000).reshape(-1, 3, 2)
    found = read(tables, epsilon=0.5)
    assert 0.03 < (found.value[:, P] <= 0.05).mean() < 0.07
    noisy = COHORT.drawn("CHI_SQUARE(stage, died)").released(tables.reshape(-1, 6), 0.5, np.random.default_rng(3))
    naive = [stats.chi2_contingency(np.maximum(table, 0.5).reshape(3, 2)).pvalue <= 0.05 for table in noisy]
    assert np.mean(naive) > 0.4


def test_an_association_is_found():
    """Death by stage among 4,000 patients at an epsilon of 1 is always the most significant that can be."""
    assert (read(np.repeat(pooled()[None], 50, axis=0)).value[:, P] == 1 / 2_000).all()


@pytest.mark.parametrize("pair", [("stage", "died"), ("stage", "relapsed")])
def test_the_strength_of_an_association_is_covered(pair):
    """Noise-only intervals of Cramer's V hold the exact one in 93 to 97 % (where it is near none, up to 98 %)."""
    exact = association(pooled(*pair).astype(int))
    found = read(np.repeat(pooled(*pair)[None], 500, axis=0))
    covered = ((found.low[:, V] <= exact) & (exact <= found.high[:, V])).mean()
    assert 0.93 < covered < (0.97 if exact > 0.1 else 0.985)
    assert abs(np.median(found.value[:, V]) - exact) < 0.02


def test_total_intervals_hold_the_populations_strength():
    """Noise and sampling together, in samples of 1,000 of a population with some association."""
    rng = np.random.default_rng(6)
    shares = np.array([[0.30, 0.20], [0.22, 0.08], [0.16, 0.04]])
    expected = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    exact = np.sqrt(((shares - expected) ** 2 / expected).sum())
    found = read(rng.multinomial(1_000, shares.ravel(), 600))
    assert 0.93 < ((found.total_low[:, V] <= exact) & (exact <= found.total_high[:, V])).mean() < 0.97


def test_what_is_within_the_noise_has_no_figure():
    """A total within 5 deviations of zero has none but its degrees of freedom; an unclear margin has no V."""
    found = read(np.array([[[4, 3], [2, 2], [1, 3]], [[900, 900], [800, 850], [0, 1]]]), epsilon=0.3)
    assert found.value[0, DF] == 2
    assert np.isnan(found.value[0, [STATISTIC, P, V]]).all()
    assert np.isnan(found.value[1, V])
    assert np.isfinite(found.value[1, [STATISTIC, P]]).all()


def test_one_release_always_reads_the_same_and_shows_a_test_without_flags(tmp_path):
    """By arm, four named figures each; the p-value has no interval, V has both; a second reading is identical."""
    statement = "SELECT arm, CHI_SQUARE(stage, died) AS x FROM visit GROUP BY arm"
    records = records_of(
        tmp_path, COHORT.catalogue, {"visit": FRAME.assign(patient_id=[f"p{row}" for row in range(len(FRAME))])}
    )
    released = records.ask(statement)
    records.scanner.close()
    (first,) = next(released.releases(1, epsilon=1, seed=8))
    (second,) = next(released.releases(1, epsilon=1, seed=8))
    assert first == second
    assert [row.cells[:2] for row in first.rows] == [
        (arm, figure) for arm in "AB" for figure in ("chi_square", "df", "p", "cramers_v")
    ]
    p, v = first.rows[2].cells[2], first.rows[3].cells[2]
    assert (p.low, p.total_low, p.flags) == (None, None, ())
    assert v.total_low <= v.low <= v.value <= v.high <= v.total_high


def test_of_many_tables_fewer_are_drawn():
    """60 regions of 30 cells: p-values come in steps of 1 in 500, in well under a second."""
    question = asked("SELECT region, CHI_SQUARE(BAND(age, 10), stage) AS x FROM visit GROUP BY region")
    shape = tally(question.plan, COHORT.catalogue)
    assert shape.entries == 60 * 33
    from tests.distributions.pooled import Released

    (answer,) = next(Released(COHORT.catalogue, question, np.full(shape.entries, 40)).releases(1, epsilon=1, seed=1))
    found = [row.cells[2].value * 500 for row in answer.rows if row.cells[1] == "p"]
    assert found == pytest.approx(np.rint(found))


@pytest.mark.parametrize(
    "call",
    [
        "CHI_SQUARE(sex)",
        "CHI_SQUARE(sex, stage, arm)",
        "CHI_SQUARE(sex, sex)",
        "CHI_SQUARE(sex, region)",
        "CHI_SQUARE(only, sex)",
        "CHI_SQUARE(age, sex)",
        "CHI_SQUARE(sex, 2)",
        "CHI_SQUARE(BAND(age, 1), BAND(followed, 2))",
        "CHI_SQUARE(BAND(age, 2), BAND(change, 1)) + 1",
    ],
)
def test_what_makes_no_sense_is_refused(call):
    """Fewer or more than two groups, one twice, one of the question's own, one of a single cell, too many cells."""
    with pytest.raises(QueryError) as refused:
        answers_of(asked(f"SELECT region, {call} AS x FROM visit GROUP BY region"))
    assert refused.value.remedy


def answers_of(question):
    """Read a question's answer from sums of nothing."""
    layout = tally(question.plan, COHORT.catalogue)
    measurement = COHORT.drawn("COUNT(*)").measurement(1.0)
    noise = replace(measurement, blocks=(replace(measurement.blocks[0], entries=layout.entries),))
    return answers(
        question.plan, question.pages, COHORT.catalogue, np.zeros(layout.entries, np.int64), noise, contributors=1
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ()},
        {"by": (SEX,)},
        {"by": (SEX, SEX)},
        {"by": (SEX, STAGE, REGION)},
        {"by": (CodeKey(column="only"), SEX)},
        {"column": "age"},
        {"columns": ("age",)},
        {"by": (FlagKey(term=Members(column="died", codes=("Y",))),) * 2},
    ],
)
def test_hostile_aggregates_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else."""
    plan = altered(asked("SELECT CHI_SQUARE(sex, stage) AS x FROM visit").plan, aggregates=(replace(TABLE, **changes),))
    with pytest.raises(PlanError):
        check(plan, COHORT.catalogue)
