"""What the rounds of a run share: the digest that an operator approves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from queries.asked.design import design_of
from queries.asked.plan import (
    POINT,
    Aggregate,
    BandKey,
    Between,
    Bound,
    CodeKey,
    FlagKey,
    Missing,
    Split,
)
from queries.errors import PlanError
from tests.queries.steps import APP, COX, LOGISTIC, NETWORK, POISSON, round_of
from tests.queries.whole import altered

CHANGES = {
    "model": (LOGISTIC, {"model": "cox"}),
    "outcome": (LOGISTIC, {"outcome": FlagKey(term=Missing(column="age"))}),
    "terms": (LOGISTIC, {"terms": LOGISTIC.terms[:-1]}),
    "order of terms": (LOGISTIC, {"terms": LOGISTIC.terms[::-1]}),
    "clip": (LOGISTIC, {"clip": LOGISTIC.clip + 1}),
    "reach": (LOGISTIC, {"reach": LOGISTIC.reach + 1}),
    "exposure": (POISSON, {"exposure": "age"}),
    "time": (COX, {"time": BandKey(column="age", starts=(0, 31, 120))}),
    "strata": (COX, {"strata": (CodeKey(column="way"),)}),
    "layers": (NETWORK, {"layers": NETWORK.layers[:1]}),
    "folds": (LOGISTIC, {"split": Split(folds=6, first=0, last=3)}),
    "no folds": (LOGISTIC, {"split": None}),
    "app": (APP, {"app": b"b" * 32}),
    "columns": (APP, {"columns": ("age",)}),
    "time of an app": (APP, {"seconds": APP.seconds + 1}),
    "a query by an app that trains": (APP, {"kind": "query"}),
}


@pytest.mark.parametrize(("step", "changes"), CHANGES.values(), ids=CHANGES)
def test_whatever_is_read_or_bounded_changes_the_design(wide, step, changes):
    """Model, outcome, terms, clips, time, strata, layers, folds; an app's code, columns, time and what it is for."""
    assert design_of(round_of(wide.digest, step)) != design_of(round_of(wide.digest, replace(step, **changes)))


ROWS = {
    "rows": {"where": Between(column="age", low=18, high=None)},
    "bound on rows": {"bound": Bound(rows=4, groups=4)},
    "table": {"table": "lab"},
    "tables beside": {"beside": ("lab",)},
    "catalogue": {"catalogue": bytes(32)},
}


@pytest.mark.parametrize("changes", ROWS.values(), ids=ROWS)
def test_other_rows_are_another_design(wide, changes):
    """Table, condition, bound and catalogue are approved with the model."""
    plan = round_of(wide.digest, LOGISTIC)
    assert design_of(plan) != design_of(altered(plan, **changes))


SAME = {
    "point": (LOGISTIC, {"point": (POINT,) * 5}),
    "sums": (LOGISTIC, {"wants": ("gradient",), "weights": (1,), "cuts": ()}),
    "weights": (LOGISTIC, {"weights": (1, 2, 3, 4)}),
    "cuts": (LOGISTIC, {"cuts": (5,)}),
    "which folds": (LOGISTIC, {"split": Split(folds=5, first=4, last=4)}),
    "clip of an app": (APP, {"clip": APP.clip + 1}),
    "message": (APP, {"message": b"n" * 32}),
    "size": (APP, {"size": 5}),
    "an evaluation between rounds of training": (APP, {"kind": "evaluate"}),
    "entries": (APP, {"entries": 2}),
}


@pytest.mark.parametrize(("step", "changes"), SAME.values(), ids=SAME)
def test_what_changes_from_round_to_round_is_not_in_the_design(wide, step, changes):
    """Coefficients, which sums at which shares, which folds; what an app is sent, and how coarse its noise is."""
    assert design_of(round_of(wide.digest, step)) == design_of(round_of(wide.digest, replace(step, **changes)))


def test_a_question_has_no_design(wide):
    """A plan that is no round of training cannot be passed off as one."""
    with pytest.raises(PlanError):
        design_of(round_of(wide.digest, LOGISTIC, aggregates=(Aggregate(statistic="count"),)))
    mixed = (Aggregate(statistic="step", step=LOGISTIC), Aggregate(statistic="mean", column="age"))
    with pytest.raises(PlanError):
        design_of(round_of(wide.digest, LOGISTIC, aggregates=mixed))
