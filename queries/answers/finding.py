"""A finding: figures whose error bars do not follow from arithmetic on the noisy sums, such as a quantile or a test."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from queries.answers.quantity import Floats


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Figures, each with its intervals. All arrays have the same shape; NaN where there is nothing to say."""

    value: Floats
    """Estimates."""
    low: Floats
    """Lower end of the 95 % interval that allows for the noise only."""
    high: Floats
    """Its upper end."""
    total_low: Floats | None = None
    """Lower end of the 95 % interval that allows for noise and sampling; None where there is no such interval."""
    total_high: Floats | None = None
    """Its upper end."""
    tested: bool = False
    """Whether the figures are of a test (a statistic, a p-value): they have no interval, and that is no defect."""
    exact: bool = False
    """Whether the interval is simulated or exact rather than a delta-method approximation."""
    bounds: tuple[float, float] = (-np.inf, np.inf)
    """Public bounds that the true values cannot leave; intervals are cut to them, values never are."""
    spread: Floats | None = None
    """Standard deviation of the noise; None: what the noise-only interval, which nothing has cut, amounts to."""

    def within(self, low: float, high: float) -> Finding:
        """Cut the intervals to public bounds of the true values; how noisy a value is stays what it was."""
        return replace(
            self,
            low=np.clip(self.low, low, high),
            high=np.clip(self.high, low, high),
            total_low=None if self.total_low is None else np.clip(self.total_low, low, high),
            total_high=None if self.total_high is None else np.clip(self.total_high, low, high),
            bounds=(low, high),
            spread=self.deviation(),
        )

    def scaled(self, factor: float) -> Finding:
        """Multiply by a public number."""
        low, high = self.low * factor, self.high * factor
        total_low = None if self.total_low is None else self.total_low * factor
        total_high = None if self.total_high is None else self.total_high * factor
        one, other = (bound * factor for bound in self.bounds)
        if factor < 0:
            low, high, total_low, total_high, one, other = high, low, total_high, total_low, other, one
        return replace(
            self,
            value=self.value * factor,
            low=low,
            high=high,
            total_low=total_low,
            total_high=total_high,
            bounds=(one, other),
            spread=None if self.spread is None else self.spread * abs(factor),
        )

    def deviation(self) -> Floats:
        """Return the standard deviation of the noise; NaN where it is not known."""
        if self.spread is not None:
            return self.spread
        with np.errstate(invalid="ignore"):
            found: Floats = (self.high - self.low) / (2 * 1.959963984540054)
        return found
