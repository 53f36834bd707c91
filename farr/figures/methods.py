"""The methods by which a series is judged, by the names that people type."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """How a series is judged."""

    C1 = "ears-c1"
    C2 = "ears-c2"
    C3 = "ears-c3"
    CUSUM = "cusum"
    FARRINGTON = "farrington"
