"""The epoch: every hospital's fresh exchange key, frozen into one list that all of them hold.

The digest of the frozen list (and of the beacon's pulse), E, enters every key that is derived from it. Hospitals that
were shown different lists share no key, so a coordinator that splits them gets sums that do not open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocols import checks
from protocols.errors import Rejected
from protocols.farrsum import labels
from protocols.farrsum.beacon import permutation
from protocols.farrsum.parameters import Parameters, parameters
from protocols.hashing import digest
from protocols.roster import Roster
from protocols.signing import KEY_BYTES, IdentityKey, sign, verify
from protocols.wire_pb2 import EpochKey as EpochKeyMessage
from protocols.wire_pb2 import Freeze as FreezeMessage
from protocols.wire_pb2 import Role, Signed

KIND = "epoch-key"

MOST_KEY_BYTES = 512
"""Longest signed key. All of a federation's are sent to each hospital in one message."""

_PROBE = X25519PrivateKey.from_private_bytes(bytes(32))
"""Any key tells a partner's key of small order: every X25519 scalar is a multiple of 8, so the secret is zero."""


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """A hospital's X25519 key of one epoch. It is held in memory only, so a restarted hospital waits for the next."""

    private: X25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> ExchangeKey:
        """Make the key of 32 bytes that the caller drew from the operating system."""
        return cls(X25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> bytes:
        """Return the public key: 32 bytes."""
        return self.private.public_key().public_bytes_raw()


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """A freeze that was checked, with all that follows from it."""

    number: int
    """Rises with every epoch of the federation."""
    digest: bytes
    """E."""
    members: tuple[str, ...]
    """Hospitals with a key in the freeze, sorted; a hospital's place here is its index in every other list."""
    exchange_keys: tuple[bytes, ...]
    """X25519 public keys, by index."""
    parameters: Parameters
    """c, t, Q and the sizes of committee and witnesses."""
    committee: tuple[int, ...]
    """Indexes of D, sorted; a member's place here, plus one, is the point of its key shares."""
    witnesses: tuple[int, ...]
    """Indexes of M, sorted; D is among them."""

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Return the index of each member."""
        return {member: index for index, member in enumerate(self.members)}

    @cached_property
    def point(self) -> Mapping[int, int]:
        """Return the point of each committee member's key shares."""
        return {member: place for place, member in enumerate(self.committee, start=1)}

    def partners(self, member: int) -> tuple[int, ...]:
        """Return with whom a member shares pairwise masks: everybody for the committee, the committee for others.

        This star is why no choice of dropouts can cut a survivor off: an honest committee member among the survivors
        is linked to every one of them by a mask that is never revealed.
        """
        others = range(len(self.members)) if member in self.point else self.committee
        return tuple(other for other in others if other != member)


def write_key(
    number: int, roster: Roster, roster_digest: bytes, *, member: str, key: IdentityKey, exchange: ExchangeKey
) -> Signed:
    """Sign a hospital's exchange key for one epoch and one roster."""
    message = EpochKeyMessage(
        federation=roster.federation, epoch=number, exchange_key=exchange.public, roster=roster_digest
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=member, federation=roster.federation, body=body)


def read_key(signed: Signed, *, number: int, roster: Roster, roster_digest: bytes) -> bytes:
    """Return the exchange key that a hospital of the roster signed for this epoch.

    The coordinator reads every key with this before it freezes them, so a hospital whose key would be refused by the
    others holds up nobody but itself.

    Guarantee: no hospital can make the freeze too long for the others to receive, whether in what it signs or around
    it. Test: tests/protocols/farrsum/test_epoch.py::test_a_key_that_would_swell_the_freeze_is_refused.
    """
    if signed.ByteSize() > MOST_KEY_BYTES:
        raise Rejected("oversized", KIND)
    member = roster.member(signed.signer, Role.ROLE_NODE)
    body = verify(signed, kind=KIND, federation=roster.federation, public_key=member.identity_key)
    message = checks.parse(EpochKeyMessage, body)
    if message.federation != roster.federation:
        raise Rejected("wrong-federation", KIND)
    if message.epoch != number:
        raise Rejected("wrong-epoch", f"a key for {message.epoch}, not {number}")
    if message.roster != roster_digest:
        raise Rejected("stale-roster", "a key for another roster")
    key = checks.exact_bytes(message.exchange_key, KEY_BYTES, "exchange key")
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError as error:
        raise Rejected("malformed", "an exchange key of small order") from error
    return key


def freeze(number: int, keys: Sequence[Signed], pulse: bytes = b"") -> FreezeMessage:
    """Put the keys of an epoch in order; the coordinator's part."""
    ordered = sorted(keys, key=lambda signed: signed.signer)
    return FreezeMessage(epoch=number, keys=ordered, pulse=pulse)


def read_freeze(
    message: FreezeMessage, *, number: int, roster: Roster, roster_digest: bytes, own: tuple[str, bytes] | None = None
) -> Epoch:
    """Check a freeze and derive everything from it; ``own`` is a hospital's id and the key that it sent.

    ``message.pulse`` is a beacon value that the caller has verified, or empty.

    Guarantee: no key in the epoch was made by anyone but its hospital for this epoch and roster; a hospital's own key
    is in it; c, t and Q come from the roster and the list alone.
    Test: tests/protocols/farrsum/test_epoch.py, one test for each check.
    """
    if message.epoch != number:
        raise Rejected("wrong-epoch", f"a freeze of {message.epoch}, not {number}")
    members = checks.rising([signed.signer for signed in message.keys], "members of the freeze")
    keys = tuple(read_key(signed, number=number, roster=roster, roster_digest=roster_digest) for signed in message.keys)
    if len(set(keys)) != len(keys):
        raise Rejected("malformed", "two hospitals with one exchange key")
    if own is not None and own not in zip(members, keys, strict=True):
        raise Rejected("not-in-freeze", own[0])
    known = parameters(roster_nodes=len(roster.nodes), nodes=len(members), beacon=bool(message.pulse))
    bodies = [part for signed in message.keys for part in (signed.signer.encode(), signed.body)]
    head = (roster.federation.encode(), number.to_bytes(8, "big"), roster_digest, message.pulse)
    # The pulse is part of E: hospitals that were shown different committees share no key either.
    frozen = digest(labels.FREEZE, *head, *bodies)
    order = tuple(range(len(members)))
    if not known.everybody:
        order = permutation(digest(labels.PERMUTATION, frozen), len(members))
    return Epoch(
        number=number,
        digest=frozen,
        members=members,
        exchange_keys=keys,
        parameters=known,
        committee=tuple(sorted(order[: known.committee])),
        witnesses=tuple(sorted(order[: known.witnesses])),
    )
