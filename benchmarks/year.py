"""What a commission's year costs, and which indicators fit: twelve monthly packs, 52 weekly series, 100 questions.

``docs/budget.md`` holds the tables, ``year_rates`` what is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import ceil
from statistics import median

from benchmarks.table import Figure
from benchmarks.year_rates import AD_HOC, FEDERATIONS, AdHoc, Federation
from benchmarks.year_simulation import MONTH, QUARTER, WEEK, YEAR, Expected, Simulation, model, monthly
from farr.errors import FarrError
from farr.questions.asking import Terms, prepare
from queries.agreed.pack import Indicator
from queries.answers.figures import CAUTION
from queries.cost.accounting import epsilon_of, rho_of, rho_of_units
from queries.sql import read

TITLE = "A commission's year, reckoned from the shipped pack (docs/budget.md)"

TIMES = {MONTH: 12, QUARTER: 4, YEAR: 1, WEEK: 52}
"""How often each is run in a year."""
WEEKLY = ("notifiable_cases", "ili_share", "influenza_positivity")
"""The series of every week."""
ENOUGH = 0.9
"""Share of figures that must be free to use for a run to fit."""
EPSILONS = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Prices that are tried."""
RUN_EPSILONS = (0.5, 1.0, 3.0)
"""Prices of a run at which the pack is divided."""
MOST_CV = 1e6
"""Percent at which the noise of a figure that cannot be read is taken."""
MOST = 20.0
"""Above this epsilon a price is not named."""
ASKED_TWENTY_TIMES = 20
"""Each kind of ad hoc question, so that five kinds make a hundred."""
FREE_TO_USE = f"{196 * CAUTION / 100:.1f}%"
"""Half-width at which a figure is just free to use, as ``--within`` takes it."""


def prefectures(federation: Federation) -> list[float]:
    """Return the discharges of each prefecture in a month."""
    return [federation.of_prefecture(place) for place in range(len(federation.prefectures))]


def share_reliable(figures: Sequence[Expected]) -> float:
    """Return the share of figures that are free to use; 0 where there are none."""
    return sum(each.reliable for each in figures) / len(figures) if figures else 0.0


