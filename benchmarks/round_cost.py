"""What a secure round costs, and the cipher's own speed to hold it against. CPU time, since the machine is shared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.farrsum.masking import CHECKS
from protocols.ring import ENTRY_BYTES

_ZEROS = bytes(128 * 1024)


@dataclass(kw_only=True)
class NodeCost:
    """What hospitals of one kind spent; the lists hold CPU seconds, one figure for each hospital that was played."""

    deposit: list[float] = field(default_factory=list)
    """Ahead of the query."""
    upload: list[float] = field(default_factory=list)
    """Mask the vector, share the self-mask's key."""
    unmask: list[float] = field(default_factory=list)
    """Confirm outside the committee; inside it, check the quorum and open key shares."""
    masks: int = 0
    """Keystreams in an upload."""
    up: int = 0
    """Bytes sent in the round and for its slot, the vector included."""
    down: int = 0
    """Bytes received, the question not included."""


@dataclass(kw_only=True)
class RoundCost:
    """What a round cost."""

    nodes: int
    """Hospitals of the cohort."""
    entries: int
    """Of the vector."""
    dropped: int
    """Hospitals that deposited but did not upload."""
    whole: bool
    """Whether every hospital was played in full."""
    ordinary: NodeCost = field(default_factory=NodeCost)
    """Outside the committee; empty where everybody is in it."""
    committee: NodeCost = field(default_factory=NodeCost)
    """Inside it."""
    adding: list[float] = field(default_factory=list)
    """Coordinator: adding the vectors as they come. CPU seconds, one figure for each run, as in the next two."""
    opening: list[float] = field(default_factory=list)
    """Coordinator: secrets from key shares."""
    finishing: list[float] = field(default_factory=list)
    """Coordinator: secrets from key shares, keystreams, and the sum bare at the end."""
    masks: int = 0
    """Keystreams that the coordinator takes off."""
    estimated: bool = False
    """Whether ``finishing`` was scaled from a sample of the masks, so that no sum came out and none was checked."""
    rates: list[float] = field(default_factory=list)
    """AES-256-CTR alone on one thread, bytes a second, right after each run."""

    @property
    def coordinator(self) -> float:
        """Return all of the coordinator's CPU seconds."""
        return median(self.adding) + median(self.finishing)

    def limit(self, masks: int) -> float:
        """Return the seconds that the cipher alone takes for so many keystreams of this round."""
        return masks * (self.entries + CHECKS) * ENTRY_BYTES / median(self.rates)


@dataclass(frozen=True, kw_only=True)
class FlowerCost:
    """CPU seconds of one round of Flower's SecAgg+."""

    node: float
    """A node that was played in full, all four stages; its rounding of the numbers is part of them."""
    coordinator: float
    """The workflow, without what nodes and messages took."""


def merged(runs: Sequence[RoundCost]) -> RoundCost:
    """Put the figures of several runs of one round together."""
    first = runs[0]
    for other in runs[1:]:
        for mine, theirs in ((first.ordinary, other.ordinary), (first.committee, other.committee)):
            mine.deposit += theirs.deposit
            mine.upload += theirs.upload
            mine.unmask += theirs.unmask
        first.adding += other.adding
        first.opening += other.opening
        first.finishing += other.finishing
        first.rates += other.rates
    return first


@contextmanager
def cpu(seconds: list[float]) -> Iterator[None]:
    """Append the CPU seconds, of all threads, that the body took."""
    began = time.process_time()
    yield
    seconds.append(time.process_time() - began)


def cipher_rate(nbytes: int) -> float:
    """Return bytes a second of AES-256-CTR alone: one thread, 128 KiB at a time, the median of three runs."""
    target = memoryview(bytearray(len(_ZEROS) + 16))
    pieces = max(1, nbytes // len(_ZEROS))
    seconds: list[float] = []
    for _ in range(3):
        encrypt = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor().update_into
        with cpu(seconds):
            for _ in range(pieces):
                encrypt(_ZEROS, target)
    return pieces * len(_ZEROS) / median(seconds)
