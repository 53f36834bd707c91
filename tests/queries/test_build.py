from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.agreed.catalogue_file import read_catalogue
from queries.answers.normal import normal
from queries.asked.build import (
    band,
    col,
    count,
    day,
    level,
    mean,
    month,
    month_of_year,
    output,
    patients,
    quarter,
    question,
    site,
    total,
    week,
    weekday,
    year,
)
from queries.asked.canonical import encode
from queries.asked.plan import Between, During, Every, Members, Missing, Not, Some
from queries.errors import QueryError, StatementError
from queries.sql import read

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())
TABLE = CATALOGUE.table("admission")


def ask(table: str = "admission"):
    """Begin a question to the hospitals of the plans."""
    return question(CATALOGUE, SITES).table(table)


PAIRS = {
    "counts": ask().measure(**{"COUNT(*)": count()}),
    "stroke_mortality": ask()
    .where(
        col("age") >= 65,
        site("country").is_in("UK", "FR"),
        col("admitted").between(date(2019, 1, 15), "2020-02-01"),
    )
    .by(意识="consciousness")
    .measure(人次=count(), 死亡率=100 * count(where=col("died") == "Y") / count())
    .having(output("人次") > 20)
    .order_by("死亡率", descending=True)
    .order_by("意识")
    .limit(5),
    "age_structure": ask()
    .by(**{"band": band("age", 10), "a.sex": "sex"})
    .measure(patients=patients())
    .order_by("band"),
    "edges_and_steps": ask()
    .where(col("weight") > 2.55, col("weight") <= Decimal(250), col("change").between(-10.5, 10.5))
    .by(band("weight", edges=(40, 72.5, Fraction(100))).named("BAND(weight, 40, 72.5, 100)"))
    .measure(**{"AVG(weight)": mean("weight"), "SUM(change)": total("change"), "COUNT(weight)": count("weight")}),
    "diagnoses": ask()
    .where(
        (level("dx_main", "chapter") == "IX") & ~col("dx_main").starts_with("I6")
        | col("dx_main").is_in("G45", "G46", "G45")
    )
    .by(level("dx_main", "block"))
    .measure(n=count()),
    "months": ask()
    .where(col("admitted") >= "2019-03-05", col("admitted") < date(2019, 12, 1))
    .by(month("admitted"))
    .measure(n=count())
    .order_by("month", descending=True),
    "calendar": ask()
    .by(
        year("admitted").named("YEAR(admitted)"),
        month_of_year("admitted").named("MONTH_OF_YEAR(admitted)"),
        weekday("出院日").named('WEEKDAY("出院日")'),
    )
    .measure(**{"COUNT(*)": count()}),
    "weeks_quarters_days": ask()
    .where(col("admitted").between("2019-12-28", "2020-01-06"))
    .by(w=week("admitted"), q=quarter("出院日"), d=day("admitted"))
    .measure(**{"COUNT(*)": count()}),
    "hospitals": ask("ADMISSION")
    .where(~((site() == "lyon") | (site("country") == "CN")))
    .by(SITE=site())
    .measure(n=count())
    .having((output("n") >= 5) & (output("n") <= 500) | ~(count() != 3)),
    "countries_and_levels": ask()
    .by(**{"site.country": site("country"), "site.level": site("level")})
    .measure(mean_age=mean("age", where=(col("sex") != "M") & ~col("died").is_missing())),
    "logic": ask()
    .where(
        ~((col("age") < 18) | (col("age") > 80) | (col("sex") == "F")),
        col("ward").is_in(1, "2"),
        col("died") == "Y",
        col("consciousness").is_missing() | ~(col("consciousness") == "F"),
        col("age") >= 40,
        col("年龄").is_in(50, 60),
    )
    .measure(n=count()),
    "arithmetic": ask("visit")
    .measure(
        minus=-count(),
        missing=(count() - count("cost")) / count() * 100,
        thousands=total("cost") / 1000 + 0.5,
        difference=mean("cost") - mean("cost", where=col("cost") >= 100),
        third=(count() * 0 + 1 - count() * 0) / 3 * count(),
    )
    .order_by(output("minus") / 2)
    .order_by("thousands"),
    "same_numbers_twice": ask().measure(
        a=count(),
        b=count(),
        c=mean("age"),
        d=count(where=(col("sex") == "M") & (col("died") == "Y")),
        e=count(where=(col("died") == "Y") & (col("sex") == "M")),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_python_and_sql_give_the_same_bytes(name):
    """Each question asked from Python has the plan, and the view, of the statement of the same name."""
    asked, statement = PAIRS[name].build(), read((PLANS / f"{name}.sql").read_text(), CATALOGUE, SITES)
    assert encode(asked.plan) == encode(statement.plan)
    assert asked.sites == statement.sites
    if name != "arithmetic":  # one of its columns is a quotient of two numbers, which Python writes in its own way
        assert encode(asked.view) == encode(statement.view)


def test_bounds_are_those_of_sql():
    """The bounds on a patient go the same way."""
    built = ask().by("sex").measure(n=count()).build(rows_per_patient=3, groups_per_patient=1)
    text = "SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex"
    assert built == read(text, CATALOGUE, SITES, rows_per_patient=3, groups_per_patient=1)


def test_the_order_of_aggregates_and_conditions_does_not_change_the_plan():
    """Two questions that need the same numbers have the same bytes; only their views differ."""
    one = ask().where(col("age") > 3, col("sex") == "M").measure(n=count(), m=mean("age")).build()
    two = ask().where(col("sex") == "M", col("age") > 3).measure(a=mean("age"), b=count(), c=count()).build()
    assert encode(one.plan) == encode(two.plan)
    assert encode(one.view) != encode(two.view)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ask("admision").measure(n=count()).build(),
        lambda: question(CATALOGUE, SITES).measure(n=count()).build(),
        lambda: ask().measure(n=count(where=col("agee") > 3)).build(),
        lambda: ask().build(),
        lambda: ask().by("sex").build(),
        lambda: ask().by("age").measure(n=count()).build(),
        lambda: ask().by("patient_id").measure(n=count()).build(),
        lambda: ask().by("sex", "sex").measure(n=count()).build(),
        lambda: ask().measure(n=count(), n_low=count()).build(),
        lambda: ask().measure(n=mean("sex")).build(),
        lambda: ask().measure(n=count() / 0).build(),
        lambda: ask().measure(n=count() * float("nan")).build(),
        lambda: ask().measure(n=count() * Fraction(1, 3)).build(),
        lambda: ask().by("sex").measure(n=output("sex") + 1).build(),
        lambda: ask().by("sex").measure(n=count()).having(output("sex") > 1).build(),
        lambda: ask().measure(n=output("m")).build(),
        lambda: ask().measure(n=count()).order_by("m").build(),
        lambda: ask().measure(n=count()).limit(0).build(),
        lambda: ask().where(col("age") >= True).measure(n=count()).build(),
        lambda: ask().where(col("age") >= float("inf")).measure(n=count()).build(),
        lambda: ask().where(col("sex").is_in()).measure(n=count()).build(),
        lambda: ask().where(site() == "nowhere").measure(n=count()).build(),
        lambda: ask().where(site("country") == "UK", site() == "lyon").measure(n=count()).build(),
        lambda: ask().measure(n=sum([count()] * 100)).build(),
        lambda: ask().measure(n=sum([count()] * 10_000)).build(),
        lambda: band("age"),
        lambda: band("age", 10, edges=(3,)),
        lambda: ask().where((col("age") > 3) and (col("sex") == "M")),
        lambda: ask().where(3 < col("age") < 5),
        lambda: not (count() > 3),
    ],
)
def test_wrong_questions_are_refused_with_a_remedy(wrong):
    """Python raises the same errors as SQL does, without a place."""
    with pytest.raises(QueryError) as caught:
        wrong()
    assert caught.value.remedy
    assert getattr(caught.value, "pointer", str)() == ""


