from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import policy
from node.policy import PolicyError, judge, keeps_row_back, load, parse
from protocols import announcement as announcements
from protocols.errors import Rejected
from protocols.farrsum.parameters import Trust
from queries.accounting import rho_of, units
from queries.plan import (
    EVERYTHING,
    Aggregate,
    AttributeKey,
    CodeKey,
    Every,
    FlagKey,
    Members,
    Not,
    SiteIs,
    SiteKey,
    Some,
)
from tests.node.rig import HOSPITALS, NOW, POLICY, announce, plan, request, roster

GOOD = parse(POLICY.encode(), "policy.toml")
MALE = Members(column="sex", codes=("M",))
SHARE = Aggregate(statistic="share", by=(FlagKey(term=MALE),))


def announced(**changes):
    """Return an announcement of a request that is changed so."""
    return announcements.read(announce(request(**changes)), roster=roster, now=NOW)


def offered(allowed):
    """Return which of a hospital's two tables may be asked about."""
    return frozenset(table for table in ("stay", "visit") if allowed.offers(table))


def pack(*changes):
    """Return a plan of several parts: the count by sex with these changes."""
    return plan(parts=tuple(replace(plan().parts[0], **each) for each in changes))


def test_the_default_is_a_good_and_careful_policy():
    """What joining writes is complete, keeps the own row back and asks for three hospitals."""
    allowed = parse(policy.DEFAULT.encode(), "policy.toml")
    assert allowed.lifetime_units == units(rho_of(10.0))
    assert allowed.most_units_per_question == units(rho_of(1.0))
    assert allowed.tables is None
    assert not allowed.own_row
    assert allowed.minimum_hospitals == allowed.site_group_minimum == 3
    assert allowed.least_honest == 2
    assert allowed.trust_floor is Trust.THIRD


