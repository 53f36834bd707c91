"""Renewing a member's certificate in place: new keys, an application signed with the present one, and the exchange.

The member applies over its present connection. The registrar renews without a question where id, role and signing key
are those of the roster; a new signing key needs its explicit word. Everything is kept as it goes, so a renewal may be
cut off at any point and run again.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from farr import files
from farr.dialing import QUICK, Caller, code_of, explain, is_absent
from farr.errors import FarrError
from farr.membership import admitted, coordinating, home, keys
from farr.problems import advice
from farr.texts import _
from protocols import joining
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Admission, Role, SignedApplication
from protocols.wire_pb2_grpc import MembershipStub

DAY = 86_400

EARLY = 60
"""Days before the end of a certificate from which on it is renewed."""

PENDING = "application.bin"

_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 30.0

Carry = Callable[[SignedApplication], Admission]
"""Hands an application in, and returns what the registrar has said to it so far."""


@dataclass(frozen=True, slots=True)
class Renewer:
    """Renews a node's certificate while the node serves; called now and then, and when the coordinator turned it away.

    Nothing but public keys and names leaves the machine here, and nothing of the hospital's data is within reach.
    """

    folder: Path
    """The node's home."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""

    def __call__(self, present: Credentials) -> Credentials | None:
        """Return the credentials that hold from now on, or None where they are the present ones still."""
        held = home.read(self.folder)
        if held.credentials.certificate != present.certificate:
            return held.credentials  # renewed by the operator's command
        days = days_left(held, self.clock())
        if days < 0 or (days >= EARLY and not is_under_way(self.folder)):
            return None  # after its end only a token helps, and whoever joins with it must not be interfered with
        renewed = attempt(self.folder, held, over_network(held.credentials), now=int(self.clock()))
        return renewed.credentials if renewed else None


