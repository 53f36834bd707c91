"""One round of the secure sum, every part of it timed where it runs.

Small federations are played whole. Of large ones, one committee member and one hospital outside the committee are
played and the others are stand-ins. The sum is checked every time, except where the coordinator's keystream is so long
that a sample of it is timed instead; the same round with shorter vectors is then the check.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256

import numpy as np

from benchmarks.round_cost import NodeCost, RoundCost, cipher_rate, cpu
from benchmarks.stand_ins import StandIns
from protocols.farrsum import field, finishing, sealing, slots
from protocols.farrsum.beacon import permutation
from protocols.farrsum.cohort import check_survivors, cohort
from protocols.farrsum.confirming import confirm
from protocols.farrsum.edges import Edge, edges
from protocols.farrsum.epoch import Epoch, ExchangeKey, freeze, read_freeze, write_key
from protocols.farrsum.masking import CHECKS, hide
from protocols.farrsum.masks import expand
from protocols.farrsum.parameters import EVERYBODY, least_survivors
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import SealedShares
from protocols.farrsum.unmasking import OwnShares, release_shares
from protocols.ring import ENTRY_BYTES, Ring
from protocols.roster import Member, Roster
from protocols.signing import SIGNATURE_BYTES, IdentityKey
from protocols.wire_pb2 import Role

FEDERATION, SLOT = "benchmark", 7
MOST_WHOLE = 300
"""Hospitals up to which a round may be played whole."""
MOST_PLAYED = 40e9
"""Bytes of keystream that the hospitals of a round may take to be played whole."""
MOST_FINISHED = 80e9
"""Bytes of keystream that the coordinator takes off; beyond, a sample is timed."""
SAMPLE = 64
REPEATED = 1e9
"""Bytes of keystream up to which the coordinator's part is done several times."""


