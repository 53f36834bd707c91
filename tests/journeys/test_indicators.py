"""The monthly pack from the command line: five hospitals with made-up records, signed, foreseen, run, charged."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import farr
from benchmarks.model_data import Hospital
from farr.lab.node_homes import policy_of
from queries.agreed.catalogue_file import read_catalogue
from tests.farr.pooled_indicators import truths

MODEL = Path(farr.__file__).parent / "model" / "model.toml"
PACK = Path(farr.__file__).parent / "packs" / "monthly.toml"
SITES = 5
SOON = 240
NEAR = (
    "discharges", "visits", "los_mean", "visits_per_discharge", "level4_share", "transfers_down", "readmission_31",
    "caesarean_rate", "mrsa", "cost_per_case", "cost_outliers", "split_admissions", "recognition_rate", "ili_share",
)  # fmt: skip

pytestmark = pytest.mark.slow


def command(*arguments, code=0):
    """Run `farr` and return what it printed."""
    process = subprocess.run(
        [sys.executable, "-m", "farr", *arguments], capture_output=True, text=True, check=False, timeout=SOON
    )
    assert process.returncode == code, process.stderr + process.stdout
    return process.stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab of five hospitals whose policy allows a price at which the noise is all but gone; and their records."""
    folder = tmp_path_factory.mktemp("pack")
    catalogue = read_catalogue(MODEL.read_bytes(), MODEL.name)
    facts, tables = [], []
    for number in range(SITES):
        site = f"h{number}"
        tables.append(Hospital(site, 8000, number).tables())
        Hospital(site, 8000, number).write(folder / "data" / site, catalogue)
        place = "3301" if number < 3 else "3302"
        attributes = f'{{ level = "3", type = "GEN", prefecture = "{place}", province = "33", teaching = "Y" }}'
        facts.append(f'[{site}]\nlabel = "{site}"\nattributes = {attributes}\n')
    (folder / "data" / "hospitals.toml").write_text("".join(facts))
    budgets = dict.fromkeys(("lifetime_epsilon", "epsilon_per_period", "approval_above_epsilon", "statistics"), "100.0")
    text = policy_of(**budgets, most_epsilon_per_question="95.0", newcomer_days="0")
    (folder / "policy.toml").write_text(text)
    home = str(folder / "lab")
    command(
        "lab", "up", "--home", home, "--catalogue", str(MODEL), "--data", str(folder / "data"),
        "--policy", str(folder / "policy.toml"), "--json",
    )  # fmt: skip
    pooled = {name: pd.concat([each[name] for each in tables], ignore_index=True) for name in tables[0]}
    yield home, pooled
    command("lab", "down", "--home", home)


def left(home):
    """Return what is left of each hospital's budget, in ledger units."""
    hospitals = json.loads(command("budget", "--home", home, "--json"))
    return {each["site"]: each["remaining"]["units"] for each in hospitals}


def test_the_whole_pack_in_one_round_costs_what_was_printed(lab):
    """A dry run prints a price and charges nothing; the run charges each hospital that price, once, for all figures."""
    home, _pooled = lab
    run = ("indicators", "run", "--all", "--period", "2026-10", "--region", "33", "--home", home, "--json")
    before = left(home)
    dry = json.loads(command(*run, "--dry-run", "--expect", "50000"))
    assert left(home) == before
    assert (dry["pack"]["signer"], len(dry["indicators"])) == ("registrar", 74)
    answered = json.loads(command(*run))
    after = left(home)
    assert {before[site] - after[site] for site in before} == {dry["cost"]["units"]}
    assert answered["cost"]["units"] == dry["cost"]["units"]
    assert {each["name"] for each in answered["left_out"]} == {
        "bed_use", "incidence", "incidence_standardised", "avoidable_admissions",
    }  # fmt: skip
    assert [each["name"] for each in answered["indicators"]] == [each["name"] for each in dry["indicators"]]
    assert all(each["figures"] for each in answered["indicators"])
    again = json.loads(command(*run))
    assert again["release"]["reused"] is True
    assert left(home) == after


def test_at_a_huge_price_the_figures_are_those_of_the_pooled_records(lab):
    """Fourteen indicators of four tables, near of what pandas says, which are narrow."""
    home, pooled = lab
    expected = truths(pooled)
    answered = json.loads(
        command("indicators", "run", *NEAR, "--period", "2026-10", "--epsilon", "90", "--home", home, "--json")
    )
    figures = {each["name"]: each["figures"][0] for each in answered["indicators"]}
    assert set(figures) == set(NEAR)
    for name, figure in figures.items():
        half = (figure["high"] - figure["low"]) / 2
        assert abs(figure["value"] - expected[name]) < 3 * half, name
        assert half < 0.35 * expected[name], name
    assert sum((figures[name]["high"] - figures[name]["low"]) < 0.2 * expected[name] for name in NEAR) >= 10


def test_hospitals_see_the_pack_in_their_ledger_and_people_a_table(lab):
    """The purpose names pack, digest, period and place; a table shows a dash where the rule says so."""
    home, _pooled = lab
    shown = command("indicators", "run", "13", "1", "34", "--period", "2026-10", "--region", "3301", "--home", home)
    assert "signed by registrar" in shown
    assert "—" in shown
    assert "statutory channel" in shown
    assert "Plague" not in shown
    ledger = command("node", "ledger", "--home", f"{home}/nodes/h0", "--json")
    assert '"pack monthly@' in ledger
    assert "2026-10 region 3301" in ledger
    chinese = command("--lang", "zh", "indicators", "show", "readmission_31", "--home", home)
    assert "出院31天非计划再入院率" in chinese


def test_only_a_pack_that_the_registrar_signed_is_run(lab, tmp_path):
    """A copy without a signature is refused, and taken where that is said; the registrar's own home signs it."""
    home, _pooled = lab
    copy = tmp_path / "own.toml"
    copy.write_bytes(PACK.read_bytes().replace(b'name = "monthly"', b'name = "own"', 1))
    run = ("indicators", "run", "discharges", "--period", "2026-10", "--home", home, "--pack", str(copy), "--dry-run")
    assert "pack-unsigned" in command(*run, "--json", code=1)
    command(*run, "--unsigned")
    command("indicators", "check", str(copy), "--home", home)
    command("indicators", "sign", str(copy), "--home", f"{home}/registrar")
    assert "registrar" in command("indicators", "verify", str(copy), "--home", home)
    command(*run)
    copy.write_bytes(copy.read_bytes().replace(b'version = "2026-11"', b'version = "2026-12"'))
    assert "pack-signature" in command(*run, "--json", code=1)
