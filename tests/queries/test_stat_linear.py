"""LINEAR, LINEAR_TEST, R_SQUARED and CORRELATION."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame

from queries.asked.build import band, col, level, site, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, AttributeKey, CodeKey, DateKey, FlagKey, Members, SiteKey
from queries.asked.reading import Reading
from queries.cost.sensitivity import of_tally
from queries.cost.setting import Setting
from queries.cost.tally import tally
from queries.errors import PlanError, StatementError
from queries.statistics import STATISTICS
from tests.queries.quick import CATALOGUE, TABLE, asked, built, drawn, exact, patients, releases
from tests.queries.whole import altered

LINEAR, CORRELATION = STATISTICS["linear"], STATISTICS["correlation"]
SETTING = Setting(catalogue=CATALOGUE, table=TABLE, keys=())
FEMALE = FlagKey(term=Members(column="sex", codes=("F",)))
ON_AGE = Aggregate(statistic="linear", column="weight", columns=("age",), by=(FEMALE,))
MODELS = {
    "LINEAR(weight, age)": "weight ~ age",
    "LINEAR(weight, age, sex = 'F')": "weight ~ age + C(sex)",
    "LINEAR(weight, sex, consciousness)": "weight ~ C(sex) + C(consciousness)",
    "LINEAR(weight, age, sex, died = 'Y', consciousness)": "weight ~ age + C(sex) + I(died == 0) + C(consciousness)",
}


def frame(ward) -> DataFrame:
    """The ward in units."""
    return DataFrame({**ward, "weight": ward["weight"] * 0.1})


@pytest.mark.parametrize("name", ["linear", "linear_test", "r_squared"])
def test_sql_and_python_ask_the_same(name):
    """One plan and one view: numbers by name, conditions, groups, levels, bands and facts about hospitals."""
    one = asked(f"{name.upper()}(weight, age, sex = 'F', consciousness, site.country)")
    other = built(statistic(name, "weight", "age", col("sex") == "F", "consciousness", site("country")))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.view) == encode(other.view)
    for sql, python in (("BAND(age, 40)", band("age", 40)), ("LEVEL(dx_main, 'chapter')", level("dx_main", "chapter"))):
        assert encode(asked(f"{name}(weight, {sql})").plan) == encode(built(statistic(name, "weight", python)).plan)


def test_a_correlation_is_the_same_either_way_round():
    """SQL and Python, and both orders, give one plan."""
    plans = {
        encode(question.plan)
        for question in (
            asked("CORRELATION(weight, age)"),
            asked("CORRELATION(age, weight)"),
            built(statistic("correlation", "age", "weight")),
        )
    }
    assert len(plans) == 1


def test_readings_and_correlation_share_their_sums():
    """Coefficients, tests and R squared are one aggregate; a correlation of the same numbers adds no block."""
    question = asked("LINEAR(weight, age) AS b, LINEAR_TEST(weight, age) AS p, R_SQUARED(weight, age)")
    assert len(question.part.aggregates) == 1
    both = asked("R_SQUARED(weight, age) AS r2, CORRELATION(weight, age)")
    assert len(tally(both.plan, CATALOGUE).blocks) == 6


@pytest.mark.parametrize(("statement", "formula"), MODELS.items())
def test_without_noise_it_is_ordinary_least_squares(statement, formula):
    """Coefficients, standard errors, p-values and R squared of statsmodels; the intercept is at zero of all terms."""
    ward = patients()
    reference = smf.ols(formula, frame(ward)).fit()
    found = exact(drawn(statement), ward)
    names = [code.code for code in _axis(statement)]
    expected = [reference.params[_place(reference, name)] for name in names]
    assert found.value[0] == pytest.approx(expected, rel=2e-3, abs=2e-3)
    errors = (found.total_high - found.total_low)[0] / 2 / 1.96
    assert errors == pytest.approx([reference.bse[_place(reference, name)] for name in names], rel=2e-3)
    assert exact(drawn("R_SQUARED" + statement[6:]), ward).value[0, 0] == pytest.approx(reference.rsquared, rel=2e-3)
    p = exact(drawn("LINEAR_TEST" + statement[6:]), ward).value[0]
    assert p == pytest.approx([reference.pvalues[_place(reference, name)] for name in names], rel=0.02, abs=1e-6)


def _axis(statement: str):
    (aggregate,) = asked(statement).part.aggregates
    return LINEAR.axis(aggregate, SETTING, Reading())


def _place(reference, name: str) -> str:
    """The name of a term in the reference's words."""
    if name == "intercept":
        return "Intercept"
    if name == "died=Y":
        return next(each for each in reference.params.index if "died" in each)
    if "=" not in name:
        return name
    column, code = name.split("=")
    places = {"sex": ["M", "F"], "consciousness": ["F", "D", "U"]}[column]
    return f"C({column})[T.{places.index(code)}]"


