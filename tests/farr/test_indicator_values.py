"""The shipped pack over made-up records: its exact figures are those of the pooled records in pandas."""

import csv
import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import farr
from benchmarks.model_data import Hospital, whole
from farr.packs.indicator_report import report_of
from farr.packs.indicators import Run, Scope, round_of
from farr.packs.signed_packs import read, shipped
from farr.questions.periods import period_of
from queries.agreed.catalogue import Label
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.pack import FIGURE
from queries.answers.answer import Answer, AnswerColumn, AnswerRow
from queries.answers.figures import Estimate
from tests.distributions.pooled import SITE, records_of
from tests.farr import drawing
from tests.farr.pooled_indicators import PUBLIC, standardised_mortality, survival, truths

MODEL = Path(farr.__file__).parent / "model" / "model.toml"
SUMMED = ("referral_matrix", "referrals_out", "violations_by_rule", "notifiable_cases")
"""Counts by a grouping of their own: their cells add up to what pandas counts."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Return the pooled tables, and by indicator the exact figures of one round of the whole pack."""
    catalogue = read_catalogue(MODEL.read_bytes(), MODEL.name)
    made = [Hospital(f"h{number}", 6000, number).tables() for number in range(4)]
    tables = {name: pd.concat([each[name] for each in made], ignore_index=True) for name in made[0]}
    frames = {name: whole(frame, catalogue, name) for name, frame in tables.items()}
    records = records_of(tmp_path_factory.mktemp("pooled"), catalogue, frames)
    pack = read(shipped())
    public = {name: Fraction(value) for name, value in PUBLIC.items()}
    scope = Scope(period=period_of("2026-10"), public=public)
    run = Run(pack=pack, scope=scope, catalogue=catalogue, sites={SITE: {}})
    asked = round_of(run, pack.indicators, skip=False)
    found = {}
    for answer in records.released(asked.question).truth():
        place = [column.name for column in answer.columns].index(FIGURE)
        found[answer.title] = [row.cells[place].value for row in answer.rows]
        assert all(isinstance(row.cells[place], Estimate) for row in answer.rows)
    # This one takes a bias off that goes with the noise, so it is exact only where there is next to none.
    alone = round_of(run, pack.named(("stroke_mortality_standardised",)), skip=False)
    (answer,) = records.released(alone.question).truth()
    found["stroke_mortality_standardised"] = [answer.rows[0].cells[0].value]
    records.scanner.close()
    return tables, found, asked


def test_the_exact_figures_are_those_of_the_pooled_records(answered):
    """Thirty-odd indicators, from plain counts to readmissions, first isolates and ratios of two tables."""
    tables, found, _asked = answered
    expected = truths(tables)
    assert {14, 25, 31, 42} <= {each.number for each in _asked.indicators if each.name in expected}
    got = {name: sum(found[name]) if name in SUMMED else found[name][0] for name in expected}
    assert got == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-9)
    assert sum(value != 0 for value in got.values()) > 30


def test_survival_is_near_that_of_the_pooled_records(answered):
    """Kaplan and Meier's, up to what bands of time leave out."""
    tables, found, _asked = answered
    for name, days in (("cancer_survival_1", 366), ("cancer_survival_5", 1826)):
        assert found[name][0] == pytest.approx(100 * survival(tables, days), abs=2.0)


def test_a_standardised_share_is_that_of_the_pooled_records(answered):
    """The shares of the groups of ages, weighted by the census."""
    tables, found, _asked = answered
    expected = standardised_mortality(tables)
    assert found["stroke_mortality_standardised"][0] == pytest.approx(expected, abs=0.05)


def test_all_indicators_are_answered_in_one_round(answered):
    """One question holds them all, each a table of its own; only quotients of an empty bottom have no value."""
    _tables, found, asked = answered
    assert list(found) == [each.name for each in asked.pack.indicators]
    assert len(asked.question.plan.parts) < len(found)
    undefined = [name for name, values in found.items() if not any(v is not None and np.isfinite(v) for v in values)]
    assert undefined == []


