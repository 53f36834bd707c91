import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import ring
from protocols.errors import Rejected

VECTORS = hnp.arrays(np.int64, st.integers(0, 20), elements=st.integers(-(1 << 63), (1 << 63) - 1))


@given(VECTORS)
def test_signed_numbers_survive_the_ring_and_the_wire(values):
    """To the ring, to bytes, and back."""
    packed = ring.pack(ring.to_ring(values))
    assert len(packed) == values.size * ring.ENTRY_BYTES
    assert np.array_equal(ring.centred(ring.unpack(packed, values.size)), values)


@given(st.integers(1, 10), st.data())
def test_addition_is_that_of_whole_numbers_modulo_two_to_the_64(length, data):
    """Wrap-around included, for every pair."""
    arrays = hnp.arrays(np.uint64, length, elements=st.integers(0, (1 << 64) - 1))
    one, other = data.draw(arrays), data.draw(arrays)
    expected = [(int(a) + int(b)) % (1 << 64) for a, b in zip(one, other, strict=True)]
    assert [int(entry) for entry in ring.add(one, other)] == expected


def test_entries_are_little_endian_on_every_machine():
    """The wire format, byte for byte."""
    assert ring.pack(ring.to_ring(np.array([1, -1], dtype=np.int64))) == b"\x01" + bytes(7) + b"\xff" * 8


@given(st.binary(max_size=40), st.integers(0, 6))
def test_any_other_length_is_refused(data, entries):
    """Exactly eight bytes an entry, exactly as many as expected."""
    if len(data) == entries * ring.ENTRY_BYTES:
        assert ring.unpack(data, entries).size == entries
    else:
        with pytest.raises(Rejected, match="wrong-length"):
            ring.unpack(data, entries)
