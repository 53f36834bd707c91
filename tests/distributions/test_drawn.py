"""The harness itself: simulated tallies are a node's, and releases read as cells are releases read one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.distributions.clinics import Clinic
from tests.distributions.pooled import column, records_of

COLUMNS = """
[tables.visit.columns.sex]
codes = ["F", "M"]
[tables.visit.columns.stage]
codes = ["1", "2", "3"]
[tables.visit.columns.age]
number = { low = 18, high = 99 }
[tables.visit.columns.dose]
number = { low = 0, high = 500, step = 0.5 }
"""
STATEMENTS = [
    "VARIANCE(dose)",
    "SHARE(sex = 'F')",
    "MEAN_DIFFERENCE(dose, stage)",
    "LINEAR(dose, age, sex = 'F', stage)",
    "CORRELATION(dose, age)",
]


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    """A thousand simulated patients, nothing missing."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["F", "M"], 1_000),
            "stage": rng.choice(["1", "2", "3"], 1_000),
            "age": rng.integers(18, 100, 1_000),
            "dose": rng.integers(0, 1_001, 1_000) / 2,
        }
    )
    return Clinic(COLUMNS, frame, 1, {})


def test_simulated_tallies_are_a_nodes(clinic, tmp_path):
    """Every block of every statement, entry by entry."""
    for statement, vector in zip(STATEMENTS, clinic.exact(tmp_path, STATEMENTS), strict=True):
        assert (clinic.drawn(statement).tallied(clinic.codes()) == vector).all()


def test_releases_read_at_once_are_releases_read_one_by_one(clinic, tmp_path):
    """The same noisy vectors through the whole way of an answer give the same values and ends of intervals."""
    frame = clinic.frame.assign(patient_id=[f"p{row}" for row in range(len(clinic.frame))])
    records = records_of(tmp_path, clinic.catalogue, {"visit": frame})
    for statement in STATEMENTS[1:4]:
        released = records.released(clinic.drawn(statement).question)
        drawn = clinic.drawn(statement)
        answers = [each[0] for each in released.releases(20, epsilon=3, seed=5)]
        found = [column(answer, "x") for answer in answers]
        grids = np.repeat([block.grid for block in released.measurement(3).blocks], drawn.tally.sizes)
        rng = np.random.default_rng(5)
        scales = np.repeat([float(block.share_scale) for block in released.measurement(3).blocks], drawn.tally.sizes)
        noise = np.array([np.rint(rng.normal(0.0, scales)) for _ in range(20)])
        at_once = drawn.read(released.exact + noise / grids, 3)
        assert at_once.value == pytest.approx(np.array([[cell.value for cell in row] for row in found]))
        assert at_once.low == pytest.approx(np.array([[cell.low for cell in row] for row in found]))
        assert at_once.total_high == pytest.approx(np.array([[cell.total_high for cell in row] for row in found]))
    records.scanner.close()
