"""A made-up hospital's stays with all that models read, several of a patient, for tests of rounds of training."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from node.records.prepare import Prepared, prepare
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.plan import (
    EVERYTHING,
    ONE,
    POINT,
    Aggregate,
    AppStep,
    AttributeKey,
    BandKey,
    Bound,
    CodeKey,
    FlagKey,
    Layer,
    Members,
    NumberTerm,
    Part,
    Plan,
    Predicate,
    SiteKey,
    Split,
    Step,
)
from queries.cost.setting import Setting
from queries.cost.tally import Tally, tally
from queries.models.shape import shape_of

SITE_KEY = bytes(range(32))
ATTRIBUTES = {"country": "IT"}

AGREED = read_catalogue(
    """
name = "stays"
version = "1"
sites_per_patient = 1
rows_per_site = 100_000
[site.country]
codes = ["UK", "IT", "FR"]
[codes.dx]
version = "1"
codes = ["I61", "I63", "J18"]
[[codes.dx.levels]]
name = "chapter"
groups = { IX = { en = "IX", members = ["I61", "I63"] }, X = { en = "X", members = ["J18"] } }
[tables.stay]
patient = "pid"
rows_per_patient = 6
[tables.stay.columns.sex]
codes = ["M", "F"]
[tables.stay.columns.dx]
codes = "dx"
[tables.stay.columns.sbp]
number = { low = 0, high = 300, step = "0.1" }
[tables.stay.columns.age]
number = { low = 0, high = 110 }
[tables.stay.columns.falls]
number = { low = 0, high = 50 }
[tables.stay.columns.days]
number = { low = 0, high = 180 }
[tables.stay.columns.score]
number = { low = -2_147_000_000, high = 500 }
[tables.stay.columns.died]
codes = ["N", "Y"]
[tables.stay.columns.admitted]
date = { first = 2020-01-01, last = 2022-12-31 }
""".replace('"0.1"', "0.1").encode(),
    "stays.toml",
)
HEADER = "pid,sex,dx,sbp,age,falls,days,score,died,admitted\n"
DIED = FlagKey(term=Members(column="died", codes=("Y",)))
TERMS = (
    NumberTerm(column="age"),
    NumberTerm(column="score"),
    CodeKey(column="sex"),
    CodeKey(column="dx", level="chapter"),
    BandKey(column="sbp", starts=(0, 1000, 1400, 1800)),
    AttributeKey(attribute="country"),
    SiteKey(sites=("h0", "h1", "h2")),
)
BASE = Step(
    model="logistic",
    outcome=DIED,
    terms=TERMS,
    clip=2 * ONE,
    reach=2 * ONE,
    point=(),
    wants=("gradient", "information", "loss", "grades"),
    weights=(4, 4, 1, 1),
    cuts=(-POINT, 0, POINT),
)
NUMBERS = replace(BASE, wants=BASE.wants[:3], weights=BASE.weights[:3], cuts=())
MODELS = {
    "logistic": BASE,
    "linear": replace(NUMBERS, model="linear", outcome=NumberTerm(column="sbp")),
    "poisson": replace(NUMBERS, model="poisson", outcome=NumberTerm(column="falls"), exposure="days"),
    "cox": replace(
        BASE,
        model="cox",
        time=BandKey(column="days", starts=(0, 8, 31)),
        strata=(SiteKey(sites=("h1", "h2")), CodeKey(column="sex")),
        terms=TERMS[:2],
    ),
    "network": replace(
        NUMBERS,
        model="network",
        outcome=CodeKey(column="dx"),
        layers=(Layer(kind="linear", width=3), Layer(kind="gelu", width=3), Layer(kind="linear", width=3)),
        wants=("gradient", "loss"),
        weights=(4, 1),
    ),
}


def pointed(step: Step, seed: int = 0, size: int = POINT) -> Step:
    """Return a step at a point of coefficients up to ``size``."""
    chance = random.Random(seed)  # noqa: S311 - made-up coefficients
    setting = Setting(catalogue=AGREED, table=AGREED.table("stay"), keys=())
    width = shape_of(step, setting).width
    return replace(step, point=tuple(chance.randint(-size, size) for _ in range(width)))


def round_of(step: Step | AppStep, *, rows: int = 6, where: Predicate = EVERYTHING) -> Tally:
    """Return the tally of a round on stays."""
    aggregate = Aggregate(statistic="app" if isinstance(step, AppStep) else "step", step=step)
    part = Part(table="stay", where=where, keys=(), aggregates=(aggregate,), bound=Bound(rows=rows, groups=rows))
    return tally(Plan(catalogue=AGREED.digest, parts=(part,)), AGREED)


def prepared(folder: Path, lines: Sequence[str], key: bytes = SITE_KEY) -> Prepared:
    """Prepare a hospital of these stays."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "stay.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return prepare(folder / "home", data, None, AGREED, key)


def random_lines(seed: int, count: int = 400, patients: int = 120) -> list[str]:
    """Return made-up stays, with values at and beyond the ends of their bounds and missing ones."""
    chance = random.Random(seed)  # noqa: S311 - made-up rows

    def number(low: float, high: float) -> str:
        ends = ["", "NaN", "-inf", "1e300", str(low), str(high), str(low - 1), str(high + 1)]
        return chance.choice(ends) if chance.random() < 0.25 else str(round(chance.uniform(low, high)))

    return [
        ",".join(
            [
                # One patient in a few has most of the rows.
                f"p{min(chance.randrange(patients), chance.randrange(patients), chance.randrange(patients))}",
                chance.choice(["M", "F", "", "Q"]),
                chance.choice(["I61", "I63", "J18", "", "Z99"]),
                number(60, 250),
                number(0, 110),
                number(0, 50),
                number(0, 180),
                number(-2_147_000_000, 500),
                chance.choice(["Y", "N", "N", ""]),
                chance.choice(["2020-01-01", "2022-12-31", "", "2031-01-01"]),
            ]
        )
        for _ in range(count)
    ]


FOLDS = tuple(Split(folds=5, first=fold, last=fold) for fold in range(5))
