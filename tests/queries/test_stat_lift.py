"""Lifts of pairs of codes: free beside a count, unbiased, with intervals that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queries.asked.build import count, question, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate
from queries.cost.tally import tally
from queries.errors import PlanError, StatementError
from queries.sql import read
from tests.distributions.pooled import column
from tests.queries.distribution import CATALOGUE, SITES, frame, records

FRAME = frame()
STATEMENT = "SELECT main, other, COUNT(*) AS n, LIFT() AS x FROM stay GROUP BY main, other"


@pytest.fixture(scope="module")
def stays(tmp_path_factory):
    """Return the prepared stays."""
    made = records(tmp_path_factory.mktemp("stays"))
    yield made
    made.scanner.close()


def test_a_lift_costs_nothing_beside_a_count():
    """Both read the same block, and Python asks the same as SQL."""
    both = read(STATEMENT, CATALOGUE, SITES)
    assert len(tally(both.plan, CATALOGUE).blocks) == 1
    built = question(CATALOGUE, SITES).table("stay").by("main", "other").measure(n=count(), x=statistic("lift")).build()
    assert (encode(both.plan), encode(both.pages)) == (encode(built.plan), encode(built.pages))


def test_without_noise_it_is_observed_over_expected(stays):
    """Over the rows that have both codes; a code that nobody has leaves it open."""
    both = FRAME.dropna(subset=["main", "other"])
    for row in stays.ask(STATEMENT).truth()[0].rows:
        main, other, n, lift = row.cells
        of_main, of_other = (both.main == main).sum(), (both.other == other).sum()
        if n.value < 0.5 or not of_main or not of_other:
            continue
        exact = ((both.main == main) & (both.other == other)).sum() * len(both) / (of_main * of_other)
        assert lift.value == pytest.approx(exact, rel=1e-3)


def test_the_interval_holds_as_often_as_it_says_and_the_lift_is_unbiased(stays):
    """600 releases: 93 to 97 in 100 for pairs of common codes, and mean errors within 4 standard errors of nothing."""
    ask = stays.ask(STATEMENT)
    exact = np.array([each.value for each in column(ask.truth()[0], "x")], dtype=float)
    counts = np.array([each.value for each in column(ask.truth()[0], "n")], dtype=float)
    figures = np.array(
        [
            [(each.value, each.low, each.high) for each in column(answer[0], "x")]
            for answer in ask.releases(600, epsilon=2.0, seed=8)
        ],
        dtype=float,
    )
    common = counts > 60
    assert common.sum() >= 6
    value, low, high = np.moveaxis(figures[:, common], -1, 0)
    held = (low <= exact[common]) & (exact[common] <= high)
    assert 0.93 <= held.mean() <= 0.97
    assert np.all(np.abs((value - exact[common]).mean(axis=0)) < 4 * value.std(axis=0) / np.sqrt(600))


def test_where_a_code_is_within_the_noise_of_nobody_the_interval_is_open(stays):
    """N18 is nobody's main diagnosis: the lift has no upper end, and is unreliable."""
    ask = stays.ask(STATEMENT)
    for answer in ask.releases(20, epsilon=0.5, seed=9):
        for row in answer[0].rows:
            if row.cells[0] == "N18" and row.cells[3].high is None:
                assert row.cells[3].low == 0
                assert "unreliable" in row.cells[3].flags
                break
        else:
            pytest.fail("an interval that the noise does not allow")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT LIFT() AS x FROM stay",
        "SELECT main, LIFT() AS x FROM stay GROUP BY main",
        "SELECT main, other, sex, LIFT() AS x FROM stay GROUP BY main, other, sex",
        "SELECT main, other, LIFT(age) AS x FROM stay GROUP BY main, other",
    ],
)
def test_what_makes_no_sense_is_refused(statement):
    """A lift is of exactly two groups, and takes nothing."""
    with pytest.raises((StatementError, PlanError)) as refused:
        read(statement, CATALOGUE, SITES)
    assert refused.value.remedy


def test_a_plan_of_another_form_is_refused():
    """A lift has no column and no cells of its own."""
    plan = read(STATEMENT, CATALOGUE, SITES).plan
    (part,) = plan.parts
    for aggregate in (
        Aggregate(statistic="lift", column="age"),
        Aggregate(statistic="lift", by=part.keys),
        Aggregate(statistic="lift", columns=("age",)),
    ):
        with pytest.raises(PlanError):
            check(replace(plan, parts=(replace(part, aggregates=(aggregate,)),)), CATALOGUE)


def test_subtotals_have_no_lift(stays):
    """With ROLLUP, rows over one of the two groups show nothing, and the others what they always show."""
    answer = stays.ask("SELECT main, other, LIFT() AS x FROM stay GROUP BY ROLLUP(main, other)").truth()[0]
    for row in answer.rows:
        if "*" in row.cells:
            assert row.cells[2].value is None
    # And the others keep the interval that allows for sampling.
    assert answer.columns[-1].total
