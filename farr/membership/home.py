"""The home folder of a member: its keys, its certificates, and the roster and catalogue that it holds.

    member.json      federation, id, role, address of the coordinator, protocol; written last: without it, nobody joined
    ca.pem           the federation's CA            certificate.pem  own certificate
    tls.key          own TLS key                    identity.key     seed of the own signing key, hex
    registrar.pub    the registrar's key, hex       roster.bin       the newest signed roster
    catalogue.toml   the catalogue that the roster pins
    renewing/        while a renewal is under way: the keys that are applied for, and the application
    renewed/         for an instant after it: complete, and read in place of the files above until it has replaced them

Only the owner can enter the folder or read a file in it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from farr import files
from farr.errors import FarrError
from farr.texts import _
from protocols import PROTOCOL_VERSION, checks, roster
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.roster import Roster
from protocols.signing import KEY_BYTES, IdentityKey
from protocols.wire_pb2 import Role, Signed

MEMBER = "member.json"
CA = "ca.pem"
CERTIFICATE = "certificate.pem"
TLS_KEY = "tls.key"
IDENTITY = "identity.key"
REGISTRAR = "registrar.pub"
ROSTER = "roster.bin"
CATALOGUE = "catalogue.toml"
RENEWING = "renewing"
RENEWED = "renewed"
LOCK = "renew.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What a home folder holds."""

    credentials: Credentials
    """Who the member is, and its keys."""
    roster: Signed
    """The newest signed roster that the member has seen."""
    catalogue: bytes
    """The catalogue file that the roster pins."""

    def read_roster(self) -> Roster:
        """Return the roster; raise Rejected when it is not the registrar's."""
        credentials = self.credentials
        return roster.read(self.roster, federation=credentials.federation, registrar_key=credentials.registrar_key)


def default_home(environment: Mapping[str, str] | None = None) -> Path:
    """Return ``$FARR_HOME``, else ``~/.farr``."""
    named = (os.environ if environment is None else environment).get("FARR_HOME")
    return Path(named).expanduser() if named else Path.home() / ".farr"


def is_joined(folder: Path) -> bool:
    """Tell whether the folder is a member's home; False while a join is under way."""
    return (folder / MEMBER).exists()


def write(folder: Path, home: Home) -> None:
    """Write a home: every file complete before ``member.json`` says that the folder is one.

    Raises FarrError, and changes nothing, when the folder holds other keys.
    """
    credentials = home.credentials
    files.make_folder(folder)
    keep_key(folder / TLS_KEY, credentials.tls_key)
    keep_key(folder / IDENTITY, seed_text(credentials.identity))
    files.replace(folder / CA, credentials.ca_certificate)
    files.replace(folder / CERTIFICATE, credentials.certificate)
    files.replace(folder / REGISTRAR, credentials.registrar_key.hex().encode() + b"\n")
    write_roster(folder, home.roster, home.catalogue)
    _describe(folder, credentials)


def _describe(folder: Path, credentials: Credentials) -> None:
    described = {
        "federation": credentials.federation,
        "id": credentials.member,
        "role": role_name(credentials.role),
        "address": credentials.address,
        "protocol": PROTOCOL_VERSION,
    }
    files.replace(folder / MEMBER, json.dumps(described, indent=2).encode() + b"\n")


def write_roster(folder: Path, signed: Signed, catalogue: bytes) -> None:
    """Keep a newer roster, which the caller verified, and the catalogue that it pins."""
    files.replace(folder / CATALOGUE, catalogue)
    files.replace(folder / ROSTER, signed.SerializeToString())


def read(folder: Path) -> Home:
    """Read a home; raise FarrError when the folder is none, is damaged, or is another version's."""
    if not is_joined(folder):
        raise FarrError(
            "no-member",
            _("{folder} is not the home of a member").format(folder=folder),
            remedy=_("join first: farr join TOKEN, with a token from the registrar; or name the folder with --home"),
        )
    try:
        return _read_whole(folder)
    except (KeyError, TypeError, ValueError, FileNotFoundError, Rejected) as error:
        raise FarrError(
            "damaged-home",
            _("the home {folder} is damaged ({error})").format(folder=folder, error=type(error).__name__),
            remedy=_("restore the folder from a backup, or join again with a new token in another folder"),
        ) from error


