"""The statistics that a plan can ask for: one module each, all listed here.

A new statistic is one new file with a subclass of ``interface.Statistic``, and one line in ``STATISTICS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from queries.agreed.catalogue import NumberColumn
from queries.agreed.names import offer
from queries.asked.plan import AttributeKey, BandKey, CodeKey, DateKey, FlagKey, SiteKey
from queries.errors import StatementError
from queries.statistics import (
    app,
    cells,
    compared,
    correlation,
    count,
    crosstab,
    hazard_ratio,
    histogram,
    incidence,
    lift,
    linear,
    logrank,
    mean,
    patients,
    quantile,
    rank,
    ratios,
    share,
    spread,
    standardised,
    step,
    survival,
    total,
)
from queries.statistics.interface import Argument, Function, Given, Statistic

STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        "count": count.Count(),
        "patients": patients.Patients(),
        "sum": total.Total(),
        "mean": mean.Mean(),
        "spread": spread.Spread(),
        "share": share.Share(),
        "compared": compared.Compared(),
        "linear": linear.Linear(),
        "correlation": correlation.Correlation(),
        "quantile": quantile.Quantile(),
        "histogram": histogram.Histogram(),
        "rank": rank.Rank(),
        "lift": lift.Lift(),
        "table": crosstab.Crosstab(),
        "ratios": ratios.Ratios(),
        "logistic": cells.Logistic(),
        "poisson": cells.Poisson(),
        "survival": survival.Survival(),
        "logrank": logrank.LogRank(),
        "hazard_ratio": hazard_ratio.HazardRatio(),
        "standardised": standardised.Standardised(),
        "incidence": incidence.Incidence(),
        "step": step.Round(),
        "app": app.App(),
    }
)
"""By the name that plans use."""

FUNCTIONS: Mapping[str, tuple[str, Function]] = MappingProxyType(
    {function.name: (name, function) for name, statistic in STATISTICS.items() for function in statistic.functions}
)
"""By the name that questions use, in capitals: the statistic and the function."""


def function_of(name: str) -> tuple[str, Function]:
    """Return the statistic and the function called ``name``; raise StatementError where there is none."""
    found = FUNCTIONS.get(name.upper())
    if found is None:
        raise StatementError(f"there is no function {name.upper()}", remedy=offer(name.upper(), FUNCTIONS))
    return found


def argument_at(function: Function, place: int) -> Argument | None:
    """Return what a function takes in a place; None where it takes no more."""
    if place < len(function.arguments):
        return function.arguments[place]
    return function.arguments[-1] if function.repeats else None


def check_given(function: Function, given: tuple[Given, ...]) -> None:
    """Raise StatementError unless a call gives what the function takes."""
    least = len(function.arguments) if function.least is None else function.least
    for place, value in enumerate(given):
        wanted = argument_at(function, place)
        if wanted is None:
            raise StatementError(f"{function.name} takes no more arguments", remedy=f"write {function.example}")
        if not isinstance(value, _KINDS[wanted]):
            raise StatementError(f"{function.name} takes {wanted.value} here", remedy=f"write {function.example}")
    if len(given) < least:
        wanted = argument_at(function, len(given))
        named = wanted.value if wanted else "more"
        raise StatementError(f"{function.name} still needs {named}", remedy=f"write {function.example}")


_GROUPS = (CodeKey, BandKey, DateKey, SiteKey, AttributeKey, FlagKey)

_KINDS: Mapping[Argument, tuple[type, ...]] = MappingProxyType(
    {
        Argument.COLUMN: (NumberColumn,),
        Argument.TIME: (NumberColumn, BandKey),
        Argument.GROUP: _GROUPS,
        Argument.CONDITION: (FlagKey,),
        Argument.TERM: (NumberColumn, *_GROUPS),
        Argument.NUMBER: (Fraction,),
        Argument.WORD: (str,),
        Argument.WEIGHTS: (Fraction, str),
    }
)
