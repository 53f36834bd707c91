"""How long a round of an app lasts: the same at every hospital, known to all before it begins."""

from __future__ import annotations

from queries.asked.plan import AppStep

SETTLING = 2.0
"""Seconds between the end of an app's time and a hospital's answer, for reading the reply and the like."""

ENTRIES_A_SECOND = 300_000
"""How fast a reply is read at least: a long one gets more time."""


def settling(entries: int) -> float:
    """Return the seconds between the end of an app's time and a hospital's answer, from the length of its vector."""
    return SETTLING + entries / ENTRIES_A_SECOND


def lasting(step: AppStep) -> float:
    """Return the seconds from the start of an app to a hospital's answer.

    Guarantee: it depends on nothing but the plan, so that a hospital that answers after this time says nothing by it.
    Test: tests/redteam/test_apps_attacked.py::test_the_answer_leaves_at_a_time_that_no_app_decides.
    """
    return step.seconds + settling(step.entries)
