"""Plans of a round of training over the catalogue with one of everything."""

from __future__ import annotations

from dataclasses import replace

from queries.asked.plan import (
    EVERYTHING,
    ONE,
    POINT,
    Aggregate,
    AppStep,
    AttributeKey,
    BandKey,
    Bound,
    CodeKey,
    FlagKey,
    Layer,
    Members,
    NumberTerm,
    Plan,
    Split,
    Step,
)
from tests.queries.whole import whole

DIED = FlagKey(term=Members(column="way", codes=("dead",)))
AGE, WEIGHT = NumberTerm(column="age"), NumberTerm(column="weight")
TERMS = (AGE, CodeKey(column="sex"), CodeKey(column="region", level="province"), AttributeKey(attribute="level"))

LOGISTIC = Step(
    model="logistic",
    outcome=DIED,
    terms=TERMS,
    clip=3 * ONE,
    reach=2 * ONE,
    point=(-POINT, 1, -1, 1 << 40, -(1 << 40)),
    wants=("gradient", "information", "loss", "grades"),
    weights=(20, 10, 1, 2),
    cuts=(-POINT, 0, POINT),
    split=Split(folds=5, first=0, last=3),
)
LINEAR = replace(LOGISTIC, model="linear", outcome=WEIGHT, wants=("gradient",), weights=(1,), cuts=())
POISSON = replace(LINEAR, model="poisson", outcome=AGE, terms=(CodeKey(column="sex"),), point=(0, 0), exposure="weight")
COX = replace(
    LOGISTIC,
    model="cox",
    time=BandKey(column="age", starts=(0, 30, 120)),
    strata=(CodeKey(column="sex"), AttributeKey(attribute="level")),
    point=(0,) * (3 * 4 + 4),
)
NETWORK = replace(
    LINEAR,
    model="network",
    outcome=CodeKey(column="way"),
    layers=(Layer(kind="linear", width=3), Layer(kind="tanh", width=3), Layer(kind="linear", width=3)),
    point=(0,) * (3 * 5 + 3 * 4),
)
MODELS = {"linear": LINEAR, "logistic": LOGISTIC, "poisson": POISSON, "cox": COX, "network": NETWORK}

APP = AppStep(
    app=b"a" * 32,
    message=b"m" * 32,
    size=1 << 20,
    kind="train",
    columns=("age", "discharged", "sex"),
    entries=1000,
    clip=5 * ONE,
    seconds=60,
)


def round_of(catalogue: bytes, step: Step | AppStep, **part: object) -> Plan:
    """Return the plan of a round on discharges, with these changes to its part."""
    aggregate = Aggregate(statistic="app" if isinstance(step, AppStep) else "step", step=step)
    given = {
        "table": "discharge",
        "where": EVERYTHING,
        "keys": (),
        "aggregates": (aggregate,),
        "bound": Bound(rows=5, groups=5),
    }
    return whole(catalogue, **{**given, **part})
