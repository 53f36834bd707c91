"""The announcement: the coordinator opens a round for a request. Its digest, tau, names the round everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import checks, request
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.request import Request
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import Signed

KIND = "announcement"
LONGEST_ROUND = 3600
"""Seconds that a round may stay open."""


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A round, as its members see it."""

    request: Request
    """The question, with the analyst's signature already verified."""
    signed_request: Signed
    """The same, as it was signed."""
    epoch: int
    """Version of the roster that it was made for."""
    slot: int
    """Never used twice in an epoch."""
    contributors: tuple[str, ...]
    """Hospitals in the round, sorted."""
    minimum: int
    """Fewest uploads for a release."""
    honest: int
    """h: how many honest shares of noise the price relies on."""
    deadline: int
    """Seconds since 1970, UTC: uploads after it do not count."""


def write(announcement: Announcement, roster: Roster, key: IdentityKey) -> Signed:
    """Sign an announcement with the coordinator's key."""
    message = AnnouncementMessage(
        federation=roster.federation,
        epoch=announcement.epoch,
        slot=announcement.slot,
        request=announcement.signed_request.SerializeToString(deterministic=True),
        contributors=announcement.contributors,
        minimum=announcement.minimum,
        honest=announcement.honest,
        deadline=announcement.deadline,
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=roster.coordinator.id, federation=roster.federation, body=body)


def read(signed: Signed, *, roster: Roster, now: int) -> Announcement:
    """Return an announcement of this roster's coordinator for a request that is good in itself.

    Guarantee: the coordinator cannot re-aim a request (other hospitals, a lower minimum) or open a round for a roster
    that this member does not hold. Test: tests/protocols/test_announcement.py.
    """
    body = verify(signed, kind=KIND, federation=roster.federation, public_key=roster.coordinator.identity_key)
    message = checks.parse(AnnouncementMessage, body)
    if message.federation != roster.federation:
        raise Rejected("wrong-federation", "announcement")
    if message.epoch != roster.version:
        raise Rejected("stale-roster", f"announced for {message.epoch}, held {roster.version}")
    signed_request = checks.parse(Signed, message.request)
    asked = request.read(signed_request, roster=roster, now=now)
    checks.not_expired(message.deadline, now, "announcement")
    checks.not_future(message.deadline, now + LONGEST_ROUND, "announcement")
    contributors = checks.rising(message.contributors, "contributors")
    if not set(contributors) <= set(asked.sites) or not set(contributors) <= roster.nodes.keys():
        raise Rejected("out-of-scope", "contributors that were not asked or are not members")
    if not asked.minimum <= message.minimum <= len(contributors):
        raise Rejected("too-few", "minimum")
    if not 1 <= message.honest <= message.minimum:
        raise Rejected("malformed", "honest minimum")
    return Announcement(
        request=asked,
        signed_request=signed_request,
        epoch=message.epoch,
        slot=message.slot,
        contributors=contributors,
        minimum=message.minimum,
        honest=message.honest,
        deadline=message.deadline,
    )


def tau(signed: Signed) -> bytes:
    """Return the digest that names the round: 32 bytes over the exact bytes that were signed."""
    return digest("farr1/announcement", signed.body)