def take_renewed(folder: Path, held: Home) -> None:
    """Let the keys in ``renewing`` and the certificate of ``held``, which the newest roster names, be the member's own.

    The caller holds the lock.

    Guarantee: killed at any instant, the home holds one whole set of keys and certificate, the old one or the new one,
    and after the renaming always the new one. Test:
    tests/farr/test_renewing.py::test_a_home_that_was_killed_in_mid_renewal_is_whole.
    """
    files.replace(folder / RENEWING / CERTIFICATE, held.credentials.certificate)
    (folder / RENEWING).rename(folder / RENEWED)
    files.sync(folder)
    write_roster(folder, held.roster, held.catalogue)
    settle_held(folder)
    _describe(folder, held.credentials)


def settle(folder: Path) -> None:
    """Finish a renewal that was cut off after its certificate had come; do nothing where there is none.

    Guarantee: the node's service and its operator's command may do so at once. Test:
    tests/farr/test_home.py::test_two_may_finish_one_renewal.
    """
    if (folder / RENEWED).exists():
        with files.held(folder / LOCK):
            settle_held(folder)


def settle_held(folder: Path) -> None:
    """Do the same for who holds the lock already."""
    renewed = folder / RENEWED
    if not renewed.exists():
        return
    for name in (TLS_KEY, IDENTITY, CERTIFICATE):
        if (renewed / name).exists():
            files.replace(folder / name, (renewed / name).read_bytes())
    done = folder / f".{RENEWED}"
    shutil.rmtree(done, ignore_errors=True)
    renewed.rename(done)
    shutil.rmtree(done, ignore_errors=True)


def _own(folder: Path, name: str) -> Path:
    """Return where a key or the certificate is: renewed ones count before they have taken the old ones' place."""
    renewed = folder / RENEWED / name
    return renewed if renewed.exists() else folder / name


def _read_whole(folder: Path) -> Home:
    """Read a home, once more where a renewal ended meanwhile, so that key and certificate are of one set."""
    before = (folder / RENEWED).exists()
    try:
        held = _read(folder)
    except FileNotFoundError:
        if before == (folder / RENEWED).exists():
            raise
        return _read(folder)
    return held if before == (folder / RENEWED).exists() else _read(folder)


def _read(folder: Path) -> Home:
    described = json.loads((folder / MEMBER).read_text())
    if described["protocol"] != PROTOCOL_VERSION:
        raise Rejected("protocol-version", MEMBER)
    return Home(
        credentials=Credentials(
            federation=checks.name(described["federation"], "federation"),
            member=checks.name(described["id"], "member id"),
            role=read_role(described["role"]),
            address=str(described["address"]),
            ca_certificate=(folder / CA).read_bytes(),
            certificate=_own(folder, CERTIFICATE).read_bytes(),
            tls_key=files.read_private(_own(folder, TLS_KEY)),
            identity=read_identity(_own(folder, IDENTITY)),
            registrar_key=_hex(folder / REGISTRAR, lambda path: path.read_bytes()),
        ),
        roster=checks.parse(Signed, (folder / ROSTER).read_bytes()),
        catalogue=(folder / CATALOGUE).read_bytes(),
    )


def read_identity(path: Path) -> IdentityKey:
    """Read a signing key; raise ValueError when the file does not hold one."""
    return IdentityKey.from_seed(_hex(path, files.read_private))


def seed_text(identity: IdentityKey) -> bytes:
    """Return what the file of a signing key holds."""
    return identity.seed.hex().encode() + b"\n"


def keep_key(path: Path, key: bytes) -> None:
    """Write a key, unless the file holds it already; raise FarrError when the file holds another one."""
    try:
        files.create_private(path, key)
    except FileExistsError:
        if files.read_private(path) == key:
            return
        raise FarrError(
            "other-key",
            _("{path} holds another key").format(path=path),
            remedy=_("a key cannot be made again, so it is never replaced: use another folder"),
        ) from None


def role_name(role: Role) -> str:
    """Return the role as people write it: ``node``, ``analyst``, ``coordinator``, ``registrar``."""
    return Role.Name(role).removeprefix("ROLE_").lower()


def read_role(name: str) -> Role:
    """Return the role of this name; raise ValueError when there is none."""
    return cast("Role", Role.Value(f"ROLE_{name.upper()}"))


def _hex(path: Path, read_bytes: Callable[[Path], bytes]) -> bytes:
    return checks.exact_bytes(bytes.fromhex(read_bytes(path).decode().strip()), KEY_BYTES, path.name)
