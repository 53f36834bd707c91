"""The server's side of long content: who may send what, who may fetch what, and the parts on their way."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc

from coordinator.blob_store import BlobStore, Place
from coordinator.concerned import Concerned
from coordinator.errors import coded
from coordinator.members import Members, certificate_of
from protocols import blobs, checks
from protocols.errors import Rejected
from protocols.request import ID_BYTES
from protocols.roster import Member
from protocols.wire_pb2 import BlobHeld, BlobOffer, BlobPart, BlobWanted, Role
from protocols.wire_pb2_grpc import BlobsServicer

THREADS = 2
"""Most parts that are written or read at once."""

SILENCE = 30.0
"""Seconds that a caller has for its next part."""

SWEEP_SECONDS = 60.0
"""Between two looks at what has outlived its time."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class BlobsService(BlobsServicer):
    """Serves long content. The methods' names are those of wire.proto."""

    # ruff: noqa: N802

    def __init__(
        self, *, members: Members, store: BlobStore, concerned: Concerned, clock: Callable[[], float] = time.time
    ) -> None:
        """Serve these members out of this store."""
        self._members = members
        self._store = store
        self._concerned = concerned
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look at what has outlived its time."""
        self._sweeping = asyncio.ensure_future(self._sweep())

    def stop(self) -> None:
        """Write and read no more."""
        if self._sweeping:
            self._sweeping.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @coded
    async def Offer(self, message: BlobOffer, context: Any) -> BlobHeld:
        """Return how much of a blob that the caller may send is there; all of it only once its digest was checked."""
        place, _ = self._place(self._caller(context), message)
        if place.held == place.blob.size:
            await self._beside(lambda: self._store.finish(place))
        return BlobHeld(size=place.held)

    @coded
    async def Put(self, parts: AsyncIterator[BlobPart], context: Any) -> BlobHeld:
        """Take the parts of a blob, from where an earlier call stopped; return how much of it is there.

        Guarantee: an analyst sends under its own name only, a hospital only the one vector of the length that an open
        round awaits of it. Test: tests/coordinator/test_blobs.py::test_only_those_concerned_send_and_fetch.
        """
        member = self._caller(context)
        part = await _next(parts)
        if part is None:
            raise Rejected("malformed", "no part")
        place, only = self._place(member, part.offer)
        if place.whole:
            return BlobHeld(size=place.held)
        turn = await self._beside(lambda: self._store.begin(place, only=only))
        while part is not None:
            self._members.check(member.certificate_digest, member.role)
            await self._beside(_bound(self._store.add, place, turn, part))
            part = await _next(parts)
        held = place.held
        if held == place.blob.size:
            await self._beside(lambda: self._store.finish(place))
            log.info("held", extra={"peer": member.id, "digest": place.blob.digest.hex(), "bytes": held})
        return BlobHeld(size=held)

    @coded
    async def Get(self, message: BlobWanted, context: Any) -> None:
        """Send the parts of a blob, from an offset on.

        Guarantee: a hospital gets what an open request that asks it names, an analyst the sum of a release that it may
        read, and nobody anything else. Test:
        tests/coordinator/test_blobs.py::test_only_those_concerned_send_and_fetch.
        """
        member = self._caller(context)
        place = self._readable(member, message)
        if not place.whole:
            raise Rejected("unknown-blob", "not whole")
        offset = message.offset
        while offset < place.blob.size:
            self._members.check(member.certificate_digest, member.role)
            data = await self._beside(_bound(self._store.part, place, offset))
            try:
                await context.write(BlobPart(offset=offset, data=data))
            except grpc.aio.InternalError:
                # The caller is gone, and asks for the rest when it is back.
                return
            offset += len(data)

    # --- parts

    def _caller(self, context: Any) -> Member:
        digest = hashlib.sha256(certificate_of(context)).digest()
        known = self._members.roster.by_certificate.get(digest)
        return self._members.check(digest, Role.ROLE_NODE if known and known.role == Role.ROLE_NODE else _ANALYST)

    def _place(self, member: Member, offer: BlobOffer) -> tuple[Place, bool]:
        """Return where a member's blob comes to be, and whether it may have one there only."""
        blob = blobs.read(offer.blob)
        if member.role == Role.ROLE_NODE:
            if blob.size != self._concerned.expected(member.id, offer.announcement):
                raise Rejected("wrong-length", "vector")
            return self._store.upload(offer.announcement, member.id, blob), True
        if offer.announcement:
            raise Rejected("wrong-role", "an analyst sends no vector")
        if member.mandate is None or not member.mandate.purposes:
            raise Rejected("no-mandate", "blob")
        if member.mandate.expires_at < self._clock():
            raise Rejected("expired-mandate", "blob")
        return self._store.message(member.id, blob), False

    def _readable(self, member: Member, wanted: BlobWanted) -> Place:
        checks.exact_bytes(wanted.digest, blobs.DIGEST_BYTES, "digest")
        if member.role == Role.ROLE_NODE:
            return self._store.message(*self._concerned.sent_to(member.id, wanted.digest))
        checks.exact_bytes(wanted.release, ID_BYTES, "release")
        blob = self._concerned.sum_of(wanted.release, member)
        if blob.digest != wanted.digest:
            raise Rejected("unknown-blob", "of another release")
        return self._store.release(blob)

    async def _beside(self, work: Callable[[], T]) -> T:
        """Do what touches the disk away from the loop; it ends by itself also where the caller is gone."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            needed = {self._store.message(analyst, blob).file for analyst, blob in self._concerned.needed()}
            try:
                await self._beside(_bound(self._store.sweep, time.time(), needed))
            except Exception:
                log.exception("failed")


_ANALYST = Role.ROLE_ANALYST


def _bound(function: Callable[..., T], *arguments: Any) -> Callable[[], T]:
    return lambda: function(*arguments)


async def _next(parts: AsyncIterator[BlobPart]) -> BlobPart | None:
    try:
        return await asyncio.wait_for(anext(parts), SILENCE)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise Rejected("unavailable", "no part in time") from error
