"""Suites of cryptography: which hash and which signature, behind one small interface.

Every signed object names its suite, and nothing but this module knows what a suite consists of. Another one, such as
SM3 with SM2 (GM/T 0003, 0004), is one more ``Suite`` here: keys, signatures and digests are byte strings in every
message, so no message changes. A federation speaks one suite, ``CURRENT``; an object of any other is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocols.errors import Rejected


class Hasher(Protocol):
    """A hash under way, as hashlib has them."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def digest(self) -> bytes:
        """Return the hash of all bytes so far."""


class PrivateKey(Protocol):
    """The private half of a signing key."""

    @property
    def seed(self) -> bytes:
        """Return the secret that it is made of."""

    @property
    def public(self) -> bytes:
        """Return the public half."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One choice of hash and signature."""

    number: int
    """What a signed object calls it."""
    name: str
    """For people."""
    seed_bytes: int
    """Length of the secret that a signing key is made of."""
    key_bytes: int
    """Length of a public key."""
    signature_bytes: int
    """Length of a signature."""
    digest_bytes: int
    """Length of a digest."""
    hasher: Callable[[], Hasher] = field(repr=False)
    """Begins a hash."""
    private_key: Callable[[bytes], PrivateKey] = field(repr=False)
    """Makes a signing key of its seed; raises ValueError for one of another length."""
    verify: Callable[[bytes, bytes, bytes], bool] = field(repr=False)
    """Tells whether a public key's holder signed a message: public key, signature, message. Never raises."""


@dataclass(frozen=True, slots=True)
class _Ed25519:
    """RFC 8032."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def seed(self) -> bytes:
        return self.private.private_bytes_raw()

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def _ed25519(seed: bytes) -> PrivateKey:
    return _Ed25519(Ed25519PrivateKey.from_private_bytes(seed))


def _verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


CURRENT = Suite(
    number=1,
    name="SHA-256, Ed25519",
    seed_bytes=32,
    key_bytes=32,
    signature_bytes=64,
    digest_bytes=32,
    hasher=hashlib.sha256,
    private_key=_ed25519,
    verify=_verify_ed25519,
)
"""What this version signs and hashes with."""

SUITES: Mapping[int, Suite] = MappingProxyType({CURRENT.number: CURRENT})
"""By number."""


def suite_of(number: int) -> Suite:
    """Return a suite by its number; raise Rejected("unknown-suite") where this version has none.

    Guarantee: no object is verified with an algorithm that it merely names: what is not listed is refused before any
    arithmetic. Test: tests/protocols/test_suite.py::test_an_object_of_an_unknown_suite_is_refused_with_its_code.
    """
    suite = SUITES.get(number)
    if suite is None:
        raise Rejected("unknown-suite", f"suite {number}")
    return suite
