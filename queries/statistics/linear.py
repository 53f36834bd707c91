"""LINEAR(y, x, ...): least squares of a number on numbers, groups and conditions, from sums of products.

The sums of products are released once; coefficients, tests and R squared are readings of them. The noise's part of each
error follows by the delta method from the covariance of the sums, and the bias that noise in the regressors' products
brings (coefficients drawn towards zero) is taken off to the second order. No ridge is added and nothing is repaired:
where the noise is not small against the regressors' own variation there is no figure, rather than a biased one whose
error bars do not say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Code, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Aggregate, Key, SiteKey
from queries.asked.terms import INTERCEPT, key_terms, number_term, unlike
from queries.cost.moments import moments_of
from queries.cost.products import Products, Terms, Weights, blocks_of, products, terms_of
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums

P_VALUE, EXPLAINED = Reading(name="p"), Reading(name="r2")
"""What the fit is read as; the default reading is the coefficients."""

MOST_TERMS = 24
"""Most coefficients: the privacy loss is divided by the square of their number."""

MOST_STRAIN = 0.35
"""Size of the noise in the regressors' products, against the products, from which on there is no figure. Towards it
the intervals open to the whole line, as those of a ratio do whose denominator nears its noise."""

_SINGULAR = 1e-9
"""Least eigenvalue of the regressors' products against the greatest: below, a term follows from the others."""

