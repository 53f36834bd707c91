"""The common model as it ships: a valid catalogue in both languages, with what every indicator needs."""

import re
import time
from functools import cache
from importlib import resources
from pathlib import Path

import pytest

from farr.cli import main
from node.records.mapping import read_mapping
from queries.agreed.catalogue import CodeColumn, DateColumn
from queries.agreed.catalogue_file import read_catalogue
from queries.sql import read

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "farr" / "model"
DOCUMENT = ROOT / "docs" / "model.md"
CATALOGUES = ("model.toml", "sih_rs_catalogue.toml", "china_notifiable_catalogue.toml")
MAPPINGS = {
    "omop.toml": "model.toml",
    "sih_rs.toml": "model.toml",
    "china_cases.toml": "model.toml",
    "sih_rs_mapping.toml": "sih_rs_catalogue.toml",
    "china_notifiable.toml": "china_notifiable_catalogue.toml",
}
CAPS = {
    "discharge": 12,
    "diagnosis": 60,
    "visit": 60,
    "lab_result": 300,
    "case_report": 4,
    "claim": 60,
    "charge": 2000,
}
HAN = re.compile(r"[\u4e00-\u9fff]")

# One question of the kind that indicators ask, of each table, with derived columns and levels.
QUESTIONS = (
    """SELECT LEVEL(region, 'prefecture'),
              1000.0 * COUNT(*) FILTER (WHERE readmit_31 = 'Y' AND readm_plan = 'N') / COUNT(*)
       FROM discharge WHERE disch_way <> '5' AND disch_dt >= '2026-01-01' AND disch_dt < '2026-02-01'
       GROUP BY LEVEL(region, 'prefecture')""",
    """SELECT 100.0 * COUNT(*) FILTER (WHERE caesarean = 'Y') / COUNT(*) FILTER (WHERE delivered = 'Y')
       FROM discharge WHERE disch_dt >= '2026-01-01' AND disch_dt < '2026-02-01'""",
    """SELECT ref_to, COUNT(*) FROM visit WHERE ref_out = 'Y' AND dt >= '2026-01-01' AND dt < '2026-02-01'
       GROUP BY ref_to""",
    """SELECT organism, 100.0 * COUNT(*) FILTER (WHERE sir = 'R') / COUNT(*) FROM lab_result
       WHERE first_isolate = 'Y' AND drug = 'J01DH02' AND ts >= '2026-01-01' AND ts < '2026-02-01' GROUP BY organism""",
    """SELECT LEVEL(disease, 'disease'), AVG(report_delay) FROM case_report
       WHERE LEVEL(disease, 'class') = 'B' AND report_ts >= '2026-01-01' AND report_ts < '2026-02-01'
       GROUP BY LEVEL(disease, 'disease')""",
    """SELECT COUNT(*) FILTER (WHERE split_7 = 'Y') FROM claim
       WHERE settle_dt >= '2026-01-01' AND settle_dt < '2026-02-01'""",
    """SELECT cat, COUNT(*) FILTER (WHERE repeated = 'Y') FROM charge
       WHERE svc_dt >= '2026-01-01' AND svc_dt < '2026-02-01' GROUP BY cat""",
    """SELECT LEVEL(dx_other, 'block'), COUNT(*) FROM diagnosis
       WHERE poa = '4' AND op_urgency = 'E' AND disch_dt >= '2026-01-01' AND disch_dt < '2026-02-01'
       GROUP BY LEVEL(dx_other, 'block')""",
)


@cache
def catalogue(name="model.toml"):
    """Read a shipped catalogue."""
    return read_catalogue((MODEL / name).read_bytes(), name)


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_shipped_catalogue_is_valid_and_quick_to_read(capsys, name):
    """`farr catalogue check` accepts the file, and reading it costs under a second of processor time."""
    started = time.process_time()
    read_catalogue((MODEL / name).read_bytes(), name)
    assert time.process_time() - started < 1
    assert main.main(["catalogue", "check", str(MODEL / name)], {}) == 0
    printed = capsys.readouterr().out
    for table in catalogue(name).tables:
        assert f"\n{table.name}  " in printed


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_label_is_in_both_languages(name):
    """Tables, columns, facts, codes and groups of the shipped files speak English and Chinese."""
    found = catalogue(name)
    named = [found, *found.tables, *found.site_attributes]
    sets = [attribute.codes for attribute in found.site_attributes]
    for table in found.tables:
        named += [*table.columns, *table.lists]
        sets += [column.codes for column in (*table.columns, *table.lists) if isinstance(column, CodeColumn)]
    for codes in sets:
        named += [*codes.levels, *(group for level in codes.levels for group in level.groups)]
        if not codes.folds and codes.name != "region":  # ICD-10's own titles are English, counties' names Chinese
            named += codes.codes
    for each in named:
        assert each.label.en
        if not re.fullmatch(r"[A-Z]\d\d(-[A-Z]\d\d)?|[A-Z]\d\d", getattr(each, "code", "")):  # an ICD-10 block
            assert HAN.search(each.label.zh), each


