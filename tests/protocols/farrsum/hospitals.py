"""Honest hospitals and a coordinator for tests: the calls that the services make, in their order, and nothing more.

What a hospital stores durably, what it holds in memory only and what has left it are kept apart, so that a test can
restart it, and can ask what an adversary has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from protocols.errors import Rejected
from protocols.farrsum import masking
from protocols.farrsum.cohort import Cohort, cohort, context
from protocols.farrsum.confirming import confirm
from protocols.farrsum.edges import Edge, edges
from protocols.farrsum.epoch import Epoch, ExchangeKey, freeze, read_freeze, write_key
from protocols.farrsum.epoch_record import EpochRecord
from protocols.farrsum.finishing import finish
from protocols.farrsum.masking import Masked
from protocols.farrsum.parameters import least_survivors
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import SealedShares, deposit, read_deposit
from protocols.farrsum.unmasking import OwnShares, release_shares
from protocols.hashing import digest
from protocols.ring import Ring
from protocols.roster import Member, Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Deposit, Freeze, Role, Signed

FEDERATION = "test"


class Shake:
    """A stream of bytes that follows from a label: the entropy of a test, which fails the same way twice."""

    def __init__(self, label: str) -> None:
        """Start the stream of a label."""
        self.label = label.encode()
        self.used = 0

    def __call__(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        self.used += count
        return hashlib.shake_256(self.label).digest(self.used)[self.used - count :]


class Fresh:
    """Bytes that follow from a label and never run long: each draw hashes a counter, so many draws stay quick."""

    def __init__(self, label: str) -> None:
        """Start the stream of a label."""
        self.label = label.encode()
        self.draws = 0

    def __call__(self, count: int) -> bytes:
        """Return ``count`` bytes that no other draw returned."""
        self.draws += 1
        return hashlib.shake_128(self.draws.to_bytes(8, "big") + self.label).digest(count)


@dataclass(frozen=True, kw_only=True)
class Federation:
    """A roster and everybody's identity key."""

    roster: Roster
    """As every hospital read it."""
    roster_digest: bytes
    """Its name."""
    identities: Mapping[str, IdentityKey]
    """By hospital."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the hospitals, sorted."""
        return tuple(sorted(self.identities))


@cache
def federation(size: int, version: int = 1) -> Federation:
    """Return a federation of ``size`` hospitals whose keys follow from their names."""
    identities = {name: identity(name) for name in (f"h{number:05d}" for number in range(size))}
    keys = {"coordinator": identity("coordinator"), **identities}
    roles = {name: Role.ROLE_NODE if name in identities else Role.ROLE_COORDINATOR for name in keys}
    members = tuple(
        Member(
            id=name, role=roles[name], identity_key=keys[name].public, certificate_digest=digest("cert", name.encode()),
            label_en="", label_zh="", attributes={}, joined_at=0, expires_at=1 << 40,
        )
        for name in sorted(keys)
    )  # fmt: skip
    roster = Roster(federation=FEDERATION, version=version, issued_at=0, catalogue_digest=bytes(32), members=members)
    named = digest("roster", version.to_bytes(8, "big"), *(member.identity_key for member in members))
    return Federation(roster=roster, roster_digest=named, identities=identities)


def identity(name: str) -> IdentityKey:
    """Return the identity key of a name."""
    return IdentityKey.from_seed(hashlib.sha256(name.encode()).digest())


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What a test's coordinator announces; tau commits to all of it, as the digest of an announcement does."""

    slot: int
    contributors: tuple[str, ...]
    minimum: int
    nonce: bytes = b""

    @property
    def tau(self) -> bytes:
        """Return the digest that names the round."""
        numbers = self.slot.to_bytes(8, "big") + self.minimum.to_bytes(8, "big")
        return digest("announced", numbers, self.nonce, *(name.encode() for name in self.contributors))


