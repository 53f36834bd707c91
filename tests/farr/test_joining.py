import hashlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace

import grpc
import pytest

from coordinator.membership import MembershipService
from farr import dialing
from farr.dialing import Caller, diagnose
from farr.errors import FarrError
from farr.membership import admitted, home, joining, keys
from farr.membership.coordinating import checked_address
from farr.registrar import admission
from farr.registrar.admit import admit, caller_of, publish
from farr.registrar.ca import found
from farr.registrar.founding import at_work
from protocols.token import encode
from protocols.wire_pb2 import Admission, Publication, Role
from protocols.wire_pb2_grpc import MembershipStub
from tests.farr import parties
from tests.farr.parties import invite


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


def invite_now(registrar, member, **fields):
    """Give a token that is good now."""
    return invite(registrar, member, now=int(time.time()), **fields)


def joined_beside(folder, token, visit):
    """Join in a thread, call ``visit`` when the application is under way, and return the home or the error."""
    result = []

    def run():
        try:
            result.append(joining.join(folder, token, timeout=60))
        except FarrError as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    visit()
    thread.join(25)
    assert not thread.is_alive()
    return result[0]


def test_a_hospital_joins_over_the_network(registrar, tmp_path):
    """Token, application, admission and home over mTLS; the certificate then opens the member's own services only."""
    token = invite_now(registrar, "st-mary", label_en="St Mary's", attributes={"country": "UK"})
    held = joined_beside(tmp_path / "h", token, lambda: admit(registrar, wait=1, timeout=60))
    assert held.read_roster().by_id["st-mary"].attributes == {"country": "UK"}
    again = home.read(tmp_path / "h")
    assert (again.credentials.member, again.credentials.role) == ("st-mary", Role.ROLE_NODE)
    assert again.catalogue == parties.CATALOGUE
    assert not (tmp_path / "h" / joining.PENDING).exists()
    credentials = again.credentials
    caller = Caller(
        address=credentials.address,
        ca_certificate=credentials.ca_certificate,
        certificate=credentials.certificate,
        key=credentials.tls_key,
    )
    with caller.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        MembershipStub(channel).Publish(Publication(), timeout=5)
    assert dialing.code_of(refused.value) == "wrong-role"


def test_a_join_that_was_cut_off_goes_on_with_its_keys(registrar, tmp_path):
    """Run again, it sends the same application; whether the registrar came by in between does not matter."""
    token = invite_now(registrar, "patient-one")
    with pytest.raises(FarrError, match="has not admitted"):
        joining.join(tmp_path / "h", token, timeout=0)
    pending = (tmp_path / "h" / joining.PENDING).read_bytes()
    identity = (tmp_path / "h" / home.IDENTITY).read_bytes()
    assert not home.is_joined(tmp_path / "h")
    with pytest.raises(FarrError, match="has not admitted"):
        joining.join(tmp_path / "h", token, timeout=0)
    assert (tmp_path / "h" / joining.PENDING).read_bytes() == pending
    admit(registrar)
    held = joining.join(tmp_path / "h", token, timeout=0)
    assert held.credentials.member == "patient-one"
    assert (tmp_path / "h" / home.IDENTITY).read_bytes() == identity


def test_a_used_token_is_refused_over_the_network(registrar, tmp_path):
    """A second machine with the same token gets no membership, and the first keeps its own."""
    token = invite_now(registrar, "used")
    first = joined_beside(tmp_path / "one", token, lambda: admit(registrar, wait=1, timeout=60))
    with pytest.raises(FarrError) as refusal:
        joining.join(tmp_path / "two", token, timeout=0)
    assert refusal.value.code == "bad-token"
    assert not home.is_joined(tmp_path / "two")
    assert registrar.roster()[1].by_id["used"].identity_key == first.credentials.identity.public


def test_a_refusal_reaches_the_applicant(registrar, tmp_path):
    """Somebody whose token was voided learns it, although no roster changes."""
    astray = invite_now(registrar, "void")
    invite_now(registrar, "void")
    version = registrar.roster()[1].version

    def visit():
        until = time.monotonic() + 60
        while not admit(registrar).refused:
            assert time.monotonic() < until
            time.sleep(0.1)

    refusal = joined_beside(tmp_path / "h", astray, visit)
    assert isinstance(refusal, FarrError)
    assert refusal.code == "bad-token"
    assert registrar.roster()[1].version == version


