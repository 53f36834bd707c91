"""Packs of indicators with the registrar's signature: what a federation agreed to ask every month, and nothing else.

PACK.sig beside PACK is a signed object of kind "pack" over a digest of the file's bytes. A home keeps packs in packs/.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from farr import files
from farr.errors import FarrError
from farr.membership import home as homes
from farr.registrar.founding import at_work
from farr.texts import _
from protocols import checks
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.roster import REGISTRAR
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Signed
from queries.agreed.catalogue import Catalogue
from queries.agreed.pack import Pack
from queries.agreed.pack_file import MOST_BYTES, read_pack

KIND = "pack"
LABEL = "farr1/pack"
SUFFIX = ".sig"
FOLDER = "packs"
SHIPPED = "monthly.toml"
MOST_SIGNATURE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Held:
    """A pack as it was found."""

    pack: Pack
    """What it holds."""
    file: Path
    """Where."""
    signer: str
    """Who signed it; empty: nobody whose signature holds."""


def shipped() -> Path:
    """Return the pack that ships with Farr."""
    return Path(str(resources.files("farr.packs").joinpath(SHIPPED)))


def read(file: Path) -> Pack:
    """Read a pack without asking who signed it; raise CatalogueError for anything wrong in it."""
    with file.open("rb") as opened:
        return read_pack(opened.read(MOST_BYTES + 1), file.name)


def signature_of(pack: Pack, *, federation: str, signer: str, key: IdentityKey) -> bytes:
    """Return the content of PACK.sig."""
    body = digest(LABEL, pack.source)
    return sign(key, kind=KIND, signer=signer, federation=federation, body=body).SerializeToString(deterministic=True)


def signer_of(pack: Pack, signature: bytes, held: homes.Home) -> str:
    """Return who signed exactly this pack: the registrar, or a member of the roster; raise Rejected otherwise.

    Guarantee: a name is returned only if its key signed these very bytes as a pack of this federation. Test:
    tests/farr/test_indicators.py::test_a_changed_pack_or_another_signer_is_refused.
    """
    checks.at_most(signature, MOST_SIGNATURE_BYTES, "signature of a pack")
    signed = checks.parse(Signed, signature)
    credentials = held.credentials
    if signed.signer == REGISTRAR:
        key = credentials.registrar_key
    else:
        members = held.read_roster().by_id
        if signed.signer not in members:
            raise Rejected("unknown-member", "signer of a pack")
        key = members[signed.signer].identity_key
    body = verify(signed, kind=KIND, federation=credentials.federation, public_key=key)
    if body != digest(LABEL, pack.source):
        raise Rejected("bad-signature", KIND)
    return signed.signer


def write_signature(file: Path, folder: Path) -> tuple[Path, str]:
    """Sign a pack in the name of the registrar or the member whose home ``folder`` is; return PACK.sig and the signer.

    Raises CatalogueError for a pack that cannot be read, and FarrError where the folder is nobody's home.
    """
    pack = read(file)
    if homes.is_joined(folder):
        credentials = homes.read(folder).credentials
        federation, signer, key = credentials.federation, credentials.member, credentials.identity
    else:
        with at_work(folder) as registrar:
            federation, signer, key = registrar.federation.name, REGISTRAR, registrar.identity
    target = beside(file)
    files.replace(target, signature_of(pack, federation=federation, signer=signer, key=key))
    return target, signer


def beside(file: Path) -> Path:
    """Return where the signature of a pack is kept."""
    return file.with_name(file.name + SUFFIX)


def find(file: Path | None, folder: Path) -> Held:
    """Return a pack with whoever signed it: the file, else the home's own, else the one that ships with Farr.

    A signature that does not hold raises FarrError: a pack that was changed is never taken for an unsigned one.
    """
    kept = folder / FOLDER / SHIPPED
    chosen = file or (kept if kept.is_file() else shipped())
    pack = read(chosen)
    signature = beside(chosen)
    if not signature.is_file():
        return Held(pack=pack, file=chosen, signer="")
    try:
        signer = signer_of(pack, signature.read_bytes(), homes.read(folder))
    except Rejected as error:
        raise FarrError(
            "pack-signature",
            _("the signature {file} does not hold for {pack}").format(file=signature, pack=pack.title),
            remedy=_("get pack and signature anew from the registrar, or sign it again: farr indicators sign"),
        ) from error
    return Held(pack=pack, file=chosen, signer=signer)


def trusted(held: Held, *, unsigned: bool) -> Pack:
    """Return a pack that the registrar signed; raise FarrError for another, unless ``unsigned`` ones are wanted.

    Guarantee: without ``unsigned`` nothing is asked from a pack that the registrar did not sign. Test:
    tests/farr/test_indicators.py::test_a_changed_pack_or_another_signer_is_refused.
    """
    if held.signer == REGISTRAR or unsigned:
        return held.pack
    raise FarrError(
        "pack-unsigned",
        _("{pack} is signed by {signer}, not by the registrar").format(pack=held.pack.title, signer=held.signer)
        if held.signer
        else _("{pack} is not signed").format(pack=held.pack.title),
        remedy=_("ask the registrar to sign it: farr indicators sign {file}; or say --unsigned").format(file=held.file),
    )


def furnish(registrar_home: Path, analyst_home: Path, catalogue: Catalogue) -> None:
    """Put the shipped pack, signed by a lab's registrar, into its analyst's home where the catalogue is the model's."""
    source = shipped()
    if read(source).catalogue != catalogue.name:
        return
    kept = analyst_home / FOLDER / SHIPPED
    files.make_folder(kept.parent)
    files.replace(kept, source.read_bytes())
    write_signature(kept, registrar_home)
