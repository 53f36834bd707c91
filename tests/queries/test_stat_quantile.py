"""Medians, quantiles, shares below a value and curves: exact without noise, honest with it, safe from strangers."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.answers.foresight import expected_half_widths
from queries.answers.inversion import inverted, reach
from queries.answers.tree import Tree, tree_of
from queries.asked.build import col, median, quantile, question, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, BandKey, CodeKey
from queries.asked.reading import Reading
from queries.asked.view import AggregateTerm, Output
from queries.cost.sensitivity import of_tally
from queries.cost.setting import Setting
from queries.cost.tally import tally
from queries.errors import PlanError, StatementError
from queries.sql import read
from queries.statistics import STATISTICS
from tests.distributions.pooled import Released, column
from tests.queries.distribution import CATALOGUE, SITES, frame, records

FRAME = frame()
TABLE = CATALOGUE.table("stay")
SETTING = Setting(catalogue=CATALOGUE, table=TABLE, keys=())
ASKED = Aggregate(statistic="quantile", column="age")


@pytest.fixture(scope="module")
def stays(tmp_path_factory):
    """Return the prepared stays."""
    made = records(tmp_path_factory.mktemp("stays"))
    yield made
    made.scanner.close()


def truth(stays, statement):
    """Return the figures of ``x`` without noise."""
    return [figure.value for figure in column(stays.ask(statement).truth()[0], "x")]


def asked(statement):
    """Read a statement."""
    return read(statement, CATALOGUE, SITES)


# --- one tree, several readings


@pytest.mark.parametrize(
    ("statement", "measure"),
    [
        ("MEDIAN(age)", median("age")),
        ("QUANTILE(age, 0.9)", quantile("age", 0.9)),
        ("QUANTILE(age, 0.1, 0.9) FILTER (WHERE sex = 'F')", quantile("age", 0.1, 0.9, where=col("sex") == "F")),
        ("SHARE_BELOW(age, 65)", statistic("share_below", "age", 65)),
        ("CDF(weight)", statistic("cdf", "weight")),
    ],
)
def test_sql_and_python_ask_the_same(statement, measure):
    """Plan and view have the same bytes whichever way they were made."""
    written = asked(f"SELECT {statement} AS x FROM stay")
    built = question(CATALOGUE, SITES).table("stay").measure(x=measure).build()
    assert encode(written.plan) == encode(built.plan)
    assert encode(written.pages) == encode(built.pages)


def test_all_readings_of_a_column_are_one_aggregate():
    """A second quantile, a share and a curve cost nothing more: the plan is that of the median."""
    one = asked("SELECT MEDIAN(age) AS x FROM stay").plan
    for other in ("QUANTILE(age, 0.9)", "SHARE_BELOW(age, 65)", "CDF(age)", "QUANTILE(age, 0.05, 0.95)"):
        assert encode(asked(f"SELECT {other} AS x FROM stay").plan) == encode(one)
    both = asked("SELECT MEDIAN(age) AS x, QUANTILE(age, 0.9) AS y FROM stay").plan
    assert encode(both) == encode(one)


# --- without noise


@pytest.mark.parametrize("name", ["age", "weight"])
def test_without_noise_a_quantile_is_the_least_value_with_that_share(stays, name):
    """Numpy's inverted_cdf over the rows with a value, for columns of up to 1,024 values."""
    levels = [0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]
    found = truth(stays, f"SELECT QUANTILE({name}, {', '.join(map(str, levels))}) AS x FROM stay")
    expected = np.quantile(FRAME[name].dropna(), levels, method="inverted_cdf")
    assert found == pytest.approx(list(expected))


def test_groups_and_filters_have_quantiles_of_their_own(stays):
    """By sex, of those with a main diagnosis."""
    found = truth(stays, "SELECT sex, MEDIAN(age) FILTER (WHERE main = 'I10') AS x FROM stay GROUP BY sex")
    chosen = FRAME[(FRAME.main == "I10") & FRAME.age.notna()]
    assert found == [np.quantile(chosen[chosen.sex == sex].age, 0.5, method="inverted_cdf") for sex in "FM"]


def test_in_a_wide_column_the_quantile_is_within_a_leaf_of_the_exact_one(stays):
    """Costs: the estimate lies in the exact value's leaf, and the interval reaches over that leaf."""
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    ask = stays.ask(f"SELECT QUANTILE(cost, {', '.join(map(str, levels))}) AS x FROM stay")
    starts = np.array(tree_of(TABLE.column("cost")).starts) / 100
    for figure, exact in zip(
        column(ask.truth()[0], "x"), np.quantile(FRAME.cost, levels, method="inverted_cdf"), strict=True
    ):
        leaf = np.searchsorted(starts, exact, side="right") - 1
        assert starts[leaf] <= figure.value <= starts[leaf + 1]
        assert figure.low <= exact <= figure.high


