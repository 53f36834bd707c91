"""Long content between the node and the coordinator: its own vectors out, what a request names in.

Both go on from where a cut link stopped. Beside ``link.py`` this is the only module that speaks to the coordinator.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import Event, Lock
from typing import Any

import grpc

from node.channel import code_of, dial_beside
from node.gate import METADATA, Gate, wanted
from node.vectors import Vectors
from protocols import blobs
from protocols.blobs import Blob
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.wire_pb2 import BlobOffer, BlobPart, BlobWanted, Signed
from protocols.wire_pb2_grpc import BlobsStub

FOLDER = "blobs"
"""Folder of the node's home for what was fetched."""

KEPT = 4
"""Blobs that are kept there: the newest."""

PAUSE = 0.5
"""Seconds before another attempt."""

PATIENCE = 120.0
"""Seconds without anything arriving after which a vector is given up for this link."""

PASSING = frozenset({"unavailable", "busy", "displaced", "bad-digest"})
"""Codes after which another attempt may succeed."""

_log = logging.getLogger("node.blobs")


class Sender:
    """Sends the long vectors of uploads that were committed."""

    def __init__(self, *, gate: Gate, vectors: Vectors) -> None:
        """Prepare; nothing is sent yet."""
        self._gate = gate
        self._vectors = vectors
        self._held: dict[bytes, int] = {}
        self._advanced = False

    def advanced(self) -> bool:
        """Tell whether more arrived since this was last asked, so that a link that breaks again and again is worth it.

        A link that is cut in every transfer shall not be dialled ever more slowly while each one brings something.
        """
        told, self._advanced = self._advanced, False
        return told

    async def carry(self, channel: grpc.aio.Channel, upload: Signed) -> None:
        """Send the vector of an upload, from the last part that arrived on; raise Rejected where that is no use.

        A transfer that ends well and brings nothing forward is one that failed: tried again after a pause, and not for
        ever. Test:
        tests/node/test_blobs.py::test_a_coordinator_that_takes_a_vector_and_keeps_nothing_is_not_sent_it_without_end.

        Guarantee: nothing leaves but the bytes whose digest a committed and charged upload names. Test:
        tests/node/test_blobs.py::test_only_the_vector_of_a_charged_upload_leaves.
        """
        offer = self._gate.offer(upload)
        blob = blobs.read(offer.blob)
        checked, before = False, -1
        heard = time.monotonic()
        while True:
            try:
                held = (await BlobsStub(channel).Offer(offer, metadata=METADATA)).size
                if self._note(blob, held):
                    heard = time.monotonic()
                if held >= blob.size:
                    self._vectors.drop(blob)
                    self._held.pop(blob.digest, None)
                    return
                if not checked:
                    await asyncio.to_thread(self._vectors.insist, blob)
                    checked = True
                if held <= before:
                    if time.monotonic() - heard > PATIENCE:
                        raise Rejected("unavailable", "blob")
                    await asyncio.sleep(PAUSE)
                before = held
                await BlobsStub(channel).Put(self._parts(offer, blob, held), metadata=METADATA)
            except grpc.aio.AioRpcError as error:
                code = code_of(error)
                if code not in PASSING or time.monotonic() - heard > PATIENCE:
                    raise Rejected(code, "blob") from error
                _log.warning("a vector was not sent in full", extra={"code": code, "digest": blob.digest.hex()})
                await asyncio.sleep(PAUSE)
                before = -1

    def _note(self, blob: Blob, held: int) -> bool:
        """Note how much arrived; tell whether that is more than before."""
        more = held > self._held.get(blob.digest, 0)
        self._advanced |= more
        self._held[blob.digest] = held
        return more

    async def _parts(self, offer: BlobOffer, blob: Blob, held: int) -> AsyncIterator[BlobPart]:
        with self._vectors.path(blob).open("rb") as file:
            file.seek(held)
            while data := file.read(blobs.CHUNK):
                yield BlobPart(offer=offer, offset=held, data=data)
                held += len(data)
                offer = BlobOffer()


class Blobs:
    """Fetches what requests name; may be used from any thread but the node's loop."""

    def __init__(self, *, home: Path, credentials: Credentials) -> None:
        """Prepare; nothing is fetched yet."""
        self._folder = home / FOLDER
        self._credentials = credentials
        self._turn = Lock()
        self._ended = Event()
        self._call: Any = None

    def end(self) -> None:
        """Give up what is being fetched, and fetch nothing more: the node ends. From any thread.

        What came is kept for the next start. Test:
        tests/node/test_blobs.py::test_a_node_that_ends_waits_for_nothing_that_is_fetched.
        """
        self._ended.set()
        # A call that begins after this line sees the event: see ``_received``.
        if (call := self._call) is not None:
            call.cancel()

    def renew(self, credentials: Credentials) -> None:
        """Dial with a renewed certificate from now on."""
        self._credentials = credentials

    def fetch(self, digest: bytes, size: int, seconds: float) -> bytes:
        """Return the content with a digest; raise Rejected("unavailable") where it is not there in time.

        What came before a cut, or before the node was started again, is kept and continued.

        Guarantee: what is returned has this size and digest, whatever the coordinator sent. Test:
        tests/node/test_blobs.py::test_what_is_not_what_the_request_names_is_not_taken.
        """
        if not size:
            blobs.insist(b"", Blob(digest=digest, size=0))
            return b""
        blob = blobs.read(blobs.write(Blob(digest=digest, size=size)))
        until = time.monotonic() + seconds
        with self._turn:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            path = self._folder / digest.hex()
            try:
                while not (path.is_file() and _is(path, blob)):
                    path.unlink(missing_ok=True)
                    self._more(path.with_suffix(".part"), blob, until)
                    path.with_suffix(".part").replace(path)
                os.utime(path)
            finally:
                # Also where it did not come: its beginning is kept, and not those of ever more others.
                self._prune()
            return path.read_bytes()

    def _more(self, part: Path, blob: Blob, until: float) -> None:
        """Fetch what is missing, in as many attempts as there is time for."""
        while (held := part.stat().st_size if part.exists() else 0) < blob.size:
            left = until - time.monotonic()
            if self._ended.is_set():
                raise Rejected("unavailable", "the node ends")
            if left <= 0:
                raise Rejected("unavailable", "not fetched in time")
            try:
                with dial_beside(self._credentials) as channel:
                    for received in self._received(channel, wanted(blob.digest, held), left):
                        blobs.check_part(received, held=held, blob=blob)
                        held += _append(part, received.data)
            except grpc.RpcError as error:
                code = code_of(error)
                if code not in PASSING:
                    raise Rejected("unavailable", code) from error
            except Rejected:
                part.unlink(missing_ok=True)
            if held < blob.size:
                self._ended.wait(min(PAUSE, max(0.0, until - time.monotonic())))

    def _received(self, channel: grpc.Channel, request: BlobWanted, seconds: float) -> Iterator[BlobPart]:
        self._call = call = BlobsStub(channel).Get(request, timeout=seconds, metadata=METADATA)
        try:
            if self._ended.is_set():
                call.cancel()
            yield from call
        finally:
            self._call = None

    def _prune(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[KEPT:]:
            path.unlink(missing_ok=True)


def _append(part: Path, data: bytes) -> int:
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        return file.write(data)


def _is(path: Path, blob: Blob) -> bool:
    try:
        blobs.insist(path.read_bytes(), blob)
    except Rejected:
        return False
    return True
