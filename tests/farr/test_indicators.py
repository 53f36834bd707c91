"""A pack of indicators on its way out: periods, places, signatures, one round, what to expect, what is shown."""

import re
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import farr
from farr.cli import indicator_pages, main
from farr.errors import FarrError
from farr.figures.result import Result
from farr.packs.indicators import MOST_REASON, Run, Scope, reason_of, round_of
from farr.packs.pack_check import faults_of
from farr.packs.pack_document import document
from farr.packs.signed_packs import beside, find, read, shipped, signature_of, trusted
from farr.questions import asking as askings
from farr.questions.asking import Terms
from farr.questions.foreseeing import SUPPRESS, display_of, expected
from farr.questions.periods import period_of
from protocols.roster import REGISTRAR
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.pack_file import read_pack
from queries.asked.plan import Members, Not, SiteIs
from queries.cost.tally import FULL, tally
from queries.errors import QueryError
from tests.farr import drawing, harbour

ROOT = Path(farr.__file__).parent
DOCUMENT = ROOT.parent / "docs" / "indicators.md"
HAN = re.compile(r"[\u4e00-\u9fff]")
WANTED = {8, 14, 25, 30, 31, 32, 33, 42}
FACTS = {"level": "3", "type": "GEN", "teaching": "Y", "beds": "500-999"}
SITES = {
    "hangzhou": FACTS | {"prefecture": "3301", "province": "33"},
    "jiande": FACTS | {"prefecture": "3301", "province": "33"},
    "ningbo": FACTS | {"prefecture": "3302", "province": "33"},
    "nanjing": FACTS | {"prefecture": "3201", "province": "32"},
    "guangzhou": FACTS | {"prefecture": "4401", "province": "44"},
}
AGES = ("population_0_14", "population_15_44", "population_45_64", "population_65")
PUBLIC = {"beds": Fraction(900), **dict.fromkeys(("population", "population_15", *AGES), Fraction(9_600_000))}
NEEDY = {"bed_use", "incidence", "incidence_standardised", "avoidable_admissions"}
"""Indicators that need public numbers."""


@cache
def model():
    """Read the common model."""
    return read_catalogue((ROOT / "model" / "model.toml").read_bytes(), "model.toml")


@cache
def pack():
    """Read the shipped pack."""
    return read(shipped())


def a_run(**scope):
    """Return a run of the shipped pack for October."""
    described = Scope(**{"period": period_of("2026-10"), "public": PUBLIC, **scope})
    return Run(pack=pack(), scope=described, catalogue=model(), sites=SITES)


# --- the pack that ships


def test_the_shipped_pack_covers_what_commissions_ask():
    """At least 36 of the 44 numbers, among them the hard ones; every text in both languages."""
    assert len(pack().numbers) >= 36
    assert set(pack().numbers) >= WANTED
    for each in pack().indicators:
        texts = (each.label, each.definition, each.numerator, each.denominator)
        assert all(HAN.search(text.zh) and not HAN.search(text.en) for text in texts), each.name
        assert each.source, each.name


def test_every_indicator_can_be_asked_with_every_grouping_that_it_names():
    """Over the common model, alone, with each of its groupings, and all of them in one round."""
    assert [(fault.indicator.name, fault.by, str(fault.error)) for fault in faults_of(pack(), model())] == []


def test_a_pack_of_another_catalogue_is_refused():
    """A pack says which catalogue its questions are about."""
    other = read_pack(pack().source.replace(b'catalogue = "common"', b'catalogue = "other"'), "other.toml")
    with pytest.raises(FarrError) as caught:
        faults_of(other, model())
    assert caught.value.code == "pack"


def test_the_document_shows_the_pack_as_it_is():
    """docs/indicators.md holds the table that is made from the file: `farr indicators list --markdown`."""
    assert document(pack()) in DOCUMENT.read_text(encoding="utf-8")


# --- periods


@pytest.mark.parametrize(
    ("written", "first", "last", "months"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31), 12),
        ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31), 3),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31), 3),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29), 1),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31), 1),
        ("2026-W41", date(2026, 10, 5), date(2026, 10, 11), 1),
        ("2026-W53", date(2026, 12, 28), date(2027, 1, 3), 2),
        ("2026-10-05", date(2026, 10, 5), date(2026, 10, 5), 1),
        ("2026-09..2026-10", date(2026, 9, 1), date(2026, 10, 31), 2),
        ("2025-W52..2026-Q1", date(2025, 12, 22), date(2026, 3, 31), 4),
    ],
)
def test_periods_are_read_as_commissions_write_them(written, first, last, months):
    """Years, quarters, months, ISO weeks, days, and from one to another."""
    period = period_of(written)
    assert (period.first, period.last, period.months) == (first, last, months)
    assert period.days == (last - first).days + 1


