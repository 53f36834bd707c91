"""Whether two groupings of a noisy table are associated, and how strongly: a test and Cramer's V, noise allowed for.

A chi-square of the noisy table looked up in the usual one would call far too much significant, since noise widens every
count. Here each squared deviation is divided by what it is expected to be, sampling and noise together (Kifer and
Rogers, AISTATS 2017, section 5), and the result is held against tables drawn without association and with the noise in
them (Gaboardi, Lim, Rogers and Vadhan, ICML 2016, algorithm MCIndepD).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from queries.answers.quantity import Floats
from queries.answers.simulation import Draws

CLEAR_MARGIN = 3.0
"""Standard deviations of noise that every row and column must be above zero for Cramer's V."""


@dataclass(frozen=True, kw_only=True)
class _Deviations:
    """Tables held against independence; arrays of shape (..., rows, columns)."""

    found: Floats
    """Counts less what the margins lead to expect."""
    expected: Floats
    """What the margins lead to expect, margins below zero taken for zero."""


def _deviations(tables: Floats, variance: float) -> _Deviations:
    cells = tables.shape[-1] * tables.shape[-2]
    rows, columns = tables.sum(axis=-1, keepdims=True), tables.sum(axis=-2, keepdims=True)
    # A drawn table may have a total that noise took to zero: it is held at one standard deviation of its noise.
    total = np.maximum(rows.sum(axis=-2, keepdims=True), max(np.sqrt(variance * cells), 1e-9))
    expected = np.maximum(rows, 0.0) * np.maximum(columns, 0.0) / total
    return _Deviations(found=tables - rows * columns / total, expected=expected)


def _chi_square(deviations: _Deviations, variance: float) -> Floats:
    """Return the sum of squared deviations over their variance; without noise it is Pearson's."""
    spread = deviations.expected + variance
    # Without noise an empty row or column deviates by nothing from nothing.
    ratios = np.divide(deviations.found**2, spread, out=np.zeros_like(spread), where=spread > 0)
    total: Floats = ratios.sum(axis=(-2, -1))
    return total


def independence(table: Floats, variance: float, draws: int, draw: Draws) -> tuple[float, float]:
    """Return the chi-square of a noisy table, and its p-value among ``draws`` tables without association.

    Drawn tables have Poisson counts of the expected sizes and normal noise; their margins are estimated anew from each,
    as the table's own are. The p-value counts the table itself among the drawn, so it is never 0 and never too small
    (Davison and Hinkley, Bootstrap Methods, 1997, equation 4.11).
    """
    deviations = _deviations(table, variance)
    found = float(_chi_square(deviations, variance))
    null = draw.poisson(deviations.expected, (draws, *table.shape))
    null = null + np.sqrt(variance) * draw.standard_normal(null.shape)
    beyond = int((_chi_square(_deviations(null, variance), variance) >= found).sum())
    return found, (1 + beyond) / (1 + draws)


def strength(table: Floats, variance: float, draws: int, draw: Draws) -> Floats:
    """Return Cramer's V of the exact table, its noise-only and its total interval: shape (5,), NaN where unknown.

    Pearson's chi-square of the noisy table has the noise in it; what is expected of that is taken off, and what is left
    is held at 0 at the least, since V is a root.
    """
    high, wide = table.shape
    deviation = np.sqrt(variance)
    least = min(table.sum(axis=1).min() / np.sqrt(wide), table.sum(axis=0).min() / np.sqrt(high))
    if least <= CLEAR_MARGIN * deviation:
        return np.full(5, np.nan)
    around = _Around(table)
    one, other = around.shares
    of_noise = np.outer((1 - one) ** 2 + (high - 1) * one**2, (1 - other) ** 2 + (wide - 1) * other**2)
    excess = variance * float((of_noise / around.expected).sum())
    noise = draw.standard_normal((draws, high, wide))
    ends = [
        end
        for spread in (np.full_like(table, deviation), np.sqrt(variance + np.maximum(table, 0.0)))
        for end in around.ends(spread, noise)
    ]
    largest = around.total * (min(high, wide) - 1)
    # Chi-square is a square, and V a share of the largest that a table of this total can have.
    found: Floats = np.sqrt(np.clip(np.array([around.chi_square - excess, *ends]) / largest, 0.0, 1.0))
    return found


