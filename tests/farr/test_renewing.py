import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from coordinator.membership import MembershipService
from farr import dialing, files
from farr.errors import FarrError
from farr.membership import home, joining, keys, renewing
from farr.registrar import admission
from farr.registrar.admission import decide, publication
from farr.registrar.admit import admit, publish
from farr.registrar.ca import DAY
from farr.registrar.founding import at_work
from farr.registrar.renewing import own_certificate, renew_own
from node.authority import policy
from node.settings import Source, write_source
from protocols import joining as applications
from protocols.wire_pb2 import Admission, Nothing, Role
from protocols.wire_pb2_grpc import AnalystsStub
from tests.farr import parties
from tests.farr.parties import NOW, application, invite

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation of now, with its coordinator running."""
    folder = tmp_path_factory.mktemp("federation")
    now = int(time.time())
    admission_file = parties.found(folder, now=now, address=parties.free_address())
    held = parties.complete_coordinator(folder, admission_file, now=now)
    with parties.running(held, folder):
        yield folder


@pytest.fixture
def registrar(federation):
    """The registrar of the running federation."""
    with at_work(federation / "r") as registrar:
        yield registrar


def joined(registrar, folder, member, **fields):
    """Join a member and return its home."""
    token = invite(registrar, member, now=int(time.time()), **fields)
    with pytest.raises(FarrError, match="has not admitted"):
        joining.join(folder, token, timeout=0)
    admit(registrar)
    return joining.join(folder, token, timeout=0)


def code_at(credentials):
    """Return the code that the coordinator answers a member with that asks for the description."""
    caller = dialing.Caller(
        address=credentials.address,
        ca_certificate=credentials.ca_certificate,
        certificate=credentials.certificate,
        key=credentials.tls_key,
    )
    with caller.channel() as channel:
        try:
            AnalystsStub(channel).Describe(Nothing(), timeout=5)
        except grpc.RpcError as error:
            return dialing.code_of(error)
    return ""


def not_yet(folder, **fields):
    """Apply for a renewal that nobody answers yet."""
    with pytest.raises(FarrError) as waiting:
        renewing.renew(folder, timeout=0, **fields)
    assert waiting.value.code == "not-yet"


def test_a_certificate_is_renewed_in_place(registrar, tmp_path):
    """New TLS key and certificate in the same folder, the same signing key; the registrar is not asked anything."""
    before = joined(registrar, tmp_path / "h", "li", role=Role.ROLE_ANALYST, label_en="Li")
    not_yet(tmp_path / "h")
    assert home.read(tmp_path / "h").credentials.certificate == before.credentials.certificate
    outcome = admit(registrar)
    assert (outcome.renewed, outcome.admitted, outcome.refused) == (("li",), (), ())
    after = renewing.renew(tmp_path / "h", timeout=0)
    assert after.credentials.certificate != before.credentials.certificate
    assert after.credentials.tls_key != before.credentials.tls_key
    assert after.credentials.identity.public == before.credentials.identity.public
    member = registrar.roster()[1].by_id["li"]
    assert (member.label_en, member.joined_at) == ("Li", before.read_roster().by_id["li"].joined_at)
    assert home.read(tmp_path / "h").credentials.certificate == after.credentials.certificate
    assert code_at(before.credentials) == "unknown-member"
    assert code_at(after.credentials) == ""
    left = {path.name for path in (tmp_path / "h").iterdir()}
    assert not left & {home.RENEWING, home.RENEWED, ".renewed"}
    assert all(stat.S_IMODE((tmp_path / "h" / name).stat().st_mode) == 0o600 for name in left)
    assert admit(registrar).renewed == ()


def test_a_renewal_counts_among_those_that_a_visit_waits_for(registrar, tmp_path):
    """The one that was waited for came to renew: the visit ends although a token is left; for two it goes on."""
    joined(registrar, tmp_path / "h", "awaited")
    invite(registrar, "absent", now=int(time.time()))
    not_yet(tmp_path / "h")
    assert admit(registrar, wait=1, timeout=0).renewed == ("awaited",)
    with pytest.raises(FarrError, match="0 of 1"):
        admit(registrar, wait=1, timeout=0)
    with registrar.registry.transaction():
        registrar.registry.void("absent")


def test_a_renewal_can_be_repeated_year_after_year(registrar, tmp_path):
    """Each certificate renews the next one, and none before it any more."""
    held = joined(registrar, tmp_path / "h", "yearly")
    first = tmp_path / "first"
    shutil.copytree(tmp_path / "h", first)
    for _year in range(3):
        not_yet(tmp_path / "h")
        admit(registrar)
        held = renewing.renew(tmp_path / "h", timeout=0)
    assert registrar.roster()[1].by_id["yearly"].certificate_digest in registrar.roster()[1].by_certificate
    assert code_at(held.credentials) == "wrong-role"
    with pytest.raises(FarrError):
        renewing.renew(first, timeout=0)


def test_a_new_signing_key_needs_the_registrars_word(registrar, tmp_path):
    """With it, the roster names the new key and the home holds it; without, the application waits and says so."""
    before = joined(registrar, tmp_path / "h", "rotates")
    not_yet(tmp_path / "h", new_identity=True)
    outcome = admit(registrar)
    assert (outcome.rotating, outcome.renewed, outcome.refused) == (("rotates",), (), ())
    not_yet(tmp_path / "h", new_identity=True)
    assert admit(registrar, rotate=["somebody-else"]).renewed == ()
    assert admit(registrar, rotate=["rotates"]).renewed == ("rotates",)
    after = renewing.renew(tmp_path / "h", new_identity=True, timeout=0)
    assert after.credentials.identity.public != before.credentials.identity.public
    assert registrar.roster()[1].by_id["rotates"].identity_key == after.credentials.identity.public
    assert home.read(tmp_path / "h").credentials.identity.public == after.credentials.identity.public


def test_a_stolen_tls_key_renews_under_the_own_signing_key_only(registrar, tmp_path):
    """Whoever has the TLS key alone holds no signing key of the member, so it has to wait."""
    held = joined(registrar, tmp_path / "h", "robbed")
    tls = keys.from_pem(held.credentials.tls_key)
    present = x509.load_pem_x509_certificate(held.credentials.certificate)
    token = replace(invite(registrar, "robbed-two", now=int(time.time())), member="robbed")
    token = replace(token, certificate=present.public_bytes(renewing.Encoding.DER))
    stolen = application(token, signer=tls)
    decision = decide(registrar, [stolen], now=int(time.time()))
    assert (decision.rotating, decision.renewed) == (("robbed",), ())
    assert registrar.roster()[1].by_id["robbed"].identity_key == held.credentials.identity.public


def test_a_revoked_member_does_not_renew(registrar, tmp_path):
    """Its application is refused, although its certificate has not ended."""
    joined(registrar, tmp_path / "h", "gone")
    admission.revoke(registrar, "gone", now=int(time.time()))
    publish(registrar)
    not_yet(tmp_path / "h")
    assert [each.code for each in admit(registrar).refused] == ["bad-token"]
    with pytest.raises(FarrError) as refused:
        renewing.renew(tmp_path / "h", timeout=0)
    assert refused.value.code == "bad-token"
    assert "gone" not in registrar.roster()[1].by_id


def test_a_renewal_takes_nobody_elses_place(tmp_path):
    """Another id, role or federation, another member's signing key, a forged signature: refused, nothing changes."""
    parties.found(tmp_path)
    with at_work(tmp_path / "r") as registrar:
        identities = {name: keys.new_identity() for name in ("one", "two")}
        tls = {name: keys.new_tls_key() for name in ("one", "two")}
        for name in ("one", "two"):
            token = invite(registrar, name)
            decide(registrar, [application(token, identity=identities[name], tls_key=tls[name])], now=NOW)
        der = next(g.certificate for g in registrar.registry.unpublished() if g.member == "one")
        present = replace(invite(registrar, "three"), member="one", certificate=der)
        cases = {
            "bad-token": {"id": "two"},
            "wrong-role": {"role": Role.ROLE_ANALYST},
            "wrong-federation": {"federation": "heart"},
        }
        before = registrar.registry.roster()
        for code, fields in cases.items():
            false = application(present, identity=identities["one"], signer=tls["one"], **fields)
            assert [each.code for each in decide(registrar, [false], now=NOW).refused] == [code]
        taken = application(present, identity=identities["two"], signer=tls["one"])
        assert [each.code for each in decide(registrar, [taken], now=NOW, rotate=["one"]).refused] == ["key-in-use"]
        forged = application(present, identity=identities["one"], signer=tls["two"])
        assert [each.code for each in decide(registrar, [forged], now=NOW).refused] == ["bad-signature"]
        honest = application(present, identity=identities["one"], signer=tls["one"])
        late = decide(registrar, [honest], now=NOW + 399 * DAY)
        assert [each.code for each in late.refused] == ["expired-certificate"]
        assert registrar.registry.roster() == before
        assert decide(registrar, [honest], now=NOW).renewed == ("one",)
        renewed = registrar.registry.roster()
        assert decide(registrar, [honest], now=NOW).refused == ()
        assert registrar.registry.roster() == renewed


