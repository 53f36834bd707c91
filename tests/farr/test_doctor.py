import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from farr.cli import join as join_command
from farr.dialing import Caller
from farr.doctor import certificates, disk, network, way
from farr.doctor.way import way_to
from farr.errors import FarrError
from farr.hospital import nodes
from farr.membership import joining, keys
from farr.registrar.admission import revoke
from farr.registrar.admit import admit, publish
from farr.registrar.founding import at_work
from node.authority import policy
from node.books.audit import ROLLED_BACK, Audit
from node.books.state import StateError, open_state, transaction
from node.serve import site_key
from node.settings import Source, write_source
from protocols.wire_pb2 import Role
from tests.farr import broken, parties
from tests.farr.parties import invite

ROOT = Path(__file__).resolve().parents[2]
QUICK = 0.7
DAY = 86_400


@pytest.fixture(autouse=True)
def straight(monkeypatch):
    """No proxy in the environment."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation of now, with its coordinator running and one hospital."""
    folder = tmp_path_factory.mktemp("federation")
    now = int(time.time())
    admission_file = parties.found(folder, now=now, address=parties.free_address())
    held = parties.complete_coordinator(folder, admission_file, now=now)
    with parties.running(held, folder):
        (folder / "data").mkdir()
        rows = "".join(f"p{number},{number % 90}\n" for number in range(737))
        (folder / "data" / "admission.csv").write_text("patient_id,age\n" + rows)
        with at_work(folder / "r") as registrar:
            token = invite(registrar, "st-mary", now=now)
            with pytest.raises(FarrError, match="has not admitted"):
                joining.join(folder / "h", token, timeout=0)
            admit(registrar)
            joining.join(folder / "h", token, timeout=0)
        write_source(folder / "h", Source(data=folder / "data"))
        (folder / "h" / policy.FILE).write_text(policy.DEFAULT)
        yield folder


@pytest.fixture
def home(federation):
    """The hospital's home."""
    return federation / "h"


def caller(home, address=""):
    """Return the hospital as it dials, at another address if one is given."""
    own = nodes.caller_of(nodes.read_home(home))
    return Caller(
        address=address or own.address, ca_certificate=own.ca_certificate, certificate=own.certificate, key=own.key
    )


def first_wrong(home, address="", environment=None, **fields):
    """Return what is first found wrong on the way; every finding of that kind says what to do."""
    found = list(network.findings(caller(home, address), environment=environment or {}, patience=QUICK, **fields))
    wrong = next(each for each in found if not each.good)
    assert wrong.remedy
    assert wrong.code
    return wrong


# --- the network


def test_a_good_way_is_found_good_at_every_step(home):
    """Name, port, TLS, the coordinator's own word, and its clock."""
    found = list(network.findings(caller(home), environment={}))
    assert [(each.name, each.good) for each in found] == [
        ("name", True), ("way", True), ("tls", True), ("coordinator", True), ("time", True),
    ]  # fmt: skip


def test_a_name_that_nobody_knows(home):
    """The name is shown, and DNS is named."""
    wrong = first_wrong(home, "hub.invalid:7443")
    assert wrong.code == "no-name"
    assert "hub.invalid" in wrong.text


def test_a_dns_server_that_is_silent(home, monkeypatch):
    """The resolver's own patience is not waited for."""
    asked = threading.Event()
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_a, **_k: asked.wait(120))
    begun = time.monotonic()
    assert first_wrong(home, "hub.example.org:7443").code == "dns-silent"
    assert time.monotonic() - begun < 60
    asked.set()


def test_a_port_that_is_refused(home):
    """Nobody listens: the service, or the port."""
    assert first_wrong(home, parties.free_address()).code == "refused"


def test_a_firewall_that_drops_silently(home):
    """No answer at all: the outgoing connection has to be allowed, or goes through a proxy."""
    with broken.silence() as address:
        wrong = first_wrong(home, address)
    assert wrong.code == "no-answer"
    assert "https_proxy" in wrong.remedy


