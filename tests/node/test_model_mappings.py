"""The shipped mappings, end to end through preparation: the two real sets against their exact answers, and OMOP."""

import json
from collections import Counter, defaultdict
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import pytest

from node.records.mapping import read_mapping
from node.records.prepare import prepare
from queries.agreed.catalogue import CodeColumn
from queries.agreed.catalogue_file import read_catalogue

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "farr" / "model"
SHARED = ROOT.parent / "shared" / "data"
SIH = SHARED / "sih_rs_2019"
CHINA = SHARED / "china_notifiable_monthly"
SITE_KEY = bytes(range(32))

needs_sih = pytest.mark.skipif(not SIH.is_dir(), reason="the shared SIH set is not there")
needs_china = pytest.mark.skipif(not CHINA.is_dir(), reason="the shared China set is not there")

# The edition of 2019 has no haemorrhoids under I84, and dengue not under A90: the mapping gives them their new codes.
MOVED = {"I84": "K64", "A90": "A97"}


@cache
def catalogue(name):
    """Read a shipped catalogue."""
    return read_catalogue((MODEL / name).read_bytes(), name)


def mapping(name):
    """Read a shipped mapping."""
    return read_mapping((MODEL / name).read_bytes(), name)


def prepared(folder, data, mapped, agreed):
    """Prepare a data folder and return a connection to the prepared tables."""
    made = prepare(folder, data, mapping(mapped), catalogue(agreed), SITE_KEY)
    return duckdb.connect(str(made.path), read_only=True), {table.name: table for table in made.tables}


def decoded(agreed, table, column, level=None):
    """Return the SQL that turns the prepared positions of a column or level back into codes."""
    described = catalogue(agreed).table(table).column(column)
    assert isinstance(described, CodeColumn)
    groups = described.codes.codes if level is None else described.codes.level(level).groups
    listed = ", ".join("'" + group.code.replace("'", "''") + "'" for group in groups)
    name = column if level is None else f"{column}@{level}"
    return f'[{listed}]["{name}" + 1]'


def answers(folder):
    """Return the exact pooled answers of a set."""
    return json.loads((folder / "reference_answers.json").read_text(encoding="utf-8"))


