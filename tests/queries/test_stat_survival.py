"""Survival curves, log-rank tests and hazard ratios as questions: asked alike, read right, safe from strangers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame

from queries.agreed.catalogue_file import read_catalogue
from queries.answers.foresight import expected_half_widths
from queries.asked.build import band, col, question, site, statistic
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import Aggregate, BandKey, Between, CodeKey, FlagKey, Members
from queries.asked.reading import Reading
from queries.cost.sensitivity import of_tally
from queries.cost.setting import Setting
from queries.cost.tally import RowCount, tally
from queries.errors import PlanError, StatementError
from queries.sql import read
from queries.statistics import STATISTICS
from queries.statistics.exits import FromExits
from tests.distributions.pooled import SITE, Released, column, records_of

CATALOGUE = read_catalogue(
    b"""
name = "trial"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[site.country]
codes = ["NL", "UK"]
[tables.trial]
patient = "patient_id"
rows_per_patient = 3
[tables.trial.columns.followed]
number = { low = 0, high = 400 }
unit = "days"
[tables.trial.columns.months]
number = { low = 0, high = 12, step = 0.1 }
[tables.trial.columns.event]
codes = ["N", "Y"]
[tables.trial.columns.arm]
codes = ["A", "B", "C"]
[tables.trial.columns.sex]
codes = ["F", "M"]
[tables.trial.columns.age]
number = { low = 0, high = 120 }
""",
    "trial.toml",
)
TABLE = CATALOGUE.table("trial")
SETTING = Setting(catalogue=CATALOGUE, table=TABLE, keys=())
SITES = {SITE: {"country": "UK"}}
BANDS = BandKey(column="followed", starts=(0, 31, 91, 181))
EVENT = FlagKey(term=Members(column="event", codes=("Y",)))
ARM, SEX = CodeKey(column="arm"), CodeKey(column="sex")
KAPLAN_MEIER = "KAPLAN_MEIER(BAND(followed, 31, 91, 181), event = 'Y')"


def asked(expression, rest=""):
    """Read a question for one column."""
    return read(f"SELECT {expression} AS x FROM trial {rest}", CATALOGUE, SITES, rows_per_patient=1)


def released(expression, counts):
    """Return a question over exact exits, which have the shape of its cells."""
    return Released(
        catalogue=CATALOGUE, question=asked(expression), exact=np.asarray(counts, dtype=np.int64).reshape(-1)
    )


def exits(scale=1):
    """Return exits by band, event or not, and two sexes."""
    return scale * np.array([[[5, 8], [30, 14]], [[4, 6], [25, 20]], [[9, 10], [12, 15]], [[40, 70], [3, 5]]])


# --- asking


@pytest.mark.parametrize(
    ("statement", "measure"),
    [
        (KAPLAN_MEIER, statistic("kaplan_meier", band("followed", edges=(31, 91, 181)), col("event") == "Y")),
        ("SURVIVAL(followed, event = 'Y', 30, 90)", statistic("survival", "followed", col("event") == "Y", 30, 90)),
        ("SURVIVAL(months, event = 'Y', 2.5)", statistic("survival", "months", col("event") == "Y", 2.5)),
        ("MEDIAN_SURVIVAL(followed, event = 'Y')", statistic("median_survival", "followed", col("event") == "Y")),
        (
            "LOGRANK(followed, event = 'Y', arm) FILTER (WHERE age >= 65)",
            statistic("logrank", "followed", col("event") == "Y", "arm", where=col("age") >= 65),
        ),
        (
            "LOGRANK(followed, event = 'Y', arm, sex)",
            statistic("logrank", "followed", col("event") == "Y", "arm", "sex"),
        ),
        (
            "HAZARD_RATIO(followed, event = 'Y', arm, sex = 'M', BAND(age, 50))",
            statistic("hazard_ratio", "followed", col("event") == "Y", "arm", col("sex") == "M", band("age", 50)),
        ),
        (
            "STRATIFIED_HAZARD_RATIO(followed, event = 'Y', site.country, arm)",
            statistic("stratified_hazard_ratio", "followed", col("event") == "Y", site("country"), "arm"),
        ),
    ],
)
def test_sql_and_python_ask_the_same(statement, measure):
    """Plan and view have the same bytes whichever way they were made."""
    built = question(CATALOGUE, SITES).table("trial").measure(x=measure).build(rows_per_patient=1)
    assert encode(asked(statement).plan) == encode(built.plan)
    assert encode(asked(statement).pages) == encode(built.pages)


def test_readings_of_one_curve_cost_once():
    """Curve, survival at ends of its bands and median are one aggregate, and two statistics of one block one block."""
    bands = "BAND(followed, 31, 91, 181)"
    one = asked(f"KAPLAN_MEIER({bands}, event = 'Y')").plan
    for other in (f"SURVIVAL({bands}, event = 'Y', 30)", f"MEDIAN_SURVIVAL({bands}, event = 'Y')"):
        assert encode(asked(other).plan) == encode(one)
    plan = asked(f"LOGRANK({bands}, event = 'Y', arm)").plan
    part = plan.parts[0]
    more = replace(part, aggregates=(replace(part.aggregates[0], statistic="hazard_ratio"), *part.aggregates))
    assert len(tally(replace(plan, parts=(more,)), CATALOGUE).blocks) == 1


def test_one_time_is_a_figure_and_several_are_rows():
    """Survival at one time can stand in arithmetic with numbers and beside other figures; several name their times."""
    found = released("100 * SURVIVAL(BAND(followed, 31, 91, 181), event = 'Y', 90)", exits().sum(axis=2)).truth()[0]
    assert [each.name for each in found.columns] == ["x"]
    assert len(found.rows) == 1
    found = released("SURVIVAL(BAND(followed, 31, 91, 181), event = 'Y', 90, 30)", exits().sum(axis=2)).truth()[0]
    assert [row.cells[0] for row in found.rows] == ["90", "30"]
    assert [each.name for each in found.columns] == ["time", "x"]
    assert found.labels["time"]["30"] == "30 days"


def test_default_bands_end_at_the_times_that_are_asked_for():
    """Some two dozen for curves, a dozen for comparisons; a time of one's own becomes an end."""
    curve = asked("SURVIVAL(followed, event = 'Y', 37, 100)").part.aggregates[0].by[0]
    assert {38, 101} <= set(curve.starts)
    assert 15 <= len(curve.starts) <= 35
    assert 8 <= len(asked("LOGRANK(followed, event = 'Y', arm)").part.aggregates[0].by[0].starts) <= 16


