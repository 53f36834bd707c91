"""The tables of ``docs/budget.md``, put between its marks by ``python -m benchmarks year --write``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.year import (
    ASKED_TWENTY_TIMES,
    EPSILONS,
    YEARS,
    Reckoned,
    Runs,
    alone,
    needed,
    prefectures,
    price,
    reckoned,
    share_reliable,
    weekly_figures,
)
from benchmarks.year_rates import AD_HOC, SOURCES
from benchmarks.year_simulation import MONTH, OF_SOME, QUARTER, YEAR, Expected, monthly
from queries.agreed.pack import Indicator
from queries.answers.foresight import NORMAL_95
from queries.cost.accounting import epsilon_of, rho_of

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "budget.md"

SHOWN = (0.3, 1.0, 3.0)
"""Prices of the long table."""
WEEKS = (0.1, 0.3, 0.5, 1.0)
"""Prices of the series of one week."""
LIFETIMES = (5.0, 10.0, 20.0, 30.0)
"""Budgets for life that are tried."""
WHERE = {MONTH: "month, prefecture", QUARTER: "quarter, all", YEAR: "year, all"}
"""Words for where an indicator fits."""
LEAST_PRICE = 0.01
"""Epsilon below which a price is not spelt out."""
SHORT = {MONTH: "month", QUARTER: "quarter", YEAR: "year"}
"""The same in the long table."""
NOWHERE = "no"
"""There, for what fits nowhere."""
BEYOND = 999
"""Percent above which an error is not spelt out."""


def write() -> None:
    """Put all tables into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, lines in tables().items():
        begin, end = f"<!-- year {name}: begin -->", f"<!-- year {name}: end -->"
        before, _begin, rest = text.partition(begin)
        _old, _end, after = rest.partition(end)
        text = "\n".join([before + begin, *lines, end + after])
    DOCUMENT.write_text(text, encoding="utf-8")


