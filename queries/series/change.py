"""Whether a figure has changed between two releases, or their difference lies within their errors.

Each figure has an interval. The interval of a difference comes from the two by squaring and adding their half-widths
(Zou and Donner, Stat Med 27 (2008) 1693-1702), which for normal errors is difference +- z sqrt(Var + Var) and keeps the
skewness of intervals that have one. Ratios (rates, odds, hazards) are compared on the logarithmic scale by the same
rule. The noise of two releases is independent, and so must be the records' sampling errors where these are included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Literal

from queries.errors import PlanError

Scale = Literal["difference", "ratio"]


class Verdict(StrEnum):
    """What a comparison says."""

    RISE = "rise"
    FALL = "fall"
    NONE = "no detectable change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A released figure with its interval, not cut to any bounds."""

    value: float
    """The unbiased or consistent estimate; NaN where there is none."""
    low: float
    """Lower end of the interval; -inf where it has none."""
    high: float
    """Upper end of the interval; inf where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From the earlier figure to the later one."""

    scale: Scale
    """Whether ``change`` is later - earlier, or later / earlier."""
    change: float
    """The difference or the ratio; NaN where the ratio is not defined."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    verdict: Verdict
    """No detectable change where the interval holds 0 (a ratio's: 1), else rise or fall."""


def figure(value: float, noise: float, sampling: float = 0.0, *, confidence: float = 0.95) -> Figure:
    """Return a figure whose error is normal, with the variance of its noise and, if wanted, of its sampling error."""
    if not (math.isfinite(noise + sampling) and noise >= 0 and sampling >= 0):
        raise PlanError("a variance is a number of at least 0", remedy="take it from the release")
    half = _z(confidence) * math.sqrt(noise + sampling)
    return Figure(value=value, low=value - half, high=value + half)


def compare(before: Figure, after: Figure, *, scale: Scale = "difference", widen: float = 1.0) -> Change:
    """Return the change from ``before`` to ``after``, with an interval of the confidence that both have.

    With z the half-widths, difference: (a - b) - sqrt((a - a_low)^2 + (b_high - b)^2) and likewise above. Ratio: the
    same on logarithms, where both intervals lie above zero; where one does not, the ratio's is 0 to infinity. ``widen``
    stretches every half-width. Under no change the verdict is right at the confidence of the intervals. Test:
    tests/queries/test_series_change.py::test_without_a_change_one_comparison_in_twenty_finds_one.
    """
    for each in (before, after):
        if each.low > each.high or not (math.isnan(each.value) or each.low <= each.value <= each.high):
            raise PlanError("a figure lies outside its interval", remedy="give intervals that are not cut to bounds")
    if scale == "ratio":
        if min(before.low, after.low) <= 0 or math.isnan(before.value + after.value):
            ratio = after.value / before.value if before.value > 0 else math.nan
            return Change(scale=scale, change=ratio, low=0.0, high=math.inf, verdict=Verdict.NONE)
        logs = _difference(_logarithm(before), _logarithm(after), widen)
        change, low, high = (_exp(end) for end in logs)
        return Change(scale=scale, change=change, low=low, high=high, verdict=_verdict(logs[1], logs[2]))
    change, low, high = _difference(before, after, widen)
    return Change(scale=scale, change=change, low=low, high=high, verdict=_verdict(low, high))


def compare_columns(
    before: Sequence[Figure],
    after: Sequence[Figure],
    *,
    scale: Scale = "difference",
    confidence: float = 0.95,
    jointly: bool = False,
) -> tuple[Change, ...]:
    """Return the change of every cell, in order; the figures' intervals have the given confidence.

    Of a hundred cells that did not change five are found to rise or fall. ``jointly`` stretches the intervals so that
    all hold at once with the confidence (Sidak, JASA 62 (1967) 626-633), for a column read as a whole.
    """
    if len(before) != len(after):
        raise PlanError("the two columns have different cells", remedy="compare releases of the same groups")
    widen = 1.0
    if jointly and before:
        widen = _z(confidence ** (1.0 / len(before))) / _z(confidence)
    return tuple(compare(one, two, scale=scale, widen=widen) for one, two in zip(before, after, strict=True))


def _difference(before: Figure, after: Figure, widen: float) -> tuple[float, float, float]:
    change = after.value - before.value
    if math.isnan(change):
        return change, -math.inf, math.inf
    low = change - widen * math.hypot(after.value - after.low, before.high - before.value)
    high = change + widen * math.hypot(after.high - after.value, before.value - before.low)
    return change, low, high


def _logarithm(ratio: Figure) -> Figure:
    return Figure(
        value=math.log(ratio.value),
        low=math.log(ratio.low),
        high=math.log(ratio.high) if math.isfinite(ratio.high) else math.inf,
    )


def _exp(logarithm: float) -> float:
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf


def _verdict(low: float, high: float) -> Verdict:
    if low > 0:
        return Verdict.RISE
    return Verdict.FALL if high < 0 else Verdict.NONE


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise PlanError(f"a confidence of {confidence} is not between 0 and 1", remedy="0.95 is usual")
    return NormalDist().inv_cdf(0.5 + confidence / 2)