def test_revocation_is_published(registrar, tmp_path):
    """The coordinator turns a revoked member away from the moment of the publication."""
    token = invite_now(registrar, "leaving", role=Role.ROLE_ANALYST)
    held = joined_beside(tmp_path / "h", token, lambda: admit(registrar, wait=1, timeout=60))
    admission.revoke(registrar, "leaving", now=int(time.time()))
    publish(registrar)
    credentials = held.credentials
    caller = Caller(
        address=credentials.address,
        ca_certificate=credentials.ca_certificate,
        certificate=credentials.certificate,
        key=credentials.tls_key,
    )
    from protocols.wire_pb2 import Nothing
    from protocols.wire_pb2_grpc import AnalystsStub

    with caller.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        AnalystsStub(channel).Describe(Nothing(), timeout=5)
    assert dialing.code_of(refused.value) == "unknown-member"


def test_a_false_admission_is_not_believed(registrar, tmp_path, monkeypatch):
    """A lying coordinator cannot pass off another roster, certificate, catalogue or refusal as the registrar's."""
    token = invite_now(registrar, "wary")
    genuine = MembershipService._admission
    foreign = parties.found(tmp_path / "other", now=int(time.time()))
    with at_work(tmp_path / "other" / "r") as other:
        foreign_roster = other.registry.roster()
    assert foreign.exists()
    stolen = registrar.federation.coordinator
    impostor = found("stroke", keys.new_tls_key(), now=int(time.time()))
    lies = {
        "roster": lambda answer: answer.roster.CopyFrom(foreign_roster),
        "old roster": lambda answer: answer.roster.CopyFrom(first_roster),
        "catalogue": lambda answer: setattr(answer, "catalogue", parties.CATALOGUE + b"\n"),
        "certificate": lambda answer: setattr(answer, "certificate", stolen),
        "ca": lambda answer: setattr(answer, "certificate", issued_by(impostor)),
        "nothing": lambda answer: answer.CopyFrom(Admission(admitted=True)),
    }
    first_roster = registrar.registry.roster()

    def issued_by(authority):
        tls_key = keys.from_pem((tmp_path / "h" / home.TLS_KEY).read_bytes())
        return authority.issue("wary", Role.ROLE_NODE, tls_key.public_key(), now=int(time.time()))

    with pytest.raises(FarrError, match="has not admitted"):
        joining.join(tmp_path / "h", token, timeout=0)
    admit(registrar)
    for name, lie in lies.items():

        def tell(service, said, lie=lie):
            answer = genuine(service, said)
            lie(answer)
            return answer

        monkeypatch.setattr(MembershipService, "_admission", tell)
        with pytest.raises(FarrError):
            joining.join(tmp_path / "h", token, timeout=0)
        assert not home.is_joined(tmp_path / "h"), name
    monkeypatch.setattr(MembershipService, "_admission", genuine)
    assert joining.join(tmp_path / "h", token, timeout=0).credentials.member == "wary"


def test_an_admission_must_fit_in_every_part(tmp_path):
    """Even on the registrar's own roster, key, certificate and name must all be this member's."""
    now = parties.NOW
    parties.found(tmp_path)
    identity, tls_key = keys.new_identity(), keys.new_tls_key()
    with at_work(tmp_path / "r") as registrar:
        token = invite(registrar)
        admission.decide(registrar, [parties.application(token, identity=identity, tls_key=tls_key)], now=now)
        (published,) = admission.publication(registrar).admitted
        answer = admitted.Answer(
            certificate=published.certificate, roster=registrar.registry.roster(), catalogue=parties.CATALOGUE
        )
        expected = admitted.Expected(
            federation="stroke",
            member="st-mary",
            role=Role.ROLE_NODE,
            address=token.address,
            ca_certificate=token.ca_certificate,
            registrar_key=token.registrar_key,
            identity=identity,
            tls_key=tls_key,
        )
        assert admitted.check(answer, expected, now=now).credentials.member == "st-mary"
        issue = registrar.authority.issue
        second = issue("st-mary", Role.ROLE_NODE, tls_key.public_key(), now=now)
        misnamed = issue("other", Role.ROLE_NODE, tls_key.public_key(), now=now)
        foreign = found("stroke", keys.new_tls_key(), now=now)
        forged = foreign.issue("st-mary", Role.ROLE_NODE, tls_key.public_key(), now=now)

        def roster_with(certificate):
            digest = hashlib.sha256(certificate).digest()
            with registrar.registry.transaction():
                named = [
                    replace(member, certificate_digest=digest) if member.id == "st-mary" else member
                    for member in registrar.roster()[1].members
                ]
                registrar.enact(tuple(named), now=now)
            return registrar.registry.roster()

        wrong = [
            (replace(answer, certificate=second), expected),
            (replace(answer, certificate=misnamed, roster=roster_with(misnamed)), expected),
            (replace(answer, certificate=forged, roster=roster_with(forged)), expected),
            (answer, replace(expected, identity=keys.new_identity())),
            (answer, replace(expected, tls_key=keys.new_tls_key())),
            (answer, replace(expected, member="other")),
            (answer, replace(expected, role=Role.ROLE_ANALYST)),
            (answer, replace(expected, federation="heart")),
            (answer, replace(expected, registrar_key=keys.new_identity().public)),
            (replace(answer, catalogue=b""), expected),
        ]
    for false_answer, own in wrong:
        with pytest.raises(FarrError):
            admitted.check(false_answer, own, now=now)
    with pytest.raises(FarrError) as error:
        admitted.check(answer, expected, now=now - 10_000)
    assert error.value.code == "clock-skew"