# --- SIH: Brazilian admissions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sih(tmp_path_factory):
    """Return the admissions as the shipped view gives them: a connection with farr_discharge."""
    connection = duckdb.connect()
    connection.execute(f"SET VARIABLE source = '{SIH / 'sih_rs_2019_hospitals_a.csv.gz'}'")
    connection.execute((MODEL / "sih_rs_view.sql").read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("sih")
    connection.execute(f"COPY (SELECT * FROM farr_discharge) TO '{folder / 'discharge.csv'}' (HEADER)")
    yield connection, folder
    connection.close()


@needs_sih
def test_the_brazilian_set_gives_its_exact_counts_and_sums(tmp_path, sih):
    """Rows, ages, days, costs, deaths by chapter and sex, month and chapter: equal to the pooled answers."""
    source, data = sih
    expected = answers(SIH)
    agreed = "sih_rs_catalogue.toml"
    tables, reports = prepared(tmp_path, data, "sih_rs_mapping.toml", agreed)
    report = reports["discharge"]
    assert (report.read, report.kept) == (expected["rows"], expected["rows"])
    assert not any(column.unusable or column.clipped or column.cut for column in report.columns)
    sums = tables.execute("SELECT sum(age), sum(los), sum(cost), count(*) FILTER (died = 0) FROM discharge").fetchone()
    deaths = sum(each.get("1", 0) for each in expected["chapter_x_death"].values())
    cents = round(expected["cost_brl"]["sum"] * 100)
    assert sums == (expected["age"]["sum"], expected["los"]["sum"], cents, deaths)

    moved = source.execute(
        "SELECT left(DIAG_PRINC, 3), MORTE, SEXO, left(DT_SAIDA, 6), count(*) FROM farr_discharge "
        f"WHERE left(DIAG_PRINC, 3) IN {tuple(MOVED)} GROUP BY ALL"
    ).fetchall()
    chapter = decoded(agreed, "discharge", "dx_main", "chapter")
    by_chapter = Counter(dict(tables.execute(f"SELECT {chapter}, count(*) FROM discharge GROUP BY 1").fetchall()))
    shifted = Counter(expected["n_by_chapter"])
    for code, _dead, _sex, _month, rows in moved:
        if code == "I84":  # from the circulatory to the digestive system; dengue stays an infection
            shifted.update({"IX": -rows, "XI": rows})
    assert moved
    assert by_chapter == shifted

    category = decoded(agreed, "discharge", "dx_main")
    by_category = dict(tables.execute(f"SELECT {category}, count(*) FROM discharge GROUP BY 1").fetchall())
    for code, rows in expected["top50_category3"].items():
        assert by_category[MOVED.get(code, code)] == rows


@needs_sih
def test_the_brazilian_set_agrees_within_chapters_that_did_not_move(tmp_path, sih):
    """Deaths, sexes and months of every chapter that the edition left alone are the pooled ones."""
    _source, data = sih
    expected = answers(SIH)
    agreed = "sih_rs_catalogue.toml"
    tables, _reports = prepared(tmp_path, data, "sih_rs_mapping.toml", agreed)
    chapter = decoded(agreed, "discharge", "dx_main", "chapter")
    for name, column, codes in (
        ("chapter_x_death", "died", {"Y": "1", "N": "0"}),
        ("chapter_x_sex", "sex", {"1": "1", "2": "3"}),
    ):
        found = tables.execute(
            f"SELECT {chapter}, {decoded(agreed, 'discharge', column)}, count(*) FROM discharge GROUP BY ALL"
        ).fetchall()
        table = defaultdict(dict)
        for group, code, rows in found:
            table[group][codes[code]] = rows
        for group, cells in expected[name].items():
            if group not in {"IX", "XI"}:
                assert table[group] == {code: rows for code, rows in cells.items() if rows}
    months = defaultdict(Counter)
    for admitted, group, rows in tables.execute(
        f"SELECT strftime(adm_dt, '%Y%m'), {chapter}, count(*) FROM discharge GROUP BY ALL"
    ).fetchall():
        months[admitted][group] = rows
    for month, cells in expected["month_x_chapter"].items():
        for group, rows in cells.items():
            if group not in {"IX", "XI"}:
                assert months[month][group] == rows


@needs_sih
def test_the_brazilian_set_speaks_the_common_model(tmp_path, sih):
    """The common model gets the same rows; what lies beyond its bounds is clipped, and the reason of the end agrees."""
    source, data = sih
    expected = answers(SIH)
    tables, reports = prepared(tmp_path, data, "sih_rs.toml", "model.toml")
    assert reports["discharge"].kept == expected["rows"]
    (clipped,) = source.execute("SELECT sum(least(DIAS_PERM::INT, 60)) FROM farr_discharge").fetchone()
    (excess,) = source.execute("SELECT sum(greatest(DIAS_PERM::INT - 60, 0)) FROM farr_discharge").fetchone()
    assert tables.execute("SELECT sum(los), sum(age) FROM discharge").fetchone() == (clipped, expected["age"]["sum"])
    assert clipped + excess == expected["los"]["sum"]
    way = decoded("model.toml", "discharge", "disch_way")
    urgent = decoded("model.toml", "discharge", "adm_urgency")
    dead, unplanned = tables.execute(
        f"SELECT count(*) FILTER ({way} = '5'), count(*) FILTER ({urgent} = 'U') FROM discharge"
    ).fetchone()
    assert dead == sum(each.get("1", 0) for each in expected["chapter_x_death"].values())
    (not_elective,) = source.execute("SELECT count(*) FROM farr_discharge WHERE CAR_INT <> '01'").fetchone()
    assert unplanned == not_elective

    lists = " + ".join(f"count(DIAGSEC{place})" for place in range(1, 10))
    (elements,) = source.execute(f"SELECT {lists} FROM farr_discharge").fetchone()
    acquired = " + ".join(f"count(*) FILTER (TPDISEC{place} = '2')" for place in range(1, 10))
    (not_present,) = source.execute(f"SELECT {acquired} FROM farr_discharge").fetchone()
    present = decoded("model.toml", "diagnosis", "poa")
    assert tables.execute(f"SELECT count(*), count(*) FILTER ({present} = '4') FROM diagnosis").fetchone() == (
        elements,
        not_present,
    )
    # A derived column against the same question asked of the file.
    anywhere = " OR ".join(f"left({column}, 3) = 'A41'" for column in ("DIAG_PRINC", *_secondary()))
    forty = " OR ".join(f"left({column}, 3) = 'A40'" for column in ("DIAG_PRINC", *_secondary()))
    (septic,) = source.execute(f"SELECT count(*) FROM farr_discharge WHERE {anywhere} OR {forty}").fetchone()
    assert tables.execute("SELECT count(*) FROM discharge WHERE had_sepsis = 0").fetchone() == (septic,)
    (nobody,) = tables.execute("SELECT count(*) FROM discharge WHERE readmit_31 = 0").fetchone()
    assert nobody == 0  # every admission is a patient of its own


def _secondary():
    return [f"DIAGSEC{place}" for place in range(1, 10)]


@needs_sih
@pytest.mark.parametrize("place", [0, 1, 2, 180])
def test_a_brazilian_hospital_prepared_alone_has_its_own_counts(tmp_path, sih, place):
    """Large and small hospitals, each prepared as one node does, have the pooled answers' rows and deaths."""
    source, _data = sih
    expected = answers(SIH)
    hospital = list(expected["n_by_hospital"])[place]
    _one_hospital(tmp_path, source, hospital, expected)


@needs_sih
@pytest.mark.slow
def test_every_brazilian_hospital_prepared_alone_has_its_own_counts(tmp_path, sih):
    """All 183 hospitals, one preparation each."""
    source, _data = sih
    expected = answers(SIH)
    for hospital in expected["n_by_hospital"]:
        _one_hospital(tmp_path / hospital, source, hospital, expected)


def _one_hospital(folder, source, hospital, expected):
    data = folder / "data"
    data.mkdir(parents=True)
    source.execute(
        f"COPY (SELECT * FROM farr_discharge WHERE CNES = '{hospital}') TO '{data / 'discharge.csv'}' (HEADER)"
    )
    tables, _reports = prepared(folder / "home", data, "sih_rs_mapping.toml", "sih_rs_catalogue.toml")
    with tables:
        found = tables.execute("SELECT count(*), count(*) FILTER (died = 0) FROM discharge").fetchone()
    assert found == (expected["n_by_hospital"][hospital], expected["deaths_by_hospital"][hospital])


# --- China: monthly notifiable diseases -------------------------------------------------------------------------


@needs_china
def test_the_chinese_set_gives_its_exact_sums(tmp_path):
    """Cases by disease and year, and influenza by month, over the 31 provinces: equal to the pooled answers."""
    agreed = "china_notifiable_catalogue.toml"
    expected = answers(CHINA)
    data = tmp_path / "data"
    data.mkdir()
    (data / "notifiable_monthly.parquet").symlink_to(CHINA / "china_notifiable_2004_2014.parquet")
    tables, reports = prepared(tmp_path / "home", data, "china_notifiable.toml", agreed)
    report = reports["notifiable_monthly"]
    assert (report.read, report.kept) == (expected["rows"], expected["rows"])
    disease = decoded(agreed, "notifiable_monthly", "disease")
    inside = "FROM notifiable_monthly WHERE province IS NOT NULL"
    (provinces, blank) = tables.execute(
        f"SELECT count(DISTINCT province), count(*) FILTER (cases IS NULL) {inside}"
    ).fetchone()
    assert provinces == expected["provinces"]
    assert blank == expected["blank_cases"]
    sums = defaultdict(dict)
    for code, year, cases in tables.execute(
        f"SELECT {disease}, year(month)::VARCHAR, sum(cases) {inside} GROUP BY ALL HAVING sum(cases) IS NOT NULL"
    ).fetchall():
        sums[code][year] = cases
    assert len(sums) == expected["diseases"]
    for code, years in expected["cases_by_disease_year"].items():
        assert {year: cases for year, cases in sums[code].items() if cases} == {
            year: cases for year, cases in years.items() if cases
        }
    influenza = dict(
        tables.execute(
            f"SELECT strftime(month, '%Y-%m'), sum(cases) {inside} AND {disease} = 'Influenza' GROUP BY 1"
        ).fetchall()
    )
    assert influenza == expected["influenza_monthly_sum_of_provinces"]
    province = decoded(agreed, "notifiable_monthly", "province")
    (dengue,) = tables.execute(f"SELECT sum(cases) {inside} AND {disease} = 'Dengue' AND {province} = '44'").fetchone()
    assert dengue == expected["cases_by_disease_province_7"]["Dengue"]["Guangdong"]


@needs_china
def test_the_chinese_counts_become_one_report_for_each_case(tmp_path):
    """Dengue as case reports of the common model: as many rows as cases, in their provinces and years."""
    expected = answers(CHINA)
    data = tmp_path / "data"
    data.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"SET VARIABLE source = '{CHINA / 'china_notifiable_2004_2014.parquet'}'")
        connection.execute("SET VARIABLE diseases = ['Dengue']")
        connection.execute((MODEL / "china_cases_view.sql").read_text(encoding="utf-8"))
        target = data / "case_report.parquet"
        connection.execute(f"COPY (SELECT * FROM farr_case_report) TO '{target}' (FORMAT parquet)")
    tables, reports = prepared(tmp_path / "home", data, "china_cases.toml", "model.toml")
    assert not any(column.unusable for column in reports["case_report"].columns)
    by_year = dict(tables.execute("SELECT year(report_ts)::VARCHAR, count(*) FROM case_report GROUP BY 1").fetchall())
    years = expected["cases_by_disease_year"]["Dengue"]
    assert by_year == {year: cases for year, cases in years.items() if cases}
    (deaths,) = tables.execute("SELECT count(*) FILTER (death = 0) FROM case_report").fetchone()
    assert 0 < deaths < 20
    disease = decoded("model.toml", "case_report", "disease")
    assert tables.execute(f"SELECT DISTINCT {disease} FROM case_report").fetchall() == [("dengue",)]
    province = decoded("model.toml", "case_report", "region", "province")
    ((first, _rows), *_rest) = tables.execute(
        f"SELECT {province}, count(*) AS n FROM case_report GROUP BY 1 ORDER BY n DESC"
    ).fetchall()
    assert first == "44"


