"""What a node adds up for regressions and compared means, with unknowns and several rows of one patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.question import Question
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from queries.sql import read
from tests.distributions.drawn import Drawn
from tests.distributions.pooled import SITE, records_of

CATALOGUE = """
name = "stays"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[tables.stay]
patient = "patient_id"
rows_per_patient = 3
[tables.stay.columns.sex]
codes = ["F", "M"]
[tables.stay.columns.ward]
codes = ["1", "2", "3"]
[tables.stay.columns.died]
codes = ["N", "Y"]
[tables.stay.columns.age]
number = { low = 0, high = 120 }
[tables.stay.columns.days]
number = { low = 0, high = 60, step = 0.5 }
"""
STATEMENTS = [
    "LINEAR(days, age, sex = 'F', ward)",
    "LINEAR(days, age, died = 'Y' AND sex = 'F', BAND(age, 60), ward)",
    "CORRELATION(days, age)",
    "MEAN_TEST(days, ward)",
    "SHARE(died = 'Y' AND age >= 60)",
    "VARIANCE(days)",
]


def catalogue() -> Catalogue:
    """Stays of which three of each patient enter."""
    return read_catalogue(CATALOGUE.encode(), "stays.toml")


def stays(seed: int) -> pd.DataFrame:
    """200 patients with one to five stays each, a tenth of everything unknown, some patients at the ends of bounds."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(200), rng.integers(1, 6, 200))
    rows = len(patients)
    frame = pd.DataFrame(
        {
            "patient_id": [f"p{patient}" for patient in patients],
            "sex": rng.choice(["F", "M"], rows),
            "ward": rng.choice(["1", "2", "3"], rows),
            "died": rng.choice(["N", "Y"], rows),
            "age": rng.integers(0, 121, rows).astype(float),
            "days": rng.integers(0, 121, rows) / 2,
        }
    )
    heavy = patients < 8
    frame.loc[heavy, ["sex", "ward", "died", "age", "days"]] = ["F", "3", "Y", 120.0, 60.0]
    for name in frame.columns[1:]:
        frame.loc[(rng.random(rows) < 0.1) & ~heavy, name] = None
    return frame


def question(statement: str, agreed: Catalogue, rows: int) -> Question:
    """A statement over so many rows of a patient."""
    return read(f"SELECT {statement} AS x FROM stay", agreed, {SITE: {}}, rows_per_patient=rows)


def scanned(folder: Path, frame: pd.DataFrame, agreed: Catalogue, rows: int) -> list[np.ndarray]:
    """What the node computes for each statement."""
    records = records_of(folder, agreed, {"stay": frame})
    try:
        return [records.exact(question(statement, agreed, rows)) for statement in STATEMENTS]
    finally:
        records.scanner.close()


@pytest.mark.parametrize("rows", [1, 3])
def test_taking_a_patient_away_moves_no_block_beyond_its_sensitivity(tmp_path, rows):
    """In L1, L2 and the largest entry, for patients at the ends of all bounds and for others."""
    agreed, frame = catalogue(), stays(1)
    whole = scanned(tmp_path / "whole", frame, agreed, rows)
    reached = 0.0
    for gone in ("p0", "p50"):
        less = scanned(tmp_path / gone, frame[frame["patient_id"] != gone], agreed, rows)
        for statement, one, other in zip(STATEMENTS, whole, less, strict=True):
            layout = tally(question(statement, agreed, rows).plan, agreed)
            for stated, start, size in zip(of_tally(layout, 1), layout.offsets, layout.sizes, strict=True):
                moved = (one - other)[start : start + size]
                assert np.abs(moved).sum() <= stated.l1, statement
                assert (moved**2).sum() <= stated.l2_squared, statement
                assert np.abs(moved).max() <= stated.linf, statement
                reached = max(reached, (moved**2).sum() / stated.l2_squared)
    assert reached == 1


def test_only_complete_rows_are_in_the_sums_of_a_regression(tmp_path):
    """The node's sums are those of the rows in which every number, condition and group is known."""
    agreed = catalogue()
    frame = stays(2).drop_duplicates("patient_id")
    records = records_of(tmp_path, agreed, {"stay": frame})
    for statement, needed in (
        (STATEMENTS[0], ["days", "age", "sex", "ward"]),
        (STATEMENTS[2], ["days", "age"]),
        (STATEMENTS[3], ["days", "ward"]),
    ):
        drawn = Drawn(agreed, question(statement, agreed, 1))
        known = frame.dropna(subset=needed)
        codes = {
            "sex": known["sex"].map({"F": 0, "M": 1}).fillna(0).to_numpy(dtype=np.int64),
            "ward": known["ward"].map({"1": 0, "2": 1, "3": 2}).fillna(0).to_numpy(dtype=np.int64),
            "age": known["age"].fillna(0).to_numpy(dtype=np.int64),
            "days": (known["days"].fillna(0) * 2).to_numpy(dtype=np.int64),
        }
        assert (records.exact(drawn.question) == drawn.tallied(codes)).all(), statement
    records.scanner.close()


def test_an_unknown_part_of_a_condition_matters_only_where_it_decides(tmp_path):
    """A row is complete where the condition is true or false whatever the unknown may be, as SQL has it."""
    agreed, statement = catalogue(), "LINEAR(days, age, died = 'Y' AND sex = 'F')"
    frame = stays(3).drop_duplicates("patient_id")
    records = records_of(tmp_path, agreed, {"stay": frame})
    drawn = Drawn(agreed, question(statement, agreed, 1))
    exact = records.exact(drawn.question)
    records.scanner.close()
    known = frame.dropna(subset=["days", "age"])
    known = known[(known["died"] == "N") | (known["sex"] == "M") | (known["died"].notna() & known["sex"].notna())]
    both = ((known["died"] == "Y") & (known["sex"] == "F")).astype(int)
    reference = smf.ols("days ~ age + both", known.assign(both=both)).fit()
    found = drawn.read(exact[None].astype(float), None)
    assert found.value[0] == pytest.approx(reference.params.to_numpy(), rel=1e-3)
    assert len(known) < len(frame.dropna(subset=["days", "age"]))
