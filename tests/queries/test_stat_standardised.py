"""STANDARDISED_RATE and SMR."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chi2

from queries.answers.rates import gamma_ends
from queries.asked.build import band, col, statistic
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
DIRECT = f"STANDARDISED_RATE(died = 'Y', {BANDS}, 'who-2000')"
RATES = 0.05, 0.1, 0.13, 0.2
INDIRECT = f"SMR(died = 'Y', {BANDS}, 0.05, 0.1, 0.13, 0.2)"
WHO = np.array([886 + 869 + 860 + 847 + 822 + 793 + 761 + 715 + 659, 604 + 537 + 455, 372 + 296 + 221, 152 + 91 + 63])

DIED = FlagKey(term=Members(column="died", codes=("Y",)))
AGES = BandKey(column="age", starts=(0, 45, 60, 75))
STANDARDISED = Aggregate(statistic="standardised", by=(AGES, DIED))


def strata(ward: dict) -> tuple[np.ndarray, np.ndarray]:
    """Deaths and patients by band."""
    place = np.searchsorted([45, 60, 75], ward["age"], side="right")
    rows = np.bincount(place, minlength=4)
    return np.bincount(place, weights=ward["died"] == 0, minlength=4), rows


@pytest.mark.parametrize(
    ("written", "measure"),
    [
        (DIRECT, statistic("standardised_rate", col("died") == "Y", band("age", edges=(45, 60, 75)), "who-2000")),
        (
            "STANDARDISED_RATE(died = 'Y', sex, 51, 49) FILTER (WHERE age > 3)",
            statistic("standardised_rate", col("died") == "Y", "sex", 51, 49, where=col("age") > 3),
        ),
        (
            INDIRECT,
            statistic("smr", col("died") == "Y", band("age", edges=(45, 60, 75)), 0.05, 0.1, Fraction(13, 100), 0.2),
        ),
    ],
)
def test_sql_and_python_ask_the_same(written, measure):
    """One plan and one view."""
    one, other = asked(written), built(measure)
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.view) == encode(other.view)


def test_every_standard_and_the_ratio_are_read_from_one_block():
    """Weights and reference rates are no affair of the hospitals: the plan is the same, and costs the same."""
    plans = [
        asked(text).plan
        for text in (DIRECT, INDIRECT, f"STANDARDISED_RATE(died = 'Y', {BANDS}, 1, 2, 3, 4)", f"{DIRECT}, {INDIRECT}")
    ]
    assert len({encode(plan) for plan in plans}) == 1
    (block,) = tally(plans[0], CATALOGUE).blocks
    assert block.keys == (AGES, DIED)


def test_without_noise_the_rate_is_the_weighted_mean_of_the_shares():
    """By numpy, for a standard and for weights in numbers of any size."""
    ward = patients()
    deaths, rows = strata(ward)
    assert exact(drawn(DIRECT), ward).value[0, 0] == pytest.approx((WHO * deaths / rows).sum() / WHO.sum())
    given = exact(drawn(f"STANDARDISED_RATE(died = 'Y', {BANDS}, 10, 0, 20.5, 9.5)"), ward).value[0, 0]
    assert given == pytest.approx(np.dot([0.25, 0, 0.5125, 0.2375], deaths / rows))


def test_with_its_own_rows_as_weights_a_rate_is_the_crude_one():
    """The weights that a population has itself change nothing."""
    ward = patients()
    deaths, rows = strata(ward)
    own = ", ".join(map(str, rows))
    found = exact(drawn(f"STANDARDISED_RATE(died = 'Y', {BANDS}, {own})"), ward)
    assert found.value[0, 0] == pytest.approx(deaths.sum() / PATIENTS)


def test_without_noise_the_ratio_is_observed_over_expected_with_its_exact_interval():
    """Rare events keep the exact Poisson interval of the observed ones, by scipy."""
    ward = patients()
    deaths, rows = strata(ward)
    found = exact(drawn(INDIRECT), ward)
    expected = np.dot(RATES, rows)
    assert found.value[0, 0] == pytest.approx(deaths.sum() / expected)
    rare = exact(drawn(INDIRECT), {**ward, "died": np.where(np.arange(PATIENTS) % 300 == 0, 0, 1)})
    low, high = chi2.ppf(0.025, 20) / 2, chi2.ppf(0.975, 22) / 2
    assert rare.total_low[0, 0] == pytest.approx(low / expected, rel=0.01)
    assert rare.total_high[0, 0] == pytest.approx(high / expected, rel=0.01)


def test_the_gamma_interval_is_fay_and_feuers():
    """By their formula (Stat Med 16, 1997, equation 6) with scipy's chi-square; exact for a plain count."""
    weight, events = np.array([0.3, 0.5, 0.2]) / [1_000, 800, 150], np.array([4, 9, 7])
    rate, spread, most = weight @ events, weight**2 @ events, weight.max()
    low, high = gamma_ends(np.array([rate]), np.array([spread]), np.array([most]), np.array([weight.min()]))
    assert low[0] == pytest.approx(spread / (2 * rate) * chi2.ppf(0.025, 2 * rate**2 / spread))
    above = spread + most**2
    up = above / (2 * (rate + most)) * chi2.ppf(0.975, 2 * (rate + most) ** 2 / above)
    assert high[0] == pytest.approx(up)
    one = np.ones(3)
    low, high = gamma_ends(np.array([0.0, 5.0, -3.0]), np.array([0.0, 5.0, -3.0]), one, one)
    assert low == pytest.approx([0, chi2.ppf(0.025, 10) / 2, 0])
    assert high == pytest.approx([chi2.ppf(0.975, 2) / 2, chi2.ppf(0.975, 12) / 2, chi2.ppf(0.975, 2) / 2])


