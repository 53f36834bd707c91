"""Intervals of rates: what sampling alone leaves open, and how it is put together with the noise.

Events come independently. The gamma interval of a weighted sum of counts is that of Fay and Feuer (Stat Med 16, 1997);
of a plain count it is the exact Poisson interval. Noise and sampling are independent errors with intervals of their
own, so their distances to the estimate add in squares (MOVER; Zou, Huang and Zhang, Comput Stat Data Anal 53, 2009).
"""

from __future__ import annotations

import numpy as np

from queries.answers.quantity import Floats

Z = 1.959963984540054
"""Half-width of a 95 % interval, in standard deviations."""

Ends = tuple[Floats, Floats]
"""Lower and upper ends, or the distances to them."""


def gamma_ends(value: Floats, variance: Floats, most: Floats, least: Floats) -> Ends:
    """Return the ends of the 95 % interval of a weighted sum of counts.

    ``variance``: of the sum, by sampling; ``most`` and ``least``: the largest and the smallest weight of one event. A
    noisy sum below zero is taken for zero here, where a gamma law would be undefined, and a variance below what the
    smallest weight allows for that; the sum itself keeps its value.
    """
    from scipy.special import gammaincinv  # noqa: PLC0415  hospitals' nodes import this module and have no scipy

    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.maximum(value, 0.0)
        variance = np.maximum(variance, least * value)
        low = np.where(variance > 0, variance / value * gammaincinv(value**2 / variance, 0.025), 0.0)
        value, variance = value + most, variance + most**2
        high = np.where(most > 0, variance / value * gammaincinv(value**2 / variance, 0.975), 0.0)
    return np.where(np.isnan(low), 0.0, low), high


def distances(value: Floats, ends: Ends) -> Ends:
    """Return how far the ends of an interval are from a value, neither below zero."""
    return np.maximum(value - ends[0], 0.0), np.maximum(ends[1] - value, 0.0)


def together(value: Floats, noise: Ends, sampling: Ends) -> Ends:
    """Return the ends of the interval whose distances to the value are those of noise and sampling, in squares."""
    return value - np.hypot(noise[0], sampling[0]), value + np.hypot(noise[1], sampling[1])