def tables() -> dict[str, list[str]]:
    """Return the tables by name, line by line."""
    found = reckoned()
    return {
        "whole": _whole(found),
        "divided": _divided(found),
        "bill": _bill(found),
        "lifetime": _lifetime(found),
        "weekly": _weekly(found),
        "ad hoc": _ad_hoc(found),
        "fits": _fits(found),
        "errors": _errors(found),
        "rates": rates(),
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _names(found: Sequence[Reckoned]) -> list[str]:
    return [each.federation.name for each in found]


def _flat(figures: dict[str, list[Expected]]) -> list[Expected]:
    return [each for found in figures.values() for each in found]


def _whole(found: Sequence[Reckoned]) -> list[str]:
    rows = [
        [f"{epsilon:g}", *(f"{share_reliable(_flat(each.whole[epsilon])):.0%}" for each in found)]
        for epsilon in EPSILONS
    ]
    rhos = [needed(_flat(each.whole[1.0])) for each in found]
    rows.append(["for 90 %, epsilon", *(f"{epsilon_of(rho):.0f}" for rho in rhos)])
    rows.append(["a year of that, epsilon", *(f"{epsilon_of(12 * rho):.0f}" for rho in rhos)])
    return _table(["epsilon of a month", *_names(found)], rows)


def _divided(found: Sequence[Reckoned]) -> list[str]:
    rows = []
    for each in found:
        for epsilon, divided in each.divided.items():
            numbers = [str(len(chosen)) for _period, chosen in divided.fits]
            yearly = f"{epsilon_of(divided.rho):.1f}"
            rows.append([each.federation.name, f"{epsilon:g}", *numbers, str(len(divided.never)), yearly])
    head = ["federation", "epsilon of a run", *(f"fits by {where}" for where in WHERE.values()), "does not fit"]
    return _table([*head, "runs of a year, epsilon"], rows)


def _bill(found: Sequence[Reckoned]) -> list[str]:
    rows = []
    for kind in YEARS:
        for each in found:
            cost = each.bills[kind.name]
            parts = [f"{float(cost.packs):.3f}", f"{float(cost.weekly):.3f}", f"{float(cost.ad_hoc):.3f}"]
            whole = [str(cost.asked), f"{float(cost.rho):.3f}", f"**{cost.epsilon:.1f}**"]
            rows.append([kind.name, each.federation.name, *parts, *whole])
    head = ["year", "federation", "runs, rho", "52 weeks, rho", "ad hoc, rho", "asked of 100"]
    return _table([*head, "year, rho", "as epsilon"], rows)


def _lifetime(found: Sequence[Reckoned]) -> list[str]:
    rows = [
        [f"{lifetime:g}", kind.name, *(f"{each.bills[kind.name].years(lifetime):.1f}" for each in found)]
        for lifetime in LIFETIMES
        for kind in YEARS
    ]
    return _table(["`lifetime_epsilon`", "years of this kind", *_names(found)], rows)


def _weekly(found: Sequence[Reckoned]) -> list[str]:
    rows = []
    for epsilon in WEEKS:
        cells = []
        for each in found:
            figures = [one for one in weekly_figures(each.federation, epsilon) if one.reliable]
            cells.append(", ".join(one.code or f"`{one.indicator.name}`" for one in figures) or "none")
        rows.append([f"{epsilon:g}", f"{epsilon_of(52 * rho_of(epsilon)):.1f}", *cells])
    return _table(["epsilon of a week", "52 weeks", *_names(found)], rows)


def _ad_hoc(found: Sequence[Reckoned]) -> list[str]:
    rows = []
    for question in AD_HOC:
        prices = [price(each.federation, question) for each in found]
        rows.append([question.what, *("above 20" if rho is None else _price(epsilon_of(rho)) for rho in prices)])
    return _table([f"asked {ASKED_TWENTY_TIMES} times a year", *_names(found)], rows)


def _fits(found: Sequence[Reckoned]) -> list[str]:
    rows = []
    for indicator in monthly().indicators:
        cells = [_fit(each, indicator) for each in found]
        rows.append([str(indicator.number), f"`{indicator.name}`", *cells])
    return _table(["#", "indicator", *_names(found)], rows)


def _fit(found: Reckoned, indicator: Indicator) -> str:
    """Return where an indicator fits in a thrifty and in a full year, and its price by prefecture and month, alone."""
    own = alone(found.federation, indicator, MONTH, prefectures(found.federation))
    places = dict.fromkeys(_place(found.divided[kind.run], indicator) for kind in YEARS)
    written = "; ".join(places) + (f" ({_price(own)})" if own is not None else "")
    if places.keys() != {NOWHERE}:
        return written
    yearly = alone(found.federation, indicator, YEAR, [12 * found.federation.monthly])
    return written + (f", year alone {_price(yearly)}" if yearly is not None else "")


def _place(divided: Runs, indicator: Indicator) -> str:
    return next((SHORT[period] for period, chosen in divided.fits if indicator in chosen), NOWHERE)


def _price(epsilon: float) -> str:
    return f"{epsilon:.2g}" if epsilon >= LEAST_PRICE else f"<{LEAST_PRICE:g}"


def _errors(found: Sequence[Reckoned]) -> list[str]:
    rows = []
    for indicator in monthly().indicators:
        cells = [" / ".join(_error(each.whole[epsilon][indicator.name]) for epsilon in SHOWN) for each in found]
        rows.append([str(indicator.number), f"`{indicator.name}`", *cells])
    return _table(["#", "indicator", *_names(found)], rows)


def _error(figures: Sequence[Expected]) -> str:
    """Return half the noise-only interval over the figure, in percent: the median over its figures."""
    if not figures:
        return "rare"
    percent = NORMAL_95 * median(each.cv for each in figures)
    return f"{percent:.2g}" if percent < 10 else f"{percent:.0f}" if percent <= BEYOND else "–"


def rates() -> list[str]:
    """Return the table of what is assumed."""
    rows = []
    for each in monthly().indicators:
        share = f"{float(each.top.share):g}" if any(word in each.top.figure for word in OF_SOME) else ""
        source = SOURCES.get(each.name, "assumption")
        rows.append([str(each.number), f"`{each.name}`", f"{float(each.top.volume):g}", share, source])
    return _table(["#", "indicator", "rows for each discharge", "share", "who says so"], rows)
