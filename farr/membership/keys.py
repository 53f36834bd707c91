"""Drawing keys, and putting them into the forms in which they are kept."""

from __future__ import annotations

import os

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from protocols.signing import KEY_BYTES, IdentityKey

TlsKey = ec.EllipticCurvePrivateKey
"""The kind of key that a TLS certificate is for: P-256."""


def new_identity() -> IdentityKey:
    """Draw a signing key from the operating system's generator."""
    return IdentityKey.from_seed(os.urandom(KEY_BYTES))


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Draw a P-256 key for TLS."""
    return ec.generate_private_key(ec.SECP256R1())


def to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM (PKCS #8), unencrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key; raise ValueError when it is none."""
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 key")  # noqa: TRY004 - what is wrong is the file's content
    return key


def certificate_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a certificate request (DER) that proves possession of ``key``; the registrar sets the final names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256()).public_bytes(Encoding.DER)


def certificate_pem(der: bytes) -> bytes:
    """Return a certificate as PEM; raise ValueError when it is none."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
