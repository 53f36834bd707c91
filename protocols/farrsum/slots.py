"""Slots: what a hospital deposits ahead, so that its pairwise masks of one round can be taken off if it drops out.

A slot's secret is random, is shared among the committee, and wraps the hospital's pairwise seeds of that slot. It opens
that one slot and nothing else, so a hospital that drops out gives away no key that it uses again.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.errors import Rejected
from protocols.farrsum import field, labels, sealing
from protocols.farrsum.edges import Edge
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.field import Elements, Entropy
from protocols.farrsum.shamir import share
from protocols.wire_pb2 import Deposit

SEED_BYTES = 32
MOST_FRAME_BYTES = 128
"""Most bytes of a deposit beside its shares and backups."""
AHEAD = 16
"""Slots that a hospital keeps deposited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShares:
    """Key shares of one secret on their way to the committee."""

    salt: bytes
    """16 random bytes that enter every sealing key."""
    sealed: Mapping[int, bytes]
    """By index of the committee member, 36 bytes each; the sender's own share is not sent."""
    own: bytes | None = dataclasses.field(repr=False)
    """The sender's own share where it is in the committee; never leaves it except when it answers an unmask."""


def share_out(
    secret: Elements,
    *,
    epoch: Epoch,
    own: int,
    edges: Mapping[int, Edge],
    kind: int,
    slot: int,
    bound_to: bytes,
    entropy: Entropy,
) -> SealedShares:
    """Share a secret among the committee and seal each share for its keeper."""
    threshold = epoch.parameters.threshold
    shares = share(secret, points=len(epoch.committee), threshold=threshold, entropy=entropy).astype("<u4")
    salt = entropy(sealing.SALT_BYTES)
    sealed = {
        keeper: sealing.seal(
            edges[keeper].sending,
            kind=kind,
            slot=slot,
            salt=salt,
            share=shares[place].tobytes(),
            bound_to=bound_to,
        )
        for place, keeper in enumerate(epoch.committee)
        if keeper != own
    }
    kept = shares[epoch.point[own] - 1].tobytes() if own in epoch.point else None
    return SealedShares(salt=salt, sealed=sealed, own=kept)


def deposit(
    slot: int, *, epoch: Epoch, own: int, edges: Mapping[int, Edge], entropy: Entropy
) -> tuple[Deposit, bytes | None]:
    """Prepare one slot: the message for the coordinator, and the hospital's own share of the slot's secret."""
    secret = field.uniform(field.LIMBS, entropy)
    shares = share_out(
        secret, epoch=epoch, own=own, edges=edges, kind=labels.SLOT_SHARE, slot=slot, bound_to=epoch.digest,
        entropy=entropy,
    )  # fmt: skip
    seeds = b"".join(edges[partner].seed(slot) for partner in epoch.partners(own))
    message = Deposit(
        freeze=epoch.digest,
        slot=slot,
        salt=shares.salt,
        sealed=b"".join(shares.sealed.values()),
        backups=wrap(seeds, secret, slot),
    )
    return message, shares.own


def read_deposit(message: Deposit, *, epoch: Epoch, own: int) -> SealedShares:
    """Take a deposit apart; ``own`` is the index of the hospital that made it. Raises Rejected for wrong sizes.

    Guarantee: what passes is as long as its epoch makes it, unknown fields included. Test:
    tests/protocols/farrsum/test_seat.py::test_a_deposit_swollen_by_unknown_fields_is_refused.
    """
    if message.freeze != epoch.digest:
        raise Rejected("wrong-epoch", "deposit")
    if len(message.backups) != SEED_BYTES * len(epoch.partners(own)):
        raise Rejected("malformed", "backups")
    shares = split_shares(message.salt, message.sealed, epoch=epoch, own=own)
    if message.ByteSize() > len(message.sealed) + len(message.backups) + MOST_FRAME_BYTES:
        raise Rejected("oversized", "deposit")
    return shares


def split_shares(salt: bytes, sealed: bytes, *, epoch: Epoch, own: int) -> SealedShares:
    """Take concatenated sealed shares apart, in the order of the committee without their sender."""
    keepers = [keeper for keeper in epoch.committee if keeper != own]
    if len(salt) != sealing.SALT_BYTES or len(sealed) != sealing.SEALED_BYTES * len(keepers):
        raise Rejected("malformed", "sealed shares")
    pieces = [sealed[at : at + sealing.SEALED_BYTES] for at in range(0, len(sealed), sealing.SEALED_BYTES)]
    return SealedShares(salt=salt, sealed=dict(zip(keepers, pieces, strict=True)), own=None)


def pairwise_seeds(backups: bytes, secret: Elements, slot: int, *, epoch: Epoch, own: int) -> Mapping[int, bytes]:
    """Unwrap a dropped hospital's pairwise seeds of one slot with the slot's secret."""
    seeds = wrap(backups, secret, slot)
    return {
        partner: seeds[SEED_BYTES * place : SEED_BYTES * (place + 1)]
        for place, partner in enumerate(epoch.partners(own))
    }


def wrap(seeds: bytes, secret: Elements, slot: int) -> bytes:
    """Wrap pairwise seeds with a slot's secret, or unwrap them again: a keystream does both."""
    # The key serves this one stream: the secret is new for every slot.
    key = hmac.digest(field.to_bytes(secret), labels.BACKUP + slot.to_bytes(8, "big"), "sha256")
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(seeds)
