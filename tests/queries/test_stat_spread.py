"""VARIANCE and STDDEV."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queries.asked.build import statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, CodeKey
from queries.asked.reading import Reading
from queries.cost.setting import Setting
from queries.cost.tally import RowCount, tally
from queries.errors import PlanError, StatementError
from queries.statistics import STATISTICS
from tests.queries.quick import CATALOGUE, TABLE, asked, built, drawn, exact, patients, releases
from tests.queries.whole import altered

SPREAD = STATISTICS["spread"]
SETTING = Setting(catalogue=CATALOGUE, table=TABLE, keys=())
WEIGHT = Aggregate(statistic="spread", column="weight")


@pytest.mark.parametrize("name", ["variance", "stddev"])
def test_sql_and_python_ask_the_same(name):
    """One plan and one view, whichever way it was asked."""
    one, other = asked(f"{name.upper()}(weight)"), built(statistic(name, "weight"))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.view) == encode(other.view)


def test_variance_deviation_and_mean_share_their_sums():
    """The two readings are one aggregate, and AVG of the column adds no block."""
    both = asked("VARIANCE(weight) AS v, STDDEV(weight) AS s, AVG(weight)")
    assert [each.statistic for each in both.part.aggregates] == ["mean", "spread"]
    blocks = tally(both.plan, CATALOGUE).blocks
    assert len(blocks) == 4
    assert sum(isinstance(block.measure, RowCount) for block in blocks) == 2


def test_without_noise_they_are_the_sample_variance_and_its_root():
    """Over n - 1, in the column's units, as numpy has them; squares are rounded by 1 in 262,144 at most."""
    ward = patients()
    weights = ward["weight"] * 0.1
    assert exact(drawn("VARIANCE(weight)"), ward).value[0, 0] == pytest.approx(weights.var(ddof=1), rel=1e-4)
    assert exact(drawn("STDDEV(weight)"), ward).value[0, 0] == pytest.approx(weights.std(ddof=1), rel=1e-4)
    assert exact(drawn("VARIANCE(age)"), ward).value[0, 0] == pytest.approx(ward["age"].var(ddof=1), rel=1e-9)


@pytest.mark.parametrize("name", ["VARIANCE", "STDDEV"])
def test_releases_are_unbiased_and_their_intervals_cover(name):
    """Over 4,000 releases at two prices: no bias, noise-only coverage 93 to 97 %, and wider with sampling."""
    ward, question = patients(), drawn(f"{name}(age)")
    truth = exact(question, ward).value[0]
    for epsilon in (1, 3):
        found = releases(question, ward, epsilon)
        assert abs(found.bias(truth)[0]) < 4
        assert 0.93 < found.covered(truth)[0] < 0.97
        assert (found.total_high - found.total_low > found.high - found.low).all()


def test_heavy_tails_widen_the_total_interval():
    """A column with the variance of another but heavier tails has the wider total interval."""
    rng = np.random.default_rng(3)
    light = {"age": np.clip(np.rint(rng.normal(60, 12, 50_000)), 0, 120).astype(np.int64)}
    heavy = {"age": np.clip(np.rint(60 + 12 * rng.standard_t(5, 50_000) / (5 / 3) ** 0.5), 0, 120).astype(np.int64)}
    widths = [np.ptp([found.total_low, found.total_high]) for found in (_precise(light), _precise(heavy))]
    assert widths[1] > 1.3 * widths[0]


def _precise(ward):
    return exact(drawn("VARIANCE(age)"), ward)


def test_a_variance_below_zero_is_shown_and_has_no_root():
    """Where noise swamps the cell: the variance stays unbiased, its root is undefined, and neither is clamped."""
    ward = {name: values[:30] for name, values in patients().items()}
    found, root = (releases(drawn(f"{name}(age)"), ward, 0.3) for name in ("VARIANCE", "STDDEV"))
    assert (found.value < 0).any()
    assert np.isnan(root.value).any()
    assert not np.isnan(root.low).any()


def test_empty_cells_are_undefined():
    """No rows, no variance, and the whole range for an interval."""
    nobody = {name: values[:0] for name, values in patients().items()}
    found = exact(drawn("STDDEV(age)"), nobody)
    assert np.isnan(found.value[0, 0])
    assert found.low[0, 0] == 0
    assert found.high[0, 0] == pytest.approx(120 / 2**0.5)


def test_units_follow_the_reading():
    """The column's unit for a deviation, squared for a variance."""
    assert SPREAD.unit(WEIGHT, SETTING, Reading()) == "kg²"
    assert SPREAD.unit(WEIGHT, SETTING, Reading(name="deviation")) == "kg"
    assert SPREAD.never_negative(WEIGHT, SETTING, Reading())


def test_what_is_no_number_has_no_variance():
    """Codes and days are refused with a way out."""
    for column in ("sex", "admitted"):
        with pytest.raises(StatementError, match="no numbers with public bounds"):
            asked(f"VARIANCE({column})")


@pytest.mark.parametrize(
    "changes",
    [
        {"column": None},
        {"column": "sex"},
        {"by": (CodeKey(column="sex"),)},
        {"columns": ("age",)},
    ],
)
def test_hostile_aggregates_are_refused(changes):
    """A plan from a stranger of another form raises PlanError, and nothing else."""
    plan = altered(asked("VARIANCE(weight)").plan, aggregates=(replace(WEIGHT, **changes),))
    with pytest.raises(PlanError):
        check(plan, CATALOGUE)


@pytest.mark.parametrize(
    "reading", [Reading(name="x"), Reading(numbers=("1",)), Reading(name="deviation", words=("a",))]
)
def test_other_readings_are_refused(reading):
    """Only the variance and its root."""
    with pytest.raises(PlanError, match="variance or a standard deviation"):
        SPREAD.check_reading(WEIGHT, SETTING, reading)
