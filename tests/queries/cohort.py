"""A simulated cohort for the tests of tables and regressions: codes, conditions, time at risk, missing values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from queries.asked.build import Question, question
from queries.sql import read
from tests.distributions.clinics import Clinic
from tests.distributions.pooled import SITE

COLUMNS = """
[tables.visit.columns.sex]
label = { en = "Sex", zh = "性别" }
codes = { F = { en = "female", zh = "女" }, M = { en = "male", zh = "男" } }
[tables.visit.columns.stage]
codes = ["1", "2", "3"]
[tables.visit.columns.arm]
codes = ["A", "B"]
[tables.visit.columns.died]
codes = ["N", "Y"]
[tables.visit.columns.relapsed]
codes = ["N", "Y"]
[tables.visit.columns.only]
codes = ["x"]
[tables.visit.columns.region]
codes = { list }
[tables.visit.columns.age]
number = { low = 0, high = 100 }
[tables.visit.columns.followed]
number = { low = 0, high = 1000, step = 0.5 }
unit = "days"
[tables.visit.columns.change]
number = { low = -10, high = 10 }
""".replace("{ list }", str([f"r{index}" for index in range(60)]))

PATIENTS = 4_000


def frame(seed: int = 11, patients: int = PATIENTS) -> pd.DataFrame:
    """Deaths and their times follow sex, stage and arm; relapses come by chance; some values are missing."""
    rng = np.random.default_rng(seed)
    male, stage, arm = (
        rng.random(patients) < 0.4,
        rng.choice(3, patients, p=[0.5, 0.3, 0.2]),
        rng.random(patients) < 0.5,
    )
    odds = np.exp(-1.8 + 0.5 * male + np.array([0, 0.6, 1.4])[stage] - 0.3 * arm)
    died = rng.random(patients) < odds / (1 + odds)
    time = np.minimum(rng.exponential(1_500, patients), 1_000) * np.where(died, 0.5, 1.0)
    made = pd.DataFrame(
        {
            "sex": np.where(male, "M", "F"),
            "stage": (stage + 1).astype(str),
            "arm": np.where(arm, "B", "A"),
            "died": np.where(died, "Y", "N"),
            "relapsed": rng.choice(["N", "Y"], patients, p=[0.7, 0.3]),
            "only": "x",
            "region": rng.choice([f"r{index}" for index in range(60)], patients),
            "age": rng.integers(20, 95, patients).astype(float),
            "followed": np.rint(2 * time) / 2,
            "change": rng.integers(-10, 11, patients),
        }
    )
    for name in ("sex", "died", "followed"):
        made.loc[rng.random(patients) < 0.02, name] = None
    return made


FRAME = frame()
COHORT = Clinic(COLUMNS, FRAME, 1, {})


def asked(statement: str) -> Question:
    """A statement."""
    return read(statement, COHORT.catalogue, {SITE: {}})


def built(measure: object) -> Question:
    """One figure of all rows, asked in Python."""
    return question(COHORT.catalogue, {SITE: {}}).table("visit").measure(x=measure).build()
