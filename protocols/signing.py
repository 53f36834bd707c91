"""Signed objects: a body, who signed it, and an Ed25519 signature that is bound to its kind and its federation."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.wire_pb2 import Signed

SUITE = 1
"""SHA-256 and Ed25519. Every signed object names its suite, so another one can follow without a new message."""

KEY_BYTES = 32
SIGNATURE_BYTES = 64

SIGNATURE_LABEL = "farr1/sig/"


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """A member's own signing key. It never leaves the member's machine."""

    private: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> IdentityKey:
        """Make the key of a 32-byte seed, which the caller drew from the operating system."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> bytes:
        """Return the public key: 32 bytes."""
        return self.private.public_key().public_bytes_raw()


def sign(key: IdentityKey, *, kind: str, signer: str, federation: str, body: bytes) -> Signed:
    """Sign ``body`` as an object of ``kind`` in ``federation``."""
    signature = key.private.sign(_message(kind, federation, body))
    return Signed(suite=SUITE, kind=kind, signer=signer, body=body, signature=signature)


def verify(signed: Signed, *, kind: str, federation: str, public_key: bytes) -> bytes:
    """Return the body of an object whose signature holds; raise Rejected for any other.

    Guarantee: a body is returned only if the holder of ``public_key`` signed it as this kind in this federation.
    Test: tests/protocols/test_signing.py::test_a_signature_serves_one_kind_one_federation_and_one_key.
    """
    if signed.suite != SUITE or signed.kind != kind or len(signed.signature) != SIGNATURE_BYTES:
        raise Rejected("malformed", f"expected a signed {kind} of suite {SUITE}")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, _message(kind, federation, signed.body))
    except (InvalidSignature, ValueError) as error:
        raise Rejected("bad-signature", kind) from error
    return signed.body


def _message(kind: str, federation: str, body: bytes) -> bytes:
    return digest(SIGNATURE_LABEL + kind, federation.encode(), body)