class Federation:
    """A federation in an epoch of its own, with real keys."""

    def __init__(self, nodes: int) -> None:
        names = [f"h{number:05d}" for number in range(nodes)]
        self.keys = {name: IdentityKey.from_seed(os.urandom(32)) for name in names}
        self.exchange = {name: ExchangeKey.from_seed(os.urandom(32)) for name in names}
        self.roster = Roster(
            federation=FEDERATION,
            version=1,
            issued_at=0,
            catalogue_digest=bytes(32),
            members=tuple(_member(name, key) for name, key in self.keys.items()),
        )
        offered = [
            write_key(1, self.roster, bytes(32), member=name, key=self.keys[name], exchange=self.exchange[name])
            for name in names
        ]
        frozen = freeze(1, offered, os.urandom(32) if nodes > EVERYBODY else b"")
        self.epoch: Epoch = read_freeze(frozen, number=1, roster=self.roster, roster_digest=bytes(32))

    @cached_property
    def edges(self) -> Mapping[int, Mapping[int, Edge]]:
        """Return every hospital's edges, derived as in life."""
        return {index: edges(self.epoch, index, self.exchange[name]) for name, index in self.epoch.index.items()}

    @cached_property
    def representatives(self) -> tuple[int, ...]:
        """Return one member of the committee and, where there is one, one hospital outside it."""
        outside = [index for index in self.epoch.index.values() if index not in self.epoch.point]
        return (self.epoch.committee[len(self.epoch.committee) // 2], *outside[len(outside) // 2 :][:1])

    def absent(self, count: int) -> frozenset[int]:
        """Return who drops out: drawn among all but the representatives, alike for every vector."""
        order = permutation(sha256(b"absent").digest(), len(self.epoch.members))
        return frozenset([index for index in order if index not in self.representatives][:count])


class _Round:
    def __init__(self, federation: Federation, entries: int, dropped: int) -> None:
        self.federation = federation
        self.epoch = epoch = federation.epoch
        size = len(epoch.members)
        keystream = sum(len(epoch.partners(index)) + 1 for index in range(size)) * entries * ENTRY_BYTES
        whole = size <= MOST_WHOLE and keystream <= MOST_PLAYED
        self.cost = RoundCost(nodes=size, entries=entries, dropped=dropped, whole=whole)
        self.played = tuple(range(size)) if whole else federation.representatives
        self.absent = federation.absent(dropped)
        minimum = least_survivors(epoch.parameters, size)
        self.cohort = cohort(epoch=epoch, slot=SLOT, tau=os.urandom(32), contributors=epoch.members, minimum=minimum)
        present = [index for index in range(size) if index not in self.absent]
        self.survivors = check_survivors(present, epoch=epoch, cohort=self.cohort)
        # Hospitals with an odd index contribute the second.
        self.vectors = (random_vector(entries), random_vector(entries))
        self.others = None if whole else StandIns(epoch, self.cohort, self.survivors, self.played, self.vectors)
        self.deposits: dict[int, SealedShares] = {}
        self.backups: dict[int, bytes] = {}
        self.own: dict[int, OwnShares] = {}
        self.uploads: dict[int, SealedShares] = {}
        self.total: Ring = np.zeros(entries + CHECKS, dtype=np.uint64)

    def _edges_of(self, index: int) -> Mapping[int, Edge]:
        return self.federation.edges[index] if self.others is None else self.others.edges_of(index)

    def _cost_of(self, index: int) -> NodeCost:
        return self.cost.committee if index in self.epoch.point else self.cost.ordinary

    def deposit(self) -> None:
        for index in self.played:
            cost, known = self._cost_of(index), self._edges_of(index)
            with cpu(cost.deposit):
                message, kept = slots.deposit(SLOT, epoch=self.epoch, own=index, edges=known, entropy=os.urandom)
            self.own[index] = OwnShares(slot_share=kept or b"", self_share=None)
            self.deposits[index] = slots.read_deposit(message, epoch=self.epoch, own=index)
            self.backups[index] = message.backups
            cost.up = message.ByteSize()

    def upload(self) -> None:
        adding: list[float] = []
        for index in self.played:
            if index in self.absent:
                continue
            cost, known = self._cost_of(index), self._edges_of(index)
            with cpu(cost.upload):
                masked = hide(
                    self.vectors[index % 2], epoch=self.epoch, own=index, edges=known, slot=SLOT, tau=self.cohort.tau,
                    cohort=self.cohort.members, entropy=os.urandom,
                )  # fmt: skip
            with cpu(adding):
                np.add(self.total, masked.vector, out=self.total)
            self.own[index] = OwnShares(slot_share=self.own[index].slot_share, self_share=masked.shares.own)
            self.uploads[index] = masked.shares
            cost.masks = len(known) + 1
        for vector in [] if self.others is None else self.others.uploads():
            with cpu(adding):
                np.add(self.total, vector, out=self.total)
        self.cost.adding.append(sum(adding))

    def confirm(self) -> dict[int, bytes]:
        """Have exactly a quorum of witnesses sign, those that are played among them."""
        witnesses = set(self.epoch.witnesses)
        able = sorted((index for index in self.survivors if index in witnesses), key=lambda i: i not in self.played)
        signatures = {}
        for index in able[: self.epoch.parameters.quorum]:
            with cpu(self.cost.ordinary.unmask if index in self.played and index not in self.epoch.point else []):
                _record, signed = confirm(
                    self.survivors, record=self._record(), epoch=self.epoch, cohort=self.cohort, own=index,
                    federation=FEDERATION, key=self.federation.keys[self.epoch.members[index]],
                )  # fmt: skip
            signatures[index] = signed.signature
        return signatures

    def unmask(self, signatures: Mapping[int, bytes]) -> dict[int, Mapping[int, bytes]]:
        answers: dict[int, Mapping[int, bytes]] = {}
        for index in self.played:
            if index not in self.epoch.point or index in self.absent:
                continue
            boxes = {member: self._box(member, index) for member in self.cohort.members if member != index}
            known = self._edges_of(index)
            with cpu(self.cost.committee.unmask):
                _record, answers[index] = release_shares(
                    self.survivors, record=self._record(), epoch=self.epoch, cohort=self.cohort, own=index, edges=known,
                    own_shares=self.own[index], confirmations=signatures, sealed=boxes, roster=self.federation.roster,
                )  # fmt: skip
        if self.others is not None:
            answers |= self.others.answers(self.epoch.parameters.threshold - len(answers), self.uploads)
        return answers

    def _record(self) -> SlotRecord:
        return SlotRecord().announce(self.cohort.tau)

    def _box(self, member: int, keeper: int) -> tuple[bytes, bytes]:
        if self.others is not None and member not in self.played:
            return self.others.box(member, keeper)
        shares = self.deposits[member] if member in self.absent else self.uploads[member]
        return shares.salt, shares.sealed[keeper]

    def finish(self, answers: Mapping[int, Mapping[int, bytes]]) -> None:
        alive = set(self.survivors)
        reopened = sum(len(alive.intersection(self.epoch.partners(member))) for member in self.absent)
        self.cost.masks = len(alive) + reopened
        keystream = self.cost.masks * self.total.nbytes
        times = max(1, min(5, int(REPEATED / keystream)))
        for _ in range(times):
            with cpu(self.cost.opening):
                finishing.secrets(answers, self.epoch, self.cohort)
        if keystream > MOST_FINISHED:
            seeds = [(os.urandom(field.SECRET_BYTES), -1) for _ in range(SAMPLE)]
            sample: list[float] = []
            with cpu(sample):
                expand(self.total, seeds, self.cohort.tau)
            self.cost.finishing.append(self.cost.opening[0] + sample[0] * self.cost.masks / SAMPLE)
            self.cost.estimated = True
            return
        backups = {
            member: self.backups[member] if self.others is None else self.others.backups(member)
            for member in self.absent
        }
        for _ in range(times):
            with cpu(self.cost.finishing):
                summed = finishing.finish(
                    self.total, epoch=self.epoch, cohort=self.cohort, survivors=self.survivors, backups=backups,
                    answers=answers,
                )  # fmt: skip
        odd = sum(index % 2 for index in self.survivors)
        expected = np.uint64(odd) * self.vectors[1] + np.uint64(len(self.survivors) - odd) * self.vectors[0]
        if not np.array_equal(summed, expected):
            raise AssertionError(f"a wrong sum: {self.cost}")

    def count_bytes(self, signatures: int) -> None:
        """Count payloads: lists of hospitals as bitmaps, signatures as such, no frames of messages."""
        size, keepers = len(self.epoch.members), len(self.epoch.committee)
        bitmap = -(-size // 8)
        for cost, inside in ((self.cost.ordinary, False), (self.cost.committee, True)):
            if not cost.upload:
                continue
            shares = sealing.SALT_BYTES + sealing.SEALED_BYTES * (keepers - inside)
            cost.up += self.total.nbytes + shares + 2 * SIGNATURE_BYTES
            # The announcement with its cohort; the survivors to confirm.
            cost.down = len(self.cohort.tau) + SIGNATURE_BYTES + 2 * bitmap
        inner = self.cost.committee
        inner.up += field.SECRET_BYTES * size
        inner.down += (sealing.SALT_BYTES + sealing.SEALED_BYTES) * (size - 1) + SIGNATURE_BYTES * signatures + bitmap


def run(federation: Federation, entries: int, dropped: int) -> RoundCost:
    """Play one round and return what it cost; raise AssertionError when the sum is not exact."""
    played = _Round(federation, entries, dropped)
    played.deposit()
    played.upload()
    signatures = played.confirm()
    played.finish(played.unmask(signatures))
    played.count_bytes(len(signatures))
    keystream = played.cost.committee.masks * played.total.nbytes
    played.cost.rates.append(cipher_rate(min(max(keystream, 1 << 22), 1 << 28)))
    return played.cost


def random_vector(entries: int) -> Ring:
    """Return a vector that is uniform modulo 2^64."""
    return np.frombuffer(os.urandom(entries * ENTRY_BYTES), dtype=np.uint64).copy()


def _member(name: str, key: IdentityKey) -> Member:
    return Member(
        id=name,
        role=Role.ROLE_NODE,
        identity_key=key.public,
        certificate_digest=bytes(32),
        label_en="",
        label_zh="",
        attributes={},
        joined_at=0,
        expires_at=1 << 40,
    )