def test_without_noise_shares_are_exact(stays):
    """Below 18, 40 and 65, of the rows with an age; and the curve says the same."""
    ages = FRAME.age.dropna()
    found = truth(stays, "SELECT SHARE_BELOW(age, 18, 40, 65) AS x FROM stay")
    assert found == pytest.approx([(ages < at).mean() for at in (18, 40, 65)])
    answer = stays.ask("SELECT CDF(age) AS x FROM stay").truth()[0]
    curve = {float(row.cells[0]): row.cells[1].value for row in answer.rows}
    assert 20 <= len(curve) <= 40
    assert curve == pytest.approx({at: (ages < at).mean() for at in curve})


# --- the axis


def test_several_levels_give_a_row_each_and_one_gives_a_column():
    """QUANTILE of three levels has an axis named point; of one it has none."""
    whole = asked("SELECT sex, QUANTILE(age, 0.25, 0.5, 0.75) AS x FROM stay GROUP BY sex")
    assert [each.name for each in whole.view.columns] == ["sex", "point", "x"]
    quantiles = STATISTICS["quantile"]
    reading = whole.view.columns[2].expression.reading
    assert [code.code for code in quantiles.axis(ASKED, SETTING, reading)] == ["0.25", "0.5", "0.75"]
    assert [each.name for each in asked("SELECT QUANTILE(age, 0.25) AS x FROM stay").view.columns] == ["x"]


def test_figures_are_in_the_unit_of_the_column():
    """A quantile of ages is in years; a share has no unit."""
    quantiles = STATISTICS["quantile"]
    assert quantiles.unit(ASKED, SETTING, Reading()) == "years"
    assert quantiles.unit(ASKED, SETTING, Reading(name="curve")) == ""


def test_subtotals_are_quantiles_of_the_whole(stays):
    """With ROLLUP the last row is the median over both sexes, measured apart: medians do not add up."""
    answer = stays.ask("SELECT sex, MEDIAN(age) AS x, QUANTILE(age, 0.9) AS y FROM stay GROUP BY ROLLUP(sex)").truth()[
        0
    ]
    ages = FRAME.age.dropna()
    (whole,) = (row for row in answer.rows if row.cells[0] == "*")
    expected = np.quantile(ages, [0.5, 0.9], method="inverted_cdf")
    assert [cell.value for cell in whole.cells[1:]] == list(expected)


# --- with noise


def test_shares_are_covered_as_often_as_they_say(stays):
    """400 releases: 95 % intervals of shares hold the exact share 92 to 98 times in 100; total ones are wider."""
    ask = stays.ask("SELECT SHARE_BELOW(age, 30, 60, 80) AS x FROM stay")
    exact = [figure.value for figure in column(ask.truth()[0], "x")]
    held = 0
    for answer in ask.releases(400, epsilon=1.0, seed=5):
        figures = column(answer[0], "x")
        held += sum(figure.low <= at <= figure.high for figure, at in zip(figures, exact, strict=True))
        assert all(each.total_low <= each.low + 1e-12 and each.high <= each.total_high + 1e-12 for each in figures)
    assert 0.92 <= held / 1_200 <= 0.98


def test_quantiles_are_covered_at_least_as_often_as_they_say(stays):
    """400 releases: intervals of whole years hold the exact quantile at least 93 times in 100."""
    ask = stays.ask("SELECT QUANTILE(age, 0.1, 0.5, 0.9) AS x FROM stay")
    exact = [figure.value for figure in column(ask.truth()[0], "x")]
    held = np.zeros(3)
    for answer in ask.releases(400, epsilon=0.5, seed=6):
        figures = column(answer[0], "x")
        held += [each.low <= at <= each.high for each, at in zip(figures, exact, strict=True)]
        assert all(each.total_low <= each.low <= each.value <= each.high <= each.total_high for each in figures)
    assert held.min() / 400 >= 0.93


def test_a_leaf_is_ruled_out_wrongly_five_times_in_a_hundred_at_worst():
    """With the rank at its edge: 1.96 deviations for a leaf without rows, 1.645 for many, and 95 % in between."""
    law = NormalDist()
    assert reach(np.array([0.0, 5.0])) == pytest.approx([1.960, 1.645], abs=1e-3)
    for rows in (0.0, 0.3, 1.0, 2.5):
        beyond = float(reach(np.array([rows]))[0])
        assert law.cdf(beyond) - law.cdf(-rows - beyond) == pytest.approx(0.95, abs=1e-4)


