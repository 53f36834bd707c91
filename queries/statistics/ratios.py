"""ODDS_RATIO, RISK_RATIO and RISK_DIFFERENCE(event, exposure): three readings of one table of two by two.

One block of four exclusive cells: event or not, exposed or not; a row of which either is unknown is left out. Each
figure is a quotient of two sums of products of counts, so its interval is Fieller's (Quantity explains it) with the
exact variance of such products, and where the denominator is within the noise of zero an end of it stays open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Aggregate, FlagKey
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.crosstab import check_keys
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums

Z = NormalDist().inv_cdf(0.975)

CLEAR = 5.0
"""Standard deviations of noise above zero from which on a count's interval is as good as exact."""


def _products(*pairs: tuple[int, int]) -> NDArray[np.float64]:
    """Return the symmetric matrix of a sum of products of two counts; a pair in reverse order is subtracted.

    Counts 0 to 3, called a, b, c and d below: exposed with an event, exposed without, others with, others without.
    """
    matrix = np.zeros((4, 4))
    for one, other in pairs:
        matrix[one, other] = matrix[other, one] = 1.0 if one < other else -1.0
    return matrix


@dataclass(frozen=True, kw_only=True)
class _Quotient:
    """What a reading divides by what."""

    top: NDArray[np.float64]
    """Matrix of the numerator."""
    bottom: NDArray[np.float64]
    """Matrix of the denominator."""
    logarithmic: bool
    """Whether sampling acts on the scale of logarithms, as on ratios."""
    least: float
    """Of what is possible."""
    most: float
    """Of what is possible."""


QUOTIENTS: Mapping[str, _Quotient] = MappingProxyType(
    {
        # Products of the diagonals.
        "odds_ratio": _Quotient(
            top=_products((0, 3)), bottom=_products((1, 2)), logarithmic=True, least=0.0, most=np.inf
        ),
        # The share a of a and b over the share c of c and d, both multiplied out.
        "risk_ratio": _Quotient(
            top=_products((0, 2), (0, 3)), bottom=_products((0, 2), (1, 2)), logarithmic=True, least=0.0, most=np.inf
        ),
        # The difference of the same shares: what they have in common cancels.
        "risk_difference": _Quotient(
            top=_products((0, 3), (2, 1)),
            bottom=_products((0, 2), (0, 3), (1, 2), (1, 3)),
            logarithmic=False,
            least=-1.0,
            most=1.0,
        ),
    }
)
"""By the name of the reading."""

_TITLES = {
    "odds_ratio": "the odds of an event among the exposed over the odds among others",
    "risk_ratio": "the share with an event among the exposed over the share among others",
    "risk_difference": "the share with an event among the exposed less the share among others",
}