def test_a_home_is_joined_once(registrar, tmp_path):
    """A folder that is a member's home is not joined again, and no token is spent on it."""
    token = invite_now(registrar, "once")
    joined_beside(tmp_path / "h", token, lambda: admit(registrar, wait=1, timeout=60))
    with pytest.raises(FarrError, match="a member's home already"):
        joining.join(tmp_path / "h", invite_now(registrar, "twice"), timeout=0)
    assert not (tmp_path / "h" / home.RENEWING).exists()


@pytest.mark.parametrize(
    ("clock", "code", "text"),
    [
        (8 * 86_400, "expired-token", "expired on"),
        (-4000, "clock-skew", "before the token was made"),
    ],
)
def test_a_wrong_clock_and_an_expired_token_are_told_apart(registrar, tmp_path, clock, code, text):
    """Before anything is sent, the token's life is held against this machine's clock, and both times are shown."""
    token = invite_now(registrar, "late")
    with pytest.raises(FarrError, match=text) as error:
        joining.join(tmp_path / "h", token, clock=lambda: time.time() + clock)
    assert error.value.code == code
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("text", ["", "farr1.", "hello", "farr1.AAAA"])
def test_something_else_than_a_token_is_named_so(text):
    """A text that is no token, or a cut one, gives an error that says how to copy it."""
    with pytest.raises(FarrError, match="not a whole join token"):
        joining.read_token(text)


# --- reaching the coordinator


@pytest.fixture
def no_proxy(monkeypatch):
    """No proxy in the environment."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def caller_at(registrar, address):
    """Return the registrar as it dials an address."""
    return caller_of(registrar, address)


def test_an_unreachable_coordinator_is_named_with_what_to_check(registrar, no_proxy):
    """Unknown name, closed port: each has its own remedy, and both name the address."""
    closed = parties.free_address()
    error = diagnose(caller_at(registrar, closed))
    assert closed in error.message
    assert "is the coordinator running?" in error.remedy
    error = diagnose(caller_at(registrar, "hub.invalid:7443"))
    assert "hub.invalid:7443" in error.message
    assert "DNS" in error.remedy
    with pytest.raises(FarrError, match=closed):
        admit(registrar, address=closed)


def test_a_proxy_is_named_without_its_password(registrar, monkeypatch):
    """With a proxy in the environment the error speaks of it and shows nothing of its address."""
    monkeypatch.setenv("https_proxy", "http://user:hunter2@proxy.example.org:3128")
    error = diagnose(caller_at(registrar, parties.free_address()))
    assert "proxy" in error.message
    assert "hunter2" not in str(error)


def serve_tls(certificate, key, tmp_path):
    """Answer TLS connections with a certificate; return the address and a way to stop."""
    (tmp_path / "c").write_bytes(certificate)
    (tmp_path / "k").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True):
                    pass
            except OSError:
                pass

    threading.Thread(target=run, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}", listener.close


def test_an_intercepted_connection_is_named(registrar, tmp_path, no_proxy):
    """Where somebody else's certificate is shown, the error says whose, and the join gives nothing away to it."""
    key = keys.new_tls_key()
    impostor = found("middlebox", keys.new_tls_key(), now=int(time.time()))
    shown = impostor.issue("coordinator", Role.ROLE_COORDINATOR, key.public_key(), now=int(time.time()))
    address, stop = serve_tls(keys.certificate_pem(shown), keys.to_pem(key), tmp_path)
    try:
        error = diagnose(caller_at(registrar, address))
        assert error.code == "intercepted"
        assert "farr ca middlebox" in error.message
    finally:
        stop()


