"""The upload: one hospital's noisy vector for one round, signed by the hospital."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import checks, ring
from protocols.errors import Rejected
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Note, Role, Signed
from protocols.wire_pb2 import Upload as UploadMessage

KIND = "upload"

MOST_BYTES = (1 << 20) * ring.ENTRY_BYTES + (1 << 16)
"""Longest upload: the longest tally and its frame."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One hospital's contribution to a round."""

    site: str
    """Member id of the signer."""
    announcement: bytes
    """Digest of the announcement that it answers."""
    vector: Ring
    """Noisy, and hidden by masks; the last two entries are the check coordinates."""
    salt: bytes
    """Of the sealed shares."""
    sealed: bytes
    """Shares of the self-mask's key for the committee, in its order without the sender."""
    notes: tuple[Note, ...] = ()
    """Public remarks of the hospital's policy on its part."""
    minimum_cell: int = 0
    """Smallest count that the hospital's policy lets a page show; 0: any."""


def write(upload: Upload, *, federation: str, key: IdentityKey) -> Signed:
    """Sign an upload with the hospital's key."""
    message = UploadMessage(
        announcement=upload.announcement,
        vector=ring.pack(upload.vector),
        notes=upload.notes,
        salt=upload.salt,
        sealed=upload.sealed,
        minimum_cell=upload.minimum_cell,
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=upload.site, federation=federation, body=body)


def read(signed: Signed, *, roster: Roster, announcement: bytes, entries: int) -> Upload:
    """Return a hospital's upload for this announcement with exactly this many entries, check coordinates included."""
    checks.at_most(signed.body, MOST_BYTES, "upload")
    site = roster.member(signed.signer, Role.ROLE_NODE)
    body = verify(signed, kind=KIND, federation=roster.federation, public_key=site.identity_key)
    message = checks.parse(UploadMessage, body)
    if message.announcement != announcement:
        raise Rejected("replayed", "an upload for another announcement")
    said = set(message.notes)
    if not said <= set(Note.values()) - {Note.NOTE_UNSPECIFIED} or len(said) != len(message.notes):
        raise Rejected("malformed", "notes")
    return Upload(
        site=site.id,
        announcement=announcement,
        vector=ring.unpack(message.vector, entries),
        notes=tuple(message.notes),
        salt=message.salt,
        sealed=message.sealed,
        minimum_cell=message.minimum_cell,
    )
