"""Real multi-hospital data that lie beside the repository, and the exact answers that were computed beside them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas import DataFrame

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

DIABETES = "diabetes_130_hospitals"
HEART = "uci_heart_4centres"
SIH = "sih_rs_2019"
STROKE = "ist_stroke_trial"
TRIALS = "multicentre_trials_small"
CHINA = "china_notifiable_monthly"

FILES = {
    DIABETES: "diabetic_data.csv.gz",
    SIH: "sih_rs_2019_hospitals_a.csv.gz",
    STROKE: "ist_17_countries.csv.gz",
    CHINA: "china_notifiable_2004_2014.parquet",
}
"""The file of a collection that has one."""


def folder_of(name: str) -> Path:
    """Return the folder of a collection; the test is skipped where it is not."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not here")
    return folder


@cache
def rows_of(name: str, file: str = "", *, text: bool = False) -> DataFrame:
    """Return the rows of a collection's file, read once: nobody changes them. ``text``: no column is a number."""
    path = folder_of(name) / (file or FILES[name])
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype=str) if text else pd.read_csv(path, low_memory=False)


def answers_of(name: str) -> dict[str, Any]:
    """Return the exact pooled answers that come with a collection."""
    found: dict[str, Any] = json.loads((folder_of(name) / "reference_answers.json").read_text(encoding="utf-8"))
    return found
