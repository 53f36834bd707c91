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

    def scaled(self, factor: float) -> Finding:
        """Multiply by a public number."""
        low, high = (self.low * factor, self.high * factor) if factor >= 0 else (self.high * factor, self.low * factor)
        ends = None if self.total_low is None else self.total_low * factor
        others = None if self.total_high is None else self.total_high * factor
        ends, others = (ends, others) if factor >= 0 else (others, ends)
        return replace(self, value=self.value * factor, low=low, high=high, total_low=ends, total_high=others)

    def deviation(self) -> Floats:
        """Return the standard deviation that the noise-only interval amounts to; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            found: Floats = (self.high - self.low) / (2 * 1.959963984540054)
        return found