def test_a_false_renewal_is_not_believed(registrar, tmp_path, monkeypatch):
    """A coordinator that answers with another certificate or an older roster leaves the home as it was."""
    held = joined(registrar, tmp_path / "h", "wary")
    old_roster = registrar.registry.roster()
    not_yet(tmp_path / "h")
    admit(registrar)
    genuine = MembershipService._admission
    lies = {
        "roster": lambda answer: answer.roster.CopyFrom(old_roster),
        "certificate": lambda answer: setattr(answer, "certificate", registrar.federation.coordinator),
        "catalogue": lambda answer: setattr(answer, "catalogue", b""),
        "nothing": lambda answer: answer.CopyFrom(Admission(admitted=True)),
    }
    for lie in lies.values():

        def tell(service, said, lie=lie):
            answer = genuine(service, said)
            lie(answer)
            return answer

        monkeypatch.setattr(MembershipService, "_admission", tell)
        with pytest.raises(FarrError):
            renewing.renew(tmp_path / "h", timeout=0)
        assert home.read(tmp_path / "h").credentials.certificate == held.credentials.certificate
    monkeypatch.setattr(MembershipService, "_admission", genuine)
    assert renewing.renew(tmp_path / "h", timeout=0).credentials.certificate != held.credentials.certificate


class Killed(BaseException):
    """The process ends here."""


