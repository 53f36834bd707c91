"""The simulated year foresees what the command line foresees, and its bill is the sum of what is charged."""

import json
import time
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest

from benchmarks import year, year_pages
from benchmarks.year_rates import AD_HOC, FEDERATIONS, SPREAD, Federation
from benchmarks.year_simulation import MONTH, YEAR, Simulation, model, monthly, scope_of
from farr.cli.query import foresee
from farr.packs.indicators import Run, round_of
from farr.questions.asking import Terms, prepare
from farr.questions.foreseeing import expected
from queries.answers.figures import CAUTION
from queries.answers.foresight import NORMAL_95
from queries.cost.accounting import rho_of
from queries.sql import read

TEN, FIFTY, _PROVINCE, CITY = FEDERATIONS


def simulated(*names, federation=FIFTY, period=MONTH):
    """Return a simulation of named indicators."""
    return Simulation(federation=federation, indicators=monthly().named(names), period=period)


def test_one_indicator_is_foreseen_as_the_dry_run_prints_it(capsys):
    """Of a count, the relative error is what `farr query --dry-run --json` states; and it takes less than 5 seconds."""
    began = time.process_time()
    simulation = simulated("discharges")
    (figure,) = simulation.figures(1.0, 5_000)
    assert time.process_time() - began < 5
    (indicator,) = simulation.indicators
    sites = {f"site-{number:03d}": {} for number in range(FIFTY.hospitals)}
    run = Run(pack=monthly(), scope=scope_of(MONTH), catalogue=model(), sites=sites)
    question = read(run.statement(indicator, indicator.top), model(), sites, rows_per_patient=indicator.top.rows)
    asking = prepare(question, Terms(epsilon=1.0, expect=5_000), model(), hospitals=FIFTY.hospitals)
    foresee(SimpleNamespace(catalogue=model(), hospitals=(), late=lambda _asking: {}), asking, as_json=True)
    stated = json.loads(capsys.readouterr().out)["figures"]["value"]
    assert stated["value"] == pytest.approx(figure.value)
    assert 100 * stated["relative"] / NORMAL_95 == pytest.approx(figure.cv)


def test_indicators_are_foreseen_as_a_dry_run_of_the_pack_does():
    """Of means, shares, ratios of two tables and sums, the error is what `farr indicators run --dry-run` states."""
    simulation = simulated("los_mean", "readmission_31", "visits_per_discharge", "drug_share", "infections_per_bed_day")
    asking = simulation.at(0.7)
    stated = {each.indicator.name: each.found for each in expected(asking, simulation.asked, model(), 5_000)}
    figures = simulation.figures(0.7, 5_000)
    assert len(figures) == len(stated) == 5
    for each in figures:
        assert 100 * stated[each.indicator.name].relative / NORMAL_95 == pytest.approx(each.cv)


def test_a_prefecture_has_the_noise_of_the_whole():
    """Grouped by prefecture, every sum has the noise that it has without groups, to a thousandth."""
    simulation = simulated("discharges", "los_mean", "readmission_31", federation=TEN)
    facts = {"level": "3", "type": "GEN", "prefecture": "3301", "province": "33", "teaching": "Y", "beds": "0-99"}
    sites = {f"site-{number:03d}": facts for number in range(TEN.hospitals)}
    run = Run(pack=monthly(), scope=scope_of(MONTH, "prefecture"), catalogue=model(), sites=sites)
    grouped = round_of(run, simulation.indicators, skip=False).question
    noise = prepare(grouped, Terms(epsilon=1.0), model(), hospitals=TEN.hospitals).measurement.blocks
    whole = simulation.at(1.0).measurement.blocks
    assert [each.entries for each in noise] > [each.entries for each in whole]
    for one, other in zip(noise, whole, strict=True):
        assert float(one.variance(10)) == pytest.approx(float(other.variance(10)), rel=1e-3)


def test_diseases_lie_as_they_were_counted():
    """Rows of a disease are its share of the national counts; none is lost or invented."""
    found = {each.code: each for each in simulated("notifiable_cases").figures(1.0, 100_000)}
    cases = SPREAD["disease"]
    assert {code for code, figure in found.items() if figure.value > 1} <= set(cases)
    assert found["hfmd"].value / found["tb"].value == pytest.approx(cases["hfmd"] / cases["tb"])
    assert sum(figure.value for figure in found.values()) == pytest.approx(6_000)
    assert found["hfmd"].cases == pytest.approx(found["hfmd"].value)


