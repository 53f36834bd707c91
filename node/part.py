"""The hospital's part in a round: its records, or zeros where it is not asked or keeps them back.

Everybody in a round adds noise, so a hospital whose policy says no does not stop the others: it adds zeros, which are
public, at no cost, and says so in a note. Decided on public facts alone, before any record is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from node.authority import approvals
from node.authority.approvals import Held
from node.authority.decisions import Decisions
from node.authority.judging import Outcome, Question, Ruling, fewest_behind, judge, offered
from node.authority.newcomers import counted
from node.authority.policy import Policy, PolicyError
from node.books.audit import Audit
from node.books.ledger import NOTHING, Caps, Ledger
from node.scan.compiled import Compiled
from protocols.announcement import Announcement
from protocols.request import Request
from protocols.roster import Roster
from protocols.wire_pb2 import Note
from queries.agreed.catalogue import Catalogue

_NOTES: Mapping[str, Note] = MappingProxyType(
    {
        "most_epsilon_per_question": Note.NOTE_WITHHELD_COST,
        "lifetime_epsilon": Note.NOTE_WITHHELD_BUDGET,
        "epsilon_per_period": Note.NOTE_WITHHELD_BUDGET,
        "site_group_minimum": Note.NOTE_OWN_ROW_WITHHELD,
        "run.price": Note.NOTE_WITHHELD_COST,
    }
)
"""What the release says, by the rule that withholds; of any other rule, that it was the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a hospital puts into a round beside its noise."""

    units: int = 0
    """What it costs the hospital's patients; 0: zeros, and no record is read."""
    caps: Caps = NOTHING
    """What may be charged."""
    notes: tuple[Note, ...] = ()
    """What the release says of it."""
    withheld: str = ""
    """Code of why it is zeros; empty: it is the records."""
    rule: str = ""
    """The key of the policy that decided so, for the operator's audit log."""
    detail: str = ""
    """The same in words, likewise."""
    tables: frozenset[str] = frozenset()
    """The tables that are read, or only looked for beside those; parts of the plan that need others are zeros."""
    policy: bytes = b""
    """SHA-256 of the policy that was asked; empty: none could be read, or none was needed."""
    approval: int | None = None
    """Number of the operator's decision that it rests on."""
    minimum_cell: int = 0
    """Smallest count that a page may show of an answer with these records; 0: any."""

    @property
    def reads(self) -> bool:
        """Return whether the records are read."""
        return not self.withheld


_PAUSED = Part(notes=(Note.NOTE_PAUSED,), withheld="paused", rule="farr node pause")