def interval(counts, variance, share=0.5):
    """The noise-only interval of a quantile from counts of leaves of ten values each, without noise in them."""
    tree = Tree(starts=tuple(range(0, 10 * len(counts), 10)), end=10 * len(counts))
    cumulative = np.cumsum(np.array([counts], dtype=float), axis=-1)
    leaves = np.arange(1.0, len(counts) + 1)
    errors = (leaves * variance, leaves * variance, len(counts) * variance)
    return [float(end[0]) for end in inverted(tree, cumulative, cumulative[:, -1:], share, errors)]


def test_ends_are_interpolated_where_a_leaf_holds_few_rows():
    """Of 100 leaves with 5 rows each, ends lie inside leaves, evenly about the middle; of 5 with 1,000 they do not."""
    value, low, high, total_low, total_high = interval([5] * 100, 4.0)
    assert (value, low + high) == pytest.approx((500, 1000))
    assert 0 < low % 10 < 10
    assert total_low < low < high < total_high
    value, low, high, _, _ = interval([1000] * 5, 4.0)
    assert (value, low, high) == (25, 20, 30)


def test_a_group_without_rows_says_that_nothing_is_known(stays):
    """N18 is nobody's main diagnosis: the interval is nearly the whole column, and the figure is unreliable."""
    ask = stays.ask("SELECT main, MEDIAN(age) AS x FROM stay GROUP BY main")
    widths = []
    for answer in ask.releases(40, epsilon=1.0, seed=7):
        figure = column(answer[0], "x")[-1]
        assert (figure.value is None) == ((figure.low, figure.high) == (0, 120))
        assert figure.value is not None or "unreliable" in figure.flags
        widths.append(figure.high - figure.low)
    assert np.mean(widths) > 90


def test_what_to_expect_is_known_before_anything_is_asked():
    """With an expected number of rows the half-width of a median is finite and falls with the rows; without, none."""
    whole = asked("SELECT MEDIAN(weight) AS x FROM stay")
    measurement = Released(catalogue=CATALOGUE, question=whole, exact=np.zeros(0)).measurement(1.0)

    def half(rows):
        return expected_half_widths(whole.plan, whole.view, CATALOGUE, measurement, contributors=3, expect=rows)[0]

    assert half(None) is None
    assert 0 < half(100_000) < half(3_000)


# --- one patient


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 3), high=st.integers(0, 120))
def test_one_patient_moves_each_level_by_no_more_than_is_charged(rows, high):
    """The patient whose rows all have the same value moves one band of every level by their number, as charged."""
    whole = read("SELECT MEDIAN(age) AS x FROM stay", CATALOGUE, SITES, rows_per_patient=rows)
    shape = tally(whole.plan, CATALOGUE)
    tree = tree_of(TABLE.column("age"))
    for block, sensitivity in zip(shape.blocks, of_tally(shape, 1), strict=True):
        (key,) = block.keys
        moved = np.zeros(len(key.starts))
        moved[np.searchsorted(key.starts, high, side="right") - 1] += rows
        assert (moved**2).sum() == sensitivity.l2_squared
    assert len(shape.blocks) == len(tree.strides)


def test_dropping_any_patient_moves_the_tally_by_no_more_than_is_charged(tmp_path):
    """Three of a patient's rows enter; leaving the patient out moves each block within its sensitivity."""
    made = frame(60)
    made.loc[:9, "patient"] = "heavy"
    whole, without = records(tmp_path / "a", made), records(tmp_path / "b", made[made.patient != "heavy"])
    ask = asked("SELECT sex, MEDIAN(age) AS x FROM stay GROUP BY sex")
    moved = whole.exact(ask) - without.exact(ask)
    shape = whole.released(ask).tally
    for offset, size, sensitivity in zip(shape.offsets, shape.sizes, of_tally(shape, 1), strict=True):
        change = moved[offset : offset + size]
        assert 0 < (change**2).sum() <= sensitivity.l2_squared
        assert np.abs(change).sum() <= sensitivity.l1
    whole.scanner.close()
    without.scanner.close()


# --- refusals

REFUSED = [
    ("MEDIAN(sex)", "numbers"),
    ("MEDIAN()", "still needs"),
    ("MEDIAN(age, 0.5)", "no more arguments"),
    ("MEDIAN(*)", "records are never shown"),
    ("MEDIAN(patient)", "patient"),
    ("QUANTILE(age)", "still needs"),
    ("QUANTILE(age, 0)", "between 0 and 1"),
    ("QUANTILE(age, 1)", "between 0 and 1"),
    ("QUANTILE(age, 95)", "between 0 and 1"),
    ("QUANTILE(age, 0.5, 0.5)", "twice"),
    ("QUANTILE(age, 'half')", "number"),
    ("QUANTILE(0.5, age)", "column"),
    ("QUANTILE(MEDIAN(age), 0.5)", "column"),
    ("SHARE_BELOW(age, 0)", "no edge"),
    ("SHARE_BELOW(age, 18.5)", "no edge"),
    ("SHARE_BELOW(age, 121)", "no edge"),
    ("SHARE_BELOW(cost, 1000)", "no edge"),
    ("CDF(BAND(age, 10))", "column"),
    ("MEDIAN(age) + 1", "calculated with"),
    ("MEDIAN(age) / COUNT(*)", "calculated with"),
]


