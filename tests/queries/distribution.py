"""A hospital's records for the tests of distributions and pairs, and what its questions come to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pandas import DataFrame

from queries.agreed.catalogue_file import read_catalogue
from tests.distributions.pooled import Records, records_of

SOURCE = """
name = "stay"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000

[codes.sex]
version = "1"
codes = ["F", "M"]

[codes.illness]
version = "1"
codes = ["I10", "E11", "J18", "K80", "N18"]

[tables.stay]
patient = "patient"
rows_per_patient = 3

[tables.stay.columns.sex]
codes = "sex"
[tables.stay.columns.main]
codes = "illness"
[tables.stay.columns.other]
codes = "illness"
[tables.stay.columns.age]
number = { low = 0, high = 120 }
unit = "years"
[tables.stay.columns.weight]
number = { low = "-0.5", high = 30.25, step = 0.05 }
[tables.stay.columns.cost]
number = { low = 0, high = 200_000, step = 0.01 }
unit = "yuan"
"""

CATALOGUE = read_catalogue(SOURCE.encode(), "stay.toml")

SITES = {"pooled": {}}

ROWS = 1_500


def frame(rows: int = ROWS, seed: int = 3) -> DataFrame:
    """Return stays: two of three patients have one, the others two; some values are missing."""
    generator = np.random.default_rng(seed)
    main = generator.choice(["I10", "E11", "J18", "K80"], rows, p=[0.5, 0.3, 0.15, 0.05])
    related = np.where(main == "I10", "N18", "I10")
    other = np.where(generator.random(rows) < 0.3, related, generator.choice(["I10", "E11", "J18", "N18"], rows))
    made = DataFrame(
        {
            "patient": [f"p{row - row % 3 // 2}" for row in range(rows)],
            "sex": generator.choice(["F", "M"], rows),
            "main": main,
            "other": other,
            "age": np.clip(generator.normal(60, 18, rows).round(), 0, 120),
            "weight": np.clip((generator.normal(12, 4, rows) * 20).round() / 20, -0.5, 30.25).round(2),
            "cost": np.clip(generator.lognormal(8, 1.2, rows), 0, 200_000).round(2),
        }
    )
    made.loc[::17, "age"] = np.nan
    made.loc[::19, "other"] = None
    return made


def records(folder: Path, made: DataFrame | None = None) -> Records:
    """Return the prepared stays; close their scanner when done."""
    return records_of(folder, CATALOGUE, {"stay": frame() if made is None else made})