@pytest.mark.parametrize(("status", "code"), [(403, "proxy-forbids"), (407, "proxy-login"), (502, "proxy-answer")])
def test_a_proxy_that_does_not_open_the_way(home, status, code):
    """It forbids CONNECT, wants a login, or fails; its password is not shown."""
    with broken.serving(broken.proxy(status)) as address:
        wrong = first_wrong(home, environment={"https_proxy": f"http://user:hunter2@{address}"})
    assert wrong.code == code
    assert "hunter2" not in wrong.text + wrong.remedy
    assert address in wrong.text


def test_what_is_no_proxy_is_called_so(home):
    """Something answers, but not HTTP."""
    with broken.serving(lambda connection: connection.sendall(b"220 mail ready\r\n\r\n")) as address:
        assert first_wrong(home, environment={"https_proxy": f"http://{address}"}).code == "proxy-answer"


def test_a_proxy_that_opens_the_way_is_gone_through(home, monkeypatch):
    """All steps pass through it, with the login from the environment; hosts that are taken out go straight."""
    handle = broken.proxy(200, login="dTpw")
    with broken.serving(handle) as address:
        monkeypatch.setenv("https_proxy", f"http://u:p@{address}")
        found = list(network.findings(caller(home)))
        assert [each.name for each in found if not each.good] == []
        assert len(handle.heard) >= 2
        before = len(handle.heard)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert all(each.good for each in network.findings(caller(home)))
        assert len(handle.heard) == before


@pytest.mark.parametrize(
    ("environment", "through"),
    [
        ({}, False),
        ({"https_proxy": "http://p:3128"}, True),
        ({"http_proxy": "p:3128"}, True),
        ({"https_proxy": "http://p:3128", "no_proxy": "other.org"}, True),
        ({"https_proxy": "http://p:3128", "no_proxy": ".example.org"}, False),
        ({"https_proxy": "http://p:3128", "no_grpc_proxy": "*"}, False),
    ],
)
def test_the_environment_names_the_proxy_as_the_network_library_reads_it(environment, through):
    """The same variables in the same order, and the same exemptions."""
    assert (way_to("hub.example.org:7443", environment).proxy is not None) == through


def test_a_network_range_can_be_taken_out_of_the_proxy():
    """An address within a range in CIDR notation goes straight."""
    environment = {"https_proxy": "http://p:3128", "no_proxy": "10.0.0.0/8"}
    assert way_to("10.1.2.3:7443", environment).proxy is None
    assert way_to("11.1.2.3:7443", environment).proxy is not None


def test_a_device_that_opens_tls_is_named(home, tmp_path):
    """The issuer of what is shown is the device's name; the remedy is an exemption, never its CA."""
    with broken.impostor(tmp_path, "Corporate Inspection CA") as address:
        wrong = first_wrong(home, address)
    assert wrong.code == "intercepted"
    assert "Corporate Inspection CA" in wrong.text
    assert address in wrong.remedy


@pytest.mark.parametrize(("name", "word"), [("heart", "heart"), ("stroke", "other keys")])
def test_another_federations_coordinator_is_told_from_a_device(home, tmp_path, name, word):
    """Another name, or the same name founded anew."""
    with broken.impostor(tmp_path, federation=name) as address:
        wrong = first_wrong(home, address)
    assert wrong.code == "other-federation"
    assert word in wrong.text


def shown_at(federation, *, begins, life=10, role=Role.ROLE_COORDINATOR):
    """Return a certificate of the federation's own CA, and its key."""
    key = keys.new_tls_key()
    with at_work(federation / "r") as registrar:
        issue = registrar.authority.issue
        return issue("coordinator", role, key.public_key(), now=int(time.time()) + begins, life=life), key


def test_a_coordinator_whose_certificate_ended(home, federation, tmp_path):
    """Both times are shown, and whose turn it is."""
    with broken.tls(*shown_at(federation, begins=-1000), tmp_path) as address:
        wrong = first_wrong(home, address)
    assert wrong.code == "coordinator-expired"
    assert "farr coordinator renew" in wrong.remedy