# --- reading


def test_figures_without_noise_are_those_of_the_exits():
    """Survival by hand, with nearly half of a band's censored at risk; and terms in the order of the codes."""
    counts = exits().sum(axis=2)
    value = [figure.value for figure in column(released(KAPLAN_MEIER, counts).truth()[0], "x")]
    left, expected, bands = 276.0, [], [31, 60, 90, 220]
    survival = 1.0
    for (censored, events), width in zip(counts, bands, strict=True):
        half = (width - 1) / (2 * width)
        early = (1 - 1 / width**2) / 12 * censored * (censored + 2 * events) / left
        survival *= 1 - events / (left - half * censored - early)
        expected.append(survival)
        left -= censored + events
    assert value == pytest.approx(expected, abs=2e-4)
    ratio = released("HAZARD_RATIO(BAND(followed, 31, 91, 181), event = 'Y', sex)", exits()).truth()[0]
    assert [row.cells[0] for row in ratio.rows] == ["sex=M"]
    assert ratio.rows[0].cells[1].value < 1
    assert ratio.rows[0].cells[1].total_high > ratio.rows[0].cells[1].high
    test = released("LOGRANK(BAND(followed, 31, 91, 181), event = 'Y', sex)", exits()).truth()[0]
    assert [row.cells[0] for row in test.rows] == ["chi_square", "df", "p"]
    assert [row.cells[1].low for row in test.rows] == [None] * 3


