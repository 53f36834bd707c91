"""The whole pack of indicators at ten hospitals: one round, one cost, a million rows in all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import farr
from benchmarks.model_data import Hospital, Year
from benchmarks.process import cpu_seconds
from benchmarks.table import Figure
from farr.lab import up as labs
from farr.lab.hospitals import Hospital as LabHospital
from farr.lab.node_homes import policy_with
from farr.lab.record import Lab, analyst_home
from farr.lab.watchdog import Watch
from farr.packs.indicator_report import Report, report_of
from farr.packs.indicators import Round, Run, Scope, reason_of, round_of
from farr.packs.signed_packs import find, trusted
from farr.questions.asking import Terms
from farr.questions.foreseeing import SUPPRESS
from farr.questions.periods import period_of
from queries.agreed.catalogue import Label
from queries.agreed.catalogue_file import read_catalogue

TITLE = "The whole pack, ten hospitals, a million rows in all"
HOSPITALS, ROWS, TIMES = 10, 100_000, 3
GOAL = 10.0
MODEL = Path(__file__).resolve().parent.parent / "farr" / "model" / "model.toml"
PEOPLE = Fraction(9_600_000)
"""Every public number: its size does not matter here."""
PLACES = ("3301", "3302")
BUDGET = 100.0


@contextmanager
def federation(hospitals: int, rows: int, year: Year, policy: str) -> Iterator[tuple[Lab, Path]]:
    """Run hospitals that hold made-up records of the common model; yield the lab and the folder of their data."""
    catalogue = read_catalogue(MODEL.read_bytes(), MODEL.name)
    with TemporaryDirectory(prefix="farr-bench-") as folder:
        data, found = Path(folder, "data"), []
        for number in range(hospitals):
            site = f"site-{number:03d}"
            Hospital(site, rows, number, year).write(data / site, catalogue)
            facts = {
                "level": "3", "type": "GEN", "prefecture": PLACES[number % 2], "province": "33", "teaching": "Y",
                "beds": "500-999",
            }  # fmt: skip
            label = Label(en=site, zh=site)
            found.append(LabHospital(id=site, label=label, folder=data / site, attributes=facts))
        described = labs.Federation(catalogue=catalogue, hospitals=found, policy=policy)
        home = Path(folder, "lab")
        with Watch(home) as watch:
            lab = labs.up(home, described, watch)
            try:
                yield lab, data
            finally:
                labs.down(home)


def measure() -> list[Figure]:
    """Run the whole pack for a month, the first time and again."""
    month = Year(days=31)
    with federation(HOSPITALS, ROWS, month, policy_with(BUDGET)) as (lab, _data), farr.connect(lab.home) as connection:
        asked, price = _asked(connection, analyst_home(lab.home))
        before = {process.name: cpu_seconds(process.pid) for process in lab.processes}
        first, report = _timed(connection, asked)
        used = {process.name: cpu_seconds(process.pid) - before[process.name] for process in lab.processes}
        again = sorted(_timed(connection, asked)[0] for _ in range(TIMES))[TIMES // 2]
        hospitals = connection.budget()
    charged = report.result.cost_units
    figures = [figure for each in report.reported for figure in each.figures]
    shown = sum(figure.display != SUPPRESS for figure in figures)
    parts = len(asked.question.plan.parts)
    node = max(used[name] for name in used if name != "coordinator")
    spent = {(each.lifetime_units or 0) - (each.remaining_units or 0) for each in hospitals}
    same = spent == {(TIMES + 1) * charged}
    return [
        Figure(
            what="indicators, figures, parts of the plan",
            value=f"{len(report.reported)}, {len(figures)}, {parts}",
            goal="one round",
        ),
        Figure(what="first run, question to report", value=f"{first:.1f} s", goal=f"{GOAL:.0f} s"),
        Figure(what="a later run of the same month, median", value=f"{again:.1f} s"),
        Figure(what="CPU of a node in the first run, slowest", value=f"{node:.1f} s"),
        Figure(what="cost printed, cost charged (ledger units)", value=f"{price:,}, {charged:,}", goal="equal"),
        Figure(what="the ledgers agree", value="yes" if same else "no", goal="yes"),
        Figure(what="figures that may be shown at epsilon 1", value=f"{shown} of {len(figures)}"),
    ]


def _asked(connection: farr.Federation, home: Path) -> tuple[Round, int]:
    pack = trusted(find(None, home), unsigned=False)
    scope = Scope(period=period_of("2026-09"), region=("33",), public=dict.fromkeys(pack.public, PEOPLE))
    run = Run(pack=pack, scope=scope, catalogue=connection.catalogue, sites=connection.known.roster.nodes)
    asked = round_of(run, pack.indicators, skip=False)
    terms = Terms(epsilon=1.0, reason=reason_of(asked))
    return asked, connection.estimate(asked.question, terms).measurement.cost


def _timed(connection: farr.Federation, asked: Round) -> tuple[float, Report]:
    began = time.perf_counter()
    terms = Terms(epsilon=1.0, reason=reason_of(asked), fresh=True)
    report = report_of(asked, connection.ask(asked.question, terms), "registrar")
    return time.perf_counter() - began, report