def test_a_clock_that_is_behind(home, federation, tmp_path):
    """The certificate begins in this machine's future."""
    with broken.tls(*shown_at(federation, begins=2 * DAY, life=DAY), tmp_path) as address:
        wrong = first_wrong(home, address)
    assert wrong.code == "clock"
    assert "timedatectl" in wrong.remedy


def test_a_clock_that_is_ahead_is_told_from_a_certificate_that_ended(home, federation, tmp_path):
    """The proxy on the way states the true time, by which the certificate still holds."""
    shown = shown_at(federation, begins=-2 * DAY, life=DAY)
    date = formatdate(time.time() - 1.5 * DAY, usegmt=True)
    with broken.tls(*shown, tmp_path) as address, broken.serving(broken.proxy(200, date=date)) as proxy:
        wrong = first_wrong(home, address, {"https_proxy": f"http://{proxy}"})
    assert wrong.code == "clock"


def test_a_clock_a_few_minutes_off_is_found_by_the_coordinators_own(home):
    """TLS does not notice ten minutes; requests would be refused for them."""
    for apart in (-1000, 1000):
        assert first_wrong(home, now=lambda apart=apart: time.time() + apart).code == "clock"


def test_a_member_that_is_no_coordinator_at_the_address(home, federation, tmp_path):
    """The right CA, the wrong party."""
    with broken.tls(*shown_at(federation, begins=0, life=DAY, role=Role.ROLE_NODE), tmp_path) as address:
        assert first_wrong(home, address).code == "not-coordinator"


@pytest.mark.parametrize(
    ("handle", "code"),
    [
        pytest.param(lambda connection: connection.sendall(b"HTTP/1.1 302 Login\r\n\r\n"), "not-tls", id="a portal"),
        pytest.param(lambda connection: connection.recv(10), "cut-off", id="cut off"),
        pytest.param(lambda _connection: time.sleep(3), "cut-off", id="silent"),
    ],
)
def test_a_port_that_opens_but_does_not_speak_tls(home, handle, code):
    """A portal that wants a login, and a firewall that looks into connections."""
    with broken.serving(handle) as address:
        assert first_wrong(home, address).code == code


def test_a_member_that_was_revoked_is_told_so(federation, tmp_path):
    """Everything on the way is good: the roster is not."""
    with at_work(federation / "r") as registrar:
        token = invite(registrar, "leaving", now=int(time.time()))
        with pytest.raises(FarrError):
            joining.join(tmp_path / "h", token, timeout=0)
        admit(registrar)
        joining.join(tmp_path / "h", token, timeout=0)
        revoke(registrar, "leaving", now=int(time.time()))
        publish(registrar)
    wrong = first_wrong(tmp_path / "h")
    assert (wrong.name, wrong.code) == ("coordinator", "unknown-member")


@pytest.mark.parametrize("how", ["cut_after", "swallow_after"])
def test_a_firewall_that_forgets_silent_connections(home, how):
    """It resets them, or swallows what comes later: found by holding one."""
    with broken.serving(broken.relay(caller(home).address, **{how: 0.5})) as address:
        finding = network.held(caller(home, address), 1.5, patience=QUICK)
    assert (finding.good, finding.code) == (False, "cut")
    assert "idle timeout" in finding.remedy


def test_a_connection_that_lasts_is_good(home):
    """Straight, a silent connection is still there afterwards."""
    assert network.held(caller(home), 0.5).good


# --- the disk


def test_a_full_disk_and_a_nearly_full_one(tmp_path):
    """A small disk that is filled, and one with little left, as the system states it."""
    with broken.small_disk(tmp_path / "d") as folder:
        if folder is not None:
            assert disk.room(folder).code == "full"
            broken.fill(folder)
            assert disk.writable(folder).code == "full"
    real = os.statvfs(tmp_path)

    def little(_folder):
        return os.statvfs_result((4096, 4096, *real[2:3], 10_000, 10_000, *real[5:]))

    assert disk.room(tmp_path, little).code == "nearly-full"


