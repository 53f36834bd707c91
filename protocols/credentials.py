"""What a member needs to take part: who it is, its keys, and whom it believes."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.signing import IdentityKey
from protocols.wire_pb2 import Role

SERVER_NAME = "coordinator.farr"
"""The name in the coordinator's certificate: clients ask for it whatever address they dial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One member's keys and certificates, handed to whatever acts for it.

    Guarantee: neither private key shows in the text form of the value, so neither reaches a log or a traceback.
    Test: tests/farr/test_home.py::test_no_private_key_shows_in_the_text_form_of_credentials.
    """

    federation: str
    """Name of the federation."""
    member: str
    """Own member id; the common name of the certificate."""
    role: Role
    """What the member may do."""
    address: str
    """Where the coordinator answers, HOST:PORT."""
    ca_certificate: bytes
    """The registrar's CA, PEM: the only one that is believed."""
    certificate: bytes
    """Own TLS certificate, PEM."""
    tls_key: bytes = field(repr=False)
    """Private key of the certificate, P-256, PEM (PKCS #8)."""
    identity: IdentityKey = field(repr=False)
    """Signs what the member says."""
    registrar_key: bytes
    """Ed25519 public key of the registrar, 32 bytes: signs every roster that is believed."""
