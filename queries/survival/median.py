"""When half are left: the survival curve inverted, with Brookmeyer and Crowley's interval (Biometrics 38, 1982).

The interval holds the times at which the curve's own interval holds a half. Between ends of bands survival is taken to
fall evenly. Only here the curve is made to fall, by its running least; curves themselves are shown as estimated.
"""

from __future__ import annotations

import numpy as np

from queries.answers.quantity import Floats

HALF = 0.5
"""The share that is left."""


def falling(survival: Floats) -> Floats:
    """Return the curves made to fall: midway between the least so far and the greatest still to come."""
    return (_least_before(survival) + _greatest_after(survival)) / 2


def median(survival: Floats, ends: Floats, start: float) -> Floats:
    """Return when each curve falls to a half; NaN for one that does not, or that is unknown before it does.

    ``survival``: at the end of each band, shape (cells, bands), NaN from where it is unknown. ``ends``: of the bands.
    ``start``: when all are left.
    """
    return _crossing(falling(survival), ends, start)


def interval(low: Floats, high: Floats, ends: Floats, start: float) -> tuple[Floats, Floats]:
    """Return the first and the last time at which a half lies between ``low`` and ``high``; NaN where it always may."""
    return _crossing(_least_before(low), ends, start), _crossing(_greatest_after(high), ends, start)


def _least_before(survival: Floats) -> Floats:
    found: Floats = np.minimum.accumulate(survival, axis=1)
    return found


def _greatest_after(survival: Floats) -> Floats:
    known = np.where(np.isnan(survival), -np.inf, survival)
    found: Floats = np.flip(np.maximum.accumulate(np.flip(known, axis=1), axis=1), axis=1)
    return np.where(np.isnan(survival), np.nan, found)


def _crossing(survival: Floats, ends: Floats, start: float) -> Floats:
    """Return when falling curves come to a half."""
    whole = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    times = np.concatenate([[start], ends])
    reached = whole <= HALF
    after = np.argmax(reached, axis=1)
    after = np.where(after == 0, 1, after)
    rows = np.arange(len(survival))
    above, below = whole[rows, after - 1], whole[rows, after]
    part = np.divide(above - HALF, above - below, out=np.ones_like(above), where=above > below)
    found: Floats = times[after - 1] + part * (times[after] - times[after - 1])
    return np.where(reached.any(axis=1), found, np.nan)