# --- OMOP CDM 5.4 -----------------------------------------------------------------------------------------------

OMOP = """
CREATE TABLE person (person_id INT, gender_concept_id INT, year_of_birth INT, month_of_birth INT, day_of_birth INT,
    birth_datetime TIMESTAMP);
INSERT INTO person VALUES
    (1, 8507, 1950, 5, 20, NULL), (2, 8532, 1990, NULL, NULL, NULL),
    (3, 8532, 2024, 1, 10, TIMESTAMP '2024-01-10 00:00');
CREATE TABLE visit_occurrence (visit_occurrence_id INT, person_id INT, visit_concept_id INT, visit_start_date DATE,
    visit_start_datetime TIMESTAMP, visit_end_date DATE, admitted_from_concept_id INT, discharged_to_concept_id INT);
INSERT INTO visit_occurrence VALUES
    (10, 1, 262,  '2024-05-19', NULL, '2024-05-29', 0, 8536),
    (11, 1, 9201, '2024-06-20', NULL, '2024-06-25', 8717, 0),
    (20, 2, 9201, '2024-03-01', NULL, '2024-03-04', 9202, 4021968),
    (21, 2, 9203, '2024-04-01', TIMESTAMP '2024-04-01 23:30', '2024-04-01', 0, 8536),
    (30, 3, 9201, '2024-01-15', NULL, '2024-01-20', 0, 8536),
    (31, 3, 9202, '2024-07-15', NULL, '2024-07-15', 0, 0),
    (32, 3, 9201, '2024-08-01', NULL, NULL, 0, 0);
CREATE TABLE death (person_id INT, death_date DATE);
INSERT INTO death VALUES (1, '2024-06-25');
CREATE TABLE concept (concept_id INT, vocabulary_id VARCHAR, concept_code VARCHAR, concept_class_id VARCHAR);
INSERT INTO concept VALUES
    (501, 'ICD10CN', 'I21.000x001', '4-char'), (502, 'ICD10', 'E11.9', '4-char'), (503, 'ICD10CM', 'O82.0', '4-char'),
    (504, 'SNOMED', '1234', 'Disorder'), (601, 'ICD9Proc', '74.1', '3-dig'), (602, 'ICD9Proc', '36.06', '4-dig'),
    (701, 'LOINC', '4548-4', 'Lab Test'), (702, 'LOINC', '94500-6', 'Lab Test'), (703, 'SNOMED', '999', 'Procedure'),
    (801, 'UCUM', '%', 'Unit'), (901, 'RxNorm', '1', 'Ingredient'), (902, 'ATC', 'J01CA04', 'ATC 5th'),
    (903, 'ATC', 'J01CA', 'ATC 4th'), (904, 'RxNorm', '2', 'Ingredient');
CREATE TABLE concept_ancestor (ancestor_concept_id INT, descendant_concept_id INT);
INSERT INTO concept_ancestor VALUES (902, 901), (903, 901), (901, 901), (904, 904);
CREATE TABLE condition_occurrence (condition_occurrence_id INT, person_id INT, visit_occurrence_id INT,
    condition_source_concept_id INT, condition_source_value VARCHAR, condition_status_concept_id INT);
INSERT INTO condition_occurrence VALUES
    (1, 1, 10, 502, 'e119', 32908), (2, 1, 10, 501, 'I21', 32903), (3, 1, 10, 0, 'N18.5', 32908),
    (4, 1, 11, 0, 'I50.0', 32902), (5, 2, 20, 503, 'x', 32902), (6, 2, 20, 504, 'Z37.0', 32908),
    (7, 2, 21, 0, 'J10.1', 0), (8, 3, 30, 0, 'P07.1', 32902), (9, 3, 31, 0, 'J20', 0), (10, 3, 31, 0, 'H66', 32902);
CREATE TABLE procedure_occurrence (procedure_occurrence_id INT, person_id INT, visit_occurrence_id INT,
    procedure_date DATE, quantity INT, procedure_source_concept_id INT, procedure_source_value VARCHAR);
INSERT INTO procedure_occurrence VALUES
    (1, 1, 10, '2024-05-20', 1, 602, 'stent'), (2, 1, 10, '2024-05-21', 1, 0, '88.5'),
    (3, 2, 20, '2024-03-01', 1, 601, 'x');
CREATE TABLE measurement (measurement_id INT, person_id INT, visit_occurrence_id INT, measurement_concept_id INT,
    measurement_date DATE, measurement_datetime TIMESTAMP, value_as_number DOUBLE, value_as_concept_id INT,
    unit_concept_id INT, unit_source_value VARCHAR, range_low DOUBLE, range_high DOUBLE);
INSERT INTO measurement VALUES
    (1, 1, 10, 701, '2024-05-20', TIMESTAMP '2024-05-20 08:15', 7.9, NULL, 801, 'pct', 4, 6),
    (2, 2, 21, 702, '2024-04-01', NULL, NULL, 9191, NULL, NULL, NULL, NULL),
    (3, 2, 21, 703, '2024-04-01', NULL, 1, NULL, NULL, NULL, NULL, NULL),
    (4, 1, NULL, 701, '2024-09-01', NULL, 5.5, NULL, NULL, '%', 4, 6);
CREATE TABLE drug_exposure (drug_exposure_id INT, person_id INT, visit_occurrence_id INT, drug_concept_id INT,
    drug_exposure_start_date DATE, quantity DOUBLE);
INSERT INTO drug_exposure VALUES (1, 2, 21, 901, '2024-04-01', 6), (2, 1, 10, 904, '2024-05-20', 2),
    (3, 3, 31, 904, '2024-07-15', 1);
CREATE TABLE cost (cost_id INT, cost_event_id INT, cost_domain_id VARCHAR, total_charge DOUBLE, total_cost DOUBLE,
    paid_by_patient DOUBLE);
INSERT INTO cost VALUES (1, 10, 'Visit', 20000.5, NULL, 3000), (2, 1, 'Drug', 80.25, NULL, NULL),
    (3, 2, 'Drug', NULL, 500, NULL), (4, 1, 'Procedure', 9000, NULL, NULL), (5, 21, 'Visit', 300, NULL, NULL);
"""


