"""What the codes of an answer's columns are: said by the question's keys, not by how the codes look."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import answers
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from queries.sql import read

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())


def columns_of(statement):
    """Return the columns of the answer to a statement, over a sum of equal numbers."""
    question = read(statement, CATALOGUE, SITES, rows_per_patient=1)
    layout = tally(question.plan, CATALOGUE)
    measurement = calibrate(layout, of_tally(layout, 1), Fraction(1, 2), 1)
    noisy = np.concatenate([np.full(block.entries, 900 * block.grid) for block in measurement.blocks]).astype(np.int64)
    (found,) = answers(question.plan, question.pages, CATALOGUE, noisy, measurement, contributors=4)
    return found.columns


@pytest.mark.parametrize(
    ("group", "scale"),
    [
        ("sex", "code"),
        ("site.country", "code"),
        ("BAND(age, 20)", "band"),
        ("YEAR(admitted)", "date"),
        ("MONTH(admitted)", "date"),
        ("WEEKDAY(admitted)", "season"),
        ("MONTH_OF_YEAR(admitted)", "season"),
    ],
)
def test_a_key_says_what_its_codes_are(group, scale):
    """Years and bands may look alike; a recurring month is no place on a calendar."""
    key, figure = columns_of(f"SELECT {group} AS k, COUNT(*) AS n FROM admission GROUP BY k")
    assert (key.scale, figure.scale) == (scale, "")


@pytest.mark.parametrize(
    ("call", "scale"), [("HISTOGRAM(age)", "band"), ("CDF(age)", "point"), ("QUANTILE(age, 0.25, 0.5)", "point")]
)
def test_an_axis_is_called_what_its_statistic_calls_it(call, scale):
    """The column that names the figures of one cell has the axis's name, whatever the column is called."""
    columns = columns_of(f"SELECT sex, {call} AS x FROM admission GROUP BY sex")
    assert [column.scale for column in columns] == ["code", scale, ""]


def test_figures_that_cannot_be_negative_say_so():
    """Counts and ratios of counts are positive, differences of counts are not."""
    columns = columns_of(
        "SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE sex = 'F') / COUNT(*) AS share,"
        " COUNT(*) - COUNT(*) FILTER (WHERE sex = 'F') AS rest FROM admission"
    )
    assert [column.positive for column in columns] == [True, True, False]
