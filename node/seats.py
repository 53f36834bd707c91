"""The hospital's seats in the newest two epochs: keys and shares in memory, promises in the state.

A seat ends with the process. A node that starts again has none and waits for the next epoch; what it had sent under the
old one stays bound by what is durable.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from node.books.ledger import MOST_INTEGER
from node.books.promises import Promises
from node.books.state import transaction
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.farrsum import epoch as epochs
from protocols.farrsum import seat as seats
from protocols.farrsum.epoch import ExchangeKey
from protocols.farrsum.field import Entropy
from protocols.farrsum.masking import Masked
from protocols.farrsum.seat import MOST_DEPOSITS, Entered, Seat
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import AHEAD
from protocols.farrsum.unmasking import OwnShares
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Confirm, Confirmation, Deposit, Deposits, Freeze, OpenEpoch, Shares, Signed, Unmask

KEPT = 2
"""Epochs: rounds of the one before may still be under way."""

MOST_ROUNDS = 256
"""Rounds of an epoch that can still be confirmed and opened; those entered first are forgotten first."""

KEY_SEED_BYTES = 32

MOST_LEAP = 1 << 40
"""How far an epoch's number may lie above the last one, so that a coordinator cannot use them all up at once."""


def _no_step(name: str) -> None:
    """Where tests look at, or end, the process between two steps."""


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """A key that was sent and whose freeze may still come."""

    number: int
    roster: Roster
    digest: bytes
    exchange: ExchangeKey


@dataclass(frozen=True, kw_only=True)
class _Round:
    """A round that this hospital has uploaded for."""

    entered: Entered
    shares: OwnShares


@dataclass(kw_only=True)
class _Taken:
    """A seat with what was prepared and entered."""

    seat: Seat
    roster: Roster
    ready: dict[int, Deposit] = field(default_factory=dict)
    """Deposited slots that carry no round yet."""
    slot_shares: dict[int, bytes] = field(default_factory=dict)
    """The own share of each of their secrets; empty outside the committee."""
    rounds: dict[bytes, _Round] = field(default_factory=dict)
    """By tau, in the order in which they were entered."""
    last: int = 0
    """Highest slot that was deposited."""
    used: int = 0
    """Highest slot that was used."""