@pytest.fixture(scope="module")
def omop(tmp_path_factory):
    """Return the prepared tables of a small OMOP database, through the shipped views and mapping."""
    folder = tmp_path_factory.mktemp("omop")
    (folder / "data").mkdir()
    with duckdb.connect() as connection:
        connection.execute(OMOP)
        connection.execute((MODEL / "omop_views.sql").read_text(encoding="utf-8"))
        for table in ("discharge", "visit", "lab_result", "charge"):
            target = folder / "data" / f"{table}.parquet"
            connection.execute(f"COPY (SELECT * FROM farr_{table}) TO '{target}' (FORMAT parquet)")
    return prepared(folder / "home", folder / "data", "omop.toml", "model.toml")


def read(omop, table, columns, order):
    """Return rows of a prepared table with codes in place of positions."""
    tables, _reports = omop
    described = catalogue("model.toml").table(table)
    parts = [
        decoded("model.toml", table, name) if isinstance(described.column(name), CodeColumn) else f'"{name}"'
        for name in columns.split()
    ]
    return tables.execute(f"SELECT {', '.join(parts)} FROM {table} ORDER BY {order}").fetchall()


def test_omop_inpatient_visits_become_discharges(omop):
    """Age at admission, routes and ways by concept, a death within the stay, main and other codes, costs."""
    _tables, reports = omop
    assert reports["discharge"].kept == 4  # a stay without an end is none yet
    found = read(omop, "discharge", "age sex adm_route disch_way los dx_main op_main cost cost_drug", "adm_dt")
    assert found == [
        (0, "2", None, "1", 5, "P07", None, None, None),
        (33, "2", "2", "4", 3, "O82", "74.1", None, None),
        (73, "1", "1", "1", 10, "I21", "36.06", 2000050, 50000),
        (74, "1", "3", "5", 5, "I50", None, None, None),
    ]
    assert read(omop, "discharge", "age_days", "adm_dt") == [(5,), (None,), (None,), (None,)]


