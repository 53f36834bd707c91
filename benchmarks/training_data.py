"""The real rows that the quality of training is measured on, as arrays scaled as by a catalogue's bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from queries.asked.plan import FlagKey, Missing, NumberTerm, Step
from queries.models.clips import natural_clips
from queries.models.design import Design
from queries.models.shape import Shape
from queries.models.training import Model

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

Floats = NDArray[np.float64]

FIVE = ("UK", "ITAL", "SWIT", "POLA")
"""Countries that are a site of their own; all others together are the fifth."""

INTERVALS = (0, 7, 30, 90, 1501)
"""Of the Cox model: days."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One patient a row."""

    x: Floats
    """Scaled columns."""
    outcome: Floats
    """0 or 1."""
    followed: Floats
    """Days; 1 where there are none."""
    hospital: NDArray[np.int64]
    """Number of the hospital, from 0."""
    site: NDArray[np.int64]
    """Number of the group of hospitals, from 0."""
    terms: int
    """Terms that the columns come from."""

    def design(self, chosen: NDArray[np.bool_] | None = None) -> Design:
        """Return these rows, or some of them, as a hospital's."""
        rows = np.flatnonzero(np.ones(len(self.x), dtype=bool) if chosen is None else chosen)
        return Design(
            starts=np.arange(len(rows)),
            x=np.ascontiguousarray(self.x[rows]),
            outcome=self.outcome[rows],
            exposure=self.followed[rows],
            stratum=np.zeros(len(rows), dtype=np.intp),
        )

    def model(self, kind: str) -> tuple[Model, Shape]:
        """Return a model of these columns with its natural clips."""
        bare = Step(
            model=kind,
            outcome=FlagKey(term=Missing(column="outcome")),
            terms=tuple(NumberTerm(column=f"x{place}") for place in range(self.terms)),
            clip=1,
            reach=1,
            point=(),
            wants=(),
            weights=(),
        )
        clip, reach = natural_clips(bare)
        shape = Shape(columns=self.x.shape[1], intervals=INTERVALS if kind == "cox" else ())
        return Model(step=replace(bare, clip=clip, reach=reach)), shape


def stroke(kind: str) -> Rows | None:
    """Return the International Stroke Trial: death by six months (logistic), or time to death (cox); None: not here.

    Left out are patients whose outcome is not known, and 36 with a syndrome other than the four.
    """
    file = SHARED / "ist_stroke_trial" / "ist_17_countries.csv.gz"
    if not file.exists():
        return None
    read = pd.read_csv(file, low_memory=False)
    texts = {
        name: read[name].astype(str).str.strip() for name in ("SEX", "RCONSC", "RATRIAL", "STYPE", "COUNTRY", "DIED")
    }
    columns = np.column_stack(
        [
            scaled(read["AGE"], 0, 120),
            scaled(read["RSBP"], 50, 300),
            scaled(read["RDELAY"], 0, 48),
            texts["SEX"] == "M",
            texts["RCONSC"] == "D",
            texts["RCONSC"] == "U",
            texts["RATRIAL"] == "Y",
            *(texts["STYPE"] == name for name in ("PACS", "POCS", "LACS")),
        ]
    ).astype(np.float64)
    at_six_months = pd.to_numeric(read["OCCODE"], errors="coerce")
    days = pd.to_numeric(read["TD"], errors="coerce")
    known = (at_six_months.isin([1, 2, 3, 4]) if kind == "logistic" else days.notna()) & (texts["STYPE"] != "OTH")
    died = (at_six_months == 1) if kind == "logistic" else texts["DIED"].isin(["Y", "1", "1.0"])
    country = texts["COUNTRY"].map({name: place for place, name in enumerate(FIVE)}).fillna(len(FIVE))
    kept = known.to_numpy()
    return Rows(
        x=columns[kept],
        outcome=died.to_numpy()[kept].astype(np.float64),
        followed=np.ones(kept.sum()) if kind == "logistic" else days.clip(0, 1500).to_numpy(dtype=np.float64)[kept],
        hospital=np.unique(read["HOSPNUM"].to_numpy()[kept], return_inverse=True)[1].astype(np.int64),
        site=country.to_numpy()[kept].astype(np.int64),
        terms=7,
    )


def heart() -> Rows | None:
    """Return the four centres of the UCI heart disease study; None where the data are not here."""
    folder = SHARED / "uci_heart_4centres"
    if not folder.exists():
        return None
    names = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak"]
    names += ["slope", "ca", "thal", "num"]
    parts = [
        pd.read_csv(folder / f"processed.{name}.data", header=None, names=names, na_values=["?"])
        for name in ("cleveland", "hungarian", "switzerland", "va")
    ]
    read = pd.concat(parts)
    columns = np.column_stack(
        [
            scaled(read["age"], 0, 120),
            read["sex"] == 1,
            *(read["cp"] == code for code in (2, 3, 4)),
            scaled(read["trestbps"].replace(0, np.nan), 50, 300),
            scaled(read["thalach"], 40, 240),
            read["exang"] == 1,
            scaled(read["oldpeak"], -5, 10),
        ]
    ).astype(np.float64)
    site = np.repeat(np.arange(4), [len(part) for part in parts])
    return Rows(
        x=columns,
        outcome=(read["num"] > 0).to_numpy().astype(np.float64),
        followed=np.ones(len(read)),
        hospital=site,
        site=site,
        terms=7,
    )


def scaled(values: pd.Series[float], low: float, high: float) -> Floats:
    """Return a number within its bounds as a model has it; 0 without a value."""
    found = ((values.clip(low, high) - (low + high) / 2) / ((high - low) / 2)).fillna(0.0)
    return found.to_numpy().astype(np.float64)


def area(outcome: Floats, score: Floats) -> float:
    """Return the area under the ROC curve, ties counted half."""
    having, without = score[outcome > 0], np.sort(score[outcome == 0])
    below = np.searchsorted(without, having, side="left") + np.searchsorted(without, having, side="right")
    return float(below.mean() / 2 / len(without))
