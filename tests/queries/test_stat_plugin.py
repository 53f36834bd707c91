"""A statistic of one's own: the example of docs/statistics.md works as it is printed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import answers
from queries.asked.build import question, statistic
from queries.cost.accounting import rho_of
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "per_patient.py"


@pytest.fixture
def registered(monkeypatch):
    """The example, registered as its first lines say."""
    spec = importlib.util.spec_from_file_location("per_patient", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    example = module.PerPatient()
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] != "queries":
            continue
        if hasattr(loaded, "STATISTICS"):
            monkeypatch.setattr(loaded, "STATISTICS", MappingProxyType({**loaded.STATISTICS, "per_patient": example}))
        if hasattr(loaded, "FUNCTIONS") and name == "queries.statistics":
            called = {function.name: ("per_patient", function) for function in example.functions}
            monkeypatch.setattr(loaded, "FUNCTIONS", MappingProxyType({**loaded.FUNCTIONS, **called}))
    return example


def test_the_example_of_a_new_statistic_is_answered_with_an_interval(registered):
    """One file and one line make a statistic that has a cost, a value and an interval."""
    catalogue = read_catalogue((ROOT / "docs" / "examples" / "discharge.toml").read_bytes(), "discharge.toml")
    asked = question(catalogue, {"h1": {}}).table("discharge").measure(each=statistic("per_patient", "cost")).build()
    layout = tally(asked.plan, catalogue)
    measurement = calibrate(layout, of_tally(layout, 1), rho_of(1.0), 1)
    exact = np.array([200, 200 * 12_345 * 100])
    noisy = exact * np.array([block.grid for block in measurement.blocks])
    (answer,) = answers(asked.plan, asked.pages, catalogue, noisy, measurement, contributors=1)
    (figure,) = answer.rows[0].cells
    assert figure.value == pytest.approx(12_345)
    assert figure.low < 12_345 < figure.high
    assert answer.columns[0].unit == "CNY"
