"""The application: a new member names its keys. The token's key signs it, so whoever relays it cannot swap them.

A member that renews its certificate applies in the same way: its present certificate stands in the token's place.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from protocols import checks
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.signing import KEY_BYTES, IdentityKey
from protocols.suite import CURRENT
from protocols.wire_pb2 import Application as ApplicationMessage
from protocols.wire_pb2 import Role, SignedApplication

APPLICATION_LABEL = "farr1/application"
POSSESSION_LABEL = "farr1/possession"

DIGEST_BYTES = 32

_LONGEST = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A member's wish to join, with the public halves of the keys that it made."""

    federation: str
    """Federation to join; empty in the coordinator's own, which is written before the federation has a name."""
    id: str
    """Member id."""
    role: Role
    """What the member would do."""
    identity_key: bytes
    """Ed25519 public key, 32 bytes."""
    certificate_request: bytes
    """PKCS #10 request for the TLS certificate, DER; only its key counts, the registrar sets the names."""
    token: bytes
    """SHA-256 of the certificate (DER) whose key signs it: the token's, or the present one of a member that renews;
    empty in the coordinator's first one."""


def write(application: Application, identity: IdentityKey) -> bytes:
    """Return the body of an application, with the proof that its writer holds the identity key."""
    message = _message(application)
    message.possession = identity.private.sign(_possession(application))
    return message.SerializeToString(deterministic=True)


def read(body: bytes) -> Application:
    """Return an application whose writer holds both of the keys that it names.

    Guarantee: nobody can have another party's key entered under his own name. Test:
    tests/farr/test_registrar.py::test_keys_that_the_applicant_does_not_hold_are_refused.
    """
    checks.at_most(body, _LONGEST, "application")
    message = checks.parse(ApplicationMessage, body)
    application = Application(
        federation=checks.name(message.federation, "federation") if message.federation else "",
        id=checks.name(message.id, "member id"),
        role=message.role,
        identity_key=checks.exact_bytes(message.identity_key, KEY_BYTES, "identity key"),
        certificate_request=message.certificate_request,
        token=checks.exact_bytes(message.token, DIGEST_BYTES, "token") if message.token else b"",
    )
    if not CURRENT.verify(application.identity_key, message.possession, _possession(application)):
        raise Rejected("bad-signature", "identity key of the application")
    certificate_key(application)
    return application


def certificate_key(application: Application) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key that the TLS certificate is for; raise Rejected when the request does not prove it."""
    try:
        request = x509.load_der_x509_csr(application.certificate_request)
        key = request.public_key()
        proven = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise Rejected("malformed", "certificate request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Rejected("malformed", "the key of a certificate request must be a P-256 key")
    if not proven:
        raise Rejected("bad-signature", "certificate request")
    return key


def sign(body: bytes, token_key: ec.EllipticCurvePrivateKey) -> SignedApplication:
    """Sign an application's body with the token's key; the same body gives the same signature."""
    algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
    return SignedApplication(body=body, signature=token_key.sign(digest(APPLICATION_LABEL, body), algorithm))


def verify(signed: SignedApplication, token_key: ec.EllipticCurvePublicKey) -> Application:
    """Return an application that the holder of the token's key signed.

    Guarantee: the coordinator, which relays it, can neither write one nor change one, above all not its keys. Test:
    tests/farr/test_registrar.py::test_a_relay_that_swaps_a_key_is_noticed.
    """
    checks.at_most(signed.body, _LONGEST, "application")
    try:
        token_key.verify(signed.signature, digest(APPLICATION_LABEL, signed.body), ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise Rejected("bad-signature", "application") from error
    return read(signed.body)


def token_of(signed: SignedApplication) -> bytes:
    """Return the token that an application claims to be signed with: what to look its key up by, nothing more."""
    checks.at_most(signed.body, _LONGEST, "application")
    return checks.exact_bytes(checks.parse(ApplicationMessage, signed.body).token, DIGEST_BYTES, "token")


def _message(application: Application) -> ApplicationMessage:
    return ApplicationMessage(
        federation=application.federation,
        id=application.id,
        role=application.role,
        identity_key=application.identity_key,
        certificate_request=application.certificate_request,
        token=application.token,
    )


def _possession(application: Application) -> bytes:
    return digest(POSSESSION_LABEL, _message(application).SerializeToString(deterministic=True))
