"""Released intervals as comparisons need them: an end that was cut to a public bound is open."""

from __future__ import annotations

import math

from queries.answers.figures import Estimate
from queries.series.change import Figure


def uncut(figure: Estimate, bounds: tuple[float, float] | None, *, total: bool = False) -> Figure:
    """Return a figure with an interval that is nowhere cut: an end that stands at one of its column's bounds is open.

    A released interval of a mean or a share ends at public bounds where its value may lie beyond them, and an arm that
    was cut short would make the difference of two figures look surer than it is. ``bounds``: those of
    ``AnswerColumn.bounds``; where nobody says, both ends are open.

    Guarantee: no arm is shorter than the noise's. Test:
    tests/farr/test_comparison.py::test_an_end_that_was_cut_to_a_bound_is_open.
    """
    low, high = (figure.total_low, figure.total_high) if total else (figure.low, figure.high)
    if figure.value is None or bounds is None:
        value = math.nan if figure.value is None else figure.value
        return Figure(value=value, low=-math.inf, high=math.inf)
    # An end that the value is beyond is no arm either.
    return Figure(
        value=figure.value,
        low=low if low is not None and bounds[0] < low <= figure.value else -math.inf,
        high=high if high is not None and figure.value <= high < bounds[1] else math.inf,
    )
