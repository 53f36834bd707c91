"""Linear, logistic, Poisson and Cox regression: a few guarded Newton steps through noise.

Early turns are cheap and bring the point near the fit; the gradients and informations of all later ones are averaged,
so that they cost no accuracy over a single dear one, and the noise of the information enters only through the small
distance that is left (see ``belief``). The fit that intervals are about is the one to the same rows without noise, with
the same penalty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import Step
from queries.models.belief import Belief, Curvature, Observed, belief, curvature, pooled
from queries.models.evaluation import evaluated
from queries.models.explained import pooled_loss, varies
from queries.models.fitted import Fitted, Round
from queries.models.rounds import at, entry, mean_loss, shares, told, unpacked
from queries.models.shape import Shape
from queries.models.turns import Model, Training, Turn

Floats = NDArray[np.float64]

ROUNDS = {"linear": 3, "logistic": 5, "poisson": 6, "cox": 6}
"""Turns where a model does not say."""

STRATIFIED_ROUNDS = 9
"""The same of a model with strata, whose baselines are many and come near by small steps."""

EARLY = {
    "linear": (Fraction(1, 5),),
    "logistic": (Fraction(1, 10),) * 2,
    "poisson": (Fraction(1, 15),) * 3,
    "cox": (Fraction(1, 15),) * 3,
}
"""The shares of turns that only bring the point near."""

WEIGHTS = {"gradient": 65, "information": 30, "loss": 5}
"""Within a turn."""

PRIOR = 3.5
"""Standard deviation of the prior of a scaled column's coefficient: from one end of a number's bounds to the other,
odds or hazards may well change thirtyfold, and hardly ever ten thousandfold. Where the data say much, it does not
matter; a wider one costs accuracy where they say little, a narrower one moves strong coefficients."""

PRIOR_BASELINE = 10.0
"""That of an intercept, and of baseline hazards where there is one stratum."""

PRIOR_STRATUM = 2.0
"""That of a stratum's log baseline hazards about those of all strata together."""

_LONGEST = {"logistic": 4.0, "poisson": 2.0, "cox": 2.0}
"""Most that the columns' coefficients (of a logistic model: all) move in one turn, L2 norm; the last turn's are not
held. Rates grow with the exponential of them, odds' gradients and informations stay within bounds."""

_HIGHEST = 1.0
"""Most that a log baseline hazard or a Poisson intercept rises or falls in one turn."""

_LEAST_RATIO, _MOST_RATIO = 1e-4, 1e4
"""Of events seen to events expected at the start."""

_WEAK = 0.1
"""Share of the prior's variance from which a coefficient is said to be hidden by the noise."""

HIDDEN = "The noise hides some coefficients: their intervals rest on the assumption that they are moderate."
STRATIFIED = "Errors of a model with strata are rough: with more than about five strata some are too small."
UNSETTLED = "The last step was long: run again with more rounds, a larger epsilon or a penalty."


@dataclass(kw_only=True)
class _Progress:
    """What a run has learnt; only ``glm`` writes it."""

    point: Floats
    belief: Belief
    curved: Curvature | None = None
    informations: list[tuple[Floats, float]] = field(default_factory=list)
    late: list[Observed] = field(default_factory=list)
    losses: list[tuple[Floats, float]] = field(default_factory=list)
    history: tuple[Round, ...] = ()
    contributors: int = 0
    settled: bool = True


def turns_of(model: Model, shape: Shape) -> int:
    """Return how many turns a model takes, its evaluation not counted."""
    return model.rounds or (STRATIFIED_ROUNDS if shape.strata > 1 else ROUNDS[model.step.model])


