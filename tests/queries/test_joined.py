"""Questions side by side: ratios across tables, in SQL and in Python."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import answers
from queries.asked.build import col, count, output, question, site, statistic, total
from queries.asked.canonical import encode
from queries.asked.combine import merged, quotient
from queries.asked.joined import joined
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from queries.errors import StatementError
from queries.sql import read

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())

VISITS, STAYS = "SELECT COUNT(*) AS n FROM visit", "SELECT COUNT(*) AS n, AVG(age) AS age FROM admission"
BY_COUNTRY = "SELECT site.country, COUNT(*) AS n FROM {} GROUP BY site.country"
BY_MONTH = "SELECT MONTH({}) AS m, COUNT(*) AS n FROM admission GROUP BY m"
GROUPED = f"FROM ({BY_COUNTRY.format('visit')}) AS v JOIN ({BY_COUNTRY.format('admission')}) AS d USING (country)"


def beside(shown: str, left: str = VISITS, right: str = STAYS, after: str = "") -> str:
    """A statement of two sides without groups."""
    return f"SELECT {shown} FROM ({left}) AS v, ({right}) AS d{after}"


def asked(statement: str):
    """Read a statement."""
    return read(statement, CATALOGUE, SITES)


def ask(table: str):
    """Begin a question in Python."""
    return question(CATALOGUE, SITES).table(table)


def table_of(asked, sums, contributors: int = 1, seed: int | None = None):
    """The answer to exact sums, block by block, with noise where there is a seed."""
    layout = tally(asked.plan, CATALOGUE)
    noise = calibrate(layout, of_tally(layout, 1), Fraction(1, 2), 1)
    rng = np.random.default_rng(seed)
    parts = []
    for block, each in zip(layout.blocks, noise.blocks, strict=True):
        table = asked.plan.parts[block.part].table
        vector = np.array(sums[table, type(block.measure).__name__], dtype=float) * each.grid
        if seed is not None:
            vector = vector + float(each.variance(contributors)) ** 0.5 * each.grid * rng.normal(size=vector.size)
        parts.append(np.rint(vector))
    vector = np.concatenate(parts).astype(np.int64)
    (answer,) = answers(asked.plan, asked.pages, CATALOGUE, vector, noise, contributors=contributors)
    return answer


def test_sql_and_python_ask_the_same():
    """The statement on file, side by side from Python: plan, view and hospitals have the same bytes."""
    written = asked((PLANS / "ratio_across_tables.sql").read_text())
    visits = ask("visit").where(col("cost") > 0).by(country=site("country")).measure(n=count()).build()
    stays = ask("admission").by(country=site("country")).measure(n=count(), men=count(where=col("sex") == "M")).build()
    both = joined(CATALOGUE, v=visits, d=stays)
    v, d, men = both.figure("v", "n"), both.figure("d", "n"), both.figure("d", "men")
    built = (
        both.measure(visits_per_admission=v / d, more=100 * (v - d) / men)
        .having(men > 10)
        .order_by("visits_per_admission", descending=True)
        .order_by("country")
        .limit(2)
        .build()
    )
    assert encode(built.plan) == encode(written.plan)
    assert encode(built.pages) == encode(written.pages)
    assert built.sites == written.sites


def test_both_sides_are_of_hospitals_that_have_both_tables():
    """Each part names the other's table; sides of one table name none."""
    parts = {part.table: part.beside for part in asked(beside("v.n / d.n AS x")).plan.parts}
    assert parts == {"visit": ("admission",), "admission": ("visit",)}
    alone = asked(beside("v.n / d.n AS x", "SELECT COUNT(*) AS n FROM admission WHERE age > 60")).plan.parts
    assert [part.beside for part in alone] == [(), ()]


def test_the_figures_are_those_of_the_sides():
    """Sums, quotients and constants of both sides' figures, cell by cell."""
    shown = "v.n / d.n AS one, 10 * (d.n - v.n) / d.n + 1 AS two, v.n AS three"
    sums = {("visit", "RowCount"): [60, 5, 30], ("admission", "RowCount"): [20, 10, 60]}
    answer = table_of(asked(f"SELECT country, {shown} {GROUPED} ORDER BY one"), sums)
    found = [(row.cells[0], *(figure.value for figure in row.cells[1:])) for row in answer.rows]
    # In the catalogue's order the countries are the United Kingdom, France and China.
    assert found == [("FR", 0.5, 6, 5), ("CN", 0.5, 6, 30), ("UK", 3, -19, 60)]


