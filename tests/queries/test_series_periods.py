from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from queries.errors import PlanError
from queries.series import WEAK, Series, ears
from tests.queries.quiet import months, weeks


def test_every_kind_of_period_is_numbered_without_gaps():
    """The next period's ordinal is one more: over year ends, a 53rd week and a leap day."""
    cases = {
        "day": ("2020-02-28", "2020-02-29", "2020-03-01"),
        "week": ("2015-W52", "2015-W53", "2016-W01"),
        "month": ("2019-11", "2019-12", "2020-01"),
        "quarter": ("2019-Q4", "2020-Q1"),
        "year": ("2019", "2020"),
    }
    for period, labels in cases.items():
        series = Series.of(labels, np.ones(len(labels)), 0.0)
        assert series.period == period
        assert set(np.diff(series.ordinals)) == {1}


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (("2019-01", "2019-03"), "2019-01 is followed by 2019-03"),
        (("2019-02", "2019-01"), "2019-02 is followed by 2019-01"),
        (("2019-01", "2019-W02"), "names no month"),
        (("2019-W52", "2019-W53"), "names no week"),
        (("2019-12", "2019-13"), "names no month"),
        (("2019-02-28", "2019-02-29"), "names no day"),
        (("spring", "summer"), "names no period"),
    ],
)
def test_labels_that_are_not_consecutive_periods_are_refused(labels, says):
    """A gap would shift every baseline behind it, so none is let in."""
    with pytest.raises(PlanError, match=says) as refused:
        Series.of(labels, [1.0, 2.0], 0.0)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("values", "noise"),
    [([1.0], 0.0), ([1.0, np.inf], 0.0), ([1.0, 2.0], -1.0), ([1.0, 2.0], np.nan), ([1.0, 2.0], [1.0])],
)
def test_values_and_variances_that_are_none_are_refused(values, noise):
    """One finite value (or NaN) and one variance of at least 0 for each label."""
    with pytest.raises(PlanError):
        Series.of(("2019-01", "2019-02"), values, noise)


def test_one_variance_serves_all_periods():
    """A scalar is spread over the periods."""
    assert Series.of(months(3), [1, 2, 3], 4.0).noise.tolist() == [4.0, 4.0, 4.0]


def test_weak_periods_are_those_with_mean_times_epsilon_under_ten():
    """Mean 20 is enough at epsilon 0.5 (Laplace variance 8) and not at 0.49; the warning comes with it."""
    flat = np.full(12, 20.0)
    enough = ears(Series.of(weeks(12), flat, 2 / 0.5**2))
    assert [judged.weak for judged in enough.periods] == [None] * 9 + [False] * 3
    assert enough.warning is None
    little = ears(Series.of(weeks(12), flat, 2 / 0.49**2))
    assert little.periods[-1].weak
    assert little.warning == WEAK


def test_without_noise_nothing_is_weak():
    """The rule is about noise: exact counts of zero are certain."""
    assert not any(judged.weak for judged in ears(Series.of(weeks(12), np.zeros(12), 0.0)).periods)


def test_alarms_load_no_heavy_library():
    """A node imports queries, so importing the series must not bring SciPy, pandas or Matplotlib."""
    code = "import sys, queries.series; print([m for m in ('scipy', 'pandas', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