def test_a_term_compared_with_nothing_is_refused():
    """None is not a value; whether one is missing is asked with is_missing."""
    with pytest.raises(StatementError):
        ask().where(col("age") == None).measure(n=count()).build()  # noqa: E711


LEAVES = st.one_of(
    st.builds(Members, column=st.just("sex"), codes=st.sampled_from([("M",), ("F",), ("F", "M"), ("M", "F", "M")])),
    st.builds(lambda ends: Between(column="age", low=min(ends), high=max(ends)), st.tuples(*[st.integers(0, 120)] * 2)),
    st.builds(Between, column=st.just("age"), low=st.integers(0, 120), high=st.none()),
    st.builds(Between, column=st.just("age"), low=st.none(), high=st.integers(0, 120)),
    st.builds(During, column=st.just("admitted"), first=st.dates(date(2018, 1, 1), date(2021, 12, 31)), last=st.none()),
    st.builds(During, column=st.just("admitted"), first=st.none(), last=st.dates(date(2018, 1, 1), date(2021, 12, 31))),
    st.builds(Missing, column=st.sampled_from(["age", "sex", "admitted"])),
)
TERMS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, term=inner)
        | st.builds(Every, terms=st.lists(inner, max_size=4).map(tuple))
        | st.builds(Some, terms=st.lists(inner, max_size=4).map(tuple))
    ),
    max_leaves=12,
)
ROWS = st.fixed_dictionaries(
    {
        "sex": st.sampled_from([None, "M", "F"]),
        "age": st.none() | st.integers(0, 120),
        "admitted": st.none() | st.dates(date(2018, 1, 1), date(2021, 12, 31)),
    }
)


def truth(term, row):
    """Return what SQL makes of a condition on a row: True, False, or None for unknown."""
    if isinstance(term, Not):
        inner = truth(term.term, row)
        return None if inner is None else not inner
    if isinstance(term, (Every, Some)):
        parts = [truth(part, row) for part in term.terms]
        decisive = isinstance(term, Some)
        return decisive if decisive in parts else None if None in parts else not decisive
    value = row[term.column]
    if isinstance(term, Missing):
        return value is None
    if value is None:
        return None
    if isinstance(term, Members):
        return value in term.codes
    low, high = (term.low, term.high) if isinstance(term, Between) else (term.first, term.last)
    return (low is None or value >= low) and (high is None or value <= high)


@given(TERMS, ROWS)
def test_the_normal_form_means_the_same(term, row):
    """True, false and unknown stay so for every row, and the normal form of a normal form is itself."""
    found = normal(term, TABLE)
    assert truth(found, row) is truth(term, row)
    assert normal(found, TABLE) == found


@given(TERMS, st.randoms(use_true_random=False))
def test_the_normal_form_does_not_depend_on_the_order_of_terms(term, randomness):
    """Shuffled conjunctions and disjunctions have the same bytes."""

    def shuffled(part):
        if isinstance(part, Not):
            return Not(term=shuffled(part.term))
        if isinstance(part, (Every, Some)):
            terms = [shuffled(each) for each in part.terms]
            randomness.shuffle(terms)
            return type(part)(terms=tuple(terms))
        return part

    assert encode(normal(shuffled(term), TABLE)) == encode(normal(term, TABLE))
