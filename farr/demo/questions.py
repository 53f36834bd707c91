"""What a stroke service would ask, and the same worked out by hand from the pooled records to compare.

The exact answers take another way than the hospitals': plain SQL on the trial's own columns and codes, all records in
one place. Nothing of the catalogue, the mapping or the queries package is used for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from queries.agreed.catalogue import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoQuestion:
    """One question in both languages, with the exact answer's own SQL."""

    id: str
    """For scripts."""
    title: Label
    """What is asked."""
    statement: Label
    """In Farr's SQL; the languages differ in the names of columns only."""
    keys: int
    """How many columns of the answer are groups; they come first."""
    exact: str
    """DuckDB SQL over the table ``pooled``: the groups as text, then the figures, in the order of the statement."""


QUESTIONS = (
    DemoQuestion(
        id="consciousness",
        title=Label(
            en="Does consciousness at admission foretell death within 14 days?",
            zh="入院时的意识状态能否预示14天内死亡？",
        ),
        statement=Label(
            en="SELECT consciousness, COUNT(*) AS patients,\n"
            "       100.0 * COUNT(*) FILTER (WHERE dead_14_days = 'Y') / COUNT(*) AS died_percent\n"
            "FROM admission GROUP BY consciousness",
            zh="SELECT consciousness AS 意识, COUNT(*) AS 患者数,\n"
            "       100.0 * COUNT(*) FILTER (WHERE dead_14_days = 'Y') / COUNT(*) AS 死亡百分比\n"
            "FROM admission GROUP BY consciousness",
        ),
        keys=1,
        exact="SELECT RCONSC, count(*), 100.0 * count(*) FILTER (ID14 = '1') / count(*) FROM pooled GROUP BY 1",
    ),
    DemoQuestion(
        id="treatment",
        title=Label(en="How were aspirin and heparin combined?", zh="阿司匹林与肝素是如何联合使用的？"),
        statement=Label(
            en="SELECT aspirin, heparin, COUNT(*) AS patients FROM admission GROUP BY aspirin, heparin",
            zh="SELECT aspirin AS 阿司匹林, heparin AS 肝素, COUNT(*) AS 患者数\n"
            "FROM admission GROUP BY aspirin, heparin",
        ),
        keys=2,
        exact="SELECT RXASP, replace(RXHEP, 'H', 'M'), count(*) FROM pooled GROUP BY 1, 2",
    ),
    DemoQuestion(
        id="age",
        title=Label(en="How old are the patients?", zh="患者的年龄结构如何？"),
        statement=Label(
            en="SELECT BAND(age, 50, 60, 70, 80, 90) AS age, COUNT(*) AS patients FROM admission GROUP BY age",
            zh="SELECT BAND(age, 50, 60, 70, 80, 90) AS 年龄, COUNT(*) AS 患者数 FROM admission GROUP BY 年龄",
        ),
        keys=1,
        exact="SELECT CASE WHEN AGE::INT < 50 THEN '0-49' WHEN AGE::INT < 60 THEN '50-59' WHEN AGE::INT < 70"
        " THEN '60-69' WHEN AGE::INT < 80 THEN '70-79' WHEN AGE::INT < 90 THEN '80-89' ELSE '90-120' END,"
        " count(*) FROM pooled GROUP BY 1",
    ),
    DemoQuestion(
        id="country",
        title=Label(
            en="By country: how many patients, and how many hours from stroke to treatment?",
            zh="各国有多少患者？从发病到治疗平均多少小时？",
        ),
        statement=Label(
            en="SELECT site.country AS country, COUNT(delay) AS patients, AVG(delay) AS delay\n"
            "FROM admission GROUP BY site.country",
            zh="SELECT site.country AS 国家, COUNT(delay) AS 患者数, AVG(delay) AS 延误\n"
            "FROM admission GROUP BY site.country",
        ),
        keys=1,
        exact="SELECT COUNTRY, count(RDELAY), avg(RDELAY::INT) FROM pooled GROUP BY 1",
    ),
    DemoQuestion(
        id="outcome",
        title=Label(
            en="By stroke syndrome: how many are dead or dependent after six months?",
            zh="各卒中分型中，六个月后死亡或生活不能自理者占多少？",
        ),
        statement=Label(
            en="SELECT stroke_type, COUNT(outcome_6_months) AS patients,\n"
            "       100.0 * COUNT(*) FILTER (WHERE outcome_6_months IN ('dead', 'dependent'))\n"
            "             / COUNT(outcome_6_months) AS poor_percent\n"
            "FROM admission GROUP BY stroke_type",
            zh="SELECT stroke_type AS 卒中分型, COUNT(outcome_6_months) AS 患者数,\n"
            "       100.0 * COUNT(*) FILTER (WHERE outcome_6_months IN ('dead', 'dependent'))\n"
            "             / COUNT(outcome_6_months) AS 不良结局百分比\n"
            "FROM admission GROUP BY stroke_type",
        ),
        keys=1,
        exact="SELECT STYPE, count(*) FILTER (OCCODE IN ('1', '2', '3', '4')), 100.0 * count(*) FILTER (OCCODE IN"
        " ('1', '2')) / count(*) FILTER (OCCODE IN ('1', '2', '3', '4')) FROM pooled GROUP BY 1",
    ),
    DemoQuestion(
        id="years",
        title=Label(en="In which three years did most patients enter?", zh="哪三年入组患者最多？"),
        statement=Label(
            en="SELECT YEAR(admitted) AS year, COUNT(*) AS patients FROM admission\n"
            "GROUP BY year ORDER BY patients DESC LIMIT 3",
            zh="SELECT YEAR(admitted) AS 年份, COUNT(*) AS 患者数 FROM admission\n"
            "GROUP BY 年份 ORDER BY 患者数 DESC LIMIT 3",
        ),
        keys=1,
        exact="SELECT '19' || right(RDATE, 2), count(*) FROM pooled GROUP BY 1",
    ),
)
"""In the order in which they are asked."""

EPSILON = 1.0
"""What each question costs."""

UNANSWERABLE = "SELECT patient_id, age FROM admission WHERE consciousness = 'U'"
"""Asks for records: refused before it leaves the analyst's machine."""

TOO_DEAR = 4.0
"""An epsilon above what the hospitals' policy allows for one question: refused by each of them."""


def exact_answers(data: Path) -> dict[str, dict[tuple[str, ...], tuple[float, ...]]]:
    """Return the exact answer of each question over all hospitals' records: figures by groups."""
    import duckdb

    answers = {}
    with duckdb.connect() as database:
        files = [str(file) for file in sorted(data.glob("*/admission.csv"))]
        database.execute("CREATE TABLE raw AS SELECT * FROM read_csv(?, header = true, all_varchar = true)", [files])
        # Trailing blanks and empty texts mean missing in the trial's file.
        database.execute("CREATE TABLE pooled AS SELECT nullif(trim(COLUMNS(*)), '') FROM raw")
        for question in QUESTIONS:
            rows = database.execute(question.exact).fetchall()
            answers[question.id] = {
                tuple(str(group) for group in row[: question.keys]): tuple(map(float, row[question.keys :]))
                for row in rows
            }
    return answers
