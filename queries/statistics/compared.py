"""MEAN_DIFFERENCE(x, group) and MEAN_TEST(x, group): whether the means of groups differ.

Three blocks over exclusive cells (a row is in one group only): rows, centred values, squares. The test is Welch's, with
each mean's variance the sum of sampling and noise; the noise is normal and of known size, so it needs no degrees of
freedom (Welch, Biometrika 38, 1951). Rows are taken for independent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, Label, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats, NoisyBlock, Quantity
from queries.asked.plan import Aggregate, Key
from queries.cost.moments import Moments, moments_of
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums
from queries.statistics.spread import variance

P_VALUE, STATISTIC = Reading(name="p"), Reading(name="statistic")
"""What the test is read as; the default reading is the differences."""

MOST_GROUPS = 64
"""Beyond so many groups a comparison is mostly noise."""

CLEAR = 4.0
"""Standard deviations of noise that a group's rows must exceed to enter the test: below, its mean has no normal law."""

LIKENESS = 0.75
"""By what part of the common variance the variances of groups are taken to differ."""

_WEIGHTS = FULL, FULL, FULL // 2
"""Of rows, values and squares: the test needs a group's variance better than the interval of AVG does."""


class Compared(Statistic):
    """Means of groups, less that of the first group."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "groups"
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="MEAN_DIFFERENCE",
            arguments=(Argument.COLUMN, Argument.GROUP),
            summary="the mean of each group less that of the first; for a condition, of yes less no",
            example="MEAN_DIFFERENCE(los, sex)",
        ),
        Function(
            name="MEAN_TEST",
            arguments=(Argument.COLUMN, Argument.GROUP),
            summary="the p-value of Welch's test that all groups have the same mean, with the noise in it",
            example="MEAN_TEST(los, sex)",
            reading=P_VALUE.name,
        ),
        Function(
            name="MEAN_STATISTIC",
            arguments=(Argument.COLUMN, Argument.GROUP),
            summary="the statistic of that test: t for two groups, F for more",
            example="MEAN_STATISTIC(los, sex)",
            reading=STATISTIC.name,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the comparison of a column between the cells of a group."""
        column, group = given
        if not isinstance(column, NumberColumn) or not isinstance(group, Key):
            raise PlanError("means are compared between groups", remedy=f"write {function.example}")
        return Aggregate(statistic="compared", column=column.name, by=(group,)), Reading(name=function.reading)

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a number column and one key with two cells or more."""
        setting.number(aggregate.column, aggregate.statistic)
        if aggregate.columns or len(aggregate.by) != 1:
            raise PlanError("means are compared between the cells of one group", remedy="write MEAN_TEST(los, sex)")
        groups = setting.size(aggregate.by[0])
        if not 2 <= groups <= MOST_GROUPS:  # noqa: PLR2004  one group has nothing to be compared with
            raise PlanError(
                f"{groups} groups: not 2 to {MOST_GROUPS}",
                remedy="name a group of fewer cells, such as a coarser level",
            )

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept differences, p-value and statistic."""
        if reading not in (PLAIN, P_VALUE, STATISTIC):
            raise PlanError("a comparison has no such reading", remedy="ask MEAN_DIFFERENCE or MEAN_TEST")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the blocks of rows with a value, of centred sums and of squares, by group."""
        moments = moments_of(setting.number(aggregate.column, aggregate.statistic))
        keys = (*setting.keys, *aggregate.by)
        rows, values, squares = _WEIGHTS
        return (
            moments.rows(aggregate, keys, rows),
            moments.values(aggregate, keys, values),
            moments.squares(aggregate, keys, squares),
        )

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the pairs of groups, where there is more than one pair to show."""
        first, *others = setting.codes(aggregate.by[0])
        return tuple(_pair(first, other) for other in others) if reading == PLAIN and len(others) > 1 else ()

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return differences with intervals, or the test's p-value or statistic; NaN where a group has too few rows."""
        column = setting.number(aggregate.column, aggregate.statistic)
        means = _means(moments_of(column), *sums.blocks, groups=setting.size(aggregate.by[0]))
        if reading == PLAIN:
            return means.differences(float(column.in_units(column.high - column.low)))
        p, statistic = means.test()
        chosen = p if reading == P_VALUE else statistic
        none = np.full_like(chosen, np.nan)
        return Finding(value=chosen, low=none, high=none, tested=True)

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the column's unit; a test has none."""
        return setting.number(aggregate.column, aggregate.statistic).unit if reading == PLAIN else ""


