"""The statistics that a plan can ask for: one module each, all listed here.

A new statistic is one new file that offers what ``interface.Statistic`` says, and one line in ``STATISTICS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from queries.statistics import count, mean, patients, total
from queries.statistics.interface import Statistic

STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        "count": count.Count(),
        "patients": patients.Patients(),
        "sum": total.Total(),
        "mean": mean.Mean(),
    }
)
"""By the name that plans use."""
