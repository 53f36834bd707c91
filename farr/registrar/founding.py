"""Founding a federation: its CA, its registrar, its coordinator and its first roster; and working on it later."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from farr import files
from farr.errors import FarrError
from farr.membership import home, keys
from farr.membership.coordinating import ADMISSION, CoordinatorAdmission, CoordinatorApplication, checked_name
from farr.registrar.ca import Authority, expires_at, found
from farr.registrar.registry import FILE, Federation, Registry
from farr.texts import _
from protocols import joining
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.roster import REGISTRAR, Member, Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Role, Signed
from queries.agreed.catalogue import Catalogue

CA_KEY = "ca.key"


@dataclass(frozen=True, kw_only=True)
class Registrar:
    """A registrar at work."""

    registry: Registry
    """What it remembers."""
    federation: Federation
    """What was settled at the founding."""
    authority: Authority
    """Issues certificates."""
    identity: IdentityKey = field(repr=False)
    """Signs rosters."""
    tls_key: ec.EllipticCurvePrivateKey = field(repr=False)
    """For the connection to the coordinator."""

    def roster(self) -> tuple[Signed, Roster]:
        """Return the newest roster, as it was signed and as it reads."""
        signed = self.registry.roster()
        return signed, rosters.read(signed, federation=self.federation.name, registrar_key=self.identity.public)

    def enact(self, members: tuple[Member, ...], *, now: int) -> Roster:
        """Make these the members from now on: sign and keep the next roster; call it inside a transaction."""
        roster = _roster(self.federation, self.roster()[1].version + 1, members, now)
        self.registry.add_roster(roster.version, rosters.write(roster, self.identity))
        return roster


def found_federation(
    folder: Path, *, name: str, catalogue: Catalogue, application: CoordinatorApplication, now: int
) -> Path:
    """Found a federation with a coordinator, and return the file that the coordinator needs to begin.

    Done again with the same arguments it writes the same file again; with others it raises FarrError.
    """
    checked_name(name)
    coordinator = _read_application(application)
    files.make_folder(folder)
    registry = _opened(folder)
    try:
        federation = registry.federation() or _found(
            registry, folder, name=name, catalogue=catalogue, application=application, coordinator=coordinator, now=now
        )
        if (federation.name, federation.catalogue, federation.application) != (
            name,
            catalogue.source,
            application.body,
        ):
            raise FarrError(
                "founded-already",
                _("{folder} holds the federation {name} already").format(folder=folder, name=federation.name),
                remedy=_("name another folder with --home; one folder is one federation"),
            )
        first = CoordinatorAdmission(
            federation=federation.name,
            ca_certificate=federation.ca,
            registrar_key=_identity(folder).public,
            certificate=federation.coordinator,
            roster=registry.roster(),
            catalogue=federation.catalogue,
        )
        _show_key(folder, first.registrar_key)
    finally:
        registry.close()
    files.replace(folder / ADMISSION, first.to_text().encode())
    return folder / ADMISSION


@contextmanager
def at_work(folder: Path) -> Iterator[Registrar]:
    """Open the registrar in a folder; raise FarrError when there is none."""
    absent = FarrError(
        "no-registrar",
        _("{folder} is not the home of a registrar").format(folder=folder),
        remedy=_("found a federation first: farr registrar init; or name the folder with --home"),
    )
    if not (folder / FILE).exists():
        raise absent
    registry = _opened(folder)
    try:
        federation = registry.federation()
        if federation is None:
            raise absent
        identity = _identity(folder)
        _show_key(folder, identity.public)
        yield Registrar(
            registry=registry,
            federation=federation,
            authority=Authority(certificate=federation.ca, key=_tls_key(folder / CA_KEY)),
            identity=identity,
            tls_key=_tls_key(folder / home.TLS_KEY),
        )
    finally:
        registry.close()


def _found(
    registry: Registry,
    folder: Path,
    *,
    name: str,
    catalogue: Catalogue,
    application: CoordinatorApplication,
    coordinator: joining.Application,
    now: int,
) -> Federation:
    # The state is written last and at once: a founding that was cut off finds its keys and begins anew.
    identity_file = folder / home.IDENTITY
    if not identity_file.exists():
        files.create_private(identity_file, home.seed_text(keys.new_identity()))
    identity = _identity(folder)
    tls_key = _made_key(folder / home.TLS_KEY)
    authority = found(name, _made_key(folder / CA_KEY), now=now)
    federation = Federation(
        name=name,
        address=application.address,
        catalogue=catalogue.source,
        ca=authority.certificate,
        certificate=authority.issue(REGISTRAR, Role.ROLE_REGISTRAR, tls_key.public_key(), now=now),
        coordinator=authority.issue(
            coordinator.id, Role.ROLE_COORDINATOR, joining.certificate_key(coordinator), now=now
        ),
        application=application.body,
    )
    members = (
        _founder(REGISTRAR, Role.ROLE_REGISTRAR, identity.public, federation.certificate, now),
        _founder(coordinator.id, Role.ROLE_COORDINATOR, coordinator.identity_key, federation.coordinator, now),
    )
    first = _roster(federation, 1, members, now)
    with registry.transaction():
        registry.found(federation)
        registry.add_roster(first.version, rosters.write(first, identity))
    return federation


def _show_key(folder: Path, key: bytes) -> None:
    """Keep the public key beside the secret ones, for auditors; a folder of an older version has none yet."""
    if not (folder / home.REGISTRAR).exists():
        files.replace(folder / home.REGISTRAR, key.hex().encode() + b"\n")


def _founder(id_: str, role: Role, identity_key: bytes, certificate: bytes, now: int) -> Member:
    """Return a member that is there from the founding on."""
    return Member(
        id=id_,
        role=role,
        identity_key=identity_key,
        certificate_digest=hashlib.sha256(certificate).digest(),
        label_en="",
        label_zh="",
        attributes={},
        joined_at=now,
        expires_at=expires_at(certificate),
    )


def _roster(federation: Federation, version: int, members: tuple[Member, ...], now: int) -> Roster:
    return Roster(
        federation=federation.name,
        version=version,
        issued_at=now,
        catalogue_digest=hashlib.sha256(federation.catalogue).digest(),
        members=tuple(sorted(members, key=lambda member: member.id)),
    )


def _read_application(application: CoordinatorApplication) -> joining.Application:
    try:
        read = joining.read(application.body)
    except Rejected as error:
        raise FarrError(
            error.code,
            _("the coordinator's application does not hold: its signatures or fields are wrong"),
            remedy=_("make it again with `farr coordinator init`, and carry the file over whole"),
        ) from error
    if read.role != Role.ROLE_COORDINATOR or read.id == REGISTRAR:
        raise FarrError("wrong-role", _("this application is not a coordinator's"))
    return read


def _made_key(file: Path) -> ec.EllipticCurvePrivateKey:
    if not file.exists():
        files.create_private(file, keys.to_pem(keys.new_tls_key()))
    return _tls_key(file)


def _tls_key(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return keys.from_pem(files.read_private(file))
    except ValueError as error:
        raise _damaged(file) from error


def _identity(folder: Path) -> IdentityKey:
    file = folder / home.IDENTITY
    try:
        return home.read_identity(file)
    except (ValueError, Rejected) as error:
        raise _damaged(file) from error


def _opened(folder: Path) -> Registry:
    file = folder / FILE
    try:
        return Registry(file)
    except sqlite3.OperationalError as error:
        # Locked, not to be written, no room: SQLite's own words name no content.
        raise FarrError("file", f"{file}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> FarrError:
    return FarrError(
        "damaged-home",
        _("{file} cannot be read as what a registrar keeps there").format(file=file),
        remedy=_("put the registrar's folder back from its backup"),
    )
