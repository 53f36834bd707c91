from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from farr.membership import home as homes
from node import serve as services
from node.apps.running import Apps
from node.authority import policy
from node.blobs import Blobs
from node.books.ledger import Ledger
from node.books.state import StateError, open_state, read_state
from node.records.mapping import SourceError
from node.serve import site_key
from node.settings import Source, read_source, write_source
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.wire_pb2 import Role, State
from tests.coordinator.federation import CATALOGUE, HOSPITALS, NAME, Federation, Running

ROOT = Path(__file__).resolve().parents[2]
SITE = "brest"
SOON = 120.0
HEAVY = ("sklearn", "polars", "flwr", "matplotlib", "pandas")

SERVE = f"""
import os, sys
from farr.cli.main import main
leave = os._exit

def told(code):
    sys.stdout.write("imported:" + ",".join(name for name in {HEAVY!r} if name in sys.modules) + chr(10))
    sys.stdout.flush()
    leave(code)

os._exit = told
sys.exit(main(["node", "serve", "--home", sys.argv[1]], {{}}))
"""

HOLD = """
import pathlib, sys, time
from node.serve import _alone
with _alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def federation():
    """One set of keys for all tests."""
    return Federation()


def make_home(folder, federation, address):
    """Write the home that joining leaves, with data for one table."""
    party = federation.parties[SITE]
    credentials = Credentials(
        federation=NAME,
        member=SITE,
        role=Role.ROLE_NODE,
        address=address,
        ca_certificate=federation.authority.pem,
        certificate=party.certificate_pem,
        tls_key=party.key_pem,
        identity=party.identity,
        registrar_key=federation.authority.registrar.public,
    )
    homes.write(folder, homes.Home(credentials=credentials, roster=federation.signed_roster, catalogue=CATALOGUE))
    data = folder.parent / "data"
    data.mkdir(exist_ok=True)
    rows = [f"{number},{'F' if number % 3 else 'M'},N" for number in range(300)]
    (data / "stay.csv").write_text("patient_id,sex,died\n" + "\n".join(rows) + "\n")
    write_source(folder, Source(data=data))
    (folder / policy.FILE).write_text(policy.DEFAULT.replace("# research = 3.0", "test = 10.0"))
    (folder / policy.FILE).chmod(0o600)


class Node:
    """`farr node serve` in a process of its own."""

    def __init__(self, folder):
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "FARR_LANG": "en"},
        )

    def end(self, number=signal.SIGTERM):
        """Send a signal and return what the process printed and its exit code."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=SOON)
        return out, err, self.process.returncode


