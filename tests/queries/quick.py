"""A small ward of simulated patients, for the quick tests of statistics: exact sums without a database."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from queries.agreed.catalogue_file import read_catalogue
from queries.asked.build import Question, question
from queries.sql import read
from tests.distributions.drawn import Codes, Drawn, Figures, steps

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())
TABLE = CATALOGUE.table("admission")
PATIENTS = 3_000


def asked(statement: str) -> Question:
    """A statement to the hospitals of the plans, one row of each patient."""
    return read(f"SELECT {statement} AS x FROM admission", CATALOGUE, SITES, rows_per_patient=1)


def built(measure: object) -> Question:
    """The same in Python."""
    return question(CATALOGUE, SITES).table("admission").measure(x=measure).build(rows_per_patient=1)


def drawn(statement: str) -> Drawn:
    """A statement to be released as often as wanted."""
    return Drawn(CATALOGUE, asked(statement))


def patients(seed: int = 1, number: int = PATIENTS) -> Codes:
    """Adults: heavier where male and young, more often dying where old; in steps and places of codes."""
    rng = np.random.default_rng(seed)
    male = rng.random(number) < 0.45
    age = np.clip(np.rint(rng.normal(62, 15, number)), 0, 120).astype(np.int64)
    weight = 80 + 9 * male - 0.2 * age + rng.normal(0, 9, number)
    return {
        # In the catalogue's order: male first; yes before no.
        "sex": np.where(male, 0, 1),
        "died": np.where(rng.random(number) < 0.002 * age, 0, 1),
        "consciousness": rng.choice(3, number, p=[0.6, 0.3, 0.1]),
        "age": age,
        "weight": steps(TABLE.column("weight"), weight),  # type: ignore[arg-type]
    }


def exact(question: Drawn, ward: Codes) -> Figures:
    """The reading of sums without noise."""
    return question.read(question.tallied(ward)[None].astype(float), None, reading_of(question))


def reading_of(question: Drawn) -> object:
    """What the question's last column reads."""
    return question.question.view.columns[-1].expression.reading  # type: ignore[union-attr]


def releases(question: Drawn, ward: Codes, epsilon: float, number: int = 4_000, seed: int = 2) -> Figures:
    """So many releases of the ward's figures."""
    rng = np.random.default_rng(seed)
    many = np.tile(question.tallied(ward), (number, 1))
    return question.read(question.released(many, epsilon, rng), epsilon, reading_of(question))