def killed_at(monkeypatch, step):
    """Let the process end before its ``step``-th change of a file's name; return the count of steps so far."""
    count = [0]

    def counted(real):
        def run(*arguments, **fields):
            count[0] += 1
            if count[0] == step:
                raise Killed
            return real(*arguments, **fields)

        return run

    monkeypatch.setattr(files, "replace", counted(files.replace))
    monkeypatch.setattr(home.Path, "rename", counted(home.Path.rename))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    return count


def test_a_home_that_was_killed_in_mid_renewal_is_whole(registrar, tmp_path, monkeypatch):
    """Before each step of taking the new certificate: key and certificate fit, and going on ends at the new one."""
    before = joined(registrar, tmp_path / "h", "mortal")
    not_yet(tmp_path / "h", new_identity=True)
    admit(registrar, rotate=["mortal"])
    seen = set()
    for step in range(1, 30):
        folder = tmp_path / f"h{step}"
        shutil.copytree(tmp_path / "h", folder)
        with monkeypatch.context() as patch:
            count = killed_at(patch, step)
            with contextlib.suppress(Killed):
                renewing.renew(folder, new_identity=True, timeout=0)
            done = count[0] < step
        held = home.read(folder)
        certificate = x509.load_pem_x509_certificate(held.credentials.certificate)
        assert certificate.public_key() == keys.from_pem(held.credentials.tls_key).public_key()
        renewed = held.credentials.certificate != before.credentials.certificate
        assert renewed == (held.credentials.identity.public != before.credentials.identity.public)
        seen.add(renewed)
        # What a service does when it starts, and the operator when the command is run again.
        home.settle(folder)
        if not renewed:
            held = renewing.renew(folder, new_identity=True, timeout=0)
        assert home.read(folder).credentials.certificate == held.credentials.certificate
        assert code_at(held.credentials) == "wrong-role"
        if done:
            break
    assert done
    assert step > 8
    assert seen == {True, False}


