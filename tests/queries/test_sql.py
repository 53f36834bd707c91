from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import decode, encode
from queries.asked.check import check
from queries.asked.plan import Between, Bound, DateKey, During, Members, Plan, SiteKey
from queries.asked.view import Pages, check_pages
from queries.sql import read

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())
STATEMENTS = sorted(PLANS.glob("*.sql"))


def question(statement: str, **bounds: int):
    """Read a statement against the catalogue of the plans."""
    return read(statement, CATALOGUE, SITES, **bounds)


def where(condition: str):
    """Return the plan's condition for a condition in SQL."""
    return question(f"SELECT COUNT(*) FROM admission WHERE {condition}").part.where


def key(written: str):
    """Return the plan's key for a group in SQL."""
    return question(f"SELECT COUNT(*) FROM admission GROUP BY {written}").part.keys[0]


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_a_statement_has_the_plan_that_is_kept_beside_it(path):
    """Plan, tables shown and hospitals of each statement are those on file; FARR_REWRITE_PLANS=1 writes them anew."""
    asked = question(path.read_text())
    found = {
        "plan": json.loads(encode(asked.plan)),
        "pages": json.loads(encode(asked.pages)),
        "sites": list(asked.sites),
    }
    kept = path.with_suffix(".json")
    if os.environ.get("FARR_REWRITE_PLANS"):
        kept.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(kept.read_text())


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_plan_and_pages_survive_their_bytes(path):
    """What was read fits the catalogue, and decodes from its own bytes to the same value."""
    asked = question(path.read_text())
    check(asked.plan, CATALOGUE)
    check_pages(asked.pages, asked.plan, CATALOGUE)
    assert decode(Plan, encode(asked.plan)) == asked.plan
    assert decode(Pages, encode(asked.pages)) == asked.pages


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("age >= 65", "NOT age < 65"),
        ("age > 64.5", "65 <= age"),
        ("age BETWEEN 65 AND 70", "age >= 65 AND age < 71"),
        ("age BETWEEN 65 AND 500", "age > 64"),
        ("sex = 'M' OR sex = 'F'", "sex IN ('F', 'M', 'M')"),
        ("sex <> 'M'", "NOT sex = 'M'"),
        ("sex NOT IN ('M')", "sex != 'M'"),
        ("age IS NOT NULL", "NOT age IS NULL"),
        ("died = 'Y' AND (sex = 'M' AND age > 3)", "(age > 3 AND died = 'Y') AND sex = 'M'"),
        ("NOT (died = 'Y' AND sex = 'M')", "died <> 'Y' OR sex <> 'M'"),
        ("died = 'Y' AND TRUE", "died = 'Y'"),
        ("died = 'Y' OR TRUE", "TRUE"),
        ("died = 'Y' AND died = 'Y'", "died = 'Y'"),
        ("admitted < '2019-01-01'", "admitted <= DATE '2018-12-31'"),
        ("NOT admitted >= '2019-01-01'", "admitted BETWEEN '2017-01-01' AND '2018-12-31'"),
        ("dx_main LIKE 'I63%'", "dx_main = 'I63'"),
        ("ward = 2", "ward = '2'"),
        ("Site = 'bart' OR site = 'lyon'", "SITE IN ('lyon', 'bart')"),
        ("admission.age > 3", "AGE > 3.0"),
        ("LEVEL(dx_main, 'Chapter') = 'IX'", "level(dx_main, 'chapter') IN ('IX')"),
    ],
)
def test_what_means_the_same_has_the_same_plan(one, other):
    """Conditions that hold of the same rows, also where values are missing, give the same bytes."""
    assert encode(where(one)) == encode(where(other))


def test_numbers_are_exact_in_steps():
    """A decimal that no float is equal to lands on the right step."""
    assert where("weight >= 2.3") == Between(column="weight", low=23, high=None)
    assert where("weight > 2.3") == Between(column="weight", low=24, high=None)
    assert where("weight < 2.31") == Between(column="weight", low=None, high=23)
    assert where("weight = 2.30") == Between(column="weight", low=23, high=23)
    assert where("change >= -0.5") == Between(column="change", low=0, high=None)


def test_a_condition_that_every_value_meets_still_asks_for_a_value():
    """NULL meets no comparison, so such a condition is kept."""
    assert where("age >= 0") == Between(column="age", low=0, high=None)
    assert where("admitted <= '2030-01-01'") == During(
        column="admitted", first=CATALOGUE.table("admission").column("admitted").first, last=None
    )


