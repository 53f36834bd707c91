"""How far a mandate reaches: places by the list, tables by name, residences by what every row must meet."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.agreed.catalogue import Code, CodeSet, Label, Level
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.places import is_in, is_known, within
from queries.asked.authority import _is_limited, hospitals_in, permits
from queries.asked.plan import EVERYTHING, Every, Members, Not, SiteIs, Some
from queries.errors import AuthorityError
from queries.sql import read

SITES = {
    "hangzhou": {"prefecture": "3301", "province": "33"},
    "ningbo": {"prefecture": "3302", "province": "33"},
    "guangzhou": {"prefecture": "4401", "province": "44"},
    "torn": {"prefecture": "3301", "province": "44"},
    "vague": {"province": "33"},
    "nowhere": {},
}


@cache
def model():
    """Return the common model."""
    file = Path(__file__).resolve().parents[2] / "farr" / "model" / "model.toml"
    return read_catalogue(file.read_bytes(), "model.toml")


COUNT = "SELECT COUNT(*) AS n FROM discharge"


def plan(statement=COUNT):
    """Return the plan of a statement over the common model."""
    return read(statement, model(), SITES).plan


def judge(statement=COUNT, *, regions=(), tables=(), asked=("hangzhou",), by_residence=False, catalogue=None):
    """Return the code of the refusal, empty where there is none."""
    try:
        permits(
            plan(statement), catalogue or model(), regions=regions, tables=tables, sites=SITES, asked=asked,
            by_residence=by_residence,
        )  # fmt: skip
    except AuthorityError as error:
        return error.code
    return ""


def test_a_mandate_without_bounds_reaches_everything():
    """No regions: the whole federation; no tables: every table."""
    assert judge(asked=tuple(SITES)) == ""
    assert judge(asked=tuple(SITES), by_residence=True) == ""


@pytest.mark.parametrize(
    ("regions", "asked", "code"),
    [
        (("33",), ("hangzhou", "ningbo", "vague"), ""),
        (("330000",), ("hangzhou", "ningbo", "vague"), ""),
        (("3301",), ("hangzhou",), ""),
        (("330100",), ("hangzhou",), ""),
        (("3301", "44"), ("hangzhou", "guangzhou"), ""),
        (("3301",), ("hangzhou", "ningbo"), "out-of-region"),
        (("3301",), ("vague",), "out-of-region"),
        (("33",), ("guangzhou",), "out-of-region"),
        (("33",), ("nowhere",), "out-of-region"),
        (("33",), ("stranger",), "out-of-region"),
        (("33",), ("torn",), "out-of-region"),
        (("44",), ("torn",), "out-of-region"),
    ],
)
def test_a_region_is_over_the_hospitals_there(regions, asked, code):
    """Those of which no fact says otherwise; one that contradicts itself, or says nothing, is nowhere."""
    assert judge(regions=regions, asked=asked) == code


def test_one_hospital_outside_spoils_the_question():
    """Otherwise an analyst of one prefecture would learn of another by asking both and one."""
    assert judge(regions=("3301",), asked=("hangzhou", "guangzhou")) == "out-of-region"


@pytest.mark.parametrize("unknown", ["99", "3399", "zz", "330102999"])
def test_a_region_that_the_catalogue_does_not_know_allows_nothing(unknown):
    """Also where the mandate names a good region beside it: nobody knows what was meant."""
    for regions in ((unknown,), ("3301", unknown)):
        assert judge(regions=regions) == "out-of-region"
        assert judge(f"{COUNT} WHERE region = '330102'", regions=regions, by_residence=True) == "out-of-region"
        assert hospitals_in(model(), regions, SITES) == frozenset()


def test_a_county_is_nobodys_hospital_but_somebodys_home():
    """No fact says in which county a hospital is, so a county's mandate is for those who live there."""
    assert judge(regions=("330102",)) == "out-of-region"
    assert judge(f"{COUNT} WHERE region = '330102'", regions=("330102",), by_residence=True) == ""


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("", "out-of-region"),
        ("WHERE LEVEL(region, 'prefecture') = '3301'", ""),
        ("WHERE LEVEL(region, 'prefecture') IN ('3301', '3302')", "out-of-region"),
        ("WHERE LEVEL(region, 'province') = '33'", "out-of-region"),
        ("WHERE region = '330102'", ""),
        ("WHERE region IN ('330102', '440103')", "out-of-region"),
        ("WHERE region = '330102' AND sex = '1'", ""),
        ("WHERE region = '330102' OR sex = '1'", "out-of-region"),
        ("WHERE region = '330102' OR region = '330105'", ""),
        ("WHERE NOT region = '330102'", "out-of-region"),
        ("WHERE region IS NULL", "out-of-region"),
        ("WHERE site.prefecture = '3301'", "out-of-region"),
    ],
)
def test_by_residence_every_row_must_be_of_somebody_who_lives_there(condition, code):
    """A condition that lets other rows through, or only might keep them out, is not enough."""
    statement = f"{COUNT} {condition}"
    assert judge(statement, regions=("3301",), by_residence=True, asked=tuple(SITES)) == code


