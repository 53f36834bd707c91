"""Histograms: the counts of bands along an axis, bands that are public and round."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.agreed.catalogue import Label, NumberColumn
from queries.asked.build import band, question, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, BandKey, CodeKey
from queries.errors import PlanError, StatementError
from queries.sql import read
from queries.statistics.histogram import default_bands
from tests.distributions.pooled import column
from tests.queries.distribution import CATALOGUE, SITES, frame, records

FRAME = frame()


@pytest.fixture(scope="module")
def stays(tmp_path_factory):
    """Return the prepared stays."""
    made = records(tmp_path_factory.mktemp("stays"))
    yield made
    made.scanner.close()


def asked(statement):
    """Read a statement."""
    return read(statement, CATALOGUE, SITES)


@pytest.mark.parametrize(
    ("written", "measure"),
    [("age", statistic("histogram", "age")), ("BAND(age, 20)", statistic("histogram", band("age", 20)))],
)
def test_sql_and_python_ask_the_same(written, measure):
    """Of a column by itself, and of bands."""
    sql = asked(f"SELECT HISTOGRAM({written}) AS n FROM stay")
    built = question(CATALOGUE, SITES).table("stay").measure(n=measure).build()
    assert (encode(sql.plan), encode(sql.pages)) == (encode(built.plan), encode(built.pages))


def test_without_noise_it_counts_the_rows_of_each_band(stays):
    """By sex, in bands of five years, rows without an age in none."""
    answer = stays.ask("SELECT sex, HISTOGRAM(age) AS n FROM stay GROUP BY sex").truth()[0]
    found = {(row.cells[0], row.cells[1]): row.cells[2].value for row in answer.rows}
    known = FRAME[FRAME.age.notna()]
    for sex in "FM":
        for start in range(0, 115, 5):
            exact = ((known.sex == sex) & known.age.between(start, start + 4)).sum()
            assert found[sex, f"{start}-{start + 4}"] == pytest.approx(exact)
    assert sum(found.values()) == pytest.approx(len(known))


def test_intervals_hold_the_exact_count_as_often_as_they_say(stays):
    """300 releases of 25 bands: 94 to 96 in 100."""
    ask = stays.ask("SELECT HISTOGRAM(age) AS n FROM stay")
    exact = np.array([figure.value for figure in column(ask.truth()[0], "n")])
    ends = np.array(
        [
            [(each.low, each.high) for each in column(answer[0], "n")]
            for answer in ask.releases(300, epsilon=0.5, seed=4)
        ]
    )
    held = (ends[..., 0] <= exact) & (exact <= ends[..., 1])
    assert 0.94 <= held.mean() <= 0.96


def digits(number):
    """Return the digits of a decimal number without the zeros at its end."""
    return str((number * 10**6).numerator).rstrip("0")


@settings(deadline=None)
@given(
    low=st.integers(-(10**6), 10**6),
    span=st.integers(1, 10**8),
    step=st.sampled_from([Fraction(1), Fraction(1, 100), Fraction(1, 20), Fraction(5), Fraction(25), Fraction(3, 10)]),
)
def test_the_bands_of_any_column_are_few_and_round(low, span, step):
    """At most 33, starting at the lower bound, then at whole multiples of a width of 1, 2 or 5 times a power of ten."""
    bounds = NumberColumn(name="x", label=Label(en="x", zh="x"), low=low, high=low + span, step=step)
    starts = default_bands(bounds).starts
    assert starts[0] == low
    assert len(starts) <= 33
    widths = {after - before for before, after in pairwise(starts[1:])}
    assert len(widths) <= 1
    for width in widths:
        assert {digits(width), digits(width * step)} & {"1", "2", "5"}
        assert all(start % width == 0 for start in starts[1:])


@pytest.mark.parametrize(
    "written", ["HISTOGRAM()", "HISTOGRAM(sex)", "HISTOGRAM(age, 5)", "HISTOGRAM(LEVEL(main, 'x'))"]
)
def test_what_makes_no_sense_is_refused(written):
    """Each with a remedy."""
    with pytest.raises((StatementError, PlanError)) as refused:
        asked(f"SELECT {written} AS n FROM stay")
    assert refused.value.remedy


HISTOGRAM = Aggregate(statistic="histogram", by=(BandKey(column="age", starts=(0, 50)),))


@pytest.mark.parametrize(
    "aggregate",
    [
        replace(HISTOGRAM, by=()),
        replace(HISTOGRAM, by=(CodeKey(column="sex"),)),
        replace(HISTOGRAM, by=HISTOGRAM.by * 2),
        replace(HISTOGRAM, column="age"),
        replace(HISTOGRAM, columns=("age",)),
        replace(HISTOGRAM, by=(BandKey(column="age", starts=(1, 50)),)),
    ],
)
def test_a_plan_of_another_form_is_refused(aggregate):
    """Bands of one number, and nothing else."""
    plan = asked("SELECT COUNT(*) AS n FROM stay").plan
    (part,) = plan.parts
    check(replace(plan, parts=(replace(part, aggregates=(HISTOGRAM,)),)), CATALOGUE)
    with pytest.raises(PlanError):
        check(replace(plan, parts=(replace(part, aggregates=(aggregate,)),)), CATALOGUE)