@pytest.mark.parametrize(("written", "because"), REFUSED)
def test_what_makes_no_sense_is_refused(written, because):
    """Each with a reason and a remedy."""
    with pytest.raises((StatementError, PlanError), match=because) as refused:
        check_all(asked(f"SELECT {written} AS x FROM stay"))
    assert refused.value.remedy


def check_all(whole):
    """Read what the question would show of an expected tally: arithmetic is refused there."""
    measurement = Released(catalogue=CATALOGUE, question=whole, exact=np.zeros(0)).measurement(1.0)
    expected_half_widths(whole.plan, whole.view, CATALOGUE, measurement, contributors=3, expect=100)


def test_the_edge_that_is_offered_instead_is_accepted():
    """SHARE_BELOW of a cost between two leaves names one that works."""
    with pytest.raises(StatementError) as refused:
        asked("SELECT SHARE_BELOW(cost, 1000) AS x FROM stay")
    offered = refused.value.remedy.split("ask at ")[1].split(",")[0]
    assert asked(f"SELECT SHARE_BELOW(cost, {offered}) AS x FROM stay")


HOSTILE = [
    replace(ASKED, column=None),
    replace(ASKED, column="sex"),
    replace(ASKED, column="nothing"),
    replace(ASKED, columns=("age",)),
    replace(ASKED, by=(CodeKey(column="sex"),)),
    replace(ASKED, by=(BandKey(column="age", starts=(0, 50)),)),
]


@pytest.mark.parametrize("aggregate", HOSTILE)
def test_a_plan_of_another_form_is_refused(aggregate):
    """What a stranger's plan may hold in place of a number column is refused before anything is computed."""
    plan = asked("SELECT MEDIAN(age) AS x FROM stay").plan
    (part,) = plan.parts
    with pytest.raises(PlanError):
        check(replace(plan, parts=(replace(part, aggregates=(aggregate,)),)), CATALOGUE)


NUMBERS = st.sampled_from(["0", "1", "0.5", "-3", "65", "18.5", "0.999999", "1000000000000000000000000", "0.1", "120"])
READINGS = st.builds(
    Reading,
    name=st.sampled_from(["", "quantiles", "below", "curve", "other"]),
    numbers=st.lists(NUMBERS, max_size=3).map(tuple),
    words=st.lists(st.just("segi"), max_size=1).map(tuple),
)


@settings(deadline=None)
@given(reading=READINGS, name=st.sampled_from(["age", "weight", "cost"]))
def test_a_strangers_reading_is_refused_or_read(reading, name):
    """No reading that passes makes figures of the wrong shape or raises."""
    quantiles, aggregate = STATISTICS["quantile"], replace(ASKED, column=name)
    try:
        quantiles.check_reading(aggregate, SETTING, reading)
    except PlanError as refused:
        assert refused.remedy
        return
    whole = asked(f"SELECT MEDIAN({name}) AS x FROM stay")
    view = replace(whole.view, columns=(Output(name="x", expression=AggregateTerm(aggregate=0, reading=reading)),))
    measurement = Released(catalogue=CATALOGUE, question=whole, exact=np.zeros(0)).measurement(1.0)
    (half,) = expected_half_widths(whole.plan, view, CATALOGUE, measurement, contributors=3, expect=1000)
    assert half is not None
    assert half >= 0
    figures = max(1, len(quantiles.axis(aggregate, SETTING, reading)))
    assert figures <= 64


def test_more_points_than_the_limit_are_refused():
    """65 quantiles at once."""
    reading = Reading(name="quantiles", numbers=tuple(f"0.{place:03d}1" for place in range(65)))
    with pytest.raises(PlanError, match="64 points"):
        STATISTICS["quantile"].check_reading(ASKED, SETTING, reading)


def test_more_groups_than_a_vector_holds_are_refused():
    """A tree in each of some tens of thousands of cells is refused with what to do instead."""
    with pytest.raises((StatementError, PlanError), match="more than"):
        asked("SELECT BAND(age, 1) AS a, BAND(weight, 0.05) AS b, MEDIAN(cost) AS x FROM stay GROUP BY a, b")
