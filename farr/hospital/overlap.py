"""Earlier questions about the same patients: what the difference between two answers would be about.

Found from the plans of the questions that were charged, which the ledger keeps beside their uploads; never from a
record. The loss that is charged bounds what two answers together tell of a patient; this is for the person who decides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace

from farr.hospital.learnt import asked_in, learnt_by
from queries.agreed.catalogue import Catalogue, Table
from queries.asked.canonical import decode
from queries.asked.conditions import disjoint, in_words, terms_of
from queries.asked.plan import EVERYTHING, Bound, DateKey, Key, Part, Plan

SAME, NEAR, OVERLAP = "same", "near", "overlap"
"""The same question; the same but for its rows; another question about some of the same rows."""

MOST = 20
"""Overlaps that are shown, the closest and newest first."""

_ONE_ROW = Bound(rows=1, groups=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A question that was charged."""

    request: str
    """Id, hex."""
    at: int
    """When, in seconds since 1970, UTC."""
    analyst: str
    """Who asked it."""
    statement: str
    """As it was typed; of a round of training, what its plan says is trained."""
    units: int
    """What it was charged."""
    plan: Plan
    """What it computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """An earlier question with rows in common."""

    earlier: Earlier
    """Which."""
    kind: str
    """``same``, ``near`` or ``overlap``."""
    difference: str
    """Of near ones, the rows that the difference of the two answers is about, as far as conditions tell."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        earlier = self.earlier
        return {
            "kind": self.kind,
            "difference": self.difference,
            "request": earlier.request,
            "at": earlier.at,
            "analyst": earlier.analyst,
            "statement": earlier.statement,
            "units": earlier.units,
        }


def charged(connection: sqlite3.Connection, catalogue: Catalogue) -> Iterator[Earlier]:
    """Yield the questions that were charged for records, newest first."""
    rows = connection.execute(
        "SELECT charges.request, at, analyst, units, announcement FROM charges JOIN uploads USING (tau) "
        "WHERE units > 0 ORDER BY number DESC"
    )
    for request, at, analyst, units, announcement in rows:
        asked = asked_in(bytes(announcement))
        plan = decode(Plan, asked.plan)
        found = learnt_by(plan, catalogue)
        yield Earlier(
            request=bytes(request).hex(),
            at=at,
            analyst=analyst,
            statement=asked.statement if found is None else found.text,
            units=units,
            plan=plan,
        )


def overlaps(plan: Plan, catalogue: Catalogue, connection: sqlite3.Connection) -> tuple[Overlap, ...]:
    """Return the charged questions that share rows with a plan: the same one first, then the near ones, then others."""
    found = [
        overlap
        for earlier in charged(connection, catalogue)
        if (overlap := _overlap(plan, earlier, catalogue)) is not None
    ]
    return tuple(sorted(found, key=lambda each: (SAME, NEAR, OVERLAP).index(each.kind))[:MOST])


def _overlap(plan: Plan, earlier: Earlier, catalogue: Catalogue) -> Overlap | None:
    if plan == earlier.plan:
        return Overlap(earlier=earlier, kind=SAME, difference="")
    kind, differences = "", []
    for part in plan.parts:
        for other in earlier.plan.parts:
            if part.table != other.table:
                continue
            if _frame(part) == _frame(other):
                kind = NEAR
                differences.append(_difference(part, other, catalogue.table(part.table)))
            elif not kind and not disjoint(part.where, other.where):
                kind = OVERLAP
    return Overlap(earlier=earlier, kind=kind, difference="; ".join(dict.fromkeys(differences))) if kind else None


def _frame(part: Part) -> Part:
    """Return a part without its rows and its period: two that agree differ in whom they count, and in nothing else."""
    return replace(part, where=EVERYTHING, keys=tuple(map(_undated, part.keys)), bound=_ONE_ROW, weight=1)


def _undated(key: Key) -> Key:
    if isinstance(key, DateKey):
        from datetime import date

        return replace(key, first=date.min, last=date.min)
    return key


def _difference(part: Part, other: Part, table: Table) -> str:
    here, there = set(terms_of(part.where)), set(terms_of(other.where))
    added = [in_words(term, table) for term in terms_of(part.where) if term not in there]
    gone = [in_words(term, table) for term in terms_of(other.where) if term not in here]
    if not added and not gone:
        return in_words(part.where, table)
    return f"{part.table}: {' AND '.join(added) or '-'} | {' AND '.join(gone) or '-'}"
