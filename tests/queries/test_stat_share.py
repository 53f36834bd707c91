"""SHARE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queries.answers.answer import answers
from queries.asked.build import col, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, CodeKey, FlagKey, Members
from queries.cost.tally import tally
from queries.errors import PlanError, StatementError
from tests.queries.quick import CATALOGUE, asked, built, drawn, exact, patients, releases
from tests.queries.test_answer import Release
from tests.queries.whole import altered

DIED = FlagKey(term=Members(column="died", codes=("Y",)))
SHARE = Aggregate(statistic="share", by=(DIED,))


def test_sql_and_python_ask_the_same():
    """One plan and one view, also of a condition that is spelt another way."""
    one, other = asked("SHARE(died = 'Y')"), built(statistic("share", col("died") == "Y"))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.view) == encode(other.view)
    assert encode(asked("SHARE(NOT (age < 65))").plan) == encode(asked("SHARE(age >= 65)").plan)


def test_without_noise_it_is_the_share():
    """Yes over yes and no."""
    ward = patients()
    assert exact(drawn("SHARE(died = 'Y')"), ward).value[0, 0] == pytest.approx((ward["died"] == 0).mean())


def test_it_has_less_than_half_the_noise_variance_of_a_quotient_of_counts():
    """One block instead of two, and the noise of yes and no of its own."""
    ward = patients()
    share = releases(drawn("SHARE(died = 'Y')"), ward, 0.5)
    truth = exact(drawn("SHARE(died = 'Y')"), ward).value[0]
    question = asked("COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*)")
    layout = tally(question.plan, CATALOGUE)
    assert len(layout.blocks) == 2
    rng = np.random.default_rng(4)
    sums = drawn("SHARE(died = 'Y')").tallied(ward)
    deviation = (2 * drawn("SHARE(died = 'Y')").spread(0.5)[0]) ** 0.5
    quotient = (sums[1] + deviation * rng.normal(size=4_000)) / (sums.sum() + deviation * rng.normal(size=4_000))
    assert share.error(truth)[0] ** 2 < 0.5 * np.mean((quotient - truth) ** 2)


@pytest.mark.parametrize("rows", [300, 3_000])
def test_releases_are_unbiased_and_their_intervals_cover(rows):
    """Over 4,000 releases at two prices: no bias, noise-only coverage 93 to 97 %."""
    ward = {name: values[:rows] for name, values in patients().items()}
    question = drawn("SHARE(died = 'Y')")
    truth = exact(question, ward).value[0]
    for epsilon in (0.3, 1):
        found = releases(question, ward, epsilon)
        assert abs(found.bias(truth)[0]) < 4
        assert 0.93 < found.covered(truth)[0] < 0.97


def test_total_intervals_cover_the_populations_share():
    """Noise and the binomial law together: 93 to 97 % of samples of 400 from a population of 1 in 10."""
    rng = np.random.default_rng(5)
    question = drawn("SHARE(died = 'Y')")
    yes = rng.binomial(400, 0.1, 6_000)
    sums = np.stack([400 - yes, yes], axis=1)
    for epsilon in (0.3, 1, 3):
        found = question.read(question.released(sums, epsilon, rng), epsilon)
        assert 0.93 < found.covered([0.1], total=True)[0] < 0.97


def test_none_is_not_taken_for_certain():
    """A share of none in a few rows keeps a total interval that reaches above zero."""
    question = drawn("SHARE(died = 'Y')")
    found = question.read(np.array([[20.0, 0.0]]), None)
    assert found.total_high[0, 0] > 0.1
    assert found.low[0, 0] == found.total_low[0, 0] == 0


def test_shares_can_be_calculated_with_and_grouped():
    """100 * SHARE is a percentage; by group, each cell is its own share, no before yes."""
    release = Release("SELECT sex, 100 * SHARE(died = 'Y') AS p FROM admission GROUP BY sex")
    (found,) = answers(
        release.question.plan,
        release.question.pages,
        CATALOGUE,
        release.sum_of([[80, 20, 30, 10]]),
        release.measurement,
        contributors=4,
    )
    assert [row.cells[1].value for row in found.rows] == pytest.approx([20.0, 25.0])


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ()},
        {"by": (CodeKey(column="sex"),)},
        {"by": (DIED, FlagKey(term=Members(column="sex", codes=("F",))))},
        {"column": "age"},
        {"columns": ("age",)},
    ],
)
def test_hostile_aggregates_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else."""
    plan = altered(asked("SHARE(died = 'Y')").plan, aggregates=(replace(SHARE, **changes),))
    with pytest.raises(PlanError):
        check(plan, CATALOGUE)


@pytest.mark.parametrize("written", ["SHARE()", "SHARE(died)", "SHARE(0.5)", "SHARE(died = 'Y', sex = 'F')"])
def test_only_one_condition_is_taken(written):
    """Anything else is refused where it stands."""
    with pytest.raises(StatementError):
        asked(written)