class Ratios(Statistic):
    """Four counts: event by exposure."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = tuple(
        Function(
            name=name.upper(),
            arguments=(Argument.CONDITION, Argument.CONDITION),
            summary=summary,
            example=f"{name.upper()}(died = 'Y', sex = 'M')",
            reading=name,
        )
        for name, summary in _TITLES.items()
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the table of event by exposure, and which figure to read from it."""
        by = tuple(each for each in given if isinstance(each, FlagKey))
        return Aggregate(statistic="ratios", by=by), Reading(name=function.reading)

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept two unlike conditions."""
        flags = [key for key in aggregate.by if isinstance(key, FlagKey)]
        if aggregate.column is not None or aggregate.columns or len(aggregate.by) != 2 or len(flags) != 2:  # noqa: PLR2004
            remedy = "write ODDS_RATIO(died = 'Y', sex = 'M')"
            raise PlanError("an event and an exposure are two conditions", remedy=remedy)
        check_keys(aggregate, setting)

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept one of the three figures, without parameters."""
        if reading.name not in QUOTIENTS or reading.numbers or reading.words:
            raise PlanError("a table of two by two is not read that way", remedy="use one of " + ", ".join(QUOTIENTS))

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts; its cells exclude each other.

        Sensitivity, worst case: all of one patient's rows fall into one cell, which changes by their number.
        """
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the figure of each cell; NaN where a count that it divides by is not above zero."""
        block = sums.blocks[0]
        # Cells run event no, yes by exposure no, yes.
        none_other, none_exposed, event_other, event_exposed = block.values.reshape(-1, 4).T
        counts = np.stack([event_exposed, none_exposed, event_other, none_other])
        return _finding(counts, block.variance, QUOTIENTS[reading.name])

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether the figure is a ratio."""
        return QUOTIENTS[reading.name].logarithmic


def _finding(counts: Floats, variance: float, quotient: _Quotient) -> Finding:
    slopes = quotient.top @ counts, quotient.bottom @ counts
    top, bottom = ((counts * slope).sum(axis=0) / 2 for slope in slopes)

    def covariance(one: int, other: int) -> Floats:
        """Return the covariance of two sums of products of counts with independent noise, without bias.

        Of exact counts it would be variance x (slopes' product) + variance^2 x (shared products); noisy slopes' product
        has twice the latter in it. What a variance cannot go below is what products of noise alone have.
        """
        matrices = quotient.top, quotient.bottom
        shared = variance**2 * float((matrices[one] * matrices[other]).sum()) / 2
        found: Floats = variance * (slopes[one] * slopes[other]).sum(axis=0) - shared
        return np.maximum(found, shared) if one == other else found

    of_bottom, of_both = covariance(1, 1), covariance(0, 1)
    low, high = _fieller((top, bottom), (covariance(0, 0), of_bottom, of_both), quotient)
    defined = (bottom > 0) & np.all([count > 0 for count in _divisors(counts, quotient)], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(defined, top / bottom, np.nan)
        # A quotient is too large by about its denominator's relative variance; with a denominator within the noise of
        # zero that is no small correction, and the value, whose interval is open then, stays as it is.
        excess = value * of_bottom / bottom**2 - of_both / bottom**2
        value = np.where(bottom**2 > Z**2 * of_bottom, value - excess, value)
        total = _total(value, low, high, _sampling(counts, quotient), quotient)
    clear = bool((counts > CLEAR * np.sqrt(variance)).all())
    found = Finding(value=value, low=low, high=high, total_low=total[0], total_high=total[1], exact=clear)
    return found.within(quotient.least, quotient.most)


def _fieller(
    sums: tuple[Floats, Floats], variances: tuple[Floats, Floats, Floats], quotient: _Quotient
) -> tuple[Floats, Floats]:
    """Return the quotients r within what is possible for which top - r bottom is within 1.96 deviations of zero.

    Where the denominator may be zero these are all beyond a root, or all but those between two: then that end is open.
    """
    top, bottom = sums
    of_top, of_bottom, of_both = variances
    square, middle, rest = bottom**2 - Z**2 * of_bottom, top * bottom - Z**2 * of_both, top**2 - Z**2 * of_top
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(middle**2 - square * rest, 0.0))
        one, other = (middle - root) / square, (middle + root) / square
    one, other = np.fmin(one, other), np.fmax(one, other)
    bounded = square > 0
    # Beyond the greater root, if the lesser one is below what is possible; else on both sides of the two.
    beyond = ~bounded & (middle**2 > square * rest) & (one < quotient.least)
    low = np.where(bounded, one, np.where(beyond, other, quotient.least))
    high = np.where(bounded, other, quotient.most)
    return np.clip(low, quotient.least, quotient.most), np.clip(high, quotient.least, quotient.most)


def _divisors(counts: Floats, quotient: _Quotient) -> tuple[Floats, ...]:
    """Return the counts that are divided by, in the figure or its sampling variance: without them there is neither."""
    a, b, c, d = counts
    if not quotient.logarithmic:
        return a + b, c + d
    return (a, c, b, d) if quotient is QUOTIENTS["odds_ratio"] else (a, c, a + b, c + d)


def _sampling(counts: Floats, quotient: _Quotient) -> Floats:
    """Return the sampling variance: of a ratio's logarithm, or of a difference of shares (Woolf 1955; Katz 1978)."""
    divisors = _divisors(counts, quotient)
    if quotient.logarithmic:
        signs = (1, 1, 1, 1) if quotient is QUOTIENTS["odds_ratio"] else (1, 1, -1, -1)
        return np.maximum(sum(sign / divisor for sign, divisor in zip(signs, divisors, strict=True)), 0.0)
    a, b, c, d = counts
    exposed, other = divisors
    found: Floats = np.maximum(a * b, 0.0) / exposed**3 + np.maximum(c * d, 0.0) / other**3
    return found


def _total(value: Floats, low: Floats, high: Floats, sampling: Floats, quotient: _Quotient) -> tuple[Floats, Floats]:
    """Return the ends that allow for noise and sampling: each distance to the value widened in squares.

    Of ratios on the scale of logarithms. Where the value is unknown, all that is possible.
    """
    if quotient.logarithmic:
        value, low, high = np.log(value), np.log(low), np.log(high)
    below = np.sqrt((value - low) ** 2 + Z**2 * sampling)
    above = np.sqrt((high - value) ** 2 + Z**2 * sampling)
    ends = [value - below, value + above]
    if quotient.logarithmic:
        ends = [np.exp(end) for end in ends]
    below, above = ends
    return np.where(np.isnan(below), quotient.least, below), np.where(np.isnan(above), quotient.most, above)
