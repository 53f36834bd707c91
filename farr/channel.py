"""The analyst's line to the coordinator: mutual TLS, one place where what goes wrong on it gets its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from farr import blobs
from farr.dialing import Caller, code_of, explain
from farr.errors import FarrError
from farr.texts import _
from protocols import checks, ring
from protocols import release as releases
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.wire_pb2 import (
    BlobHeld,
    BlobOffer,
    BlobPart,
    BlobWanted,
    Description,
    Evidence,
    Nothing,
    Releases,
    RequestId,
    RequestStatus,
    RequestStatuses,
    RequestsWanted,
    RosterVersion,
    Signed,
    State,
)
from protocols.wire_pb2 import Release as ReleaseMessage
from protocols.wire_pb2_grpc import AnalystsStub, BlobsStub

LISTED_BYTES = (1 << 20) * ring.ENTRY_BYTES
"""Longest sum of a question, which is shown with others; only updates of apps are longer."""

_ID_BEGINS = re.compile(r"[0-9a-f]{0,32}")

QUICK = 30.0
"""Seconds for a call that no hospital takes part in."""


class Line:
    """Calls to the coordinator's service for analysts; every failure is a FarrError with a code."""

    def __init__(self, credentials: Credentials) -> None:
        """Open the channel; nothing is sent until the first call."""
        self._caller = Caller(
            address=credentials.address,
            ca_certificate=credentials.ca_certificate,
            certificate=credentials.certificate,
            key=credentials.tls_key,
        )
        self._channel = self._caller.channel()
        self._stub = AnalystsStub(self._channel)
        self._blobs = BlobsStub(self._channel)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def describe(self) -> Description:
        """Fetch the roster, the catalogue and what is publicly known of the hospitals."""
        described: Description = self._call(self._stub.Describe, Nothing())
        return described

    def submit(self, request: Signed) -> RequestStatus:
        """Hand in a signed request."""
        status: RequestStatus = self._call(self._stub.Submit, request)
        return status

    def requests(self, most: int, only: Sequence[State], beginning: str) -> list[RequestStatus]:
        """Fetch the state of the analyst's own requests, newest first, page by page.

        At most ``most`` (0: all), in one of the states ``only`` (none: in any), with ids that begin so (hex).

        Guarantee: whatever a coordinator sends, nothing else is taken for what was asked for. Test:
        tests/farr/test_channel.py::test_what_was_not_asked_for_is_passed_over.
        """
        found: list[RequestStatus] = []
        if not _ID_BEGINS.fullmatch(beginning):
            return found
        wanted, more = RequestsWanted(states=only, beginning=beginning), True
        while more and (not most or len(found) < most):
            wanted.most = most - len(found) if most else 0
            page: RequestStatuses = self._call(self._stub.Requests, wanted)
            # A coordinator of an earlier version sends all that there are.
            found += (
                each
                for each in page.requests
                if each.id.hex().startswith(beginning) and (not only or each.state in only)
            )
            # A page of none would be asked for again for ever.
            more = page.more and bool(page.requests)
            wanted.before = page.requests[-1].id if page.requests else b""
        return found[:most] if most else found

    def cancel(self, request: bytes) -> RequestStatus:
        """Give up a request that waits or runs."""
        status: RequestStatus = self._call(self._stub.Cancel, RequestId(id=request))
        return status

    def release(self, identifier: bytes) -> Signed:
        """Fetch the release of a request."""
        signed: Signed = self._call(self._stub.Release, RequestId(id=identifier))
        return signed

    def prove(self, identifier: bytes) -> Evidence:
        """Fetch what a third party needs to check the release of a request."""
        evidence: Evidence = self._call(self._stub.Prove, RequestId(id=identifier))
        evidence.vector = self.vector(evidence.release)
        return evidence

    def releases(self) -> Sequence[Signed]:
        """Fetch the releases, newest first, but for those of an app's round, whose sums are fetched one by one."""
        found: Releases = self._call(self._stub.ReleaseList, Nothing())
        return [each for each in found.releases if _is_listed(each)]

    def vector(self, release: Signed) -> bytes:
        """Fetch the sum of a release where it is too long to travel inside it; empty where it is inside."""
        blob = releases.blob_of(release)
        return b"" if blob is None else blobs.fetch(self, blob, checks.parse(ReleaseMessage, release.body).id)

    # --- long content: see farr.blobs

    def offer(self, offer: BlobOffer) -> int:
        """Return how many bytes of a blob the coordinator has."""
        held: BlobHeld = self._call(self._blobs.Offer, offer)
        return held.size

    def put(self, parts: Iterator[BlobPart]) -> int:
        """Send parts of a blob; return how many bytes of it the coordinator has."""
        try:
            held: BlobHeld = self._blobs.Put(parts)
        except grpc.RpcError as error:
            raise explain(error, self._caller) from None
        return held.size

    def get(self, wanted: BlobWanted) -> Iterator[BlobPart]:
        """Yield the parts of a blob."""
        try:
            yield from self._blobs.Get(wanted)
        except grpc.RpcError as error:
            raise explain(error, self._caller) from None

    def roster(self, version: int) -> Signed:
        """Fetch an earlier roster."""
        signed: Signed = self._call(self._stub.Roster, RosterVersion(version=version))
        return signed

    def watch(self, request: bytes, timeout: float | None) -> Iterator[RequestStatus]:
        """Yield the states of a request until its final one; after ``timeout`` seconds raise FarrError("timeout")."""
        try:
            yield from self._stub.Watch(RequestId(id=request), timeout=timeout)
        except grpc.RpcError as error:
            if _is_late(error):
                raise FarrError(
                    "timeout",
                    _("no answer in the time that was given"),
                    remedy=_("the request goes on; wait for it with: farr requests wait {id}").format(
                        id=request.hex()[:8]
                    ),
                    details={"id": request.hex()},
                ) from None
            raise explain(error, self._caller) from None

    def _call(self, method: Callable[..., Any], message: object) -> Any:
        try:
            return method(message, timeout=QUICK)
        except grpc.RpcError as error:
            # Only the code counts: free text of the other side is not shown, since nobody vouches for it.
            raise explain(error, self._caller) from None


def _is_listed(release: Signed) -> bool:
    try:
        blob = releases.blob_of(release)
    except Rejected:
        # Shown to be wrong where it is opened.
        return True
    return blob is None or blob.size <= LISTED_BYTES


def _is_late(error: Any) -> bool:
    return not code_of(error) and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