@dataclass(frozen=True, kw_only=True)
class Left:
    """Something that left a hospital."""

    what: str
    """acceptance (of an announcement), upload, confirmation, slot-share or self-share."""
    epoch: bytes
    slot: int
    tau: bytes
    cohort: tuple[int, ...] = ()
    about: str = ""
    """The hospital whose share it is."""
    context: bytes = b""


@dataclass(kw_only=True)
class Hospital:
    """An honest hospital."""

    name: str
    federation: Federation
    entropy: Callable[[int], bytes]
    # Durable.
    epochs: EpochRecord = field(default_factory=EpochRecord)
    records: dict[tuple[bytes, int], SlotRecord] = field(default_factory=dict)
    charges: int = 0
    left: list[Left] = field(default_factory=list)
    # In memory.
    exchange: ExchangeKey | None = None
    epoch: Epoch | None = None
    edges: Mapping[int, Edge] = field(default_factory=dict)
    rounds: dict[int, Cohort] = field(default_factory=dict)
    own: dict[int, OwnShares] = field(default_factory=dict)
    masked: dict[int, Masked] = field(default_factory=dict)

    @property
    def index(self) -> int:
        """Return the hospital's index in its epoch."""
        assert self.epoch is not None
        return self.epoch.index[self.name]

    def restart(self) -> None:
        """Lose the memory; what is durable stays."""
        self.exchange, self.epoch = None, None
        self.edges, self.rounds, self.own, self.masked = {}, {}, {}, {}

    def offer(self, number: int) -> Signed:
        """Sign a key for an epoch."""
        self.epochs = self.epochs.offer(number)
        self.restart()
        self.exchange = ExchangeKey.from_seed(self.entropy(32))
        return write_key(
            number, self.federation.roster, self.federation.roster_digest, member=self.name,
            key=self.federation.identities[self.name], exchange=self.exchange,
        )  # fmt: skip

    def accept(self, frozen: Freeze, *, number: int) -> Epoch:
        """Check a freeze, bind to it and derive the edges."""
        known = self.exchange.public if self.exchange else b""
        epoch = read_freeze(
            frozen, number=number, roster=self.federation.roster, roster_digest=self.federation.roster_digest,
            own=(self.name, known),
        )  # fmt: skip
        self.epochs = self.epochs.accept(number, epoch.digest)
        assert self.exchange is not None
        self.epoch = epoch
        self.edges = edges(epoch, self.index, self.exchange)
        return epoch

    def deposit(self, slot: int) -> Deposit:
        """Deposit a slot."""
        assert self.epoch is not None
        message, kept = deposit(slot, epoch=self.epoch, own=self.index, edges=self.edges, entropy=self.entropy)
        self.own[slot] = OwnShares(slot_share=kept or b"", self_share=None)
        return message

    def announce(self, announced: Announced) -> None:
        """Check an announced round and bind the slot to it."""
        assert self.epoch is not None
        taken = cohort(
            epoch=self.epoch, slot=announced.slot, tau=announced.tau, contributors=announced.contributors,
            minimum=announced.minimum,
        )  # fmt: skip
        self._store(announced.slot, self._record(announced.slot).announce(announced.tau))
        self.rounds[announced.slot] = taken
        self._note("acceptance", announced.slot)

    def upload(self, slot: int, noisy: Callable[[], Ring]) -> Masked:
        """Charge, draw the noise, hide the vector; the same bytes if it was done before."""
        assert self.epoch is not None
        if slot in self.masked:
            return self.masked[slot]
        taken = self.rounds[slot]
        self._store(slot, self._record(slot).send(taken.tau))
        self.charges += 1
        masked = masking.hide(
            noisy(), epoch=self.epoch, own=self.index, edges=self.edges, slot=slot, tau=taken.tau,
            cohort=taken.members, entropy=self.entropy,
        )  # fmt: skip
        self.own[slot] = OwnShares(slot_share=self.own[slot].slot_share, self_share=masked.shares.own)
        self.masked[slot] = masked
        self._note("upload", slot)
        return masked

    def confirm(self, slot: int, survivors: Sequence[int]) -> bytes:
        """Sign a survivor set."""
        assert self.epoch is not None
        record, signed = confirm(
            survivors, record=self._record(slot), epoch=self.epoch, cohort=self.rounds[slot], own=self.index,
            federation=FEDERATION, key=self.federation.identities[self.name],
        )  # fmt: skip
        self._store(slot, record)
        self._note("confirmation", slot, context=record.confirmed or b"")
        return signed.signature

    def unmask(
        self,
        slot: int,
        survivors: Sequence[int],
        confirmations: Mapping[int, bytes],
        sealed: Mapping[int, tuple[bytes, bytes]],
    ) -> Mapping[int, bytes]:
        """Release one share for each hospital of the cohort."""
        assert self.epoch is not None
        record, shares = release_shares(
            survivors, record=self._record(slot), epoch=self.epoch, cohort=self.rounds[slot], own=self.index,
            edges=self.edges, own_shares=self.own[slot], confirmations=confirmations, sealed=sealed,
            roster=self.federation.roster,
        )  # fmt: skip
        self._store(slot, record)
        for member in shares:
            kind = "self-share" if member in survivors else "slot-share"
            self._note(kind, slot, about=self.epoch.members[member], context=record.released or b"")
        return shares

    def _record(self, slot: int) -> SlotRecord:
        assert self.epoch is not None
        return self.records.get((self.epoch.digest, slot), SlotRecord())

    def _store(self, slot: int, record: SlotRecord) -> None:
        assert self.epoch is not None
        self.records[self.epoch.digest, slot] = record

    def _note(self, what: str, slot: int, about: str = "", context: bytes = b"") -> None:
        assert self.epoch is not None
        taken = self.rounds[slot]
        self.left.append(
            Left(
                what=what, epoch=self.epoch.digest, slot=slot, tau=taken.tau, cohort=taken.members, about=about,
                context=context,
            )
        )  # fmt: skip


