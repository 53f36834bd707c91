"""The roster: who is a member, signed by the registrar. A member holds one registrar key, from its join token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from protocols import checks
from protocols import mandate as mandates
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.mandate import Mandate
from protocols.signing import KEY_BYTES, IdentityKey, sign, verify
from protocols.wire_pb2 import Attribute, Role, Signed
from protocols.wire_pb2 import Member as MemberMessage
from protocols.wire_pb2 import Roster as RosterMessage

KIND = "roster"
MOST_VERSION = (1 << 63) - 1
"""Highest version of a roster: the greatest whole number that a party's state can hold."""

REGISTRAR = "registrar"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of a federation."""

    id: str
    """A name that is unique in the federation."""
    role: Role
    """What it may do."""
    identity_key: bytes
    """Ed25519 public key, 32 bytes."""
    certificate_digest: bytes
    """SHA-256 of its TLS certificate in DER: ties the connection to the member."""
    label_en: str
    """Name for people, English."""
    label_zh: str
    """Name for people, Chinese."""
    attributes: Mapping[str, str]
    """Public facts, such as a hospital's country."""
    joined_at: int
    """Seconds since 1970, UTC."""
    expires_at: int
    """Seconds since 1970, UTC: when its certificate ends."""
    mandate: Mandate | None = None
    """What an analyst may ask; None: nothing, as for all others."""


@dataclass(frozen=True, kw_only=True)
class Roster:
    """All members of a federation at one version."""

    federation: str
    """Name of the federation."""
    version: int
    """Rises by one with every roster."""
    issued_at: int
    """Seconds since 1970, UTC."""
    catalogue_digest: bytes
    """SHA-256 of the catalogue that holds."""
    members: tuple[Member, ...]
    """Sorted by id."""

    @cached_property
    def by_id(self) -> Mapping[str, Member]:
        """Return the members by id."""
        return MappingProxyType({member.id: member for member in self.members})

    @cached_property
    def by_certificate(self) -> Mapping[bytes, Member]:
        """Return the members by the digest of their TLS certificate."""
        return MappingProxyType({member.certificate_digest: member for member in self.members})

    @cached_property
    def nodes(self) -> Mapping[str, Mapping[str, str]]:
        """Return the public attributes of every hospital, by id."""
        return MappingProxyType(
            {member.id: member.attributes for member in self.members if member.role == Role.ROLE_NODE}
        )

    def member(self, id_: str, role: Role) -> Member:
        """Return the member with this id and role; raise Rejected when there is none."""
        member = self.by_id.get(id_)
        if member is None:
            raise Rejected("unknown-member", id_)
        if member.role != role:
            raise Rejected("wrong-role", id_)
        return member

    @cached_property
    def coordinator(self) -> Member:
        """Return the coordinator; ``read`` made sure that there is exactly one."""
        return next(member for member in self.members if member.role == Role.ROLE_COORDINATOR)


def write(roster: Roster, key: IdentityKey) -> Signed:
    """Sign a roster with the registrar's key."""
    message = RosterMessage(
        federation=roster.federation,
        version=roster.version,
        issued_at=roster.issued_at,
        catalogue_digest=roster.catalogue_digest,
        members=[
            MemberMessage(
                id=member.id,
                role=member.role,
                identity_key=member.identity_key,
                certificate_digest=member.certificate_digest,
                label_en=member.label_en,
                label_zh=member.label_zh,
                attributes=[Attribute(name=key, value=value) for key, value in sorted(member.attributes.items())],
                joined_at=member.joined_at,
                expires_at=member.expires_at,
                mandate=mandates.to_message(member.mandate),
            )
            for member in roster.members
        ],
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=REGISTRAR, federation=roster.federation, body=body)


def read(signed: Signed, *, federation: str, registrar_key: bytes, held: int = 0) -> Roster:
    """Return a roster that the registrar signed and that is no older than version ``held``.

    Guarantee: no member can be invented, changed, or brought back from an older roster without the registrar's key.
    Test: tests/protocols/test_roster.py::test_only_the_registrars_newest_roster_is_accepted.
    """
    message = checks.parse(RosterMessage, verify(signed, kind=KIND, federation=federation, public_key=registrar_key))
    if message.federation != federation:
        raise Rejected("wrong-federation", message.federation)
    if message.version < max(1, held):
        raise Rejected("stale-roster", f"version {message.version}, held {held}")
    if message.version > MOST_VERSION:
        raise Rejected("malformed", "version of a roster")
    checks.rising([member.id for member in message.members], "member ids")
    roster = Roster(
        federation=message.federation,
        version=message.version,
        issued_at=message.issued_at,
        catalogue_digest=checks.exact_bytes(message.catalogue_digest, KEY_BYTES, "catalogue digest"),
        members=tuple(_member(member) for member in message.members),
    )
    _check_distinct(roster)
    return roster


def digest_of(signed: Signed) -> bytes:
    """Return the digest that names a signed roster."""
    return digest("farr1/roster", signed.body)


def _member(message: MemberMessage) -> Member:
    names = checks.rising([attribute.name for attribute in message.attributes], "attribute names")
    for text in (message.label_en, message.label_zh, *(attribute.value for attribute in message.attributes)):
        checks.at_most(text, 200, "member texts")
    return Member(
        id=checks.name(message.id, "member id"),
        role=message.role,
        identity_key=checks.exact_bytes(message.identity_key, KEY_BYTES, "identity key"),
        certificate_digest=checks.exact_bytes(message.certificate_digest, 32, "certificate digest"),
        label_en=message.label_en,
        label_zh=message.label_zh,
        attributes=MappingProxyType(
            dict(zip(names, (attribute.value for attribute in message.attributes), strict=True))
        ),
        joined_at=message.joined_at,
        expires_at=message.expires_at,
        mandate=_mandate(message),
    )


def _mandate(message: MemberMessage) -> Mandate | None:
    if not message.HasField("mandate"):
        return None
    if message.role != Role.ROLE_ANALYST:
        raise Rejected("malformed", "a mandate of somebody who asks nothing")
    return mandates.from_message(message.mandate)


def _check_distinct(roster: Roster) -> None:
    # One key under two names would let one machine count as two hospitals.
    keys = {member.identity_key for member in roster.members}
    if len(keys) != len(roster.members) or len(roster.by_certificate) != len(roster.members):
        raise Rejected("malformed", "two members share a key")
    if sum(member.role == Role.ROLE_COORDINATOR for member in roster.members) != 1:
        raise Rejected("malformed", "a roster names exactly one coordinator")
