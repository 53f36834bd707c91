"""Which hospitals this node has known long enough to count on: by its own first sight of their keys.

Whoever could put invented hospitals on a roster could reach any smallest number of them at once. So a hospital that
this node has not met before counts only after some days, in which somebody may notice it, or once the operator accepts
it. When it joined by the roster's word does not matter.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from node.authority.decisions import ACCEPT, Decisions
from node.books.state import StateError
from protocols.roster import Member, Roster
from protocols.wire_pb2 import Role

DAY = 24 * 3600

FROM_THE_START = 0
"""First sight of the hospitals that were on the roster with which this node began: they count at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquaintance:
    """A hospital of the roster, as this node knows it."""

    member: str
    """Its id."""
    identity_key: bytes
    """Its key on the roster: with another key it would be somebody new."""
    since: int | None
    """Seconds since 1970, UTC, of the first sight; FROM_THE_START; None: not met."""
    accepted: bool
    """Whether the operator said that it counts."""

    def counts(self, days: int, now: int) -> bool:
        """Return whether it counts, where newcomers wait for so many days."""
        return self.accepted or days == 0 or (self.since is not None and self.since + days * DAY <= now)


def meet(connection: sqlite3.Connection, roster: Roster, now: int) -> None:
    """Keep the first sight of each hospital's key, inside the transaction that takes the roster.

    Guarantee: a first sight is kept once and never made earlier; a known id with another key is somebody new. Test:
    tests/node/test_newcomers.py::test_a_new_key_under_a_known_name_is_somebody_new.
    """
    if not connection.in_transaction:
        raise StateError("first sights are kept in the transaction that takes the roster")
    begun = connection.execute("SELECT 1 FROM acquainted LIMIT 1").fetchone() is not None
    at = now if begun else FROM_THE_START
    known = set(connection.execute("SELECT member, identity_key FROM acquainted"))
    connection.executemany(
        "INSERT INTO acquainted (member, identity_key, at) VALUES (?, ?, ?)",
        [
            (member.id, member.identity_key, at)
            for member in _hospitals(roster)
            if (member.id, member.identity_key) not in known
        ],
    )


def acquaintances(connection: sqlite3.Connection, roster: Roster) -> tuple[Acquaintance, ...]:
    """Return what this node knows of each hospital on the roster, by id."""
    since = {
        (member, bytes(key)): int(at)
        for member, key, at in connection.execute("SELECT member, identity_key, at FROM acquainted")
    }
    accepted = {(each.subject, each.binding) for each in Decisions(connection=connection).of_kind(ACCEPT)}
    return tuple(
        Acquaintance(
            member=member.id,
            identity_key=member.identity_key,
            since=since.get((member.id, member.identity_key)),
            accepted=(member.id.encode(), member.identity_key) in accepted,
        )
        for member in _hospitals(roster)
    )


def counted(connection: sqlite3.Connection, roster: Roster, *, own: str, days: int, now: int) -> frozenset[str]:
    """Return the hospitals of the roster that count, ``own`` always among them.

    Guarantee: a hospital that the coordinator and even the registrar invent today helps to reach no smallest number
    before its days are over. Test: tests/node/test_newcomers.py::test_a_newcomer_counts_after_its_days_or_a_word.
    """
    if days == 0:
        return frozenset(roster.nodes) | {own}
    known = acquaintances(connection, roster)
    return frozenset(each.member for each in known if each.counts(days, now)) | {own}


def _hospitals(roster: Roster) -> tuple[Member, ...]:
    return tuple(member for member in roster.members if member.role == Role.ROLE_NODE)
