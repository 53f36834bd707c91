"""CORRELATION(x, y): Pearson's correlation of two numbers over the rows that have both."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Aggregate
from queries.cost.products import Weights, blocks_of, products, terms_of
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block
from queries.errors import PlanError
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums

CLEAR = 3.0
"""Standard deviations of noise that a column's sum of squares must exceed: below, the quotient has no normal law."""

_Z = 1.959963984540054
_HALF = FULL // 2
_WEIGHTS = Weights(rows=FULL // 4, regressors=_HALF, outcome=_HALF, cross=FULL, square=_HALF)
"""The error takes the product of both in full and each square times half the correlation; see ``blocks``."""


class Correlation(Statistic):
    """The centred product over the root of the centred squares."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="CORRELATION",
            arguments=(Argument.COLUMN, Argument.COLUMN),
            summary="Pearson's correlation of two numbers",
            example="CORRELATION(age, systolic)",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the correlation of two columns, the same whichever is named first."""
        names = sorted(each.name for each in given if isinstance(each, NumberColumn))
        return Aggregate(statistic="correlation", column=names[-1], columns=tuple(names[:-1])), Reading()

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept two different number columns, in the order of their names."""
        names = (*aggregate.columns, aggregate.column)
        for name in names:
            setting.number(name, aggregate.statistic)
        if aggregate.by or len(set(names)) != 2:  # noqa: PLR2004
            raise PlanError("a correlation is of two different numbers", remedy="write CORRELATION(age, systolic)")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the blocks of rows, values, squares and products over the rows that have both."""
        return blocks_of(aggregate, setting, _WEIGHTS)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return the noisy correlations; NaN where a variance is not clear of its noise or the result is beyond 1.

        Intervals are made on Fisher's scale, by the delta method for the noise; sampling: 1 / (n - 3) there, which
        takes the two for jointly normal and rows for independent.
        """
        terms = terms_of(aggregate, setting)
        found = products(terms, sums.blocks)
        value, noise, rows = _correlation(found.matrix, found.noise)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.arctanh(value)
            total = noise + np.where(rows > 3, 1 / (rows - 3), np.nan)  # noqa: PLR2004  Fisher's
            ends = [np.tanh(z + sign * _Z * np.sqrt(spread)) for spread in (noise, total) for sign in (-1, 1)]
        return Finding(value=value, low=ends[0], high=ends[1], total_low=ends[2], total_high=ends[3])


def _correlation(matrix: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
    """Return correlations, the variance of their Fisher transform by the noise, and rows, each of shape (cells,)."""
    n = matrix[:, 0, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Weights that turn the terms 1, x and y into x and y about their means.
        about = np.tile(np.eye(3)[1:], (len(n), 1, 1))
        about[:, :, 0] = -matrix[:, 0, 1:] / n[:, None]
        # Sums of products about the means, and what the noise in the means takes off them on average.
        blurred = np.einsum("cai,ij,cbj->cab", about, noise[0, :, 0, :], about) / n[:, None, None]
        sums = np.einsum("cai,cij,cbj->cab", about, matrix, about) + blurred
        squares = np.einsum("cai,cak->caik", about, about)
        deviations = np.sqrt(np.einsum("caij,ijkl,cakl->ca", squares, noise, squares))
        variances = np.diagonal(sums, axis1=1, axis2=2)
        strain = np.where(variances > 0, CLEAR * deviations / variances, np.inf).max(axis=1) ** 2
        clear = (n > 0) & (strain < 1)
        value = sums[:, 0, 1] / np.sqrt(np.where(clear, variances.prod(axis=1), np.nan))
        value = np.where(np.abs(value) < 1, value, np.nan)
        scaled = about / np.sqrt(variances)[:, :, None]
        both = np.einsum("ci,cj->cij", scaled[:, 0], scaled[:, 1])
        alone = np.einsum("cai,caj->cij", scaled, scaled)
        slope = (both - value[:, None, None] / 2 * alone) / (1 - value**2)[:, None, None]
        # Towards the limit the interval opens to the whole range, as that of a ratio does.
        spread = np.einsum("cij,ijkl,ckl->c", slope, noise, slope) / (1 - strain**2)
    return value, spread, n
