"""How well a model predicts for patients held out of its training, from one more turn of noisy sums.

Patients are told apart only by the band of their linear predictor and by what came. Where the bands end follows from
what training learnt of the columns, so each holds about as many patients. Intervals count the noise and the chance of
which patients there are: each figure is a smooth function of the cells, whose errors are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from fractions import Fraction
from math import exp, pi, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import POINT, FlagKey, Step
from queries.models.clipping import MOST_SQUARE, most_loss
from queries.models.explained import Varies, r_squared
from queries.models.fitted import CalibrationBand, Evaluation, Figure, Fitted
from queries.models.rounds import Z, at, mean_loss, told
from queries.models.shape import Shape
from queries.models.turns import Model, Sums, Turn

Floats = NDArray[np.float64]

BANDS = 12
"""Of the linear predictor. A dozen lose less than 0.005 of an area under the curve; more would each be noisier."""

WEIGHTS = {"loss": 1, "grades": 4}
"""Of the turn's sums, where both are asked."""

_FEWEST = 3
"""Standard errors of a band's rows from which what was observed there is shown."""

_LEAST_SPREAD = 0.25
_NETWORK_SPREAD = 1.5
"""Standard deviations that bands are laid out for: at least, and where training told nothing of the columns."""

_FITTING = 12
"""Newton steps of the two numbers of a calibration line."""


def evaluated(
    model: Model, shape: Shape, fitted: Fitted, information: Floats | None, outcome: Varies | None = None
) -> Generator[Turn, Sums, Fitted]:
    """Make the turn that evaluates a model, where patients are held out, and return the model with what it told.

    ``information`` is the noisy sum of outer products of the columns, from which bands are laid out; None: unknown.
    ``outcome`` is, of a linear model, how much its outcome varies among those who train; None: hidden by the noise.
    """
    if model.held_out is None:
        return fitted
    graded = model.step.model in ("logistic", "cox") or (
        model.step.model == "network" and isinstance(model.step.outcome, FlagKey)
    )
    middle, spread = _predictor(fitted.coefficients, shape, information)
    step, _ = at(model.step, fitted.coefficients, WEIGHTS if graded else {"loss": 1})
    places = _layout(middle, spread)
    step = replace(step, split=model.held_out, cuts=_cuts(places[:-1]) if graded else ())
    sums = yield Turn(step=step, share=Fraction(model.evaluation_share), so_far=fitted)
    found = told(step, sums)
    figures = [_loss(step, *found["loss"])]
    if model.step.model == "linear":
        figures.insert(0, r_squared(step, outcome, *found["loss"]))
    bands: tuple[CalibrationBand, ...] = ()
    if graded:
        cells, variance = found["grades"]
        predictors = _means(middle, spread)
        if model.step.model == "cox":
            by_exit: Floats = cells.reshape(BANDS, -1, 2)
            figures.append(_figure("concordance", concordance, by_exit, variance, within=True))
        else:
            counts: Floats = cells.reshape(BANDS, 2)
            figures += condition_figures(counts, variance, predictors)
            bands = _bands(counts, variance, predictors)
    evaluation = Evaluation(figures=tuple(figures), bands=bands, share=float(model.evaluation_share))
    return replace(fitted, evaluation=evaluation, contributors=sums.contributors)


def _predictor(coefficients: Floats, shape: Shape, information: Floats | None) -> tuple[float, float]:
    """Return the mean and the standard deviation of the linear predictor that grades are of, roughly."""
    if information is None:
        return 0.0, _NETWORK_SPREAD
    baselines = max(1, shape.baselines)
    slopes = coefficients[baselines:]
    weight = max(float(np.trace(information[:baselines, :baselines])), 1.0)
    means = information[:baselines, baselines:].sum(axis=0) / weight
    spread = information[baselines:, baselines:] / weight - np.outer(means, means)
    middle = float(means @ slopes) + (0.0 if shape.baselines else float(coefficients[0]))
    return middle, sqrt(max(float(slopes @ spread @ slopes), _LEAST_SPREAD**2))


def _layout(middle: float, spread: float) -> Floats:
    """Return where each band ends, for bands of equal shares of a normal predictor; the last has no end."""
    normal = NormalDist(middle, spread)
    return np.array([*(normal.inv_cdf(band / BANDS) for band in range(1, BANDS)), np.inf])


def _cuts(ends: Floats) -> tuple[int, ...]:
    """Return where bands end as a step has it: rising by one at least where predictors are no longer told apart."""
    whole = np.rint(np.clip(ends, -30.0, 30.0) * POINT).astype(np.int64)
    places = np.arange(len(whole))
    return tuple((np.maximum.accumulate(whole - places) + places).tolist())


def _means(middle: float, spread: float) -> Floats:
    """Return the mean of a normal predictor within each band."""
    standard = NormalDist()
    ends = [standard.inv_cdf(band / BANDS) for band in range(1, BANDS)]
    density = [0.0, *(exp(-end * end / 2) / sqrt(2 * pi) for end in ends), 0.0]
    means = [(density[band] - density[band + 1]) * BANDS for band in range(BANDS)]
    return middle + spread * np.array(means)


