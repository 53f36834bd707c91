"""What a hospital shows of its log: checkpoints that it signed, and receipts for the rounds that it answered.

All of this happens off a question's path, once its release is out; only what was committed may leave (``gate.py``).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from node.books.audit import ANSWERED, EQUIVOCATION, RELEASED, Audit
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import announcement as announcements
from protocols import checkpoint as checkpoints
from protocols import checks, merkle, signing
from protocols import release as releases
from protocols.checkpoint import Checkpoint
from protocols.errors import ProtocolError, Rejected
from protocols.log import Fact
from protocols.roster import Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Receipt, Signed
from protocols.wire_pb2 import Release as ReleaseMessage

SHOWN = (ANSWERED, RELEASED)
"""Kinds of entries that others may see."""

SHOWN_FACTS = frozenset(
    {
        "request", "round", "epoch", "slot", "analyst", "purpose", "table", "units", "spent", "upload", "policy",
        "approval", "release", "run", "run_round", "run_rounds",
    }
)  # fmt: skip
"""Facts that such an entry may hold: what the request, the release, the roster and the public totals say anyway."""

_log = logging.getLogger("node.books.evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Signs what the log is; used from one thread."""

    member: str
    """Own member id."""
    identity: IdentityKey
    """Signs checkpoints."""
    federation: str
    """Where the node is a member."""
    connection: sqlite3.Connection
    """Open state of the node."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""

    def checkpoint(self) -> Signed | None:
        """Return the newest checkpoint, signed now if the log grew; None while the log is empty or in doubt.

        Guarantee: a node that was rolled back signs nothing of its log until its operator said how to go on, so it
        makes no second history by itself. Test:
        tests/node/test_heads.py::test_a_node_that_was_rolled_back_signs_nothing.
        """
        with transaction(self.connection):
            return self._sign()

    def released(self, signed: Sequence[Signed], roster: Roster) -> list[Receipt]:
        """Return receipts for releases of rounds that this node answered, in one step of the state.

        Guarantee: a release is entered only if this roster's coordinator signed it over the very announcement that
        this node answered; a second one of the same round is kept as what it is. Tests:
        tests/node/test_receipts.py::test_a_receipt_is_for_the_round_that_was_answered,
        tests/node/test_receipts.py::test_two_releases_of_a_round_are_kept_as_equivocation.
        """
        audit = Audit(connection=self.connection)
        if audit.halted:
            return []
        told = [found for each in signed if (found := self._answered(each, roster)) is not None]
        with transaction(self.connection):
            rounds = [tau for tau, release in told if self._enter(audit, tau, release)]
            signed_checkpoint = self._sign()
        if signed_checkpoint is None:
            return []
        return [receipt_of(audit, tau, signed_checkpoint) for tau in dict.fromkeys(rounds)]

    def _answered(self, signed: Signed, roster: Roster) -> tuple[bytes, Signed] | None:
        try:
            key = roster.coordinator.identity_key
            body = signing.verify(signed, kind=releases.KIND, federation=roster.federation, public_key=key)
            message = checks.parse(ReleaseMessage, body)
            tau = announcements.tau(checks.parse(Signed, message.announcement))
        except Rejected as rejected:
            _log.warning("a release was refused", extra={"code": rejected.code})
            return None
        found = self.connection.execute("SELECT announcement FROM uploads WHERE tau = ?", (tau,)).fetchone()
        if found is None or bytes(found[0]) != message.announcement:
            _log.warning("a release of a round that was not answered here", extra={"round": tau.hex()})
            return None
        return tau, signed

    def _enter(self, audit: Audit, tau: bytes, release: Signed) -> bool:
        named = releases.digest_of(release).hex()
        message = checks.parse(ReleaseMessage, release.body)
        facts: dict[str, Fact] = {"request": message.id.hex(), "round": tau.hex(), "release": named}
        known = audit.numbers(RELEASED, tau)
        if not known:
            audit.append(RELEASED, int(self.clock()), facts)
            return True
        entry = next(audit.log.entries(known[0] - 1))
        held = str(json.loads(entry.facts)["release"])
        if held == named:
            return True
        told = {"round": tau.hex(), "held": held, "other": named}
        if not is_told(self.connection, EQUIVOCATION, told):
            _log.error("two releases of one round", extra={"round": tau.hex()})
            audit.append(EQUIVOCATION, int(self.clock()), told)
        return False

    def _sign(self) -> Signed | None:
        audit, ledger = Audit(connection=self.connection), Ledger(connection=self.connection)
        size, _ = audit.head()
        newest = newest_checkpoint(self.connection)
        if not size or audit.halted:
            return None
        if newest is not None and newest[0] == size:
            return newest[1]
        audit.log.catch_up()
        charges, digest = ledger.head()
        previous = newest[0] if newest else 0
        proof = merkle.consistency(previous, size, audit.log.at) if previous else []
        signed = checkpoints.write(
            Checkpoint(
                federation=self.federation,
                member=self.member,
                size=size,
                root=audit.log.root(size),
                charges=charges,
                ledger=digest,
                at=int(self.clock()),
                previous=previous,
                consistency=tuple(proof),
            ),
            self.identity,
        )
        self.connection.execute(
            "INSERT INTO checkpoints VALUES (?, ?)", (size, signed.SerializeToString(deterministic=True))
        )
        return signed


def newest_checkpoint(connection: sqlite3.Connection) -> tuple[int, Signed] | None:
    """Return the size and the signed form of the newest checkpoint."""
    row = connection.execute("SELECT size, signed FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else (int(row[0]), checks.parse(Signed, bytes(row[1])))


def receipt_of(audit: Audit, tau: bytes, signed: Signed) -> Receipt:
    """Return what a checkpoint shows of a round.

    Guarantee: nothing but the entries of that round, with public facts only. Test:
    tests/node/test_receipts.py::test_a_receipt_shows_public_facts_only.
    """
    size = checkpoints.parsed(signed).size
    numbers = [number for kind in SHOWN for number in audit.numbers(kind, tau) if number <= size]
    entries = [audit.log.shown(number, size) for number in numbers]
    if any(not json.loads(each.facts).keys() <= SHOWN_FACTS for each in entries):
        raise ProtocolError("an entry with facts that are not to be shown")
    return Receipt(announcement=tau, entries=entries, checkpoint=signed)


def is_told(connection: sqlite3.Connection, kind: str, facts: Mapping[str, Fact]) -> bool:
    """Tell whether the log has an entry with exactly these facts."""
    text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    found = connection.execute("SELECT 1 FROM audit WHERE kind = ? AND facts = ?", (kind, text))
    return found.fetchone() is not None
