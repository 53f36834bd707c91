"""A round of a logistic regression: Farr with everything on, Flower's simulation engine, Flower's deployment."""

from __future__ import annotations

import importlib.util
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import farr
from benchmarks.table import Figure
from farr.flower import plain
from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.node_homes import policy_with
from farr.lab.record import Lab
from farr.lab.watchdog import Watch
from farr.training.recipe import Recipe
from queries.agreed.catalogue_file import read_catalogue

TITLE = "A round of training, five hospitals x 2,000 rows x 30 features"
HOSPITALS, ROWS, FEATURES, ROUNDS, THEIRS = 5, 2_000, 30, 24, 3
APP = Path(__file__).parent / "flower_app"

CATALOGUE = """
name = "synthetic"
version = "1"
label = { en = "Synthetic patients", zh = "合成患者" }
sites_per_patient = 1
rows_per_site = 1_000_000

[codes.yes_no]
version = "1"
codes = { Y = "yes", N = "no" }

[tables.patient]
label = { en = "Patients", zh = "患者" }
patient = "pid"
rows_per_patient = 1

[tables.patient.columns.ill]
label = { en = "Ill", zh = "患病" }
codes = "yes_no"
""" + "".join(
    f"""
[tables.patient.columns.x{number}]
label = {{ en = "Feature {number}", zh = "特征{number}" }}
number = {{ low = -1, high = 1, step = 0.001 }}
"""
    for number in range(1, FEATURES + 1)
)


def measure() -> list[Figure]:
    """Train once with Farr, then run the same sums on Flower's two engines, on the same machine one after the other."""
    ours = sorted(_ours())
    deployed = _theirs(deployment=True)
    simulated = _theirs(deployment=False) if importlib.util.find_spec("ray") else []
    p50 = statistics.median(ours)
    figures = [
        Figure(what=f"Farr, p50 of {len(ours)} rounds", value=f"{p50 * 1e3:.0f} ms", goal="100 ms with everything"),
        Figure(what="Farr, p95", value=f"{ours[int(len(ours) * 0.95)] * 1e3:.0f} ms"),
        Figure(what="Flower's SuperLink and SuperNodes, p50", value=f"{statistics.median(deployed) * 1e3:.0f} ms"),
        Figure(what="Flower's deployment / Farr", value=f"{statistics.median(deployed) / p50:.0f}", goal="at least 50"),
    ]
    if simulated:
        value = f"{statistics.median(simulated) * 1e3:.0f} ms"
        figures.append(Figure(what="Flower's simulation engine (Ray), p50 after the first", value=value))
    else:
        figures.append(Figure(what="Flower's simulation engine (Ray)", value="not measured: Ray is not installed"))
    return figures


def _ours() -> list[float]:
    """Return the seconds of each round but the first, in which hospitals read their rows."""
    recipe = Recipe(
        name="speed",
        kind="logistic",
        table="patient",
        outcome="ill = 'Y'",
        terms=tuple(f"x{number}" for number in range(1, FEATURES + 1)),
        rounds=ROUNDS,
        epsilon=0.9,  # the default policy takes a run of 1 without asking its operator
        penalty=Fraction(1),
    )
    began: list[float] = []
    numbers: set[int] = set()

    def told(progress: farr.training.run.Progress) -> None:
        if progress.number not in numbers:
            numbers.add(progress.number)
            began.append(time.perf_counter())

    with federation() as lab, farr.connect(lab.home) as connection:
        connection.train(recipe, told=told)
        began.append(time.perf_counter())
    return [after - before for before, after in pairwise(began[1:])]


def _theirs(*, deployment: bool) -> list[float]:
    """Return the seconds of each round; of a simulation but the first, in which its actors start."""
    with (
        TemporaryDirectory(prefix="flower-bench-") as folder,
        plain.link(HOSPITALS, deployment=deployment, folder=Path(folder)) as home,
    ):
        printed = plain.run(APP, home, f"num-server-rounds={THEIRS}")
    found = [float(each) for each in re.findall(r"round of \d+ replies took ([0-9.]+) s", printed)]
    if len(found) != THEIRS:
        raise RuntimeError(printed)
    return found if deployment else found[1:]


@contextmanager
def federation() -> Iterator[Lab]:
    """Run the hospitals' node processes for as long as the context lasts."""
    with TemporaryDirectory(prefix="farr-bench-") as folder:
        data = Path(folder, "data")
        for number in range(HOSPITALS):
            _write(data / f"site-{number}", number)
        described = labs.Federation(
            catalogue=read_catalogue(CATALOGUE.encode(), "synthetic.toml"),
            hospitals=in_folders(data, None),
            policy=policy_with(100.0),
        )
        home = Path(folder, "lab")
        with Watch(home) as watch:
            lab = labs.up(home, described, watch)
            try:
                yield lab
            finally:
                labs.down(home)


def _write(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    columns = draw.uniform(-1, 1, (ROWS, FEATURES)).round(3)
    weights = np.random.default_rng(99).normal(0, 0.5, FEATURES)
    ill = draw.random(ROWS) < 1 / (1 + np.exp(-(columns @ weights)))
    rows = pd.DataFrame(columns, columns=[f"x{number}" for number in range(1, FEATURES + 1)])
    rows.insert(0, "ill", np.where(ill, "Y", "N"))
    rows.insert(0, "pid", [f"{seed}-{number}" for number in range(ROWS)])
    rows.to_parquet(folder / "patient.parquet")
