"""MEAN_DIFFERENCE, MEAN_TEST and MEAN_STATISTIC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.oneway import anova_oneway

from queries.asked.build import col, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, CodeKey, DateKey, FlagKey, Members
from queries.asked.reading import Reading
from queries.cost.setting import Setting
from queries.errors import PlanError, StatementError
from queries.statistics import STATISTICS
from tests.queries.quick import CATALOGUE, TABLE, asked, built, drawn, exact, patients, releases
from tests.queries.whole import altered

COMPARED = STATISTICS["compared"]
SETTING = Setting(catalogue=CATALOGUE, table=TABLE, keys=())
BY_SEX = Aggregate(statistic="compared", column="weight", by=(CodeKey(column="sex"),))
FEMALE = FlagKey(term=Members(column="sex", codes=("F",)))


@pytest.mark.parametrize("name", ["mean_difference", "mean_test", "mean_statistic"])
def test_sql_and_python_ask_the_same(name):
    """One plan and one view, between codes or the sides of a condition."""
    for sql, python in (("sex", "sex"), ("died = 'Y'", col("died") == "Y")):
        one, other = asked(f"{name.upper()}(age, {sql})"), built(statistic(name, "age", python))
        assert encode(one.plan) == encode(other.plan)
        assert encode(one.view) == encode(other.view)


def test_difference_and_test_are_readings_of_one_aggregate():
    """Asking for both costs once."""
    question = asked("MEAN_DIFFERENCE(age, sex) AS d, MEAN_TEST(age, sex)")
    assert len(question.part.aggregates) == 1


def test_without_noise_two_groups_are_welchs_test():
    """Difference, t and p of scipy's ttest_ind with unequal variances."""
    ward = patients()
    weights = ward["weight"] * 0.1
    male, female = weights[ward["sex"] == 0], weights[ward["sex"] == 1]
    reference = stats.ttest_ind(female, male, equal_var=False)
    assert exact(drawn("MEAN_DIFFERENCE(weight, sex)"), ward).value[0, 0] == pytest.approx(female.mean() - male.mean())
    assert exact(drawn("MEAN_STATISTIC(weight, sex)"), ward).value[0, 0] == pytest.approx(reference.statistic, rel=1e-3)
    some = {name: values[:200] for name, values in patients(seed=5).items()}
    found = stats.ttest_ind(*(some["age"][some["died"] == side] for side in (0, 1)), equal_var=False)
    assert exact(drawn("MEAN_TEST(age, died)"), some).value[0, 0] == pytest.approx(found.pvalue, rel=1e-6)


def test_without_noise_more_groups_are_welchs_analysis_of_variance():
    """Differences from the first group, F and p of statsmodels' anova_oneway with unequal variances."""
    ward = {name: values[:400] for name, values in patients(seed=6).items()}
    groups = [ward["age"][ward["consciousness"] == level] for level in range(3)]
    reference = anova_oneway(groups, use_var="unequal", welch_correction=True)
    differences = exact(drawn("MEAN_DIFFERENCE(age, consciousness)"), ward)
    assert differences.value[0] == pytest.approx([group.mean() - groups[0].mean() for group in groups[1:]])
    assert exact(drawn("MEAN_STATISTIC(age, consciousness)"), ward).value[0, 0] == pytest.approx(reference.statistic)
    assert exact(drawn("MEAN_TEST(age, consciousness)"), ward).value[0, 0] == pytest.approx(reference.pvalue)


def test_a_condition_gives_yes_less_no():
    """The sign is that of the condition."""
    ward = patients()
    of_women = ward["weight"][ward["sex"] == 1].mean() - ward["weight"][ward["sex"] == 0].mean()
    assert exact(drawn("MEAN_DIFFERENCE(weight, sex = 'F')"), ward).value[0, 0] == pytest.approx(0.1 * of_women)