class Seats:
    """Takes part in epochs. Used from one thread only, but for ``number``."""

    def __init__(
        self,
        *,
        member: str,
        identity: IdentityKey,
        connection: sqlite3.Connection,
        entropy: Entropy = os.urandom,
        step: Callable[[str], None] = _no_step,
    ) -> None:
        """Begin without a seat."""
        self._member = member
        self._identity = identity
        self._connection = connection
        self._promises = Promises(connection=connection)
        self._entropy = entropy
        self._step = step
        self._offer: _Offer | None = None
        self._taken: dict[int, _Taken] = {}
        self._held: dict[bytes, tuple[int, int]] = {}
        self.number = 0
        """The newest epoch that a seat is held in; 0: none."""

    def offer(self, message: OpenEpoch, roster: Roster, roster_digest: bytes) -> Signed:
        """Return a fresh signed key for an epoch; raise Rejected where one of its number was signed before.

        Guarantee: the number is durable before the key leaves, so no epoch gets two keys of this hospital, whenever
        the process ends; the private half is never written anywhere. Tests:
        tests/node/test_seats.py::test_an_epoch_gets_one_key, tests/node/test_crash.py.
        """
        if message.roster != roster.version:
            raise Rejected("stale-roster", f"epoch for {message.roster}, held {roster.version}")
        if not 0 < message.epoch <= min(self._promises.epoch().number + MOST_LEAP, MOST_INTEGER):
            raise Rejected("malformed", "epoch")
        if self._member not in roster.nodes:
            raise Rejected("unknown-member", self._member)
        exchange = ExchangeKey.from_seed(self._entropy(KEY_SEED_BYTES))
        with transaction(self._connection):
            self._promises.keep_epoch(self._promises.epoch().offer(message.epoch))
            self._step("offering")
        self._step("offered")
        self._offer = _Offer(number=message.epoch, roster=roster, digest=roster_digest, exchange=exchange)
        return epochs.write_key(
            message.epoch, roster, roster_digest, member=self._member, key=self._identity, exchange=exchange
        )

    def accept(self, message: Freeze) -> list[Deposits]:
        """Take the seat in a frozen epoch and return the slots to deposit; raise Rejected where it must not be taken.

        The same freeze again gives the deposits that wait for a round once more, in the same bytes.

        Guarantee: one freeze an epoch, durable before anything under it leaves; no committee that a coordinator could
        have drawn to its liking. Tests: tests/node/test_seats.py::test_a_second_freeze_is_refused,
        test_a_pulse_that_nobody_verified_is_refused.
        """
        if message.pulse:
            # A node has no beacon to verify a pulse with; without one everybody serves, or the epoch is refused.
            raise Rejected("no-beacon", "a pulse that cannot be verified")
        offer = self._offer
        if offer is None or message.epoch != offer.number:
            raise Rejected("wrong-epoch", f"no key for {message.epoch} since the start")
        seat = seats.take_seat(
            message,
            number=offer.number,
            roster=offer.roster,
            roster_digest=offer.digest,
            member=self._member,
            exchange=offer.exchange,
        )
        with transaction(self._connection):
            self._promises.keep_epoch(self._promises.epoch().accept(offer.number, seat.epoch.digest))
            self._step("accepting")
        self._step("accepted")
        if offer.number not in self._taken:
            self._taken[offer.number] = _Taken(seat=seat, roster=offer.roster)
            for number in sorted(self._taken)[:-KEPT]:
                del self._taken[number]
            self.number = offer.number
        self._prepare(self._taken[offer.number])
        return _messages(list(self._taken[offer.number].ready.values()))

    def replenish(self) -> list[Deposits]:
        """Prepare slots in place of those that were used; return them alone."""
        return [each for taken in self._taken.values() for each in _messages(self._prepare(taken))]

    def waiting(self) -> list[Deposits]:
        """Return every deposit that waits for a round, in the bytes that were sent, for a stream that was cut."""
        self.replenish()
        return [each for taken in self._taken.values() for each in _messages(list(taken.ready.values()))]

    def enter(self, announcement: Announcement, tau: bytes, roster: Roster) -> tuple[Entered, SlotRecord]:
        """Return the round as this hospital sees it, and what its slot is bound to once it uploads; changes nothing.

        Guarantee: a round is entered in an epoch of the roster that holds, in a slot that this process deposited and
        that carries no other announcement. Tests: tests/node/test_seats.py.
        """
        taken = self._taken.get(announcement.epoch)
        if taken is None:
            raise Rejected("wrong-epoch", f"no seat in {announcement.epoch}")
        if taken.roster.version != roster.version:
            # c is a part of the whole roster, so an epoch lasts no longer than the roster that it was opened for.
            raise Rejected("wrong-epoch", f"epoch of roster {taken.roster.version}, held {roster.version}")
        entered = seats.enter(announcement, tau, seat=taken.seat)
        record = self._promises.slot(announcement.epoch, announcement.slot).announce(tau).send(tau)
        if announcement.slot not in taken.ready:
            raise Rejected("malformed", f"slot {announcement.slot} was not deposited")
        return entered, record

    def hold(self, announcement: Announcement, tau: bytes) -> None:
        """Keep the slot of a round that takes long to answer, however many later ones are used meanwhile."""
        self._held[tau] = announcement.epoch, announcement.slot

    def let_go(self, tau: bytes) -> None:
        """Treat the slot of a round like any other again; of one that is not held, nothing changes."""
        self._held.pop(tau, None)

    def mask(self, vector: Ring, entered: Entered) -> Masked:
        """Hide a noisy vector for a round."""
        taken = self._taken[entered.announcement.epoch]
        return seats.mask(vector, seat=taken.seat, entered=entered, entropy=self._entropy)

    def entered(self, entered: Entered, own_share: bytes | None) -> None:
        """Note a round whose upload is durable; ``own_share`` is of its self-mask's key."""
        taken, slot = self._taken[entered.announcement.epoch], entered.announcement.slot
        shares = OwnShares(slot_share=taken.slot_shares.pop(slot, b""), self_share=own_share)
        taken.rounds[entered.cohort.tau] = _Round(entered=entered, shares=shares)
        taken.used = max(taken.used, slot)
        held = {each for number, each in self._held.values() if number == entered.announcement.epoch}
        for old in [old for old in taken.ready if old == slot or (old <= taken.used - AHEAD and old not in held)]:
            del taken.ready[old]
            taken.slot_shares.pop(old, None)
        while len(taken.rounds) > MOST_ROUNDS:
            del taken.rounds[next(iter(taken.rounds))]

    def confirm(self, message: Confirm) -> Confirmation:
        """Sign the survivors of a round; raise Rejected, changing nothing, where they are not to be signed.

        Guarantee: the survivor set is durable before its signature leaves, and no other one of the slot is ever signed.
        Tests: tests/node/test_seats.py::test_a_second_survivor_set_is_refused, tests/node/test_crash.py.
        """
        taken, known = self._find(message.announcement)
        epoch, slot = known.entered.announcement.epoch, known.entered.announcement.slot
        with transaction(self._connection):
            record, confirmation = seats.confirm(
                message,
                record=self._promises.slot(epoch, slot),
                seat=taken.seat,
                entered=known.entered,
                federation=taken.roster.federation,
                key=self._identity,
            )
            self._promises.keep_slot(epoch, slot, record)
            self._step("confirming")
        self._step("confirmed")
        return confirmation

    def unmask(self, message: Unmask) -> Shares:
        """Release key shares for confirmed survivors; raise Rejected, changing nothing, where they must not leave.

        Guarantee: the survivor set is durable before its shares leave, and none leave for another one of the slot.
        Tests: tests/node/test_seats.py::test_shares_leave_for_one_survivor_set, tests/node/test_crash.py.
        """
        taken, known = self._find(message.announcement)
        epoch, slot = known.entered.announcement.epoch, known.entered.announcement.slot
        with transaction(self._connection):
            record, shares = seats.unmask(
                message,
                record=self._promises.slot(epoch, slot),
                seat=taken.seat,
                entered=known.entered,
                own_shares=known.shares,
                # The hospitals' keys as they were frozen: who left the roster since has signed with the same key.
                roster=taken.roster,
            )
            self._promises.keep_slot(epoch, slot, record)
            self._step("releasing")
        self._step("released")
        return shares

    def _find(self, tau: bytes) -> tuple[_Taken, _Round]:
        for taken in self._taken.values():
            if tau in taken.rounds:
                return taken, taken.rounds[tau]
        raise Rejected("unknown-round", "not entered since the start")

    def _prepare(self, taken: _Taken) -> list[Deposit]:
        numbers = range(taken.last + 1, taken.used + AHEAD + 1)
        message, shares = seats.deposit(numbers, seat=taken.seat, entropy=self._entropy)
        taken.last = max(taken.last, taken.used + AHEAD)
        taken.ready.update(zip(numbers, message.deposits, strict=True))
        taken.slot_shares.update(shares)
        return list(message.deposits)


def _messages(made: list[Deposit]) -> list[Deposits]:
    # Never two epochs in one message: the coordinator may have given one of them up.
    return [Deposits(deposits=made[at : at + MOST_DEPOSITS]) for at in range(0, len(made), MOST_DEPOSITS)]
