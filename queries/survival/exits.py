"""Exits by band of time, and who is at risk in each band.

Worked out for arrays of shape (..., bands, groups): leading axes are cells or strata, each with noise of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats

LEAST_AT_RISK = 3.0
"""A band is read only where those at risk are at least so many standard deviations of their noise: below, a quotient by
them has neither a mean nor an honest interval."""

MOST_BANDS = 128
"""Most bands. Above some fifty, the noise of those at risk at the start, sqrt(2 x bands) that of a cell, is felt."""


@dataclass(frozen=True, kw_only=True)
class Exits:
    """Noisy numbers of patients whose observation ended in each band. Arrays have shape (..., bands, groups)."""

    events: Floats
    """With the event."""
    censored: Floats
    """Without it."""
    variance: float
    """Of the independent noise in each entry of both."""
    ties: Floats
    """By band, the share of a band's exits that came before a given exit of the same band, see ``ties_of``."""

    @property
    def bands(self) -> int:
        """Return the number of bands."""
        return int(self.events.shape[-2])

    @cached_property
    def entering(self) -> Floats:
        """Return how many enter each band: all who leave in it or later."""
        out: Floats = np.flip(np.cumsum(np.flip(self.events + self.censored, axis=-2), axis=-2), axis=-2)
        return out

    @cached_property
    def later(self) -> Floats:
        """Return, by band, the number of later bands: each adds two noisy entries to those who enter."""
        return np.arange(self.bands - 1.0, -1.0, -1.0)

    def counted(self) -> Risk:
        """Return who is at risk as life tables count: those with an event throughout the band, half of those censored.

        This is the actuarial convention, exact to first order in the share that leaves.
        """
        return self._risk(np.ones(self.bands), np.zeros_like(self.events))

    def constant(self) -> Risk:
        """Return who is at risk as life tables count, put right for hazards that are constant within a band.

        Where events and censoring share a band at constant hazards, more of the censored leave early than late, and
        half of them is too many. Of R who enter, d with an event and c censored, R - c/2 - c(c + 2d)/12R make the
        quotient right to second order: the expansion of Chiang's 1 - p^(d/(d + c)) with p = 1 - (d + c)/R (Biometrics
        17, 1961), which is exact. In bands of w values both terms shrink, as in ``exposed``; bands of one value have
        neither.
        """
        squares = self.censored**2 - self.variance + 2 * self.censored * self.events
        return self._risk(np.ones(self.bands), self._early(squares))

    def exposed(self) -> Risk:
        """Return the mean number at risk over a band, to which exposure is proportional: half of those who leave.

        At constant hazards, which a hazard ratio supposes, more of them leave early than late: of R who enter and n who
        leave, R - n/2 - n^2/12R are at risk, and so on. The last term is a twelfth of R at most, so its own noise is
        left out of the gradients; bands of one value have no such term.
        """
        squares = (self.censored + self.events) ** 2 - 2 * self.variance
        return self._risk(1.0 - self.ties, self._early(squares))

    def _early(self, squares: Floats) -> Floats:
        """Return what leaves early rather than late: a twelfth of ``squares`` over those who enter, in wide bands."""
        entering = np.maximum(self.entering, 0.0)
        ratio = np.divide(squares, entering, out=np.zeros_like(squares), where=entering > 0)
        early: Floats = (self.ties * (1.0 - self.ties))[:, None] * np.clip(ratio, -entering, entering) / 3
        return early

    def _risk(self, event_share: Floats, early: Floats) -> Risk:
        kept = 1.0 - self.ties
        own = kept[:, None] * self.censored + event_share[:, None] * self.events
        return Risk(
            number=self.entering - self.events - self.censored + own - early,
            event_share=event_share,
            censored_share=kept,
            spread=event_share**2 + kept**2 + 2 * self.later,
            noise=self.variance,
        )


@dataclass(frozen=True, kw_only=True)
class Risk:
    """Those at risk in each band: but for a small term, a linear form of the exits."""

    number: Floats
    """Shape (..., bands, groups)."""
    event_share: Floats
    """By band: what an event of the band itself adds to ``number``."""
    censored_share: Floats
    """By band: what a censoring of the band itself adds. Any later exit adds 1."""
    spread: Floats
    """By band: the variance of the noise in ``number``, in units of the noise of one entry."""
    noise: float
    """Variance of one entry."""

    def enough(self, weights: Floats, least: float = LEAST_AT_RISK) -> NDArray[np.bool_]:
        """Return, shape (..., bands), whether the weighted sum of all groups at risk is well above its noise.

        ``weights`` has shape (groups,); ``least`` is in standard deviations of the noise.
        """
        whole = self.number @ weights
        bar = least * np.sqrt(self.noise * self.spread * (weights**2).sum())
        found: NDArray[np.bool_] = (whole > 0) & (whole >= bar)
        return found


def ties_of(steps: Floats) -> Floats:
    """Return, for bands of so many values each, the chance that one of two exits of a band came before the other.

    Of two exits spread evenly over w values, one is earlier with probability (w - 1) / 2w: a half for wide bands, the
    actuarial convention; nothing for a band of one value, which makes the estimates those of the records themselves.
    """
    found: Floats = (steps - 1.0) / (2.0 * steps)
    return found
