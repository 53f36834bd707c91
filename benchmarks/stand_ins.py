"""Stand-ins: the hospitals of a large round that are not played. They have one key among them all.

What a stand-in deposits, uploads and releases is valid, and the coordinator and the hospitals that are played do for
each of them what they would do for any hospital. But all pairwise masks are one keystream and all self-masks another,
so the sum of the stand-ins' vectors takes two keystreams to make instead of millions.
"""

from __future__ import annotations

import os
from bisect import bisect
from collections.abc import Mapping, Sequence

import numpy as np

from protocols.farrsum import field, labels, sealing, slots
from protocols.farrsum.cohort import Cohort
from protocols.farrsum.edges import Edge
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.masking import with_checks
from protocols.farrsum.masks import expand
from protocols.farrsum.shamir import share
from protocols.farrsum.slots import SealedShares
from protocols.ring import Ring

EDGE = Edge(seeds=bytes(32), sending=bytes(32), receiving=bytes(32))
"""Of every two hospitals in a round with stand-ins."""
_SALT = bytes(sealing.SALT_BYTES)
_KINDS = (labels.SLOT_SHARE, labels.SELF_SHARE)


class StandIns:
    """Everybody in a round but the hospitals that are ``played``, which all survive it."""

    def __init__(
        self, epoch: Epoch, cohort: Cohort, survivors: Sequence[int], played: Sequence[int], vectors: Sequence[Ring]
    ) -> None:
        self.epoch, self.cohort, self.played, self.vectors = epoch, cohort, played, vectors
        self.alive = [index for index in survivors if index not in played]
        self.kinds = dict.fromkeys(cohort.members, labels.SLOT_SHARE) | dict.fromkeys(survivors, labels.SELF_SHARE)
        known = epoch.parameters
        self.secrets = {kind: field.uniform(field.LIMBS, os.urandom) for kind in _KINDS}
        self.shares = {
            kind: share(secret, points=known.committee, threshold=known.threshold, entropy=os.urandom).astype("<u4")
            for kind, secret in self.secrets.items()
        }

    def edges_of(self, index: int) -> Mapping[int, Edge]:
        """Return anybody's edges."""
        return dict.fromkeys(self.epoch.partners(index), EDGE)

    def uploads(self) -> list[Ring]:
        """Return a vector for each stand-in that survives; the first is the sum of all of them, the others are zero."""
        odd = sum(index % 2 for index in self.alive)
        carried = np.uint64(odd) * with_checks(self.vectors[1])
        carried += np.uint64(len(self.alive) - odd) * with_checks(self.vectors[0])
        own = field.to_bytes(self.secrets[labels.SELF_SHARE])
        pairwise = sum(self._pluses(index) for index in self.alive)
        for seed, times in ((own, len(self.alive)), (EDGE.seed(self.cohort.slot), pairwise)):
            keystream = np.zeros_like(carried)
            expand(keystream, [(seed, 1)], self.cohort.tau)
            carried += np.uint64(times % (1 << 64)) * keystream
        return [carried, *[np.full_like(carried, 0)] * (len(self.alive) - 1)]

    def _pluses(self, index: int) -> int:
        """Return how many pairwise masks a hospital adds, less those that it takes away."""
        if index in self.epoch.point:
            return len(self.epoch.members) - 1 - 2 * index
        return len(self.epoch.committee) - 2 * bisect(self.epoch.committee, index)

    def box(self, member: int, keeper: int) -> tuple[bytes, bytes]:
        """Return salt and sealed share of a stand-in for one keeper."""
        kind = self.kinds[member]
        piece = self.shares[kind][self.epoch.point[keeper] - 1].tobytes()
        bound_to = self.cohort.tau if kind == labels.SELF_SHARE else self.epoch.digest
        box = sealing.seal(EDGE.sending, kind=kind, slot=self.cohort.slot, salt=_SALT, share=piece, bound_to=bound_to)
        return _SALT, box

    def backups(self, member: int) -> bytes:
        """Return the wrapped seeds of a stand-in that dropped out."""
        seeds = EDGE.seed(self.cohort.slot) * len(self.epoch.partners(member))
        return slots.wrap(seeds, self.secrets[labels.SLOT_SHARE], self.cohort.slot)

    def answers(self, count: int, uploads: Mapping[int, SealedShares]) -> dict[int, Mapping[int, bytes]]:
        """Return what ``count`` stand-ins in the committee release; ``uploads`` are those of the hospitals played."""
        keepers = [index for index in self.alive if index in self.epoch.point][:count]
        answers: dict[int, Mapping[int, bytes]] = {}
        for keeper in keepers:
            place = self.epoch.point[keeper] - 1
            mine = {kind: shares[place].tobytes() for kind, shares in self.shares.items()}
            answer = {member: mine[kind] for member, kind in self.kinds.items()}
            for member in self.played:
                answer[member] = sealing.unseal(
                    EDGE.receiving, kind=labels.SELF_SHARE, slot=self.cohort.slot, salt=uploads[member].salt,
                    sealed=uploads[member].sealed[keeper], bound_to=self.cohort.tau,
                )  # fmt: skip
            answers[keeper] = answer
        return answers
