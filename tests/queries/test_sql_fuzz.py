from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.agreed.catalogue_file import read_catalogue
from queries.asked.check import check
from queries.asked.view import check_pages
from queries.errors import StatementError
from queries.sql import read
from queries.statistics import FUNCTIONS

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())
STATEMENTS = [path.read_text() for path in sorted(PLANS.glob("*.sql"))]
WORDS = sorted(
    {word for statement in STATEMENTS for word in statement.replace("(", " ( ").replace(")", " ) ").split()}
    | set("(),.*/+-%=<>;'\"?:@${}[]|&~!")
    | {"NULL", "CASE", "WHEN", "THEN", "END", "OVER", "UNION", "JOIN", "WITH", "VALUES", "UNNEST", "PIVOT", "LIMIT"}
    | {"SELECT", "FROM", "LIKE", "IN", "IS", "CAST", "EXTRACT", "INTERVAL", "LATERAL", "EXISTS", "DISTINCT", "ROLLUP"}
    | {
        "USING",
        "ON",
        "LEFT",
        "CROSS",
        "NATURAL",
        "v.n",
        "d.n",
        "v",
        "d",
        "AS",
        "(SELECT COUNT(*) AS n FROM visit) AS v",
    }
    | set(FUNCTIONS)
    | {"'2019-02-30'", "'%'", "1e9", "0", "99999999999999999999", "-1", "patient_id", "site.", "FILTER", "ARRAY", "MAP"}
)
FRAMES = [
    "SELECT ? FROM admission GROUP BY ?",
    "SELECT COUNT(*) FROM ?",
    "SELECT COUNT(*) FROM admission WHERE ?",
    "SELECT COUNT(*) FILTER (WHERE ?) FROM admission HAVING ? ORDER BY ?",
    "SELECT v.n / d.n AS x FROM (SELECT COUNT(*) AS n FROM visit) AS v ? (SELECT COUNT(*) AS n FROM admission) AS d",
    "SELECT ? FROM (SELECT COUNT(*) AS n FROM visit WHERE ?) AS v, (SELECT COUNT(*) AS n FROM admission) AS d WHERE ?",
    "SELECT d.n FROM (?) AS v JOIN (SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex) AS d USING (?)",
]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def answered_or_refused(statement: str) -> None:
    """Read a statement: a question that fits the catalogue, or a refusal with a place and a remedy."""
    try:
        asked = read(statement, CATALOGUE, SITES)
    except StatementError as refused:
        error = refused
    else:
        check(asked.plan, CATALOGUE)
        check_pages(asked.pages, asked.plan, CATALOGUE)
        assert asked.sites
        return
    assert error.message
    assert error.remedy
    assert error.text == statement
    assert 0 <= error.start <= error.end <= len(statement)
    assert error.start < error.end or not statement
    error.pointer()


@QUICK
@given(st.text(max_size=60))
def test_any_text_is_answered_or_refused(text):
    """No text raises anything else."""
    answered_or_refused(text)
    for frame in FRAMES:
        answered_or_refused(frame.replace("?", text))


@QUICK
@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join))
def test_any_words_of_the_language_are_answered_or_refused(text):
    """Nor do its own words in any order."""
    answered_or_refused(text)
    for frame in FRAMES:
        answered_or_refused(frame.replace("?", text))


ARGUMENTS = [
    *("age", "sex", "admitted", "patient_id", "weight", "change", "dx_main", "site", "site.country", "nothing", "*"),
    *(
        "0.5",
        "-1",
        "0",
        "1e9",
        "99999999999999999999",
        "'x'",
        "''",
        "NULL",
        "TRUE",
        "DATE '2019-02-01'",
        "'2019-02-01'",
    ),
    *("died = 'Y'", "age > 3", "site = 'bart'", "sex = 'Q'", "died = 'Y' OR age IS NULL", "COUNT(*)", "1 = 1", "(age)"),
    *("BAND(age, 10)", "BAND(age, 0)", "BAND(sex, 1)", "LEVEL(dx_main, 'chapter')", "MONTH(admitted)", "DISTINCT sex"),
]


@settings(parent=QUICK, max_examples=400)
@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.lists(st.sampled_from(ARGUMENTS), max_size=6),
    st.sampled_from(["", " FILTER (WHERE age > 60)", " FILTER (WHERE ?)", " * 2", " / COUNT(*)", " + ?", " OVER ()"]),
    st.sampled_from(["", " GROUP BY sex", " GROUP BY ROLLUP (sex, died)", " GROUP BY site", " GROUP BY ?"]),
)
def test_any_call_of_a_statistic_is_answered_or_refused(name, values, after, groups):
    """Whatever a function is given, in whatever number."""
    call = f"{name}({', '.join(values)})"
    statement = f"SELECT {call}{after} AS x FROM admission{groups}"
    answered_or_refused(statement.replace("?", values[-1] if values else call))


@settings(parent=QUICK, max_examples=400)
@given(
    st.sampled_from(STATEMENTS),
    st.lists(
        st.tuples(st.sampled_from(["drop", "twice", "swap", "insert"]), st.integers(0, 200), st.sampled_from(WORDS)),
        min_size=1,
        max_size=4,
    ),
)
def test_a_changed_statement_is_answered_or_refused(statement, changes):
    """Nor do statements with words dropped, repeated, exchanged or put in."""
    words = statement.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split(" ")
    for change, place, word in changes:
        at = place % len(words)
        if change == "drop":
            words[at] = ""
        elif change == "twice":
            words.insert(at, words[at])
        elif change == "swap":
            words[at], words[0] = words[0], words[at]
        else:
            words.insert(at, word)
    answered_or_refused(" ".join(words))


@QUICK
@given(st.sampled_from(STATEMENTS), st.integers(0, 400), st.characters())
def test_a_changed_character_is_answered_or_refused(statement, place, character):
    """Nor do statements with a character exchanged, or cut off."""
    at = place % len(statement)
    answered_or_refused(statement[:at] + character + statement[at + 1 :])
    answered_or_refused(statement[:at])
