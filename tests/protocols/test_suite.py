import hashlib

import pytest

from protocols import suite
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.signing import SUITE, IdentityKey, sign, verify
from protocols.suite import CURRENT, suite_of
from tests.protocols.parties import FEDERATION, key_of

KEY = key_of("ada")


def signed():
    """Return a signed request."""
    return sign(KEY, kind="request", signer="ada", federation=FEDERATION, body=b"body")


@pytest.mark.parametrize("number", [0, 2, 2**31])
def test_an_object_of_an_unknown_suite_is_refused_with_its_code(number):
    """Whatever its signature is worth: this version has no arithmetic for it."""
    frame = signed()
    frame.suite = number
    with pytest.raises(Rejected) as refusal:
        verify(frame, kind="request", federation=FEDERATION, public_key=KEY.public)
    assert refusal.value.code == "unknown-suite"


def test_a_suite_says_its_own_lengths():
    """Seed, key, signature and digest have the lengths that the suite states, and those are what is checked."""
    held = suite_of(SUITE)
    assert held is CURRENT
    assert len(KEY.seed) == held.seed_bytes
    assert len(KEY.public) == held.key_bytes
    assert len(signed().signature) == held.signature_bytes
    assert len(digest("farr1/x")) == held.digest_bytes


def test_verifying_never_raises():
    """Keys and signatures of any length are false, not errors."""
    for key in (b"", b"short", bytes(32), bytes(33)):
        for signature in (b"", bytes(64), bytes(65)):
            assert not CURRENT.verify(key, signature, b"message")


def test_the_first_suite_is_rfc_8032():
    """The second test vector of RFC 8032, section 7.1, and SHA-256 of nothing."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = CURRENT.private_key(seed)
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = key.sign(b"\x72")
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540")
    assert CURRENT.verify(key.public, signature, b"\x72")
    assert CURRENT.hasher().digest() == hashlib.sha256().digest()


def test_another_suite_needs_no_other_message(monkeypatch):
    """A second suite, with other lengths, verifies in the same frame as soon as it is listed."""

    class Toy:
        seed, public = b"s", b"toy key"

        def sign(self, message):
            return hashlib.sha512(b"toy" + message).digest() + b"!"

    toy = suite.Suite(
        number=2, name="toy", seed_bytes=1, key_bytes=7, signature_bytes=65, digest_bytes=32, hasher=hashlib.sha256,
        private_key=lambda _seed: Toy(), verify=lambda _key, signature, message: signature == Toy().sign(message),
    )  # fmt: skip
    frame = sign(IdentityKey(Toy()), kind="request", signer="ada", federation=FEDERATION, body=b"body")
    frame.suite = 2
    with pytest.raises(Rejected, match="unknown-suite"):
        verify(frame, kind="request", federation=FEDERATION, public_key=b"toy key")
    monkeypatch.setattr(suite, "SUITES", {1: CURRENT, 2: toy})
    assert verify(frame, kind="request", federation=FEDERATION, public_key=b"toy key") == b"body"


def test_a_signing_key_does_not_show_itself():
    """Printed by accident, it shows nothing of its seed."""
    assert KEY.seed.hex() not in repr(KEY)
    assert "Ed25519PrivateKey" not in repr(KEY)