@dataclass(kw_only=True)
class Coordinator:
    """What an honest coordinator does; a scripted one calls the hospitals itself."""

    hospitals: Mapping[str, Hospital]
    epoch: Epoch
    deposits: dict[int, dict[int, Deposit]] = field(default_factory=dict)
    """By slot and hospital."""
    uploads: dict[int, dict[int, Masked]] = field(default_factory=dict)

    def at(self, index: int) -> Hospital:
        """Return the hospital with an index."""
        return self.hospitals[self.epoch.members[index]]

    def everybody(self) -> tuple[int, ...]:
        """Return all indexes of the epoch."""
        return tuple(range(len(self.epoch.members)))

    def announced(self, slot: int, *, minimum: int | None = None, nonce: bytes = b"") -> Announced:
        """Announce a round for everybody."""
        least = least_survivors(self.epoch.parameters, len(self.epoch.members))
        return Announced(
            slot=slot, contributors=self.epoch.members, minimum=least if minimum is None else minimum, nonce=nonce
        )

    def deposit(self, slot: int, hospitals: Iterable[int] | None = None) -> None:
        """Collect deposits."""
        for index in self.everybody() if hospitals is None else hospitals:
            self.deposits.setdefault(slot, {})[index] = self.at(index).deposit(slot)

    def upload(self, slot: int, index: int, vector: Ring) -> None:
        """Collect a hospital's upload."""
        self.uploads.setdefault(slot, {})[index] = self.at(index).upload(slot, lambda: vector)

    def sealed_for(
        self, slot: int, keeper: int, survivors: Collection[int], cohort: Cohort
    ) -> dict[int, tuple[bytes, bytes]]:
        """Return what a committee member is asked to open."""
        return {
            member: self.sealed(slot, member, keeper, survived=member in survivors)
            for member in cohort.members
            if member != keeper
        }

    def sealed(self, slot: int, member: int, keeper: int, *, survived: bool) -> tuple[bytes, bytes]:
        """Return salt and sealed share of one hospital for one keeper."""
        shares = self.uploads[slot][member].shares if survived else self.slot_shares(slot, member)
        return shares.salt, shares.sealed[keeper]

    def slot_shares(self, slot: int, member: int) -> SealedShares:
        """Return the sealed shares of a hospital's slot secret."""
        return read_deposit(self.deposits[slot][member], epoch=self.epoch, own=member)

    def confirmations(self, slot: int, survivors: Sequence[int], witnesses: Iterable[int]) -> dict[int, bytes]:
        """Collect the signatures of the witnesses named."""
        return {witness: self.at(witness).confirm(slot, survivors) for witness in witnesses}

    def answers(
        self, slot: int, survivors: Sequence[int], confirmations: Mapping[int, bytes], keepers: Iterable[int]
    ) -> dict[int, Mapping[int, bytes]]:
        """Collect the shares of the committee members named."""
        found = {}
        for keeper in keepers:
            hospital = self.at(keeper)
            sealed = self.sealed_for(slot, keeper, survivors, hospital.rounds[slot])
            found[keeper] = hospital.unmask(slot, survivors, confirmations, sealed)
        return found

    def finish(
        self, slot: int, survivors: Sequence[int], answers: Mapping[int, Mapping[int, bytes]], cohort: Cohort
    ) -> Ring:
        """Add up and take the masks off."""
        chosen = tuple(sorted(survivors))
        total = np.zeros_like(self.uploads[slot][chosen[0]].vector)
        for member in chosen:
            np.add(total, self.uploads[slot][member].vector, out=total)
        backups = {member: self.deposits[slot][member].backups for member in cohort.members if member not in survivors}
        return finish(total, epoch=self.epoch, cohort=cohort, survivors=chosen, backups=backups, answers=answers)