def test_strata_are_told_from_groups():
    """In a table where sex alone decides, arms differ unless sex is held constant."""
    counts = np.zeros((4, 2, 2, 3), dtype=int)  # band, event, sex, arm
    for sex, share_with_event in ((0, 0.08), (1, 0.3)):
        left = np.array([[4_000, 1_000, 500], [1_000, 4_000, 500]][sex], dtype=float)
        for place in range(4):
            counts[place, :, sex] = np.rint([left * 0.1, left * share_with_event])
            left = left * (0.9 - share_with_event)
    bands = "BAND(followed, 31, 91, 181), event = 'Y'"
    crude = released(f"HAZARD_RATIO({bands}, arm)", counts.sum(axis=2)).truth()[0]
    strata = released(f"STRATIFIED_HAZARD_RATIO({bands}, sex, arm)", counts).truth()[0]
    adjusted = released(f"HAZARD_RATIO({bands}, sex, arm)", counts).truth()[0]
    assert [row.cells[0] for row in strata.rows] == ["arm=B", "arm=C"]
    assert [row.cells[0] for row in adjusted.rows] == ["sex=M", "arm=B", "arm=C"]
    ratio = {name: table.rows[-2].cells[1].value for name, table in (("crude", crude), ("strata", strata))}
    assert abs(np.log(ratio["strata"])) < abs(np.log(ratio["crude"])) / 2
    # The stratum is the fourth argument of the test, and the first of the ratios.
    tested = released(f"LOGRANK({bands}, arm, sex)", counts)
    assert tested.question.part.aggregates[0].by[2:] == (SEX, ARM)
    crude = released(f"LOGRANK({bands}, arm)", counts.sum(axis=2)).truth()[0]
    assert tested.truth()[0].rows[0].cells[1].value < crude.rows[0].cells[1].value


def test_groups_have_curves_of_their_own():
    """GROUP BY gives each group its cell of the block, and the figures of each come together."""
    counts = np.moveaxis(exits(), 2, 0)
    whole = asked(KAPLAN_MEIER.replace(", event", ", event"), "GROUP BY sex")
    found = Released(catalogue=CATALOGUE, question=whole, exact=counts.reshape(-1)).truth()[0]
    of_men = released(KAPLAN_MEIER, counts[1]).truth()[0]
    assert [each.value for each in column(found, "x")][4:] == pytest.approx(
        [each.value for each in column(of_men, "x")], abs=1e-6
    )


def test_the_price_is_that_of_one_count():
    """One block whose sensitivity is a patient's bounded rows, whatever bands and groups there are."""
    for expression in (
        KAPLAN_MEIER,
        "HAZARD_RATIO(followed, event = 'Y', arm, sex)",
        "LOGRANK(followed, age > 9, arm)",
    ):
        plan = read(f"SELECT {expression} AS x FROM trial", CATALOGUE, SITES, rows_per_patient=2).plan
        layout = tally(plan, CATALOGUE)
        (block,) = layout.blocks
        (sensitivity,) = of_tally(layout, 1)
        assert block.measure == RowCount()
        assert (sensitivity.l1, sensitivity.l2_squared, sensitivity.linf) == (2, 4, 2)


def test_no_patient_moves_the_exits_further_than_stated(tmp_path):
    """Patients with up to five rows in any cells: without any one, the scanned block is within its sensitivity."""
    rng = np.random.default_rng(21)
    owners = np.repeat([f"p{number}" for number in range(40)], rng.integers(1, 6, 40))
    frame = DataFrame(
        {
            "patient_id": owners,
            "followed": rng.integers(0, 500, len(owners)),
            "months": 1.0,
            "event": rng.choice(["N", "Y", "?"], len(owners)),
            "arm": rng.choice(["A", "B", "C"], len(owners)),
            "sex": rng.choice(["F", "M"], len(owners)),
            "age": 50,
        }
    )
    made = read(
        "SELECT HAZARD_RATIO(followed, event = 'Y', arm, sex) AS x FROM trial", CATALOGUE, SITES, rows_per_patient=2
    )
    (sensitivity,) = of_tally(tally(made.plan, CATALOGUE), 1)

    def exact(name, rows):
        records = records_of(tmp_path / name, CATALOGUE, {"trial": rows})
        try:
            return records.exact(made)
        finally:
            records.scanner.close()

    whole, moves = exact("whole", frame), []
    for patient in owners[np.argsort([-(owners == each).sum() for each in owners], kind="stable")][:15:5]:
        change = whole - exact(patient, frame[frame.patient_id != patient])
        moves.append((change**2).sum())
        assert np.abs(change).sum() <= sensitivity.l1
        assert moves[-1] <= sensitivity.l2_squared
        assert np.abs(change).max(initial=0) <= sensitivity.linf
    assert max(moves) > 0


