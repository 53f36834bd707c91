"""STANDARDISED_RATE and SMR: shares of an event that allow for the ages, or other strata, of who is compared.

One block of exclusive cells, stratum by event: what a single count costs. Direct: the shares of the strata, weighted by
a public standard population. Indirect: the events over what public reference rates lead to expect in the same rows.
Weights and reference rates are parameters of the reading, so no hospital needs to know them, and trying several costs
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, NoReturn

import numpy as np

from queries.agreed.catalogue import NumberColumn, Table
from queries.agreed.populations import weights
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.answers.rates import Ends, Z, distances, gamma_ends, together
from queries.asked.plan import Aggregate, BandKey, CodeKey, FlagKey, Key
from queries.asked.view import number
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums

INDIRECT = "ratio"
"""The reading that compares with reference rates."""

CLEAR = 3.0
"""Standard deviations of noise that the rows of each stratum must be above zero for a direct rate."""


class Standardised(Statistic):
    """Shares of an event in strata."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="STANDARDISED_RATE",
            arguments=(Argument.CONDITION, Argument.GROUP, Argument.WEIGHTS),
            summary="the share of rows in which a condition holds, if ages were spread as in a standard population",
            example="STANDARDISED_RATE(died = 'Y', BAND(age, 45, 65), 'who-2000')",
            repeats=True,
        ),
        Function(
            name="SMR",
            arguments=(Argument.CONDITION, Argument.GROUP, Argument.NUMBER),
            summary="events over what reference rates by age lead to expect, such as a standardised mortality ratio",
            example="SMR(died = 'Y', BAND(age, 45, 65), 0.02, 0.05, 0.12)",
            repeats=True,
            reading=INDIRECT,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the table of strata by event, with the weights or reference rates."""
        event, strata, *rest = given
        by = (strata, event) if isinstance(event, FlagKey) and not isinstance(strata, (NumberColumn, str)) else ()
        return Aggregate(statistic="standardised", by=by), reading_of(function.reading, rest)  # type: ignore[arg-type]

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept strata of patients and a condition."""
        ok = len(aggregate.by) == 2 and isinstance(aggregate.by[1], FlagKey)  # noqa: PLR2004
        if aggregate.column is not None or aggregate.columns or not ok:
            raise PlanError("a standardised rate has strata and an event", remedy=f"write {self.functions[0].example}")
        check_strata(aggregate.by[0], setting)
        if aggregate.by[1] in (aggregate.by[0], *setting.keys):
            raise PlanError("the event is among the groups", remedy="standardise by something else")

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept a standard population or a weight for each stratum, or a reference rate for each."""
        strata = aggregate.by[0]
        if reading.name == "":
            check_weights(reading, strata, setting, others=0)
            return
        size = setting.size(strata)
        rates = reading.values
        if reading.name != INDIRECT or reading.words or len(rates) != size:
            _refuse(f"a standardised ratio needs {size:,} reference rates, one for each group", "give them in order")
        if not all(0 <= rate <= 1 for rate in rates) or not any(rates):
            _refuse("reference rates are between 0 and 1, not all 0", "give events per row, such as 0.02")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of rows by stratum and event.

        Sensitivity, worst case: all of one patient's rows fall into one stratum with the event, whose cell changes by
        their number.
        """
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return rates (shares) or ratios, without units; None where the noise leaves no say in what to divide by."""
        (block,) = sums.blocks
        cells = block.shaped(-1, setting.size(aggregate.by[0]), 2)
        table = _Table(no=cells[..., 0], yes=cells[..., 1], variance=block.variance)
        if reading.name == INDIRECT:
            return _indirect(table, np.array([float(rate) for rate in reading.values]))
        return _direct(table, shares_of(reading, aggregate.by[0], setting))

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Noisy rows by stratum and event; arrays of shape (cells, strata)."""

    no: Floats
    """Rows in which the event did not happen."""
    yes: Floats
    """Rows in which it did."""
    variance: float
    """Of the noise of either."""

    @property
    def rows(self) -> Floats:
        """Return the rows of either kind."""
        return self.no + self.yes

    @property
    def inside(self) -> Floats:
        """Return the shares held between 0 and 1, for error bars; 0 where nothing is known."""
        rows = self.rows
        found: Floats = np.clip(np.divide(self.yes, rows, out=np.zeros_like(rows), where=rows > 0), 0.0, 1.0)
        return found


def _direct(table: _Table, weight: Floats) -> Finding:
    table = _Table(no=table.no[:, weight > 0], yes=table.yes[:, weight > 0], variance=table.variance)
    weight = weight[weight > 0]
    rows, variance = table.rows, table.variance
    clear = rows > CLEAR * np.sqrt(2 * variance)
    whole = np.where(clear & (rows > 0), rows, 1.0)
    # An unknown share lies anywhere between 0 and 1.
    share = np.where(clear, table.yes / whole, 0.5)
    # A quotient of noisy counts is off by this much on average (second order), the same way in every stratum.
    bias = np.where(clear, variance * (2 * share - 1) / whole**2, 0.0)
    low, high = _fieller(table.yes, whole, variance)
    below, above = (np.where(clear, np.minimum(each, 1.0), 0.5) for each in (share - low, high - share))
    rate = ((share - bias) * weight).sum(axis=1)
    noise = np.sqrt((weight**2 * below**2).sum(axis=1)), np.sqrt((weight**2 * above**2).sum(axis=1))
    of_one = np.where(clear, weight / whole, 0.0)
    spread = np.maximum((of_one**2 * table.yes * (1 - table.inside)).sum(axis=1), 0.0)
    sampling = distances(
        np.maximum(rate, 0.0), gamma_ends(rate, spread, of_one.max(axis=1, initial=0.0), np.zeros_like(rate))
    )
    return _finding(rate, noise, sampling, known=clear.all(axis=1), most=1.0)


def _fieller(yes: Floats, rows: Floats, variance: float) -> Ends:
    """Return Fieller's interval of shares; the noise of a row with the event is in both parts of the quotient."""
    a = rows**2 - Z**2 * 2 * variance
    a = np.where(a > 0, a, 1.0)
    b = yes * rows - Z**2 * variance
    root = np.sqrt(np.maximum(b**2 - a * (yes**2 - Z**2 * variance), 0.0))
    return (b - root) / a, (b + root) / a


def _indirect(table: _Table, rate: Floats) -> Finding:
    """Return observed over expected; expected events are linear in the rows, so that the ratio is one of two sums."""
    observed, expected = table.yes.sum(axis=1), table.rows @ rate
    of_observed = table.variance * rate.size
    of_expected, of_both = 2 * table.variance * (rate**2).sum(), table.variance * rate.sum()
    a = expected**2 - Z**2 * of_expected
    known = (expected > 0) & (a > 0)
    a, below = np.where(known, a, 1.0), np.where(known, expected, 1.0)
    b = observed * expected - Z**2 * of_both
    root = np.sqrt(np.maximum(b**2 - a * (observed**2 - Z**2 * of_observed), 0.0))
    ratio = observed / below
    noise = distances(ratio, ((b - root) / a, (b + root) / a))
    spread = np.maximum((table.yes * (1 - table.inside)).sum(axis=1), 0.0)
    one = np.ones_like(observed)
    low, high = gamma_ends(observed, spread, one, np.zeros_like(one))
    sampling = distances(np.maximum(ratio, 0.0), (low / below, high / below))
    unbiased = ratio + of_both / below**2 - ratio * of_expected / below**2
    return _finding(unbiased, noise, sampling, known=known, most=np.inf)


def _finding(value: Floats, noise: Ends, sampling: Ends, *, known: Floats, most: float) -> Finding:
    """Return figures between 0 and ``most``: intervals are cut to that, values are not; None where not ``known``.

    Where a rate is not known, its interval still says what the other strata leave open; of a ratio that is nothing.
    """
    ends = [value - noise[0], value + noise[1], *together(value, noise, sampling)]
    if most == np.inf:
        ends = [np.where(known, end, open_) for end, open_ in zip(ends, (0.0, most, 0.0, most), strict=True)]
    low, high, total_low, total_high = ends
    figures = np.where(known, value, np.nan)
    found = Finding(value=figures, low=low, high=high, total_low=total_low, total_high=total_high, exact=True)
    return found.within(0.0, most)


# --- strata and weights, of rates over public populations too ---------------------------------------------------


def reading_of(name: str, given: list[Given]) -> Reading:
    """Return a reading with the words and numbers of a call."""
    numbers = tuple(number(each).decimal for each in given if isinstance(each, Fraction))
    return Reading(name=name, numbers=numbers, words=tuple(each for each in given if isinstance(each, str)))


def check_strata(strata: Key, setting: Setting) -> None:
    """Raise PlanError unless the strata are groups of patients that the answer is not grouped by already."""
    if not isinstance(strata, (BandKey, CodeKey, FlagKey)):
        _refuse("rates are standardised by what patients are", "use bands of age, a column of codes, or a condition")
    if strata in setting.keys:
        _refuse("the answer is grouped by these strata already", "leave the group out, or ask for the rates themselves")


def check_weights(reading: Reading, strata: Key, setting: Setting, *, others: int) -> None:
    """Raise PlanError unless a reading weighs each stratum, by a standard or by numbers; ``others`` more may follow."""
    size = setting.size(strata)
    if len(reading.words) > 1 or len(reading.numbers) != others + (0 if reading.words else size):
        _refuse(
            f"{size:,} groups need {size:,} weights" + (", and populations" if others else ""),
            "name a standard such as 'who-2000', or give a weight for each group in order",
        )
    if reading.words:
        of_standard(reading.words[0], strata, setting)
        return
    given = reading.values[:size]
    if not all(weight >= 0 for weight in given) or not any(given):
        _refuse("weights are not below 0, and not all 0", "give how many people of the standard are in each group")


def of_standard(name: str, strata: Key, setting: Setting) -> tuple[int, ...]:
    """Return what a standard population weighs each stratum; raise PlanError where they are no bands of ages."""
    column = setting.table.column(strata.column) if isinstance(strata, BandKey) else None
    if not isinstance(strata, BandKey) or not isinstance(column, NumberColumn):
        _refuse(f"{name[:80]} weighs bands of ages", "use BAND of the age, or give a weight for each group")
    found = weights(name, strata, column)
    if not any(found):
        _refuse(f"{name} has nobody of these ages", "give a weight for each group")
    return found


def shares_of(reading: Reading, strata: Key, setting: Setting) -> Floats:
    """Return the weights of a reading that was checked; they add up to 1."""
    size = setting.size(strata)
    given = of_standard(reading.words[0], strata, setting) if reading.words else reading.values[:size]
    return np.array([float(weight) for weight in given]) / float(sum(given))


def _refuse(message: str, remedy: str) -> NoReturn:
    raise PlanError(message, remedy=remedy)
