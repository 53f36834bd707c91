"""Bands of time: those that are taken where a question names none, and what their ends are called."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import numpy as np

from queries.agreed.catalogue import Code, Label, NumberColumn
from queries.answers.quantity import Floats
from queries.asked.plan import BandKey
from queries.asked.view import number

FINEST_SHARE = 500
"""The first band ends at a five-hundredth of the column's range at the earliest."""

FOR_CURVES = 25
"""Most bands of equal width under a curve: more add noise to those at risk, fewer coarsen the curve."""

FOR_COMPARISONS = 10
"""The same where groups are compared: the noise of a comparison grows with the number of bands."""


def default_bands(column: NumberColumn, most: int, also: tuple[int, ...] = ()) -> BandKey:
    """Return at most ``most`` bands of one round width, with shorter ones inside the first.

    All end at round times: 1, 2 or 5 times a power of ten steps after the lower bound. Events come early in many a
    disease, and with them who is at risk changes, so one wide band at the start would hide much of a curve and compare
    unlike with unlike. The upper bound is a band of its own: whoever was followed longer is clipped to it, and was at
    risk until then. Further bands end at each of ``also``.
    """
    reach = column.high - column.low
    width = next(width for width in _round(1) if -(-reach // width) <= most)
    early = takewhile(lambda after: after < width, _round(max(1, reach // FINEST_SHARE)))
    even = range(column.low + width, column.high, width)
    ends = {*(column.low + after for after in early), *even, column.high - 1, *also}
    starts = sorted(end + 1 for end in ends if column.low <= end < column.high)
    return BandKey(column=column.name, starts=(column.low, *starts))


def ends_of(key: BandKey, column: NumberColumn) -> tuple[int, ...]:
    """Return the last value of each band, in steps."""
    return (*(start - 1 for start in key.starts[1:]), column.high)


def widths_of(key: BandKey, column: NumberColumn) -> Floats:
    """Return how many distinct values each band has."""
    return np.diff(np.array([*key.starts, column.high + 1], dtype=np.float64))


def names_of(times: tuple[int, ...], column: NumberColumn) -> tuple[Code, ...]:
    """Return the names of times in steps: the number, and with its unit for people."""
    found = []
    for time in times:
        name = number(column.in_units(time)).decimal
        label = f"{name} {column.unit}".rstrip()
        found.append(Code(code=name, label=Label(en=label, zh=label)))
    return tuple(found)


def _round(least: int) -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50 and so on from the least that is not below ``least``."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= least:
                yield digit * power
        power *= 10