WRONG = {
    "empty": ("", "lifetime_epsilon"),
    "not toml": ("lifetime_epsilon = = 3", ""),
    "not utf-8": (b"\xff\xfe", ""),
    "unknown key": (POLICY + "\nminimun_hospitals = 3", "minimun_hospitals"),
    "missing key": (POLICY.replace("own_row = true", ""), "own_row"),
    "text for a number": (POLICY.replace("= 10", '= "10"'), "lifetime_epsilon"),
    "truth for a number": (POLICY.replace("= 10", "= true"), "lifetime_epsilon"),
    "negative": (POLICY.replace("= 10", "= -1"), "lifetime_epsilon"),
    "nothing": (POLICY.replace("= 10", "= 0"), "lifetime_epsilon"),
    "infinite": (POLICY.replace("= 10", "= inf"), "lifetime_epsilon"),
    "not a number": (POLICY.replace("= 2.0", "= nan"), "most_epsilon_per_question"),
    "number for a truth": (POLICY.replace("own_row = true", "own_row = 1"), "own_row"),
    "one table as text": (POLICY.replace('"all"', '"stay"'), "tables"),
    "numbers as tables": (POLICY.replace('"all"', "[1]"), "tables"),
    "no hospitals": (POLICY.replace("minimum_hospitals = 3", "minimum_hospitals = 0"), "minimum_hospitals"),
    "no honest hospitals": (POLICY.replace("least_honest = 2", "least_honest = 0"), "least_honest"),
    "unknown trust": (POLICY.replace('"one-third"', '"third"'), "trust_floor"),
    "no text for trust": (POLICY.replace('"one-third"', "3"), "trust_floor"),
    "without trust": (POLICY.replace('trust_floor = "one-third"', ""), "trust_floor"),
    "too long": (POLICY + "#" * policy.MOST_BYTES, ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_policy_answers_nothing(tmp_path, what):
    """Anything but a complete and correct file is refused with the file, the key and what to write."""
    text, key = WRONG[what]
    path = tmp_path / policy.FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PolicyError) as refused:
        load(path)
    assert refused.value.file == "policy.toml"
    assert refused.value.key == key
    assert refused.value.remedy


def test_a_missing_policy_answers_nothing(tmp_path):
    """No file, or something that is no file, is not a policy."""
    for path in (tmp_path / policy.FILE, tmp_path):
        with pytest.raises(PolicyError):
            load(path)


def test_a_change_holds_from_the_next_question_on(tmp_path):
    """The file is read for each question."""
    path = tmp_path / policy.FILE
    path.write_text(POLICY)
    assert load(path).minimum_hospitals == 3
    path.write_text(POLICY.replace("minimum_hospitals = 3", "minimum_hospitals = 9"))
    assert load(path).minimum_hospitals == 9


def test_each_rule_refuses_with_its_own_code():
    """At each limit a question passes, and one step beyond it is refused."""
    good = announced()
    cost = GOOD.most_units_per_question
    judge(GOOD, plan=plan(), offered=offered(GOOD), announcement=good, roster=roster, cost=cost)
    cases = [
        (GOOD, plan(), good, cost + 1, "cost-limit"),
        (replace(GOOD, tables=("visit",)), plan(), good, 1, "unknown-table"),
        (replace(GOOD, tables=()), plan(), good, 1, "unknown-table"),
        (replace(GOOD, tables=()), pack({}, {"table": "visit"}), good, 1, "unknown-table"),
        (replace(GOOD, tables=("stay",)), plan(beside=("visit",)), good, 1, "unknown-table"),
        (replace(GOOD, tables=("stay",)), pack({"beside": ("visit",)}, {"table": "visit"}), good, 1, "unknown-table"),
        (GOOD, plan(), announced(minimum=2), 1, "cohort-too-small"),
        (GOOD, plan(), announced(sites=HOSPITALS[:2], minimum=2), 1, "cohort-too-small"),
        (replace(GOOD, minimum_hospitals=5), plan(), good, 1, "cohort-too-small"),
        (replace(GOOD, least_honest=3), plan(), good, 1, "policy"),
        (GOOD, plan(), announced(trust=Trust.FIFTH), 1, "policy"),
        (replace(GOOD, trust_floor=Trust.FIFTH), plan(), announced(trust=Trust.NONE), 1, "policy"),
    ]
    for allowed, asked, round_, price, code in cases:
        with pytest.raises(Rejected) as refused:
            judge(allowed, plan=asked, offered=offered(allowed), announcement=round_, roster=roster, cost=price)
        assert refused.value.code == code


@given(
    lifetime=st.integers(1, 1 << 48),
    tables=st.none() | st.just(("stay",)) | st.just(("visit",)),
    hospitals=st.integers(1, 6),
    cost=st.integers(1, 1 << 48),
    minimum=st.integers(1, 4),
)
def test_a_question_passes_exactly_where_every_rule_allows_it(lifetime, tables, hospitals, cost, minimum):
    """The verdict is the conjunction of the rules."""
    allowed = replace(GOOD, most_units_per_question=lifetime, tables=tables, minimum_hospitals=hospitals)
    fits = cost <= lifetime and tables != ("visit",) and hospitals <= minimum
    try:
        announcement = announced(minimum=minimum)
        judge(allowed, plan=plan(), offered=offered(allowed), announcement=announcement, roster=roster, cost=cost)
    except Rejected:
        assert not fits
    else:
        assert fits


def test_a_pack_passes_where_one_of_its_tables_is_offered():
    """The others are zeros; one that must have a table beside it needs both."""
    careful = replace(GOOD, tables=("stay",))
    for asked in (pack({}, {"table": "visit"}), pack({"beside": ("visit",)}, {"weight": 2})):
        judge(careful, plan=asked, offered=offered(careful), announcement=announced(), roster=roster, cost=1)


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
        back = keeps_row_back(careful, plan=asked, announcement=announced(), roster=roster, site=site)
        assert back == (site in kept)
        assert not keeps_row_back(GOOD, plan=asked, announcement=announced(), roster=roster, site=site)


def test_asking_few_hospitals_is_a_group_as_well():
    """A hand-picked round of fewer than k hospitals is kept back, whatever the plan says."""
    careful = replace(GOOD, own_row=False, site_group_minimum=4)
    few = announced(sites=HOSPITALS[:3])
    assert keeps_row_back(careful, plan=plan(), announcement=few, roster=roster, site="brest")
    assert not keeps_row_back(careful, plan=plan(), announcement=announced(), roster=roster, site="brest")
