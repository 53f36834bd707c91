"""Rounds of a run of training, for tests of policy, approvals and ledger: the harbour's logistic model of who died.

The rig stands for the records with a number in each entry: nothing here looks at one.
"""

from __future__ import annotations

from dataclasses import replace

from node.scan.compiled import Compiler
from protocols import announcement as announcements
from protocols import upload as uploads
from protocols.request import Run
from queries.asked.canonical import encode
from queries.asked.design import design_of
from queries.asked.plan import ONE, Aggregate, AppStep, CodeKey, FlagKey, Layer, Members, NumberTerm, Step
from tests.node.rig import POLICY, PRICE, Rig, announce, catalogue, plan, request, roster

STEP = Step(
    model="logistic",
    outcome=FlagKey(term=Members(column="died", codes=("Y",))),
    terms=(NumberTerm(column="age"), CodeKey(column="sex")),
    clip=ONE,
    reach=ONE,
    point=(0, 0, 0),
    wants=("gradient",),
    weights=(1,),
)
NETWORK = replace(
    STEP,
    model="network",
    layers=(Layer(kind="linear", width=2), Layer(kind="relu", width=2), Layer(kind="linear", width=1)),
    point=(0,) * 9,
)
APP = AppStep(
    app=b"a" * 32,
    message=b"m" * 32,
    size=1 << 20,
    kind="train",
    columns=("age", "died"),
    entries=10,
    clip=ONE,
    seconds=60,
)

ROUNDS = 3
TOTAL = PRICE
EACH = PRICE // ROUNDS
RUN = b"r" * 16

COMPILER = Compiler(catalogue=catalogue)
CHECKS = 2
"""Coordinates by which a masked vector is checked."""

HOLDING = POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["test"]')


def training(step=STEP, **changes):
    """Return the plan of a round."""
    statistic = "app" if isinstance(step, AppStep) else "step"
    return plan(**{"keys": (), "aggregates": (Aggregate(statistic=statistic, step=step),), **changes})


def at(*point):
    """Return the step at these coefficients."""
    return replace(STEP, point=point)


def round_(number=1, step=STEP, *, run=None, **changes):
    """Return a round, unsigned, with a request id of its own; ``run`` changes what it says of its run."""
    asked = training(step)
    said = Run(id=RUN, design=design_of(asked), round=min(number, ROUNDS), rounds=ROUNDS, rho_units=TOTAL)
    told = {"plan": encode(asked), "rho_units": EACH, "run": replace(said, **(run or {})), "statement": "train"}
    return request(100 + number, **{**told, **changes})


def trainer(home, policy=POLICY, **changes):
    """Return a node that compiles steps so, under a policy."""
    home.mkdir(exist_ok=True)
    (home / "policy.toml").write_text(policy)
    return Rig(home, **changes)


def notes(rig, asked, slot):
    """Have the node answer; return its upload's notes."""
    signed = announce(asked, slot=slot)
    upload = rig.answer(signed)
    entries = COMPILER.compile(asked.plan, asked.rho_units, 3).tally.entries + CHECKS
    return uploads.read(upload, roster=roster, announcement=announcements.tau(signed), entries=entries).notes
