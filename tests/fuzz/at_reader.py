"""What anybody reads of another party: plans, statements, agreed files, tokens, proofs, evidence."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.message import DecodeError

from farr import evidence, federation
from farr.errors import FarrError
from farr.hospital import log_file
from farr.membership import admitted
from node.scan.compiled import Compiler
from protocols import joining, mandate, merkle, token
from protocols import release as releases
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Admission, Application, Description, Evidence, Logged, Mandate, Role, Signed
from protocols.wire_pb2 import JoinToken as JoinTokenMessage
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.pack_file import read_pack
from queries.asked.canonical import decode, encode
from queries.asked.view import Pages, check_pages
from queries.errors import QueryError, StatementError
from queries.sql import read
from tests.farr import harbour, proven
from tests.fuzz.trying import Parser, as_bytes, as_json, as_message, as_text
from tests.node import rig
from tests.protocols.test_log import add, fresh
from tests.protocols.test_merkle import Grown

ROOT = Path(__file__).resolve().parents[2]
PLANS = ROOT / "tests" / "plans"


def parsers(folder):
    """Return the parsers that belong to no single party."""
    return [*_questions(), *_files(), *_tokens(folder), *_proofs(folder)]


# --- questions


def _questions():
    catalogue = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
    sites = json.loads((PLANS / "sites.json").read_text())
    statements = [path.read_text() for path in sorted(PLANS.glob("*.sql"))]
    statements += [
        "SELECT QUANTILE(age, 0.5) AS m FROM admission GROUP BY sex",
        "SELECT BAND(age, 10), AVG(age), COUNT(DISTINCT patient_id) FROM admission WHERE age > 3 AND sex IN ('F')",
    ]
    asked = []
    for statement in statements:
        try:
            asked.append(read(statement, catalogue, sites))
        except StatementError:
            continue
    plans = [encode(each.plan) for each in asked]
    pages = [encode(each.pages) for each in asked]
    compiler = Compiler(catalogue=catalogue)

    def compile_plan(data):
        compiler.kept.clear()
        compiler.compile(data, rig.PRICE, 3)

    def check_view(data):
        first = decode(Pages, data)
        for each in asked:
            check_pages(first, each.plan, catalogue)

    return [
        Parser(name="plan", seeds=plans, feed=compile_plan, errors=(QueryError, Rejected), mutate=as_json),
        Parser(name="view", seeds=pages, feed=check_view, errors=(QueryError,), mutate=as_json),
        Parser(
            name="sql", seeds=[each.encode() for each in statements],
            feed=lambda data: read(data.decode(errors="replace"), catalogue, sites),
            errors=(QueryError,), mutate=as_text,
        ),
    ]  # fmt: skip


# --- agreed files


def _files():
    catalogues = [rig.CATALOGUE, (ROOT / "docs/examples/discharge.toml").read_bytes(), _short_catalogue()]
    pack = (ROOT / "farr/packs/monthly.toml").read_text()
    entries = pack.split("[[indicator]]")
    packs = ["[[indicator]]".join([entries[0], *entries[at : at + 3]]).encode() for at in range(1, len(entries), 9)]
    return [
        Parser(
            name="catalogue", seeds=catalogues,
            feed=lambda data: read_catalogue(data, "catalogue.toml"), errors=(QueryError,), mutate=as_text,
        ),
        Parser(
            name="pack", seeds=packs,
            feed=lambda data: read_pack(data, "pack.toml"), errors=(QueryError,), mutate=as_text,
        ),
    ]  # fmt: skip


def _short_catalogue():
    return b"""
