"""The families: what one row says about the coefficients of a linear, logistic, Poisson or Cox model.

All four are one model with a linear predictor for each interval of time: log baseline hazard, or intercept, plus the
terms. Only Cox models have more intervals than one: a Cox model here is its piecewise exponential form (Friedman,
Annals of Statistics 10, 1982), whose hazard is constant in each interval, so that a patient's part is a sum over the
patient's own rows and needs no risk set.

Everything here is row by row in single operations (``elementary``), so a row's numbers follow from that row alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import POINT, Step
from queries.models.design import Design, Floats
from queries.models.elementary import (
    clamped,
    exponential,
    log_factorials,
    logarithm,
    logistic,
    softplus,
    total,
    weighed,
)
from queries.models.shape import Shape

_LEAST_EXPOSURE = 1e-30  # an amount is above 0; should one not be, its logarithm is a number nevertheless


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What the rows of a design say at one point. Arrays of (intervals, rows) have one interval but for Cox models."""

    step: Step
    """The model and the point."""
    design: Design
    """The rows."""
    shape: Shape
    """Of the model."""

    @cached_property
    def intervals(self) -> int:
        """Return the number of intercepts of a row."""
        return max(1, len(self.shape.intervals) - 1)

    @cached_property
    def predictor(self) -> Floats:
        """Return the linear predictor, within [-30, 30]. Of a Cox model without the baseline: higher, sooner."""
        point = np.array(self.step.point, dtype=np.float64) / POINT
        terms = weighed(self.design.x, point[len(point) - self.shape.columns :])
        return clamped(terms if self.shape.intervals else point[0] + terms)

    @cached_property
    def predictors(self) -> Floats:
        """Return the linear predictor of each interval, within [-30, 30]; of shape (intervals, rows)."""
        if not self.shape.intervals:
            return self.predictor[None]
        baseline = np.array(self.step.point[: self.shape.baselines], dtype=np.float64) / POINT
        return clamped(baseline.reshape(-1, self.intervals).T[:, self.design.stratum] + self.predictor)

    @cached_property
    def exits(self) -> NDArray[np.intp]:
        """Return the interval in which each row was last seen: the last that starts at or before its time."""
        if not self.shape.intervals:
            return np.zeros(self.design.rows, dtype=np.intp)
        starts = np.array(self.shape.intervals[:-1], dtype=np.float64)
        return np.maximum(np.searchsorted(starts, self.design.exposure, side="right") - 1, 0)

    @cached_property
    def spent(self) -> Floats:
        """Return of each interval what share of it each row was followed; of shape (intervals, rows).

        A time of t whole steps lies between t and t + 1, and counts as the middle: nobody is followed for no time.
        """
        edges = np.array(self.shape.intervals, dtype=np.float64)
        within = (self.design.exposure + 0.5 - edges[:-1, None]) / np.diff(edges)[:, None]
        return np.clip(within, 0.0, 1.0)

    @cached_property
    def events(self) -> Floats:
        """Return what happened in each interval: the outcome, in a Cox model in the interval of exit only."""
        if not self.shape.intervals:
            return self.design.outcome[None]
        happened: Floats = self.design.outcome * (self.exits == np.arange(self.intervals)[:, None])
        return happened

    @cached_property
    def means(self) -> Floats:
        """Return what the model expects to happen in each interval."""
        if self.step.model == "linear":
            return self.predictors
        if self.step.model == "logistic":
            return logistic(self.predictors)
        amount = self.spent if self.shape.intervals else self.design.exposure
        return amount * exponential(self.predictors)

    @cached_property
    def residuals(self) -> Floats:
        """Return the derivative of the log-likelihood by each interval's predictor."""
        return self.events - self.means

    @cached_property
    def curvatures(self) -> Floats:
        """Return minus its second derivative; 0 or more."""
        if self.step.model == "linear":
            return np.ones_like(self.means)
        return self.means * (1.0 - self.means) if self.step.model == "logistic" else self.means

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Return which coefficients ``gradients`` is about: baselines of strata that occur here, then the terms."""
        baselines = (self._strata[0][:, None] * self.intervals + np.arange(self.intervals)).ravel()
        return np.append(baselines, np.arange(self.shape.width - self.shape.columns, self.shape.width))

    def gradients(self, rows: NDArray[np.intp]) -> Floats:
        """Return the gradient of some rows' log-likelihood by ``places``; of shape (len(rows), len(places))."""
        first = len(self.places) - self.shape.columns
        found = np.empty((len(rows), len(self.places)))
        if first > self.intervals:
            found[:, :first] = 0.0
            begins = self._strata[1][rows] * self.intervals
            for interval in range(self.intervals):
                found[np.arange(len(rows)), begins + interval] = self.residuals[interval, rows]
        else:
            found[:, :first] = self.residuals[:, rows].T
        np.multiply(self._slopes[rows, None], self.design.x[rows], out=found[:, first:])
        return found

    @cached_property
    def _slopes(self) -> Floats:
        return total(self.residuals)

    @cached_property
    def _strata(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        present, place = np.unique(self.design.stratum, return_inverse=True)
        return present, place

    @cached_property
    def losses(self) -> Floats:
        """Return minus the log-likelihood of each row; of linear models half the squared residual; of shape (rows,)."""
        seen = self.design.outcome
        if self.step.model == "linear":
            return (seen - self.predictor) * (seen - self.predictor) * 0.5
        if self.step.model == "logistic":
            return softplus(self.predictor) - seen * self.predictor
        if self.step.model == "poisson":
            least = np.maximum(self.design.exposure, _LEAST_EXPOSURE)
            losses: Floats = self.means[0] - seen * (self.predictor + logarithm(least)) + log_factorials(seen)
            return losses
        return total(self.means) - total(self.events * self.predictors)
