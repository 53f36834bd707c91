"""Alarms on released series and the comparison of two releases, with the noise in every threshold.

Pure functions on figures that are public already: they read no record and cost no budget. ``series`` holds what they
take and give, ``ears`` and ``cusum`` need weeks of history, ``farrington`` years, and ``change`` compares two figures.
"""

from __future__ import annotations

from queries.series.change import Change, Figure, Verdict, compare, compare_columns, figure
from queries.series.cusum import cusum
from queries.series.ears import ears
from queries.series.farrington import farrington
from queries.series.series import WEAK, Alarms, Judged, Series

__all__ = [
    "WEAK",
    "Alarms",
    "Change",
    "Figure",
    "Judged",
    "Series",
    "Verdict",
    "compare",
    "compare_columns",
    "cusum",
    "ears",
    "farrington",
    "figure",
]
