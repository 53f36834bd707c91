"""The hospital's part in a round: its records, or zeros where it is not asked or keeps them back.

Everybody in a round adds noise, so a hospital whose policy says no does not stop the others: it adds zeros, which are
public, at no cost, and says so in a note. Decided on public facts alone, before any record is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.compiled import Compiled
from node.ledger import Ledger
from node.policy import Policy, PolicyError, judge, keeps_row_back
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.roster import Roster
from protocols.wire_pb2 import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a hospital puts into a round beside its noise."""

    units: int = 0
    """What it costs the hospital's patients; 0: zeros, and no record is read."""
    cap: int = 0
    """Units that may ever be charged."""
    notes: tuple[Note, ...] = ()
    """What the release says of it."""
    withheld: str = ""
    """Code of why it is zeros; empty: it is the records."""
    detail: str = ""
    """The same in words, for the operator's audit log."""
    tables: frozenset[str] = frozenset()
    """The tables that are read, or only looked for beside those; parts of the plan that need others are zeros."""

    @property
    def reads(self) -> bool:
        """Return whether the records are read."""
        return not self.withheld


def part_of(
    member: str,
    *,
    announcement: Announcement,
    roster: Roster,
    compiled: Compiled,
    tables: frozenset[str],
    policy: Callable[[], Policy],
    ledger: Ledger,
) -> Part:
    """Return what a hospital puts into a round; never raises for what the policy, the budget or the request says.

    Guarantee: records are read only where the request asks this hospital, and only if policy and budget allow it; a
    policy that cannot be read allows nothing. Tests: tests/node/test_part.py.
    """
    if member not in announcement.request.sites:
        return Part(withheld="out-of-scope")
    plan = compiled.plan
    if not plan.answerable(tables):
        return Part(notes=(Note.NOTE_TABLE_ABSENT,), withheld="unknown-table", detail=", ".join(plan.tables))
    try:
        allowed = policy()
        offered = frozenset(table for table in tables if allowed.offers(table))
        judge(allowed, plan=plan, offered=offered, announcement=announcement, roster=roster, cost=compiled.cost)
    except PolicyError as error:
        return Part(notes=(Note.NOTE_WITHHELD_POLICY,), withheld="policy", detail=str(error))
    except Rejected as rejected:
        note = Note.NOTE_WITHHELD_COST if rejected.code == "cost-limit" else Note.NOTE_WITHHELD_POLICY
        return Part(notes=(note,), withheld=rejected.code, detail=rejected.detail)
    if keeps_row_back(allowed, plan=plan, announcement=announcement, roster=roster, site=member):
        return Part(notes=(Note.NOTE_OWN_ROW_WITHHELD,), withheld="policy", detail="own row")
    left = allowed.lifetime_units - ledger.spent()
    if compiled.cost > left:
        detail = f"{compiled.cost} of {left} units"
        return Part(notes=(Note.NOTE_WITHHELD_BUDGET,), withheld="budget", detail=detail)
    # What is charged is what the whole plan costs, also where only some of its parts are answered: never less than due.
    notes = () if plan.answerable(offered) == len(plan.parts) else (Note.NOTE_SOME_TABLES_ABSENT,)
    needed = {table for each in plan.parts for table in (each.table, *each.beside)}
    return Part(units=compiled.cost, cap=allowed.lifetime_units, notes=notes, tables=offered & needed)