def test_omop_lists_feed_derived_columns_and_the_table_of_diagnoses(omop):
    """Secondary conditions are the list: diabetes and kidney disease of one stay, a delivery with its section."""
    assert read(omop, "discharge", "had_ami had_diabetes had_renal delivered caesarean readmit_31", "adm_dt") == [
        ("N", "N", "N", "N", "N", "N"),
        ("N", "N", "N", "Y", "Y", "N"),
        ("Y", "Y", "Y", "N", "N", "Y"),
        ("N", "N", "N", "N", "N", "N"),
    ]
    assert read(omop, "diagnosis", "dx_other dx_main", "adm_dt, dx_other") == [
        ("Z37", "O82"),
        ("E11", "I21"),
        ("N18", "I21"),
    ]


def test_omop_outpatient_and_emergency_visits_become_visits(omop):
    """The kind by concept, a diagnosis without a status too, and antibacterials only where there is any drug."""
    assert read(omop, "visit", "dt type dx_main rx_abx cost", "dt") == [
        (date.fromisoformat("2024-04-01"), "ER", "J10", "Y", 30000),
        (date.fromisoformat("2024-07-15"), "OP", "H66", "N", None),
    ]


def test_omop_measurements_and_costs_become_results_and_charges(omop):
    """LOINC items only, the flag from the answer or the range, drugs by ATC, costs of drugs and procedures."""
    assert read(omop, "lab_result", "ts item value unit flag setting sex", "ts") == [
        (date.fromisoformat("2024-04-01"), "94500-6", None, None, "POS", "ER", "2"),
        (date.fromisoformat("2024-05-20"), "4548-4", 790, "%", "H", "IP", "1"),
        (date.fromisoformat("2024-09-01"), "4548-4", 550, "%", "N", None, None),
    ]
    assert read(omop, "charge", "svc_dt cat amount atc", "svc_dt, cat") == [
        (date.fromisoformat("2024-04-01"), "drug", 8025, "J01C"),
        (date.fromisoformat("2024-05-20"), "drug", 50000, None),
        (date.fromisoformat("2024-05-20"), "op", 900000, None),
    ]


def test_omop_readings_that_are_no_value_are_counted_as_unusable_nowhere(omop):
    """The shipped concept ids cover the synthetic database: nothing is left over for the operator to look at."""
    _tables, reports = omop
    assert [
        (table.name, column.name) for table in reports.values() for column in table.columns if column.unusable
    ] == []
