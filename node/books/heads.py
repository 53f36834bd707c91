"""The heads: the newest checkpoint of every log that this node has seen, its own included.

They are what reveals a rewritten past: another member's log that forked or shrank, and this node's own, when its state
was put back to an older copy. A node that finds itself rolled back does not know what it has charged since, so it
answers nothing until its operator says how to go on.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.books.audit import EQUIVOCATION, RECOVERED, ROLLED_BACK, Audit
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import checkpoint as checkpoints
from protocols import checks
from protocols.checkpoint import Checkpoint, Witness
from protocols.errors import Rejected
from protocols.log import MOST_BYTES, Fact
from protocols.roster import Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Signed

MOST_TOLD = 1000
"""Most equivocations that are kept, so nobody can fill the disk with logs that fork."""

_log = logging.getLogger("node.books.heads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Holds the heads of all logs; used from the thread that writes the state."""

    member: str
    """Own member id."""
    identity: IdentityKey
    """Signs as a witness."""
    connection: sqlite3.Connection
    """Open state of the node."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""

    def take(self, signed: Sequence[Signed], roster: Roster) -> Signed | None:
        """Take checkpoints that the coordinator passes on; return a witness of its own newest one, if it may be had.

        What does not verify, or is of no member, is passed over: nobody is blamed for what he did not sign. More than a
        coordinator sends at a time are refused unread.

        Guarantee: a head never shrinks and never forks: what would is refused and kept in the log with both signed
        checkpoints. A witness is signed only for a checkpoint that proves that it continues the last one seen. Where
        the node's own signature shows that its log was longer, or another, it answers nothing from here on. Tests:
        tests/node/test_heads.py::test_a_fork_is_refused_and_kept,
        tests/node/test_heads.py::test_a_shrunk_log_is_refused_and_kept,
        tests/node/test_heads.py::test_a_witness_needs_the_proof,
        tests/node/test_heads.py::test_a_node_that_was_rolled_back_answers_nothing.
        """
        if len(signed) > checkpoints.MOST_TOLD:
            raise Rejected("oversized", "heads")
        seen = None
        with transaction(self.connection):
            for each in signed:
                try:
                    checkpoint = checkpoints.read(each, roster=roster)
                except Rejected as rejected:
                    _log.warning("a checkpoint was refused", extra={"code": rejected.code})
                    continue
                if checkpoint.member == self.member:
                    self._own(each, checkpoint)
                elif self._other(each, checkpoint, proven=checkpoint.member == roster.coordinator.id):
                    seen = each if checkpoint.member == roster.coordinator.id else seen
        if seen is None or Audit(connection=self.connection).halted:
            return None
        witness = Witness(
            member=self.member,
            checkpoint=checkpoints.digest_of(seen),
            keeper=seen.signer,
            at=int(self.clock()),
        )
        return checkpoints.write_witness(witness, federation=roster.federation, key=self.identity)

    def held(self, member: str) -> tuple[Signed, Checkpoint] | None:
        """Return the head that is held of a member's log."""
        row = self.connection.execute("SELECT signed FROM heads WHERE member = ?", (member,)).fetchone()
        if row is None:
            return None
        signed = checks.parse(Signed, bytes(row[0]))
        return signed, checkpoints.parsed(signed)

    def _other(self, signed: Signed, new: Checkpoint, *, proven: bool) -> bool:
        """Hold another's newer head; return whether it is, or was, held."""
        found = self.held(new.member)
        if found is None:
            self._hold(signed, new)
            return True
        old_signed, old = found
        shrunk = new.size < old.size and new.at > old.at
        if shrunk or checkpoints.contradicts(old, new):
            self._equivocates(new.member, old_signed, signed)
            return False
        if new.size < old.size:
            return False
        if new.size > old.size:
            if proven and not checkpoints.continues(old, new):
                return False
            self._hold(signed, new)
        return True

    def _own(self, signed: Signed, new: Checkpoint) -> None:
        audit = Audit(connection=self.connection)
        if audit.halted or self._is_ours(audit, new) or self._is_settled(audit, new):
            return
        self._hold(signed, new)
        facts: dict[str, Fact] = {
            "signed_size": new.size,
            "signed_charges": new.charges,
            "signed_at": new.at,
            "size": audit.head()[0],
            "charges": Ledger(connection=self.connection).head()[0],
        }
        audit.append(ROLLED_BACK, int(self.clock()), facts)
        _log.error(
            "this node's state is older than what it has signed: it answers nothing", extra={"code": ROLLED_BACK}
        )

    def _is_ours(self, audit: Audit, new: Checkpoint) -> bool:
        """Tell whether a checkpoint that this node signed is of the log that it has."""
        if new.size > audit.head()[0]:
            return False
        audit.log.catch_up()
        return audit.log.root(new.size) == new.root

    def _is_settled(self, audit: Audit, new: Checkpoint) -> bool:
        """Tell whether the operator has said already how to go on after a log of which this is a checkpoint."""
        number = audit.last(RECOVERED)
        if not number:
            return False
        entry = next(audit.log.entries(number - 1))
        return new.size <= int(json.loads(entry.facts)["signed_size"]) and new.at <= entry.at

    def _hold(self, signed: Signed, new: Checkpoint) -> None:
        held = self.held(new.member)
        if held is not None and held[1].size > new.size:
            return
        self.connection.execute(
            "INSERT INTO heads VALUES (?, ?, ?) "
            "ON CONFLICT (member) DO UPDATE SET size = excluded.size, signed = excluded.signed",
            (new.member, new.size, signed.SerializeToString(deterministic=True)),
        )

    def _equivocates(self, member: str, held: Signed, other: Signed) -> None:
        audit = Audit(connection=self.connection)
        _log.error("a log was rewritten", extra={"peer": member})
        named: dict[str, Fact] = {"member": member, "held": checkpoints.digest_of(held).hex()}
        (count,) = self.connection.execute("SELECT count(*) FROM audit WHERE kind = ?", (EQUIVOCATION,)).fetchone()
        if count >= MOST_TOLD or self._is_known(named):
            return
        named["other"] = checkpoints.digest_of(other).hex()
        both = {
            "held_signed": base64.b64encode(held.SerializeToString(deterministic=True)).decode(),
            "other_signed": base64.b64encode(other.SerializeToString(deterministic=True)).decode(),
        }
        room = MOST_BYTES - sum(map(len, both.values())) - sum(len(str(each)) for each in named.values())
        audit.append(EQUIVOCATION, int(self.clock()), named | (both if room > 200 else {}))  # noqa: PLR2004 - the frame

    def _is_known(self, named: dict[str, Fact]) -> bool:
        """Tell whether the fork from this head is in the log already; once is enough."""
        found = self.connection.execute(
            "SELECT 1 FROM audit WHERE kind = ? AND json_valid(facts) "
            "AND json_extract(facts, '$.member') = ? AND json_extract(facts, '$.held') = ?",
            (EQUIVOCATION, named["member"], named["held"]),
        )
        return found.fetchone() is not None
