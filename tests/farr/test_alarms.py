"""Alarms on an answer: from its rows to a series and back, refused where it is none."""

import json
import math

import pytest

from farr import texts
from farr.errors import FarrError
from farr.figures.alarms import alarms_of, series_of, to_plain
from farr.figures.methods import Method
from queries.errors import PlanError
from queries.series import Alarms, Judged
from tests.farr import drawing
from tests.farr.drawing import answer, estimate, figure, key, result


@pytest.fixture(autouse=True)
def english():
    """Speak English."""
    texts.use("en")


def test_a_column_by_time_is_a_series_with_the_noise_of_the_release():
    """Values and labels as in the answer, the variance of the noise in each."""
    series = series_of(drawing.by_month(noise_sd=10.0))
    assert series.labels == tuple(drawing.MONTHS)
    assert set(series.noise) == {100.0}
    assert series.values[0] == 100.0


def test_periods_that_are_not_shown_are_periods_without_a_release():
    """HAVING and ORDER BY change the rows; the series is in time order and has gaps."""
    rows = [("2019-05", figure(9.0, 1.0)), ("2019-02", drawing.undefined()), ("2019-03", figure(1.0, 1.0))]
    table = answer([key("m", "date"), estimate("n")], rows, {"m": drawing.MONTHS})
    series = series_of(result(table, noise_sd={"n": 1.0}))
    assert series.labels == ("2019-02", "2019-03", "2019-04", "2019-05")
    assert [math.isnan(value) for value in series.values] == [True, False, True, False]


@pytest.mark.parametrize("method", [Method.C1, Method.C2, Method.C3, Method.CUSUM])
def test_every_method_finds_the_high_week(method):
    """Counts that are six times as high at the end raise an alarm, by any method that a year is enough for."""
    found = drawing.by_week()
    if method is Method.CUSUM:
        with pytest.raises(PlanError, match="periods"):
            alarms_of(found, method)
        return
    assert "2019-W51" in alarms_of(found, method).raised


def test_farrington_needs_years():
    """Twelve months are no five years: refused with what to do."""
    with pytest.raises(PlanError, match="years back need"):
        alarms_of(drawing.by_month(), "farrington")


@pytest.mark.parametrize(
    ("table", "noise", "said"),
    [
        (answer([key("s"), estimate("n")], [("F", figure(1.0, 1.0))], {"s": drawing.SEX}), {"n": 1.0}, "time alone"),
        (answer([estimate("n")], [(figure(1.0, 1.0),)]), {"n": 1.0}, "time alone"),
        (
            answer([key("m", "date"), estimate("n")], [("2019-01", figure(1.0, 1.0))], {"m": drawing.MONTHS}),
            {"n": None},
            "counts and sums",
        ),
    ],
)
def test_what_is_no_series_is_refused(table, noise, said):
    """Other keys, no key, and figures whose noise differs from row to row."""
    with pytest.raises(FarrError, match=said):
        series_of(result(table, noise_sd=noise))


def test_an_unknown_column_is_refused():
    """A figure that the answer has not cannot be judged."""
    with pytest.raises(FarrError, match="'m'"):
        series_of(drawing.by_week(), "m")


def test_infinite_scores_are_null_in_json():
    """JSON has no infinity: the alarm stays, the number is null."""
    judged = Judged(label="2019-W01", value=9.0, expected=0.0, threshold=0.0, score=math.inf, alarm=True, weak=False)
    plain = to_plain(Alarms(method="C1", periods=(judged,)))
    assert json.loads(json.dumps(plain, allow_nan=False))["periods"][0] == {
        "period": "2019-W01", "value": 9.0, "expected": 0.0, "threshold": 0.0, "score": None, "alarm": True,
        "weak": False,
    }  # fmt: skip
