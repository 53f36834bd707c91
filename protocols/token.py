"""The join token: one printable line that a registrar hands over in person and that admits one member, once.

It pins the federation's CA and the registrar's key before the first byte is exchanged, so a joiner believes nobody
whom it merely reached. It carries a private key: whoever holds the line can join in its place until it is used.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from protocols import checks
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.signing import KEY_BYTES
from protocols.wire_pb2 import JoinToken as JoinTokenMessage
from protocols.wire_pb2 import Role

PREFIX = "farr1."
"""Every token starts with this: the version of its form."""

ADMITS = (Role.ROLE_NODE, Role.ROLE_ANALYST)
"""Roles that a token can admit; there is one coordinator and one registrar, both from the founding."""

SCALAR_BYTES = 32
"""Length of a P-256 private key."""

_CHECK_BYTES = 8
_LONGEST = 8192
_LONGEST_ADDRESS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """What a token says. The text form of the value does not show the key."""

    federation: str
    """Federation that is joined."""
    member: str
    """Member id that it admits."""
    role: Role
    """What that member may do."""
    address: str
    """Where the coordinator answers, HOST:PORT."""
    ca_certificate: bytes
    """The federation's CA, DER."""
    registrar_key: bytes
    """Ed25519 public key of the registrar, 32 bytes."""
    certificate: bytes
    """Client certificate for the time before the admission, DER."""
    key: bytes = field(repr=False)
    """P-256 private key of that certificate: 32 bytes, big endian. Whoever has it can join in the member's place."""

    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the token's key; ``decode`` made sure that it fits the certificate."""
        return ec.derive_private_key(int.from_bytes(self.key, "big"), ec.SECP256R1())

    def expires_at(self) -> int:
        """Return the second since 1970 (UTC) after which the token admits nobody."""
        return int(x509.load_der_x509_certificate(self.certificate).not_valid_after_utc.timestamp())

    def valid_from(self) -> int:
        """Return the second since 1970 (UTC) before which its certificate is not accepted."""
        return int(x509.load_der_x509_certificate(self.certificate).not_valid_before_utc.timestamp())


def encode(token: JoinToken) -> str:
    """Return the line, without an end of line."""
    body = JoinTokenMessage(
        federation=token.federation,
        member=token.member,
        role=token.role,
        address=token.address,
        ca_certificate=token.ca_certificate,
        registrar_key=token.registrar_key,
        certificate=token.certificate,
        key=token.key,
    ).SerializeToString(deterministic=True)
    return PREFIX + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def decode(text: str) -> JoinToken:
    """Read a token; blanks and line breaks that a mail program put in do not matter.

    Raises Rejected("malformed") for a line that was cut, mistyped, or put together from pieces: the CA must have issued
    the certificate, and the key must be the certificate's.
    """
    packed = "".join(text.split())
    if not packed.startswith(PREFIX) or len(packed) > _LONGEST:
        raise Rejected("malformed", "not a join token")
    encoded = packed.removeprefix(PREFIX)
    try:
        body = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Rejected("malformed", "join token") from error
    body, check = body[:-_CHECK_BYTES], body[-_CHECK_BYTES:]
    if check != _check(body):
        raise Rejected("malformed", "the join token was cut or changed on its way")
    message = checks.parse(JoinTokenMessage, body)
    checks.at_most(message.address, _LONGEST_ADDRESS, "address")
    if message.role not in ADMITS:
        raise Rejected("malformed", "role")
    token = JoinToken(
        federation=checks.name(message.federation, "federation"),
        member=checks.name(message.member, "member id"),
        role=message.role,
        address=message.address,
        ca_certificate=message.ca_certificate,
        registrar_key=checks.exact_bytes(message.registrar_key, KEY_BYTES, "registrar key"),
        certificate=message.certificate,
        key=checks.exact_bytes(message.key, SCALAR_BYTES, "token key"),
    )
    _check_key(token)
    return token


def _check(body: bytes) -> bytes:
    return digest("farr1/token", body)[:_CHECK_BYTES]


def _check_key(token: JoinToken) -> None:
    try:
        certificate = x509.load_der_x509_certificate(token.certificate)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(token.ca_certificate))
        fits = certificate.public_key() == token.private_key().public_key()
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise Rejected("malformed", "certificates of the join token") from error
    if not fits:
        raise Rejected("malformed", "the join token's key does not fit its certificate")
