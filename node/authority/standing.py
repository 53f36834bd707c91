"""Standing approvals: a signed pack, approved once, whose runs are answered without a new word until it ends.

The node never takes a request's word for being a run: every item of its plan must be among those that the approved
pack was found to ask when the operator approved it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from node.authority import finest, reads
from node.authority.decisions import STANDING, WITHDRAW, Decision, Decisions
from node.authority.policy import period_start
from protocols.hashing import digest
from protocols.request import Request
from queries.agreed.catalogue import Catalogue
from queries.agreed.pack_items import crossed, items_of
from queries.agreed.places import residence_of
from queries.asked.plan import Plan

LABEL = "farr1/standing-approval"
NUMBER_BYTES = 8

VOID = "void"
"""Of an approval whose limits somebody changed beside the log."""

MOST_CROSSED = 2
"""Groupings of a pack that a run may cross. All of them at once would tell almost every patient apart, which nobody
who approved the pack has looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Within what the runs of a pack are answered."""

    title: str
    """Of the pack, such as ``monthly@1a2b3c4d``."""
    items: tuple[str, ...]
    """What the pack asks: digests in hex, sorted, see ``queries.agreed.pack_items``."""
    purpose: str
    """The purpose of every run."""
    every: str
    """Part of the calendar, ``day`` to ``year``, in which so many runs are answered."""
    runs: int
    """How many."""
    units: int
    """Ledger units that one run may cost."""
    total: int
    """Ledger units that all runs may cost together."""
    hospitals: int
    """Fewest hospitals of a run that count."""
    time: str
    """Finest part of the calendar that a run may tell apart, ``day`` to ``year``."""
    place: str
    """Finest level of places by which a run may tell patients' homes apart; empty: not at all."""
    until: int
    """Seconds since 1970, UTC: no run is answered from then on."""
    analyst: str
    """Who may run it; empty: whoever may ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One standing approval."""

    decision: Decision
    """The operator's word; its subject is the pack's SHA-256."""
    limits: Limits
    """What was approved."""
    withdrawn: Decision | None
    """The word that took it back, if any."""
    spent: int
    """Ledger units that its runs were charged."""
    runs: int
    """How many were charged."""

    @property
    def number(self) -> int:
        """Return the number by which it is named."""
        return self.decision.number

    @property
    def intact(self) -> bool:
        """Return whether the limits are those that the audit log's digest is of; others approve nothing."""
        return self.decision.binding == binding_of(self.decision.subject, self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A standing approval that does not cover a run of its pack, and why not."""

    number: int
    """Of the approval."""
    limit: str
    """The first limit that stands against the run: a name of Limits, ``groupings``, ``withdrawn``, or VOID."""


def facts_of(limits: Limits) -> dict[str, object]:
    """Return limits as a decision keeps them."""
    return {**asdict(limits), "items": list(limits.items)}


def binding_of(pack: bytes, limits: Limits) -> bytes:
    """Return the digest of a pack (its SHA-256) and of all limits, which the audit log keeps: 32 bytes."""
    return digest(LABEL, pack, json.dumps(facts_of(limits), sort_keys=True, ensure_ascii=False).encode())


def subject_of(number: int) -> bytes:
    """Return the subject of a decision about a standing approval."""
    return number.to_bytes(NUMBER_BYTES, "big")


def each(connection: sqlite3.Connection) -> Iterator[Standing]:
    """Yield the standing approvals, oldest first, those that were withdrawn or have ended as well."""
    decisions = Decisions(connection=connection)
    for decision in decisions.of_kind(STANDING):
        runs, spent = _charged(connection, decision.number, 0)
        yield Standing(
            decision=decision,
            limits=_limits(decision),
            withdrawn=decisions.newest((WITHDRAW,), subject_of(decision.number)),
            spent=spent,
            runs=runs,
        )


def covering(
    connection: sqlite3.Connection, *, request: Request, plan: Plan, catalogue: Catalogue, hospitals: int, now: int
) -> int | None:
    """Return the number of a standing approval within whose limits a request lies, or None.

    Runs are counted from the charges, so a run is counted once and exactly when it was charged.

    Guarantee: a request outside any limit of an approval, or with one item that the approved pack does not ask, is not
    covered by it; nor is any after it was withdrawn or has ended. Tests: tests/node/test_standing.py.
    """
    found = _of_pack(connection, request)
    asked = items_of(plan, catalogue) if found else frozenset()
    for each_ in found:
        if not _first_limit(connection, each_, request, hospitals, now) and not _too_much(
            plan, asked, each_.limits, catalogue
        ):
            return each_.number
    return None


def against(
    connection: sqlite3.Connection, *, request: Request, plan: Plan, catalogue: Catalogue, hospitals: int, now: int
) -> tuple[Against, ...]:
    """Return the standing approvals of a request's pack that do not cover it, oldest first, with why not.

    It is for the operator to read, and decides nothing.
    """
    found = _of_pack(connection, request)
    asked = items_of(plan, catalogue) if found else frozenset()
    limits = (
        _first_limit(connection, each_, request, hospitals, now) or _too_much(plan, asked, each_.limits, catalogue)
        for each_ in found
    )
    return tuple(Against(number=each_.number, limit=limit) for each_, limit in zip(found, limits, strict=True) if limit)


def _of_pack(connection: sqlite3.Connection, request: Request) -> list[Standing]:
    return [each_ for each_ in each(connection) if request.pack and each_.decision.subject == request.pack]


def _first_limit(connection: sqlite3.Connection, standing: Standing, request: Request, hospitals: int, now: int) -> str:
    """Return the first limit that stands against a run, by its name; empty: none but those of its plan may."""
    if not standing.intact:
        return VOID
    if standing.withdrawn is not None:
        return "withdrawn"
    limits = standing.limits
    recent, _ = _charged(connection, standing.number, period_start(limits.every, now))
    stands = {
        "until": now >= limits.until,
        "purpose": request.purpose != limits.purpose,
        "analyst": bool(limits.analyst) and request.analyst != limits.analyst,
        "units": request.rho_units > limits.units,
        "total": standing.spent + request.rho_units > limits.total,
        "runs": recent >= limits.runs,
        "hospitals": hospitals < limits.hospitals,
    }
    return next((name for name, against_it in stands.items() if against_it), "")


def _too_much(plan: Plan, asked: frozenset[bytes], limits: Limits, catalogue: Catalogue) -> str:
    """Return the first limit that a plan passes, by its name; empty: none.

    It passes one where it asks what the pack does not, tells days or homes apart more finely than was approved, or
    crosses too many groupings.

    Guarantee: the groupings of a pack are not approved all at once. Test:
    tests/redteam/test_approvals_attacked.py::test_groupings_of_an_approved_pack_crossed.
    """
    if not asked <= frozenset(bytes.fromhex(item) for item in limits.items):
        return "items"
    if crossed(plan, catalogue) > MOST_CROSSED:
        return "groupings"
    for part in plan.parts:
        if any(finest.too_fine_days(part, limits.time, catalogue)):
            return "time"
        home = residence_of(catalogue.table(part.table))
        if home is None:
            continue
        if not limits.place:
            if f"{part.table}.{home.name}" in reads.columns(part):
                return "place"
        elif limits.place not in {level.name for level in home.codes.levels} or any(
            finest.too_fine_codes(part, home.codes.name, limits.place, catalogue)
        ):
            return "place"
    return ""


def _charged(connection: sqlite3.Connection, number: int, since: int) -> tuple[int, int]:
    runs, spent = connection.execute(
        "SELECT count(*), coalesce(sum(units), 0) FROM charges WHERE approval = ? AND units > 0 AND at >= ?",
        (number, since),
    ).fetchone()
    return int(runs), int(spent)


def _limits(decision: Decision) -> Limits:
    facts = dict(decision.facts)
    items = facts.pop("items")
    return Limits(items=tuple(items), **facts)  # type: ignore[arg-type]