@dataclass(frozen=True, kw_only=True)
class _Means:
    """Means of groups, shapes (cells, groups)."""

    mean: Floats
    """In units of the column, centred at mid-range; NaN without rows."""
    noise: Floats
    """Variance by the noise."""
    sampling: Floats
    """Variance by sampling."""
    doubt: Floats
    """Half the variance of that by the noise."""
    rows: Floats
    """Noisy."""
    clear: Floats
    """Whether a group has rows enough for its mean to have a normal law."""
    ends: tuple[Floats, Floats]
    """Of the noise-only intervals."""
    total_ends: tuple[Floats, Floats]
    """Of those that allow for sampling too."""

    def differences(self, reach: float) -> Finding:
        """Return the differences from the first group, each with an interval put together from the two means'.

        From the distances of each mean to its own ends (MOVER: Zou and Donner, Stat Med 27, 2008), which keeps the skew
        of Fieller's intervals in small groups.
        """
        value = (self.mean[:, 1:] - self.mean[:, :1]).reshape(-1)
        (low, high), (total_low, total_high) = (
            self._moved(value, ends, reach) for ends in (self.ends, self.total_ends)
        )
        found = Finding(value=value, low=low, high=high, total_low=total_low, total_high=total_high, exact=True)
        return found.within(-reach, reach)

    def _moved(self, value: Floats, ends: tuple[Floats, Floats], reach: float) -> tuple[Floats, Floats]:
        below, above = self.mean - ends[0], ends[1] - self.mean
        with np.errstate(invalid="ignore"):
            low = value - np.hypot(below[:, 1:], above[:, :1]).reshape(-1)
            high = value + np.hypot(above[:, 1:], below[:, :1]).reshape(-1)
        return np.where(np.isnan(low), -reach, low), np.where(np.isnan(high), reach, high)

    def test(self) -> tuple[Floats, Floats]:
        """Return p-values and statistics, shapes (cells,): t, yes less no, for two groups; F for more."""
        from scipy.special import fdtrc  # noqa: PLC0415  the client's only: a node never reads figures

        use = self.clear
        spread = np.where(use, self.noise + self.sampling, 1.0)
        groups, mean = use.sum(axis=1), np.where(use, self.mean, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(use, 1 / spread, 0.0)
            whole = weight.sum(axis=1)
            middle = (weight * mean).sum(axis=1) / whole
            between = (weight * (mean - middle[:, None]) ** 2).sum(axis=1) / (groups - 1)
            # The noise's part of a variance is known: only the part that is estimated from rows has finite freedom.
            estimated = self.sampling**2 / (self.rows - 1) + self.doubt
            inverse_freedom = np.where(use, estimated / spread**2, 0.0)
            loose = ((1 - weight / whole[:, None]) ** 2 * inverse_freedom).sum(axis=1)
            f = between / (1 + 2 * (groups - 2) / (groups**2 - 1) * loose)
            freedom = np.minimum((groups**2 - 1) / (3 * loose), 1e9)
            p = np.where(groups > 1, fdtrc(groups - 1, freedom, f), np.nan)
            two = np.sign(mean[:, -1] - mean[:, 0]) * np.sqrt(f)
        statistic = two if self.mean.shape[1] == 2 else f  # noqa: PLR2004
        return p, np.where(groups > 1, statistic, np.nan)


def _means(moments: Moments, rows: NoisyBlock, values: NoisyBlock, squares: NoisyBlock, *, groups: int) -> _Means:
    mean = Quantity.of_block(values).scaled(moments.step) / Quantity.of_block(rows)
    n = rows.values
    spread = variance(moments, rows, values, squares)
    own, error = spread.value.reshape(-1, groups), spread.variance().reshape(-1, groups)
    borrowed, doubt = _borrowed(own, error, n.reshape(-1, groups))
    with np.errstate(divide="ignore", invalid="ignore"):
        sampling = np.where(n > 1, borrowed.reshape(-1) / n, np.nan)
        freedom = doubt.reshape(-1) / (2 * n**2)
    total = replace(mean, sampling=sampling).total_interval()
    clear = (n > CLEAR * np.sqrt(rows.variance)) & (n > 2) & np.isfinite(mean.value)  # noqa: PLR2004  a variance and one
    arrays = (mean.value, mean.variance(), sampling, freedom, n, clear, *mean.interval(), *(total or mean.interval()))
    shaped = [each.reshape(-1, groups) for each in arrays]
    value, noise, drawn, unsure, counted, use, low, high, total_low, total_high = shaped
    return _Means(
        mean=value,
        noise=noise,
        sampling=drawn,
        doubt=unsure,
        rows=counted,
        clear=use,
        ends=(low, high),
        total_ends=(total_low, total_high),
    )


def _borrowed(own: Floats, error: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return variances of groups for error bars, and how uncertain the noise leaves them, shapes (cells, groups).

    A small group's variance may be mostly noise, even negative, and an error bar made from it far too short or long. So
    each borrows from the variance of all groups together, the more the noisier it is, as if variances of groups
    differed from that by so much of it as ``LIKENESS`` says.
    """
    known = np.isfinite(own) & (rows > 1)
    weight = np.where(known, rows - 1, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = weight / weight.sum(axis=1, keepdims=True)
        together = np.maximum((share * np.where(known, own, 0.0)).sum(axis=1, keepdims=True), 0.0)
        of_together = (share**2 * np.where(known, error, 0.0)).sum(axis=1, keepdims=True)
        differ = (LIKENESS * together) ** 2 + of_together
        trust = differ / (differ + error)
        found = np.maximum(np.where(trust < 1, trust * own + (1 - trust) * together, own), 0.0)
        return found, trust * error


def _pair(first: Code, other: Code) -> Code:
    label = Label(en=f"{other.label.en} less {first.label.en}", zh=f"{other.label.zh}减{first.label.zh}")
    return Code(code=f"{other.code} - {first.code}", label=label)
