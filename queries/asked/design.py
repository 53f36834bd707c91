"""What stays the same in all rounds of a run: what an operator looks at once and approves as a whole."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache

from queries.asked.canonical import encode
from queries.asked.plan import AppStep, Part, Plan, Step
from queries.errors import PlanError

LABEL = b"farr1/design\0"


@lru_cache(maxsize=4)
def design_of(plan: Plan) -> bytes:
    """Return the digest of all that the rounds of a run share (32 bytes); raise PlanError for a plan that is none.

    Left out are the coefficients, the message to an app, which sums a round takes and how the privacy loss is divided
    between them, and which folds take part; of an app also the clip, which says how coarse the noise is and never what
    a patient is charged, and whether a round trains or evaluates: a run's rounds do both in turn, on the same rows. A
    query by the same app, which answers whatever it was written to answer, is of another design. Everything that is
    read, of whom, and a patient's clips stay in.

    Guarantee: two plans of one design read the same columns of the same rows and bound a patient alike. Test:
    tests/queries/test_design.py::test_whatever_is_read_or_bounded_changes_the_design.
    """
    return hashlib.sha256(LABEL + encode(replace(plan, parts=tuple(map(_constant, plan.parts))))).digest()


def _constant(part: Part) -> Part:
    kept = []
    for aggregate in part.aggregates:
        step = aggregate.step
        if isinstance(step, Step):
            split = None if step.split is None else replace(step.split, first=0, last=0)
            step = replace(step, point=(), wants=(), weights=(), cuts=(), split=split)
        elif isinstance(step, AppStep):
            kind = "query" if step.kind == "query" else ""
            step = replace(step, message=b"", size=0, entries=0, kind=kind, clip=0)
        else:
            raise PlanError("only rounds of training belong to a run", remedy="ask it as a question of its own")
        kept.append(replace(aggregate, step=step))
    return replace(part, aggregates=tuple(kept), weight=1)
