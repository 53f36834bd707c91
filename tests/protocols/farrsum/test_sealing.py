"""Sealed shares: they open for one key, kind, slot, salt and purpose, and no nonce is used twice."""

from __future__ import annotations

import pytest

from protocols.errors import Rejected
from protocols.farrsum import labels, sealing

SHARE = bytes(range(20))
GOOD = {"kind": labels.SELF_SHARE, "slot": 7, "salt": b"s" * 16, "bound_to": b"t" * 32}


def test_a_sealed_share_opens():
    """What was sealed comes back, and 36 bytes travel."""
    sealed = sealing.seal(b"k" * 32, share=SHARE, **GOOD)
    assert len(sealed) == sealing.SEALED_BYTES == 36
    assert sealing.unseal(b"k" * 32, sealed=sealed, **GOOD) == SHARE


@pytest.mark.parametrize(
    "change",
    [{"kind": labels.SLOT_SHARE}, {"slot": 8}, {"salt": b"S" * 16}, {"bound_to": b"T" * 32}, {"bound_to": b""}],
    ids=["kind", "slot", "salt", "round", "nothing"],
)
def test_a_sealed_share_serves_one_purpose(change):
    """Another kind, slot, salt or round does not open it."""
    sealed = sealing.seal(b"k" * 32, share=SHARE, **GOOD)
    with pytest.raises(Rejected, match="bad-share"):
        sealing.unseal(b"k" * 32, sealed=sealed, **{**GOOD, **change})


def test_another_key_or_a_changed_byte_does_not_open():
    """Only the keeper's key opens it, and every byte of it counts."""
    sealed = sealing.seal(b"k" * 32, share=SHARE, **GOOD)
    with pytest.raises(Rejected, match="bad-share"):
        sealing.unseal(b"K" * 32, sealed=sealed, **GOOD)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Rejected, match="bad-share"):
            sealing.unseal(b"k" * 32, sealed=bytes(changed), **GOOD)


@pytest.mark.parametrize("length", [0, 35, 37, 1 << 20])
def test_a_sealed_share_has_one_length(length):
    """Anything but 36 bytes is refused before the cipher sees it."""
    with pytest.raises(Rejected, match="malformed"):
        sealing.unseal(b"k" * 32, sealed=bytes(length), **GOOD)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_salt_has_one_length(length):
    """Anything but 16 bytes is refused."""
    sealed = sealing.seal(b"k" * 32, share=SHARE, **GOOD)
    with pytest.raises(Rejected, match="malformed"):
        sealing.unseal(b"k" * 32, sealed=sealed, **{**GOOD, "salt": bytes(length)})


def test_kind_slot_and_salt_each_change_the_key():
    """No two sealings that differ in kind, slot or salt share a key; a rewound counter of slots meets a new salt."""
    keys = {
        sealing._key(key, kind, slot, salt)
        for key in (b"k" * 32, b"K" * 32)
        for kind in (labels.SLOT_SHARE, labels.SELF_SHARE)
        for slot in (0, 7, 1 << 56)
        for salt in (b"s" * 16, b"S" * 16)
    }
    assert len(keys) == 24


def test_the_nonce_names_kind_and_slot():
    """The nonce alone already differs between kinds and slots, should two keys ever be equal."""
    nonces = {sealing._nonce(kind, slot) for kind in (1, 2) for slot in (0, 1, 1 << 32, (1 << 64) - 1)}
    assert len(nonces) == 8
    assert {len(nonce) for nonce in nonces} == {12}
