"""The announcement: the coordinator opens a round for a request. Its digest, tau, names the round everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import checks, request
from protocols.errors import Rejected
from protocols.farrsum.parameters import honest
from protocols.hashing import digest
from protocols.request import Request
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import Signed

KIND = "announcement"
FREEZE_BYTES = 32
LONGEST_ROUND = 3600
"""Seconds that a round may stay open."""


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A round, as its members see it."""

    request: Request
    """The question, with the analyst's signature already verified."""
    signed_request: Signed
    """The same, as it was signed."""
    roster: int
    """Version of the roster that it was made for."""
    epoch: int
    """Number of the epoch whose keys hide the round."""
    freeze: bytes
    """E: digest of the epoch's list of keys, 32 bytes."""
    slot: int
    """Never used twice in an epoch."""
    contributors: tuple[str, ...]
    """The cohort, sorted: those that the request asks, and others of the epoch that add zeros with noise."""
    minimum: int
    """m: fewest uploads for a release."""
    colluders: int
    """c: those feared by the request's trust setting, of the whole roster."""
    honest: int
    """h: how many honest shares of noise the price relies on."""
    deadline: int
    """Seconds since 1970, UTC: uploads after it do not count."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the contributors whose records are asked for."""
        return tuple(site for site in self.contributors if site in self.request.sites)


def write(announcement: Announcement, roster: Roster, key: IdentityKey) -> Signed:
    """Sign an announcement with the coordinator's key."""
    message = AnnouncementMessage(
        federation=roster.federation,
        roster=announcement.roster,
        epoch=announcement.epoch,
        freeze=announcement.freeze,
        slot=announcement.slot,
        request=announcement.signed_request.SerializeToString(deterministic=True),
        contributors=announcement.contributors,
        minimum=announcement.minimum,
        colluders=announcement.colluders,
        honest=announcement.honest,
        deadline=announcement.deadline,
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=roster.coordinator.id, federation=roster.federation, body=body)


def read(signed: Signed, *, roster: Roster, now: int) -> Announcement:
    """Return an announcement of this roster's coordinator for a request that is good in itself.

    The noise that the price relies on is computed here from the roster and the request's trust setting, and an
    announcement that says otherwise is refused.

    Guarantee: the coordinator cannot re-aim a request (other hospitals, a lower minimum), understate the noise, or open
    a round for a roster that this member does not hold. Test: tests/protocols/test_announcement.py.
    """
    body = verify(signed, kind=KIND, federation=roster.federation, public_key=roster.coordinator.identity_key)
    message = checks.parse(AnnouncementMessage, body)
    if message.federation != roster.federation:
        raise Rejected("wrong-federation", "announcement")
    if message.roster != roster.version:
        raise Rejected("stale-roster", f"announced for {message.roster}, held {roster.version}")
    signed_request = checks.parse(Signed, message.request)
    asked = request.read(signed_request, roster=roster, now=now)
    checks.not_expired(message.deadline, now, "announcement")
    checks.not_future(message.deadline, now + LONGEST_ROUND, "announcement")
    contributors = checks.rising(message.contributors, "contributors")
    if not set(contributors) <= roster.nodes.keys():
        raise Rejected("out-of-scope", "contributors that are not members")
    if len(set(contributors) & set(asked.sites)) < asked.minimum or message.minimum > len(contributors):
        raise Rejected("too-few", "contributors")
    colluders = asked.trust.colluders(len(roster.nodes))
    noisy = honest(message.minimum, asked.trust, len(roster.nodes))
    if (message.colluders, message.honest) != (colluders, noisy):
        raise Rejected("malformed", f"c = {message.colluders}, h = {message.honest}, not {colluders} and {noisy}")
    return Announcement(
        request=asked,
        signed_request=signed_request,
        roster=message.roster,
        epoch=message.epoch,
        freeze=checks.exact_bytes(message.freeze, FREEZE_BYTES, "freeze"),
        slot=message.slot,
        contributors=contributors,
        minimum=message.minimum,
        colluders=message.colluders,
        honest=message.honest,
        deadline=message.deadline,
    )


def tau(signed: Signed) -> bytes:
    """Return the digest that names the round: 32 bytes over the exact bytes that were signed."""
    return digest("farr1/announcement", signed.body)