@pytest.mark.parametrize("written", [DIRECT, INDIRECT])
@pytest.mark.parametrize(("rows", "epsilon"), [(1_000, 1.0), (3_000, 0.3), (3_000, 3.0)])
def test_releases_are_unbiased_and_their_intervals_cover(written, rows, epsilon):
    """Over 4,000 releases: no bias, noise-only coverage 93 to 97 %."""
    ward = {name: values[:rows] for name, values in patients().items()}
    question = drawn(written)
    truth = exact(question, ward).value[0]
    found = releases(question, ward, epsilon)
    assert abs(found.bias(truth)[0]) < 4
    assert 0.93 < found.covered(truth)[0] < 0.97


@pytest.mark.parametrize("written", [DIRECT, INDIRECT])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_total_intervals_cover_the_populations_figure(written, epsilon):
    """Noise and chance together: 93 to 97 % of 4,000 samples of a population whose rates are known."""
    rng = np.random.default_rng(7)
    spread, shares = np.array([0.15, 0.25, 0.35, 0.25]), np.array([0.04, 0.09, 0.13, 0.2])
    rows = rng.multinomial(2_000, spread, 4_000)
    yes = rng.binomial(rows, shares)
    sums = np.stack([rows - yes, yes], axis=2).reshape(4_000, 8)
    question = drawn(written)
    reading = question.question.view.columns[-1].expression.reading
    found = question.read(question.released(sums, epsilon, rng), epsilon, reading)
    truth = (WHO * shares).sum() / WHO.sum() if written == DIRECT else (spread @ shares) / (spread @ RATES)
    assert 0.93 < found.covered([truth], total=True)[0] < 0.97
    if epsilon > 1:
        assert found.covered([truth])[0] < 0.9  # the noise-only interval is of these records, not of the population


def test_a_stratum_within_its_noise_makes_a_rate_unknown_and_its_interval_wide():
    """A quarter of the standard of which nothing is known leaves a quarter of all there is open."""
    question = drawn(f"STANDARDISED_RATE(died = 'Y', {BANDS}, 1, 1, 1, 1)")
    reading = question.question.view.columns[-1].expression.reading
    found = question.read(np.array([[2.0, 1.0, 900, 100, 900, 100, 900, 100]]), 1.0, reading)
    assert np.isnan(found.value[0, 0])
    assert found.high[0, 0] - found.low[0, 0] == pytest.approx(0.25, rel=0.1)
    assert found.low[0, 0] == pytest.approx(0.075, abs=0.02)
    # What has no weight may be within the noise.
    question = drawn(f"STANDARDISED_RATE(died = 'Y', {BANDS}, 0, 1, 1, 1)")
    reading = question.question.view.columns[-1].expression.reading
    found = question.read(np.array([[2.0, 1.0, 900, 100, 900, 100, 900, 100]]), 1.0, reading)
    assert found.value[0, 0] == pytest.approx(0.1, rel=0.02)


def test_nothing_expected_is_no_ratio():
    """Within the noise of nothing the ratio is unknown, and every ratio possible."""
    question = drawn(INDIRECT)
    reading = question.question.view.columns[-1].expression.reading
    found = question.read(np.array([[1.0, 1, 0, 0, 0, -3, 1, 2]]), 1.0, reading)
    assert np.isnan(found.value[0, 0])
    assert found.low[0, 0] == 0
    assert np.isinf(found.high[0, 0])


