from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.authority.finest import too_fine_codes, too_fine_days
from node.authority.judging import Outcome, Question, judge, trace
from node.authority.policy import PolicyError, parse
from node.authority.reads import columns
from node.books.ledger import Spent
from protocols import announcement as announcements
from protocols.codes import ADVICE
from protocols.farrsum.parameters import Trust
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.plan import (
    EVERYTHING,
    Aggregate,
    AttributeKey,
    BandKey,
    Between,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Members,
    Missing,
    Not,
    NumberTerm,
    SiteIs,
    SiteKey,
    Some,
)
from tests.node.rig import HOSPITALS, NOW, POLICY, announce, catalogue, plan, request, roster
from tests.node.trained import APP, STEP

GOOD = parse(POLICY.encode(), "policy.toml")
MALE = Members(column="sex", codes=("M",))
SHARE = Aggregate(statistic="share", by=(FlagKey(term=MALE),))
NOTHING_SPENT = Spent(lifetime=0, purpose=0, period=0)


def announced(**changes):
    """Return an announcement of a request that is changed so."""
    return announcements.read(announce(request(**changes)), roster=roster, now=NOW)


def question(announcement=None, **changes):
    """Return what a ruling on the count by sex rests on, in its round, with these changes."""
    announcement = announcement or announced()
    asked = Question(
        site="brest",
        request=announcement.request,
        plan=plan(),
        cost=announcement.request.rho_units,
        catalogue=catalogue,
        tables=frozenset({"stay"}),
        roster=roster,
        counted=frozenset(HOSPITALS),
        spent=NOTHING_SPENT,
        asked=announcement.asked,
        contributors=announcement.contributors,
        minimum=announcement.minimum,
        colluders=announcement.colluders,
    )
    for name in ("tables", "counted"):
        if name in changes:
            changes[name] = frozenset(changes[name])
    return replace(asked, **changes)


def pack(*changes):
    """Return a plan of several parts: the count by sex with these changes."""
    return plan(parts=tuple(replace(plan().parts[0], **each) for each in changes))


COST = request().rho_units
BOTH = ("stay", "visit")