def condition_figures(counts: Floats, variance: float, predictors: Floats) -> list[Figure]:
    """Return the area under the curve, Brier's score and calibration of predicted odds.

    ``counts`` has the shape (bands, 2): rows without and with the outcome. ``predictors`` are log odds.
    """

    def brier(cells: Floats) -> float:
        predicted = _chance(predictors)
        return float((cells[:, 0] * predicted**2 + cells[:, 1] * (1 - predicted) ** 2).sum() / cells.sum())

    return [
        _figure("auc", auc, counts, variance, within=True),
        _figure("brier", brier, counts, variance, within=True),
        _figure("calibration_slope", lambda cells: _line(cells, predictors, free=True)[1], counts, variance),
        _figure("calibration_in_the_large", lambda cells: _line(cells, predictors, free=False)[0], counts, variance),
    ]


def auc(counts: Floats) -> float:
    """Return the chance that a row with the outcome lies in a higher band than one without, ties counted half.

    A sum of products of cells with independent noise, over the product of two totals: without bias but for the latter.
    """
    without, having = counts[:, 0], counts[:, 1]
    below = np.cumsum(without) - without / 2
    return float((having * below).sum() / (having.sum() * without.sum()))


def concordance(counts: Floats) -> float:
    """Return Harrell's C over pairs of which one's event came in an earlier interval than the other's exit.

    ``counts`` has the shape (bands, intervals, 2): rows censored and with an event. Pairs that left in the same
    interval are not compared, and pairs of one band count half.
    """
    events, present = counts[:, :, 1], counts.sum(axis=2)
    later = np.cumsum(present[:, ::-1], axis=1)[:, ::-1] - present
    lower = np.cumsum(later, axis=0) - later / 2
    return float((events * lower).sum() / (events * later.sum(axis=0)).sum())


def _line(counts: Floats, predictors: Floats, *, free: bool) -> tuple[float, float]:
    """Return level and slope of the logistic regression of what came on predicted log odds; the slope 1 unless free."""
    rows, having = np.maximum(counts.sum(axis=1), 0.0), counts[:, 1]
    level, slope = 0.0, 1.0
    for _ in range(_FITTING):
        chance = _chance(level + slope * predictors)
        weight = rows * chance * (1 - chance)
        missing = having - rows * chance
        if not free:
            level += float(np.clip(missing.sum() / max(weight.sum(), 1e-9), -1, 1))
            continue
        columns = np.stack([np.ones_like(predictors), predictors])
        curved = (columns * weight) @ columns.T + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(curved, columns @ missing), -1, 1)
        level, slope = float(np.clip(level + step[0], -10, 10)), float(np.clip(slope + step[1], -10, 10))
    return level, slope


def _figure(
    name: str, function: Callable[[Floats], float], counts: Floats, variance: float, *, within: bool = False
) -> Figure:
    """Return a figure with an interval by the delta method; ``within``: it lies between 0 and 1."""
    with np.errstate(all="ignore"):
        value = function(counts)
        # A cell varies by the noise, and as a Poisson number does.
        errors = np.sqrt(variance + np.maximum(counts, 0.0))
        slope = np.zeros_like(counts)
        for place in np.ndindex(counts.shape):
            moved = counts.copy()
            moved[place] += (move := 0.01 * errors[place])
            slope[place] = (function(moved) - value) / move
        error = float(np.sqrt(((slope * errors) ** 2).sum()))
        hidden = counts.sum() <= _FEWEST * np.sqrt(counts.size * variance) or not np.isfinite(value + error)
    if hidden or (within and not 0 <= value <= 1):
        return Figure(name=name, value=float("nan"), low=float("nan"), high=float("nan"))
    low, high = value - Z * error, value + Z * error
    return Figure(name=name, value=value, low=max(low, 0.0) if within else low, high=min(high, 1.0) if within else high)


def _loss(step: Step, loss: Floats, variance: float) -> Figure:
    mean, error = mean_loss(step, loss, variance)
    if mean is None:
        return Figure(name="loss", value=float("nan"), low=float("nan"), high=float("nan"))
    # By chance: a patient's loss varies about as much as it is large, half a square by the root of 2 times that.
    most = most_loss(step)
    spread = (2 if most == MOST_SQUARE else 1) * min(mean, most) ** 2
    error = sqrt(error**2 + spread / max(float(loss[0]), 1.0))
    # No mean of losses is outside, whatever the noise says.
    value, low, high = (min(max(each, 0.0), most) for each in (mean, mean - Z * error, mean + Z * error))
    return Figure(name="loss", value=value, low=low, high=high)


def _bands(counts: Floats, variance: float, predictors: Floats) -> tuple[CalibrationBand, ...]:
    found = []
    for cells, predicted in zip(counts, _chance(predictors), strict=True):
        rows = float(cells.sum())
        if rows <= _FEWEST * sqrt(2 * variance):
            nan = float("nan")
            found.append(
                CalibrationBand(rows=max(rows, 0.0), predicted=float(predicted), observed=nan, low=nan, high=nan)
            )
            continue
        observed = float(np.clip(cells[1] / rows, 0.0, 1.0))
        spread = variance + np.maximum(cells, 0.0)
        error = sqrt(float(observed**2 * spread[0] + (1 - observed) ** 2 * spread[1])) / rows
        found.append(
            CalibrationBand(
                rows=rows,
                predicted=float(predicted),
                observed=observed,
                low=max(observed - Z * error, 0.0),
                high=min(observed + Z * error, 1.0),
            )
        )
    return tuple(found)


def _chance(predictor: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(predictor, -30.0, 30.0)))
    return chance
