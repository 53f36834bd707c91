"""Founding a lab's federation and admitting its members, all in this process: the registrar's own code, no network."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from farr.errors import FarrError
from farr.lab import record
from farr.lab.hospitals import Hospital
from farr.membership import admitted, coordinating, keys
from farr.membership import home as homes
from farr.membership.coordinating import CoordinatorAdmission, CoordinatorApplication
from farr.packs import signed_packs
from farr.registrar.admission import decide, note_published, publication
from farr.registrar.founding import Registrar, at_work, found_federation
from farr.registrar.mandates import STATISTICS, whole
from farr.registrar.tokens import Invitation, give
from farr.texts import _
from protocols import joining
from protocols.token import JoinToken, decode
from protocols.wire_pb2 import Role, SignedApplication
from queries.agreed.catalogue import Catalogue

ANALYST = "analyst"

PURPOSES = (STATISTICS, "research")
"""What the lab's analyst may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joining:
    """A member between its application and its admission."""

    folder: Path
    """Its home to be."""
    token: JoinToken
    """What it joins with."""
    application: SignedApplication
    """What it applied with."""


def free_address() -> str:
    """Return an address on this machine at a port that the system says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def found(lab: Path, *, federation: str, catalogue: Catalogue, hospitals: Sequence[Hospital], now: int) -> str:
    """Make the homes of all parties in the lab's folder; return the coordinator's address."""
    address = free_address()
    application = CoordinatorApplication.from_file(coordinating.apply(lab / record.COORDINATOR, address))
    registrar_home = lab / record.REGISTRAR

    def write_admission() -> Path:
        return found_federation(registrar_home, name=federation, catalogue=catalogue, application=application, now=now)

    write_admission()
    with at_work(registrar_home) as registrar:
        members = [_apply(registrar, lab / record.ANALYST, _invite(ANALYST, Role.ROLE_ANALYST, address), now)]
        for hospital in hospitals:
            invitation = _invite(hospital.id, Role.ROLE_NODE, address, hospital)
            members.append(_apply(registrar, lab / record.NODES / hospital.id, invitation, now))
        decision = decide(registrar, [member.application for member in members], now=now)
        if decision.refused:
            refused = decision.refused[0]
            raise FarrError(refused.code, _("{member} was not admitted").format(member=refused.member))
        for member in members:
            _complete(registrar, member, now)
        # They have their admissions: a later `farr registrar admit` counts newcomers only.
        note_published(registrar, publication(registrar))
    signed_packs.furnish(registrar_home, lab / record.ANALYST, catalogue)
    # Written once more with the roster that names all members, so the coordinator starts with it.
    coordinating.complete(lab / record.COORDINATOR, CoordinatorAdmission.from_file(write_admission()), now=now)
    return address


def _invite(member: str, role: Role, address: str, hospital: Hospital | None = None) -> Invitation:
    return Invitation(
        member=member,
        role=role,
        address=address,
        label_en=hospital.label.en if hospital else "",
        label_zh=hospital.label.zh if hospital else "",
        attributes=hospital.attributes if hospital else {},
        mandate=whole(*PURPOSES) if role == Role.ROLE_ANALYST else None,
    )


def _apply(registrar: Registrar, folder: Path, invitation: Invitation, now: int) -> _Joining:
    token = decode(give(registrar, invitation, now=now))
    folder.mkdir(parents=True, mode=0o700)
    identity, tls_key = admitted.own_keys(folder)
    application = joining.Application(
        federation=token.federation,
        id=token.member,
        role=token.role,
        identity_key=identity.public,
        certificate_request=keys.certificate_request(tls_key, token.member),
        token=hashlib.sha256(token.certificate).digest(),
    )
    signed = joining.sign(joining.write(application, identity), token.private_key())
    return _Joining(folder=folder, token=token, application=signed)


def _complete(registrar: Registrar, member: _Joining, now: int) -> None:
    token = member.token
    grant = registrar.registry.grant(hashlib.sha256(token.certificate).digest())
    if grant is None or grant.certificate is None:
        raise FarrError("bad-token", _("{member} was not admitted").format(member=token.member))
    expected = admitted.expected_by(token, member.folder)
    answer = admitted.Answer(
        certificate=grant.certificate,
        roster=registrar.registry.roster(),
        catalogue=registrar.federation.catalogue,
    )
    homes.write(member.folder, admitted.check(answer, expected, now=now))
