"""Real trials with follow-up, as hospitals would hold them: for the tests of survival statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pandas import DataFrame

from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from tests.distributions.shared import STROKE, TRIALS, rows_of


def catalogue_of(high: int, groups: Mapping[str, tuple[str, ...]]) -> Catalogue:
    """Return one table with days followed up to ``high``, whether there was an event, and columns of codes."""
    source = f"""
name = "trial"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[tables.trial]
patient = "patient_id"
rows_per_patient = 1
[tables.trial.columns.followed]
number = {{ low = 0, high = {high} }}
unit = "days"
[tables.trial.columns.event]
codes = ["N", "Y"]
"""
    for name, codes in groups.items():
        source += f"[tables.trial.columns.{name}]\ncodes = {json.dumps(list(codes))}\n"
    return read_catalogue(source.encode(), "trial.toml")


def stroke() -> tuple[Catalogue, DataFrame]:
    """Return 15,850 patients of the stroke trial, followed for half a year and some for longer."""
    source = rows_of(STROKE)
    source = source[source.TD.notna()]
    found = DataFrame(
        {
            "followed": source.TD.astype(int),
            "event": source.DIED.map({1: "Y", 0: "N"}),
            "aspirin": source.RXASP,
            "sex": source.SEX.str.strip(),
            "consciousness": source.RCONSC,
            "country": source.COUNTRY.str.strip(),
        }
    )
    countries = tuple(sorted(found.country.unique()))
    groups = {"aspirin": ("N", "Y"), "sex": ("F", "M"), "consciousness": ("F", "D", "U"), "country": countries}
    return catalogue_of(1500, groups), _with_patients(found)


def infections() -> tuple[Catalogue, DataFrame]:
    """Return the 128 patients of the interferon trial, until their first infection."""
    source = rows_of(TRIALS, "survival_cgd.csv")
    source = source[source.enum == 1]
    found = DataFrame(
        {
            "followed": source.tstop.astype(int),
            "event": source.status.map({1: "Y", 0: "N"}),
            "treated": source.treat.map({"placebo": "N", "rIFN-g": "Y"}),
        }
    )
    return catalogue_of(500, {"treated": ("N", "Y")}), _with_patients(found)


def lung() -> tuple[Catalogue, DataFrame]:
    """Return the 228 patients of the lung cancer study, until death."""
    source = rows_of(TRIALS, "survival_cancer.csv")
    found = DataFrame(
        {
            "followed": source.time.astype(int),
            "event": source.status.map({2: "Y", 1: "N"}),
            "female": source.sex.map({1: "N", 2: "Y"}),
        }
    )
    return catalogue_of(1100, {"female": ("N", "Y")}), _with_patients(found)


def transplants() -> tuple[Catalogue, DataFrame]:
    """Return the 137 patients of the bone marrow study, until death or relapse."""
    source = rows_of(TRIALS, "KMsurv_bmt.csv")
    found = DataFrame(
        {
            "followed": source.t2.astype(int),
            "event": source.d3.map({1: "Y", 0: "N"}),
            "disease": source.group.map({1: "ALL", 2: "AML_low", 3: "AML_high"}),
        }
    )
    return catalogue_of(2700, {"disease": ("ALL", "AML_low", "AML_high")}), _with_patients(found)


def _with_patients(frame: DataFrame) -> DataFrame:
    found = frame.reset_index(drop=True)
    found.insert(0, "patient_id", [f"p{number}" for number in range(len(found))])
    return found
