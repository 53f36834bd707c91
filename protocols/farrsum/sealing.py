"""Sealed key shares: AES-256-GCM from one hospital to another, through a coordinator that cannot read them."""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocols.errors import Rejected
from protocols.farrsum import labels
from protocols.farrsum.field import SECRET_BYTES

SALT_BYTES = 16
SEALED_BYTES = SECRET_BYTES + 16


def seal(key: bytes, *, kind: int, slot: int, salt: bytes, share: bytes, bound_to: bytes) -> bytes:
    """Seal a key share of 20 bytes; 36 bytes come back.

    The key is derived with a random salt, so that even a hospital set back to an old snapshot, which would count its
    slots a second time, does not use one key and nonce twice.

    Guarantee: no (key, nonce) is ever used twice. Test:
    tests/protocols/farrsum/test_machine.py (every sealing is recorded).
    """
    return AESGCM(_key(key, kind, slot, salt)).encrypt(_nonce(kind, slot), share, bound_to)


def unseal(key: bytes, *, kind: int, slot: int, salt: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Open a sealed key share; raise Rejected when it was made by another, for another slot, kind or round."""
    if len(sealed) != SEALED_BYTES or len(salt) != SALT_BYTES:
        raise Rejected("malformed", "sealed share")
    try:
        return AESGCM(_key(key, kind, slot, salt)).decrypt(_nonce(kind, slot), sealed, bound_to)
    except InvalidTag as error:
        raise Rejected("bad-share", f"kind {kind}") from error


def _key(key: bytes, kind: int, slot: int, salt: bytes) -> bytes:
    return hmac.digest(key, labels.SEALING + bytes([kind]) + slot.to_bytes(8, "big") + salt, "sha256")


def _nonce(kind: int, slot: int) -> bytes:
    return bytes([kind]) + bytes(3) + slot.to_bytes(8, "big")
