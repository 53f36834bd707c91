"""Standard populations."""

from __future__ import annotations

from fractions import Fraction

import pytest

from queries.agreed.catalogue import Label, NumberColumn
from queries.agreed.populations import STANDARDS, standard, weights
from queries.asked.plan import BandKey
from queries.errors import PlanError

AGE = NumberColumn(name="age", label=Label(en="age", zh="年龄"), low=0, high=120, step=Fraction(1), unit="years")


def bands(*starts: int) -> BandKey:
    """Bands of age."""
    return BandKey(column="age", starts=starts)


def column(**changes: object) -> NumberColumn:
    """The age with something else about it."""
    plain = {"name": "age", "label": AGE.label, "low": 0, "high": 120, "step": Fraction(1), "unit": "years"}
    return NumberColumn(**{**plain, **changes})


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("who-2000", 10_003),  # the published percentages add up to 100.035, the last of which is 0.635
        ("segi", 100_000),
        ("china-2000", 1_242_612_226),
        ("china-2010", 1_332_810_869),
        ("china-2020", 1_409_778_724),
    ],
)
def test_each_standard_adds_up_to_its_published_total(name, total):
    """Eighteen groups, and the total that its source states."""
    assert len(standard(name)) == 18
    assert sum(standard(name)) == total


def test_bands_weigh_what_their_groups_weigh_together():
    """All of the standard is given out, whatever the bands."""
    for name, groups in STANDARDS.items():
        assert weights(name, bands(0, *range(5, 90, 5)), AGE) == groups
        assert weights(name, bands(0, 15, 65), AGE) == (sum(groups[:3]), sum(groups[3:13]), sum(groups[13:]))
        assert weights(name, bands(0), AGE) == (sum(groups),)


def test_groups_outside_of_the_columns_bounds_weigh_nothing():
    """Of a column from 16 to 64 the weights are those of the groups that it reaches into."""
    groups = standard("segi")
    adults = column(low=16, high=64)
    assert weights("segi", bands(16, 40), adults) == (sum(groups[3:8]), sum(groups[8:13]))


def test_steps_are_turned_into_years():
    """A column in tenths of years has the same weights."""
    tenths = BandKey(column="age", starts=(0, 150, 650))
    assert weights("segi", tenths, column(step=Fraction(1, 10), high=1_200)) == weights("segi", bands(0, 15, 65), AGE)


@pytest.mark.parametrize(
    ("name", "starts", "about", "said"),
    [
        ("segi-2", (0,), AGE, "no standard population"),
        ("x" * 5_000, (0,), AGE, "no standard population"),
        ("segi", (0, 12), AGE, "groups of 5 years"),
        ("segi", (0, 85, 90), AGE, "groups of 5 years"),
        ("segi", (0, 15), column(unit="months"), "months"),
    ],
)
def test_what_a_standard_cannot_weigh_is_refused(name, starts, about, said):
    """Unknown names, bands across groups, bands inside the open group, ages in other units."""
    with pytest.raises(PlanError, match=said) as refused:
        weights(name, bands(*starts), about)
    assert refused.value.remedy
    assert len(refused.value.message) < 300
