"""The canonical bytes of plans: one spelling, and nothing else accepted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.asked.canonical import MOST_BYTES, MOST_TEXT, decode, encode
from queries.asked.check import check
from queries.asked.plan import EVERYTHING, Aggregate, Between, Bound, Members, Not, Plan, SiteIs
from queries.errors import PlanError
from tests.queries.whole import altered, whole


@pytest.fixture(scope="module")
def plain() -> Plan:
    """Return a small plan."""
    return whole(
        b"\x01" * 32,
        table="discharge",
        where=Between(column="age", low=-3, high=None),
        keys=(),
        aggregates=(Aggregate(statistic="count"),),
        bound=Bound(rows=1, groups=1),
    )


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_every_plan_survives_the_round_trip(wide, plans, data):
    """decode(encode(plan)) equals the plan, its bytes are the same again, and it still fits the catalogue."""
    plan = data.draw(plans)
    spelt = encode(plan)
    again = decode(Plan, spelt)
    assert again == plan
    assert encode(again) == spelt
    check(again, wide)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_only_the_canonical_spelling_is_accepted(wide, plans, data):
    """A changed bit, byte or length is refused, or is itself the canonical spelling of another plan."""
    spelt = bytearray(encode(data.draw(plans)))
    place = data.draw(st.integers(0, len(spelt) - 1))
    kind = data.draw(st.sampled_from(["bit", "byte", "cut", "insert"]))
    if kind == "bit":
        spelt[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "byte":
        spelt[place] = data.draw(st.integers(0, 255))
    elif kind == "cut":
        del spelt[place]
    else:
        spelt.insert(place, data.draw(st.sampled_from(list(b' \t\n"{}[],:0-1.eE\\u\x00'))))
    try:
        plan = decode(Plan, bytes(spelt))
    except PlanError:
        return
    assert encode(plan) == bytes(spelt)
    assert isinstance(plan, Plan)


def _with(plan: Plan, **changes: object) -> bytes:
    """Return the JSON of a plan with some pieces replaced, otherwise spelt as canonical bytes are.

    ``catalogue``, ``parts`` and ``is`` are the plan's own, all else is its part's.
    """
    found = json.loads(encode(plan))
    for name, value in changes.items():
        (found if name in ("catalogue", "parts", "is") else found["parts"][0])[name] = value
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


BOUND = {"is": "Bound", "rows": 1, "groups": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"bound": BOUND | {"rows": True}},
        {"bound": BOUND | {"rows": 1.0}},
        {"bound": BOUND | {"rows": float("nan")}},
        {"bound": BOUND | {"rows": float("inf")}},
        {"bound": BOUND | {"rows": "1"}},
        {"bound": BOUND | {"rows": None}},
        {"bound": BOUND | {"rows": 1 << 63}},
        {"bound": BOUND | {"rows": -(10**4000)}},
        {"bound": {"is": "Bound", "rows": 1}},
        {"bound": BOUND | {"more": 1}},
        {"bound": BOUND | {"is": "Plan"}},
        {"bound": [1, 1]},
        {"is": "View"},
        {"is": None},
        {"table": "x" * (MOST_TEXT + 1)},
        {"table": "\ud800"},
        {"table": 7},
        {"catalogue": "01" * 31 + "0"},
        {"catalogue": "AB" * 32},
        {"catalogue": "01 " * 32},
        {"keys": {}},
        {"keys": [[]]},
        {"keys": [{"is": "DateKey", "column": "d", "part": "day", "first": "20200101", "last": "2020-01-02"}]},
        {"keys": [{"is": "DateKey", "column": "d", "part": "day", "first": "2020-W01-1", "last": "2020-01-02"}]},
        {"keys": [{"is": "DateKey", "column": "d", "part": "day", "first": "2020-02-30", "last": "2020-01-02"}]},
        {"where": None},
        {"where": {"is": "Plan"}},
        {"where": {"is": ["Every"], "terms": []}},
        {"where": {"is": "Every", "terms": [None]}},
        {"where": {"is": "Every"}},
        {"where": {"is": "Between", "column": "age", "low": False}},
        {"where": {"is": "Between", "column": "age", "low": 1, "high": None}},
        {"subtotals": 0},
        {"subtotals": "false"},
        {"subtotals": None},
        {"weight": True},
        {"weight": 1.0},
        {"weight": None},
        {"beside": [1]},
        {"beside": None},
        {"parts": {}},
        {"parts": None},
        {"parts": [[]]},
        {"parts": [{"is": "Plan"}]},
        {"aggregates": [{"is": "Aggregate", "statistic": "count", "where": {"is": "Every", "terms": []}}]},
        {"keys": [{"is": "FlagKey"}]},
        {"keys": [{"is": "FlagKey", "term": {"is": "FlagKey"}}]},
        {"part": 0},
    ],
)
def test_badly_typed_parts_are_refused(plain, changes):
    """Booleans, floats, NaN, huge numbers, loose surrogates, unknown and missing parts never become a plan."""
    with pytest.raises(PlanError):
        decode(Plan, _with(plain, **changes))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"is":"Not","term":' * 30_000,
        b"NaN",
        b'"' + b"x" * MOST_BYTES,
        b"1" * 5000,
    ],
)
def test_other_bytes_are_refused_with_the_packages_own_error(data):
    """Whatever comes in, only PlanError comes out."""
    with pytest.raises(PlanError):
        decode(Plan, data)


def test_a_repeated_key_and_an_escaped_letter_are_not_canonical(plain):
    """JSON that a lenient reader takes for the same plan is refused: a digest must stand for one question."""
    spelt = encode(plain)
    assert decode(Plan, spelt) == plain
    for other in (
        spelt.replace(b'"table":"discharge"', b'"table":"other","table":"discharge"'),
        spelt.replace(b'"discharge"', b'"\\u0064ischarge"'),
        spelt.replace(b":-3", b":-3.0"),
        spelt.replace(b":-3", b": -3"),
        b"\xef\xbb\xbf" + spelt,
        spelt.decode().encode("utf-16"),
        spelt + b"\n",
    ):
        assert other != spelt
        with pytest.raises(PlanError):
            decode(Plan, other)


def test_what_has_no_spelling_is_refused_when_encoding():
    """Floats, half characters and lists have no canonical bytes."""
    for value in (
        Between(column="age", low=1.5, high=None),
        Members(column="\ud800", codes=("a",)),
        SiteIs(attribute=None, codes=["a"]),
    ):
        with pytest.raises(PlanError):
            encode(value)


def test_a_truth_value_is_no_number(plain):
    """Both have a spelling, but not the same one, and neither is taken for the other."""
    for bound in (Bound(rows=True, groups=1), Bound(rows=1, groups=True)):
        assert encode(bound) != encode(Bound(rows=1, groups=1))
        with pytest.raises(PlanError):
            decode(Bound, encode(bound))
    for subtotals in (False, True):
        assert decode(Plan, encode(altered(plain, subtotals=subtotals))).parts[0].subtotals is subtotals
    with pytest.raises(PlanError):
        decode(Plan, encode(altered(plain, subtotals=1)))


def test_a_condition_nested_beyond_all_sense_is_refused_when_encoding():
    """Recursion ends in PlanError, not in the interpreter's own error."""
    term = EVERYTHING
    for _ in range(100_000):
        term = Not(term=term)
    with pytest.raises(PlanError):
        encode(term)
    # Taken apart by hand: freeing so deep a nest at once is the interpreter's recursion too.
    while isinstance(term, Not):
        term = term.term
