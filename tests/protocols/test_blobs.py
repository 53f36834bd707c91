import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import blobs
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.wire_pb2 import Blob as BlobMessage
from protocols.wire_pb2 import BlobPart


@given(content=st.binary(min_size=1, max_size=64), other=st.binary(max_size=64))
def test_no_other_content_passes_for_a_blob(content, other):
    """Only the very bytes that were named pass, whatever their length."""
    blob = blobs.blob_of(content)
    blobs.insist(content, blob)
    blobs.insist(memoryview(bytearray(content)), blob)
    for wrong in {other, content[:-1], content + b"\0"} - {content}:
        with pytest.raises(Rejected):
            blobs.insist(wrong, blob)


def test_content_of_the_right_length_is_told_from_content_of_another():
    """A cut is told as a length, a change as a digest."""
    blob = blobs.blob_of(b"content")
    for wrong, code in ((b"conten", "wrong-length"), (b"Content", "bad-digest")):
        with pytest.raises(Rejected) as refused:
            blobs.insist(wrong, blob)
        assert refused.value.code == code


@given(held=st.integers(0, 300), offset=st.integers(0, 300), length=st.integers(0, 300))
def test_a_part_only_ever_continues_what_is_there(held, offset, length):
    """A part is taken if and only if it starts where what is there ends, brings something, and ends within the blob."""
    blob = Blob(digest=bytes(32), size=200)
    part = BlobPart(offset=offset, data=bytes(length))
    if offset == held and length and held + length <= blob.size:
        blobs.check_part(part, held=held, blob=blob)
    else:
        with pytest.raises(Rejected):
            blobs.check_part(part, held=held, blob=blob)


def test_a_part_is_no_longer_than_a_chunk():
    """Nobody has to hold more than a chunk at once."""
    blob = Blob(digest=bytes(32), size=blobs.MOST_BYTES)
    blobs.check_part(BlobPart(data=bytes(blobs.CHUNK)), held=0, blob=blob)
    with pytest.raises(Rejected, match="oversized"):
        blobs.check_part(BlobPart(data=bytes(blobs.CHUNK + 1)), held=0, blob=blob)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (BlobMessage(digest=bytes(32)), "oversized"),
        (BlobMessage(digest=bytes(32), size=blobs.MOST_BYTES + 1), "oversized"),
        (BlobMessage(digest=bytes(31), size=1), "malformed"),
        (BlobMessage(size=1), "malformed"),
    ],
)
def test_a_name_of_no_possible_blob_is_refused(message, code):
    """Empty, too long, or with another than a digest."""
    with pytest.raises(Rejected) as refused:
        blobs.read(message)
    assert refused.value.code == code


def test_a_name_is_read_back_as_it_was_written():
    """Writing and reading are inverse."""
    blob = blobs.blob_of(b"content")
    assert blobs.read(blobs.write(blob)) == blob