def test_a_dry_run_says_how_wide_a_curve_will_be():
    """More patients, narrower; and nothing is said without an expectation."""
    made = asked(KAPLAN_MEIER)
    layout = released(KAPLAN_MEIER, np.zeros(8))
    few, many = (
        expected_half_widths(made.plan, made.view, CATALOGUE, layout.measurement(1.0), contributors=1, expect=expect)[
            -1
        ]
        for expect in (1_000, 10_000)
    )
    assert 0 < many < few < 1
    test = asked("LOGRANK(followed, event = 'Y', arm)")
    known = released("LOGRANK(followed, event = 'Y', arm)", np.zeros(tally(test.plan, CATALOGUE).entries))
    found = expected_half_widths(test.plan, test.view, CATALOGUE, known.measurement(1.0), contributors=1, expect=1000)
    assert found[-1] is None


def test_intervals_cover_the_exact_figures_and_read_the_same_again():
    """300 releases at an epsilon of 1, of survival and of a ratio; the same release gives the same figures."""
    for expression, counts in (
        ("SURVIVAL(BAND(followed, 31, 91, 181), event = 'Y', 30, 180)", exits(10).sum(axis=2)),
        ("HAZARD_RATIO(BAND(followed, 31, 91, 181), event = 'Y', sex)", exits(10)),
    ):
        ask = released(expression, counts)
        truth = np.array([each.value for each in column(ask.truth()[0], "x")])
        found = [column(answer, "x") for (answer,) in ask.releases(300, epsilon=1.0, seed=3)]
        low, high = (np.array([[getattr(each, end) for each in row] for row in found]) for end in ("low", "high"))
        covered = ((low <= truth) & (truth <= high)).mean(axis=0)
        assert ((covered > 0.91) & (covered < 0.985)).all()
        again = [column(answer, "x") for (answer,) in ask.releases(1, epsilon=1.0, seed=3)]
        assert again[0] == found[0]


def test_what_is_within_the_noise_is_marked():
    """Forty patients at an epsilon of 0.1: no figure without a flag."""
    ask = released(KAPLAN_MEIER, [[2, 1], [2, 3], [4, 1], [20, 7]])
    for (answer,) in ask.releases(50, epsilon=0.1, seed=4):
        for figure in column(answer, "x"):
            assert figure.value is not None or figure.flags[0] == "unreliable"
    seen = [figure.value for (answer,) in ask.releases(50, epsilon=0.1, seed=4) for figure in column(answer, "x")]
    assert seen.count(None) > 100


