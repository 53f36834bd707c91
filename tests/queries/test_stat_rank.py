"""Ranks: free beside a count, and honest about which places the noise leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queries.answers.quantity import NoisyBlock
from queries.asked.build import count, question, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate
from queries.asked.reading import Reading
from queries.cost.setting import Setting
from queries.cost.tally import tally
from queries.errors import PlanError, StatementError
from queries.sql import read
from queries.statistics import STATISTICS
from queries.statistics.interface import Sums
from queries.statistics.rank import surely
from tests.distributions.pooled import Released, column
from tests.queries.distribution import CATALOGUE, SITES, records

STATEMENT = "SELECT main, COUNT(*) AS n, RANK() AS place FROM stay GROUP BY main ORDER BY n DESC LIMIT 2"
SETTING = Setting(catalogue=CATALOGUE, table=CATALOGUE.table("stay"), keys=())


def ranked(counts, variance):
    """Return what RANK says of noisy counts."""
    block = NoisyBlock(index=0, values=np.array(counts, dtype=float), variance=variance)
    sums = Sums(blocks=(block,), seed=b"")
    return STATISTICS["rank"].read(Aggregate(statistic="rank"), SETTING, Reading(), sums)


def test_a_rank_costs_nothing_beside_a_count():
    """Both read the same block, and Python asks the same as SQL."""
    both = read(STATEMENT, CATALOGUE, SITES)
    assert len(tally(both.plan, CATALOGUE).blocks) == 1
    built = question(CATALOGUE, SITES).table("stay").by("main").measure(n=count(), place=statistic("rank"))
    built = built.order_by("n", descending=True).limit(2).build()
    assert (encode(both.plan), encode(both.pages)) == (encode(built.plan), encode(built.pages))


def test_without_noise_ranks_are_exact(tmp_path):
    """The two commonest main diagnoses, each surely in its place."""
    stays = records(tmp_path)
    answer = stays.ask(STATEMENT).truth()[0]
    assert [row.cells[0] for row in answer.rows] == ["I10", "E11"]
    assert [(each.value, each.low, each.high) for each in column(answer, "place")] == [(1, 1, 1), (2, 2, 2)]
    stays.scanner.close()


def test_equal_counts_share_the_lower_rank():
    """As in sports: 1, 2, 2, 4."""
    assert ranked([9, 5, 5, 1], 1e-9).value.tolist() == [1, 2, 2, 4]


def test_what_the_noise_may_have_exchanged_stays_open():
    """100 is surely first; 50 and 48 may be either; 0 is surely last. Without noise nothing is open."""
    found = ranked([100, 50, 48, 0], 9.0)
    assert found.low.tolist() == [1, 2, 2, 4]
    assert found.high.tolist() == [1, 3, 3, 4]
    sure = ranked([100, 50, 48, 0], 1e-6)
    assert sure.low.tolist() == sure.high.tolist() == [1, 2, 3, 4]


def test_in_the_worst_case_rank_intervals_hold_95_in_100():
    """Equal counts, of which any may seem the greatest: 93 to 97 in 100, noise alone and with sampling."""
    generator = np.random.default_rng(4)
    for cells in (2, 10, 60):
        rates = np.full(cells, 100.0)
        held = np.zeros(2)
        for _ in range(500):
            found = ranked(rates + generator.normal(0, 5, cells), 25.0)
            held[0] += np.mean((found.low <= 1) & (found.high >= 1))
            found = ranked(generator.poisson(rates) + generator.normal(0, 5, cells), 25.0)
            held[1] += np.mean((found.total_low <= 1) & (found.total_high >= 1))
        assert np.all(np.abs(held / 500 - 0.95) < 0.02)


def test_surely_is_dunnetts_bound():
    """His table of one-sided 5 % bounds, without degrees of freedom: 1.64, 1.92 and 2.42 for 1, 2 and 9 others."""
    for others, bound in ((1, 1.64), (2, 1.92), (9, 2.42)):
        assert surely(others) == pytest.approx(bound, abs=0.006)


def test_rank_intervals_hold_the_exact_ranks():
    """Of 200 releases of 60 close counts, at least 95 in 100 intervals hold; so for a sampled population's ranks."""
    generator = np.random.default_rng(1)
    rates = np.sort(generator.gamma(1.0, 40.0, 60))[::-1]
    exact = np.arange(1, 61)
    held, total = [], []
    for _ in range(200):
        found = ranked(rates + generator.normal(0, 5, 60), 25.0)
        held.append((found.low <= exact) & (exact <= found.high))
        found = ranked(generator.poisson(rates) + generator.normal(0, 5, 60), 25.0)
        total.append((found.total_low <= exact) & (exact <= found.total_high))
    assert np.mean(held, axis=0).min() >= 0.95
    assert np.mean(total, axis=0).min() >= 0.95


@pytest.mark.parametrize("written", ["RANK()", "RANK(age)", "RANK() OVER (ORDER BY age)"])
def test_what_makes_no_sense_is_refused(written):
    """Without groups, of a column, or as a window function."""
    with pytest.raises((StatementError, PlanError)) as refused:
        read(f"SELECT {written} AS place FROM stay", CATALOGUE, SITES)
    assert refused.value.remedy


def test_a_plan_of_another_form_is_refused():
    """A rank has no column and no cells of its own, is not of one cell, and is read in one way."""
    plan = read(STATEMENT, CATALOGUE, SITES).plan
    (part,) = plan.parts
    for changed in (
        replace(part, keys=()),
        replace(part, aggregates=(Aggregate(statistic="rank", column="age"),)),
        replace(part, aggregates=(Aggregate(statistic="rank", by=part.keys),)),
    ):
        with pytest.raises(PlanError):
            check(replace(plan, parts=(changed,)), CATALOGUE)
    with pytest.raises(PlanError):
        STATISTICS["rank"].check_reading(Aggregate(statistic="rank"), SETTING, Reading(numbers=("1",)))


def test_a_rank_of_subtotals_is_of_each_level_by_itself(tmp_path):
    """With ROLLUP the one cell of the whole has rank 1."""
    whole = read("SELECT main, RANK() AS place FROM stay GROUP BY ROLLUP(main)", CATALOGUE, SITES)
    stays = records(tmp_path)
    answer = Released(catalogue=CATALOGUE, question=whole, exact=stays.exact(whole)).truth()[0]
    assert [row.cells[1].value for row in answer.rows if row.cells[0] == "*"] == [1]
    stays.scanner.close()
