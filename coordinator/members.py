"""Who may speak: the newest roster and catalogue, and the member behind a connection."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from protocols.errors import Rejected
from protocols.roster import Member, Roster
from protocols.wire_pb2 import Role, Signed
from queries.agreed.catalogue import Catalogue


class Peer(Protocol):
    """The part of a gRPC context that says who is calling."""

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """Return what TLS established about the other side."""


def certificate_of(peer: Peer) -> bytes:
    """Return the caller's certificate in DER; TLS made sure that the registrar's CA issued it to the caller."""
    found = peer.auth_context().get("x509_pem_cert", ())
    if not found:
        raise Rejected("unknown-member", "no certificate")
    return ssl.PEM_cert_to_DER_cert(found[0].decode())


class Members:
    """The members of the federation as of the newest roster."""

    def __init__(self, *, signed: Signed, roster: Roster, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        """Start with a roster that was verified, and its catalogue."""
        self.signed = signed
        self.roster = roster
        self.catalogue = catalogue
        self._clock = clock

    def adopt(self, signed: Signed, roster: Roster, catalogue: Catalogue) -> None:
        """Let a newer roster, which was verified, hold from now on."""
        self.signed, self.roster, self.catalogue = signed, roster, catalogue

    def identify(self, peer: Peer, role: Role) -> Member:
        """Return the member that calls; raise Rejected unless it is on the newest roster with this role.

        Guarantee: a certificate serves only while the newest roster names it, so revocation acts at once. Test:
        tests/coordinator/test_membership.py::test_a_revoked_node_is_cut_off_when_the_roster_is_published.
        """
        return self.check(hashlib.sha256(certificate_of(peer)).digest(), role)

    def check(self, certificate: bytes, role: Role) -> Member:
        """Return the member whose certificate has this digest; asked again for each message of a long stream."""
        member = self.roster.by_certificate.get(certificate)
        if member is None:
            raise Rejected("unknown-member", "certificate")
        if member.expires_at < self._clock():
            raise Rejected("expired-certificate", member.id)
        if member.role != role:
            raise Rejected("wrong-role", member.id)
        return member
