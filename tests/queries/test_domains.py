"""The public cells of keys: their number, names and order."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.agreed.domains import PARTS, RECURRING, domain, period_starts, size
from queries.asked.plan import AttributeKey, BandKey, CodeKey, DateKey, FlagKey, Missing, SiteKey
from queries.errors import PlanError


def _names(key, wide) -> list[str]:
    return [code.code for code in domain(key, wide, wide.table("discharge")).codes]


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("year", ["2020", "2021"]),
        ("quarter", ["2020-Q4", "2021-Q1"]),
        ("month", ["2020-12", "2021-01"]),
        ("week", ["2020-W53", "2021-W01"]),
        ("day", [f"2020-12-{day}" for day in range(28, 32)] + [f"2021-01-{day:02d}" for day in range(1, 5)]),
        ("weekday", list("1234567")),
        ("month_of_year", [f"{month:02d}" for month in range(1, 13)]),
    ],
)
def test_dates_are_named_in_time_order(wide, part, names):
    """Across the end of a year, with ISO weeks."""
    key = DateKey(column="discharged", part=part, first=date(2020, 12, 28), last=date(2021, 1, 4))
    assert _names(key, wide) == names


def test_weekdays_and_months_speak_both_languages(wide):
    """The code is a number that sorts; the label is a word."""
    day = DateKey(column="discharged", part="weekday", first=date(2020, 1, 1), last=date(2020, 1, 1))
    month = DateKey(column="discharged", part="month_of_year", first=date(2020, 1, 1), last=date(2020, 1, 1))
    table = wide.table("discharge")
    monday, march = domain(day, wide, table).codes[0], domain(month, wide, table).codes[2]
    assert (monday.code, monday.label.en, monday.label.zh) == ("1", "Monday", "星期一")
    assert (march.code, march.label.en, march.label.zh) == ("03", "March", "3月")


def test_numbers_are_named_by_their_bands(wide):
    """Ends included, exact decimals, one value by itself, and below zero with a word between."""
    assert _names(BandKey(column="age", starts=(0, 18, 119, 120)), wide) == ["0-17", "18-118", "119", "120"]
    weights = BandKey(column="weight", starts=(-10, -9, 0, 1, 20))
    assert _names(weights, wide) == ["-0.5", "-0.45 to -0.05", "0", "0.05-0.95", "1-30.25"]
    assert domain(weights, wide, wide.table("discharge")).codes[1].label.zh == "-0.45至-0.05"


def test_codes_levels_attributes_and_sites_are_named_as_agreed(wide):
    """Every code is a cell, whether a record has it or not."""
    assert _names(CodeKey(column="way"), wide) == ["home", "hospital", "dead"]
    assert _names(CodeKey(column="region", level="prefecture"), wide) == ["4403", "4401", "1101"]
    assert _names(AttributeKey(attribute="level"), wide) == ["3", "2"]
    assert _names(SiteKey(sites=("甲", "乙")), wide) == ["甲", "乙"]
    assert _names(FlagKey(term=Missing(column="age")), wide) == ["N", "Y"]


def test_a_key_that_does_not_fit_is_refused(wide):
    """Codes of a number, bands of codes, parts that dates do not have."""
    table = wide.table("discharge")
    for key in (
        CodeKey(column="age"),
        BandKey(column="sex", starts=(0,)),
        DateKey(column="discharged", part="hour", first=date(2020, 1, 1), last=date(2020, 1, 2)),
    ):
        with pytest.raises(PlanError):
            domain(key, wide, table)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), part=st.sampled_from(PARTS))
def test_the_size_of_a_key_is_the_number_of_its_names(wide, plans, data, part):
    """Counted by arithmetic and counted by naming, for every kind of key and any days."""
    table = wide.table("discharge")
    first = data.draw(st.dates(date(1, 1, 1), date(9999, 1, 1)))
    last = first + timedelta(data.draw(st.integers(0, 300)))
    key = DateKey(column="discharged", part=part, first=first, last=last)
    assert size(key, wide, table) == len(domain(key, wide, table).codes)
    for asked in data.draw(plans).parts:
        about = wide.table(asked.table)
        for chosen in asked.keys:
            names = [code.code for code in domain(chosen, wide, about).codes]
            assert size(chosen, wide, about) == len(names) == len(set(names))


@settings(deadline=None, max_examples=60)
@given(part=st.sampled_from(sorted(set(PARTS) - set(RECURRING))), first=st.dates(date(1990, 1, 1), date(2030, 1, 1)))
def test_each_period_begins_with_its_first_covered_day(part, first):
    """Starts rise from the first day; the day before a start belongs to the period before."""
    key = DateKey(column="x", part=part, first=first, last=first + timedelta(400))
    starts = period_starts(key)
    assert starts[0] == first
    assert list(starts) == sorted(set(starts))
    for start in starts[1:]:
        before = DateKey(column="x", part=part, first=start - timedelta(1), last=start)
        assert len(period_starts(before)) == 2