def test_after_its_end_a_certificate_is_replaced_with_a_token_in_the_same_folder(tmp_path, monkeypatch):
    """The registrar gives a token for the same id; signing key, state and what the roster says of the member stay."""
    long_ago = int(time.time()) - 399 * DAY
    admission_file = parties.found(tmp_path, now=long_ago, address=parties.free_address())
    with at_work(tmp_path / "r") as registrar:
        token = invite(registrar, "slept", now=long_ago, attributes={"country": "UK"}, label_en="Slept")
        identity, tls_key = keys.new_identity(), keys.new_tls_key()
        decide(registrar, [application(token, identity=identity, tls_key=tls_key)], now=long_ago)
        (grant,) = registrar.registry.unpublished()
        folder = tmp_path / "h"
        files.make_folder(folder)
        files.create_private(folder / home.IDENTITY, home.seed_text(identity))
        files.create_private(folder / home.TLS_KEY, keys.to_pem(tls_key))
        answer = joining.admitted.Answer(
            certificate=grant.certificate, roster=registrar.registry.roster(), catalogue=parties.CATALOGUE
        )
        held = joining.admitted.check(answer, joining.admitted.expected_by(token, folder), now=long_ago)
        home.write(folder, held)
        (folder / "node.db").write_bytes(b"the ledger")
        with pytest.raises(FarrError, match="ended") as ended:
            renewing.renew(folder, timeout=0)
        assert ended.value.code == "expired-certificate"
        assert "new token for the same id" in ended.value.remedy
        again = invite(registrar, "slept", now=int(time.time()))
        expected = joining._rejoining(folder, again)
        signed = joining._application(folder / home.RENEWING, again, expected)
        assert decide(registrar, [signed], now=int(time.time())).admitted == ("slept",)
        certificate = registrar.registry.grant(applications.token_of(signed)).certificate
        joined_again = joining.admitted.check(
            replace(answer, certificate=certificate, roster=registrar.registry.roster()), expected, now=int(time.time())
        )
        home.take_renewed(folder, joined_again)
        member = registrar.roster()[1].by_id["slept"]
        assert (member.attributes, member.label_en, member.joined_at) == ({"country": "UK"}, "Slept", long_ago)
        with pytest.raises(FarrError, match="a member already"):
            invite(registrar, "slept", now=int(time.time()))
    read = home.read(folder).credentials
    assert (read.identity.public, read.certificate) == (identity.public, keys.certificate_pem(certificate))
    assert (folder / "node.db").read_bytes() == b"the ledger"
    assert admission_file.exists()