@pytest.mark.parametrize(
    "written", ["", "26", "2026-13", "2026-Q5", "2026-W54", "2026-02-30", "2026-10..2026-09", "0000", "2026-10-", "x"]
)
def test_what_is_no_period_is_refused(written):
    """With the ways to write one."""
    with pytest.raises(FarrError) as caught:
        period_of(written)
    assert caught.value.code == "period"


# --- places


@pytest.mark.parametrize(
    ("region", "sites"),
    [
        (("3301",), ("hangzhou", "jiande")),
        (("330100",), ("hangzhou", "jiande")),
        (("33",), ("hangzhou", "jiande", "ningbo")),
        (("330000",), ("hangzhou", "jiande", "ningbo")),
        (("3",), ("hangzhou", "jiande", "nanjing", "ningbo")),
        (("3302", "44"), ("guangzhou", "ningbo")),
        ((), tuple(sorted(SITES))),
    ],
)
def test_a_region_is_the_hospitals_in_it(region, sites):
    """By the facts of the roster and the dated list: a prefecture, a province, a large region, several."""
    asked = round_of(a_run(region=region), pack().named(("mortality", "visits_per_discharge")), skip=False)
    assert asked.question.sites == sites


def test_a_county_has_no_hospitals_of_its_own():
    """Facts about hospitals stop at the prefecture; residence goes on."""
    with pytest.raises(FarrError) as caught:
        a_run(region=("330102",)).question(pack().indicator("mortality"))
    assert caught.value.code == "region"
    where = a_run(residence=("330102",)).question(pack().indicator("mortality")).part.where
    assert Members(column="region", codes=("330102",)) in where.terms
    with pytest.raises(QueryError):
        a_run(residence=("999999",)).question(pack().indicator("mortality"))


def test_residence_is_asked_by_membership_in_the_list():
    """A prefecture of patients is a level of the column; tables without a residence are left out, or refused."""
    asked = round_of(a_run(residence=("3301",)), pack().indicators, skip=True)
    assert {left.indicator.top.table for left in asked.left} >= {"lab_result", "charge"}
    for part in asked.question.plan.parts:
        assert Members(column="region", codes=("3301",), level="prefecture") in part.where.terms
    with pytest.raises(FarrError) as caught:
        round_of(a_run(residence=("3301",)), pack().named(("mrsa",)), skip=False)
    assert caught.value.code == "indicator"


# --- one round


def test_a_public_number_is_an_argument():
    """Without it the indicator is left out of all, and refused by name; with it, it enters exactly."""
    asked = round_of(a_run(public={}), pack().indicators, skip=True)
    assert {left.indicator.name for left in asked.left} == NEEDY
    with pytest.raises(FarrError, match="beds"):
        a_run(public={}).question(pack().indicator("bed_use"))
    statement = a_run().statement(pack().indicator("bed_use"), pack().indicator("bed_use").top)
    assert "100 * SUM(los) / (900 * 31)" in statement


def test_groupings_are_those_that_the_indicator_names():
    """By name or as the pack writes them, together with its own; any other is refused."""
    resistance = pack().indicator("resistance")
    keys = a_run(by=("month", "site.level")).question(resistance).part.keys
    assert [type(key).__name__ for key in keys] == ["DateKey", "AttributeKey", "CodeKey"]
    with pytest.raises(FarrError) as caught:
        a_run(by=("sex",)).question(resistance)
    assert "organism" not in caught.value.remedy
    with pytest.raises(FarrError, match="grouping"):
        a_run(by=("sexx",)).question(resistance)