def glm(model: Model, shape: Shape) -> Training:
    """Return the run of a linear, logistic, Poisson or Cox model."""
    kind = model.step.model
    baselines = max(1, shape.baselines)
    ridge = np.where(np.arange(shape.width) < baselines, 0.0, model.penalty)
    start = np.zeros(shape.width)
    if shape.baselines:
        # So that a patient who is followed to the end is expected to have a quarter of an event: no information is
        # clipped then, and events less those expected and events expected add up to events.
        start[:baselines] = -log(4 * (len(shape.intervals) - 1))
    prior = _prior(start, baselines, shape)
    progress = _Progress(point=start, belief=prior)
    turns = turns_of(model, shape)
    plan = shares(model, EARLY[kind], turns)
    first_late = min(len(EARLY[kind]), turns - 1)
    for number, share in enumerate(plan):
        step, point = at(model.step, progress.point, WEIGHTS)
        sums = yield Turn(step=step, share=share, so_far=_fitted(model, shape, ridge, prior, progress, finished=False))
        found = told(step, sums)
        gradient, variance = found["gradient"]
        information, of_information = unpacked(found["information"][0], shape.width), found["information"][1]
        if shape.baselines:
            _apart(information, baselines)
        seen = Observed(gradient=gradient, point=point, variance=variance)
        if number == 0 and kind in ("poisson", "cox"):
            seen, information = _first(seen, information, of_information, shape, baselines)
            prior = _prior(seen.point, baselines, shape)
            progress.belief = prior
        if number <= 1 and kind != "linear":
            progress.informations = []  # that at the start is not that near the fit
        progress.informations.append((information, of_information))
        progress.curved = curvature(*_averaged(progress.informations), shape.baselines)
        progress.late = [*progress.late, seen] if number > first_late else [seen]
        progress.losses = [*progress.losses, found["loss"]] if number > first_late else [found["loss"]]
        progress.belief = belief(pooled(progress.late), progress.curved, ridge, prior, progress.belief)
        if len(progress.late) > 1:
            near = seen.point + _held(progress.belief.mean - seen.point, baselines, kind)
            straightened = [
                _straightened(turn, own, progress.curved, near)
                for turn, own in zip(progress.late, progress.informations[-len(progress.late) :], strict=True)
            ]
            progress.belief = belief(pooled(straightened), progress.curved, ridge, prior, progress.belief)
        moved = progress.belief.mean - seen.point
        progress.settled = _settled(moved, progress.belief)
        progress.point = seen.point + _held(moved, baselines, kind)
        progress.history += (entry(step, number + 1, share, found["loss"], float(np.linalg.norm(moved))),)
        progress.contributors = sums.contributors
    finished = _fitted(model, shape, ridge, prior, progress, finished=True)
    if finished is None:  # no turn was made, which no model asks for
        raise ValueError("a run without turns")
    if progress.curved is None:
        return (yield from evaluated(model, shape, finished, None))
    known = varies(model.step, finished, progress.curved, progress.losses, model.penalty) if kind == "linear" else None
    return (yield from evaluated(model, shape, finished, progress.curved.matrix, known))


def _prior(centre: Floats, baselines: int, shape: Shape) -> Belief:
    """Return a weak belief about ``centre``; slopes about 0.

    What all strata have in common is as free as a single baseline. Were it not, each of them would hold the others, and
    through them the slopes, to where the first turn put them: of a Cox model of the stroke trial in five strata the
    steepest slope fell short by two thirds of its error. Test:
    tests/queries/test_strata.py::test_strata_take_nothing_off_the_slopes_that_they_have_in_common.
    """
    deviations = np.full(shape.width, PRIOR)
    deviations[:baselines] = PRIOR_STRATUM if shape.strata > 1 else PRIOR_BASELINE
    covariance = np.diag(deviations**2)
    if shape.strata > 1:
        intervals = baselines // shape.strata
        alike = np.equal.outer(np.arange(baselines) % intervals, np.arange(baselines) % intervals)
        covariance[:baselines, :baselines] += PRIOR_BASELINE**2 * alike
    mean = centre.copy()
    mean[baselines:] = 0.0
    return Belief(mean=mean, covariance=covariance)


def _apart(information: Floats, baselines: int) -> None:
    """Take the noise off what is 0 for everybody: no row's part ties two baseline hazards to each other."""
    block = information[:baselines, :baselines]
    block[~np.eye(baselines, dtype=bool)] = 0.0


def _averaged(informations: list[tuple[Floats, float]]) -> tuple[Floats, float]:
    precision = sum(1 / variance for _, variance in informations)
    return np.sum([matrix / variance for matrix, variance in informations], axis=0) / precision, 1 / precision