def test_every_code_that_rows_lie_over_is_one_of_the_catalogue():
    """A misspelt disease or organism would drop its cases in silence."""
    for name, grouping in (("notifiable_cases", "disease"), ("resistance", "organism")):
        simulation = simulated(name)
        (view,) = simulation.asked.question.pages.views
        assert set(SPREAD[grouping]) <= set(simulation._codes(view))


def test_what_fits_is_free_to_use_and_what_does_not_is_left_out():
    """Of a chosen indicator nine in ten figures are within the bound; one far beyond it is not chosen."""
    simulation = simulated("discharges", "operated_share", "low_risk_mortality", federation=TEN)
    cells = year.prefectures(TEN)
    chosen = year.fitting(simulation, 1.0, cells)
    assert [each.name for each in chosen] == ["discharges", "operated_share"]
    found = replace(simulation, indicators=chosen).by_indicator(1.0, cells)
    assert all(figure.cv <= CAUTION for figures in found.values() for figure in figures)


def test_rare_figures_are_not_reckoned_with():
    """Eight deaths a month are no figure, whatever is paid; a city's eight hundred are one."""
    small, large = Federation(name="", prefectures=(3,)), CITY
    assert not simulated("mortality", federation=small).by_indicator(10.0, [small.monthly])
    assert simulated("mortality", federation=large).by_indicator(10.0, [large.monthly])["mortality"]


def test_the_price_of_one_indicator_is_the_price_at_which_it_fits():
    """Asked alone at the named epsilon, nine in ten figures are free to use; at nine tenths of it, they are not."""
    (indicator,) = monthly().named(("readmission_31",))
    cells = year.prefectures(FIFTY)
    price = year.alone(FIFTY, indicator, MONTH, cells)
    asked = simulated("readmission_31")
    shares = [
        year.share_reliable(asked.by_indicator(price * factor, cells)["readmission_31"]) for factor in (1.001, 0.9)
    ]
    assert shares[0] >= year.ENOUGH > shares[1]


def test_the_bill_is_the_sum_of_what_each_release_is_charged():
    """Rho adds up: 52 weeks, twenty of each question that is cheap enough, and the runs."""
    thrifty = year.YEARS[0]
    runs = year.Runs(epsilon=thrifty.run, fits=(), never=(), rho=Fraction(1, 8))
    bill = year.bill(FIFTY, runs, thrifty)
    prices = [year.price(FIFTY, question) for question in AD_HOC]
    assert bill.ad_hoc == 20 * sum(each for each in prices if each <= rho_of(thrifty.question))
    assert bill.rho == bill.packs + bill.weekly + bill.ad_hoc
    assert float(bill.weekly) == pytest.approx(52 * float(rho_of(thrifty.week)), rel=0.01)
    assert bill.weekly <= 52 * rho_of(thrifty.week)
    assert bill.years(10.0) == pytest.approx(float(rho_of(10.0) / bill.rho))


def test_a_dear_question_is_not_asked():
    """In a small federation the questions above the most that one may cost are left out of the bill and counted so."""
    bills = [
        year.bill(TEN, year.Runs(epsilon=kind.run, fits=(), never=(), rho=Fraction(0)), kind) for kind in year.YEARS
    ]
    assert bills[0].asked < bills[1].asked < 100
    assert bills[0].ad_hoc < bills[1].ad_hoc


def test_a_year_lets_a_patient_count_no_more_than_the_cap():
    """Of a table with a cap of 12 rows a year, a year's run is bounded by 12, not by twelve months' rows."""
    parts = simulated("los_mean", period=YEAR).asked.question.plan.parts
    assert [part.bound.rows for part in parts] == [12]


def test_the_document_holds_the_rates_of_the_pack():
    """Where the pack's sizes change, the page is made anew: python -m benchmarks year --write."""
    rates = "\n".join(year_pages.rates())
    assert rates in year_pages.DOCUMENT.read_text(encoding="utf-8")