def test_diseases_of_class_a_are_never_asked():
    """Every question of reports leaves them out, and their rows do not show: they belong to the statutory channel."""
    barred = Not(term=Members(column="disease", codes=("A",), level="class"))
    for each in pack().indicators:
        if each.top.table == "case_report":
            where = a_run().question(each).part.where
            named = [term for term in where.terms if isinstance(term, Members) and term.level == "class"]
            assert barred in where.terms or (named and "A" not in named[0].codes), each.name
            assert "statutory" in each.note.en
    cases = pack().indicator("notifiable_cases")
    classes = model().table("case_report").column("disease").codes
    top = {code.code for code, of in zip(classes.codes, classes.level("class").group_of, strict=True) if of == 0}
    assert top <= set(cases.without)


def test_a_patient_adds_no_more_rows_than_the_pack_says():
    """For each month of the period, and never more than the catalogue's cap."""
    mortality = pack().indicator("mortality")
    for written, rows in (("2026-10", 3), ("2026-Q4", 9), ("2026", 12), ("2026-W41", 3)):
        assert a_run(period=period_of(written)).question(mortality).part.bound.rows == rows


def test_every_block_gets_the_share_of_its_indicators_weight():
    """However many figures a table has: a block's share of the loss is its indicator's weight over all."""
    asked = round_of(a_run(), pack().indicators, skip=False)
    layout = tally(asked.question.plan, model())
    parts = asked.question.plan.parts
    weights = {each.name: each.weight for each in asked.indicators}
    wanted = {view.part: weights[view.title] for view in asked.question.pages.views}
    for index, part in enumerate(parts):
        blocks = sum(block.weight for block in layout.blocks if block.part == index)
        if index in wanted:
            share = Fraction(part.weight * FULL, blocks)
            assert share == pytest.approx(wanted[index], rel=0.5 / part.weight + 1e-9)


def test_what_two_indicators_have_in_common_is_measured_once():
    """Discharges are the bottom of one ratio and a figure of their own; one part serves both."""
    both = round_of(a_run(), pack().named(("los_mean", "cost_per_case")), skip=False)
    assert len(both.question.plan.parts) == 1


def test_hospitals_see_which_pack_was_asked():
    """The reason names pack, digest, period and place, and fits into a request."""
    asked = round_of(a_run(region=("33",), by=("month",)), pack().named(("mortality",)), skip=False)
    assert reason_of(asked, "routine") == f"pack monthly@{pack().digest.hex()[:8]} 2026-10 region 33 by month: routine"
    assert len(reason_of(asked, "x" * 500)) == MOST_REASON


def test_nothing_left_to_ask_is_refused():
    """Rather than an empty question."""
    with pytest.raises(FarrError, match="beds"):
        try:
            round_of(a_run(public={}), pack().named(("bed_use",)), skip=True)
        except FarrError as error:
            raise FarrError(error.code, error.remedy) from error


def test_conditions_on_hospitals_are_the_only_ones_on_who_answers():
    """A region narrows who is asked by public facts alone."""
    part = round_of(a_run(region=("3301",)), pack().named(("mortality",)), skip=False).question.part
    assert SiteIs(attribute="prefecture", codes=("3301",)) in part.where.terms


# --- what to expect


def foreseen(discharges, **scope):
    """Return what to expect of the whole pack at ten hospitals."""
    run = replace(a_run(**scope), sites={f"h{number}": SITES["hangzhou"] for number in range(10)})
    asked = round_of(run, pack().indicators, skip=True)
    asking = askings.prepare(asked.question, Terms(epsilon=1.0), model(), hospitals=10)
    return {each.indicator.name: each for each in expected(asking, asked, model(), discharges)}


def test_typical_values_are_foreseen_from_the_number_of_discharges():
    """Shares and means come out as the pack says, counts as the discharges; more discharges, less relative noise."""
    few, many = foreseen(60_000), foreseen(600_000)
    assert few["discharges"].found.value == pytest.approx(60_000)
    assert few["visits"].found.value == pytest.approx(17 * 60_000)
    assert few["mortality"].found.value == pytest.approx(0.5)
    assert few["los_mean"].found.value == pytest.approx(8.8)
    assert few["visits_per_discharge"].found.value == pytest.approx(17)
    for name, each in few.items():
        assert each.found.relative is None or many[name].found.relative < each.found.relative, name
    assert sum(each.display != SUPPRESS for each in many.values()) > sum(
        each.display != SUPPRESS for each in few.values()
    )
    assert few["mortality"].more > 1 or few["mortality"].display != SUPPRESS


