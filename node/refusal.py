"""Saying no: a code and a random reference leave the node; why, stays with its operator under the same reference."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.answer import MOST_DETAIL, Answerer, Begun, Exact
from node.authority.proposals import Bench, Proposals
from node.books.audit import REFUSED, Audit
from node.books.evidence import Keeper
from node.books.heads import Heads as Held
from node.books.state import transaction
from node.gate import TAU_BYTES
from protocols import announcement as announcements
from protocols.errors import ProtocolError, Rejected
from protocols.roster import Roster
from protocols.wire_pb2 import (
    Confirm,
    CoordinatorMessage,
    Freeze,
    Heads,
    NodeMessage,
    NodeStatus,
    OpenEpoch,
    Proposal,
    Refusal,
    Signed,
    Unmask,
)

FOLDER = "failures"
"""Folder of the node's home with a file for each fault, readable by its owner only."""

MOST_FILES = 100
"""Faults that are kept."""

_log = logging.getLogger("node.answer")


@dataclass(slots=True, kw_only=True)
class Replier:
    """Turns what the coordinator says into what the node says to it: an answer, a refusal or nothing."""

    answerer: Answerer
    """Answers."""
    home: Path
    """The node's home."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""
    proposals: Proposals = field(init=False)
    """Requests that were asked about before their round."""

    def __post_init__(self) -> None:
        """Judge requests before their round with what they are answered with."""
        answerer = self.answerer
        self.proposals = Proposals(
            bench=Bench(
                member=answerer.member,
                compiler=answerer.compiler,
                connection=answerer.connection,
                policy=answerer.policy,
                tables=answerer.tables,
            )
        )

    def reply(self, signed: Signed, roster: Roster, waited: float = 0.0) -> NodeMessage:
        """Return what the coordinator is to hear of an announcement; never raises for one.

        Guarantee: a refusal carries a code, and a reference drawn at random, never derived from data or from an
        exception's text. Test: tests/node/test_answer.py::test_a_fault_leaves_a_code_and_a_random_reference.
        """
        answer = self.answerer.answer
        (message,) = self._guarded(
            announcements.tau(signed), lambda: [NodeMessage(upload=answer(signed, roster, waited))]
        )
        return message

    def begin(self, signed: Signed, roster: Roster, waited: float = 0.0, *, lasts: float = 0.0) -> NodeMessage | Begun:
        """Return what ``reply`` does, or where that takes long, the announcement as far as it was begun.

        The slot of such a one is held for it until ``end``, or until it is begun again in vain.
        """
        answerer, waiting = self.answerer, list[Begun]()
        answerer.seats.let_go(tau := announcements.tau(signed))

        def begun() -> list[NodeMessage]:
            found = answerer.begin(signed, roster, waited, lasts)
            if isinstance(found, Begun) and found.long:
                if found.is_in_vain:
                    raise Rejected("late", f"an app of {found.lasts:.0f} s")
                answerer.seats.hold(found.announcement, tau)
                waiting.append(found)
                return []
            done = found if isinstance(found, Signed) else answerer.commit(found, answerer.exact(found))
            return [NodeMessage(upload=done)]

        messages = self._guarded(tau, begun)
        return waiting[0] if waiting else messages[0]

    def end(self, begun: Begun, exact: Callable[[], Exact], roster: Roster) -> NodeMessage:
        """Return what the coordinator is to hear once the records were read; ``exact`` gives the tally, or raises.

        Guarantee: as of ``reply``; what ``exact`` raises is a fault like any. Test:
        tests/node/test_answer_apart.py::test_a_fault_beside_the_desk_leaves_a_code_and_a_random_reference.
        """
        answerer, tau = self.answerer, announcements.tau(begun.signed)
        (message,) = self._guarded(tau, lambda: [NodeMessage(upload=answerer.end(begun, exact(), roster))])
        answerer.seats.let_go(tau)
        return message

    def play(self, message: CoordinatorMessage, roster: Roster, digest: bytes) -> list[NodeMessage]:
        """Return what the coordinator is to hear of any message but an announcement; ``digest`` is of the roster."""
        kind = message.WhichOneof("kind")
        if kind == "open_epoch":
            return self.open_epoch(message.open_epoch, roster, digest)
        if kind == "freeze":
            return self.freeze(message.freeze)
        if kind == "proposal":
            return self.proposal(message.proposal, roster)
        if kind == "heads":
            return self.heads(message.heads, roster)
        return self.confirm(message.confirm) if kind == "confirm" else self.unmask(message.unmask)

    def open_epoch(self, message: OpenEpoch, roster: Roster, digest: bytes) -> list[NodeMessage]:
        """Return the node's key of a new epoch, or nothing; ``digest`` is of the signed roster."""
        offer = self.answerer.seats.offer
        return self._guarded(None, lambda: [NodeMessage(epoch_key=offer(message, roster, digest))])

    def freeze(self, message: Freeze) -> list[NodeMessage]:
        """Return the slots that the node deposits in an epoch, or nothing."""
        accept = self.answerer.seats.accept
        return self._guarded(None, lambda: [NodeMessage(deposits=each) for each in accept(message)])

    def deposits(self, *, again: bool) -> list[NodeMessage]:
        """Return deposits in place of slots that were used; ``again``: with all that still wait for a round."""
        held = self.answerer.seats
        prepare = held.waiting if again else held.replenish
        return self._guarded(None, lambda: [NodeMessage(deposits=each) for each in prepare()])

    def proposal(self, message: Proposal, roster: Roster) -> list[NodeMessage]:
        """Return where a request stands before its round; nothing for one that is over or not good in itself."""
        proposals, now = self.proposals, int(self.clock())

        def stands() -> list[NodeMessage]:
            if message.ended:
                proposals.end(message.ended)
                return []
            return [NodeMessage(verdict=proposals.take(message.request, roster, now))]

        return self._guarded(None, stands)

    def stirred(self, roster: Roster) -> list[NodeMessage]:
        """Return what the operator's decisions, the policy or the time have changed since this was last asked."""
        proposals, now = self.proposals, int(self.clock())

        def news() -> list[NodeMessage]:
            if not proposals.stirred(now):
                return []
            verdicts = [NodeMessage(verdict=each) for each in proposals.changed(roster, now)]
            return [NodeMessage(status=NodeStatus()), *verdicts]

        return self._guarded(None, news)

    def heads(self, message: Heads, roster: Roster) -> list[NodeMessage]:
        """Return a witness of the coordinator's newest checkpoint, where it may be had, and the node's own one."""

        def seen() -> list[NodeMessage]:
            answerer, audit = self.answerer, Audit(connection=self.answerer.connection)
            halted = audit.halted
            held = Held(
                member=answerer.member,
                identity=answerer.identity,
                connection=answerer.connection,
                clock=self.clock,
            )
            witness = held.take(message.checkpoints, roster)
            own = self._keeper(roster).checkpoint()
            said = [] if witness is None else [NodeMessage(witness=witness)]
            if audit.halted and not halted:
                # At once, so that no round opens that counts on this hospital's records.
                said.append(NodeMessage(status=NodeStatus()))
            return said if own is None else [*said, NodeMessage(checkpoint=own)]

        return self._guarded(None, seen)

    def attest(self, releases: Sequence[Signed], roster: Roster) -> list[NodeMessage]:
        """Return receipts for the rounds that were released, or else a checkpoint of the log as it is."""

        def told() -> list[NodeMessage]:
            keeper = self._keeper(roster)
            if receipts := keeper.released(releases, roster):
                return [NodeMessage(receipt=each) for each in receipts]
            own = keeper.checkpoint()
            return [] if own is None else [NodeMessage(checkpoint=own)]

        return self._guarded(None, told)

    def _keeper(self, roster: Roster) -> Keeper:
        answerer = self.answerer
        return Keeper(
            member=answerer.member,
            identity=answerer.identity,
            federation=roster.federation,
            connection=answerer.connection,
            clock=self.clock,
        )

    def confirm(self, message: Confirm) -> list[NodeMessage]:
        """Return the node's signature on the survivors of a round, or a refusal."""
        sign = self.answerer.seats.confirm
        return self._guarded(message.announcement, lambda: [NodeMessage(confirmation=sign(message))])

    def unmask(self, message: Unmask) -> list[NodeMessage]:
        """Return the node's key shares for the survivors of a round, or a refusal."""
        release = self.answerer.seats.unmask
        return self._guarded(message.announcement, lambda: [NodeMessage(shares=release(message))])

    def _guarded(self, tau: bytes | None, make: Callable[[], list[NodeMessage]]) -> list[NodeMessage]:
        """Return what is made, or a refusal of the round ``tau``; of what belongs to no round, nothing is said."""
        known = tau is not None and len(tau) == TAU_BYTES
        named = {"round": tau.hex()} if tau is not None and known else {}
        try:
            return make()
        except Rejected as rejected:
            reference, code, detail = secrets.token_hex(16), rejected.code, rejected.detail
            _log.warning("a message was refused", extra={"reference": reference, "code": code, **named})
        except Exception as fault:  # noqa: BLE001
            reference, code, detail = secrets.token_hex(16), "unavailable", _kind(fault)
            self._keep(reference, fault)
            _log.error("a message failed", extra={"reference": reference, "error": _kind(fault), **named})
        self._tell(named, code, reference, detail)
        if not known:
            return []
        return [NodeMessage(refusal=Refusal(announcement=tau, code=code, reference=reference))]

    def turn_away(self, tau: bytes, code: str = "busy") -> NodeMessage:
        """Return a refusal for a question that finds the queue full, or whose answer cannot be sent.

        It touches no state, so any thread may ask.
        """
        reference = secrets.token_hex(16)
        _log.warning("a question was turned away", extra={"round": tau.hex(), "reference": reference, "code": code})
        return NodeMessage(refusal=Refusal(announcement=tau, code=code, reference=reference))

    def _tell(self, named: dict[str, str], code: str, reference: str, detail: str) -> None:
        connection, at = self.answerer.connection, int(self.clock())
        audit = Audit(connection=connection)
        facts = {**named, "code": code, "reference": reference, "detail": detail[:MOST_DETAIL]}
        try:
            with transaction(connection):
                if audit.has_room(at):
                    audit.append(REFUSED, at, facts)
        except (sqlite3.Error, ProtocolError) as fault:
            # A full disk must not keep the coordinator from hearing the refusal.
            _log.error("a refusal was not kept", extra={"reference": reference, "error": _kind(fault)})

    def _keep(self, reference: str, fault: Exception) -> None:
        folder = self.home / FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[: max(0, len(kept) - MOST_FILES + 1)]:
                path.unlink(missing_ok=True)
            descriptor = os.open(folder / f"{reference}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.writelines(traceback.format_exception(fault))
        except OSError as error:
            _log.error("a fault's detail was not kept", extra={"reference": reference, "error": _kind(error)})


def _kind(error: BaseException) -> str:
    return type(error).__name__
