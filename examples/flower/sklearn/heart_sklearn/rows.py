"""The rows: those that the hospital hands over, or made-up ones where the app runs on Flower alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from flwr.app import Context

BOUNDS = {"age": (0, 120), "systolic": (50, 300), "heart_rate": (40, 240), "st_depression": (-5, 10)}
FEATURES = (*BOUNDS, "male", "no_pain", "exercise")


def read(context: Context) -> pd.DataFrame:
    """Return the rows of this node, in the columns of the catalogue."""
    path = context.node_config.get("farr-data")
    if path:
        return pd.read_parquet(str(path))
    return _made_up(int(context.node_config.get("partition-id", 0)))


def features(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the features, each from -1 to 1 and 0 where it is missing, and whether there is disease."""
    columns = []
    for name, (low, high) in BOUNDS.items():
        values = pd.to_numeric(rows[name]).to_numpy(dtype=float, na_value=np.nan)
        columns.append(np.nan_to_num((values - (low + high) / 2) / ((high - low) / 2)))
    columns.append((rows["sex"] == "M").to_numpy(dtype=float))
    columns.append((rows["chest_pain"] == "none").to_numpy(dtype=float))
    columns.append((rows["exercise_angina"] == "Y").to_numpy(dtype=float))
    return np.column_stack(columns), (rows["disease"] != "0").to_numpy(dtype=int)


def _made_up(partition: int, count: int = 300) -> pd.DataFrame:
    draw = np.random.default_rng(partition)
    age, male, none = draw.normal(55, 9, count), draw.random(count) < 0.7, draw.random(count) < 0.5
    exercise, depression = draw.random(count) < 0.4, draw.exponential(0.9, count)
    logit = 0.04 * (age - 55) + 1.2 * male + 1.8 * none + 1.2 * exercise + 0.7 * depression - 2.5
    ill = draw.random(count) < 1 / (1 + np.exp(-logit))
    return pd.DataFrame(
        {
            "age": age.round(),
            "sex": np.where(male, "M", "F"),
            "chest_pain": np.where(none, "none", "other"),
            "systolic": draw.normal(132, 17, count).round(),
            "heart_rate": draw.normal(145, 24, count).round(),
            "exercise_angina": np.where(exercise, "Y", "N"),
            "st_depression": depression.round(1),
            "disease": np.where(ill, "1", "0"),
        }
    )
