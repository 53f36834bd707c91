"""Giving out join tokens. Needs no network: a token is checked only when its holder applies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from farr.errors import FarrError
from farr.membership import keys
from farr.membership.coordinating import checked_name
from farr.registrar.ca import APPLICANT, DAY
from farr.registrar.founding import Registrar
from farr.registrar.registry import Grant
from farr.texts import _
from protocols import checks
from protocols.mandate import Mandate
from protocols.token import SCALAR_BYTES, JoinToken, encode
from protocols.wire_pb2 import Role
from queries.agreed.catalogue_file import read_catalogue

DAYS = 7
"""Life of a token, unless said otherwise."""

LONGEST_TEXT = 200
"""Most characters of a label or an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Whom a token shall admit."""

    member: str
    """Member id."""
    role: Role
    """Node or analyst."""
    address: str
    """Where the member will dial the coordinator, HOST:PORT."""
    label_en: str = ""
    """Name for people, English."""
    label_zh: str = ""
    """Name for people, Chinese."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Public facts, such as a hospital's country."""
    days: int = DAYS
    """Life of the token."""
    mandate: Mandate | None = None
    """What an analyst may ask; None: nothing."""


def give(registrar: Registrar, invitation: Invitation, *, now: int) -> str:
    """Return a new token for a member to be; any earlier one for it that was not used is void.

    Raises FarrError when the member is there already or the invitation does not fit the catalogue.
    """
    _check(registrar, invitation)
    key = keys.new_tls_key()
    certificate = registrar.authority.issue(
        APPLICANT, Role.ROLE_UNSPECIFIED, key.public_key(), now=now, life=invitation.days * DAY
    )
    token = JoinToken(
        federation=registrar.federation.name,
        member=invitation.member,
        role=invitation.role,
        address=invitation.address,
        ca_certificate=registrar.federation.ca,
        registrar_key=registrar.identity.public,
        certificate=certificate,
        key=key.private_numbers().private_value.to_bytes(SCALAR_BYTES, "big"),
    )
    grant = Grant(
        token=hashlib.sha256(certificate).digest(),
        public_key=key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        member=invitation.member,
        role=invitation.role,
        label_en=invitation.label_en,
        label_zh=invitation.label_zh,
        attributes=dict(invitation.attributes),
        expires_at=now + invitation.days * DAY,
        mandate=invitation.mandate,
    )
    with registrar.registry.transaction():
        known = registrar.roster()[1].by_id.get(invitation.member)
        # Once its certificate has ended a member cannot renew it: a token lets it in again, under what the roster says.
        if known is not None and (known.expires_at >= now or known.role != invitation.role):
            raise FarrError(
                "member-already",
                _("{member} is a member already").format(member=invitation.member),
                remedy=_("to give it new keys, revoke it first: farr registrar revoke {member}").format(
                    member=invitation.member
                ),
            )
        registrar.registry.add_grant(grant)
    return encode(token)


def withdraw(registrar: Registrar, member: str) -> bool:
    """Make the token that was given out for a member void, if it was not used yet; return whether there was one.

    Guarantee: a token that went astray admits nobody afterwards. Test:
    tests/farr/test_registrar.py::test_a_withdrawn_token_admits_nobody.
    """
    with registrar.registry.transaction():
        return registrar.registry.void(member)


def _check(registrar: Registrar, invitation: Invitation) -> None:
    checked_name(invitation.member)
    for text in (invitation.label_en, invitation.label_zh, *invitation.attributes.values()):
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise FarrError(
                "label", _("a label or an attribute has at most {most} printable characters").format(most=LONGEST_TEXT)
            )
    if invitation.days < 1:
        raise FarrError("days", _("a token lives for at least one day"))
    if not invitation.attributes:
        return
    catalogue = read_catalogue(registrar.federation.catalogue, "catalogue.toml")
    for name, value in invitation.attributes.items():
        codes = catalogue.site_attribute(checks.name(name, "attribute name")).codes
        if value not in codes.index:
            known = ", ".join(code.code for code in codes.codes[:20])
            raise FarrError(
                "attribute",
                _("the catalogue knows no {name} {value}").format(name=name, value=value),
                remedy=_("its codes: {known}").format(known=known),
            )
