"""The upload: one hospital's noisy vector for one round, signed by the hospital."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocols import blobs, checks, ring
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Note, Role, Signed
from protocols.wire_pb2 import Upload as UploadMessage

KIND = "upload"

MOST_BYTES = blobs.INLINE_BYTES + (1 << 20)
"""Longest upload: the longest vector that travels inside it, and its frame."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One hospital's contribution to a round."""

    site: str
    """Member id of the signer."""
    announcement: bytes
    """Digest of the announcement that it answers."""
    vector: Ring
    """Noisy, and hidden by masks; the last two entries are the check coordinates. Empty where ``blob`` names it."""
    salt: bytes
    """Of the sealed shares."""
    sealed: bytes
    """Shares of the self-mask's key for the committee, in its order without the sender."""
    notes: tuple[Note, ...] = ()
    """Public remarks of the hospital's policy on its part."""
    minimum_cell: int = 0
    """Smallest count that the hospital's policy lets a page show; 0: any."""
    blob: Blob | None = None
    """Names the vector where it is too long to travel inside the upload."""


def is_long(entries: int) -> bool:
    """Tell whether a vector of so many entries, check coordinates included, travels beside its message."""
    return entries * ring.ENTRY_BYTES > blobs.INLINE_BYTES


def write(upload: Upload, *, federation: str, key: IdentityKey) -> Signed:
    """Sign an upload with the hospital's key; a long vector is named by its digest."""
    blob = blobs.blob_of(ring.view(upload.vector)) if is_long(len(upload.vector)) else upload.blob
    message = UploadMessage(
        announcement=upload.announcement,
        vector=b"" if blob else ring.pack(upload.vector),
        blob=blobs.write(blob) if blob else None,
        notes=upload.notes,
        salt=upload.salt,
        sealed=upload.sealed,
        minimum_cell=upload.minimum_cell,
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=upload.site, federation=federation, body=body)


def read(signed: Signed, *, roster: Roster, announcement: bytes, entries: int) -> Upload:
    """Return a hospital's upload for this announcement with exactly this many entries, check coordinates included.

    Guarantee: a vector has one way to travel by its length alone, and a blob is the hospital's word for exactly so many
    entries. Test: tests/protocols/test_upload.py::test_a_vector_travels_in_one_way_only.
    """
    checks.at_most(signed.body, MOST_BYTES, "upload")
    site = roster.member(signed.signer, Role.ROLE_NODE)
    body = verify(signed, kind=KIND, federation=roster.federation, public_key=site.identity_key)
    message = checks.parse(UploadMessage, body)
    if message.announcement != announcement:
        raise Rejected("replayed", "an upload for another announcement")
    said = set(message.notes)
    if not said <= set(Note.values()) - {Note.NOTE_UNSPECIFIED} or len(said) != len(message.notes):
        raise Rejected("malformed", "notes")
    blob = None
    if is_long(entries):
        blob = blobs.read(message.blob)
        if message.vector or blob.size != entries * ring.ENTRY_BYTES:
            raise Rejected("wrong-length", f"a blob of {blob.size} bytes for {entries} entries")
    elif message.HasField("blob"):
        raise Rejected("malformed", "a short vector beside its upload")
    return Upload(
        site=site.id,
        announcement=announcement,
        vector=np.zeros(0, dtype=np.uint64) if blob else ring.unpack(message.vector, entries),
        notes=tuple(message.notes),
        salt=message.salt,
        sealed=message.sealed,
        minimum_cell=message.minimum_cell,
        blob=blob,
    )


def blob_of(signed: Signed) -> Blob | None:
    """Return the name of an upload's vector where it travels beside it; None where it does not."""
    message = checks.parse(UploadMessage, signed.body)
    return blobs.read(message.blob) if message.HasField("blob") else None
