"""The federation's own certificate authority: one key, and certificates for TLS between members."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.checks import SKEW
from protocols.credentials import SERVER_NAME
from protocols.wire_pb2 import Role

CA_DAYS = 3650
"""Life of the CA."""

MEMBER_DAYS = 398
"""Life of a member's certificate."""

APPLICANT = "applicant"
"""Common name of a token's certificate: its holder is nobody yet."""

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA: issues certificates, keeps no record of them."""

    certificate: bytes
    """Its own certificate, DER."""
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""

    def issue(
        self, name: str, role: Role, key: ec.EllipticCurvePublicKey, *, now: int, life: int = MEMBER_DAYS * DAY
    ) -> bytes:
        """Return a certificate (DER) for ``key``, good for ``life`` seconds from ``now`` (seconds since 1970, UTC).

        Guarantee: only a coordinator's certificate lets its holder act as the server, and none lets its holder issue
        others. Test: tests/farr/test_registrar.py::test_only_the_coordinators_certificate_serves.
        """
        ca = x509.load_der_x509_certificate(self.certificate)
        serves = role == Role.ROLE_COORDINATOR
        # Begins early by the skew that the federation allows: a member's clock may be behind the registrar's.
        builder = _builder(name, key, first=now - SKEW, last=min(now + life, int(ca.not_valid_after_utc.timestamp())))
        builder = (
            builder.issuer_name(ca.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(issues=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH] if serves else [ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if serves:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.DER)


def found(federation: str, key: ec.EllipticCurvePrivateKey, *, now: int) -> Authority:
    """Make the CA of a new federation from a key that the caller drew."""
    builder = _builder(f"farr ca {federation}"[:64], key.public_key(), first=now - SKEW, last=now + CA_DAYS * DAY)
    certificate = (
        builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"farr ca {federation}"[:64])]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .sign(key, SHA256())
    )
    return Authority(certificate=certificate.public_bytes(Encoding.DER), key=key)


def expires_at(certificate: bytes) -> int:
    """Return when a certificate (DER) ends, in seconds since 1970, UTC."""
    return int(x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp())


def _builder(name: str, key: ec.EllipticCurvePublicKey, *, first: int, last: int) -> x509.CertificateBuilder:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(epoch + timedelta(seconds=first))
        .not_valid_after(epoch + timedelta(seconds=last))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        key_cert_sign=issues,
        crl_sign=issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