def quick_exchange(name: str) -> ExchangeKey:
    """Return the exchange key that a hospital has in every epoch of ``quick_epoch``."""
    return ExchangeKey.from_seed(hashlib.sha256(f"x/{name}".encode()).digest())


@cache
def epoch_only(size: int, pulse: bytes = b"") -> Epoch:
    """Return an epoch of everybody, read once."""
    members = federation(size)
    keys = [
        write_key(
            1, members.roster, members.roster_digest, member=name, key=members.identities[name],
            exchange=quick_exchange(name),
        )
        for name in members.names
    ]  # fmt: skip
    return read_freeze(freeze(1, keys, pulse), number=1, roster=members.roster, roster_digest=members.roster_digest)


@cache
def quick_epoch(size: int, pulse: bytes = b"") -> tuple[Epoch, tuple[Mapping[int, Edge], ...]]:
    """Return an epoch and everybody's edges; one epoch of a size serves many slots."""
    epoch = epoch_only(size, pulse)
    return epoch, tuple(edges(epoch, own, quick_exchange(name)) for own, name in enumerate(epoch.members))


def quick_hospitals(size: int, label: str, pulse: bytes = b"") -> Coordinator:
    """Return hospitals that accepted the shared epoch of ``quick_epoch``, with empty slots."""
    members = federation(size)
    epoch, all_edges = quick_epoch(size, pulse)
    hospitals = {}
    for name, own_edges in zip(members.names, all_edges, strict=True):
        hospitals[name] = Hospital(
            name=name, federation=members, entropy=Fresh(f"{label}/{name}"),
            epochs=EpochRecord().offer(1).accept(1, epoch.digest), epoch=epoch, edges=own_edges,
        )  # fmt: skip
    return Coordinator(hospitals=hospitals, epoch=epoch)


def named(coordinator: Coordinator, slot: int, survivors: Sequence[int], hospital: int = 0) -> bytes:
    """Return the context of a survivor set as one hospital sees the round."""
    return context(survivors, epoch=coordinator.epoch, cohort=coordinator.at(hospital).rounds[slot])


def attempt(act: Callable[[], Any]) -> tuple[Any, str | None]:
    """Return what an act gives and no code, or nothing and the code with which it is refused."""
    try:
        return act(), None
    except Rejected as refused:
        return None, refused.code
