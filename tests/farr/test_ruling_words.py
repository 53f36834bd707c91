"""The details of rulings in words."""

from __future__ import annotations

import pytest

from farr.hospital import ruling_words
from farr.texts import use


@pytest.fixture
def chinese():
    """Chinese for one test."""
    use("zh")
    yield
    use("en")


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("costs 7302424910 units (epsilon 0.5), left 494540490351 units (epsilon 4.92)", "epsilon 0.5"),
        ("2 hospitals, at least 3; too new to count: h2, h3", "h2, h3"),
        ("told apart from all but 4 hospitals, at least 3", "4"),
    ],
)
def test_details_are_told_in_chinese(chinese, detail, words):
    """With their figures and names, and without a word of the English form."""
    told = ruling_words.in_words(detail)
    assert words in told
    assert not {"costs", "hospitals", "told", "units"} & set(told.split())


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("day of stay.admitted", "stay.admitted 的日"),
        ("weekday of stay.admitted", "stay.admitted 的星期几"),
        ("stay.admitted from 2025-01-02 to the last day", "stay.admitted 自 2025-01-02 至 最后一天"),
        ("stay.region by code", "stay.region 按代码"),
        ("stay.region by county", "stay.region 按county"),
    ],
)
def test_what_is_too_fine_is_told_in_chinese(chinese, detail, words):
    """Parts of the calendar are words; columns and levels are names."""
    assert ruling_words.in_words(detail) == words


def test_prices_that_look_alike_keep_their_units():
    """Where the epsilons are the same to three digits, only the units say why a question is too dear."""
    detail = "costs 7302433228 units (epsilon 0.5), at most 7302433227 units (epsilon 0.5)"
    assert ruling_words.in_words(detail) == detail


def test_a_detail_of_no_known_form_is_shown_as_it_is():
    """Nothing is lost."""
    assert ruling_words.in_words("something else (1 units)") == "something else (1 units)"
