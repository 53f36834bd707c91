"""Deciding on applications. Whoever carried them here is not believed; only the tokens' keys are."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from farr.errors import FarrError
from farr.registrar import renewing
from farr.registrar.ca import expires_at
from farr.registrar.founding import Registrar
from farr.registrar.mandates import until
from farr.registrar.registry import Grant
from farr.texts import _
from protocols import joining
from protocols.errors import ProtocolError, Rejected
from protocols.roster import Member, Roster
from protocols.wire_pb2 import AdmittedMember, Publication, Role, SignedApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An application that was turned down."""

    member: str
    """Whom its token would admit; empty where the token is unknown."""
    token: bytes
    """SHA-256 of the token's certificate; empty where the application does not say."""
    code: str
    """Why; one of protocols/codes.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of the applications."""

    admitted: tuple[str, ...]
    """Ids of the new members."""
    renewed: tuple[str, ...]
    """Ids of the members whose certificate was renewed."""
    rotating: tuple[str, ...]
    """Ids of the members that ask for a new signing key and wait for the registrar's word."""
    refused: tuple[Refused, ...]
    """The others."""


def decide(
    registrar: Registrar,
    waiting: Sequence[SignedApplication],
    *,
    now: int,
    rotate: Collection[str] = (),
    ended: Collection[str] = (),
) -> Decision:
    """Admit every application that a good token signed: issue certificates, and sign one roster with all new members.

    An application that a member signed with its present certificate renews that; one that names another signing key
    waits until the member's id is in ``rotate``. A certificate that has ended renews for the members in ``ended`` only.

    Everything is durable when it returns; ``publication`` then says what the coordinator should hear.

    Guarantee: a token admits one member once, the one that it was made for, with the keys that the token's holder
    named. Test: tests/farr/test_registrar.py::test_a_token_admits_once.
    """
    refused: list[Refused] = []
    admitted: list[str] = []
    again: list[str] = []
    rotating: list[str] = []
    with registrar.registry.transaction():
        _signed, held = registrar.roster()
        members = dict(held.by_id)
        for application in waiting:
            token, grant = b"", None
            try:
                token = joining.token_of(application)
                grant = registrar.registry.grant(token)
                renews = grant is None
                grant = grant or renewing.present_of(registrar, held, token, now=now, ended=ended)
                if grant is None:
                    raise Rejected("bad-token", "unknown")  # noqa: TRY301
                accepted = _check(application, grant, members, federation=held.federation, now=now, renews=renews)
                if renews and renewing.rotates(accepted, members[grant.member], rotate):
                    rotating.append(grant.member)
                    continue
            except Rejected as refusal:
                refused.append(Refused(member=grant.member if grant else "", token=token, code=refusal.code))
                continue
            if grant.certificate is not None:
                registrar.registry.publish_again(token)
                continue
            if renews:
                registrar.registry.add_grant(grant)
            members[grant.member] = _admit(registrar, grant, accepted, members.get(grant.member), now=now)
            (again if renews else admitted).append(grant.member)
        if admitted or again:
            registrar.enact(tuple(members.values()), now=now)
    return Decision(admitted=tuple(admitted), renewed=tuple(again), rotating=tuple(rotating), refused=tuple(refused))


def publication(registrar: Registrar, refused: Sequence[Refused] = ()) -> Publication:
    """Return what the coordinator should hear: the newest roster, and every admission that it may not have yet."""
    admitted = {
        grant.token: AdmittedMember(token=grant.token, certificate=grant.certificate or b"")
        for grant in registrar.registry.unpublished()
    }
    for refusal in refused:
        grant = registrar.registry.grant(refusal.token) if refusal.token else None
        if grant is not None and grant.certificate is not None:
            # The first holder of the token may not have fetched its admission yet: a second one must not displace it.
            admitted[grant.token] = AdmittedMember(token=grant.token, certificate=grant.certificate)
        elif refusal.token:
            admitted[refusal.token] = AdmittedMember(token=refusal.token, refused=refusal.code)
    return Publication(
        roster=registrar.registry.roster(),
        catalogue=registrar.federation.catalogue,
        admitted=[admitted[token] for token in sorted(admitted)],
    )


def note_published(registrar: Registrar, published: Publication) -> None:
    """Remember that the coordinator has taken these admissions."""
    with registrar.registry.transaction():
        registrar.registry.published([admitted.token for admitted in published.admitted if admitted.certificate])


def revoke(registrar: Registrar, member: str, *, now: int) -> Roster:
    """Return the new roster, signed and kept, that no longer names a member.

    Raises FarrError for a member that there is not, and for the two without whom there is no federation.

    Guarantee: a revoked member is on no later roster unless it is invited anew. Test:
    tests/farr/test_registrar.py::test_a_revoked_member_is_gone.
    """
    with registrar.registry.transaction():
        _signed, held = registrar.roster()
        found = held.by_id.get(member)
        if found is None:
            raise FarrError(
                "unknown-member",
                _("{member} is not a member").format(member=member),
                remedy=_("list the members: farr registrar roster"),
            )
        if found.role in {Role.ROLE_COORDINATOR, Role.ROLE_REGISTRAR}:
            raise FarrError("wrong-role", _("the federation cannot do without {member}").format(member=member))
        return registrar.enact(tuple(each for each in held.members if each.id != member), now=now)


def _check(
    signed: SignedApplication,
    grant: Grant,
    members: Mapping[str, Member],
    *,
    federation: str,
    now: int,
    renews: bool,
) -> joining.Application:
    """Return an application that is to be admitted, or that was and is repeated; raise Rejected for any other."""
    if grant.certificate is None and grant.expires_at < now:
        raise Rejected("bad-token", "expired")
    application = joining.verify(signed, _public_key(grant))
    if application.federation != federation:
        raise Rejected("wrong-federation", application.id)
    if application.role != grant.role:
        raise Rejected("wrong-role", application.id)
    if application.id != grant.member:
        raise Rejected("bad-token", "made for another member")
    if grant.certificate is not None:
        if not _is_repeated(application, grant.certificate, members):
            raise Rejected("bad-token", "used")
        return application
    if any(
        member.identity_key == application.identity_key and member.id != application.id for member in members.values()
    ):
        raise Rejected("key-in-use", application.id)
    known = members.get(application.id)
    # A token lets a member in again only once its certificate has ended; before that it would displace it.
    if known is not None and not renews and (known.expires_at >= now or known.role != application.role):
        raise Rejected("bad-token", "a member has this id")
    return application


def _is_repeated(application: joining.Application, certificate: bytes, members: Mapping[str, Member]) -> bool:
    digest = hashlib.sha256(certificate).digest()
    return any(
        member.certificate_digest == digest and member.identity_key == application.identity_key
        for member in members.values()
    )


def _admit(
    registrar: Registrar, grant: Grant, application: joining.Application, known: Member | None, *, now: int
) -> Member:
    key = joining.certificate_key(application)
    certificate = registrar.authority.issue(grant.member, grant.role, key, now=now)
    registrar.registry.use(grant.token, certificate)
    if known is not None:
        return renewing.renewed(known, application, certificate, now=now)
    return Member(
        id=grant.member,
        role=grant.role,
        identity_key=application.identity_key,
        certificate_digest=hashlib.sha256(certificate).digest(),
        label_en=grant.label_en,
        label_zh=grant.label_zh,
        attributes=grant.attributes,
        joined_at=now,
        expires_at=expires_at(certificate),
        mandate=until(grant.mandate, expires_at(certificate)),
    )


def _public_key(grant: Grant) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(grant.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ProtocolError("the registrar's record of a token is damaged")
    return key
