"""Long content that travels beside the messages: in parts, from wherever a cut link stopped, known by its digest.

Nothing is believed of a blob but its digest, which a signed object names: a request names what hospitals are sent, an
upload or a release its long vector. How it travelled does not matter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocols import checks
from protocols.errors import Rejected
from protocols.wire_pb2 import Blob as BlobMessage
from protocols.wire_pb2 import BlobPart

Bytes = bytes | bytearray | memoryview

DIGEST_BYTES = 32

CHUNK = 1 << 18
"""Most bytes of a part: what was on its way when a link was cut is sent again."""

WINDOW = 1 << 20
"""Bytes that a receiver lets be on their way at once, of one call: a megabyte each time that a bit goes there and back
is enough for any line between hospitals, and is all that a cut can cost."""

INLINE_BYTES = 1 << 20
"""Longest vector that travels inside its message, so that a short one needs no further round trip."""

MOST_BYTES = ((1 << 24) + (1 << 17)) * 8
"""Longest blob: the longest vector of an update, or a message to an app with its frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """What is known of a blob before it is there."""

    digest: bytes
    """SHA-256, 32 bytes."""
    size: int
    """Bytes."""


def blob_of(data: Bytes) -> Blob:
    """Return the name of some content."""
    view = memoryview(data).cast("B")
    return Blob(digest=hashlib.sha256(view).digest(), size=view.nbytes)


def write(blob: Blob) -> BlobMessage:
    """Return a blob's name as a message holds it."""
    return BlobMessage(digest=blob.digest, size=blob.size)


def read(message: BlobMessage) -> Blob:
    """Return a blob's name; raise Rejected for one of no possible blob."""
    if not 0 < message.size <= MOST_BYTES:
        raise Rejected("oversized", f"a blob of {message.size} bytes")
    return Blob(digest=checks.exact_bytes(message.digest, DIGEST_BYTES, "digest"), size=message.size)


def insist(data: Bytes, blob: Blob) -> None:
    """Raise Rejected unless this is the content that the blob's name stands for.

    Guarantee: what a signed object names cannot be replaced, shortened or continued on its way. Test:
    tests/protocols/test_blobs.py::test_no_other_content_passes_for_a_blob.
    """
    found = blob_of(data)
    if found.size != blob.size:
        raise Rejected("wrong-length", f"{found.size} bytes for {blob.size}")
    if found.digest != blob.digest:
        raise Rejected("bad-digest", "blob")


def check_part(part: BlobPart, *, held: int, blob: Blob) -> None:
    """Raise Rejected unless a part follows the ``held`` bytes that are there and stays within the blob.

    Guarantee: nothing that is there is ever written over, and nobody is made to keep more than was announced. Test:
    tests/protocols/test_blobs.py::test_a_part_only_ever_continues_what_is_there.
    """
    if part.offset != held:
        raise Rejected("malformed", f"a part at {part.offset}, {held} bytes are there")
    if not 0 < len(part.data) <= CHUNK or held + len(part.data) > blob.size:
        raise Rejected("oversized", f"a part of {len(part.data)} bytes")