def test_intervals_of_ratios_across_tables_cover():
    """Fieller's interval with the noise of both tables: 93 to 97 % of 2,000 releases."""
    question_ = asked(beside("v.n / d.n AS x", right="SELECT COUNT(*) AS n FROM admission"))
    sums = {("visit", "RowCount"): [225], ("admission", "RowCount"): [150]}
    figures = [table_of(question_, sums, seed=seed).rows[0].cells[0] for seed in range(2_000)]
    assert 0.93 < np.mean([figure.low <= 1.5 <= figure.high for figure in figures]) < 0.97


def test_a_patients_bounds_hold_on_every_side():
    """Rows of a patient are bounded in each table."""
    found = read(beside("v.n / d.n AS x"), CATALOGUE, SITES, rows_per_patient=1)
    assert {part.bound.rows for part in found.plan.parts} == {1}


def test_three_sides_stand_side_by_side():
    """Any number of sides; the same side twice is measured once."""
    text = f"SELECT a.n / (b.n + c.n) AS x FROM ({VISITS}) AS a, ({STAYS}) AS b, ({STAYS}) AS c"
    assert len(asked(text).plan.parts) == 2


def test_the_quotient_of_a_pack_is_the_same_question():
    """``quotient`` and SQL agree."""
    top, bottom = asked(VISITS), asked("SELECT COUNT(*) AS n FROM admission")
    one = quotient(top, bottom, name="x", factor=Fraction(100), catalogue=CATALOGUE)
    other = asked(beside("100 * v.n / d.n AS x", right="SELECT COUNT(*) AS n FROM admission"))
    assert encode(one.plan) == encode(other.plan)
    assert encode(one.pages) == encode(other.pages)
    assert len(merged([one], CATALOGUE).plan.parts) == 2


HOSTILE = [
    (f"SELECT x.n FROM ({VISITS}) AS x", "SELECT"),
    (f"SELECT v.n FROM ({VISITS}) AS v, admission AS d", "admission AS d"),
    (f"SELECT v.n FROM admission AS d JOIN ({VISITS}) AS v USING (n)", "JOIN"),
    (f"SELECT v.n FROM ({VISITS}) AS v LEFT JOIN ({STAYS}) AS d USING (n)", "LEFT"),
    (f"SELECT v.n FROM ({VISITS}) AS v FULL OUTER JOIN ({STAYS}) AS d USING (n)", "FULL"),
    (f"SELECT v.n FROM ({VISITS}) AS v NATURAL JOIN ({STAYS}) AS d", "NATURAL"),
    (f"SELECT v.n FROM ({VISITS}) AS v SEMI JOIN ({STAYS}) AS d USING (n)", "SEMI"),
    (f"SELECT v.n FROM ({VISITS}) AS v JOIN ({STAYS}) AS d ON v.n = d.n", "v.n = d.n"),
    (f"SELECT v.n FROM ({VISITS}) AS v JOIN ({STAYS}) AS d USING (n)", "n"),
    (f"SELECT v.n FROM ({VISITS}) AS v JOIN LATERAL ({STAYS}) AS d", "JOIN"),
    (f"SELECT v.n FROM ({VISITS}) AS v, (VALUES (1)) AS d", "(VALUES (1)) AS d"),
    (f"SELECT v.n FROM ({VISITS}) AS v, read_csv('/etc/passwd') AS d", "read_csv('/etc/passwd') AS d"),
    (f"SELECT v.n FROM ({VISITS} UNION {VISITS}) AS v, ({STAYS}) AS d", f"({STAYS}) AS d"),
    (f"SELECT v.n FROM ({VISITS}) AS v, (SELECT n FROM ({STAYS}) AS y) AS d", "SELECT"),
    (f"SELECT v.n FROM ({VISITS}) AS v, (SELECT n FROM ({STAYS}) AS y, ({STAYS}) AS z) AS d", f"({STAYS}) AS z"),
    (f"SELECT v.n FROM (({VISITS}) AS v, ({STAYS}) AS d)", "SELECT"),
    (f"SELECT v.n FROM ({VISITS}) AS v, ({STAYS})", "COUNT(*) AS n, AVG(age) AS age FROM admission"),
    (f"SELECT v.n FROM ({VISITS}) AS v, ({STAYS}) AS V", f"({STAYS}) AS V"),
    (f"SELECT v.n FROM ({VISITS}) AS v(n), ({STAYS}) AS d", "n"),
    (beside("*"), "*"),
    (beside("v.*"), "*"),
    (beside("n"), "n"),
    (beside("v.m"), "v.m"),
    (beside("w.n"), "w.n"),
    (beside("m"), "m"),
    (beside("COUNT(*)"), "COUNT(*)"),
    (beside("SUM(v.n)"), "SUM(v.n)"),
    (beside("v.n / COUNT(*)"), "COUNT(*)"),
    (beside("v.n / 0"), "0"),
    (beside("v.n + 'x'"), "'x'"),
    (beside("MEDIAN(v.n)"), "MEDIAN(v.n)"),
    (beside("v.n FILTER (WHERE d.n > 1)"), "("),
    (beside("v.n", after=" WHERE d.n IN (SELECT 1)"), "SELECT"),
    (beside("v.n", after=" WHERE v.n = d"), "d"),
    (beside("v.n", after=" GROUP BY v.n"), "v.n"),
    (beside("v.n", after=" HAVING v.n > 1"), "v.n > 1"),
    (beside("v.n", after=" LIMIT 0"), "0"),
    (beside("v.n", VISITS + " LIMIT 5"), "5"),
    (beside("v.n", VISITS + " ORDER BY n"), "n"),
    (beside("v.n", VISITS + " HAVING COUNT(*) > 5"), "COUNT(*) > 5"),
    (beside("v.n", "SELECT n FROM visit"), "n"),
    (beside("v.n", "SELECT * FROM visit"), "*"),
    (beside("v.n", "SELECT COUNT(*) AS n FROM nowhere"), "nowhere"),
    (beside("v.n", "SELECT COUNT(*) AS n FROM visit WHERE person = '17'"), "person"),
    (f"SELECT country {GROUPED}", f"SELECT country {GROUPED}"),
    (f"SELECT country + 1, v.n {GROUPED}", "country"),
    (f"SELECT country, v.n {GROUPED} WHERE country = 'UK'", "country"),
    (f"SELECT v.n {GROUPED.replace(' USING (country)', '')}", f"({BY_COUNTRY.format('admission')}) AS d"),
    (f"SELECT v.n {GROUPED.replace('(country)', '(country, country)')}", "country"),
    (f"SELECT v.n {GROUPED.replace('(country)', '(n)')}", "n"),
]


