"""Whom a blob concerns, as the requests, the rounds and the releases say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from coordinator.reading import Reading
from coordinator.requests import Requests
from protocols import release as releases
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.roster import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """The answers to what ``blobs.BlobsService`` asks."""

    requests: Requests
    """Those that wait or run."""
    reading: Reading
    """Who may read which release."""

    def expected(self, site: str, tau: bytes) -> int:
        """Return the bytes of the vector that a hospital has yet to send for an open round; raise Rejected if none."""
        return self.requests.rounds.expected(site, tau)

    def sent_to(self, site: str, digest: bytes) -> tuple[str, Blob]:
        """Return the analyst and the blob that an open request names to a hospital; raise Rejected if none does."""
        for question in self.requests.open:
            blob = question.message
            if blob is not None and blob.digest == digest and site in question.request.sites:
                return question.request.analyst, blob
        raise Rejected("unknown-blob", "no open request names it to this hospital")

    def sum_of(self, release: bytes, analyst: Member) -> Blob:
        """Return the name of a release's long sum; raise Rejected unless the analyst may read it."""
        blob = releases.blob_of(self.reading.release(release, analyst))
        if blob is None:
            raise Rejected("unknown-blob", "the sum is in the release")
        return blob

    def needed(self) -> Collection[tuple[str, Blob]]:
        """Return the blobs that open requests name, with their analysts."""
        return [
            (question.request.analyst, question.message)
            for question in self.requests.open
            if question.message is not None
        ]