def test_a_member_that_was_let_in_again_joins_in_its_own_folder(registrar, tmp_path):
    """After a revocation a new token serves in the same folder: new TLS key, the same signing key and state."""
    before = joined(registrar, tmp_path / "h", "returns").credentials
    (tmp_path / "h" / "node.db").write_bytes(b"the ledger")
    admission.revoke(registrar, "returns", now=int(time.time()))
    publish(registrar)
    token = invite(registrar, "returns", now=int(time.time()))
    with pytest.raises(FarrError, match="has not admitted"):
        joining.join(tmp_path / "h", token, timeout=0)
    assert home.read(tmp_path / "h").credentials.certificate == before.certificate
    admit(registrar)
    after = joining.join(tmp_path / "h", token, timeout=0).credentials
    assert home.read(tmp_path / "h").credentials.certificate == after.certificate != before.certificate
    assert after.identity.public == before.identity.public
    assert (tmp_path / "h" / "node.db").read_bytes() == b"the ledger"
    assert code_at(after) == "wrong-role"


def test_the_coordinator_renews_through_its_own_state(federation, registrar):
    """It can dial nobody, itself included: the registrar finds the application where it finds all others."""
    folder = federation / "c"
    carry = renewing.through_state(folder)
    before = home.read(folder).credentials
    not_yet(folder, carry=carry)
    assert admit(registrar).renewed == ("coordinator",)
    after = renewing.renew(folder, carry=carry, timeout=0).credentials
    assert after.certificate != before.certificate
    assert registrar.roster()[1].coordinator.identity_key == before.identity.public
    names = x509.load_pem_x509_certificate(after.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["coordinator.farr"]


def test_the_registrar_renews_its_own_certificate(federation, registrar, monkeypatch):
    """Near its end or past it, by itself; the coordinator believes the roster that first names the new one."""
    before = own_certificate(registrar)
    assert not renew_own(registrar, now=int(time.time()))
    with monkeypatch.context() as patch:
        patch.setattr("farr.registrar.renewing.EARLY", 400)
        assert renew_own(registrar, now=int(time.time()))
    assert own_certificate(registrar) != before
    assert admit(registrar).version == registrar.roster()[1].version
    assert admit(registrar).refused == ()
    publish(registrar)


def test_nobody_else_publishes_with_a_certificate_that_is_not_on_the_roster(registrar, tmp_path):
    """A roster that the registrar signed opens the way only for the certificate that it names as the registrar's."""
    held = joined(registrar, tmp_path / "h", "meddler").credentials
    admission.revoke(registrar, "meddler", now=int(time.time()))
    caller = dialing.Caller(
        address=held.address, ca_certificate=held.ca_certificate, certificate=held.certificate, key=held.tls_key
    )
    publish(registrar)
    with registrar.registry.transaction():
        registrar.enact(registrar.roster()[1].members, now=int(time.time()))
    with caller.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        dialing_stub(channel).Publish(publication(registrar), timeout=5)
    assert dialing.code_of(refused.value) == "unknown-member"


def dialing_stub(channel):
    """Return the registrar's side of the coordinator."""
    from protocols.wire_pb2_grpc import MembershipStub

    return MembershipStub(channel)


def test_a_node_renews_by_itself_when_it_is_time(registrar, tmp_path):
    """Not before the last 60 days; then it applies, and takes what the registrar issued; or what a command took."""
    held = joined(registrar, tmp_path / "h", "timely")
    now = time.time()
    early = renewing.Renewer(tmp_path / "h", clock=lambda: now)
    assert early(held.credentials) is None
    assert not renewing.is_under_way(tmp_path / "h")
    due = renewing.Renewer(tmp_path / "h", clock=lambda: now + 340 * DAY)
    assert due(held.credentials) is None
    assert renewing.is_under_way(tmp_path / "h")
    admit(registrar)
    renewed = early(held.credentials)
    assert renewed.certificate != held.credentials.certificate
    assert early(held.credentials).certificate == renewed.certificate
    assert early(renewed) is None


def test_a_refused_renewal_can_be_asked_for_again(registrar, tmp_path):
    """The member learns the code once, goes on with what it has, and a later application is looked at anew."""
    held = joined(registrar, tmp_path / "h", "patient")
    other = joined(registrar, tmp_path / "o", "other").credentials
    renewing.attempt(tmp_path / "h", held, renewing.over_network(held.credentials), now=int(time.time()))
    (tmp_path / "h" / home.RENEWING / home.IDENTITY).write_bytes(home.seed_text(other.identity))
    (tmp_path / "h" / home.RENEWING / home.IDENTITY).chmod(0o600)
    (tmp_path / "h" / home.RENEWING / renewing.PENDING).unlink()
    identity, tls_key = renewing.new_keys(tmp_path / "h", held)
    token = applications.token_of(renewing._application(tmp_path / "h", held, new_identity=False))
    body = applications.write(
        applications.Application(
            federation="stroke", id="patient", role=Role.ROLE_NODE, identity_key=identity.public,
            certificate_request=keys.certificate_request(tls_key, "patient"), token=token,
        ),
        identity,
    )  # fmt: skip
    signed = applications.sign(body, keys.from_pem(held.credentials.tls_key))
    files.replace(tmp_path / "h" / home.RENEWING / renewing.PENDING, signed.SerializeToString())
    not_yet(tmp_path / "h")
    assert [each.code for each in admit(registrar, rotate=["patient"]).refused] == ["key-in-use"]
    with pytest.raises(FarrError) as refused:
        renewing.renew(tmp_path / "h", timeout=0)
    assert refused.value.code == "key-in-use"
    not_yet(tmp_path / "h")
    assert admit(registrar).renewed == ("patient",)
    assert renewing.renew(tmp_path / "h", timeout=0).credentials.identity.public == held.credentials.identity.public


@pytest.mark.parametrize("new_identity", [False, True])
def test_a_node_that_serves_takes_the_renewed_certificate(registrar, federation, tmp_path, new_identity):
    """Renewed by a command while it serves: it dials again with the new one, or ends to sign with a new key.

    Neither its log nor its arguments hold a key, old or new.
    """
    member = "stays" if not new_identity else "starts-anew"
    folder = tmp_path / "h"
    before = joined(registrar, folder, member).credentials
    (tmp_path / "data").mkdir()
    write_source(folder, Source(data=tmp_path / "data"))
    (folder / policy.FILE).write_text(policy.DEFAULT)
    log = (tmp_path / "log").open("w+")
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "farr", "node", "serve", "--home", str(folder)]
    node = subprocess.Popen(command, cwd=ROOT, env=plain, stdout=subprocess.DEVNULL, stderr=log)

    def told(event):
        return sum(event in line for line in (tmp_path / "log").read_text().splitlines())

    def soon(condition):
        until = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.1)

    try:
        soon(lambda: told("the link is up") == 1)
        not_yet(folder, new_identity=new_identity)
        # The coordinator ends the stream now; the node finds the certificate, fetched by whoever of the two is first.
        admit(registrar, rotate=[member] if new_identity else [])
        if new_identity:
            with suppress(FarrError):
                renewing.renew(folder, new_identity=True, timeout=5)
            assert node.wait(120) == 1
            assert told("the signing key was replaced") == 1
        else:
            soon(lambda: told("the link is up") == 2)
            assert told("the certificate was renewed") == 1
        named = registrar.roster()[1].by_id[member]
        held = home.read(folder).credentials
        assert hashlib.sha256(renewing._der(held.certificate)).digest() == named.certificate_digest
        assert held.identity.public == named.identity_key
        arguments = Path(f"/proc/{node.pid}/cmdline")
        seen = arguments.read_text() if node.poll() is None and arguments.exists() else ""
        seen += (tmp_path / "log").read_text()
        for key in (before, held):
            secrets = [
                key.identity.seed.hex(),
                *(line for line in key.tls_key.decode().splitlines() if "-" not in line),
            ]
            assert not [each for each in secrets if each in seen]
    finally:
        if node.poll() is None:
            node.terminate()
            assert node.wait(20) == 0
        log.close()
