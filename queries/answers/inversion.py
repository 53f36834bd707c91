"""From cumulative counts with noise to the value at a rank, and the values that the noise leaves possible."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats
from queries.answers.tree import Tree

NORMAL_95 = 1.959963984540054

ROUNDING = 1e-9
"""Relative: a fitted cumulative count that is so close to the rank that is sought has reached it."""


BLURRED = 3.0
"""Standard deviations of the noise: a leaf with fewer rows is interpolated in. In one with more, the noise would leave
a part of the leaf, and where in the leaf the rows lie was not measured: prices crowd at tariffs."""

HALVINGS = 30
"""Steps of the search for an end within a leaf."""


def rising(counts: Floats) -> Floats:
    """Return the rising sequence nearest to each row in squares, shape (cells, leaves): pool adjacent violators.

    A cumulative count cannot fall. This serves inversion only: a sum over what it returns would be biased.
    """
    rows = []
    for row in counts:
        means: list[float] = []
        sizes: list[int] = []
        for count in row.tolist():
            mean, size = count, 1
            while means and means[-1] >= mean:
                mean = (mean * size + means[-1] * sizes[-1]) / (size + sizes[-1])
                size += sizes.pop()
                means.pop()
            means.append(mean)
            sizes.append(size)
        rows.append(np.repeat(means, sizes))
    return np.array(rows, dtype=np.float64).reshape(counts.shape)


def inverted(
    tree: Tree, risen: Floats, whole: Floats, share: float, errors: tuple[Floats, Floats, float]
) -> tuple[Floats, ...]:
    """Return the quantile and the ends of both intervals, in steps, each of shape (cells,).

    The rank is the share of the noisy whole, and the variance of cumulative count less rank is exact. The interval
    holds every value that a test at 5 % leaves standing. A value of many rows is the quantile wherever the rank lies
    among them, so the null hypothesis is an interval (Hodges and Lehmann, JRSS B 16, 1954), and where few rows share a
    value it is a point (``reach``). The same goes for a leaf of several values that holds many rows; where it holds
    fewer than ``BLURRED``, rows are taken to lie evenly in it and ends are interpolated, with the binomial variance of
    what lies below a point in a leaf.
    """
    excess = risen - share * whole
    # From leaf to leaf the variance jumps with the number of bands that make up the cumulative count. The least of many
    # would decide where the counts are flat, so each is averaged with its neighbours.
    noise = _with_neighbours(errors[0] - 2 * share * errors[1] + share**2 * errors[2])
    leaves = Leaves(tree)
    place = np.argmax(excess >= -ROUNDING * np.abs(whole), axis=-1)
    value = leaves.starts[place]
    if not tree.exact:
        value = value + _part(excess, place, share * whole) * leaves.widths[place]
    known = whole[:, 0] > 0
    low, high = leaves.interval(excess, np.broadcast_to(noise, excess.shape))
    # Where every value is possible, to name one would say more than is known.
    known &= (low > leaves.starts[0]) | (high < leaves.ends[-1])
    total_low, total_high = leaves.interval(excess, noise + share * (1 - share) * np.maximum(whole, 0.0))
    total_low, total_high = np.minimum(low, total_low), np.maximum(high, total_high)
    # With a negative whole count all may be below; such a cell has no value, and every value is possible.
    lows = [np.where(known, end, leaves.starts[0]) for end in (low, total_low)]
    highs = [np.where(known, end, leaves.ends[-1]) for end in (high, total_high)]
    return np.where(known, value, np.nan), lows[0], highs[0], lows[1], highs[1]


def reach(rows: Floats) -> Floats:
    """Return how far beyond a leaf of so many rows the rank must lie for the leaf to be ruled out.

    Both in standard deviations of the noise: x with P(-rows - x < Z < x) = 95 %, which is 1.96 for no rows, and 1.645
    for many, when a leaf can be missed on one side only. At worst, with the rank at the very edge, a leaf is held with
    95 %, never less; with the rank in the middle of many rows, nearly always.
    """
    grid, found = _reaches()
    return np.interp(rows, grid, found)


@lru_cache(maxsize=1)
def _reaches() -> tuple[Floats, Floats]:
    """Return ``reach`` at 0, 0.05 and so on to 5, by fixed point."""
    law, grid, found = NormalDist(), np.arange(101) / 20, []
    for rows in grid.tolist():
        x = NORMAL_95
        for _ in range(64):
            x = law.inv_cdf(min(0.95 + law.cdf(-rows - x), 0.975))
        found.append(x)
    return grid, np.array(found)


class Leaves:
    """The leaves of a tree, and which of them, and which parts of them, noise leaves possible."""

    def __init__(self, tree: Tree) -> None:
        """``ends``: of an exact tree, the values themselves."""
        self.exact = tree.exact
        self.starts = np.array(tree.starts, dtype=np.float64)
        self.ends = self.starts if tree.exact else np.append(self.starts[1:], float(tree.end))
        self.widths = self.ends - self.starts

    def interval(self, excess: Floats, variances: Floats) -> tuple[Floats, Floats]:
        """Return the ends of the interval, in steps, shape (cells,).

        ``excess``: rising cumulative counts to the ends of leaves, less the rank; ``variances``: theirs; both of shape
        (cells, leaves).
        """
        spread = np.sqrt(variances)
        inner = np.diff(excess, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = np.nan_to_num(inner / spread[:, 1:], nan=0.0, posinf=np.inf)
        # The first leaf's rows are not known from the differences; nothing is below it, so it is never the one missed.
        reaches = np.where(~self.exact & (rows < BLURRED), NORMAL_95, reach(rows))
        edge = np.full((len(excess), 1), NORMAL_95)
        below = excess < -spread * np.concatenate([edge, reaches], axis=-1)
        above = excess > spread * np.concatenate([reaches, edge], axis=-1)
        last = above.shape[-1] - 1
        first = np.where(below.any(axis=-1), last + 1 - np.argmax(below[:, ::-1], axis=-1), 0)
        first = np.minimum(first, last)
        final = np.where(above.any(axis=-1), np.argmax(above, axis=-1), last)
        low, high = self.starts[first], self.ends[final]
        if not self.exact:
            low = np.where(first > 0, low + self._crossed(excess, variances, first, 1.0), low)
            high = np.where(above.any(axis=-1), high - self._crossed(excess, variances, final, -1.0), high)
        return np.minimum(low, high), high

    def _crossed(self, excess: Floats, variances: Floats, place: NDArray[np.intp], side: float) -> Floats:
        """Return how far into the leaf, in steps, values are ruled out: from its start for side 1, its end for -1."""
        before = np.maximum(place - 1, 0)[:, None]
        start, end = (np.take_along_axis(excess, at, axis=-1)[:, 0] for at in (before, place[:, None]))
        from_, to = (np.take_along_axis(variances, at, axis=-1)[:, 0] for at in (before, place[:, None]))
        rows = end - start
        blurred = (place > 0) & (rows < BLURRED * np.sqrt(to))
        least, most = np.zeros(len(place)), np.ones(len(place))
        for _ in range(HALVINGS):
            part = (least + most) / 2
            spread = np.sqrt(from_ + (to - from_) * part + rows * part * (1 - part))
            reached = start + rows * part + side * NORMAL_95 * spread >= 0
            least, most = np.where(reached, least, part), np.where(reached, part, most)
        ruled_out = least if side > 0 else 1 - most
        return np.where(blurred, ruled_out, 0.0) * self.widths[place]


def _part(excess: Floats, place: NDArray[np.intp], rank: Floats) -> Floats:
    """Return how far into its leaf the rank is reached, from 0 to 1."""
    at_end = np.take_along_axis(excess, place[:, None], axis=-1)
    before = np.take_along_axis(excess, np.maximum(place - 1, 0)[:, None], axis=-1)
    at_start = np.where(place[:, None] > 0, before, -rank)
    with np.errstate(divide="ignore", invalid="ignore"):
        part: Floats = np.where(at_end > at_start, np.clip(-at_start / (at_end - at_start), 0.0, 1.0), 0.5)[:, 0]
    return part


def _with_neighbours(values: Floats) -> Floats:
    """Return the means of each value and the ones beside it."""
    padded = np.pad(values, 1, mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3