def test_figures_are_shown_by_their_rule_and_kept_in_json(answered, tmp_path):
    """Noise and few rows hide a figure in CSV, not in JSON; rows of class A diseases are in neither."""
    tables, _found, asked = answered
    catalogue = read_catalogue(MODEL.read_bytes(), MODEL.name)
    frames = {name: whole(frame, catalogue, name) for name, frame in tables.items()}
    wanted = ("discharges", "los_mean", "low_risk_mortality", "notifiable_cases", "clots_after_surgery")
    run = Run(pack=asked.pack, scope=replace(asked.scope, public={}), catalogue=catalogue, sites={SITE: {}})
    few = round_of(run, asked.pack.named(wanted), skip=False)
    records = records_of(tmp_path, catalogue, {name: frames[name] for name in ("discharge", "case_report")})
    (answers,) = records.released(few.question).releases(1, epsilon=3.0, seed=5)
    records.scanner.close()
    hostile = replace(few.indicators[0], label=Label(en="=1+1", zh="=1+1"))
    few = replace(few, indicators=(hostile, *few.indicators[1:]))
    report = report_of(few, drawing.result(*answers, statement=""), "registrar")
    by_name = {each.indicator.name: each for each in report.reported}
    assert by_name["discharges"].figures[0].display == "show"
    assert by_name["low_risk_mortality"].figures[0].display == "suppress"
    codes = [dict(figure.group)["disease"] for figure in by_name["notifiable_cases"].figures]
    assert "influenza" in codes
    assert not {"plague", "cholera"} & set(codes)
    nobody = next(f for f in by_name["notifiable_cases"].figures if dict(f.group)["disease"] == "sars")
    assert nobody.display == "suppress"
    assert nobody.rows == nobody.estimate.value
    text = report.to_csv()
    assert text.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    shown = {(line["name"], line["group"]): line for line in lines}
    assert float(shown["discharges", ""]["value"]) == by_name["discharges"].figures[0].estimate.value
    assert shown["low_risk_mortality", ""]["value"] == ""
    assert shown["discharges", ""]["label"] == "'=1+1"
    assert shown["discharges", ""]["farr_pack"] == asked.pack.title
    assert shown["discharges", ""]["farr_release"] == drawing.result(*answers).release
    assert shown["notifiable_cases", "disease=sars"]["display"] == "suppress"


def test_a_figure_that_rests_on_too_few_rows_is_not_shown(answered):
    """Even where the noise would let it pass."""
    _tables, _found, asked = answered
    rule = asked.pack.indicator("discharges")
    strict = replace(rule, reliability=replace(rule.reliability, least=10_000_000))
    sure = Estimate(value=2000.0, low=1999.0, high=2001.0, flags=(), deviation=0.51)
    column = AnswerColumn(name=FIGURE, kind="estimate", unit="rows")
    answer = Answer(
        columns=(column,), rows=(AnswerRow(cells=(sure,)),), labels={}, flags=(), hidden=0, title=rule.name
    )  # fmt: skip
    for indicator, display in ((rule, "show"), (strict, "suppress")):
        few = replace(asked, indicators=(indicator,))
        report = report_of(few, SimpleNamespace(answers=(answer,)), "")
        assert report.reported[0].figures[0].display == display


def test_a_figure_whose_interval_was_cut_is_judged_by_its_noise(answered):
    """A share of -1.8 %, sd 1 point: all that is left of its interval is 0 to 0.16, and it is not to be shown."""
    _tables, _found, asked = answered
    rule = asked.pack.indicator("mortality")
    drowned = Estimate(value=-1.8, low=0.0, high=0.16, flags=("unreliable", "negative"), deviation=1.0)
    column = AnswerColumn(name=FIGURE, kind="estimate", unit="%", bounds=(0.0, 100.0))
    answer = Answer(
        columns=(column,), rows=(AnswerRow(cells=(drowned,)),), labels={}, flags=(), hidden=0, title=rule.name
    )  # fmt: skip
    report = report_of(replace(asked, indicators=(rule,)), SimpleNamespace(answers=(answer,)), "")
    assert report.reported[0].figures[0].display == "suppress"
