"""Released intervals as comparisons need them: an end that stands at a public bound is open, since it was cut there."""

from __future__ import annotations

import math

from queries.answers.figures import Estimate
from queries.series.change import Figure

PUBLIC_DIGITS = 9
"""An end of an interval that has no more digits than this is taken for a public bound; one that was computed from noise
has all that a float has, but for one in ten million."""


def uncut(figure: Estimate, *, linear: bool, total: bool = False) -> Figure:
    """Return a figure with an interval that is nowhere cut to public bounds: an end that may be one is taken for open.

    A released interval of a mean or a share ends at the column's bounds, and an arm that was cut short would make the
    difference of two figures look surer than it is. ``linear``: counts and sums, which are never cut. Where value and
    both ends are public values (quantiles, ranks), the figure has no others, and nothing was cut.

    Guarantee: no arm is shorter than the noise's. Test:
    tests/farr/test_comparison.py::test_an_end_that_was_cut_to_a_bound_is_open.
    """
    ends = (figure.total_low, figure.total_high) if total else (figure.low, figure.high)
    low = -math.inf if ends[0] is None else ends[0]
    high = math.inf if ends[1] is None else ends[1]
    value = math.nan if figure.value is None else figure.value
    if math.isnan(value):
        return Figure(value=value, low=-math.inf, high=math.inf)
    if not (linear or (_is_public(value) and _is_public(low) and _is_public(high) and low <= value <= high)):
        # Sampling moves both ends or none: an end that alone stays where the noise's was stands at a bound.
        stays = figure.total_low == figure.low, figure.total_high == figure.high
        low = -math.inf if _is_public(low) or value < low or (stays[0] and not stays[1]) else low
        high = math.inf if _is_public(high) or value > high or (stays[1] and not stays[0]) else high
    return Figure(value=value, low=low, high=high)


def _is_public(number: float) -> bool:
    return math.isfinite(number) and float(f"{number:.{PUBLIC_DIGITS}g}") == number