def days_left(held: home.Home, now: float) -> int:
    """Return how many days a member's certificate still holds; negative after its end."""
    ends = x509.load_pem_x509_certificate(held.credentials.certificate).not_valid_after_utc.timestamp()
    return int((ends - now) // DAY)


def is_under_way(folder: Path) -> bool:
    """Tell whether a renewal was begun that the registrar has not answered, as far as this home knows."""
    return (folder / home.RENEWING / PENDING).exists()


def renew(
    folder: Path,
    *,
    new_identity: bool = False,
    carry: Carry | None = None,
    say: Callable[[str], None] = lambda _text: None,
    timeout: float | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> home.Home:
    """Renew the certificate of the member in a folder, and wait for the registrar, at most ``timeout`` seconds.

    Raises FarrError when the certificate has expired, the coordinator cannot be reached, or the registrar refuses.
    """
    home.settle(folder)
    held = home.read(folder)
    if days_left(held, clock()) < 0:
        raise _expired(held, clock())
    begun, pause, told = clock(), _FIRST_PAUSE, False
    while True:
        renewed = attempt(
            folder, held, carry or over_network(held.credentials), now=int(clock()), new_identity=new_identity
        )
        if renewed is not None:
            return renewed
        if not told:
            command = "farr registrar admit" + (f" --rotate {held.credentials.member}" if new_identity else "")
            say(_("Applied. Waiting for the registrar to run: {command}").format(command=command))
            told = True
        if timeout is not None and clock() - begun >= timeout:
            raise FarrError(
                "not-yet",
                _("the registrar has not renewed the certificate yet; the present one goes on"),
                remedy=_("run the same command again later: the application stays"),
            )
        sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def attempt(folder: Path, held: home.Home, carry: Carry, *, now: int, new_identity: bool = False) -> home.Home | None:
    """Hand the application in, made first if need be; return the renewed home, or None while the registrar is awaited.

    Guarantee: no relay can have other keys certified than those that the member made, nor pass off a certificate, a
    roster or a refusal that is not the registrar's as one that ends the present membership. Test:
    tests/farr/test_renewing.py::test_a_false_renewal_is_not_believed.
    """
    with files.held(folder / home.LOCK):
        home.settle_held(folder)
        present = home.read(folder)
        if present.credentials.certificate != held.credentials.certificate:
            return present  # the node's service or the operator's command was first
        return _attempt(folder, held, carry, now=now, new_identity=new_identity)


def _attempt(folder: Path, held: home.Home, carry: Carry, *, now: int, new_identity: bool) -> home.Home | None:
    answer = carry(_application(folder, held, new_identity=new_identity))
    if answer.refused:
        # What was refused is not asked for again in the same words; the present certificate goes on.
        shutil.rmtree(folder / home.RENEWING, ignore_errors=True)
        raise FarrError(
            answer.refused if answer.refused.isascii() and answer.refused.replace("-", "").isalnum() else "refused",
            _("the registrar refused the renewal: {reason}").format(reason=advice(answer.refused)),
            remedy=_("ask the registrar; the present certificate goes on until its end"),
        )
    if not answer.admitted:
        return None
    identity, tls_key = new_keys(folder, held)
    credentials = held.credentials
    renewed = admitted.check(
        admitted.Answer(certificate=answer.certificate, roster=answer.roster, catalogue=answer.catalogue),
        admitted.Expected(
            federation=credentials.federation,
            member=credentials.member,
            role=credentials.role,
            address=credentials.address,
            ca_certificate=_der(credentials.ca_certificate),
            registrar_key=credentials.registrar_key,
            identity=identity,
            tls_key=tls_key,
        ),
        now=now,
    )
    home.take_renewed(folder, renewed)
    return renewed


def ask_by_hand(folder: Path) -> Path:
    """Write the coordinator's application for a new certificate to a file that a person carries; return the file.

    Unlike ``renew`` it serves after the certificate's end, too. Done again it writes the same application.
    """
    home.settle(folder)
    if home.read(folder).credentials.role != Role.ROLE_COORDINATOR:
        raise FarrError("wrong-role", _("{folder} is not a coordinator's home").format(folder=folder))
    with files.held(folder / home.LOCK):
        home.settle_held(folder)
        signed = _application(folder, home.read(folder), new_identity=False)
    files.replace(folder / coordinating.RENEWAL, coordinating.renewal_text(signed))
    return folder / coordinating.RENEWAL


def take_by_hand(folder: Path, admission: coordinating.CoordinatorAdmission, *, now: int) -> home.Home:
    """Take the certificate that the registrar issued for such a file; return the home as it is from now on.

    Guarantee: as ``attempt``: what is not the registrar's, or for other keys, changes nothing. Test:
    tests/farr/test_carried.py::test_a_false_admission_changes_nothing.
    """
    home.settle(folder)
    held = home.read(folder)
    if _der(held.credentials.certificate) == admission.certificate:
        return held
    if not is_under_way(folder):
        raise FarrError(
            "no-renewal",
            _("no renewal of {folder} is under way").format(folder=folder),
            remedy=_("begin one here: farr coordinator renew --by-hand"),
        )
    answer = Admission(
        admitted=True, certificate=admission.certificate, roster=admission.roster, catalogue=admission.catalogue
    )
    renewed = attempt(folder, held, lambda _application: answer, now=now) or held
    (folder / coordinating.RENEWAL).unlink(missing_ok=True)
    return renewed


def over_network(credentials: Credentials) -> Carry:
    """Return the way over the member's own connection to the coordinator."""
    caller = Caller(
        address=credentials.address,
        ca_certificate=credentials.ca_certificate,
        certificate=credentials.certificate,
        key=credentials.tls_key,
    )

    def carry(application: SignedApplication) -> Admission:
        with caller.channel() as channel:
            try:
                answer: Admission = MembershipStub(channel).Apply(application, timeout=QUICK)
            except grpc.RpcError as error:
                if not is_absent(error) and not code_of(error):
                    raise FarrError("connection", _("the call to the coordinator failed")) from None
                raise explain(error, caller) from None
        return answer

    return carry


def through_state(folder: Path) -> Carry:
    """Return the coordinator's own way: into its state, where the registrar finds it at its next visit."""
    from coordinator.serve import STATE_FILE
    from coordinator.store import Store

    def carry(application: SignedApplication) -> Admission:
        token = joining.token_of(application)
        with closing(Store(folder / STATE_FILE)) as store:
            said = store.admission(token)
            if said is None:
                store.replace_application(token, application)
                return Admission(admitted=False)
            newest = store.newest_roster()
        if newest is None or not said.certificate:
            return Admission(admitted=False, refused=said.refused)
        return Admission(admitted=True, certificate=said.certificate, roster=newest[0], catalogue=newest[1])

    if not (folder / STATE_FILE).exists():
        text = _("{folder} is not the home of a coordinator that has served").format(folder=folder)
        raise FarrError("no-state", text, remedy=_("name the coordinator's own folder with --home"))
    return carry


def _application(folder: Path, held: home.Home, *, new_identity: bool) -> SignedApplication:
    """Return the application that is under way, or write one with new keys."""
    credentials = held.credentials
    present = _der(credentials.certificate)
    tls = keys.from_pem(credentials.tls_key)
    pending = folder / home.RENEWING / PENDING
    if pending.exists():
        try:
            kept = SignedApplication.FromString(pending.read_bytes())
            read = joining.verify(kept, tls.public_key())
            rotates = read.identity_key != credentials.identity.public
            if read.token == hashlib.sha256(present).digest() and (rotates or not new_identity):
                return kept
        except (Rejected, ValueError):
            pass  # made under an earlier certificate
    shutil.rmtree(folder / home.RENEWING, ignore_errors=True)
    files.make_folder(folder / home.RENEWING)
    files.create_private(folder / home.RENEWING / home.TLS_KEY, keys.to_pem(keys.new_tls_key()))
    if new_identity:
        files.create_private(folder / home.RENEWING / home.IDENTITY, home.seed_text(keys.new_identity()))
    identity, tls_key = new_keys(folder, held)
    application = joining.Application(
        federation=credentials.federation,
        id=credentials.member,
        role=credentials.role,
        identity_key=identity.public,
        certificate_request=keys.certificate_request(tls_key, credentials.member),
        token=hashlib.sha256(present).digest(),
    )
    signed = joining.sign(joining.write(application, identity), tls)
    files.replace(pending, signed.SerializeToString())
    return signed


def new_keys(folder: Path, held: home.Home) -> tuple[IdentityKey, keys.TlsKey]:
    """Return the keys that are applied for: a new TLS key, and the present signing key unless it rotates."""
    renewing = folder / home.RENEWING
    rotates = (renewing / home.IDENTITY).exists()
    identity = home.read_identity(renewing / home.IDENTITY) if rotates else held.credentials.identity
    return identity, keys.from_pem(files.read_private(renewing / home.TLS_KEY))


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _expired(held: home.Home, now: float) -> FarrError:
    remedy = _("ask the registrar for a new token for the same id, and join with it in the same folder")
    if held.credentials.role == Role.ROLE_COORDINATOR:
        remedy = _("carry it to the registrar by hand: farr coordinator renew --by-hand")
    return FarrError(
        "expired-certificate",
        _("the certificate ended {days} days ago: it is not renewed over the network any more").format(
            days=-days_left(held, now)
        ),
        remedy=remedy,
    )
