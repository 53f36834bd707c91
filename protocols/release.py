"""The release: the noisy sum of a round, signed by the coordinator and kept for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols import announcement, blobs, checks, ring
from protocols.announcement import Announcement
from protocols.blobs import Blob, Bytes
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Contribution, Note, Signed
from protocols.wire_pb2 import Release as ReleaseMessage

KIND = "release"
MASKS = "farrsum"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What came out of a round."""

    id: bytes
    """Of the request."""
    announcement: Signed
    """What the hospitals answered."""
    vector: Ring
    """The sum of the uploads, on the grid of each block's noise. Empty where only ``blob`` is known of it."""
    contributors: tuple[str, ...]
    """Hospitals in the sum, sorted."""
    notes: Mapping[str, tuple[Note, ...]]
    """Remarks of those who had any."""
    released_at: int
    """Seconds since 1970, UTC."""
    seconds: float
    """From announcement to sum."""
    masks: str = MASKS
    """How the uploads were hidden from the coordinator."""
    minimum_cells: Mapping[str, int] = field(default_factory=dict)
    """Smallest count that a hospital's policy lets a page show, of those that have one."""
    blob: Blob | None = None
    """Names the sum where it is too long to travel inside the release."""

    @property
    def minimum_cell(self) -> int:
        """Return the smallest count that a page shows by the strictest of the policies; 0: any."""
        return max(self.minimum_cells.values(), default=0)


def write(release: Release, roster: Roster, key: IdentityKey) -> Signed:
    """Sign a release with the coordinator's key; a long sum is named by its digest."""
    blob = release.blob
    if blob is None and is_long(len(release.vector)):
        blob = blobs.blob_of(ring.view(release.vector))
    message = ReleaseMessage(
        federation=roster.federation,
        id=release.id,
        announcement=release.announcement.SerializeToString(deterministic=True),
        vector=b"" if blob else ring.pack(release.vector),
        blob=blobs.write(blob) if blob else None,
        contributors=release.contributors,
        contributions=[
            Contribution(site=site, notes=release.notes.get(site, ()), minimum_cell=release.minimum_cells.get(site, 0))
            for site in sorted({*release.notes, *release.minimum_cells})
        ],
        released_at=release.released_at,
        seconds=release.seconds,
        masks=release.masks,
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=roster.coordinator.id, federation=roster.federation, body=body)


def is_long(entries: int) -> bool:
    """Tell whether a sum of so many entries travels beside its release."""
    return entries * ring.ENTRY_BYTES > blobs.INLINE_BYTES


def blob_of(signed: Signed) -> Blob | None:
    """Return the name of a release's sum where it travels beside it; None where it does not."""
    message = checks.parse(ReleaseMessage, signed.body)
    return blobs.read(message.blob) if message.HasField("blob") else None


def read(signed: Signed, *, federation: str, coordinator_key: bytes, vector: Bytes = b"") -> Release:
    """Return a release that this coordinator signed; ``vector`` is the content of the blob that it names, if it does.

    Guarantee: a sum that came beside its release is the one that the coordinator signed. Test:
    tests/protocols/test_release.py::test_a_long_sum_is_the_one_that_was_signed.
    """
    body = verify(signed, kind=KIND, federation=federation, public_key=coordinator_key)
    message = checks.parse(ReleaseMessage, body)
    if message.federation != federation or len(message.vector) % ring.ENTRY_BYTES:
        raise Rejected("malformed", "release")
    blob = None
    content: Bytes = message.vector
    if message.HasField("blob"):
        blob, content = blobs.read(message.blob), vector
        if message.vector or blob.size % ring.ENTRY_BYTES or not is_long(blob.size // ring.ENTRY_BYTES):
            raise Rejected("malformed", "a short sum beside its release, or two")
        blobs.insist(vector, blob)
    elif vector:
        raise Rejected("malformed", "two sums")
    return Release(
        id=message.id,
        announcement=checks.parse(Signed, message.announcement),
        vector=ring.unpack(content, len(content) // ring.ENTRY_BYTES),
        contributors=checks.rising(message.contributors, "contributors"),
        notes={each.site: tuple(each.notes) for each in message.contributions if each.notes},
        released_at=message.released_at,
        seconds=message.seconds,
        masks=message.masks,
        minimum_cells={each.site: each.minimum_cell for each in message.contributions if each.minimum_cell},
        blob=blob,
    )


def announced(release: Release, *, roster: Roster, now: int) -> Announcement:
    """Return the announcement behind a release, verified against the roster that it was made for."""
    return announcement.read(release.announcement, roster=roster, now=now)


def digest_of(signed: Signed) -> bytes:
    """Return the digest that names a release."""
    return digest("farr1/release", signed.body)
