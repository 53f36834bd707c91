"""Conditions in words: what an operator reads is what a row is held against."""

import pytest

from queries.asked.conditions import in_words
from queries.asked.plan import EVERYTHING, Between, Every, Missing, Not, Some

HEAVY = Between(column="weight", low=50, high=None)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (HEAVY, "weight >= 2.5"),
        (Between(column="weight", low=None, high=1), "weight <= 0.05"),
        (Between(column="weight", low=-10, high=100), "weight BETWEEN -0.5 AND 5"),
        (Not(term=HEAVY), "NOT (weight >= 2.5)"),
        (Every(terms=(Some(terms=(HEAVY, Missing(column="weight"))),)), "(weight >= 2.5 OR weight IS NULL)"),
        (Between(column="age", low=65, high=None), "age >= 65"),
        (EVERYTHING, "all rows"),
    ],
)
def test_numbers_are_said_in_the_units_of_their_column(where, words, wide):
    """A weight is kept in twentieths: 50 of them are 2.5, wherever the condition stands."""
    assert in_words(where, wide.table("discharge")) == words