def test_the_tables_are_those_of_the_model_with_their_caps():
    """Six tables and one made of lists, each dated, each cut per calendar year, all with one patient key."""
    found = catalogue()
    assert {table.name: table.rows_per_patient for table in found.tables} == CAPS
    for table in found.tables:
        assert table.patient == "pid"
        assert table.dated_by
        assert isinstance(table.column(table.dated_by), DateColumn)


def test_every_column_that_the_document_says_an_indicator_uses_exists():
    """All 44 indicators are in the document, once, and their columns are columns that questions can read."""
    rows = re.findall(r"^\| (\d+) \| .*? \| (.*?) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _columns in rows] == list(range(1, 45))
    found = catalogue()
    for _number, columns in rows:
        named = re.findall(r"`(\w+)\.(\w+)`", columns)
        assert named
        for table, column in named:
            found.table(table).column(column)


def test_every_column_is_in_the_document():
    """The document names each column, list and derived column of each table, and each fact about hospitals."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = catalogue()
    parts = {part.split(".**")[0]: part for part in re.split(r"^\*\*", text, flags=re.MULTILINE)[1:]}
    for table in found.tables:
        if table.each is None:
            for column in (*table.columns, *table.lists):
                derived = parts["discharge"] + text.split("Derived: `readmit_31`")[1].split("\n\n")[0]
                assert f"`{column.name}`" in (derived if table.name == "discharge" else parts[table.name]), column.name
    for attribute in found.site_attributes:
        assert f"`site.{attribute.name}`" in text


def test_the_document_says_how_many_codes_there_are():
    """Counts in the document are those of the file."""
    found = catalogue()
    text = DOCUMENT.read_text(encoding="utf-8")

    def size(table, column):
        described = found.table(table).column(column)
        assert isinstance(described, CodeColumn)
        return len(described.codes.codes)

    assert f"{size('discharge', 'region'):,} codes with `prefecture`" in text
    assert f"ICD-10: {size('discharge', 'dx_main'):,} categories" in text
    assert f"chapter, and {size('discharge', 'op_main') - 100} finer" in text
    assert f"| {size('lab_result', 'item')} items in LOINC" in text
    assert f"| {size('lab_result', 'unit')} units" in text
    assert f"| {size('lab_result', 'organism')} organisms" in text
    assert f"| {size('case_report', 'occupation')} groups" in text
    diseases = found.table("case_report").column("disease")
    classes = diseases.codes.level("class")
    per_class = [
        sum(
            1
            for group in diseases.codes.level("disease").groups
            if classes.groups[classes.group_of[_first(diseases.codes, "disease", group.code)]].code == letter
        )
        for letter in "ABC"
    ]
    assert per_class == [2, 28, 11]


def _first(codes, level, group):
    found = codes.level(level)
    return found.group_of.index(found.index[group])


@pytest.mark.parametrize("statement", QUESTIONS)
def test_questions_of_indicators_have_plans(statement):
    """Readmission, caesareans, referrals, resistance, delay, split stays, repeats and complications can be asked."""
    sites = {"one": {"level": "3", "prefecture": "4401"}, "two": {"level": "2"}, "three": {}}
    assert read(statement, catalogue(), sites).plan


@pytest.mark.parametrize("name", MAPPINGS)
def test_every_shipped_mapping_fits_its_catalogue_and_says_where_each_column_is(name):
    """No column of a mapped table is left to chance: it has a source, or the mapping says that it is absent."""
    mapping = read_mapping((MODEL / name).read_bytes(), name)
    agreed = catalogue(MAPPINGS[name])
    mapping.check(agreed)
    views = {
        "omop.toml": "omop_views.sql",
        "china_cases.toml": "china_cases_view.sql",
    }
    sql = (MODEL / views[name]).read_text(encoding="utf-8") if name in views else None
    for table, mapped in mapping.tables.items():
        for column in agreed.table(table).recorded:
            described = mapped.column(column.name)
            if not described.absent and sql is not None:
                assert all(re.search(rf"\b{source}\b", sql) for source in described.sources)


def test_the_files_are_installed_with_the_package():
    """Catalogues, mappings and views are resources of farr.model, so an installed Farr has them."""
    names = {entry.name for entry in resources.files("farr.model").iterdir()}
    assert {*CATALOGUES, *MAPPINGS, "omop_views.sql", "sih_rs_view.sql", "china_cases_view.sql"} <= names
