"""Three real collections as tables of a catalogue, with the exact answers that were computed beside them.

A row is a patient here: the diabetes encounters are taken one by one, as their reference answers take them, so that
the figures are comparable; in a federation one patient's encounters are bounded together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from queries.agreed.catalogue import Catalogue, CodeColumn, NumberColumn
from queries.agreed.catalogue_file import read_catalogue
from queries.sql import read
from tests.distributions.drawn import Codes, Drawn, Ints, steps
from tests.distributions.pooled import SITE, records_of
from tests.distributions.shared import DIABETES, HEART, STROKE, answers_of, folder_of, rows_of

HEAD = """
name = "clinic"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[tables.visit]
patient = "patient_id"
rows_per_patient = 1
"""


@dataclass(frozen=True)
class Clinic:
    """One collection: its columns, its rows, its hospitals, and its exact answers."""

    columns: str
    frame: pd.DataFrame
    hospitals: int
    answers: dict

    @cached_property
    def catalogue(self) -> Catalogue:
        """The agreement."""
        return read_catalogue((HEAD + self.columns).encode(), "clinic.toml")

    def drawn(self, statement: str) -> Drawn:
        """A statement to be released as often as wanted."""
        return Drawn(self.catalogue, read(f"SELECT {statement} AS x FROM visit", self.catalogue, {SITE: {}}))

    def exact(self, folder: Path, statements: list[str]) -> list[Ints]:
        """The exact vector of each statement, by the node's own scanner."""
        frame = self.frame.assign(patient_id=[f"p{row}" for row in range(len(self.frame))])
        records = records_of(folder, self.catalogue, {"visit": frame})
        try:
            return [records.exact(self.drawn(statement).question) for statement in statements]
        finally:
            records.scanner.close()

    def codes(self) -> Codes:
        """Rows in steps and places of codes; only for collections without missing values."""
        found = {}
        for column in self.catalogue.table("visit").columns:
            values = self.frame[column.name]
            if isinstance(column, CodeColumn):
                found[column.name] = values.map(column.codes.index).to_numpy(dtype=np.int64)
            elif isinstance(column, NumberColumn):
                found[column.name] = steps(column, values.to_numpy(dtype=np.float64))
        return found


def heart() -> Clinic:
    """Four centres of coronary angiography: 920 patients, some values missing."""
    names = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach"]
    names += ["exang", "oldpeak", "slope", "ca", "thal", "num"]
    frames = [
        pd.read_csv(path, names=names, na_values=["?", "NaN"]) for path in sorted(folder_of(HEART).glob("*.data"))
    ]
    rows = pd.concat(frames, ignore_index=True)
    frame = pd.DataFrame(
        {
            "sex": np.where(rows["sex"] > 0, "M", "F"),
            "pain": rows["cp"].astype(int).astype(str),
            "disease": np.where(rows["num"] > 0, "Y", "N"),
            "age": rows["age"],
            "pressure": rows["trestbps"],
            "rate": rows["thalach"],
        }
    )
    columns = """
[tables.visit.columns.sex]
codes = ["F", "M"]
[tables.visit.columns.pain]
codes = ["1", "2", "3", "4"]
[tables.visit.columns.disease]
codes = ["N", "Y"]
[tables.visit.columns.age]
number = { low = 20, high = 90 }
[tables.visit.columns.pressure]
number = { low = 0, high = 250 }
[tables.visit.columns.rate]
number = { low = 60, high = 210 }
"""
    return Clinic(columns, frame, len(frames), answers_of(HEART))


def stroke() -> Clinic:
    """The International Stroke Trial: 15,851 patients of 345 hospitals."""
    rows = rows_of(STROKE)
    frame = pd.DataFrame(
        {
            "sex": rows["SEX"].str.strip(),
            "aspirin": rows["RXASP"].str.strip(),
            "conscious": rows["RCONSC"].str.strip(),
            "died": np.where(rows["ID14"] == 1, "Y", "N"),
            "age": rows["AGE"],
            "pressure": rows["RSBP"],
        }
    )
    columns = """
[tables.visit.columns.sex]
codes = ["F", "M"]
[tables.visit.columns.aspirin]
codes = ["N", "Y"]
[tables.visit.columns.conscious]
codes = ["F", "D", "U"]
[tables.visit.columns.died]
codes = ["N", "Y"]
[tables.visit.columns.age]
number = { low = 16, high = 100 }
[tables.visit.columns.pressure]
number = { low = 60, high = 300 }
"""
    return Clinic(columns, frame, rows["HOSPNUM"].nunique(), answers_of(STROKE))


def diabetes() -> Clinic:
    """101,766 encounters of 130 US hospitals; nothing is missing in these columns."""
    rows = rows_of(DIABETES)
    frame = pd.DataFrame(
        {
            "sex": rows["gender"].map({"Female": "F", "Male": "M"}).fillna("U"),
            "again": rows["readmitted"].map({"NO": "no", ">30": "late", "<30": "soon"}),
            "age": rows["age"].str.extract(r"\[(\d+)-")[0].astype(int) + 5,
            "days": rows["time_in_hospital"],
            "drugs": rows["num_medications"],
            "diagnoses": rows["number_diagnoses"],
        }
    )
    columns = """
[tables.visit.columns.sex]
codes = ["F", "M", "U"]
[tables.visit.columns.again]
codes = ["no", "late", "soon"]
[tables.visit.columns.age]
number = { low = 0, high = 100 }
[tables.visit.columns.days]
number = { low = 1, high = 14 }
[tables.visit.columns.drugs]
number = { low = 0, high = 81 }
[tables.visit.columns.diagnoses]
number = { low = 0, high = 16 }
"""
    return Clinic(columns, frame, 130, answers_of(DIABETES))
