"""Approvals: whether a person's word covers a request that the policy holds, and exactly what that word was about.

An approval is of one request, of all rounds of a run of training (``runs.py``), or standing: of the runs of a signed
pack (``standing.py``). The last word on a request, or on a run, counts; a word that was given for another policy file,
or another cost, is none.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from node.authority import runs, standing
from node.authority.decisions import APPROVE, DENY, REVOKE, STANDING, WITHDRAW, Decision, Decisions
from protocols.hashing import digest
from protocols.request import Request
from protocols.wire_pb2 import Signed
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import Plan

BINDING_LABEL = "farr1/approval"
REQUEST_LABEL = "farr1/approved-request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """The decision that lets a held request be answered."""

    decision: int
    """Its number: the charge and the audit entry name it."""
    standing: bool
    """Whether it covers the runs of a pack, not one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A request that the policy holds, with all that an approval of it is bound to."""

    signed: Signed
    """As its analyst signed it."""
    request: Request
    """The same, read."""
    plan: Plan
    """What it computes, checked against the catalogue."""
    catalogue: Catalogue
    """In whose terms."""
    policy: bytes
    """SHA-256 of the policy file's bytes, 32 bytes."""
    hospitals: int
    """Hospitals that count, among those asked: of the round, or before it of the request."""
    now: int
    """Seconds since 1970, UTC."""

    @property
    def cost(self) -> int:
        """Return the most ledger units that the answer can be charged: the price, which the analyst signed.

        What is charged in the end moves by a hair with the number of hospitals in the round, so nobody could approve
        it beforehand; it is never more.
        """
        return self.request.rho_units

    @property
    def binding(self) -> bytes:
        """Return the digest that an approval of exactly this is bound to."""
        return binding_of(self.signed, self.policy, self.cost)


def binding_of(signed: Signed, policy: bytes, cost: int) -> bytes:
    """Return the digest of a signed request, the policy file (its SHA-256) and the cost in ledger units: 32 bytes.

    Guarantee: another request, another policy file or another cost gives another binding, so a word given for one is
    none for the other. Test: tests/node/test_approvals.py::test_an_approval_is_void_once_anything_it_rests_on_changed.
    """
    asked = digest(REQUEST_LABEL, signed.body, signed.signature)
    return digest(BINDING_LABEL, asked, policy, cost.to_bytes(8, "big"))


def covering(connection: sqlite3.Connection, held: Held) -> Cover | None:
    """Return the approval that covers a request that the policy holds, or None: it stays held.

    Guarantee: an approval covers the request that was looked at, under the policy that held it, and no other; a denied
    or revoked one is covered by nothing, standing approvals included. A round of training is covered by the word on its
    run. Tests: tests/node/test_approvals.py, tests/node/test_runs.py.
    """
    newest = last_word(connection, held.request.id)
    if newest is not None and newest.kind != APPROVE:
        return None
    if newest is not None and newest.binding == held.binding:
        return Cover(decision=newest.number, standing=False)
    if held.request.run is not None:
        approved = runs.covering(connection, held.request, held.policy, held.hospitals)
        return None if approved is None else Cover(decision=approved, standing=False)
    number = standing.covering(
        connection,
        request=held.request,
        plan=held.plan,
        catalogue=held.catalogue,
        hospitals=held.hospitals,
        now=held.now,
    )
    return None if number is None else Cover(decision=number, standing=True)


def holds(connection: sqlite3.Connection, number: int, request: Request) -> bool:
    """Return whether nobody has taken a decision back that covered a request a moment ago.

    Guarantee: asked inside the transaction that charges, so no answer is charged on a word that was taken back before.
    Tests: tests/node/test_approvals.py::test_a_word_taken_back_while_records_are_read_answers_nothing,
    tests/node/test_runs.py::test_a_word_on_a_run_taken_back_while_records_are_read_answers_nothing.
    """
    decisions = Decisions(connection=connection)
    decision, newest = decisions.numbered(number), last_word(connection, request.id)
    if decision is None or (newest is not None and newest.kind != APPROVE):
        return False
    if decision.kind == STANDING:
        return decisions.newest((WITHDRAW,), standing.subject_of(number)) is None
    if request.run is not None and decision.subject == runs.subject_of(request):
        newest = runs.last_word(connection, request)
    return newest is not None and newest.number == number


def last_word(connection: sqlite3.Connection, request: bytes) -> Decision | None:
    """Return the operator's last word on a request, by its id."""
    return Decisions(connection=connection).newest((APPROVE, DENY, REVOKE), request)


def denied(connection: sqlite3.Connection, request: Request) -> bool:
    """Return whether the operator denied a request or its run: not answered then, also where the policy would allow it.

    Guarantee: a denied run is over, whatever the policy becomes. Test:
    tests/node/test_runs.py::test_a_denied_run_is_not_answered_although_the_policy_would_allow_it.
    """
    words = (last_word(connection, request.id), runs.last_word(connection, request))
    return any(word is not None and word.kind == DENY for word in words)