def test_figures_stand_in_groups_and_are_scaled():
    """By sex; a rate per thousand has the interval times a thousand, and is flagged as it is."""
    release = Release(f"SELECT sex, 1000 * {DIRECT} AS x FROM admission GROUP BY sex")
    answer = release.answer([[400, 100] * 4 + [300, 300] * 4])
    for row, rate in zip(answer.rows, (200, 500), strict=True):
        figure = row.cells[1]
        assert figure.value == pytest.approx(rate, rel=0.01)
        assert figure.total_low < figure.low < rate < figure.high < figure.total_high
        assert figure.flags == ()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"STANDARDISED_RATE(died = 'Y', {BANDS}, 'nobody')", "no standard population"),
        (f"STANDARDISED_RATE(died = 'Y', {BANDS}, 'segi', 'segi')", "weights"),
        (f"STANDARDISED_RATE(died = 'Y', {BANDS}, 'segi', 3)", "weights"),
        (f"STANDARDISED_RATE(died = 'Y', {BANDS}, 1, 2)", "weights"),
        (f"STANDARDISED_RATE(died = 'Y', {BANDS}, 0, 0, 0, 0)", "weights"),
        (f"STANDARDISED_RATE(died = 'Y', {BANDS}, 1, 2, 3, -4)", "weights"),
        ("STANDARDISED_RATE(died = 'Y', BAND(age, 12), 'segi')", "groups of 5 years"),
        ("STANDARDISED_RATE(died = 'Y', BAND(weight, 50), 'segi')", "in kg"),
        ("STANDARDISED_RATE(died = 'Y', sex, 'segi')", "weighs bands of ages"),
        ("STANDARDISED_RATE(died = 'Y', site, 1, 1, 1, 1)", "by what patients are"),
        ("STANDARDISED_RATE(died = 'Y', died = 'Y', 1, 1)", "among the groups"),
        ("STANDARDISED_RATE(sex, died, 1, 1)", "a condition"),
        (f"STANDARDISED_RATE(died = 'Y', {BANDS})", "still needs"),
        (f"SMR(died = 'Y', {BANDS}, 0.1, 0.1)", "reference rates"),
        (f"SMR(died = 'Y', {BANDS}, 0.1, 0.1, 0.1, 1.1)", "between 0 and 1"),
        (f"SMR(died = 'Y', {BANDS}, 0, 0, 0, 0)", "between 0 and 1"),
        (f"SMR(died = 'Y', {BANDS}, 'segi')", "a number"),
    ],
)
def test_what_cannot_be_standardised_is_refused(written, said):
    """With what is wrong, a remedy and a place in the text."""
    with pytest.raises(StatementError, match=said) as refused:
        asked(written)
    assert refused.value.remedy
    assert refused.value.text


def test_strata_that_the_answer_is_grouped_by_are_refused():
    """One stratum in each cell cannot be weighed."""
    with pytest.raises(PlanError, match="grouped by these strata"):
        check(altered(asked(DIRECT).plan, keys=(AGES,)), CATALOGUE)


@pytest.mark.parametrize(
    "hostile",
    [
        replace(STANDARDISED, by=()),
        replace(STANDARDISED, by=(DIED,)),
        replace(STANDARDISED, by=(DIED, AGES)),
        replace(STANDARDISED, by=(AGES, DIED, DIED)),
        replace(STANDARDISED, by=(SiteKey(sites=("a",)), DIED)),
        replace(STANDARDISED, by=(DIED, DIED)),
        replace(STANDARDISED, column="age"),
        replace(STANDARDISED, columns=("age",)),
        replace(STANDARDISED, by=(CodeKey(column="dx_main"), CodeKey(column="sex"))),
    ],
)
def test_hostile_plans_are_refused(hostile):
    """Whatever a stranger puts into the aggregate."""
    plan = altered(asked(DIRECT).plan, aggregates=(hostile,))
    with pytest.raises(PlanError) as refused:
        check(plan, CATALOGUE)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "reading",
    [
        Reading(),
        Reading(name="other"),
        Reading(words=("segi", "segi")),
        Reading(words=("x" * 10_000,)),
        Reading(numbers=("1",) * 4_096),
        Reading(name="ratio", words=("segi",)),
        Reading(name="ratio", numbers=("1", "1", "1", "1", "1")),
        Reading(numbers=("1", "1", "1", "1e9")),
    ],
)
def test_hostile_readings_are_refused(reading):
    """Whatever a stranger puts into the view."""
    question = asked(DIRECT)
    view = question.view
    column = replace(view.columns[0], expression=replace(view.columns[0].expression, reading=reading))
    pages = replace(question.pages, views=(replace(view, columns=(column,)),))
    with pytest.raises(PlanError) as refused:
        check_pages(pages, question.plan, CATALOGUE)
    assert refused.value.remedy
    assert len(refused.value.message) < 500
