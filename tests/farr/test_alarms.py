"""Alarms on an answer: from its rows to a series and back, refused where it is none."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from farr import demo, texts
from farr.errors import FarrError
from farr.figures.alarms import alarms_of, rehearse, series_of, to_plain
from farr.figures.methods import Method
from farr.questions.asking import Terms, prepare
from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import AnswerRow
from queries.answers.figures import ALL
from queries.errors import PlanError
from queries.series import Alarms, Judged
from queries.sql import read
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


DEMO = read_catalogue((Path(demo.__file__).parent / "stroke.toml").read_bytes(), "stroke.toml")


def rehearsed(figure, group, where, method, **terms):
    """Rehearse a method on what the demo's hospitals would answer."""
    statement = f"SELECT {group} AS g, {figure} AS n FROM admission WHERE admitted >= '{where}' GROUP BY g"
    question = read(statement, DEMO, {f"h{number}": {} for number in range(5)})
    rehearse(prepare(question, Terms(**terms), DEMO, hospitals=5), DEMO, method)


@pytest.mark.parametrize(
    ("figure", "group", "since", "method", "advice"),
    [
        ("COUNT(*)", "sex", "1991-01-01", Method.C2, "WEEK or MONTH"),
        ("COUNT(*)", "WEEKDAY(admitted)", "1991-01-01", Method.C2, "WEEK or MONTH"),
        ("AVG(age)", "MONTH(admitted)", "1991-01-01", Method.C2, "COUNT"),
        ("COUNT(*)", "QUARTER(admitted)", "1991-01-01", Method.FARRINGTON, "WEEK or MONTH"),
        ("COUNT(*)", "MONTH(admitted)", "1992-12-01", Method.FARRINGTON, "longer window"),
    ],
)
def test_what_no_answer_could_be_judged_by_is_known_before_it_is_paid_for(figure, group, since, method, advice):
    """Other groups, figures whose noise differs, periods that the method does not know, and too short a series."""
    with pytest.raises((FarrError, PlanError)) as caught:
        rehearsed(figure, group, since, method)
    assert advice in caught.value.remedy


def test_what_an_analyst_expects_makes_no_series_of_averages():
    """With the rows that she expects their noise can be foreseen; it differs from period to period all the same."""
    with pytest.raises(FarrError, match="counts and sums"):
        rehearsed("AVG(age)", "MONTH(admitted)", "1991-01-01", Method.C2, expect=100)


@pytest.mark.parametrize("method", Method)
def test_what_can_be_judged_is_asked(method):
    """Six years of months do for every method, whatever they will hold."""
    rehearsed("COUNT(*)", "MONTH(admitted)", "1991-01-01", method)


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


def test_the_total_of_a_rollup_is_no_period():
    """The row that adds up over all periods is left out, as pictures leave it out."""
    whole = drawing.by_month()
    (table,) = whole.answers
    total = AnswerRow(cells=(ALL.code, drawing.figure(1_600.0, 20.0)))
    labels = {"month": {**table.labels["month"], ALL.code: ALL.label.en}}
    rolled = replace(whole, answers=(replace(table, rows=(*table.rows, total), labels=labels),))
    assert series_of(rolled).labels == series_of(whole).labels
    assert rolled.alarms("ears-c1") == whole.alarms("ears-c1")
