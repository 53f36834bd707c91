"""What a model's coefficients say: in units of the columns, with the errors that the noise and chance leave in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from farr.training.terms import Prepared
from queries.agreed.catalogue import NumberColumn
from queries.asked.plan import FlagKey, NumberTerm
from queries.asked.terms import first_group
from queries.models.columns import columns_of, names, scaling
from queries.models.fitted import Fitted, Floats

Z = 1.959963984540054
"""Of an interval of 95 %."""

RATIOS = {"logistic": "odds ratio", "poisson": "rate ratio", "cox": "hazard ratio"}
"""What the exponential of a coefficient is, by the kind of model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One coefficient."""

    name: str
    """As in an answer of ``LINEAR``: ``age``, ``sex=M``."""
    label: str
    """For people: in the language in use, or the condition as the recipe writes it."""
    unit: str
    """Of the column; empty for groups."""
    value: float
    """By one unit of the column, or of belonging to the group rather than to the first one."""
    scaled: float
    """As it was fitted: from the middle of the column's bounds to an end."""
    noise_error: float
    """Standard error of ``value`` by the noise alone; NaN where it is not known."""
    error: float
    """Standard error by noise and sampling together; NaN where it is not known."""

    @property
    def low(self) -> float:
        """Return the lower end of the 95 % interval, noise and sampling counted."""
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        """Return its upper end."""
        return self.value + Z * self.error

    def ratio(self) -> tuple[float, float, float]:
        """Return the odds, rate or hazard ratio with its interval; infinite where it is beyond floats."""
        low, value, high = (_exp(each) for each in (self.low, self.value, self.high))
        return value, low, high


@dataclass(frozen=True, kw_only=True)
class Table:
    """All coefficients of a model; networks have none."""

    coefficients: tuple[Coefficient, ...]
    """In the order of the fit."""
    baselines: int
    """How many of them, at the beginning, are log baseline hazards of a Cox model."""
    covariance: Floats | None
    """Shape (q, q): of the values, noise and sampling together; None where it is not known."""

    @property
    def intercept(self) -> float:
        """Return the intercept at zero of every column; 0 for a Cox model."""
        return 0.0 if self.baselines or not self.coefficients else self.coefficients[0].value

    @property
    def terms(self) -> tuple[Coefficient, ...]:
        """Return the coefficients of the terms."""
        return self.coefficients[self.baselines or 1 :]


def table_of(prepared: Prepared, fitted: Fitted, language: str = "en") -> Table:
    """Return a model's coefficients in units of the columns: linear in the fitted ones, so their errors go along."""
    step, setting, shape = prepared.step, prepared.setting, prepared.shape
    if shape.layers:
        return Table(coefficients=(), baselines=0, covariance=None)
    codes, units, unscale = names(step, setting), [""] * shape.width, unscaling(prepared)
    labels = [code.label.in_language(language) for code in codes]
    place = shape.baselines or 1
    for term, written in zip(step.terms, prepared.recipe.terms, strict=True):
        if isinstance(term, NumberTerm):
            units[place] = _number(prepared, term).unit
        elif isinstance(term, FlagKey):
            labels[place] = written
        place += columns_of(term, setting)
    values = unscale @ fitted.coefficients + _shift(prepared)
    noise = _errors(unscale, fitted.noise_covariance)
    both = None
    if fitted.noise_covariance is not None and fitted.sampling_covariance is not None:
        both = unscale @ (fitted.noise_covariance + fitted.sampling_covariance) @ unscale.T
    total = np.full(shape.width, np.nan) if both is None else np.sqrt(np.maximum(np.diag(both), 0))
    return Table(
        coefficients=tuple(
            Coefficient(
                name=code.code,
                label=label,
                unit=unit,
                value=float(value),
                scaled=float(scaled),
                noise_error=float(noisy),
                error=float(error),
            )
            for code, label, unit, value, scaled, noisy, error in zip(
                codes, labels, units, values, fitted.coefficients, noise, total, strict=True
            )
        ),
        baselines=shape.baselines,
        covariance=both,
    )


def first_groups(prepared: Prepared, language: str = "en") -> tuple[str, ...]:
    """Return the groups that those in the table are measured against, of each term of groups, for people."""
    setting = prepared.setting
    found = (first_group(term, setting) for term in prepared.step.terms if not isinstance(term, NumberTerm))
    return tuple(code.label.in_language(language) for code in found if code is not None)


def unscaling(prepared: Prepared) -> Floats:
    """Return the matrix, of shape (q, q), that takes fitted coefficients to those by unit of the columns.

    A scaled number is (value - middle) / half, so its coefficient is divided by half, and the intercept, or each log
    baseline hazard, loses what the middles took. Of a linear model the outcome is scaled as well.
    """
    step, setting, shape = prepared.step, prepared.setting, prepared.shape
    matrix = np.eye(shape.width)
    first = shape.baselines or 1
    place = first
    for term in step.terms:
        if isinstance(term, NumberTerm):
            scale = scaling(_number(prepared, term))
            matrix[place, place] = 1 / float(scale.half)
            matrix[:first, place] = -float(scale.middle / scale.half)
        place += columns_of(term, setting)
    if step.model == "linear" and isinstance(step.outcome, NumberTerm):
        matrix *= float(scaling(_number(prepared, step.outcome)).half)
    return matrix


def _shift(prepared: Prepared) -> Floats:
    """Return what the intercept gains beside that: the outcome's middle, or what an exposure of one unit is."""
    step, shift = prepared.step, np.zeros(prepared.shape.width)
    if step.model == "linear" and isinstance(step.outcome, NumberTerm):
        shift[0] = float(scaling(_number(prepared, step.outcome)).middle)
    elif step.exposure is not None:
        column = prepared.setting.number(step.exposure, "step")
        shift[0] = -math.log(float(column.in_units(column.high)))
    return shift


def _number(prepared: Prepared, term: NumberTerm) -> NumberColumn:
    return prepared.setting.number(term.column, "step")


def _errors(unscale: Floats, covariance: Floats | None) -> Floats:
    if covariance is None:
        return np.full(len(unscale), np.nan)
    found: Floats = np.sqrt(np.maximum(np.diag(unscale @ covariance @ unscale.T), 0))
    return found


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