def part_of(
    member: str,
    *,
    announcement: Announcement,
    roster: Roster,
    compiled: Compiled,
    catalogue: Catalogue,
    tables: frozenset[str],
    policy: Callable[[], Policy],
    ledger: Ledger,
    now: int,
) -> Part:
    """Return what a hospital puts into a round; never raises for what the policy, the budget or the request says.

    Guarantee: records are read only where the request asks this hospital, and only if policy, budget and operator allow
    it; a policy that cannot be read allows nothing, and what it holds waits for an approval of exactly this request.
    Tests: tests/node/test_part.py.
    """
    if member not in announcement.request.sites:
        return Part(withheld="out-of-scope")
    if Audit(connection=ledger.connection).halted:
        return Part(notes=(Note.NOTE_WITHHELD_POLICY,), withheld="rolled-back", rule="farr node audit recover")
    if Decisions(connection=ledger.connection).paused:
        return _PAUSED
    plan = compiled.plan
    if not plan.answerable(tables):
        return Part(notes=(Note.NOTE_TABLE_ABSENT,), withheld="unknown-table", detail=", ".join(plan.tables))
    try:
        allowed = policy()
        question = question_of(
            member,
            request=announcement.request,
            roster=roster,
            compiled=compiled,
            catalogue=catalogue,
            tables=tables,
            policy=allowed,
            ledger=ledger,
            now=now,
            announcement=announcement,
        )
        ruling = judge(allowed, question)
    except PolicyError as error:
        return Part(notes=(Note.NOTE_WITHHELD_POLICY,), withheld="policy", rule=error.key, detail=str(error))
    if approvals.denied(ledger.connection, announcement.request):
        return _denied(allowed.digest)
    cover = None
    if ruling.outcome is Outcome.HELD:
        held = Held(
            signed=announcement.signed_request,
            request=announcement.request,
            plan=plan,
            catalogue=catalogue,
            policy=allowed.digest,
            hospitals=fewest_behind(question),
            now=now,
        )
        cover = approvals.covering(ledger.connection, held)
    if ruling.outcome is Outcome.WITHHELD or (ruling.outcome is Outcome.HELD and cover is None):
        return Part(
            notes=(_note(ruling),),
            withheld=ruling.code,
            rule=ruling.rule,
            detail=ruling.detail,
            policy=allowed.digest,
        )
    # What is charged is what the whole plan costs, also where only some of its parts are answered: never less than due.
    may = offered(allowed, tables)
    notes = () if plan.answerable(may) == len(plan.parts) else (Note.NOTE_SOME_TABLES_ABSENT,)
    needed = {table for each in plan.parts for table in (each.table, *each.beside)}
    return Part(
        units=compiled.cost,
        caps=caps_of(allowed, announcement.request.purpose, now),
        notes=notes,
        tables=may & needed,
        policy=allowed.digest,
        approval=None if cover is None else cover.decision,
        minimum_cell=allowed.minimum_cell,
    )


def still(part: Part, connection: sqlite3.Connection, request: Request) -> Part:
    """Return the part as the operator's newest words leave it: zeros where the node was paused, or the request denied.

    Guarantee: asked inside the transaction that charges, so nothing is charged for, or leaves of, records that were
    being read when the operator said no. Test:
    tests/node/test_part.py::test_a_word_given_while_records_are_read_counts.
    """
    if part.reads and Decisions(connection=connection).paused:
        return _PAUSED
    if part.reads and approvals.denied(connection, request):
        return _denied(part.policy)
    return part


def question_of(
    member: str,
    *,
    request: Request,
    roster: Roster,
    compiled: Compiled,
    catalogue: Catalogue,
    tables: frozenset[str],
    policy: Policy,
    ledger: Ledger,
    now: int,
    announcement: Announcement | None = None,
) -> Question:
    """Return all that a ruling on a request rests on: in its round, or before it, where the round's own rules wait."""
    return Question(
        site=member,
        request=request,
        plan=compiled.plan,
        cost=compiled.cost,
        catalogue=catalogue,
        tables=tables,
        roster=roster,
        counted=counted(ledger.connection, roster, own=member, days=policy.newcomer_days, now=now),
        spent=ledger.spending(request.purpose, policy.period_start(now)),
        trained=ledger.trained(request),
        asked=request.sites if announcement is None else announcement.asked,
        contributors=() if announcement is None else announcement.contributors,
        minimum=None if announcement is None else announcement.minimum,
        colluders=0 if announcement is None else announcement.colluders,
    )


def caps_of(policy: Policy, purpose: str, now: int) -> Caps:
    """Return what may be charged for a purpose now."""
    return Caps(
        lifetime=policy.lifetime_units,
        purpose=policy.purposes.get(purpose, 0),
        period=policy.units_per_period,
        since=policy.period_start(now),
    )


def _denied(policy: bytes) -> Part:
    notes = (Note.NOTE_WITHHELD_APPROVAL,)
    return Part(notes=notes, withheld="denied", rule="farr node approvals deny", policy=policy)


def _note(ruling: Ruling) -> Note:
    if ruling.outcome is Outcome.HELD:
        return Note.NOTE_WITHHELD_APPROVAL
    if ruling.code == "budget":
        return Note.NOTE_WITHHELD_BUDGET
    return _NOTES.get(ruling.rule, Note.NOTE_WITHHELD_POLICY)