_Z = 1.959963984540054
_WEIGHTS = Weights(rows=FULL // 2, regressors=FULL // 2, outcome=FULL, cross=FULL, square=FULL // 5)
"""A coefficient's error takes the outcome's products in full, the regressors' times the coefficient, which is less than
1 in scaled units; the outcome's squares serve error bars only."""

_TERMS = Argument.COLUMN, Argument.TERM


class Linear(Statistic):
    """Ordinary least squares with an intercept, over rows in which every term is known."""

    linear: ClassVar[bool] = False
    axis_name: ClassVar[str] = "term"
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="LINEAR",
            arguments=_TERMS,
            repeats=True,
            summary="coefficients of a linear regression of a number on numbers, groups and conditions",
            example="LINEAR(systolic, age, sex = 'F')",
        ),
        Function(
            name="LINEAR_TEST",
            arguments=_TERMS,
            repeats=True,
            summary="for each coefficient the p-value of the test that it is zero, with the noise in it",
            example="LINEAR_TEST(systolic, age, sex = 'F')",
            reading=P_VALUE.name,
        ),
        Function(
            name="R_SQUARED",
            arguments=_TERMS,
            repeats=True,
            summary="the share of a number's variance that a linear regression explains",
            example="R_SQUARED(systolic, age, sex = 'F')",
            reading=EXPLAINED.name,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the regression of the first number on the rest; numbers come before groups in the answer."""
        outcome, *regressors = given
        aggregate = Aggregate(
            statistic="linear",
            column=outcome.name if isinstance(outcome, NumberColumn) else None,
            columns=tuple(each.name for each in regressors if isinstance(each, NumberColumn)),
            by=tuple(each for each in regressors if isinstance(each, Key)),
        )
        return aggregate, Reading(name=function.reading)

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept number columns, each once, and groups, each once, that make few enough terms."""
        names = (aggregate.column, *aggregate.columns)
        for name in names:
            setting.number(name, aggregate.statistic)
        if len(set(names)) < len(names) or len(set(aggregate.by)) < len(aggregate.by):
            raise PlanError("a term is named twice", remedy="name each term of the regression once")
        if any(isinstance(key, SiteKey) for key in aggregate.by):
            # A hospital may keep its own row back, which would take it out of some of the sums and not of others.
            raise PlanError(
                "hospitals themselves cannot be terms", remedy="use a fact about hospitals, or GROUP BY site"
            )
        terms = len(aggregate.columns) + sum(setting.size(key) - 1 for key in aggregate.by)
        if not 1 <= terms < MOST_TERMS:
            raise PlanError(
                f"a regression on {terms} terms: not 1 to {MOST_TERMS - 1}", remedy="use fewer, or coarser groups"
            )

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept coefficients, p-values and R squared."""
        if reading not in (PLAIN, P_VALUE, EXPLAINED):
            raise PlanError("a regression has no such reading", remedy="ask LINEAR, LINEAR_TEST or R_SQUARED")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the blocks of rows, values and products over complete rows, see ``queries.cost.products``."""
        return blocks_of(aggregate, setting, _WEIGHTS)

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the names of the coefficients; R squared is one figure."""
        if reading == EXPLAINED:
            return ()
        numbers = (number_term(setting.number(name, aggregate.statistic)) for name in aggregate.columns)
        groups = (term for key in aggregate.by for term in key_terms(key, setting))
        return unlike((INTERCEPT, *numbers, *groups))

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return coefficients in units of the outcome by unit of the regressor, or the reading that is asked for.

        Sampling: independent rows with errors of one variance, as ordinary least squares has it.
        """
        terms = terms_of(aggregate, setting)
        fit = fitted(products(terms, sums.blocks))
        if reading == EXPLAINED:
            return _explained(fit)
        value, noise, total = _in_units(fit, terms)
        if reading == P_VALUE:
            with np.errstate(divide="ignore", invalid="ignore"):
                found = _two_sided((value / np.sqrt(total)).reshape(-1))
            none = np.full_like(found, np.nan)
            return Finding(value=found, low=none, high=none, tested=True)
        around, wide = _Z * np.sqrt(noise), _Z * np.sqrt(total)
        return Finding(
            value=value.reshape(-1),
            low=(value - around).reshape(-1),
            high=(value + around).reshape(-1),
            total_low=(value - wide).reshape(-1),
            total_high=(value + wide).reshape(-1),
        )


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Least squares in scaled units, by cell; NaN where the noise is too great for it."""

    coefficients: Floats
    """Shape (cells, regressors)."""
    noise: Floats
    """Their covariance by the noise, shape (cells, regressors, regressors)."""
    sampling: Floats
    """Their covariance by sampling, of the same shape."""
    residual: Floats
    """Sum of squared residuals, shape (cells,); unbiased, so possibly negative."""
    about: Floats
    """Sum of squares of the outcome about its mean, shape (cells,)."""
    residual_noise: Floats
    """Variance of ``1 - residual / about`` by the noise, shape (cells,)."""


def fitted(sums: Products) -> Fit:
    """Return the least squares fit of the last term on the others.

    With noise N in the products, regressors' products A and coefficients b, the error is A^-1 N (-b, 1) to the first
    order, and its mean is -A^-1 E[N A^-1 N (-b, 1)] to the second.
    """
    matrix, noise = sums.matrix, sums.noise
    p = matrix.shape[1] - 1
    inverse, widened = _inverse(matrix[:, :p, :p], noise[:p, :p, :p, :p])
    first = np.einsum("cij,cj->ci", inverse, matrix[:, :p, p])
    ends = _ends(first)
    error = np.einsum("ijkl,cj,cl->cik", noise[:p, :, :p, :], ends, ends)
    drawn = np.einsum("ijkl,cjk,cl->ci", noise[:p, :p, :p, :], inverse, ends)
    coefficients = first + np.einsum("cij,cj->ci", inverse, drawn)
    rows, summed = matrix[:, 0, 0], matrix[:, 0, p]
    with np.errstate(divide="ignore", invalid="ignore"):
        # The fit follows the noise in the outcome's products, which takes off as much from the residuals.
        residual = np.einsum("ci,cij,cj->c", ends, matrix, ends) + np.einsum("cij,cji->c", inverse, error)
        blurred = noise[0, p, 0, p] - 2 * (summed / rows) * noise[0, 0, 0, p] + (summed / rows) ** 2 * noise[0, 0, 0, 0]
        about = matrix[:, p, p] - summed**2 / rows + blurred / rows
        # A negative variance cannot stand in an error bar: zero is what it says there, and the noise's part remains.
        variance = np.maximum(residual, 0.0) / (rows - p)
        slope = _explained_slope(ends, rows, summed, residual, about)
        turned = np.einsum("cij,cjk->cik", inverse, error)
        # To the first order, and what the part of the residuals that follows the noise varies by itself.
        spread = np.einsum("cij,ijkl,ckl->c", slope, noise, slope)
        spread = spread + 2 * np.einsum("cij,cji->c", turned, turned) / about**2
    hidden = np.where(np.isfinite(widened) & (rows > p), 1.0, np.nan)
    return Fit(
        coefficients=coefficients * hidden[:, None],
        noise=np.einsum("cij,cjk,ckl->cil", inverse, error, inverse) * (widened * hidden)[:, None, None],
        sampling=inverse * (variance * hidden)[:, None, None],
        residual=residual * hidden,
        about=about * hidden,
        residual_noise=spread * widened * hidden,
    )


def _inverse(matrix: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Return inverses of regressors' products, and by how much variances are widened; NaN where there is no figure."""
    known = np.isfinite(matrix.sum(axis=(1, 2)))
    unit = np.eye(matrix.shape[1])
    eigenvalues = np.linalg.eigvalsh(np.where(known[:, None, None], matrix, unit))
    positive = known & (eigenvalues[:, 0] > _SINGULAR * eigenvalues[:, -1])
    inverse = np.linalg.inv(np.where(positive[:, None, None], matrix, unit))
    # The mean square of the noise in units in which the products are the identity.
    strain = np.einsum("ijkl,cjk,cli->c", noise, inverse, inverse) / MOST_STRAIN**2
    usable = positive & (strain < 1)
    # Releases just below the limit are those whose noise made the products look larger than they are.
    return inverse, np.where(usable, 1 / (1 - np.where(usable, strain, 0.0) ** 2), np.nan)


def _ends(coefficients: Floats) -> Floats:
    """Return the weights of all terms in the residual: the outcome less the fit."""
    return np.concatenate([-coefficients, np.ones((len(coefficients), 1))], axis=1)


def _explained_slope(ends: Floats, rows: Floats, summed: Floats, residual: Floats, about: Floats) -> Floats:
    """Return the derivative of ``1 - residual / about`` by the matrix (that of the fit is zero: it is a minimum)."""
    last = ends.shape[1] - 1
    of_residual = ends[:, :, None] * ends[:, None, :]
    of_about = np.zeros_like(of_residual)
    mean = summed / rows
    of_about[:, last, last] = 1.0
    of_about[:, 0, last] = of_about[:, last, 0] = -mean
    of_about[:, 0, 0] = mean**2
    slope: Floats = (of_about * (residual / about)[:, None, None] - of_residual) / about[:, None, None]
    return slope


def _explained(fit: Fit) -> Finding:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(fit.about > 0, 1 - fit.residual / fit.about, np.nan)
        half = _Z * np.sqrt(fit.residual_noise)
    return Finding(value=value, low=value - half, high=value + half).within(0.0, 1.0)


def _in_units(fit: Fit, terms: Terms) -> tuple[Floats, Floats, Floats]:
    """Return coefficients in units, and their variances by noise and by noise and sampling, shapes (cells, terms)."""
    *numbers, outcome = [moments_of(column) for column in terms.numbers]
    reach = outcome.reach * outcome.step
    turn = np.eye(terms.regressors) * reach
    for place, moments in enumerate(numbers, start=1):
        turn[place, place] = reach / (moments.reach * moments.step)
        turn[0, place] = -turn[place, place] * moments.middle
    value = fit.coefficients @ turn.T
    value[:, 0] += outcome.middle
    noise = np.einsum("ij,cjk,ik->ci", turn, fit.noise, turn)
    return value, noise, noise + np.einsum("ij,cjk,ik->ci", turn, fit.sampling, turn)


def _two_sided(z: Floats) -> Floats:
    return np.array([erfc(abs(each) / sqrt(2)) for each in z.tolist()])
