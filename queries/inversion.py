"""From cumulative counts with noise to the value at a rank, and the values that the noise leaves possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queries.quantity import Floats
from queries.tree import Tree

NORMAL_95 = 1.959963984540054

ROUNDING = 1e-9
"""Relative: a fitted cumulative count that is so close to the rank that is sought has reached it."""


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

    The interval begins after the last leaf to whose end the rising cumulative count is surely below the rank, and ends
    with the first to whose end it is surely above. The rank is the share of the noisy whole, and "surely" follows from
    the exact variance of the difference. At least 95 % of the intervals hold the exact quantile: ends are whole leaves,
    and where a leaf holds more rows than the noise blurs there is little to miss.
    """
    excess = risen - share * whole
    # From leaf to leaf the variance jumps with the number of bands that make up the cumulative count. The least of many
    # would decide where the counts are flat, so each is averaged with its neighbours.
    noise = _with_neighbours(errors[0] - 2 * share * errors[1] + share**2 * errors[2])
    starts = np.array(tree.starts, dtype=np.float64)
    ends = starts if tree.exact else np.append(starts[1:], float(tree.end))
    place = np.argmax(excess >= -ROUNDING * np.abs(whole), axis=-1)
    value = (
        starts[place] if tree.exact else starts[place] + _part(excess, place, share * whole) * (ends - starts)[place]
    )
    known = whole[:, 0] > 0
    found: list[Floats] = []
    for sampling in (0.0, share * (1 - share)):
        reach = NORMAL_95 * np.sqrt(noise + sampling * np.maximum(whole, 0.0))
        below, above = excess < -reach, excess > reach
        if not found:
            # Where every value is possible, to name one would say more than is known.
            known &= below.any(axis=-1) | above[:, :-1].any(axis=-1)
            found.append(np.where(known, value, np.nan))
        first = np.where(below.any(axis=-1), below.shape[-1] - np.argmax(below[:, ::-1], axis=-1), 0)
        last = np.where(above.any(axis=-1), np.argmax(above, axis=-1), above.shape[-1] - 1)
        # With a negative whole count all may be below; such a cell has no value, and every value is possible.
        found += [np.where(known, starts[np.minimum(first, last)], starts[0]), np.where(known, ends[last], ends[-1])]
    return tuple(found)


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
