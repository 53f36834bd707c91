"""What to expect of indicators that a made-up federation is asked: figures from stated rates, noise from the compiler.

No hospital runs: question, tally, sensitivity and calibration are those of the product, with the h that a federation of
that size has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from benchmarks.year_rates import SPREAD, Federation
from farr.packs.indicators import Round, Run, Scope, round_of
from farr.questions.asking import Asking, Terms, prepare
from farr.questions.foreseeing import typical_sums
from farr.questions.periods import period_of
from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.pack import FIGURE, Indicator, Pack
from queries.agreed.pack_file import read_pack
from queries.answers.estimates import Estimates, estimates
from queries.answers.figures import CAUTION
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.view import View
from queries.cost.accounting import rho_of_units
from queries.cost.setting import Setting
from queries.cost.tally import tally

MODEL, PACK = (
    Path(__file__).resolve().parent.parent / "farr" / part for part in ("model/model.toml", "packs/monthly.toml")
)
MONTH, QUARTER, YEAR, WEEK = "2026-10", "2026-Q3", "2026", "2026-W41"
"""Periods that stand for all of their kind. The week lies within one month, as 41 of the year's 52 do."""
LEAST_CASES = 10
"""Fewest cases in a cell for which a figure says something without any noise: the pack's own rule."""
PUBLIC = Fraction(1_000_000)
"""Any number of beds or people: it cancels out of relative errors."""
OF_SOME = ("SHARE(", "FILTER")
"""Words of a figure that counts some of its rows only."""


@lru_cache(maxsize=1)
def model() -> Catalogue:
    """Return the common model."""
    return read_catalogue(MODEL.read_bytes(), MODEL.name)


@lru_cache(maxsize=1)
def monthly() -> Pack:
    """Return the shipped pack."""
    return read_pack(PACK.read_bytes(), PACK.name)


def scope_of(period: str, *by: str) -> Scope:
    """Return a scope with all public numbers that the pack asks for."""
    return Scope(period=period_of(period), public=dict.fromkeys(monthly().public, PUBLIC), by=by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One figure in one cell, before anything is asked."""

    indicator: Indicator
    """Which."""
    code: str
    """Of its own grouping; empty: it has none."""
    value: float
    """As its rates make it, in its unit; NaN where the noise leaves nothing to read."""
    cases: float
    """About how many rows its numerator counts; of means and sums, the rows that they rest on."""
    cv: float
    """Standard deviation of the noise over the value, in percent; infinity where it is unknown."""

    @property
    def counted(self) -> bool:
        """Return whether it rests on cases enough to say something without noise."""
        return self.cases >= LEAST_CASES

    @property
    def reliable(self) -> bool:
        """Return whether the noise leaves it free to use."""
        return self.cv <= CAUTION


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Indicators of the shipped pack, asked of a federation for a period."""

    federation: Federation
    """Of whom."""
    indicators: tuple[Indicator, ...]
    """What is asked."""
    period: str = MONTH
    """Of which days."""

    @cached_property
    def asked(self) -> Round:
        """Return the round without groups: noise in a cell of a grouping is that of the whole.

        Test: tests/farr/test_year.py::test_a_prefecture_has_the_noise_of_the_whole.
        """
        facts = {"level": "3", "type": "GEN", "prefecture": "3301", "province": "33", "teaching": "Y", "beds": "0-99"}
        sites = {f"site-{number:03d}": facts for number in range(self.federation.hospitals)}
        run = Run(pack=monthly(), scope=scope_of(self.period), catalogue=model(), sites=sites)
        return round_of(run, self.indicators, skip=False)

    def at(self, epsilon: float) -> Asking:
        """Return it with the noise that a price buys, from the real compiler."""
        return prepare(self.asked.question, Terms(epsilon=epsilon), model(), hospitals=self.federation.hospitals)

    def rho(self, epsilon: float) -> Fraction:
        """Return what it costs."""
        return rho_of_units(self.at(epsilon).measurement.cost)

    def figures(self, epsilon: float, discharges: float) -> tuple[Expected, ...]:
        """Return what to expect of each figure in a cell of so many discharges."""
        asking = self.at(epsilon)
        plan = asking.question.plan
        sums = self._lying(typical_sums(plan, self.asked, model(), discharges))
        variances = [float(noise.variance(self.federation.hospitals)) for noise in asking.measurement.blocks]
        found = estimates(tally(plan, model()), model(), sums, variances)[-1]
        views = {view.title: view for view in asking.question.pages.views}
        return tuple(
            figure for each in self.indicators for figure in self._read(each, views[each.name], found, discharges)
        )

    def by_indicator(self, epsilon: float, cells: Sequence[float]) -> dict[str, list[Expected]]:
        """Return by indicator the figures that rest on cases enough, in cells of so many discharges each."""
        found: dict[str, list[Expected]] = defaultdict(list)
        for discharges in cells:
            for each in self.figures(epsilon, discharges):
                if each.counted:
                    found[each.indicator.name].append(each)
        return found

    def _lying(self, sums: Sequence[Floats]) -> tuple[Floats, ...]:
        """Return the sums with rows lying over codes as they do, not evenly."""
        changed, layout = list(sums), tally(self.asked.question.plan, model())
        for view in self.asked.question.pages.views:
            codes, names = self._codes(view), monthly().indicator(view.title).by
            for name in (name for name in names if name in SPREAD):
                shares = np.array([SPREAD[name].get(code, 0) for code in codes], dtype=float)
                weights = (shares / shares.sum() * len(codes))[:, None]
                for index in {place for needed in layout.of_aggregate[view.part][-1] for place in needed}:
                    changed[index] = (sums[index].reshape(len(codes), -1) * weights).reshape(-1)
        return tuple(changed)

    def _codes(self, view: View) -> tuple[str, ...]:
        """Return the codes of the only grouping of a view; one empty code where it has none."""
        part = self.asked.question.plan.parts[view.part]
        if not part.keys:
            return ("",)
        setting = Setting(catalogue=model(), table=model().table(part.table), keys=part.keys)
        return tuple(code.code for code in setting.codes(part.keys[0]))

    def _read(self, indicator: Indicator, view: View, found: Estimates, discharges: float) -> Iterator[Expected]:
        read_as = found.of(next(each for each in view.columns if each.name == FIGURE).expression)
        deviation = read_as.deviation() if isinstance(read_as, Finding) else np.sqrt(read_as.variance())
        values, codes = np.broadcast_to(read_as.value, deviation.shape).reshape(-1), self._codes(view)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.nan_to_num(100 * deviation.reshape(-1) / np.abs(values), nan=np.inf)
        for place, (value, cv) in enumerate(zip(values, relative, strict=True)):
            code = codes[place * len(codes) // len(values)]
            if code not in indicator.without:
                cases = _cases(indicator, code, len(codes), discharges)
                yield Expected(indicator=indicator, code=code, value=float(value), cases=cases, cv=float(cv))


def _cases(indicator: Indicator, code: str, codes: int, discharges: float) -> float:
    side = indicator.top
    rows = discharges * float(side.volume)
    for name in indicator.by:
        known = SPREAD.get(name)
        rows *= known.get(code, 0) / sum(known.values()) if known else 1 / codes
    return rows * float(side.share) if any(word in side.figure for word in OF_SOME) else rows
