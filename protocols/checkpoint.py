"""The checkpoint: what a log was at a size, signed by its keeper; and the witness: that another member saw it.

Whoever holds a checkpoint holds the log's past to it: a later one has to prove that it continues it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from protocols import checks, merkle
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Checkpoint as CheckpointMessage
from protocols.wire_pb2 import Role, Signed
from protocols.wire_pb2 import Witness as WitnessMessage

KIND = "checkpoint"
WITNESS = "witness"

MOST_BYTES = 1 << 13
"""Longest signed checkpoint or witness."""

MOST_TOLD = 256
"""Most checkpoints in one message."""

_KEEPERS = (Role.ROLE_NODE, Role.ROLE_COORDINATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log was at a size."""

    federation: str
    """Where it is kept."""
    member: str
    """Id of its keeper."""
    size: int
    """Entries."""
    root: bytes
    """Merkle tree hash of the entries' digests, 32 bytes."""
    charges: int = 0
    """Rows of a hospital's ledger; 0: none, or the coordinator's log."""
    ledger: bytes = bytes(32)
    """Digest of the last of them, 32 bytes."""
    at: int
    """Seconds since 1970, UTC."""
    previous: int = 0
    """Size of the checkpoint before; 0: none."""
    consistency: tuple[bytes, ...] = ()
    """Proof that this log continues that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """That a member saw another's checkpoint, and that it continues what it had seen before."""

    member: str
    """Id of the witness."""
    checkpoint: bytes
    """Digest of the signed checkpoint."""
    keeper: str
    """Whose log it is of."""
    at: int
    """Seconds since 1970, UTC."""


def write(checkpoint: Checkpoint, key: IdentityKey) -> Signed:
    """Sign a checkpoint with its keeper's key."""
    message = CheckpointMessage(
        federation=checkpoint.federation,
        member=checkpoint.member,
        size=checkpoint.size,
        root=checkpoint.root,
        charges=checkpoint.charges,
        ledger=checkpoint.ledger,
        at=checkpoint.at,
        previous=checkpoint.previous,
        consistency=checkpoint.consistency,
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=checkpoint.member, federation=checkpoint.federation, body=body)


def read(signed: Signed, *, roster: Roster) -> Checkpoint:
    """Return a checkpoint of a hospital's or the coordinator's log, signed by that member of the roster.

    Guarantee: nobody can say for another what its log is. Test:
    tests/protocols/test_checkpoint.py::test_a_checkpoint_is_its_keepers_alone.
    """
    member = roster.by_id.get(signed.signer)
    if member is None or member.role not in _KEEPERS:
        raise Rejected("unknown-member", "a checkpoint of no keeper of a log")
    return read_with(signed, federation=roster.federation, public_key=member.identity_key)


def read_with(signed: Signed, *, federation: str, public_key: bytes) -> Checkpoint:
    """Return a checkpoint that the holder of a key signed under the name in its frame."""
    checks.at_most(signed.body, MOST_BYTES, KIND)
    return _verified(signed.SerializeToString(deterministic=True), federation, public_key)


# The receipts of many rounds carry one checkpoint, whose verdict follows from these bytes alone.
@lru_cache(maxsize=256)
def _verified(data: bytes, federation: str, public_key: bytes) -> Checkpoint:
    signed = checks.parse(Signed, data)
    body = verify(signed, kind=KIND, federation=federation, public_key=public_key)
    checkpoint = _parsed(body)
    if checkpoint.federation != federation or checkpoint.member != signed.signer:
        raise Rejected("malformed", "a checkpoint of another log than its signer's")
    return checkpoint


def parsed(signed: Signed) -> Checkpoint:
    """Return a checkpoint that was verified before."""
    return _parsed(signed.body)


def _parsed(body: bytes) -> Checkpoint:
    message = checks.parse(CheckpointMessage, body)
    if not message.previous < message.size <= merkle.MOST_LEAVES or message.charges > message.size:
        raise Rejected("malformed", "sizes of a checkpoint")
    return Checkpoint(
        federation=message.federation,
        member=message.member,
        size=message.size,
        root=checks.exact_bytes(message.root, merkle.HASH_BYTES, "root"),
        charges=message.charges,
        ledger=checks.exact_bytes(message.ledger, merkle.HASH_BYTES, "ledger"),
        at=message.at,
        previous=message.previous,
        consistency=tuple(checks.exact_bytes(each, merkle.HASH_BYTES, "proof") for each in message.consistency),
    )


def contradicts(held: Checkpoint, other: Checkpoint) -> bool:
    """Tell whether two checkpoints of one keeper cannot both be of a log that only ever grew.

    What neither shows (the one lies between, or several checkpoints were missed) is not held against anybody.

    Guarantee: two roots of one size, a ledger that became shorter while the log grew, or a proof from the one to the
    other that does not hold are found from the two alone. Test:
    tests/protocols/test_checkpoint.py::test_a_fork_is_found_from_two_checkpoints.
    """
    older, newer = sorted((held, other), key=lambda each: each.size)
    if older.size == newer.size:
        return (older.root, older.charges, older.ledger) != (newer.root, newer.charges, newer.ledger)
    if newer.charges < older.charges or (newer.charges == older.charges and newer.ledger != older.ledger):
        return True
    return newer.previous == older.size and not continues(older, newer)


def continues(older: Checkpoint, newer: Checkpoint) -> bool:
    """Tell whether a checkpoint proves that its log continues the one of another."""
    if older.member != newer.member or newer.charges < older.charges:
        return False
    if newer.size == older.size:
        return newer.root == older.root
    if newer.previous != older.size:
        return False
    try:
        merkle.verify_consistency(older.size, newer.size, newer.consistency, older.root, newer.root)
    except Rejected:
        return False
    return True


def write_witness(witness: Witness, *, federation: str, key: IdentityKey) -> Signed:
    """Sign that a checkpoint was seen."""
    message = WitnessMessage(checkpoint=witness.checkpoint, keeper=witness.keeper, at=witness.at)
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=WITNESS, signer=witness.member, federation=federation, body=body)


def read_witness(signed: Signed, *, roster: Roster) -> Witness:
    """Return a hospital's word that it saw a checkpoint."""
    checks.at_most(signed.body, MOST_BYTES, WITNESS)
    member = roster.member(signed.signer, Role.ROLE_NODE)
    body = verify(signed, kind=WITNESS, federation=roster.federation, public_key=member.identity_key)
    message = checks.parse(WitnessMessage, body)
    return Witness(
        member=member.id,
        checkpoint=checks.exact_bytes(message.checkpoint, merkle.HASH_BYTES, "checkpoint"),
        keeper=checks.name(message.keeper, "keeper"),
        at=message.at,
    )


def digest_of(signed: Signed) -> bytes:
    """Return the digest that names a signed checkpoint."""
    return digest("farr1/checkpoint", signed.body)