def test_a_grouping_that_is_too_fine_is_named():
    """Where leaving one out would do, it is the least coarse one that does."""
    found = foreseen(600_000, period=period_of("2026"), by=("month",))
    assert "transfer_rate" in found
    coarse = [each for each in found.values() if each.coarser]
    assert coarse
    assert {each.coarser for each in coarse} == {"month"}
    assert all(1 < each.more <= 12 for each in coarse)


def test_an_indicators_own_rule_decides_what_is_shown():
    """From its two thresholds on the noise's standard deviation; an unknown error is not shown."""
    mortality = pack().indicator("mortality")
    assert [display_of(mortality, 1.96 * percent / 100) for percent in (16, 17, 33, 34)] == [
        "show", "caution", "caution", "suppress",
    ]  # fmt: skip
    assert display_of(mortality, None) == SUPPRESS


# --- signatures


@pytest.fixture
def home(tmp_path):
    """An analyst's home in a federation of its own."""
    folder = tmp_path / "home"
    harbour.home(folder)
    return folder


def signed(folder, source, *, signer=REGISTRAR, key="registrar", federation="harbour"):
    """Write a pack and its signature."""
    file = folder / "p.toml"
    file.write_bytes(source)
    beside(file).write_bytes(signature_of(read(file), federation=federation, signer=signer, key=harbour.key(key)))
    return file


def test_a_changed_pack_or_another_signer_is_refused(tmp_path, home):
    """One byte, another key, another federation or no signature: asked only where that is said out loud."""
    file = signed(tmp_path, pack().source)
    assert find(file, home).signer == REGISTRAR
    assert trusted(find(file, home), unsigned=False).digest == pack().digest
    file.write_bytes(pack().source.replace(b'version = "2026-11"', b'version = "2026-12"'))
    with pytest.raises(FarrError) as caught:
        find(file, home)
    assert caught.value.code == "pack-signature"
    for wrong in ({"key": "analyst"}, {"federation": "other"}, {"signer": "nobody"}):
        with pytest.raises(FarrError) as caught:
            find(signed(tmp_path, pack().source, **wrong), home)
        assert caught.value.code == "pack-signature"
    by_member = find(signed(tmp_path, pack().source, signer="analyst", key="analyst"), home)
    assert by_member.signer == "analyst"
    beside(file).unlink()
    unsigned = find(file, home)
    for held in (by_member, unsigned):
        with pytest.raises(FarrError) as caught:
            trusted(held, unsigned=False)
        assert caught.value.code == "pack-unsigned"
        assert trusted(held, unsigned=True) == held.pack


def test_an_oversized_or_broken_signature_is_refused(tmp_path, home):
    """Before anything is computed from it."""
    file = signed(tmp_path, pack().source)
    for content in (b"", b"x" * 5000, b"\xff" * 40):
        beside(file).write_bytes(content)
        with pytest.raises(FarrError) as caught:
            find(file, home)
        assert caught.value.code == "pack-signature"


def test_each_indicator_of_a_run_is_drawn_and_printed(monkeypatch, tmp_path, capsys):
    """Two indicators, two pictures, each under its own name; where one cannot be drawn, the figures are printed first.

    They were paid for.
    """
    tables = [
        drawing.answer([drawing.estimate("value")], [(drawing.figure(40.0, 3.0),)], title=name)
        for name in ("discharges", "los_mean")
    ]
    federation = MagicMock(catalogue=model(), ask=lambda *_asked, **_terms: drawing.result(*tables))
    federation.__enter__.return_value = federation
    federation.known.roster.nodes = SITES
    monkeypatch.setattr(farr, "connect", lambda _home: federation)
    monkeypatch.setattr(indicator_pages, "footnotes", lambda _result: [])
    drawn = []
    monkeypatch.setattr(Result, "plot", lambda _result, path, **table: drawn.append((path.name, table["table"])))
    run = ["indicators", "run", "discharges", "los_mean", "--period", "2026-10", "--unsigned", "--home", str(tmp_path)]
    run += ["--plot", str(tmp_path / "october.png")]
    assert main.main(run, {}) == 0
    assert drawn == [("october-discharges.png", "discharges"), ("october-los_mean.png", "los_mean")]
    printed = capsys.readouterr().out

    def fail(*_given, **_table):
        raise FarrError("no-plot", "nothing to draw")

    monkeypatch.setattr(Result, "plot", fail)
    assert main.main(run, {}) == 1
    assert capsys.readouterr().out == printed
