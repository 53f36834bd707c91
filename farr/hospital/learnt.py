"""What the runs of training in a hospital's ledger trained, by their plans and not by what their analysts say of them.

The state keeps each round's announcement, and with it the plan, beside the upload that was charged for. So this is
known of every run that was ever charged, and nothing is stored or sent for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from farr.hospital import run_words
from protocols import checks
from protocols.errors import Rejected
from protocols.wire_pb2 import Announcement, Signed
from protocols.wire_pb2 import Request as RequestMessage
from queries.agreed.catalogue import Catalogue
from queries.asked.canonical import decode
from queries.asked.plan import AppStep, Plan
from queries.errors import PlanError

APP = "app"
"""The model of a researcher's own program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What one run trained."""

    model: str
    """``linear``, ``logistic``, ``poisson``, ``cox``, ``network`` or ``app``."""
    target: str
    """What is foretold, in words; empty: of an app only its code says so."""
    table: str
    """Whose rows it learns from."""
    text: str
    """All of it in a line."""

    def to_plain(self) -> dict[str, str]:
        """Return it as JSON can hold it."""
        return {"model": self.model, "target": self.target, "table": self.table}


Runs = dict[tuple[str, str], Learnt]
"""By id of the run, hex, and analyst."""


def learnt(connection: sqlite3.Connection, catalogue: Catalogue | None) -> Runs:
    """Return what each run in the ledger trained; of one whose plan cannot be read, nothing.

    ``catalogue``: in whose units numbers are told, of the plans that were made for it.

    Guarantee: it is the plan of the first round that was charged, which is what a policy holds all later rounds of the
    run to; a round that was withheld for saying otherwise does not change what is told. Test:
    tests/farr/test_learnt.py::test_a_round_of_another_design_does_not_rename_its_run.
    """
    rows = connection.execute(
        "SELECT json_extract(evidence, '$.run.id') AS run, analyst, announcement, "
        "min(number + (units = 0) * (1 << 60)) FROM charges JOIN uploads USING (tau) WHERE json_valid(evidence) "
        "AND run IS NOT NULL GROUP BY run, analyst"
    )
    return {(run, analyst): found for run, analyst, kept, _ in rows for found in _learnt(bytes(kept), catalogue)}


def asked_in(announcement: bytes) -> RequestMessage:
    """Return the request of a stored announcement; raise Rejected where it cannot be read."""
    announced = checks.parse(Announcement, checks.parse(Signed, announcement).body)
    return checks.parse(RequestMessage, checks.parse(Signed, announced.request).body)


def learnt_by(plan: Plan, catalogue: Catalogue | None) -> Learnt | None:
    """Return what a plan trains; None: nothing."""
    for part in plan.parts:
        for step in (aggregate.step for aggregate in part.aggregates):
            if step is not None:
                table = run_words.table_of(part.table, plan, catalogue)
                return Learnt(
                    model=APP if isinstance(step, AppStep) else step.model,
                    target="" if isinstance(step, AppStep) else run_words.outcome_in_words(step, table),
                    table=part.table,
                    text=run_words.step_in_words(step, table, short=True),
                )
    return None


def _learnt(announcement: bytes, catalogue: Catalogue | None) -> Iterator[Learnt]:
    try:
        found = learnt_by(decode(Plan, asked_in(announcement).plan), catalogue)
    except (Rejected, PlanError):
        return
    if found is not None:
        yield found
