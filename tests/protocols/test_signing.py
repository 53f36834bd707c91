import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import Rejected
from protocols.signing import IdentityKey, sign, verify
from tests.protocols.parties import FEDERATION, key_of

KEY = key_of("ada")


def signed(body=b"body"):
    """Return a signed request."""
    return sign(KEY, kind="request", signer="ada", federation=FEDERATION, body=body)


@given(st.binary(max_size=100))
def test_a_signature_that_holds_returns_the_body(body):
    """What was signed is what is read."""
    assert verify(signed(body), kind="request", federation=FEDERATION, public_key=KEY.public) == body


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "release"}, "malformed"),
        ({"federation": "elsewhere"}, "bad-signature"),
        ({"public_key": key_of("bela").public}, "bad-signature"),
        ({"public_key": bytes(32)}, "bad-signature"),
        ({"public_key": b"short"}, "bad-signature"),
    ],
)
def test_a_signature_serves_one_kind_one_federation_and_one_key(changes, code):
    """Read as anything else, it is refused."""
    expected = {"kind": "request", "federation": FEDERATION, "public_key": KEY.public, **changes}
    with pytest.raises(Rejected, match=code):
        verify(signed(), **expected)


def test_a_signature_cannot_be_relabelled_as_another_kind():
    """Not even when the frame claims the kind that is expected: the kind is in what was signed."""
    frame = signed()
    frame.kind = "release"
    with pytest.raises(Rejected, match="bad-signature"):
        verify(frame, kind="release", federation=FEDERATION, public_key=KEY.public)


@given(st.data())
def test_one_flipped_bit_breaks_a_signature(data):
    """Anywhere in body or signature."""
    frame = signed()
    field = data.draw(st.sampled_from(["body", "signature"]))
    changed = bytearray(getattr(frame, field))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    setattr(frame, field, bytes(changed))
    with pytest.raises(Rejected, match="bad-signature"):
        verify(frame, kind="request", federation=FEDERATION, public_key=KEY.public)


@pytest.mark.parametrize("change", [{"signature": b""}, {"signature": bytes(65)}])
def test_another_length_is_refused_before_any_arithmetic(change):
    """A frame that does not look like its suite is malformed."""
    frame = signed()
    for field, value in change.items():
        setattr(frame, field, value)
    with pytest.raises(Rejected, match="malformed"):
        verify(frame, kind="request", federation=FEDERATION, public_key=KEY.public)


def test_a_key_is_its_seed():
    """The same seed gives the same key, and so the same signature."""
    again = IdentityKey.from_seed(KEY.seed)
    assert again.public == KEY.public
    assert sign(again, kind="request", signer="ada", federation=FEDERATION, body=b"body") == signed()