def _first(
    seen: Observed, information: Floats, variance: float, shape: Shape, baselines: int
) -> tuple[Observed, Floats]:
    """Return the first turn's sums as they would be at better baselines: events seen over events expected.

    At columns' coefficients of 0 the fit of a baseline hazard is that ratio, and gradient and information there follow
    from those that were asked for; but for the information of the columns among themselves, which is scaled as a whole.
    What noise does to it is of no consequence beyond where the next turn looks.
    """
    intervals = baselines // shape.strata
    expected = np.diag(information)[:baselines].reshape(shape.strata, intervals).sum(axis=0)
    events = seen.gradient[:baselines].reshape(shape.strata, intervals).sum(axis=0) + expected
    doubt = sqrt(shape.strata * (seen.variance + variance))
    whole = max(events.sum(), doubt) / max(expected.sum(), doubt)
    # An interval whose sums the noise hides takes the ratio of all.
    pulled = 2 * doubt / min(whole, 1.0)
    ratio = (np.maximum(events, 0.0) + pulled * whole) / (np.maximum(expected, 0.0) + pulled)
    by_baseline = np.tile(np.clip(ratio, _LEAST_RATIO, _MOST_RATIO), shape.strata)
    point = seen.point.copy()
    point[:baselines] += np.log(by_baseline)
    gradient = seen.gradient + information[:, :baselines] @ (1 - by_baseline)
    scaled = information * whole
    scaled[:baselines] = information[:baselines] * by_baseline[:, None]
    scaled[:, :baselines] = information[:, :baselines] * by_baseline
    widened = seen.variance + float(((1 - by_baseline) ** 2).sum()) * variance
    return Observed(gradient=gradient, point=point, variance=widened), scaled


def _straightened(turn: Observed, own: tuple[Floats, float], curved: Curvature, near: Floats) -> Observed:
    """Return a turn's gradient as it would be were the log-likelihood a parabola with the curvature at the fit.

    Between a point and the fit the gradient grows by the mean of the informations at both ends times the way, up to the
    third order (trapezoidal rule), where a parabola has that at the fit. A third of that correction is taken for its
    own error, so that a turn far from the fit counts little.
    """
    way = turn.point - near
    correction = (own[0] - curved.matrix) @ way / 2
    return Observed(
        gradient=turn.gradient + correction,
        point=turn.point,
        variance=turn.variance + own[1] / 8 * float(way @ way) + float(correction @ correction) / (9 * len(way)),
    )


def _held(moved: Floats, baselines: int, kind: str) -> Floats:
    """Return a step that is not too long: the rates of Poisson and Cox models grow with the exponential of it."""
    held = moved.copy()
    if kind in ("poisson", "cox"):
        held[:baselines] = np.clip(moved[:baselines], -_HIGHEST, _HIGHEST)
        held[baselines:] *= _LONGEST[kind] / max(float(np.linalg.norm(moved[baselines:])), _LONGEST[kind])
    elif kind == "logistic":
        held *= _LONGEST[kind] / max(float(np.linalg.norm(moved)), _LONGEST[kind])
    return held


def _settled(moved: Floats, found: Belief) -> bool:
    """Return whether a step is about as long as the noise explains: a mean of squares below 9 in its own errors."""
    return float(moved @ np.linalg.solve(found.covariance, moved)) < 9 * len(moved)


def _fitted(
    model: Model, shape: Shape, ridge: Floats, prior: Belief, progress: _Progress, *, finished: bool
) -> Fitted | None:
    if progress.curved is None:
        return None
    found, curved = progress.belief, progress.curved
    turned = np.linalg.inv(curved.matrix + np.diag(ridge))
    sampling = turned @ curved.matrix @ turned
    if model.step.model == "linear":
        sampling = sampling * _residual_variance(model.step, progress.losses)
    weak = np.diag(found.covariance) > _WEAK * np.diag(prior.covariance)
    far = not progress.settled and (finished or model.step.model != "linear")
    said = {HIDDEN: weak.any(), STRATIFIED: shape.strata > 1, UNSETTLED: far}
    return Fitted(
        kind=model.step.model,
        names=model.names or tuple(f"coefficient {place}" for place in range(1, shape.width + 1)),
        coefficients=found.mean,
        noise_covariance=found.covariance,
        sampling_covariance=sampling,
        contributors=progress.contributors,
        history=progress.history,
        finished=finished,
        notes=tuple(note for note, so in said.items() if so),
    )


def _residual_variance(step: Step, losses: list[tuple[Floats, float]]) -> float:
    """Return the variance of a scaled outcome about the fit: twice the loss, no less than its own noise leaves open."""
    mean, error = mean_loss(step, *pooled_loss(losses))
    return 1.0 if mean is None else min(1.0, max(2 * mean, 2 * error))