def test_a_disk_without_room_for_another_file(tmp_path):
    """Bytes are free, but no more files fit."""
    found = os.statvfs_result((4096, 4096, 10**9, 10**9, 10**9, 1000, 0, 0, 0, 255))
    assert "no more files" in disk.room(tmp_path, lambda _folder: found).text


def test_a_read_only_disk_and_somebody_elses_folder(tmp_path):
    """Each has its own remedy; where this user may mount nothing, a folder without the right to write stands in."""
    with broken.small_disk(tmp_path / "d", read_only=True) as folder:
        if folder is not None:
            assert disk.writable(folder).code == "read-only"
    if os.geteuid():
        (tmp_path / "o").mkdir(mode=0o500)
        assert disk.writable(tmp_path / "o").code == "not-owner"
    assert disk.writable(tmp_path).good
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".check")] == []


def test_a_home_on_a_network_file_system(tmp_path):
    """The innermost mount above the home counts, also with a blank in its name."""
    point = str(tmp_path).replace(" ", "\\040")
    lines = ["22 1 0:20 / / rw - ext4 /dev/sda rw", f"30 22 0:30 / {point} rw,relatime shared:1 - nfs4 server:/x rw"]
    (tmp_path / "mountinfo").write_text("\n".join(lines) + "\n")
    finding = disk.kind(tmp_path / "home", tmp_path / "mountinfo")
    assert (finding.code, "nfs4" in finding.text) == ("network-disk", True)
    assert disk.kind(Path("/elsewhere"), tmp_path / "mountinfo").good
    assert disk.kind(tmp_path, tmp_path / "absent").good


@pytest.mark.parametrize("name", ["identity.key", "tls.key", ".", "node.db", "failures/abc"])
def test_files_that_others_can_read(home, tmp_path, name):
    """Keys, state, details of faults and the folder itself; the check then opens nothing."""
    subprocess.run(["cp", "-a", str(home), str(tmp_path / "h")], check=True)
    folder = tmp_path / "h"
    (folder / "failures").mkdir(mode=0o700, exist_ok=True)
    (folder / name).touch()
    (folder / name).chmod(0o755 if name == "." else 0o644)
    (finding,) = nodes.findings(folder, Source(data=tmp_path))
    assert (finding.name, finding.code) == ("rights", "open-files")
    assert "chmod" in finding.remedy


HOLD = """
import pathlib, sys, time
from node.serve import _alone
with _alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_on_the_same_home(tmp_path):
    """The one that runs is named; one that cannot be seen, as in a container, is wrong."""
    assert disk.alone(tmp_path).good
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        named = disk.alone(tmp_path)
        assert named.good
        assert str(holder.pid) in named.text
        (tmp_path / disk.RUNNING).write_text("4194305\n")
        assert disk.alone(tmp_path).code == "held"
    finally:
        holder.kill()
        holder.wait()
    assert disk.alone(tmp_path).good


def test_a_site_key_that_others_can_read_stops_the_node(tmp_path):
    """As with every key: the node does not start, and says what to do."""
    site_key(tmp_path)
    (tmp_path / "site.key").chmod(0o640)
    with pytest.raises(StateError, match="chmod 600"):
        site_key(tmp_path)


# --- the whole check


def farr(*arguments, **environment):
    """Run the command; return the finished process."""
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "farr", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env={**plain, "FARR_LANG": "en", **environment}, capture_output=True, text=True, check=False,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_report_holds_no_secret_and_no_count(home, tmp_path):
    """Written beside the check's own output; keys, tokens, passwords and counts of records are in neither."""
    report = tmp_path / "report.json"
    with broken.serving(broken.proxy(403)) as proxy:
        done = farr(
            "node", "check", "--home", home, "--report", report, "--json", https_proxy=f"http://u:hunter2@{proxy}"
        )
    assert done.returncode == 1
    written = report.read_text()
    told = json.loads(written)
    by_name = {each["check"]: each for each in told["checks"]}
    assert by_name["way"]["code"] == "proxy-forbids"
    assert by_name["data"] == {"check": "data", "good": True}
    assert (told["id"], told["federation"]) == ("st-mary", "stroke")
    # As a number of its own: a digest, a time or the name of a folder may have its digits too.
    count = re.compile(r"(?<![\w.])737(?![\w.])")
    assert count.search(done.stdout)
    assert not count.search(written)
    held = nodes.read_home(home).credentials
    secrets = [held.identity.seed.hex(), (home / "site.key").read_bytes().hex(), "hunter2"]
    secrets += [line for line in held.tls_key.decode().splitlines() if "-" not in line]
    for secret in secrets:
        assert secret not in written + done.stdout + done.stderr
    assert report.stat().st_mode & 0o077 == 0


