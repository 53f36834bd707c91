"""Signed objects: a body, who signed it, and a signature that is bound to its kind and its federation."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.suite import CURRENT, PrivateKey, suite_of
from protocols.wire_pb2 import Signed

SUITE = CURRENT.number
"""The suite that this version signs with; every signed object names its own."""

KEY_BYTES = CURRENT.key_bytes
SIGNATURE_BYTES = CURRENT.signature_bytes

SIGNATURE_LABEL = "farr1/sig/"


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """A member's own signing key. It never leaves the member's machine."""

    private: PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> IdentityKey:
        """Make the key of a 32-byte seed, which the caller drew from the operating system."""
        return cls(CURRENT.private_key(seed))

    @property
    def public(self) -> bytes:
        """Return the public key: 32 bytes."""
        return self.private.public

    @property
    def seed(self) -> bytes:
        """Return the secret that the key is made of, to be kept in a file that only its owner can read."""
        return self.private.seed


def sign(key: IdentityKey, *, kind: str, signer: str, federation: str, body: bytes) -> Signed:
    """Sign ``body`` as an object of ``kind`` in ``federation``."""
    signature = key.private.sign(_message(kind, federation, body))
    return Signed(suite=SUITE, kind=kind, signer=signer, body=body, signature=signature)


def verify(signed: Signed, *, kind: str, federation: str, public_key: bytes) -> bytes:
    """Return the body of an object whose signature holds; raise Rejected for any other.

    Guarantee: a body is returned only if the holder of ``public_key`` signed it as this kind in this federation.
    Test: tests/protocols/test_signing.py::test_a_signature_serves_one_kind_one_federation_and_one_key.
    """
    if signed.kind != kind:
        raise Rejected("malformed", f"expected a signed {kind}")
    suite = suite_of(signed.suite)
    if len(signed.signature) != suite.signature_bytes:
        raise Rejected("malformed", f"expected a signature of suite {suite.number}")
    if not suite.verify(public_key, signed.signature, _message(kind, federation, signed.body)):
        raise Rejected("bad-signature", kind)
    return signed.body


def _message(kind: str, federation: str, body: bytes) -> bytes:
    return digest(SIGNATURE_LABEL + kind, federation.encode(), body)
