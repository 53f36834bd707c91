"""Joining: applications wait here until the registrar fetches them; what it publishes holds from then on.

The coordinator only relays. It can neither admit anybody (it has no CA key) nor swap a newcomer's keys (the token's
key signs them), nor change a roster.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from coordinator.errors import coded
from coordinator.links import Links
from coordinator.members import Members, Peer, certificate_of
from coordinator.requests import Requests
from coordinator.settings import CoordinatorSettings
from coordinator.store import Store
from protocols import joining
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.roster import Roster
from protocols.wire_pb2 import (
    Admission,
    AdmittedMember,
    Applications,
    CoordinatorMessage,
    Nothing,
    Publication,
    Role,
    SignedApplication,
)
from protocols.wire_pb2_grpc import MembershipServicer
from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from queries.errors import QueryError

MOST_APPLICATIONS = 1000
"""Most applications that wait at once: 16 MiB in all."""

MOST_CERTIFICATE = 1 << 14

log = logging.getLogger(__name__)


class MembershipService(MembershipServicer):
    """Serves applicants and the registrar. The methods' names are those of wire.proto."""

    # ruff: noqa: N802

    def __init__(
        self, *, settings: CoordinatorSettings, store: Store, members: Members, links: Links, requests: Requests
    ) -> None:
        """Serve this federation."""
        self._credentials = settings.credentials
        self._store = store
        self._members = members
        self._links = links
        self._requests = requests

    @coded
    async def Apply(self, message: SignedApplication, context: Any) -> Admission:
        """Keep an application, or return what the registrar said to it.

        The caller is not on the roster yet, and its certificate is the token's, which the registrar's CA issued; or it
        is a member that renews its certificate and shows the present one.
        """
        token = self._token(message, context)
        renews = token in self._members.roster.by_certificate
        said = self._store.admission(token)
        if said is not None:
            if renews and not said.certificate:
                # Told once: what the registrar would not do today, it may do for another application tomorrow.
                self._store.forget_admission(token)
            return self._admission(said)
        known = self._store.application(token)
        if known is None:
            if len(self._store.applications()) >= MOST_APPLICATIONS:
                raise Rejected("busy", "applications")
            self._store.add_application(token, message)
            log.info("application", extra={"peer": context.peer()})
        elif known != message and renews:
            self._store.replace_application(token, message)
        elif known != message:
            raise Rejected("bad-token", "the token was used for another application")
        return Admission(admitted=False)

    @coded
    async def Waiting(self, message: Nothing, context: Any) -> Applications:
        """Return the applications that wait for the registrar."""
        self._members.identify(context, Role.ROLE_REGISTRAR)
        return Applications(waiting=self._store.applications())

    @coded
    async def Publish(self, message: Publication, context: Any) -> Nothing:
        """Let a newer roster hold, and tell everybody whom it concerns; with the same one, only applicants hear."""
        self._check_publisher(message, context)
        _check_answers(message)
        if message.roster == self._members.signed:
            # Refusals come without a new roster, and so does an admission that a registrar's crash held up.
            with self._store.together():
                for answer in message.admitted:
                    self._store.add_admission(answer)
            return Nothing()
        roster, catalogue = self._verified(message)
        with self._store.together():
            self._store.add_roster(roster.version, message.roster, catalogue.digest, catalogue.source)
            for answer in message.admitted:
                self._store.add_admission(answer)
        changed = catalogue.digest != self._members.catalogue.digest
        self._members.adopt(message.roster, roster, catalogue)
        self._spread(with_catalogue=changed)
        self._requests.roster_changed()
        log.info("published", extra={"version": roster.version})
        return Nothing()

    def _check_publisher(self, message: Publication, peer: Peer) -> None:
        """Refuse whoever is not the registrar, by the roster that holds or by the registrar's next one that it brings.

        The registrar renews its own certificate; the roster that first names it is the one that it publishes with it.
        """
        try:
            self._members.identify(peer, Role.ROLE_REGISTRAR)
        except Rejected as refusal:
            if refusal.code != "unknown-member":
                raise
            roster, _catalogue = self._verified(message)
            named = roster.by_certificate.get(hashlib.sha256(certificate_of(peer)).digest())
            if named is None or named.role != Role.ROLE_REGISTRAR:
                raise

    def _token(self, message: SignedApplication, peer: Peer) -> bytes:
        """Return the token of an application that the caller's own certificate signed."""
        der = certificate_of(peer)
        key = x509.load_der_x509_certificate(der).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Rejected("bad-token", "not a P-256 certificate")
        application = joining.verify(message, key)
        if application.federation != self._credentials.federation:
            raise Rejected("wrong-federation", "application")
        if application.token != hashlib.sha256(der).digest():
            raise Rejected("bad-token", "the application names another token than the caller's")
        return application.token

    def _admission(self, said: AdmittedMember) -> Admission:
        if not said.certificate:
            return Admission(admitted=False, refused=said.refused)
        return Admission(
            admitted=True,
            certificate=said.certificate,
            roster=self._members.signed,
            catalogue=self._members.catalogue.source,
        )

    def _verified(self, message: Publication) -> tuple[Roster, Catalogue]:
        members = self._members
        roster = rosters.read(
            message.roster,
            federation=self._credentials.federation,
            registrar_key=self._credentials.registrar_key,
            held=members.roster.version + 1,
        )
        check_own(roster, self._credentials.member, self._credentials.identity.public)
        if roster.catalogue_digest == members.catalogue.digest:
            return roster, members.catalogue
        return roster, read_pinned(message.catalogue, roster)

    def _spread(self, *, with_catalogue: bool) -> None:
        """Send the new roster to every hospital on it, and close the streams of those that are not.

        A new catalogue comes with a welcome, so there the streams end and hospitals connect again.
        """
        for link in self._links.each():
            try:
                self._members.check(link.certificate, Role.ROLE_NODE)
            except Rejected as refusal:
                link.close("renewed" if link.site in self._members.roster.nodes else refusal.code)
            else:
                link.send(CoordinatorMessage(roster=self._members.signed))
                if with_catalogue:
                    link.end()


def _check_answers(message: Publication) -> None:
    for answer in message.admitted:
        if len(answer.token) != joining.DIGEST_BYTES or len(answer.certificate) > MOST_CERTIFICATE:
            raise Rejected("malformed", "admitted member")


def check_own(roster: Roster, member: str, identity: bytes) -> None:
    """Refuse a roster that names another coordinator: this one could sign nothing that its members believe."""
    if roster.coordinator.id != member or roster.coordinator.identity_key != identity:
        raise Rejected("wrong-federation", "the roster names another coordinator")


def read_pinned(source: bytes, roster: Roster) -> Catalogue:
    """Return the catalogue that a roster pins; raise Rejected for other bytes, or for bytes that are not one."""
    if hashlib.sha256(source).digest() != roster.catalogue_digest:
        raise Rejected("wrong-catalogue", "not the roster's catalogue")
    try:
        return read_catalogue(source, "catalogue.toml")
    except QueryError as error:
        raise Rejected("wrong-catalogue", str(error)) from error