def farr(*arguments):
    """Run a command; return its output read as JSON and its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "farr", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=SOON
    )
    return json.loads(done.stdout), done.returncode


def test_a_real_node_answers_a_real_coordinator(tmp_path, federation):
    """From files to a release over mTLS; the node ends on SIGTERM with 0, and never loaded sklearn or polars."""
    folder = tmp_path / "home"

    async def scene():
        running = Running(federation, federation.settings(tmp_path / "coordinator", straggler_seconds=0.3))
        await running.start()
        make_home(folder, federation, running.address)
        node = Node(folder)
        try:
            await running.answering([site for site in HOSPITALS if site != SITE])
            analyst = running.analyst()
            status = await analyst.submit(rho_units=1 << 34, minimum=len(HOSPITALS))
            status = await analyst.end_of(status)
            assert status.state == State.STATE_ANSWERED, status
            released = await analyst.answer(status)
            assert SITE in released.contributors
            checked, code = await asyncio.to_thread(farr, "node", "check", "--home", str(folder), "--json")
            assert code == 0, checked
            assert {each["check"] for each in checked} == {
                "rights", "home", "disk", "place", "process", "certificate", "clock", "policy", "evidence", "data",
                "name", "way", "tls", "coordinator", "time",
            }  # fmt: skip
            state, code = await asyncio.to_thread(farr, "node", "status", "--home", str(folder), "--json")
            assert state["running"] == node.process.pid
            assert state["epoch"] > 0
            # Killed, it comes back without its keys and takes part again in the next epoch.
            node.end(signal.SIGKILL)
            node = Node(folder)
            status = await analyst.end_of(await analyst.submit(rho_units=1 << 34, minimum=len(HOSPITALS), fresh=True))
            assert status.state == State.STATE_ANSWERED, status
            assert SITE in (await analyst.answer(status)).contributors
            second = Node(folder)
            _out, err = await asyncio.to_thread(second.process.communicate, timeout=SOON)
            assert second.process.returncode == 1
            assert "another process serves this home; farr node check names it" in err
        finally:
            out, err, code = await asyncio.to_thread(node.end)
            await running.stop()
        assert code == 0, err
        assert "ready" in out
        assert "imported:\n" in out
        assert not (folder / "serve.pid").exists()
        # gRPC's own core may write warnings of its own beside the node's log.
        for line in err.splitlines():
            assert line.startswith("{") or "preparing" in line or re.match(r"[IWE]\d{4} |WARNING: All log", line), line

    asyncio.run(scene())

    listed, code = farr("node", "ledger", "--home", str(folder), "--json")
    assert code == 0
    charge, later = listed["charges"]
    assert charge["analyst"] == "ada"
    # All five must answer, so m is 5 and, with one colluder feared, h is 4.
    assert charge["evidence"]["honest"] == 4
    assert later["epoch"] > charge["epoch"]
    spent = charge["units"] + later["units"]
    assert spent == listed["spent_units"] == listed["lifetime_units"] - listed["remaining_units"]
    entries, code = farr("node", "audit", "--home", str(folder), "--json")
    # What was released of it is entered a moment later, or when the node connects again.
    kinds = [entry["kind"] for entry in entries if entry["kind"] != "released"]
    assert kinds == ["roster", "started", "answered", "started", "answered"]
    verified, code = farr("node", "audit", "verify", "--home", str(folder), "--json")
    assert (verified["first_bad_entry"], verified["first_bad_charge"], code) == (None, None, 0)
    state, code = farr("node", "status", "--home", str(folder), "--json")
    assert state["running"] is None
    assert state["remaining_units"] == listed["remaining_units"]
    shown, code = farr("node", "policy", "show", "--home", str(folder), "--json")
    assert shown["own_row"] is False
    assert (shown["least_honest"], shown["trust_floor"]) == (2, "one-third")
    assert (shown["purposes"]["test"], shown["finest"], shown["approval_purposes"]) == (10.0, {"time": "day"}, "none")

    (folder / policy.FILE).write_text(policy.DEFAULT.replace('tables = "all"', 'tables = ["stays"]'))
    found, code = farr("node", "check", "--home", str(folder), "--json")
    wrong = {each["check"]: each["text"] for each in found if not each["good"]}
    assert code == 1
    assert wrong.keys() == {"policy", "way"}
    assert "policy.toml: tables: 'stays' is no table of the catalogue" in wrong["policy"]

    connection = open_state(folder)
    connection.execute("DROP TRIGGER charges_never_changes")
    connection.execute("UPDATE charges SET units = 0")
    connection.close()
    verified, code = farr("node", "audit", "verify", "--home", str(folder), "--json")
    assert (verified["first_bad_charge"], code) == (1, 1)
    damaged = Node(folder)
    _out, err = damaged.process.communicate(timeout=SOON)
    assert damaged.process.returncode == 1
    assert "the ledger is not as it was written: row 1" in err


def test_a_second_process_on_the_same_home_is_refused(tmp_path):
    """The lock is the operating system's: held by one, free again once that one ended, however it ended."""
    from node.serve import _alone

    with _alone(tmp_path):
        assert (tmp_path / "serve.pid").read_text().strip() == str(os.getpid())
        with pytest.raises(StateError, match="another process"), _alone(tmp_path):
            pass
    assert not (tmp_path / "serve.pid").exists()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StateError), _alone(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with _alone(tmp_path):
        pass


def test_the_site_key_is_drawn_once_and_private(tmp_path):
    """The key that orders rows stays the same over restarts, is 32 bytes, and only the owner can read it."""
    key = site_key(tmp_path)
    assert site_key(tmp_path) == key
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / "site.key").stat().st_mode) == 0o600
    (tmp_path / "site.key").write_bytes(b"short")
    with pytest.raises(StateError):
        site_key(tmp_path)


def test_the_source_settings_survive_any_name(tmp_path):
    """Folders in any script, with quotes and spaces, are read back as they were written."""
    for name in ("数据", 'a "b" \\c', "plain", "del\x7f"):
        data = tmp_path / name
        data.mkdir()
        source = Source(data=data, mapping=data / "m.toml", threads=2, memory_limit="1GB")
        write_source(tmp_path, source)
        assert read_source(tmp_path) == source
        many = replace(source, many_rows=5_000_000)
        write_source(tmp_path, many)
        assert read_source(tmp_path) == many


@pytest.mark.parametrize("line", ["many_rows = 0", "many_rows = true", 'many_rows = "5"', "threads = 1025"])
def test_a_wrong_number_in_the_settings_is_refused(tmp_path, line):
    """With the key's name and what to write."""
    (tmp_path / "node.toml").write_text(f'data = "/srv"\n{line}\n')
    with pytest.raises(SourceError, match=f"node.toml: {line.split()[0]}: is not a whole number from 1"):
        read_source(tmp_path)


def test_nothing_of_a_state_is_left_open(tmp_path):
    """A reader of the state sees what a writer committed."""
    connection = open_state(tmp_path)
    reader = read_state(tmp_path)
    assert Ledger(connection=reader).spent() == 0
    reader.close()
    connection.close()


def test_the_end_of_a_node_ends_its_apps_and_what_they_are_sent(tmp_path):
    """Neither an app nor a message for one is waited for, and none begins afterwards."""
    apps = Apps(home=tmp_path, hidden=(), rules=lambda: None, fetch=lambda *_: b"")
    blobs = Blobs(home=tmp_path, credentials=None)
    services._end_apps(apps, blobs)
    assert apps.stop.is_set()
    with pytest.raises(Rejected, match="the node ends"):
        blobs.fetch(b"d" * 32, 5, 60.0)