def fitting(simulation: Simulation, epsilon: float, cells: Sequence[float]) -> tuple[Indicator, ...]:
    """Return indicators that fit into one run: of each, nine in ten figures are free to use.

    Of those that do not, the noisiest are left out first, a quarter of them at a time: what is left out leaves its
    part of the privacy loss to the others.
    """
    left = simulation.indicators
    while left:
        found = replace(simulation, indicators=left).by_indicator(epsilon, cells)
        failing = [each for each in left if share_reliable(found[each.name]) < ENOUGH]
        if not failing:
            return left
        rare = {each.name for each in failing if not found[each.name]}
        noisy = [each for each in failing if each.name not in rare]
        noisy.sort(key=lambda each: -median(figure.cv for figure in found[each.name]))
        out = rare | {each.name for each in noisy[: -(-len(noisy) // 4)]}
        left = tuple(each for each in left if each.name not in out)
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The pack divided into the runs in which its indicators fit, all at one price."""

    epsilon: float
    """Of each run."""
    fits: tuple[tuple[str, tuple[Indicator, ...]], ...]
    """By period: what fits each month by prefecture; of the rest, each quarter, then each year, for all together."""
    never: tuple[Indicator, ...]
    """What fits nowhere at this price."""
    rho: Fraction
    """What the runs of a year cost."""


def runs(federation: Federation, epsilon: float) -> Runs:
    """Divide the pack into runs: each indicator where it is finest."""
    left, fits, rho = monthly().indicators, [], Fraction(0)
    for period, cells in (
        (MONTH, prefectures(federation)),
        (QUARTER, [3 * federation.monthly]),
        (YEAR, [12 * federation.monthly]),
    ):
        chosen = fitting(Simulation(federation=federation, indicators=left, period=period), epsilon, cells)
        left = tuple(each for each in left if each not in chosen)
        fits.append((period, chosen))
        if chosen:
            asked = Simulation(federation=federation, indicators=chosen, period=period)
            rho += TIMES[period] * asked.rho(epsilon)
    return Runs(epsilon=epsilon, fits=tuple(fits), never=left, rho=rho)


def weekly(federation: Federation) -> Simulation:
    """Return the weekly series, asked together."""
    return Simulation(federation=federation, indicators=monthly().named(WEEKLY), period=WEEK)


def weekly_figures(federation: Federation, epsilon: float) -> list[Expected]:
    """Return the figures of the weekly series with cases enough, of all hospitals together."""
    found = weekly(federation).by_indicator(epsilon, [12 * federation.monthly / 52])
    return [each for figures in found.values() for each in figures]


def price(federation: Federation, question: AdHoc) -> Fraction | None:
    """Return the least rho at which an ad hoc question's figures are free to use; None: above all prices."""
    sites: dict[str, dict[str, str]] = {f"site-{number:03d}": {} for number in range(federation.hospitals)}
    asked = read(question.statement, model(), sites, rows_per_patient=question.rows_per_patient)
    terms = Terms(within=FREE_TO_USE, expect=question.rows * 3 * federation.monthly)
    try:
        return rho_of_units(prepare(asked, terms, model(), hospitals=federation.hospitals).measurement.cost)
    except FarrError:
        return None


def needed(figures: Sequence[Expected]) -> Fraction:
    """Return the rho at which nine in ten figures are free to use, from what they are at an epsilon of 1.

    Errors go with the root of rho: exactly for counts, sums and ratios, nearly for quantiles.
    """
    noisy = sorted(each.cv for each in figures)[ceil(ENOUGH * len(figures)) - 1]
    return rho_of(1.0) * Fraction(min(noisy, MOST_CV) / CAUTION) ** 2


def alone(federation: Federation, indicator: Indicator, period: str, cells: Sequence[float]) -> float | None:
    """Return the least epsilon at which an indicator fits in a run of its own; None: rare, or above MOST."""
    asked = Simulation(federation=federation, indicators=(indicator,), period=period)
    figures = asked.by_indicator(1.0, cells)[indicator.name]
    if not figures:
        return None
    rho = needed(figures)
    return epsilon_of(rho) if rho <= rho_of(MOST) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a year costs one patient at most."""

    packs: Fraction
    """Rho of the monthly, quarterly and yearly runs."""
    weekly: Fraction
    """Rho of 52 weekly series."""
    ad_hoc: Fraction
    """Rho of the ad hoc questions that fit, at what each needs."""
    asked: int
    """How many these are, of a hundred."""

    @property
    def rho(self) -> Fraction:
        """Return the whole: releases add up."""
        return self.packs + self.weekly + self.ad_hoc

    @property
    def epsilon(self) -> float:
        """Return the whole as an epsilon at a delta of one in a million."""
        return epsilon_of(self.rho)

    def years(self, lifetime: float) -> float:
        """Return how many such years a budget for life lasts."""
        return float(rho_of(lifetime) / self.rho)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How dearly a year is lived."""

    name: str
    """In the tables."""
    run: float
    """Epsilon of a run of indicators."""
    week: float
    """Epsilon of the weekly series of a week."""
    question: float
    """Most epsilon of an ad hoc question; dearer ones are not asked."""


YEARS = (Kind(name="thrifty", run=0.5, week=0.3, question=0.5), Kind(name="full", run=1.0, week=0.3, question=1.0))
"""Two years to choose from."""


def bill(federation: Federation, divided: Runs, kind: Kind) -> Bill:
    """Return what a year of these runs, of weekly series and of ad hoc questions costs."""
    prices = [price(federation, question) for question in AD_HOC]
    most = rho_of(kind.question)
    paid = [each for each in prices if each is not None and each <= most]
    return Bill(
        packs=divided.rho,
        weekly=TIMES[WEEK] * weekly(federation).rho(kind.week),
        ad_hoc=ASKED_TWENTY_TIMES * sum(paid, start=Fraction(0)),
        asked=ASKED_TWENTY_TIMES * len(paid),
    )


@dataclass(frozen=True, kw_only=True)
class Reckoned:
    """The year of one federation."""

    federation: Federation
    """Whose."""
    whole: dict[float, dict[str, list[Expected]]]
    """By price of the whole pack, each month by prefecture: figures with cases enough, by indicator."""
    divided: dict[float, Runs]
    """By price of a run, the pack divided into runs."""
    bills: dict[str, Bill]
    """By kind of year."""


@lru_cache(maxsize=1)
def reckoned() -> tuple[Reckoned, ...]:
    """Reckon the year of every federation."""
    found = []
    for federation in FEDERATIONS:
        everything = Simulation(federation=federation, indicators=monthly().indicators)
        divided = {epsilon: runs(federation, epsilon) for epsilon in RUN_EPSILONS}
        found.append(
            Reckoned(
                federation=federation,
                whole={each: everything.by_indicator(each, prefectures(federation)) for each in EPSILONS},
                divided=divided,
                bills={kind.name: bill(federation, divided[kind.run], kind) for kind in YEARS},
            )
        )
    return tuple(found)


def measure() -> list[Figure]:
    """Return the year in short; the tables are those of ``year_pages``."""
    figures = []
    for each in reckoned():
        name = each.federation.name
        flat = [figure for found in each.whole[1.0].values() for figure in found]
        figures.append(
            Figure(what=f"{name}: whole pack at epsilon 1, free to use", value=f"{share_reliable(flat):.0%}")
        )
        for kind in YEARS:
            divided, cost = each.divided[kind.run], each.bills[kind.name]
            fits = ", ".join(str(len(chosen)) for _period, chosen in divided.fits)
            figures.append(
                Figure(
                    what=f"{name}, {kind.name} year: fit monthly, quarterly, yearly, not; the year as one epsilon",
                    value=f"{fits}, {len(divided.never)}; {cost.epsilon:.1f}",
                )
            )
    return figures