name = "short"
version = "2"
label = { en = "Short", zh = "\xe7\x9f\xad" }
sites_per_patient = 2
rows_per_site = 1_000_000
[site.region]
codes = ["N", "S"]
[codes.place]
codes = ["11", "12", "21"]
[codes.place.levels.province]
"1" = ["11", "12"]
"2" = ["21"]
[tables.stay]
label = "Stays"
patient = ["patient_id", "birth"]
rows_per_patient = 2
[tables.stay.columns.sex]
codes = { F = "female", M = "male" }
[tables.stay.columns.home]
codes = "place"
[tables.stay.columns.age]
number = { low = 0, high = 120, step = 0.5 }
[tables.stay.columns.day]
date = { first = 2019-01-01, last = 2026-12-31 }
"""


# --- tokens and applications


def _tokens(folder):
    """Tokens whose certificates hold, changed inside with the check corrected; and applications likewise."""
    key, authority = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca, certificate = _certificate("ca", authority, authority), _certificate("applicant", key, authority)
    made = token.JoinToken(
        federation="harbour", member="dover", role=Role.ROLE_NODE, address="coordinator.example:8443",
        ca_certificate=ca, registrar_key=bytes(32), certificate=certificate,
        key=key.private_numbers().private_value.to_bytes(32, "big"),
    )  # fmt: skip
    line = token.encode(made)
    packed = base64.urlsafe_b64decode(line.removeprefix(token.PREFIX) + "==")[:-8]

    def inside(data):
        checked = base64.urlsafe_b64encode(data + digest("farr1/token", data)[:8]).decode().rstrip("=")
        found = token.decode(token.PREFIX + checked)
        found.expires_at(), found.valid_from(), found.private_key()

    identity = IdentityKey.from_seed(bytes(32))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dover")]))
        .sign(key, hashes.SHA256())
    )
    application = joining.Application(
        federation="harbour", id="dover", role=Role.ROLE_NODE, identity_key=identity.public, token=bytes(32),
        certificate_request=request.public_bytes(serialization.Encoding.DER),
    )  # fmt: skip

    def apply(data):
        joining.verify(joining.sign(data, key), key.public_key())

    return [
        *_answers(folder, key, authority),
        Parser(
            name="token", seeds=[line.encode()], feed=lambda data: token.decode(data.decode(errors="surrogateescape")),
            errors=(Rejected,), mutate=as_text,
        ),
        Parser(
            name="token-inside", seeds=[packed], feed=inside, errors=(Rejected,), mutate=as_message(JoinTokenMessage),
        ),
        Parser(
            name="application", seeds=[joining.write(application, identity)], feed=apply, errors=(Rejected,),
            mutate=as_message(Application),
        ),
    ]  # fmt: skip


def _answers(folder, key, authority):
    """What a newcomer and an analyst read of the coordinator: its admission, and what it says of the federation."""
    ca, certificate = _certificate("ca", authority, authority), _certificate("dover", key, authority)
    dover = harbour.member("dover", Role.ROLE_NODE, certificate_digest=hashlib.sha256(certificate).digest())
    held = harbour.roster()
    held = replace(held, members=tuple(sorted([*held.members, dover], key=lambda each: each.id)))
    expected = admitted.Expected(
        federation="harbour", member="dover", role=Role.ROLE_NODE, address="coordinator.example:8443",
        ca_certificate=ca, registrar_key=harbour.key("registrar").public, identity=harbour.key("dover"), tls_key=key,
    )  # fmt: skip
    admission = Admission(
        admitted=True, certificate=certificate, catalogue=harbour.CATALOGUE,
        roster=rosters.write(held, harbour.key("registrar")),
    )  # fmt: skip

    def admit(data):
        said = Admission.FromString(data)
        answer = admitted.Answer(certificate=said.certificate, roster=said.roster, catalogue=said.catalogue)
        admitted.check(answer, expected, now=1_800_000_000)

    place = folder / "reader"
    home = harbour.home(place)
    return [
        Parser(
            name="admission", seeds=[admission.SerializeToString()], feed=admit, errors=(FarrError, DecodeError),
            mutate=as_message(Admission),
        ),
        Parser(
            name="description", seeds=[harbour.description().SerializeToString()],
            feed=lambda data: federation.read(Description.FromString(data), home, place),
            errors=(FarrError, Rejected, QueryError, DecodeError), mutate=as_message(Description),
        ),
    ]  # fmt: skip


def _certificate(name, key, issuer):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .sign(issuer, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


# --- proofs


def _proofs(folder):
    tree = Grown(bytes([number]) for number in range(21))
    proof = Logged(number=21, at=5, inclusion=merkle.inclusion(4, 21, tree.at))
    later = Logged(number=21, at=8, inclusion=merkle.consistency(8, 21, tree.at), previous=tree.root(8))

    def prove(data):
        shown = Logged.FromString(data)
        size, index, path = shown.number, shown.at, shown.inclusion
        root = tree.root(size) if 0 < size <= 21 else shown.previous
        for check, given in (
            (merkle.verify_inclusion, (merkle.leaf(bytes([4])), index, size, path, root)),
            (merkle.verify_consistency, (index, size, path, shown.previous, root)),
        ):
            try:
                check(*given)
            except Rejected:
                continue
            return
        raise Rejected("bad-proof", "neither")

    asked = harbour.federation(folder / "analyst", quay := harbour.Quay())
    result = asked.ask("SELECT sex, COUNT(*) AS n FROM stay GROUP BY sex")
    (release,) = quay.released.values()
    bundle = proven.whole(release, units=result.privacy.measurement.cost)
    registrar = harbour.key("registrar").public

    def verify(data):
        found = evidence.verify(evidence.MAGIC + data, registrar_key=registrar)
        found.to_plain()

    def read_release(data):
        signed = Signed.FromString(data)
        held = harbour.roster()
        found = releases.read(signed, federation="harbour", coordinator_key=harbour.key("coordinator").public)
        releases.announced(found, roster=held, now=found.released_at)

    return [
        Parser(
            name="proof", seeds=[each.SerializeToString() for each in (proof, later)], feed=prove,
            errors=(Rejected, DecodeError), mutate=as_message(Logged),
        ),
        Parser(
            name="evidence", seeds=[bundle.SerializeToString(deterministic=True)], feed=verify, errors=(FarrError,),
            mutate=as_message(Evidence),
        ),
        Parser(
            name="evidence-file", seeds=[evidence.to_bytes(bundle)],
            feed=lambda data: evidence.verify(data, registrar_key=registrar), errors=(FarrError,), mutate=as_bytes,
        ),
        Parser(
            name="release", seeds=[release.SerializeToString()], feed=read_release, errors=(Rejected, DecodeError),
            mutate=as_message(Signed),
        ),
        Parser(
            name="log-file", seeds=[_log()], errors=(FarrError,), mutate=_as_lines,
            feed=lambda data: log_file.check(*log_file.read(data, registrar_key=registrar)),
        ),
        Parser(
            name="mandate", seeds=[mandate.to_message(harbour.MANDATE).SerializeToString()],
            feed=lambda data: mandate.from_message(Mandate.FromString(data)),
            errors=(Rejected, DecodeError), mutate=as_message(Mandate),
        ),
    ]  # fmt: skip


def _log():
    log = fresh(2)
    for number in range(4):
        add(log, kind="answered", request="00" * 16, units=number)
    kept = log_file.Kept(
        member="aden",
        federation="harbour",
        entries=tuple(log.entries()),
        checkpoints=(proven.signed_of(log, "aden"),),
        roster=rosters.write(harbour.roster(), harbour.key("registrar")),
    )
    return log_file.write(kept)


def _as_lines(mutator, data, seeds):
    """Change one line of JSON in the spelling of the others, or the bytes."""
    lines = data.split(b"\n")
    at = mutator.random.randrange(len(lines))
    try:
        changed = mutator.json(lines[at], [line for line in lines if line[:1] == lines[at][:1]])
    except (ValueError, TypeError, RecursionError):
        return mutator.bytes(data, seeds)
    return b"\n".join([*lines[:at], changed, *lines[at + 1 :]])
