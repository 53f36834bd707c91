"""What a new member checks before it believes that it was admitted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from farr import files
from farr.errors import FarrError
from farr.membership import home, keys
from farr.texts import _
from protocols import roster
from protocols.checks import SKEW
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.signing import IdentityKey
from protocols.token import JoinToken
from protocols.wire_pb2 import Role, Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    certificate: bytes
    """DER."""
    roster: Signed
    """The registrar's roster."""
    catalogue: bytes
    """The catalogue file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the member knows without the answer: from its token, and of its own."""

    federation: str
    """Name of the federation."""
    member: str
    """Own member id."""
    role: Role
    """Own role."""
    address: str
    """Where the coordinator answers, HOST:PORT."""
    ca_certificate: bytes
    """The CA's certificate, DER."""
    registrar_key: bytes
    """Ed25519 public key, 32 bytes."""
    identity: IdentityKey = field(repr=False)
    """Own signing key."""
    tls_key: ec.EllipticCurvePrivateKey = field(repr=False)
    """Own TLS key."""


def expected_by(token: JoinToken, folder: Path) -> Expected:
    """Return what whoever joins with a token expects, with its own keys, which are made in ``folder`` if need be."""
    identity, tls_key = own_keys(folder)
    return Expected(
        federation=token.federation,
        member=token.member,
        role=token.role,
        address=token.address,
        ca_certificate=token.ca_certificate,
        registrar_key=token.registrar_key,
        identity=identity,
        tls_key=tls_key,
    )


def own_keys(folder: Path) -> tuple[IdentityKey, ec.EllipticCurvePrivateKey]:
    """Return the keys in a folder, drawn and written first where there are none; they never leave it."""
    if not (folder / home.IDENTITY).exists():
        files.create_private(folder / home.IDENTITY, home.seed_text(keys.new_identity()))
    if not (folder / home.TLS_KEY).exists():
        files.create_private(folder / home.TLS_KEY, keys.to_pem(keys.new_tls_key()))
    try:
        return home.read_identity(folder / home.IDENTITY), keys.from_pem(files.read_private(folder / home.TLS_KEY))
    except (ValueError, Rejected) as error:
        raise FarrError(
            "damaged-home",
            _("the keys in {folder} cannot be read").format(folder=folder),
            remedy=_("restore the folder from a backup, or use another folder"),
        ) from error


def check(answer: Answer, expected: Expected, *, now: int) -> home.Home:
    """Return the home that the answer completes; raise FarrError when anything in it does not fit.

    Guarantee: a coordinator that lies cannot make a member believe in another registrar, another role, another key of
    its own or another catalogue. Test: tests/farr/test_joining.py::test_a_false_admission_is_not_believed.
    """
    try:
        held = roster.read(answer.roster, federation=expected.federation, registrar_key=expected.registrar_key)
        me = held.member(expected.member, expected.role)
    except Rejected as error:
        raise _false("the roster", error.code) from error
    _check_certificate(answer.certificate, expected, now=now)
    if me.identity_key != expected.identity.public:
        raise _false("the signing key")
    if me.certificate_digest != hashlib.sha256(answer.certificate).digest():
        raise _false("the certificate")
    if held.catalogue_digest != hashlib.sha256(answer.catalogue).digest():
        raise _false("the catalogue")
    credentials = Credentials(
        federation=expected.federation,
        member=expected.member,
        role=expected.role,
        address=expected.address,
        ca_certificate=keys.certificate_pem(expected.ca_certificate),
        certificate=keys.certificate_pem(answer.certificate),
        tls_key=keys.to_pem(expected.tls_key),
        identity=expected.identity,
        registrar_key=expected.registrar_key,
    )
    return home.Home(credentials=credentials, roster=answer.roster, catalogue=answer.catalogue)


def _check_certificate(der: bytes, expected: Expected, *, now: int) -> None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(expected.ca_certificate))
        key = certificate.public_key()
        names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _false("the certificate") from error
    if key != expected.tls_key.public_key():
        # The registrar admits the first application that a token signs: this certificate is the first one's.
        raise FarrError(
            "bad-token",
            _("this token was used already, with keys from another place"),
            remedy=_("if that was not you, tell the registrar at once, who revokes the member and gives a new token"),
        )
    if names != [expected.member]:
        raise _false("the certificate")
    first, last = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    if not first - SKEW <= now <= last:
        raise FarrError(
            "clock-skew",
            _("the certificate is not valid at the time that this machine's clock shows"),
            remedy=_("set the clock (timedatectl), then join again: the same token serves"),
        )


def _false(what: str, code: str = "bad-admission") -> FarrError:
    return FarrError(
        code,
        _("the coordinator's answer is not the registrar's: {what} does not fit").format(what=what),
        remedy=_("do not use this federation; tell its registrar"),
    )
