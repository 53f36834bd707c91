import hashlib

from hypothesis import given
from hypothesis import strategies as st

from protocols.hashing import digest

PARTS = st.lists(st.binary(max_size=12), max_size=4)


@given(st.text(max_size=8), PARTS, st.text(max_size=8), PARTS)
def test_two_inputs_share_a_digest_only_if_they_are_the_same(label, parts, other_label, other_parts):
    """Label and list of parts are both told apart."""
    same = (label, parts) == (other_label, other_parts)
    assert (digest(label, *parts) == digest(other_label, *other_parts)) == same


@given(st.binary(min_size=1, max_size=20), st.binary(max_size=20), st.data())
def test_moving_a_byte_between_parts_changes_the_digest(one, other, data):
    """The same bytes split elsewhere, or joined with the label, are another input."""
    cut = data.draw(st.integers(0, len(one) - 1))
    assert digest("label", one, other) != digest("label", one[:cut], one[cut:] + other)
    assert digest("label", one, other) != digest("label", one + other)
    assert digest("ab", one) != digest("a", b"b" + one)


def test_the_digest_is_the_one_that_other_implementations_must_make():
    """SHA-256 over 8-byte big-endian lengths and parts, the label first."""
    expected = hashlib.sha256(b"\0" * 7 + b"\x05label" + b"\0" * 7 + b"\x03abc" + b"\0" * 8).digest()
    assert digest("label", b"abc", b"") == expected
