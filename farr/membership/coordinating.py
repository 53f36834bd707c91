"""The coordinator's own way in, before there is a federation to join: two files that are carried by hand.

The coordinator writes its application, the registrar founds the federation with it and writes the admission, and the
coordinator completes its home. A renewal goes the same way where the certificate has ended. Nothing in these files is
secret.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from farr import files
from farr.errors import FarrError
from farr.membership import admitted, home, keys
from farr.texts import _
from protocols import checks, joining
from protocols.errors import Rejected
from protocols.signing import KEY_BYTES
from protocols.wire_pb2 import Role, Signed, SignedApplication

APPLICATION = "application.json"
ADMISSION = "coordinator-admission.json"
RENEWAL = "renewal.json"
MEMBER = "coordinator"

_LONGEST_ADDRESS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorApplication:
    """What the registrar needs to know of a coordinator."""

    address: str
    """Where it will answer, HOST:PORT, as members will dial it."""
    body: bytes
    """Of a joining.Application without federation and token."""

    def to_text(self) -> str:
        """Return the file's content."""
        return json.dumps({"address": self.address, "application": _encode(self.body)}, indent=2) + "\n"

    @classmethod
    def from_file(cls, file: Path) -> CoordinatorApplication:
        """Read the file; raise FarrError when it is not one."""
        try:
            fields = json.loads(file.read_text())
            return cls(address=checked_address(fields["address"]), body=_decode(fields["application"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _wrong_file(file, "farr coordinator init") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorAdmission:
    """What a coordinator needs to begin."""

    federation: str
    """Name of the federation."""
    ca_certificate: bytes
    """The CA's certificate, DER."""
    registrar_key: bytes
    """Ed25519 public key, 32 bytes."""
    certificate: bytes
    """The coordinator's own, DER."""
    roster: Signed
    """The newest roster."""
    catalogue: bytes
    """The catalogue file."""

    def to_text(self) -> str:
        """Return the file's content."""
        fields = {
            "federation": self.federation,
            "registrar_key": self.registrar_key.hex(),
            "ca_certificate": _encode(self.ca_certificate),
            "certificate": _encode(self.certificate),
            "roster": _encode(self.roster.SerializeToString()),
            "catalogue": _encode(self.catalogue),
        }
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_file(cls, file: Path) -> CoordinatorAdmission:
        """Read the file; raise FarrError when it is not one."""
        try:
            fields = json.loads(file.read_text())
            return cls(
                federation=checks.name(fields["federation"], "federation"),
                registrar_key=checks.exact_bytes(bytes.fromhex(fields["registrar_key"]), KEY_BYTES, "registrar key"),
                ca_certificate=_decode(fields["ca_certificate"]),
                certificate=_decode(fields["certificate"]),
                roster=checks.parse(Signed, _decode(fields["roster"])),
                catalogue=_decode(fields["catalogue"]),
            )
        except (KeyError, TypeError, ValueError, Rejected) as error:
            raise _wrong_file(file, "farr registrar init") from error


def renewal_text(signed: SignedApplication) -> bytes:
    """Return the content of the file with which a coordinator asks for a new certificate."""
    return (json.dumps({"renewal": _encode(signed.SerializeToString())}, indent=2) + "\n").encode()


def read_renewal(file: Path) -> SignedApplication:
    """Read that file; raise FarrError when it is not one."""
    try:
        return checks.parse(SignedApplication, _decode(json.loads(file.read_text())["renewal"]))
    except (KeyError, TypeError, ValueError, Rejected) as error:
        raise _wrong_file(file, "farr coordinator renew --by-hand") from error


def apply(folder: Path, address: str, *, member: str = MEMBER) -> Path:
    """Make the coordinator's keys and write its application; return the file.

    Done again with the same folder and address it keeps the keys.
    """
    files.make_folder(folder)
    identity, tls_key = admitted.own_keys(folder)
    application = joining.Application(
        federation="",
        id=checked_name(member),
        role=Role.ROLE_COORDINATOR,
        identity_key=identity.public,
        certificate_request=keys.certificate_request(tls_key, member),
        token=b"",
    )
    written = CoordinatorApplication(address=checked_address(address), body=joining.write(application, identity))
    files.replace(folder / APPLICATION, written.to_text().encode())
    return folder / APPLICATION


def complete(folder: Path, admission: CoordinatorAdmission, *, now: int) -> home.Home:
    """Turn the folder into the coordinator's home; raise FarrError when the admission is another coordinator's."""
    application = CoordinatorApplication.from_file(folder / APPLICATION)
    identity, tls_key = admitted.own_keys(folder)
    complete_home = admitted.check(
        admitted.Answer(certificate=admission.certificate, roster=admission.roster, catalogue=admission.catalogue),
        admitted.Expected(
            federation=admission.federation,
            member=joining.read(application.body).id,
            role=Role.ROLE_COORDINATOR,
            address=application.address,
            ca_certificate=admission.ca_certificate,
            registrar_key=admission.registrar_key,
            identity=identity,
            tls_key=tls_key,
        ),
        now=now,
    )
    home.write(folder, complete_home)
    return complete_home


def checked_address(address: str) -> str:
    """Return an address of the form HOST:PORT; raise FarrError for any other."""
    host, colon, port = str(address).rpartition(":")
    if len(address) > _LONGEST_ADDRESS or not (
        host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16
    ):
        raise FarrError(
            "address",
            _("{address} is not an address").format(address=address),
            remedy=_("write HOST:PORT, such as coordinator.example.org:7443"),
        )
    return str(address)


def checked_name(name: str) -> str:
    """Return the name of a member or a federation as a person wrote it; raise FarrError where it is none."""
    try:
        return checks.name(name, "name")
    except Rejected as error:
        raise FarrError(
            "name",
            _("{name} is no name of a member or a federation").format(name=name),
            remedy=_("write at most 64 of a-z 0-9 . _ -, with a letter or a digit first and last"),
        ) from error


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _wrong_file(file: Path, command: str) -> FarrError:
    return FarrError(
        "wrong-file",
        _("{file} is not a file that `{command}` wrote").format(file=file, command=command),
        remedy=_("carry the file over again, whole"),
    )