def test_a_coordinator_out_of_its_time_is_named(registrar, tmp_path, no_proxy):
    """An expired certificate of the right CA speaks of clocks, not of interception."""
    key = keys.new_tls_key()
    long_ago = int(time.time()) - 1000
    shown = registrar.authority.issue("coordinator", Role.ROLE_COORDINATOR, key.public_key(), now=long_ago, life=10)
    address, stop = serve_tls(keys.certificate_pem(shown), keys.to_pem(key), tmp_path)
    try:
        assert diagnose(caller_at(registrar, address)).code == "clock-skew"
    finally:
        stop()


def test_the_genuine_coordinator_passes_the_diagnosis(registrar, no_proxy):
    """At the real one the steps succeed, so the cause that is left is one's own certificate."""
    assert diagnose(caller_at(registrar, "")).code == "not-accepted"


@pytest.mark.parametrize("address", ["", "host", "host:", ":7443", "host:0", "host:70000", "host:x", "h" * 400 + ":1"])
def test_an_address_has_a_host_and_a_port(address):
    """Anything else is refused before a token carries it."""
    with pytest.raises(FarrError):
        checked_address(address)


# --- the command line


def farr(*arguments, stdin=""):
    """Run the command; return the finished process."""
    command = [sys.executable, "-m", "farr", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)


def test_the_commands_lead_from_nothing_to_a_member(tmp_path):
    """init, init, serve, token, join, admit, roster, revoke: as the help says, each with exit code 0."""
    (tmp_path / "catalogue.toml").write_bytes(parties.CATALOGUE)
    registrar, coordinator = ("--home", tmp_path / "r"), ("--home", tmp_path / "c")
    address = parties.free_address()
    made = [
        farr("coordinator", "init", *coordinator, "--address", address),
        farr("registrar", "init", *registrar, "--federation", "stroke", "--catalogue", tmp_path / "catalogue.toml",
             "--coordinator", tmp_path / "c" / "application.json"),
        farr("registrar", "token", *registrar, "--analyst", "li", "--label-zh", "李", "--out", tmp_path / "li.token"),
    ]  # fmt: skip
    assert [(process.returncode, process.stderr) for process in made[:2]] == [(0, "")] * 2
    assert made[2].returncode == 0
    assert "farr1." not in made[2].stdout + made[2].stderr
    serving = subprocess.Popen(
        [sys.executable, "-m", "farr", "coordinator", "serve", *map(str, coordinator), "--json", "--admission",
         str(tmp_path / "r" / "coordinator-admission.json")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert address.rpartition(":")[2] in "".join(serving.stdout.readline() for _ in range(3))
        joining_process = subprocess.Popen(
            [sys.executable, "-m", "farr", "join", "--home", str(tmp_path / "li"), "--json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        joining_process.stdin.write((tmp_path / "li.token").read_text())
        joining_process.stdin.close()
        admitted = farr("registrar", "admit", *registrar, "--wait", "1", "--timeout", "30", "--json")
        assert (admitted.returncode, json.loads(admitted.stdout)["admitted"]) == (0, ["li"])
        assert joining_process.wait(30) == 0
        assert json.loads(joining_process.stdout.read())["id"] == "li"
        roster = json.loads(farr("registrar", "roster", *registrar, "--json").stdout)
        assert [member["id"] for member in roster["members"]] == ["coordinator", "li", "registrar"]
        assert "李" in farr("registrar", "roster", *registrar).stdout
        assert farr("registrar", "revoke", *registrar, "li").returncode == 0
        assert farr("registrar", "revoke", *registrar, "li").returncode == 1
        used = farr("join", "--home", tmp_path / "two", "--token-file", tmp_path / "li.token", "--timeout", "0")
        assert used.returncode == 1
        wrong = farr("registrar", "token", *registrar, "--node", "a", "--analyst", "b")
        assert wrong.returncode == 2
    finally:
        serving.terminate()
        _output, log = serving.communicate(timeout=60)
    assert serving.returncode == 0
    assert "farr1." not in log
    assert all(json.loads(line)["event"] for line in log.splitlines())


def test_a_token_for_another_role_is_sent_to_the_right_command(registrar, tmp_path):
    """An analyst's command does not use up a hospital's token."""
    (tmp_path / "t").write_text(encode(invite_now(registrar, "hospital")))
    process = farr("join", "--home", tmp_path / "h", "--token-file", tmp_path / "t")
    assert process.returncode == 1
    assert "farr node join" in process.stderr
    assert not (tmp_path / "h").exists()
