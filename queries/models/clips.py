"""Clips that follow from a model alone: how long a patient's gradient and information can be, from public bounds."""

from __future__ import annotations

from math import ceil, sqrt

from queries.asked.plan import ONE, Step

REACH_SHARE = 0.5
"""Of the longest possible information, what a patient's is clipped to. Few patients have half of it, halving it halves
the noise in it, and a clipped information lengthens steps a little without moving where they end."""

_CURVED = {"linear": 1.0, "logistic": 0.25, "poisson": 1.0, "cox": 0.5}
"""The largest second derivative of a row's log-likelihood by its predictor. Of a Cox model and of counts there is none:
twice and once what a row has of which half, and one event is expected."""

_ROOM = 1.5
"""Of a Cox model's clip. In the stroke trial 1 moves the strongest coefficient by twice its sampling error, 1.5 by half
of it and 2 by a third."""


def natural_clips(step: Step, rows: int = 1, count: float = 1.0) -> tuple[int, int]:
    """Return ``clip`` and ``reach`` for a step without them, in ``ONE``ths, rounded up.

    Each term has at most one column other than 0, of at most 1, so a row's columns with the intercept are at most
    sqrt(1 + terms) long. The residual is within 1 for logistic models; for linear ones too (2 at worst, which no fit
    reaches). Of a Cox model it is the event less those expected, which patients at high risk who live long exceed: the
    clip leaves room for half as much again. For counts it is within ``count``, the
    number of events of a row beyond which its part is cut. ``rows`` is the most rows of a patient. A network has no
    natural clip: 1.
    """
    if step.model == "network":
        return ONE, ONE
    length = sqrt(1 + len(step.terms))
    most = max(1.0, count) if step.model == "poisson" else 1.0
    clip = length * most * rows * (_ROOM if step.model == "cox" else 1.0)
    reach = REACH_SHARE * _CURVED[step.model] * length * length * most * rows
    return ceil(clip * ONE), ceil(reach * ONE)