def test_without_noise_it_is_pearsons_correlation():
    """As numpy has it, and the total interval is Fisher's."""
    ward = patients()
    found = exact(drawn("CORRELATION(weight, age)"), ward)
    reference = np.corrcoef(ward["weight"], ward["age"])[0, 1]
    assert found.value[0, 0] == pytest.approx(reference, rel=1e-3)
    z = np.arctanh(reference) + np.array([-1.96, 1.96]) / (len(ward["age"]) - 3) ** 0.5
    assert [found.total_low[0, 0], found.total_high[0, 0]] == pytest.approx(np.tanh(z), rel=1e-2)


@pytest.mark.parametrize(
    "statement",
    ["LINEAR(weight, age, sex = 'F')", "LINEAR(weight, sex, consciousness)", "CORRELATION(age, weight)"],
)
def test_releases_are_unbiased_and_their_intervals_cover(statement):
    """Over 4,000 releases at two prices: no bias, noise-only coverage 93 to 97 %."""
    ward, question = patients(number=40_000), drawn(statement)
    truth = exact(question, ward).value[0]
    for epsilon in (1, 3):
        found = releases(question, ward, epsilon)
        assert np.isnan(found.value).mean() < 0.01
        assert (np.abs(found.bias(truth)) < 4.5).all()
        assert ((found.covered(truth) > 0.93) & (found.covered(truth) < 0.97)).all()


def test_the_noise_is_not_taken_for_an_effect():
    """Of samples without an effect 4 to 6 % have p below 0.05, where one who ignores the noise finds one in three."""
    rng = np.random.default_rng(8)
    question = drawn("LINEAR_TEST(weight, age)")
    wards = [
        question.tallied(
            {"age": np.rint(rng.normal(60, 15, 1_500)).astype(np.int64), "weight": rng.integers(400, 1_200, 1_500)}
        )
        for _ in range(4_000)
    ]
    noisy = question.released(np.array(wards), 3, rng)
    assert 0.04 < (question.read(noisy, 3, Reading(name="p")).value[:, 1] < 0.05).mean() < 0.06
    assert (question.read(noisy, None, Reading(name="p")).value[:, 1] < 0.05).mean() > 0.3


def test_where_the_noise_is_too_great_there_is_no_figure():
    """Nothing is repaired: few rows, no rows, and a term that follows from the others are undefined."""
    ward = patients(number=60)
    assert np.isnan(releases(drawn("LINEAR(weight, age)"), ward, 0.5, number=100).value).all()
    assert np.isnan(releases(drawn("CORRELATION(weight, age)"), ward, 0.3, number=100).value).mean() > 0.9
    nobody = patients(number=0)
    for statement in (
        "LINEAR(weight, age)",
        "LINEAR_TEST(weight, age)",
        "R_SQUARED(weight, age)",
        "CORRELATION(weight, age)",
    ):
        assert np.isnan(exact(drawn(statement), nobody).value).all()
    same = drawn("LINEAR(weight, age, sex, sex = 'F')")
    assert np.isnan(releases(same, patients(), 3, number=50).value).all()
    assert np.isnan(exact(same, patients()).value).all()


def test_rows_with_an_unknown_are_in_no_sum():
    """Every block is over the same complete rows: all numbers known, and every condition and group."""
    blocks = tally(asked("LINEAR(weight, age, died = 'Y', LEVEL(dx_main, 'chapter'))").plan, CATALOGUE).blocks
    assert len({block.where for block in blocks}) == 1
    written = encode(blocks[0].where)
    for column in (b"weight", b"age", b"died", b"dx_main"):
        assert column in written


def test_terms_are_named_by_code_and_label():
    """Numbers by name, groups by code beside the first, conditions as they read, no two alike."""
    (aggregate,) = asked("LINEAR(weight, age, consciousness, age >= 65, BAND(age, 60), died = 'Y')").part.aggregates
    codes = LINEAR.axis(aggregate, SETTING, Reading())
    assert [code.code for code in codes] == [
        "intercept", "age", "consciousness=D", "consciousness=U", "age>=65", "age=60-119", "age=120", "died=Y"
    ]  # fmt: skip
    assert (codes[2].label.en, codes[2].label.zh) == ("Consciousness: drowsy", "意识：嗜睡")
    assert len({code.code for code in codes}) == len(codes)
    assert LINEAR.axis(aggregate, SETTING, Reading(name="r2")) == ()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), gone=st.integers(0, 199))