def test_every_part_must_be_about_those_who_live_there():
    """One part within the region does not carry the others."""
    inside = plan(f"{COUNT} WHERE region = '330102'")
    outside = plan()
    whole = type(inside)(catalogue=inside.catalogue, parts=(*inside.parts, *outside.parts))
    with pytest.raises(AuthorityError, match="not only about patients who live in 3301"):
        permits(whole, model(), regions=("3301",), tables=(), sites=SITES, asked=("hangzhou",), by_residence=True)


@pytest.mark.parametrize(
    ("statement", "tables", "code"),
    [
        (COUNT, ("discharge",), ""),
        (COUNT, ("discharge", "visit"), ""),
        (COUNT, ("visit",), "wrong-table"),
        ("SELECT COUNT(*) AS n FROM diagnosis", ("discharge",), "wrong-table"),
    ],
)
def test_a_table_is_named_or_not_asked(statement, tables, code):
    """A table of the elements of another one is a table of its own."""
    assert judge(statement, tables=tables) == code


def test_a_catalogue_without_regions_knows_no_place():
    """A mandate over a region reaches nobody there, whatever the hospitals' facts say."""
    source = b"""
name = "plain"
version = "1"
sites_per_patient = 1
rows_per_site = 1000
[site.level]
codes = ["3301", "33"]
[tables.stay]
patient = "p"
rows_per_patient = 1
[tables.stay.columns.sex]
codes = ["3301", "M"]
"""
    catalogue = read_catalogue(source, "catalogue.toml")
    asked = read("SELECT COUNT(*) AS n FROM stay WHERE sex = '3301'", catalogue, {"a": {"level": "3301"}})
    assert not is_known(catalogue, "3301")
    for by_residence in (False, True):
        with pytest.raises(AuthorityError):
            permits(
                asked.plan, catalogue, regions=("3301",), tables=(), sites={"a": {"level": "3301"}}, asked=("a",),
                by_residence=by_residence,
            )  # fmt: skip


def test_a_place_is_in_a_region_by_the_list_and_not_by_its_digits():
    """A county that was moved keeps its digits and goes with its new prefecture."""

    def named(code):
        return Code(code=code, label=Label(en=code, zh=code))

    moved = CodeSet(
        name="region",
        version="1",
        codes=(named("330101"), named("330102"), named("330201")),
        levels=(
            Level(
                name="prefecture", label=Label(en="", zh=""), groups=(named("3301"), named("3302")), group_of=(0, 1, 1)
            ),
        ),
    )
    assert within(moved, "3301") == {"330101"}
    assert within(moved, "330200") == {"330102", "330201"}
    assert within(moved, "33") == frozenset()


conditions = st.recursive(
    st.sampled_from(
        [
            Members(column="region", codes=("330102",)),
            Members(column="region", codes=("330102", "440103")),
            Members(column="region", codes=("3301",), level="prefecture"),
            Members(column="region", codes=("33",), level="province"),
            Members(column="sex", codes=("1",)),
            SiteIs(attribute="prefecture", codes=("3301",)),
            EVERYTHING,
        ]
    ),
    lambda terms: st.one_of(
        terms.map(lambda term: Not(term=term)),
        st.lists(terms, max_size=3).map(lambda each: Every(terms=tuple(each))),
        st.lists(terms, max_size=3).map(lambda each: Some(terms=tuple(each))),
    ),
    max_leaves=8,
)


def holds(where, row):
    """Tell whether a row meets a condition that knows no missing values."""
    if isinstance(where, Every):
        return all(holds(term, row) for term in where.terms)
    if isinstance(where, Some):
        return any(holds(term, row) for term in where.terms)
    if isinstance(where, Not):
        return not holds(where.term, row)
    if isinstance(where, SiteIs):
        return "3301" in where.codes
    value = row[where.column]
    return (value if where.level is None else value[: 4 if where.level == "prefecture" else 2]) in where.codes


@given(conditions)
def test_no_row_of_somebody_who_lives_elsewhere_meets_a_condition_that_is_let_through(where):
    """Whatever the condition is made of: what is let through reads nobody from outside."""
    inside = within(model().table("discharge").column("region").codes, "3301")
    if _is_limited(where, "region", inside, model(), "discharge"):
        for region in ("330205", "440103"):
            for sex in "12":
                assert not holds(where, {"region": region, "sex": sex})


def test_a_hospital_without_a_fact_that_could_tell_is_outside():
    """No fact, no membership."""
    assert not is_in(model(), "33", {})
    assert is_in(model(), "33", {"province": "33", "beds": "0-99"})
