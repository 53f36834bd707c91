"""Long content to and from the coordinator, from wherever a cut link stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from farr.errors import FarrError
from farr.questions.states import PASSING
from farr.texts import _
from protocols import blobs
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.wire_pb2 import BlobOffer, BlobPart, BlobWanted

PATIENCE = 60.0
"""Seconds for which a coordinator that went away is tried again, from the last byte that arrived on."""

PAUSE = 0.5
"""Seconds before another attempt."""

AGAIN = frozenset({*PASSING, "displaced"})
"""Codes after which another attempt may succeed."""

Told = Callable[[int, int], None]
"""Hears how many bytes have arrived, and of how many."""


class Carrier(Protocol):
    """The part of ``farr.channel.Line`` that carries long content; every failure is a FarrError with a code."""

    def offer(self, offer: BlobOffer) -> int:
        """Return how many bytes of a blob the coordinator has."""

    def put(self, parts: Iterator[BlobPart]) -> int:
        """Send parts of a blob; return how many bytes of it the coordinator has."""

    def get(self, wanted: BlobWanted) -> Iterator[BlobPart]:
        """Yield the parts of a blob."""


def _untold(_arrived: int, _size: int) -> None:
    """Tell nobody."""


def send(line: Carrier, data: bytes, told: Told = _untold) -> bytes:
    """Have the coordinator keep some content for a request that is to name it; return its digest.

    What the coordinator has already, of an earlier attempt or an earlier run, is not sent again. Raises FarrError
    where the coordinator stays away for ``PATIENCE`` seconds or does not take it.
    """
    blob = blobs.blob_of(data)
    if not data:
        return blob.digest
    if blob.size > blobs.MOST_BYTES:
        raise FarrError(
            "oversized",
            _("{size} bytes are more than may be sent at once").format(size=f"{len(data):,}"),
            remedy=_("send a smaller model: at most {most} bytes").format(most=f"{blobs.MOST_BYTES:,}"),
        )
    offer = BlobOffer(blob=blobs.write(blob))
    most, heard = -1, time.monotonic()
    while True:
        try:
            held = line.offer(offer)
            told(held, blob.size)
            if held >= blob.size:
                return blob.digest
            if held > most:
                most, heard = held, time.monotonic()
            line.put(_parts(data, offer, held))
        except FarrError as error:
            if error.code not in AGAIN or time.monotonic() - heard > PATIENCE:
                raise
            time.sleep(PAUSE)


def fetch(line: Carrier, blob: Blob, release: bytes, told: Told = _untold) -> bytes:
    """Return the long sum of a release, by the release's id; raise FarrError where it cannot be had.

    Guarantee: what is returned has the digest that the signed release names. Test:
    tests/farr/test_blobs_fetched.py::test_what_is_not_what_the_release_names_is_not_taken.
    """
    arrived = bytearray()
    heard = time.monotonic()
    while len(arrived) < blob.size:
        failure = FarrError("timeout", _("no answer in the time that was given"))
        try:
            wanted = BlobWanted(digest=blob.digest, offset=len(arrived), release=release)
            for part in line.get(wanted):
                blobs.check_part(part, held=len(arrived), blob=blob)
                arrived += part.data
                heard = time.monotonic()
                told(len(arrived), blob.size)
        except Rejected as rejected:
            raise _wrong(rejected) from rejected
        except FarrError as error:
            if error.code not in AGAIN:
                raise
            failure = error
        if len(arrived) < blob.size:
            if time.monotonic() - heard > PATIENCE:
                raise failure
            time.sleep(PAUSE)
    found = bytes(arrived)
    try:
        blobs.insist(found, blob)
    except Rejected as rejected:
        raise _wrong(rejected) from rejected
    return found


def _parts(data: bytes, offer: BlobOffer, held: int) -> Iterator[BlobPart]:
    view = memoryview(data)
    for offset in range(held, len(data), blobs.CHUNK):
        yield BlobPart(offer=offer, offset=offset, data=bytes(view[offset : offset + blobs.CHUNK]))
        offer = BlobOffer()


def _wrong(rejected: Rejected) -> FarrError:
    return FarrError(
        rejected.code,
        _("what the coordinator sent is not what the signed release names"),
        remedy=_("try again; if it goes on, tell the registrar: the coordinator's disk or program is at fault"),
    )
