from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from queries.asked.canonical import decode, encode
from queries.asked.plan import Aggregate, Bound, CodeKey, Every, Part, Plan
from queries.asked.reading import MOST_NUMBERS, Reading
from queries.asked.view import (
    AggregateTerm,
    Arithmetic,
    AxisTerm,
    Comparison,
    Conjunction,
    KeyTerm,
    Negation,
    Number,
    Order,
    Output,
    Pages,
    View,
    check_pages,
    check_view,
    constant,
    number,
)
from queries.errors import PlanError

COUNT = Aggregate(statistic="count")
SEX_ONLY = Part(
    table="discharge", where=Every(), keys=(CodeKey(column="sex"),), aggregates=(COUNT,), bound=Bound(rows=1, groups=1)
)
PARTS = (
    SEX_ONLY,
    replace(SEX_ONLY, table="lab", aggregates=(COUNT, Aggregate(statistic="mean", column="value"))),
    replace(SEX_ONLY, keys=(CodeKey(column="way"),)),
    replace(SEX_ONLY, subtotals=True),
)
PLAN = Plan(catalogue=bytes(32), parts=PARTS)
N = AggregateTerm(aggregate=0)
SEX = KeyTerm(key=0)
ONE = Number(decimal="1")


def shown(expression) -> View:
    """Return a view of one column."""
    return View(columns=(Output(name="n", expression=expression),))


def deep(levels: int):
    """Return arithmetic so many levels deep."""
    found = N
    for _ in range(levels):
        found = Arithmetic(operator="+", left=found, right=ONE)
    return found


@pytest.mark.parametrize(
    ("value", "written"),
    [("0", "0"), ("100.0", "100"), ("-2.50", "-2.5"), ("0.001", "0.001"), ("-0.1", "-0.1"), ("1000000", "1000000")],
)
def test_numbers_are_written_in_their_shortest_form(value, written):
    """One number has one spelling, without exponents."""
    assert number(Fraction(value)) == Number(decimal=written)


def test_a_third_is_no_decimal():
    """What no decimal is equal to is refused rather than rounded."""
    with pytest.raises(PlanError):
        number(Fraction(1, 3))


def test_constants_are_worked_out_exactly():
    """An expression of numbers alone has a value; one that reads an estimate, or divides by zero, has none."""
    third = Arithmetic(operator="/", left=ONE, right=Number(decimal="3"))
    assert constant(Arithmetic(operator="*", left=third, right=Number(decimal="3"))) == 1
    assert constant(Arithmetic(operator="/", left=ONE, right=Number(decimal="0"))) is None
    assert constant(Arithmetic(operator="+", left=N, right=ONE)) is None


def test_a_good_view_passes_and_survives_its_bytes(wide):
    """Keys, arithmetic, conditions, order and limit, in any script."""
    view = View(
        columns=(Output(name="性别", expression=SEX), Output(name="人数", expression=deep(3))),
        having=Conjunction(terms=(Negation(term=Comparison(operator="<", left=N, right=ONE)),)),
        order=(Order(by=SEX, direction="descending"), Order(by=N)),
        limit=3,
    )
    check_view(view, PLAN, wide)
    assert decode(View, encode(view)) == view
    pages = Pages(views=(replace(view, title="一"), replace(view, title="2", part=1)))
    check_pages(pages, PLAN, wide)
    assert decode(Pages, encode(pages)) == pages
    check_pages(Pages(views=(view,)), PLAN, wide)


def test_a_view_may_combine_parts_with_the_same_cells(wide):
    """Figures of two tables by sex are divided; of sex and way of leaving, or with subtotals on one side, not."""
    check_view(shown(Arithmetic(operator="/", left=N, right=AggregateTerm(aggregate=1, part=1))), PLAN, wide)
    check_view(replace(shown(N), part=1), PLAN, wide)
    for other in (2, 3):
        with pytest.raises(PlanError):
            check_view(replace(shown(N), part=other), PLAN, wide)
        check_view(replace(shown(AggregateTerm(aggregate=0, part=other)), part=other), PLAN, wide)


@pytest.mark.parametrize(
    "view",
    [
        View(columns=()),
        View(columns=(Output(name="n", expression=N), Output(name="n", expression=SEX))),
        View(columns=(Output(name="\x1b[2J", expression=N),)),
        View(columns=(Output(name=" ", expression=N),)),
        shown(AggregateTerm(aggregate=1)),
        shown(AggregateTerm(aggregate=-1)),
        shown(KeyTerm(key=1)),
        shown(Arithmetic(operator="+", left=SEX, right=N)),
        shown(Arithmetic(operator="**", left=N, right=ONE)),
        shown(Number(decimal="1e9")),
        shown(Number(decimal="1.0")),
        shown(Number(decimal="--1")),
        shown(Number(decimal="")),
        shown(Number(decimal="٣")),
        shown(Number(decimal="9" * 5000)),
        shown(deep(65)),
        View(columns=shown(N).columns, having=Comparison(operator="=", left=SEX, right=ONE)),
        View(columns=shown(N).columns, having=Comparison(operator="LIKE", left=N, right=ONE)),
        View(columns=shown(N).columns, having=Conjunction(terms=())),
        View(columns=shown(N).columns, order=(Order(by=N, direction="up"),)),
        View(columns=shown(N).columns, order=(Order(by=KeyTerm(key=2)),)),
        View(columns=shown(N).columns, limit=0),
        View(columns=shown(N).columns, part=4),
        View(columns=shown(N).columns, part=-1),
        View(columns=shown(N).columns, title="\x1b[2J"),
        shown(AggregateTerm(aggregate=0, part=4)),
        shown(AggregateTerm(aggregate=0, part=-1)),
        shown(AggregateTerm(aggregate=1, part=0)),
        shown(AggregateTerm(aggregate=0, reading=Reading(name="median"))),
        shown(AggregateTerm(aggregate=0, reading=Reading(numbers=("1",)))),
        shown(AggregateTerm(aggregate=0, reading=Reading(numbers=("1e9",)))),
        shown(AggregateTerm(aggregate=0, reading=Reading(words=("x",)))),
        shown(AggregateTerm(aggregate=0, reading=Reading(numbers=("1",) * (MOST_NUMBERS + 1)))),
        shown(Arithmetic(operator="+", left=AxisTerm(), right=N)),
        View(columns=shown(N).columns, having=Comparison(operator="=", left=AxisTerm(), right=ONE)),
    ],
)
def test_a_view_that_does_not_fit_is_refused(wide, view):
    """A view may come from another machine: whatever the plan has not, or applying it would choke on, is refused."""
    with pytest.raises(PlanError) as caught:
        check_view(view, PLAN, wide)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "titles", [(), ("", ""), ("a", "a"), ("a", ""), ("a", " "), tuple(f"t{place}" for place in range(257))]
)
def test_several_tables_each_need_a_title_of_their_own(wide, titles):
    """None, too many, and titles that are the same or empty are refused."""
    pages = Pages(views=tuple(replace(shown(N), title=title) for title in titles))
    with pytest.raises(PlanError) as caught:
        check_pages(pages, PLAN, wide)
    assert caught.value.remedy


def test_a_bad_table_among_good_ones_is_refused(wide):
    """Every view of the pages is looked at."""
    good, bad = replace(shown(N), title="a"), replace(shown(KeyTerm(key=1)), title="b")
    with pytest.raises(PlanError):
        check_pages(Pages(views=(good, bad)), PLAN, wide)
