"""Runs of training: many rounds that are judged and approved as one, so that cutting a question up dodges nothing.

A request only claims to be a round of a run. That its plan is of the claimed design is looked at here; what the rounds
before it said and cost is counted from the ledger, where a round is written once, when it is charged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace

from node.authority.decisions import APPROVE, DENY, REVOKE, Decision, Decisions
from node.authority.training import Check
from node.books.ledger import Trained
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.request import Request, Run
from queries.asked.design import design_of
from queries.asked.plan import Plan
from queries.cost.accounting import epsilon_of, rho_of_units
from queries.errors import PlanError

LABEL = "farr1/run-approval"

CODE = "wrong-run"
"""Of protocols/codes.py: what a round is refused or withheld with that does not fit its run."""

REPEATS = 2
"""Answers for each round of a run, on average: one, and another where its release was lost."""

OTHERS = "an earlier round of the run was of another design, length or price"
ALIKE = "no earlier round of the run was of another design, length or price"
NEW_RUN = "the analyst can ask the rest as a new run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Within what the rounds of an approved run are answered without another word."""

    run: str
    """Its id, hex."""
    design: str
    """What all its rounds share, hex: see ``queries.asked.design``."""
    analyst: str
    """Whose it is."""
    purpose: str
    """The purpose of every round."""
    trust: str
    """How many hospitals every round fears to collude."""
    policy: str
    """SHA-256 of the policy file, hex."""
    rounds: int
    """Most rounds."""
    units: int
    """Most that they cost together, in ledger units."""
    hospitals: int
    """Fewest hospitals behind a round that count."""


def check_run(request: Request, plan: Plan) -> None:
    """Raise Rejected("wrong-run") where a request says that it is a round of a run, and its plan is not.

    Guarantee: a round reads the columns and the rows, and bounds a patient, as the design says that its run was
    approved by. Test: tests/node/test_runs.py::test_a_round_of_another_design_than_it_says_is_refused.
    """
    if request.run is None:
        return
    try:
        design = design_of(plan)
    except PlanError as error:
        raise Rejected(CODE, error.message) from error
    if design != request.run.design:
        raise Rejected(CODE, "the plan is of another design")


def checks(request: Request, trained: Trained) -> Iterator[Check]:
    """Yield what a round's run says of it, by what was charged of the run at this hospital; nothing without a run.

    A round that is asked again, because its release was lost, takes no second place among the rounds: what it costs is
    counted again, so that no price that was approved is exceeded by repeating. An app may answer differently each time
    that it is asked the same, so answers are counted as well: at most ``REPEATS`` times as many as rounds.

    Guarantee: the first round that is charged fixes design, length and price of a run, and no more rounds are
    charged, nor more units together, nor ever more answers, whoever approves. Tests:
    tests/redteam/test_runs_attacked.py::test_more_rounds_than_the_run_has,
    tests/redteam/test_runs_attacked.py::test_one_round_asked_for_ever,
    tests/redteam/test_runs_attacked.py::test_a_price_that_creeps.
    """
    run = request.run
    if run is None:
        return
    yield Check(
        rule="run",
        holds=not trained.others,
        told=OTHERS if trained.others else ALIKE,
        code=CODE,
        remedy=NEW_RUN,
    )
    yield Check(
        rule="run.rounds",
        holds=trained.rounds < run.rounds,
        told=f"{trained.rounds} rounds of the run were answered, at most {run.rounds}",
        code=CODE,
        remedy=NEW_RUN,
    )
    yield Check(
        rule="run.price",
        holds=trained.units + request.rho_units <= run.rho_units,
        told=lambda: f"costs {priced(request.rho_units)}, left {priced(max(0, run.rho_units - trained.units))}",
        code=CODE,
        remedy=NEW_RUN,
    )
    yield Check(
        rule="run.repeats",
        holds=trained.answers < REPEATS * run.rounds,
        told=f"the run was answered {trained.answers} times, at most {REPEATS} for each of its {run.rounds} rounds",
        code=CODE,
        remedy=NEW_RUN,
    )


def subject_of(request: Request) -> bytes:
    """Return what a decision about the run of a request is about: its id and its analyst, longer than any request's id.

    Guarantee: the id of somebody else's run, or of a request, names another subject. Test:
    tests/redteam/test_runs_attacked.py::test_a_run_of_another_analyst_under_the_same_id.
    """
    return _run(request).id + request.analyst.encode()


def limits_of(request: Request, policy: bytes, hospitals: int) -> Limits:
    """Return what an approval of the run of a request is about, under a policy file (its SHA-256)."""
    run = _run(request)
    return Limits(
        run=run.id.hex(),
        design=run.design.hex(),
        analyst=request.analyst,
        purpose=request.purpose,
        trust=request.trust.value,
        policy=policy.hex(),
        rounds=run.rounds,
        units=run.rho_units,
        hospitals=hospitals,
    )


def facts_of(limits: Limits) -> dict[str, object]:
    """Return limits as a decision keeps them."""
    return asdict(limits)


def binding_of(limits: Limits) -> bytes:
    """Return the digest of all limits, which the audit log keeps: 32 bytes."""
    return digest(LABEL, json.dumps(facts_of(limits), sort_keys=True, ensure_ascii=False).encode())


def last_word(connection: sqlite3.Connection, request: Request) -> Decision | None:
    """Return the operator's last word on the run of a request; None: there is none, or the request has no run."""
    if request.run is None:
        return None
    return Decisions(connection=connection).newest((APPROVE, DENY, REVOKE), subject_of(request))


def covering(connection: sqlite3.Connection, request: Request, policy: bytes, hospitals: int) -> int | None:
    """Return the number of the decision that approved the run of a held request, or None.

    What its rounds may cost together, and how many there may be, is looked at for every round, held or not: ``checks``.

    Guarantee: a round is covered under the analyst, design, purpose, price, length and policy file that were approved,
    with no fewer hospitals behind it, and not once the run was denied or the word taken back. Tests:
    tests/node/test_runs.py::test_an_approval_covers_the_rounds_of_its_run_and_nothing_else,
    tests/node/test_runs.py::test_a_later_word_stops_the_rest.
    """
    word = last_word(connection, request)
    approved = None if word is None or word.kind != APPROVE else limits_in(word)
    if word is None or approved is None or hospitals < approved.hospitals:
        return None
    asked = replace(limits_of(request, policy, hospitals), hospitals=approved.hospitals)
    return word.number if asked == approved else None


def limits_in(word: Decision) -> Limits | None:
    """Return what an approval is about; None: it is not of a run, or somebody changed its limits beside the log."""
    if word.facts.keys() != {field.name for field in fields(Limits)}:
        return None
    limits = Limits(**word.facts)  # type: ignore[arg-type]
    return limits if word.binding == binding_of(limits) else None


def priced(units: int) -> str:
    """Return ledger units as a detail of a ruling holds them."""
    return f"{units} units (epsilon {epsilon_of(rho_of_units(units)):.3g})"


def _run(request: Request) -> Run:
    if request.run is None:
        raise Rejected(CODE, "the request is of no run")
    return request.run