def test_the_check_says_what_to_do_under_its_table(home):
    """For people: the table, then a line for each finding that has a remedy; for scripts the same as fields."""
    done = farr("node", "check", "--home", home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What to do" not in done.stdout
    with broken.serving(broken.proxy(407)) as proxy:
        done = farr("node", "check", "--home", home, https_proxy=f"http://{proxy}")
    assert done.returncode == 1
    assert "What to do about way: ask for an exemption" in " ".join(done.stdout.split())


def test_a_token_on_a_command_line_is_warned_about(tmp_path, monkeypatch, capsys):
    """From the environment, a file or standard input it is taken silently."""
    assert join_command._text("farr1.secret", None) == "farr1.secret"
    assert "--token-file" in capsys.readouterr().err
    monkeypatch.setenv("FARR_TOKEN", "farr1.other")
    assert join_command._text("", None) == "farr1.other"
    (tmp_path / "t").write_text("farr1.third")
    assert join_command._text("", tmp_path / "t") == "farr1.third"
    assert capsys.readouterr().err == ""


def test_a_proxy_that_is_not_there_is_called_the_proxy(home):
    """Not the coordinator's port, and not: set a proxy."""
    wrong = first_wrong(home, environment={"https_proxy": "http://127.0.0.1:9"})
    assert wrong.code == "refused"
    assert "is the proxy that https_proxy names" in wrong.remedy
    wrong = first_wrong(home, environment={"https_proxy": "http://proxy.invalid:3128"})
    assert wrong.code == "no-name"
    assert "https_proxy" in wrong.remedy


def test_a_node_that_was_put_back_is_not_called_fit(home, federation, tmp_path):
    """Its evidence is sound, and it answers nothing all the same: the check says so, and how to go on."""
    folder = tmp_path / "h"
    shutil.copytree(home, folder)
    with contextlib.closing(open_state(folder)) as connection, transaction(connection):
        Audit(connection=connection).append(ROLLED_BACK, 1, {})
    found = {each.name: each for each in nodes.findings(folder, Source(data=federation / "data"))}
    assert found["evidence"].code == "rolled-back"
    assert "farr node audit recover" in found["evidence"].remedy


def test_an_address_that_cannot_be_a_name_is_an_unknown_name(home):
    """Two dots in a row make the resolver's encoder fail, not the check."""
    assert first_wrong(home, "hub..example.org:7443", environment={}).code == "no-name"


def test_a_certificate_that_cannot_be_read_is_a_devices(home):
    """What TLS took for a certificate and nobody can parse is no coordinator's."""
    found = certificates.judge(b"junk", caller(home).ca_certificate, address="hub:1", now=0, stated=None)
    assert found.code == "intercepted"


def test_a_status_that_is_no_number_is_no_http(home):
    """A digit that only Latin-1 has does not end the check."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n")
        with pytest.raises(way.ProxyAnswer, match="^0$"):
            way.Way(host="hub", port=1)._ask(ours, way.Proxy(host="proxy", port=2))


def test_a_file_that_goes_while_it_is_looked_at_is_open_to_nobody(tmp_path, monkeypatch):
    """A node that serves removes files of its own during the check."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(Path, "rglob", lambda folder, _pattern: [folder / "node.db-wal"])
    assert disk.rights(tmp_path).good
