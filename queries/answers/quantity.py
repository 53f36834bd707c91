"""Noisy quantities with error bars that follow arithmetic.

A quantity holds, for every cell, an unbiased value and its derivative by each noisy block, so the variance of sums and
differences is exact and that of products follows by the delta method. A ratio of two linear quantities keeps both and
gets Fieller's interval, which stays honest where the denominator is small (Fieller, JRSS B 16, 1954).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NoisyBlock:
    """One block of a released tally, in the block's own units."""

    index: int
    """Of the block in the tally."""
    values: Floats
    """The noisy sums, one for each cell."""
    variance: float
    """Of the noise in each cell."""

    def shaped(self, *sizes: int) -> Floats:
        """Return the sums as an array of these sizes, the last fastest."""
        return self.values.reshape(sizes)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number for every cell, with what is known of its error."""

    value: Floats
    """Unbiased (for ratios: consistent) estimates; NaN where a ratio's denominator is zero."""
    slopes: Mapping[int, Floats]
    """By block, the derivative of the value by that block's entry in the same cell."""
    variances: Mapping[int, float]
    """By block, the variance of its noise."""
    ratio: tuple[Quantity, Quantity] | None = None
    """Numerator and denominator, where the value is the ratio of two linear quantities."""
    linear: bool = True
    """Whether the value is a linear form of the blocks, so that its variance is exact."""
    bounds: tuple[float, float] = (-np.inf, np.inf)
    """Public bounds that the true value cannot leave; intervals are cut to them, values never are."""
    sampling: Floats | None = None
    """The variance that the exact value has as an estimate of a wider population's; None where nobody can say."""

    @classmethod
    def of_block(cls, block: NoisyBlock) -> Quantity:
        """Return the noisy sums of a block as they are."""
        return cls(
            value=block.values,
            slopes={block.index: np.ones_like(block.values)},
            variances={block.index: block.variance},
        )

    @classmethod
    def constant(cls, number: float, cells: int) -> Quantity:
        """Return a public number, the same in every cell."""
        return cls(value=np.full(cells, number), slopes={}, variances={}, sampling=np.zeros(cells))

    def within(self, low: float, high: float) -> Quantity:
        """State public bounds of the true value."""
        return replace(self, bounds=(low, high))

    def scaled(self, factor: float) -> Quantity:
        """Multiply by a public number."""
        return replace(
            self,
            value=self.value * factor,
            slopes={block: slope * factor for block, slope in self.slopes.items()},
            ratio=self.ratio and (self.ratio[0].scaled(factor), self.ratio[1]),
            bounds=(-np.inf, np.inf),
            sampling=None if self.sampling is None else self.sampling * factor**2,
        )

    def __add__(self, other: Quantity) -> Quantity:
        """Add cell by cell."""
        if self.ratio and not other.slopes:
            top, bottom = self.ratio
            return replace((top + bottom * other) / bottom, sampling=self.sampling)
        if other.ratio and not self.slopes:
            return other + self
        whole = self._combined(other, self.value + other.value, 1.0, 1.0, linear=self.linear and other.linear)
        return whole if other.slopes else replace(whole, sampling=self.sampling)

    def __sub__(self, other: Quantity) -> Quantity:
        """Subtract cell by cell."""
        return self + other.scaled(-1.0)

    def __mul__(self, other: Quantity) -> Quantity:
        """Multiply cell by cell; by a public number the result stays linear or a ratio."""
        if self.slopes and not other.slopes:
            sampling = None if self.sampling is None else self.sampling * other.value**2
            if self.ratio:
                return replace((self.ratio[0] * other) / self.ratio[1], sampling=sampling)
            scaled = self._combined(other, self.value * other.value, other.value, self.value, linear=self.linear)
            return replace(scaled, sampling=sampling)
        if other.slopes and not self.slopes:
            return other * self
        linear = (self.linear and not other.slopes) or (other.linear and not self.slopes)
        return self._combined(other, self.value * other.value, other.value, self.value, linear=linear)

    def __truediv__(self, other: Quantity) -> Quantity:
        """Divide cell by cell; NaN where the denominator is zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(other.value == 0, np.nan, self.value / other.value)
            one, two = 1.0 / other.value, -self.value / other.value**2
        whole = self._combined(other, value, one, two, linear=self.linear and not other.slopes)
        if not other.slopes:
            ratio = self.ratio and (self.ratio[0], self.ratio[1] * other)
            with np.errstate(divide="ignore", invalid="ignore"):
                return replace(
                    whole, ratio=ratio, sampling=None if self.sampling is None else self.sampling / other.value**2
                )
        return replace(whole, ratio=(self, other) if self.linear and other.linear else None)

    def variance(self) -> Floats:
        """Return the variance of the noise in each cell (exact for linear quantities, else by the delta method)."""
        total = np.zeros_like(self.value)
        for block, slope in self.slopes.items():
            total = total + slope**2 * self.variances[block]
        return total

    def interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Return the ends of the noise-only interval of each cell, cut to the public bounds."""
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        if self.ratio:
            low, high = fieller(*self.ratio, z)
        else:
            half = z * np.sqrt(self.variance())
            low, high = self.value - half, self.value + half
        low, high = (np.where(np.isnan(end), open_, end) for end, open_ in ((low, -np.inf), (high, np.inf)))
        return np.clip(low, *self.bounds), np.clip(high, *self.bounds)

    def total_interval(self, confidence: float = 0.95) -> tuple[Floats, Floats] | None:
        """Return the ends of the interval that allows for noise and sampling; None where sampling is unknown.

        The sampling error widens the noise-only interval on either side in squares, which keeps Fieller's shape.
        """
        if self.sampling is None:
            return None
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        low, high = self.interval(confidence)
        with np.errstate(invalid="ignore"):
            below = np.sqrt((self.value - low) ** 2 + z**2 * self.sampling)
            above = np.sqrt((high - self.value) ** 2 + z**2 * self.sampling)
        ends = self.value - below, self.value + above
        low, high = (np.where(np.isnan(end), open_, end) for end, open_ in zip(ends, (-np.inf, np.inf), strict=True))
        return np.clip(low, *self.bounds), np.clip(high, *self.bounds)

    def _combined(
        self, other: Quantity, value: Floats, mine: Floats | float, theirs: Floats | float, *, linear: bool
    ) -> Quantity:
        slopes = {block: slope * mine for block, slope in self.slopes.items()}
        # Over a zero denominator slopes are infinite, and their sum undefined: such a cell has no value either.
        with np.errstate(invalid="ignore"):
            for block, slope in other.slopes.items():
                slopes[block] = slopes.get(block, 0.0) + slope * theirs
        return Quantity(value=value, slopes=slopes, variances={**self.variances, **other.variances}, linear=linear)


def fieller(top: Quantity, bottom: Quantity, z: float) -> tuple[Floats, Floats]:
    """Return Fieller's interval of ``top / bottom``; the whole line where the bottom is within z sd of zero.

    Solves (top - r bottom)^2 <= z^2 Var(top - r bottom) for r, with the covariance of blocks that both share.
    """
    covariance = np.zeros_like(top.value)
    for block in top.slopes.keys() & bottom.slopes.keys():
        covariance = covariance + top.slopes[block] * bottom.slopes[block] * top.variances[block]
    a = bottom.value**2 - z**2 * bottom.variance()
    b = top.value * bottom.value - z**2 * covariance
    c = top.value**2 - z**2 * top.variance()
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        low, high = (b - root) / a, (b + root) / a
    unbounded = a <= 0
    return np.where(unbounded, -np.inf, low), np.where(unbounded, np.inf, high)