# --- strangers


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("KAPLAN_MEIER(followed)", "needs"),
        ("KAPLAN_MEIER(event, event = 'Y')", "no numbers"),
        ("KAPLAN_MEIER(followed, event)", "condition"),
        ("KAPLAN_MEIER(followed, event = 'Y', 3)", "no more"),
        ("KAPLAN_MEIER(BAND(followed, 1), event = 'Y')", "more than 128"),
        ("SURVIVAL(followed, event = 'Y')", "needs"),
        ("SURVIVAL(followed, event = 'Y', 401)", "no band of time ends at 401"),
        ("SURVIVAL(followed, event = 'Y', -1)", "no band of time ends at -1"),
        ("SURVIVAL(followed, event = 'Y', 30.5)", "no band of time ends at 30.5"),
        ("SURVIVAL(BAND(followed, 31), event = 'Y', 31)", "no band of time ends at 31"),
        ("SURVIVAL(followed, event = 'Y', 30, 30)", "same time twice"),
        ("SURVIVAL(followed, event = 'Y', 'later')", "number"),
        ("LOGRANK(followed, event = 'Y')", "needs"),
        ("LOGRANK(followed, event = 'Y', arm, arm)", "same group twice"),
        ("LOGRANK(followed, event = 'Y', site)", "nothing to be compared"),
        ("LOGRANK(followed, event = 'Y', BAND(age, 1))", "more than 64 groups"),
        ("HAZARD_RATIO(followed, event = 'Y')", "needs"),
        ("HAZARD_RATIO(followed, event = 'Y', age)", "cannot be a group"),
        ("HAZARD_RATIO(followed, event = 'Y', BAND(age, 1))", "ratios from"),
        ("STRATIFIED_HAZARD_RATIO(followed, event = 'Y', arm)", "needs"),
    ],
)
def test_what_makes_no_sense_is_refused(expression, words):
    """At the client, with a remedy and a place in the text."""
    with pytest.raises(StatementError, match=words) as refused:
        asked(expression)
    assert refused.value.remedy


def hostile_aggregates():
    """Return a strategy of aggregates of every shape that decodes."""
    keys = st.sampled_from(
        [BANDS, EVENT, ARM, SEX, BandKey(column="age", starts=(0, 65)), BandKey(column="followed", starts=(0,)),
         FlagKey(term=Between(column="age", low=1, high=None)), BandKey(column="followed", starts=tuple(range(400)))]
    )  # fmt: skip
    return st.builds(
        Aggregate,
        statistic=st.sampled_from(["survival", "logrank", "hazard_ratio"]),
        column=st.sampled_from([None, "age", "event"]),
        by=st.lists(keys, max_size=8).map(tuple),
        columns=st.sampled_from([(), ("age",)]),
    )


def readings():
    """Return a strategy of readings."""
    numbers = st.lists(st.sampled_from(["30", "90", "-1", "0.3333", "1e2", "12345678901234567890"]), max_size=3)
    names = st.sampled_from(["", "at", "median", "stratified", "curve"])
    words = st.sampled_from([(), ("a",)])
    return st.builds(Reading, name=names, numbers=numbers.map(tuple), words=words)


@given(hostile_aggregates(), readings())
@settings(max_examples=300, deadline=None)
def test_a_strangers_plan_is_refused_or_read(aggregate, reading):
    """A plan or a reading of the wrong shape is refused in words; one that passes can be laid out and read."""
    statistic = STATISTICS[aggregate.statistic]
    plan = asked(KAPLAN_MEIER).plan
    part = replace(plan.parts[0], aggregates=(aggregate,))
    try:
        check(replace(plan, parts=(part,)), CATALOGUE)
        statistic.check_reading(aggregate, SETTING, reading)
    except PlanError as refused:
        assert refused.remedy
        return
    assert isinstance(statistic, FromExits)
    question_ = asked(KAPLAN_MEIER)
    changed = replace(question_, plan=replace(plan, parts=(part,)))
    layout = tally(changed.plan, CATALOGUE)
    assert len(layout.blocks) == 1
    axis = statistic.axis(aggregate, SETTING, reading)
    assert len({code.code for code in axis}) == len(axis)


@pytest.mark.parametrize("name", ["survival", "logrank", "hazard_ratio"])
def test_only_bands_an_event_and_groups_are_accepted(name):
    """The order of the keys is fixed: bands of time, the event, then groups."""
    groups = () if name == "survival" else (ARM,)
    good = Aggregate(statistic=name, by=(BANDS, EVENT, *groups))
    STATISTICS[name].check(good, SETTING)
    for by in ((EVENT, BANDS, *groups), (BANDS, ARM, *groups), (BANDS,), (), (BANDS, EVENT, EVENT), (ARM,) * 9):
        with pytest.raises(PlanError):
            STATISTICS[name].check(replace(good, by=by), SETTING)
    with pytest.raises(PlanError):
        STATISTICS[name].check(good, replace(SETTING, keys=(EVENT,)))