def test_the_beginning_of_a_code_means_the_codes_of_the_public_set():
    """LIKE becomes membership, so that nodes compare codes and no text."""
    assert where("dx_main LIKE 'I6%'") == Members(column="dx_main", codes=tuple(f"I6{digit}" for digit in range(10)))


def test_a_date_key_covers_the_days_that_the_condition_leaves():
    """The window in WHERE narrows the key; without one the column's bounds do."""
    column = CATALOGUE.table("admission").column("admitted")
    assert key("MONTH(admitted)") == DateKey(column="admitted", part="month", first=column.first, last=column.last)
    narrowed = question(
        "SELECT COUNT(*) FROM admission"
        " WHERE admitted >= '2020-02-10' AND admitted < '2020-03-02' GROUP BY DAY(admitted)"
    ).part.keys[0]
    assert (narrowed.first.isoformat(), narrowed.last.isoformat()) == ("2020-02-10", "2020-03-01")
    either = question(
        "SELECT COUNT(*) FROM admission WHERE admitted >= '2020-02-10' OR sex = 'M' GROUP BY DAY(admitted)"
    ).part.keys[0]
    assert either.first == column.first


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("site.country = 'UK'", ("bart", "guys")),
        ("NOT site.country = 'UK'", ("lyon", "甲医院")),
        ("site = 'bart' OR site.country = 'FR'", ("bart", "lyon")),
        ("site.country = 'UK' AND site.level = '3' AND age > 3", ("bart",)),
        ("site.level <> '2'", ("bart", "甲医院")),
        ("site.country = 'UK' OR age > 3", ("bart", "guys", "lyon", "甲医院")),
        ("TRUE", ("bart", "guys", "lyon", "甲医院")),
    ],
)
def test_the_hospitals_are_those_that_the_outer_conjunction_leaves(condition, left):
    """A hospital of which the roster does not say the fact is left out; a condition inside an OR leaves all."""
    asked = question(f"SELECT site, COUNT(*) FROM admission WHERE {condition} GROUP BY site")
    assert asked.sites == left
    assert asked.part.keys == (SiteKey(sites=left),)


def test_bounds_follow_the_window_and_the_cells():
    """The cap is yearly; a patient cannot lie in more cells than one hospital fills; fewer may be asked for."""
    by_sex = (
        "SELECT sex, site, COUNT(*) FROM admission WHERE admitted BETWEEN '2019-06-01' AND '2020-06-01' GROUP BY 1, 2"
    )
    assert question(by_sex).part.bound == Bound(rows=8, groups=2)
    assert question("SELECT dx_main, COUNT(*) FROM admission GROUP BY 1").part.bound == Bound(rows=16, groups=16)
    assert question("SELECT COUNT(*) FROM admission").part.bound == Bound(rows=16, groups=1)
    assert question("SELECT COUNT(*) FROM visit").part.bound == Bound(rows=2, groups=1)
    assert question(by_sex, rows_per_patient=3, groups_per_patient=1).part.bound == Bound(rows=3, groups=1)


def test_a_column_goes_before_an_alias_unless_it_cannot_be_a_group():
    """As in SQL, but BAND(age, 10) AS age GROUP BY age means the only thing that it can."""
    assert key("sex").column == "sex"
    named = question("SELECT died AS sex, sex AS s, COUNT(*) FROM admission GROUP BY sex, died")
    assert [each.column for each in named.part.keys] == ["sex", "died"]
    assert question("SELECT BAND(age, 10) AS age, COUNT(*) FROM admission GROUP BY age").part.keys[0].column == "age"


def test_a_column_without_an_alias_is_called_what_was_written():
    """A bare column keeps its name, anything else its text on one line."""
    asked = question("SELECT Sex, a.died, COUNT( * ),  100 *\n COUNT(*) FROM admission a GROUP BY sex, died")
    assert [column.name for column in asked.view.columns] == ["Sex", "a.died", "COUNT( * )", "100 * COUNT(*)"]


def test_comments_and_a_last_semicolon_are_no_part_of_the_question():
    """They change nothing."""
    plain = question("SELECT COUNT(*) AS n FROM admission")
    assert question("/* a */ SELECT COUNT(*) AS n -- b\nFROM admission; -- c") == plain