_TRIED = np.array([0.0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 10, 20, 50, 200, 1e4, 1e8])
"""How far exact deviations are tried away from the noisy ones, in standard deviations of chi-square."""


class _Around:
    """Exact tables that a noisy one may have come from: the same margins, with more or less association."""

    def __init__(self, table: Floats) -> None:
        self.rows, self.columns, self.total = table.sum(axis=1), table.sum(axis=0), float(table.sum())
        self.shares = self.rows / self.total, self.columns / self.total
        self.expected = np.outer(self.rows, self.columns) / self.total
        self.root = np.sqrt(self.expected)
        self.scaled = (table - self.expected) / self.root
        self.chi_square = float((self.scaled**2).sum())

    def centred(self, counts: Floats) -> Floats:
        """Return how far changes of counts move the scaled deviations, margins moving with them."""
        one, other = self.shares
        by_row, by_column = counts.sum(axis=-1, keepdims=True), counts.sum(axis=-2, keepdims=True)
        both = by_row.sum(axis=-2, keepdims=True) * np.outer(one, other)
        moved: Floats = (counts - by_row * other - by_column * one[:, None] + both) / self.root
        return moved

    def slope(self, scaled: Floats) -> Floats:
        """Return the derivative of chi-square by each count, at a table of these scaled deviations."""
        counts = self.expected + self.root * scaled
        squares = counts**2 / self.expected
        found: Floats = 2 * counts / self.expected - (squares.sum(axis=-1) / self.rows)[..., None]
        return found - (squares.sum(axis=-2) / self.columns)[..., None, :]  # type: ignore[no-any-return]

    def ends(self, spread: Floats, noise: Floats) -> tuple[float, float]:
        """Return the least and greatest exact chi-square that the noisy one is no surprise to (2.5 % at either end).

        ``spread``: standard deviations of the errors of counts; ``noise``: standard normal draws. For each size of the
        exact association its most likely deviations are taken: the less certain of the noisy ones gives way more.
        """
        if self.chi_square <= 0:
            return 0.0, 0.0
        errors = spread * noise
        squares = (self.centred(errors) ** 2).sum(axis=(1, 2))
        uncertain = (spread / self.root) ** 2
        usual = max(float((self.scaled**2 * uncertain).sum()) / self.chi_square, 1e-300)
        step = float(np.tensordot(errors, self.slope(self.scaled), 2).std()) / (2 * self.chi_square)
        more = _TRIED[:0:-1] * step * uncertain.max() / usual
        pulls = np.concatenate([-more / (1 + more) / max(uncertain.max(), 1e-300), _TRIED * step / usual])
        exact = self.centred(self.root * self.scaled / (1 + pulls[:, None, None] * uncertain))
        sizes = (exact**2).sum(axis=(1, 2))
        drawn = squares[:, None] + np.tensordot(errors, self.slope(exact), ((1, 2), (1, 2)))
        low, high = np.quantile(drawn, (0.025, 0.975), axis=0) + sizes - self.chi_square
        # The noisy chi-square is no surprise where it lies between what is drawn low and what is drawn high.
        return _crossing(sizes, high), _crossing(sizes, low)


def _crossing(sizes: Floats, surplus: Floats) -> float:
    """Return the size at which the surplus, falling along both arrays, passes zero; 0 where it stays above."""
    passed = np.flatnonzero((surplus[:-1] >= 0) & (surplus[1:] < 0))
    if not passed.size:
        return 0.0 if surplus[-1] >= 0 else float(sizes[0])
    at = passed[0]
    share = surplus[at] / (surplus[at] - surplus[at + 1])
    return float(sizes[at] + share * (sizes[at + 1] - sizes[at]))
