"""Rows in a DataFrame are the numbers that a hospital makes of the same rows."""

import numpy as np
import pandas as pd
import pytest

from farr.training.frames import NOWHERE, Rows, design_of
from farr.training.sample import fake_rows
from node.scan.scan import Scanner
from queries.asked.plan import (
    BandKey,
    Between,
    CodeKey,
    DateKey,
    Every,
    FlagKey,
    Members,
    Missing,
    Not,
    SiteIs,
    Some,
)
from queries.cost.setting import Setting
from queries.models.contributions import tally_of
from queries.models.shape import shape_of
from tests.node import stays

SETTING = Setting(catalogue=stays.AGREED, table=stays.AGREED.table("stay"), keys=())
OLD = Between(column="age", low=65, high=None)
IN_HOSPITAL = Members(column="dx", codes=("IX",), level="chapter")


@pytest.fixture(scope="module")
def frame():
    """Fake stays, one of a patient, as the hospital h1 has them."""
    found = fake_rows(stays.AGREED, "stay", 300, 5)
    found["pid"] = [f"p{place}" for place in range(len(found))]
    return found


@pytest.fixture(scope="module")
def hospital(frame, tmp_path_factory):
    """The same stays, prepared by a hospital."""
    header = stays.HEADER.strip().split(",")
    lines = frame[header].to_csv(index=False, header=False, lineterminator="\n").splitlines()
    scanner = Scanner(stays.prepared(tmp_path_factory.mktemp("stays"), lines).path)
    yield scanner
    scanner.close()


def at_home(frame):
    """Return the rows with what is known of the hospital."""
    return Rows(frame.mask(frame == "").assign(**{"site": "h1", "site.country": "IT"}), SETTING)


@pytest.mark.parametrize("model", stays.MODELS)
def test_a_frame_adds_what_a_hospital_adds(frame, hospital, model):
    """The tally of a round is the same number for number, whichever model: so predictions read what training read."""
    step = stays.pointed(stays.MODELS[model], 3)
    there = hospital.tally(stays.round_of(step, rows=1), stays.AGREED, "h1", stays.ATTRIBUTES, own_row=True)
    here = tally_of(step, design_of(step, at_home(frame), SETTING), shape_of(step, SETTING))
    assert np.array_equal(here, there)


CONDITIONS = {
    "above": OLD,
    "not above": Not(term=OLD),
    "a group": IN_HOSPITAL,
    "missing": Missing(column="dx"),
    "either": Some(terms=(OLD, IN_HOSPITAL)),
    "both": Every(terms=(OLD, Not(term=IN_HOSPITAL))),
    "here": SiteIs(attribute="country", codes=("IT", "UK")),
    "nothing": Some(),
}


@pytest.mark.parametrize("term", CONDITIONS.values(), ids=CONDITIONS)
def test_conditions_hold_by_three_valued_logic(frame, hospital, term):
    """A condition on missing values is neither true nor false, in a frame as at a hospital."""
    step = stays.pointed(
        stays.replace(stays.BASE, terms=(FlagKey(term=term), CodeKey(column="sex")), outcome=FlagKey(term=term)), 1
    )
    there = hospital.tally(stays.round_of(step, rows=1), stays.AGREED, "h1", stays.ATTRIBUTES, own_row=True)
    here = tally_of(step, design_of(step, at_home(frame), SETTING), shape_of(step, SETTING))
    assert np.array_equal(here, there)


@pytest.mark.parametrize("part", ["year", "quarter", "month", "week", "month_of_year", "weekday"])
def test_days_lie_in_their_part_of_the_calendar(part):
    """A day falls into the cell that bears its name; one outside the key's days, or none at all, into no cell."""
    from queries.agreed.domains import domain

    column = SETTING.table.column("admitted")
    key = DateKey(column="admitted", part=part, first=column.first, last=column.last)
    days = pd.DataFrame({"admitted": ["2021-02-28", "2020-01-01", "", "2019-12-31", "2022-12-31"]})
    cells = Rows(days, SETTING).cells(key)
    names = [code.code for code in domain(key, stays.AGREED, SETTING.table).codes]
    first = {"year": "2021", "quarter": "2021-Q1", "month": "2021-02", "week": "2021-W08", "month_of_year": "02",
             "weekday": "7"}[part]  # fmt: skip
    assert names[cells[0]] == first
    assert list(cells[2:4]) == [NOWHERE, NOWHERE]
    assert (cells[[1, 4]] != NOWHERE).all()


def test_numbers_are_rounded_and_cut_as_at_hospitals():
    """Half a step is rounded away from zero, and what is beyond the bounds is at their ends."""
    rows = Rows(pd.DataFrame({"sbp": ["120.05", "120.04", "-3", "900", "x"]}), SETTING)
    assert rows.steps("sbp")[:4].tolist() == [1201, 1200, 0, 3000]
    assert np.isnan(rows.steps("sbp")[4])
    assert rows.cells(BandKey(column="sbp", starts=(0, 1000))).tolist() == [1, 1, 0, 1, NOWHERE]