RULES = {
    "authorities": ({"authorities": ("province",)}, {}, "policy"),
    "analysts": ({"analysts": ("bea",)}, {}, "policy"),
    "purposes": ({"purposes": {"research": COST}}, {}, "wrong-purpose"),
    "tables": ({"tables": ("visit",)}, {}, "unknown-table"),
    "columns": ({"columns": ("stay.age",)}, {}, "policy"),
    "minimum_hospitals": ({"minimum_hospitals": 4}, {}, "cohort-too-small"),
    "least_honest": ({"least_honest": 3}, {}, "policy"),
    "trust_floor": ({}, {"announcement": {"trust": Trust.FIFTH}}, "policy"),
    "site_group_minimum": ({"own_row": False, "site_group_minimum": 5}, {}, "policy"),
    "most_epsilon_per_question": ({"most_units_per_question": COST - 1}, {}, "cost-limit"),
    "lifetime_epsilon": ({"lifetime_units": COST + 4}, {"spent": replace(NOTHING_SPENT, lifetime=5)}, "budget"),
    "purposes.test": ({"purposes": {"test": COST + 4}}, {"spent": replace(NOTHING_SPENT, purpose=5)}, "budget"),
    "epsilon_per_period": ({"units_per_period": COST + 4}, {"spent": replace(NOTHING_SPENT, period=5)}, "budget"),
    "approval_purposes": ({"approval_purposes": ("test",)}, {}, "approval"),
    "approval_above_epsilon": ({"approval_above_units": COST - 1}, {}, "approval"),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_its_own_name_and_code(rule):
    """One rule that stands against a question decides, by its key, with a code that both sides know and a remedy."""
    changes, asked, code = RULES[rule]
    asked = dict(asked)
    announcement = announced(**asked.pop("announcement", {}))
    assert judge(GOOD, question()).outcome is Outcome.ALLOWED
    ruling = judge(replace(GOOD, **changes), question(announcement, **asked))
    assert (ruling.rule, ruling.code) == (rule, code)
    assert ruling.outcome is (Outcome.HELD if code == "approval" else Outcome.WITHHELD)
    assert ruling.detail
    assert ruling.remedy
    assert code in ADVICE


@pytest.mark.parametrize("rule", RULES)
def test_one_step_less_and_the_rule_lets_it_pass(rule):
    """At the limit itself a question passes."""
    changes, asked, _ = RULES[rule]
    steps = {
        "minimum_hospitals": 3,
        "least_honest": 2,
        "site_group_minimum": 4,
        "most_units_per_question": COST,
        "lifetime_units": COST + 5,
        "units_per_period": COST + 5,
        "approval_above_units": COST,
        "purposes": {"test": COST + 5},
        "authorities": ("nation", "province"),
        "analysts": ("ada", "bea"),
        "tables": ("stay", "visit"),
        "columns": ("stay.age", "stay.sex"),
        "approval_purposes": ("research",),
    }
    at_the_limit = {name: steps.get(name, value) for name, value in changes.items()}
    spent = asked.get("spent", NOTHING_SPENT)
    assert judge(replace(GOOD, **at_the_limit), question(spent=spent)).outcome is Outcome.ALLOWED


def test_what_withholds_comes_before_what_holds():
    """Nobody is asked to approve what the policy does not answer anyway."""
    strict = replace(GOOD, approval_purposes=None, units_per_period=COST - 1)
    assert judge(strict, question()).rule == "epsilon_per_period"


def test_the_trace_names_every_rule_in_order_and_its_first_no_decides():
    """For people: each rule with its verdict; the ruling is the first that withholds."""
    strict = replace(GOOD, least_honest=3, analysts=("bea",), approval_purposes=None)
    told = trace(strict, question())
    assert [each.rule for each in told] == [
        "authorities", "analysts", "purposes", "tables", "columns", "finest.time", "minimum_hospitals", "least_honest",
        "trust_floor", "most_epsilon_per_question", "lifetime_epsilon", "purposes.test", "epsilon_per_period",
        "approval_purposes", "approval_above_epsilon",
    ]  # fmt: skip
    against = [each.rule for each in told if each.outcome is not Outcome.ALLOWED]
    assert against == ["analysts", "least_honest", "approval_purposes"]
    assert judge(strict, question()).rule == "analysts"
    assert all(each.detail for each in told)


def test_before_the_round_its_own_rule_waits():
    """How many honest hospitals a round has is not known before it; everything else is judged."""
    before = question(minimum=None, contributors=(), colluders=0)
    assert "least_honest" not in [each.rule for each in trace(GOOD, before)]
    assert judge(replace(GOOD, least_honest=100), before).outcome is Outcome.ALLOWED


@given(
    most=st.integers(1, 2 * COST),
    tables=st.none() | st.just(("stay",)) | st.just(("visit",)),
    hospitals=st.integers(1, 6),
    spent=st.integers(0, COST),
    period=st.integers(1, 2 * COST),
    minimum=st.integers(1, 4),
)
def test_a_question_passes_exactly_where_every_rule_allows_it(most, tables, hospitals, spent, period, minimum):
    """The verdict is the conjunction of the rules."""
    allowed = replace(
        GOOD, most_units_per_question=most, tables=tables, minimum_hospitals=hospitals, units_per_period=period
    )
    fits = most >= COST and tables != ("visit",) and hospitals <= minimum and spent + COST <= period
    asked = question(announced(minimum=minimum), spent=replace(NOTHING_SPENT, period=spent))
    assert (judge(allowed, asked).outcome is Outcome.ALLOWED) == fits


def test_newcomers_reach_no_smallest_number():
    """Hospitals that are too new count neither on the roster, nor among those asked, nor as the honest of a round.

    Four hospitals are asked of which three must answer: with one newcomer, it may be two that are known.
    """
    known = ("aden", "brest", "cork")
    assert judge(replace(GOOD, minimum_hospitals=2, least_honest=1), question(counted=known)).outcome is Outcome.ALLOWED
    ruling = judge(replace(GOOD, minimum_hospitals=3), question(counted=known))
    assert ruling.rule == "minimum_hospitals"
    assert "dover" in ruling.detail
    ruling = judge(replace(GOOD, minimum_hospitals=2, least_honest=2), question(counted=known))
    assert ruling.rule == "least_honest"
    assert judge(GOOD, question(announced(minimum=4), counted=known, contributors=known)).outcome is Outcome.ALLOWED


def test_a_pack_passes_where_one_of_its_tables_is_offered():
    """The others are zeros, and their columns are not read; one that must have a table beside it needs both."""
    careful = replace(GOOD, tables=("stay",), columns=("stay.sex",))
    for asked in (pack({}, {"table": "visit"}), pack({"beside": ("visit",)}, {"weight": 2})):
        assert judge(careful, question(plan=asked, tables=BOTH)).outcome is Outcome.ALLOWED
    for asked in (pack({"beside": ("visit",)}, {"table": "visit"}), plan(beside=("visit",)), plan(table="visit")):
        assert judge(careful, question(plan=asked, tables=BOTH)).rule == "tables"


def modelled(**changes):
    """Return a round of a model with these changes."""
    return Aggregate(statistic="step", step=replace(STEP, **changes))


COLUMNS = {
    "key": ({"keys": (CodeKey(column="sex"),)}, "sex"),
    "band": ({"keys": (BandKey(column="age", starts=(0, 50)),)}, "age"),
    "day": ({"keys": (DateKey(column="on", part="month", first=date(2026, 1, 1), last=date(2026, 12, 31)),)}, "on"),
    "condition": ({"where": MALE}, "sex"),
    "negated": ({"where": Not(term=Some(terms=(MALE, Between(column="age", low=1, high=2))))}, "age"),
    "every": ({"where": Every(terms=(Missing(column="age"),))}, "age"),
    "flag": ({"keys": (FlagKey(term=Missing(column="age")),)}, "age"),
    "filter": ({"aggregates": (Aggregate(statistic="count", where=Missing(column="age")),)}, "age"),
    "figure": ({"aggregates": (Aggregate(statistic="mean", column="age"),)}, "age"),
    "regressor": ({"aggregates": (Aggregate(statistic="moments", columns=("age",)),)}, "age"),
    "own cell": ({"aggregates": (Aggregate(statistic="share", by=(FlagKey(term=MALE),)),)}, "sex"),
    "own key": ({"aggregates": (Aggregate(statistic="share", by=(CodeKey(column="died"),)),)}, "died"),
    "outcome of a model": ({"aggregates": (Aggregate(statistic="step", step=STEP),)}, "died"),
    "number of a model": ({"aggregates": (Aggregate(statistic="step", step=STEP),)}, "age"),
    "codes of a model": ({"aggregates": (Aggregate(statistic="step", step=STEP),)}, "sex"),
    "explained number": ({"aggregates": (modelled(outcome=NumberTerm(column="days")),)}, "days"),
    "exposure": ({"aggregates": (modelled(exposure="days"),)}, "days"),
    "time": ({"aggregates": (modelled(time=BandKey(column="days", starts=(0,))),)}, "days"),
    "stratum": ({"aggregates": (modelled(strata=(CodeKey(column="ward"),)),)}, "ward"),
    "condition of a stratum": ({"aggregates": (modelled(strata=(FlagKey(term=Missing(column="ward")),)),)}, "ward"),
    "column of an app": ({"aggregates": (Aggregate(statistic="app", step=APP),)}, "age"),
}


@pytest.mark.parametrize("what", COLUMNS)
def test_a_column_counts_as_read_wherever_it_stands(what):
    """Keys, conditions, filters and figures: whatever names a column reads it."""
    changes, column = COLUMNS[what]
    asked = plan(**{"keys": (), "where": EVERYTHING, "aggregates": (Aggregate(statistic="count"),), **changes})
    assert f"stay.{column}" in columns(asked.parts[0])


TOWN = read_catalogue(
    b"""
name = "town"
version = "1"
sites_per_patient = 1
rows_per_site = 1000
[codes.place]
version = "1"
codes = ["a1", "a2", "b1"]
[[codes.place.levels]]
name = "part"
groups = { a = { en = "a", members = ["a1", "a2"] }, b = { en = "b", members = ["b1"] } }
[[codes.place.levels]]
name = "whole"
groups = { w = { en = "w", members = ["a", "b"] } }
[tables.stay]
patient = "patient_id"
rows_per_patient = 1
[tables.stay.columns.home]
codes = "place"
[tables.stay.columns.on]
date = { first = 2020-02-05, last = 2029-11-20 }
""",
    "town.toml",
)


def town(**changes):
    """Return what a ruling rests on where the catalogue has places and days."""
    changes = {"keys": (), "where": EVERYTHING, **changes}
    return question(plan=plan(**changes), catalogue=TOWN)


def days(part, first, last):
    """Return a key of a part of the calendar."""
    return {"keys": (DateKey(column="on", part=part, first=date.fromisoformat(first), last=date.fromisoformat(last)),)}


def window(first, last):
    """Return the condition that a day lies within."""
    ends = [end and date.fromisoformat(end) for end in (first, last)]
    return {"where": Every(terms=(During(column="on", first=ends[0], last=ends[1]),))}


DAYS = [
    ("month", days("month", "2026-01-01", "2026-12-31"), True),
    ("month", days("year", "2020-02-05", "2029-11-20"), True),
    ("month", days("month_of_year", "2026-01-01", "2026-12-31"), True),
    ("month", days("week", "2026-01-01", "2026-12-31"), False),
    ("month", days("weekday", "2026-01-01", "2026-12-31"), False),
    ("month", days("month", "2026-01-02", "2026-12-31"), False),
    ("month", days("month", "2026-01-01", "2026-12-30"), False),
    ("quarter", days("month", "2026-01-01", "2026-12-31"), False),
    ("year", days("year", "2026-01-01", "2026-12-31"), True),
    ("week", days("week", "2026-01-05", "2026-01-18"), True),
    ("week", days("week", "2026-01-05", "2026-01-17"), False),
    ("day", days("weekday", "2026-01-02", "2026-01-02"), True),
    ("month", window("2026-01-01", "2026-01-31"), True),
    ("month", window("2026-01-01", "2026-01-30"), False),
    ("month", window("2026-01-15", "2026-03-31"), False),
    ("month", window(None, "2026-03-31"), True),
    ("month", window("2026-01-01", None), True),
    ("month", window("2020-01-20", "2029-11-25"), True),
    ("quarter", window("2026-02-01", "2026-06-30"), False),
    ("day", window("2026-02-03", "2026-02-03"), True),
    ("month", {"where": Not(term=During(column="on", first=date(2026, 1, 2), last=None))}, False),
    ("month", {"keys": (FlagKey(term=During(column="on", first=date(2026, 1, 2), last=None)),)}, False),
]


@pytest.mark.parametrize(("unit", "changes", "passes"), DAYS)
def test_days_are_told_apart_no_finer_than_the_policy_says(unit, changes, passes):
    """Keys of a finer part, and windows that cut a unit, are kept back; whole units are answered."""
    ruling = judge(replace(GOOD, finest_time=unit), town(**changes))
    assert (ruling.outcome is Outcome.ALLOWED) == passes
    assert passes or ruling.rule == "finest.time"


CODES = [
    ({"keys": (CodeKey(column="home"),)}, "code"),
    ({"keys": (CodeKey(column="home", level="part"),)}, "part"),
    ({"keys": (CodeKey(column="home", level="whole"),)}, "whole"),
    ({"where": Members(column="home", codes=("a1",))}, "code"),
    ({"where": Not(term=Members(column="home", codes=("a",), level="part"))}, "part"),
    ({"aggregates": (replace(SHARE, by=(FlagKey(term=Members(column="home", codes=("a1",))),)),)}, "code"),
    ({"where": Missing(column="home")}, "whole"),
]


@pytest.mark.parametrize(("changes", "asked"), CODES)
@pytest.mark.parametrize("allowed", ["part", "whole"])
def test_codes_are_told_apart_no_finer_than_the_policy_says(changes, asked, allowed):
    """A group or a condition on a finer level than the policy names is kept back."""
    order = ["code", "part", "whole"]
    ruling = judge(replace(GOOD, finest={"place": allowed}), town(**changes))
    assert (ruling.outcome is Outcome.ALLOWED) == (order.index(asked) >= order.index(allowed))
    assert judge(GOOD, town(**changes)).outcome is Outcome.ALLOWED


@pytest.mark.parametrize(("name", "level"), [("plaice", "part"), ("place", "county"), ("sex", "all")])
def test_a_level_that_the_catalogue_does_not_have_answers_nothing(name, level):
    """A misspelt line of [finest] would leave codes open, so it answers nothing and is named."""
    with pytest.raises(PolicyError) as refused:
        judge(replace(GOOD, finest={name: level}), town())
    assert refused.value.key == f"finest.{name}"
    assert refused.value.remedy


def country(*codes):
    """Return the condition that the hospital is in one of these countries."""
    return SiteIs(attribute="country", codes=codes)


# dover and cork are in the UK, aden is in YE, brest in FR; k is 2.
KEPT_BACK = {
    "by site": (plan(keys=(SiteKey(sites=HOSPITALS),)), {*HOSPITALS}),
    "by one site": (plan(keys=(SiteKey(sites=("aden",)),)), {"aden"}),
    "by country": (plan(keys=(CodeKey(column="sex"), AttributeKey(attribute="country"))), {"aden", "brest"}),
    "of one country": (plan(where=country("FR")), {"brest"}),
    "but one country": (plan(where=Not(term=country("FR"))), {"brest"}),
    "of a country of two": (plan(where=country("UK")), set()),
    "in a filter": (plan(aggregates=(Aggregate(statistic="count", where=country("YE")),)), {"aden"}),
    "in half of a condition": (plan(where=Some(terms=(MALE, SiteIs(attribute=None, codes=("cork",))))), {"cork"}),
    "in two conditions": (
        plan(where=Every(terms=(country("FR", "UK"), SiteIs(attribute=None, codes=("aden", "brest", "cork"))))),
        {"aden", "dover"},
    ),
    "in a condition as key": (plan(keys=(FlagKey(term=country("FR")),)), {"brest"}),
    "in half of a condition as key": (
        plan(keys=(FlagKey(term=Not(term=Every(terms=(MALE, SiteIs(attribute=None, codes=("cork",)))))),)),
        {"cork"},
    ),
    "in a key of an aggregate": (
        plan(aggregates=(replace(SHARE, by=(AttributeKey(attribute="country"),)),)),
        {"aden", "brest"},
    ),
    "by site in an aggregate": (plan(aggregates=(replace(SHARE, by=(SiteKey(sites=HOSPITALS),)),)), {*HOSPITALS}),
    "in a condition of an aggregate": (plan(aggregates=(replace(SHARE, by=(FlagKey(term=country("YE")),)),)), {"aden"}),
    "by the country of two": (plan(aggregates=(replace(SHARE, by=(FlagKey(term=country("UK")),)),)), set()),
    "by sex in an aggregate": (plan(aggregates=(SHARE,)), set()),
    "by country in one part of several": (pack({}, {"keys": (AttributeKey(attribute="country"),)}), {"aden", "brest"}),
    "by site in an aggregate of one part": (
        pack({}, {"aggregates": (replace(SHARE, by=(SiteKey(sites=("dover",)),)),)}),
        {"dover"},
    ),
    "in one part of several": (pack({}, {"where": country("FR")}), {"brest"}),
    "in two parts": (
        pack({"where": country("FR", "UK")}, {"keys": (FlagKey(term=country("UK", "YE")),)}),
        {"aden", "brest"},
    ),
    "in a key of a part of several": (
        pack({}, {"table": "visit", "aggregates": (replace(SHARE, by=(FlagKey(term=country("YE")),)),)}),
        {"aden"},
    ),
    "in none": (plan(where=MALE), set()),
    "in nothing": (plan(where=EVERYTHING), set()),
}


@pytest.mark.parametrize("what", KEPT_BACK)
def test_a_group_smaller_than_k_is_kept_back(what):
    """A hospital that the plan tells apart from all but k - 2 others puts zeros, wherever in the plan that happens."""
    asked, kept = KEPT_BACK[what]
    careful = replace(GOOD, own_row=False)
    for site in HOSPITALS:
        ruling = judge(careful, question(plan=asked, site=site, tables=("stay", "visit")))
        assert (ruling.rule == "site_group_minimum") == (site in kept)
        assert judge(GOOD, question(plan=asked, site=site, tables=("stay", "visit"))).outcome is Outcome.ALLOWED


def test_asking_few_hospitals_is_a_group_as_well():
    """A hand-picked round of fewer than k hospitals is kept back, whatever the plan says."""
    careful = replace(GOOD, own_row=False, site_group_minimum=4)
    few = question(announced(sites=HOSPITALS[:3]))
    assert judge(careful, few).rule == "site_group_minimum"
    assert judge(careful, question()).outcome is Outcome.ALLOWED


def test_a_newcomer_is_not_in_the_group_that_a_hospital_hides_in():
    """A group of k of which one is too new to count is kept back."""
    careful = replace(GOOD, own_row=False, site_group_minimum=4, minimum_hospitals=1, least_honest=1)
    assert judge(careful, question()).outcome is Outcome.ALLOWED
    assert judge(careful, question(counted=("aden", "brest", "cork"))).rule == "site_group_minimum"


@pytest.mark.parametrize(
    ("handed", "policy", "rule"),
    [
        (("on",), {"finest_time": "month"}, "finest.time"),
        (("home",), {"finest": {"place": "part"}}, "finest.place"),
        (("home",), {"finest": {"place": "whole"}}, "finest.place"),
        (("home", "on"), {"finest_time": "day"}, None),
    ],
)
def test_an_app_tells_apart_all_that_it_is_handed(handed, policy, rule):
    """A column of days is days and a column of codes is codes, whatever the app makes of them."""
    aggregates = (Aggregate(statistic="app", step=replace(APP, columns=handed)),)
    (part,) = town(aggregates=aggregates).plan.parts
    allowed = replace(GOOD, **policy)
    days = list(too_fine_days(part, allowed.finest_time, TOWN))
    codes = [found for name, level in allowed.finest.items() for found in too_fine_codes(part, name, level, TOWN)]
    assert bool(days) == (rule == "finest.time")
    assert bool(codes) == (rule == "finest.place")
