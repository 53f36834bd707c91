"""Renewing the coordinator's certificate with two files that a person carries, as at the founding.

Once it has ended nobody can call the coordinator any more, the registrar included, so nothing can travel by itself.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from farr import files
from farr.errors import FarrError
from farr.membership.coordinating import ADMISSION, CoordinatorAdmission
from farr.problems import advice
from farr.registrar.admission import decide
from farr.registrar.founding import Registrar
from farr.texts import _
from protocols import joining
from protocols.errors import Rejected
from protocols.wire_pb2 import SignedApplication


def renew_coordinator(registrar: Registrar, folder: Path, signed: SignedApplication, *, now: int) -> Path:
    """Renew the coordinator's certificate, ended or not; return the admission file, written into ``folder``.

    Done again with the same application it writes the same file again. Raises FarrError for any other application than
    the coordinator's.

    Guarantee: only who holds both the TLS key of the certificate that the newest roster names as the coordinator's and
    the coordinator's signing key gets one, and an application of an earlier renewal is refused. Test:
    tests/farr/test_carried.py::test_nobody_else_is_renewed_by_hand.
    """
    coordinator = registrar.roster()[1].coordinator
    try:
        token = joining.token_of(signed)
    except Rejected as refusal:
        raise _refused(refusal.code) from refusal
    earlier = registrar.registry.grant(token)
    if token != coordinator.certificate_digest and (earlier is None or earlier.member != coordinator.id):
        raise _refused("bad-token")
    decision = decide(registrar, [signed], now=now, ended=(coordinator.id,))
    if decision.refused:
        raise _refused(decision.refused[0].code)
    roster, held = registrar.roster()
    certificate = registrar.registry.certificate(coordinator.id, held.coordinator.certificate_digest) or b""
    asked = joining.certificate_key(joining.read(signed.body))
    if x509.load_der_x509_certificate(certificate).public_key() != asked:
        raise FarrError(
            "other-key",
            _("the coordinator's newest certificate was issued for another key than this application's"),
            remedy=_("put the newest backup of the coordinator's folder back: it holds that key"),
        )
    federation = registrar.federation
    admission = CoordinatorAdmission(
        federation=federation.name,
        ca_certificate=federation.ca,
        registrar_key=registrar.identity.public,
        certificate=certificate,
        roster=roster,
        catalogue=federation.catalogue,
    )
    files.replace(folder / ADMISSION, admission.to_text().encode())
    return folder / ADMISSION


def _refused(code: str) -> FarrError:
    return FarrError(
        code,
        _("the coordinator's renewal is refused: {reason}").format(reason=advice(code)),
        remedy=_("write it anew on the coordinator's machine: farr coordinator renew --by-hand; carry that file whole"),
    )