def test_one_row_moves_each_block_by_its_bound_at_most(seed, gone):
    """Taking any one patient away moves each block by no more than its stated sensitivity, in L1 and L2."""
    question = drawn("LINEAR(weight, age, sex, died = 'Y', consciousness)")
    ward = patients(seed=seed, number=200)
    ward["age"][gone], ward["weight"][gone] = 120 * (seed % 2), 5 + 2_995 * (seed // 2 % 2)
    less = {name: np.delete(values, gone) for name, values in ward.items()}
    change = question.tallied(ward) - question.tallied(less)
    for stated, start, size in zip(
        of_tally(question.tally, 1), question.tally.offsets, question.tally.sizes, strict=True
    ):
        moved = change[start : start + size]
        assert np.abs(moved).sum() <= stated.l1
        assert (moved**2).sum() <= stated.l2_squared


MANY = DateKey(
    column="admitted", part="month", first=TABLE.column("admitted").first, last=TABLE.column("admitted").last
)


@pytest.mark.parametrize(
    "changes",
    [
        {"column": None},
        {"column": "sex"},
        {"columns": ("sex",)},
        {"columns": ("weight",)},
        {"columns": ("age", "age")},
        {"columns": (), "by": ()},
        {"by": (FEMALE, FEMALE)},
        {"by": (SiteKey(sites=("bart",)),)},
        {"by": (MANY,)},
    ],
)
def test_hostile_regressions_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else; too many terms are refused too."""
    plan = altered(asked("LINEAR(weight, age)").plan, aggregates=(replace(ON_AGE, **changes),))
    with pytest.raises(PlanError):
        check(plan, CATALOGUE)


@pytest.mark.parametrize(
    "changes",
    [{"column": None}, {"columns": ()}, {"columns": ("weight",)}, {"columns": ("age", "change")}, {"by": (FEMALE,)}],
)
def test_hostile_correlations_are_refused(changes):
    """Two different numbers and nothing else."""
    wanted = Aggregate(statistic="correlation", column="weight", columns=("age",))
    plan = altered(asked("CORRELATION(weight, age)").plan, aggregates=(replace(wanted, **changes),))
    with pytest.raises(PlanError):
        check(plan, CATALOGUE)


def test_terms_about_hospitals_are_facts_only():
    """A hospital may hold back its own row, so hospitals are no terms; a fact about them is."""
    check(asked("LINEAR(weight, age, site.country)").plan, CATALOGUE)
    assert AttributeKey(attribute="country") in asked("LINEAR(weight, site.country)").part.aggregates[0].by
    with pytest.raises(StatementError, match="hospitals themselves"):
        asked("LINEAR(weight, age, site)")


@pytest.mark.parametrize(
    "written",
    ["LINEAR(weight)", "LINEAR(sex, age)", "LINEAR(weight, 5)", "CORRELATION(age)", "LINEAR(weight, admitted)"],
)
def test_calls_of_another_kind_are_refused(written):
    """The outcome is a number, terms are columns, groups or conditions."""
    with pytest.raises(StatementError):
        asked(written)


@pytest.mark.parametrize("reading", [Reading(name="x"), Reading(numbers=("1",)), Reading(name="p", words=("a",))])
def test_other_readings_are_refused(reading):
    """Coefficients, p-values and R squared; a correlation has one reading."""
    with pytest.raises(PlanError):
        LINEAR.check_reading(ON_AGE, SETTING, reading)
    with pytest.raises(PlanError):
        CORRELATION.check_reading(ON_AGE, SETTING, reading)


def test_a_group_of_one_code_is_no_term():
    """A key with a single cell adds nothing but 1, so by itself it is refused, and beside others it makes no term."""
    one = CodeKey(column="sex", level=None)
    (aggregate,) = asked("LINEAR(weight, sex)").part.aggregates
    assert aggregate.by == (one,)
    with pytest.raises(PlanError, match="terms"):
        LINEAR.check(
            replace(
                ON_AGE, columns=(), by=(DateKey(column="admitted", part="year", first=MANY.first, last=MANY.first),)
            ),
            SETTING,
        )