@pytest.mark.parametrize(("statement", "place"), HOSTILE)
def test_hostile_statements_are_refused_with_a_place(statement, place):
    """Whatever else a join might mean elsewhere: one message, one remedy, and the piece of the text."""
    with pytest.raises(StatementError) as refused:
        asked(statement)
    error = refused.value
    assert statement[error.start : error.end] == place
    assert error.message
    assert error.remedy


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (beside("v.n", "SELECT COUNT(*) AS n FROM visit WHERE site.country = 'UK'"), "different hospitals"),
        (f"SELECT v.n {GROUPED.replace('SELECT site.country, COUNT(*) AS n FROM visit', VISITS)}", "not show all"),
        (beside("v.n", BY_COUNTRY.format("visit")), "grouped differently"),
        (f"SELECT v.n {GROUPED.replace('GROUP BY site.country)', 'GROUP BY ROLLUP (site.country))', 1)}", "grouped"),
        (beside("v.n", "SELECT CDF(age) AS n FROM admission"), "several figures"),
        (
            f"SELECT v.n FROM ({BY_MONTH.format('admitted')}) AS v JOIN ({BY_MONTH.format('出院日')}) AS d USING (m)",
            "other cells",
        ),
        (f"SELECT v0.n FROM {', '.join(f'({VISITS}) AS v{index}' for index in range(20))}", "more than 16"),
    ],
)
def test_sides_that_do_not_fit_each_other_are_refused(statement, said):
    """Hospitals, groups, cells and figures must be alike."""
    with pytest.raises(StatementError, match=said) as refused:
        asked(statement)
    assert refused.value.remedy
    assert refused.value.text


def test_python_refuses_what_sql_refuses():
    """Unknown sides and figures, groups as numbers, counting outside, one side alone, nothing to show."""
    visits = ask("visit").by(country=site("country")).measure(n=count(), cost=total("cost")).build()
    stays = ask("admission").by(country=site("country")).measure(n=count()).build()
    both = joined(CATALOGUE, v=visits, d=stays)
    with pytest.raises(StatementError, match="no question called"):
        both.figure("w", "n")
    with pytest.raises(StatementError, match="no column of d"):
        both.figure("d", "cost")
    with pytest.raises(StatementError, match="a group is not a number"):
        both.figure("v", "country")
    for counted in (count(), statistic("median", "cost"), both.figure("v", "n") / count()):
        with pytest.raises(StatementError, match="outside the sides"):
            both.measure(x=counted).build()
    with pytest.raises(StatementError, match="no figure"):
        both.build()
    with pytest.raises(StatementError, match="no row"):
        both.measure(x=both.figure("v", "n")).limit(0).build()
    with pytest.raises(StatementError, match="nothing beside it"):
        joined(CATALOGUE, v=visits)
    with pytest.raises(StatementError, match="chosen or ordered"):
        joined(CATALOGUE, v=visits, d=ask("admission").by(country=site("country")).measure(n=count()).limit(2).build())
    assert both.measure(x=both.figure("v", "n"), y=output("x") * 2).build().view.columns[-1].name == "y"
