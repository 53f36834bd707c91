"""How much a question has a hospital compute, by what is public of it: which answers take long is told before reading.

Counts, sums and small models take about as long as reading their rows. A large model takes thousands of times as long,
and an app as long as it says.
"""

from __future__ import annotations

from queries.asked.check_step import work_of
from queries.asked.plan import AppStep, Plan, Step

LONG = 20_000_000
"""Units of work, of some 50 ns each, that are long: about a second. With 100,000 rows, a network of 200 weights."""

MANY = 100_000
"""Rows that are reckoned with where the operator says nothing else (``many_rows`` of ``node.toml``). A catalogue's
``rows_per_site`` is a roof, often far above what hospitals have: with all of it every small model would be long."""


def is_long(plan: Plan, rows_per_site: int, many: int = MANY) -> bool:
    """Return whether a plan's answer may take long at a hospital with ``many`` rows, or as many as are agreed on.

    Guarantee: it follows from the plan, the catalogue and what the operator wrote down before any question, never from
    the rows that are there, so which way an answer takes says nothing of a record. Test:
    tests/node/test_long_rounds.py::test_what_is_long_follows_from_public_facts.
    """
    steps = (aggregate.step for part in plan.parts for aggregate in part.aggregates)
    rows = min(rows_per_site, many)
    return any(isinstance(step, AppStep) or (step is not None and rows * work(step) > LONG) for step in steps)


def work(step: Step) -> int:
    """Return the units of work that one row takes: measured, to a factor of two."""
    numbers = len(step.point)
    products = numbers * numbers // 16 if "information" in step.wants else 0
    return work_of(step) * len(step.wants) + products