def test_the_axis_names_the_groups_of_each_difference():
    """Two groups have one figure; three have a row for each but the first; a test is one figure."""
    three = replace(BY_SEX, by=(CodeKey(column="consciousness"),))
    assert COMPARED.axis(BY_SEX, SETTING, Reading()) == ()
    codes = COMPARED.axis(three, SETTING, Reading())
    assert [code.code for code in codes] == ["D - F", "U - F"]
    assert codes[0].label.zh == "嗜睡减清醒"
    assert COMPARED.axis(three, SETTING, Reading(name="p")) == ()


def test_releases_are_unbiased_and_their_intervals_cover():
    """Over 4,000 releases at two prices: no bias, noise-only coverage 93 to 97 %."""
    ward = patients()
    for statement in ("MEAN_DIFFERENCE(weight, sex)", "MEAN_DIFFERENCE(age, consciousness)"):
        question = drawn(statement)
        truth = exact(question, ward).value[0]
        for epsilon in (1, 3):
            found = releases(question, ward, epsilon)
            assert (np.abs(found.bias(truth)) < 4).all()
            assert ((found.covered(truth) > 0.93) & (found.covered(truth) < 0.97)).all()


@pytest.mark.parametrize("epsilon", [0.3, 1, 3])
def test_the_noise_alone_is_not_taken_for_a_difference(epsilon):
    """Of samples of one population 4 to 6 % have p below 0.05; without the noise in the test, three times as many."""
    rng = np.random.default_rng(7)
    question = drawn("MEAN_TEST(age, sex)")
    ages = np.clip(np.rint(rng.normal(60, 15, (8_000, 1_000))), 0, 120).astype(np.int64) - 60
    sides = [ages[:, :400], ages[:, 400:]]
    sums = np.stack(
        [[np.full(8_000, side.shape[1]), side.sum(axis=1), (side**2).sum(axis=1)] for side in sides], axis=-1
    )
    vectors = sums.transpose(1, 0, 2).reshape(8_000, 6)
    noisy = question.released(vectors, epsilon, rng)
    p = question.read(noisy, epsilon, Reading(name="p")).value
    assert 0.04 < (p < 0.05).mean() < 0.06
    if epsilon < 1:
        naive = question.read(noisy, None, Reading(name="p")).value
        assert (naive < 0.05).mean() > 0.15


def test_too_few_rows_have_no_p_value():
    """A group within four standard deviations of the noise in its rows leaves the test; alone, nothing is left."""
    ward = {name: values[:12] for name, values in patients().items()}
    assert np.isnan(releases(drawn("MEAN_TEST(age, sex)"), ward, 0.3, number=200).value).mean() > 0.9
    found = releases(drawn("MEAN_DIFFERENCE(age, sex)"), ward, 0.3, number=200)
    assert (found.high - found.low > 40).mean() > 0.9


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ()},
        {"by": (CodeKey(column="sex"), FEMALE)},
        {
            "by": (
                DateKey(
                    column="admitted",
                    part="day",
                    first=TABLE.column("admitted").first,
                    last=TABLE.column("admitted").last,
                ),
            )
        },
        {"by": (CodeKey(column="sex", level="chapter"),)},
        {"column": None},
        {"column": "sex"},
        {"columns": ("age",)},
    ],
)
def test_hostile_aggregates_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else; a year of days is too many groups."""
    plan = altered(asked("MEAN_TEST(weight, sex)").plan, aggregates=(replace(BY_SEX, **changes),))
    with pytest.raises(PlanError):
        check(plan, CATALOGUE)


def test_other_readings_and_arguments_are_refused():
    """Only differences, statistic and p-value; only a number and a group."""
    with pytest.raises(PlanError, match="no such reading"):
        COMPARED.check_reading(BY_SEX, SETTING, Reading(name="q"))
    with pytest.raises(PlanError, match="no such reading"):
        COMPARED.check_reading(BY_SEX, SETTING, Reading(numbers=("1",)))
    for written in ("MEAN_TEST(age)", "MEAN_TEST(sex, age)", "MEAN_TEST(age, weight)", "MEAN_TEST(age, sex, died)"):
        with pytest.raises(StatementError):
            asked(written)
