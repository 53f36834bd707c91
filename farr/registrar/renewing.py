"""Renewing members' certificates: the present one stands in a token's place, and no question is asked.

What the roster says of a member stays as it is; only its certificate changes, and its signing key where the registrar
has said so by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from farr.registrar import mandates
from farr.registrar.ca import DAY, expires_at
from farr.registrar.founding import Registrar
from farr.registrar.registry import Grant
from protocols import joining
from protocols.errors import Rejected
from protocols.roster import REGISTRAR, Member, Roster
from protocols.wire_pb2 import Role

EARLY = 60
"""Days before the end of its own certificate from which on the registrar renews it by itself."""

FOUNDERS = frozenset({Role.ROLE_COORDINATOR, Role.ROLE_REGISTRAR})


def present_of(
    registrar: Registrar, held: Roster, token: bytes, *, now: int, ended: Collection[str] = ()
) -> Grant | None:
    """Return the record by which the holder of a member's present certificate renews it; None where it is nobody's.

    One that has ended renews for the members in ``ended`` only: whose application a person carried here.

    Guarantee: only a certificate that the newest roster names renews, so that of a revoked member does not. Test:
    tests/farr/test_renewing.py::test_a_revoked_member_does_not_renew.
    """
    member = held.by_certificate.get(token)
    der = registrar.registry.certificate(member.id, token) if member else None
    if member is None or der is None:
        return None
    if member.expires_at < now and member.id not in ended:
        raise Rejected("expired-certificate", member.id)
    key = x509.load_der_x509_certificate(der).public_key()
    return Grant(
        token=token,
        public_key=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        member=member.id,
        role=member.role,
        label_en=member.label_en,
        label_zh=member.label_zh,
        attributes=member.attributes,
        expires_at=max(member.expires_at, now),
    )


def rotates(application: joining.Application, member: Member, allowed: Collection[str]) -> bool:
    """Tell whether an application has to wait for the registrar's word, since it names another signing key.

    Guarantee: whoever took a member's TLS key alone cannot put a signing key of his own on the roster. Test:
    tests/farr/test_renewing.py::test_a_new_signing_key_needs_the_registrars_word.
    """
    if application.identity_key == member.identity_key:
        return False
    if member.role in FOUNDERS:
        raise Rejected("wrong-role", "a founder's signing key is what the federation is known by")
    return member.id not in allowed


def renewed(member: Member, application: joining.Application, certificate: bytes, *, now: int) -> Member:
    """Return a member under its new certificate, and under its new signing key where it has one."""
    rotated = application.identity_key != member.identity_key
    return replace(
        member,
        identity_key=application.identity_key,
        certificate_digest=hashlib.sha256(certificate).digest(),
        expires_at=expires_at(certificate),
        joined_at=now if rotated else member.joined_at,
        mandate=mandates.renewed(member, expires_at(certificate)),
    )


def renew_own(registrar: Registrar, *, now: int) -> bool:
    """Renew the registrar's own certificate when its end is near or past; return whether it was."""
    with registrar.registry.transaction():
        held = registrar.roster()[1]
        own = held.by_id[REGISTRAR]
        if own.expires_at - now >= EARLY * DAY:
            return False
        key = registrar.tls_key.public_key()
        certificate = registrar.authority.issue(REGISTRAR, Role.ROLE_REGISTRAR, key, now=now)
        registrar.registry.add_grant(
            Grant(
                token=own.certificate_digest,
                public_key=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
                member=REGISTRAR,
                role=Role.ROLE_REGISTRAR,
                label_en="",
                label_zh="",
                attributes={},
                expires_at=own.expires_at,
            )
        )
        registrar.registry.use(own.certificate_digest, certificate)
        # Nobody waits at the coordinator for this one.
        registrar.registry.published([own.certificate_digest])
        changed = replace(
            own, certificate_digest=hashlib.sha256(certificate).digest(), expires_at=expires_at(certificate)
        )
        registrar.enact(tuple(changed if each.id == REGISTRAR else each for each in held.members), now=now)
    return True


def own_certificate(registrar: Registrar) -> bytes:
    """Return the registrar's own certificate (DER) that the newest roster names."""
    own = registrar.roster()[1].by_id[REGISTRAR]
    return registrar.registry.certificate(REGISTRAR, own.certificate_digest) or registrar.federation.certificate
