"""Alarms on China's monthly notifiable diseases, by province: exact counts, and the same with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from queries.series import Series, Verdict, compare_columns, ears, farrington, figure
from queries.series.farrington import references
from tests.queries.published_farrington import expected_and_threshold

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "china_notifiable_monthly"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")


def provinces(disease: str, first: str = "2004-01") -> pd.DataFrame:
    """Return a disease's cases, one row a month from ``first`` to 2014-12, one column a province; NaN where blank."""
    rows = pd.read_parquet(
        DATA / "china_notifiable_2004_2014.parquet", columns=["Date", "Diseases", "Cases", "Province"]
    )
    rows = rows[(rows["Diseases"] == disease) & (rows["Province"] != "Total")]
    cases = pd.to_numeric(rows["Cases"], errors="coerce")
    table = cases.groupby([rows["Date"].astype(str).str[:7], rows["Province"]]).sum(min_count=1).unstack()
    return table[table.index >= first]


DYSENTERY = "Bacterial dysentery"
HAND_FOOT_MOUTH = "Hand foot and mouth disease"

NOISE = 4.53**2
"""Of a count at epsilon 1 and delta 1e-6, every patient counted once."""


@pytest.mark.parametrize(
    ("disease", "first", "names"),
    [
        (DYSENTERY, "2004-01", ("Guizhou", "Tibet")),
        (HAND_FOOT_MOUTH, "2008-05", ("Guangdong", "Guizhou", "Qinghai")),
    ],
)
def test_farrington_agrees_with_the_published_formulas(disease, first, names):
    """Without noise: expected count, threshold and alarm of every month that five years precede."""
    table = provinces(disease, first)
    for name in names:
        values = table[name].to_numpy()
        series = Series.of(tuple(table.index), values, 0.0)
        rows = references(series, years=5, window=1)
        periods = farrington(series).periods
        seen = [place for place, judged in enumerate(periods) if judged.alarm is not None]
        assert len(seen) == len(table) - 61
        for place in seen:
            judged, past = periods[place], rows[place]
            expected, threshold = expected_and_threshold(values[past], (past - place) / 12)
            assert (judged.expected, judged.threshold) == pytest.approx((expected, threshold), rel=1e-4)
            assert judged.alarm == (values[place] > threshold and np.nansum(values[place - 3 : place + 1]) >= 5)


@pytest.mark.parametrize(("disease", "first"), [(DYSENTERY, "2004-01"), (HAND_FOOT_MOUTH, "2008-05")])
@pytest.mark.parametrize("method", [ears, farrington])
def test_noise_hardly_changes_the_alarms_of_provinces(disease, first, method):
    """At epsilon 1, in months that are not weak, the verdict is that of the exact counts in 97 of 100."""
    table = provinces(disease, first).dropna(axis=1)
    rng = np.random.default_rng(6)
    same = []
    for name in table:
        exact = Series.of(tuple(table.index), table[name], 0.0)
        noisy = Series.of(tuple(table.index), table[name] + rng.normal(0, NOISE**0.5, len(table)), NOISE)
        same += [
            one.alarm == two.alarm
            for one, two in zip(method(exact).periods, method(noisy).periods, strict=True)
            if two.weak is False
        ]
    assert len(same) > 300
    assert np.mean(same) >= 0.97


def test_weak_provinces_are_the_small_ones():
    """A month is weak where fewer than 32 cases are expected: 10 / epsilon for noise of sd 4.53."""
    table = provinces(DYSENTERY)
    for name in ("Tibet", "Hainan", "Beijing"):
        for judged in farrington(Series.of(tuple(table.index), table[name], NOISE)).periods:
            if judged.weak is not None:
                assert judged.weak == (judged.expected < 32.03)


def test_the_fall_of_dysentery_is_found_and_a_second_release_is_no_change():
    """Cases of 2005 and 2014: 31 provinces, nearly all fall; the same year with other noise shows nothing."""
    table = provinces(DYSENTERY)
    years = table.groupby(table.index.str[:4]).sum()
    rng = np.random.default_rng(7)

    def release(year):
        return [figure(cases + rng.normal(0, NOISE**0.5), NOISE, cases) for cases in years.loc[year]]

    fall = [change.verdict for change in compare_columns(release("2005"), release("2014"), jointly=True)]
    assert fall.count(Verdict.FALL) >= 28
    assert Verdict.RISE not in fall
    again = compare_columns(release("2014"), release("2014"), jointly=True)
    assert {change.verdict for change in again} == {Verdict.NONE}
