"""What is wrong with a state's files, one fault at a time: found at the start, and told with what to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from coordinator.errors import CoordinatorError
from node.authority.policy import parse
from node.books.audit import TORN, Audit
from node.books.damage import is_torn
from node.books.ledger import Ledger
from node.books.opening import (
    DAMAGED,
    FULL,
    GONE,
    MARK,
    TEAR,
    UNKNOWN_COST,
    UNWRITABLE,
    WAL,
    open_checked,
)
from node.books.state import FILE, StateError, insist_whole, read_state
from node.serve import _alone as serving
from tests.coordinator.federation import Federation
from tests.node import rig
from tests.node.test_serve import Node, make_home

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def opened(home):
    """Open a home as the service does."""
    return contextlib.closing(open_checked(home, lambda: rig.NOW))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home as it is after `kill -9`: its newest rows are in the write-ahead log alone."""
    monkeypatch.setattr(rig, "open_state", lambda folder: open_checked(folder, lambda: rig.NOW))
    living = rig.Rig(tmp_path / "living")
    living.answer(rig.announce())
    living.answer(rig.announce(rig.request(2), slot=2))
    dead = tmp_path / "dead"
    shutil.copytree(living.home, dead)
    living.close()
    return dead


def last_commit(data):
    """Return where the last transaction of a log begins."""
    page = 24 + 4096
    frames = [data[at : at + page] for at in range(32, len(data), page)]
    ends = [at for at, frame in enumerate(frames) if int.from_bytes(frame[4:8], "big")]
    return 32 + page * (ends[-2] + 1)


def test_every_tear_of_the_last_transaction_is_found(home):
    """Cut, or filled with zeros, anywhere within it; whole, or cut exactly before it, nothing is torn."""
    wal = home / WAL
    data = wal.read_bytes()
    start = last_commit(data)
    assert not is_torn(wal)
    for cut in (False, True):
        for at in [*range(start + 17, len(data), 997), len(data) - 1]:
            whole = data[:at] + (b"" if cut else bytes(len(data) - at))
            wal.write_bytes(whole)
            assert is_torn(wal) == (whole != data), at
    for whole in (data, data[:start], b"", data + data[32 : 32 + 4120].replace(data[16:24], b"\1" * 8)):
        wal.write_bytes(whole)
        assert not is_torn(wal)
    wal.unlink()
    assert not is_torn(wal)


def test_a_tear_is_charged_once_as_the_dearest_answer(home):
    """The answer that it undid may have left, so the dearest that the policy allows is charged, with an entry."""
    wal = home / WAL
    with opened(home) as before:
        spent = Ledger(connection=before).spent()
    # Closing has put the log away, so the home is used once more and dies.
    dead = home.with_name("dead again")
    living = rig.Rig(home, number=2)
    living.answer(rig.announce(rig.request(3), number=2))
    shutil.copytree(home, dead)
    living.close()
    wal = dead / WAL
    os.truncate(wal, wal.stat().st_size - 100)
    for _ in range(2):
        with opened(dead) as connection:
            charges = list(Ledger(connection=connection).charges())
            entries = list(Audit(connection=connection).entries())
            assert [charge.purpose for charge in charges] == ["test", "test", TEAR]
            assert charges[-1].units > rig.PRICE
            assert charges[-1].period == parse(rig.POLICY.encode(), "policy.toml").period_start(charges[-1].at)
            assert [entry.kind for entry in entries].count(TORN) == 1
            assert Ledger(connection=connection).spent() == spent + charges[-1].units
            assert Audit(connection=connection).verify() is None


def test_without_a_policy_a_tear_is_left_as_it_is(home):
    """What it may have cost is unknown then, so nothing is opened, and the tear is still there the next time."""
    wal = home / WAL
    os.truncate(wal, wal.stat().st_size - 100)
    (home / "policy.toml").rename(home / "policy.away")
    data = wal.read_bytes()
    for _ in range(2):
        with pytest.raises(StateError, match="correct policy.toml") as refused:
            open_checked(home, lambda: rig.NOW)
        assert str(refused.value) == UNKNOWN_COST
    assert wal.read_bytes() == data
    (home / "policy.away").rename(home / "policy.toml")
    with opened(home) as connection:
        assert [charge.purpose for charge in Ledger(connection=connection).charges()] == ["test", TEAR]


def test_no_command_tidies_a_tear_away(home):
    """A command that reads the state of a dead node would put its log away on closing: it is sent to the node first."""
    wal = home / WAL
    os.truncate(wal, wal.stat().st_size - 100)
    data = wal.read_bytes()
    with pytest.raises(StateError, match="start the node first"):
        read_state(home)
    with pytest.raises(StateError, match="start the node first"):
        insist_whole(home)
    assert wal.read_bytes() == data
    with serving(home):
        # While a node serves, a write may just be under way: that is no tear.
        insist_whole(home)
    with opened(home):
        pass
    read_state(home).close()


def settle(home):
    """Put what the log holds into the database, as a clean end does."""
    with opened(home):
        pass
    assert not (home / WAL).exists()
    return home / FILE


@pytest.mark.parametrize("gone", ["missing", "empty", "empty beside its log"])
def test_a_state_that_is_gone_is_never_begun_anew(home, gone):
    """An empty ledger would be a whole new budget: the node says what to do, and leaves the log as it is."""
    if gone == "empty beside its log":
        (home / MARK).touch()
        os.truncate(home / FILE, 0)
    elif gone == "empty":
        os.truncate(settle(home), 0)
    else:
        settle(home).unlink()
    kept = {path.name: path.read_bytes() for path in home.glob(f"{FILE}*")}
    for _ in range(2):
        with pytest.raises(StateError) as refused:
            open_checked(home, lambda: rig.NOW)
        assert str(refused.value) == GONE
    assert {path.name: path.read_bytes() for path in home.glob(f"{FILE}*")} == kept


def test_a_torn_database_holds_or_is_refused(home):
    """Cut at any page, or within one: a message that names node.db and the backup, or a state in which all holds."""
    path = settle(home)
    data = path.read_bytes()
    refused = 0
    for size in range(len(data) - 1, 0, -1777):
        path.write_bytes(data[:size])
        try:
            with opened(home) as connection:
                assert len(list(Ledger(connection=connection).charges())) == 2
        except StateError as error:
            assert str(error) == DAMAGED
            refused += 1
        for left in home.glob(f"{FILE}-*"):
            left.unlink()
    assert refused > 20


def test_a_stored_upload_that_a_disk_changed_is_found(home):
    """SQLite keeps no digest of its pages; an announcement would get other bytes than it got before."""
    path = settle(home)
    data = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (upload,) = connection.execute("SELECT upload FROM uploads LIMIT 1").fetchone()
    at = bytes(data).index(upload[-40:])
    data[at] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StateError) as refused:
        open_checked(home, lambda: rig.NOW)
    assert str(refused.value) == DAMAGED


@pytest.mark.parametrize(("what", "message"), [("cut", DAMAGED), ("missing", GONE)])
def test_the_command_ends_with_the_words_and_one(tmp_path, what, message):
    """`farr node serve` itself: no traceback, but what is wrong and what to do, and exit code 1."""
    folder = tmp_path / "home"
    make_home(folder, Federation(), "127.0.0.1:1")
    with opened(folder):
        pass
    if what == "cut":
        os.truncate(folder / FILE, 9000)
    else:
        (folder / FILE).unlink()
    _out, err = (node := Node(folder)).process.communicate(timeout=60)
    assert node.process.returncode == 1
    assert message in err
    assert "Traceback" not in err


def test_a_coordinators_torn_state_is_told(tmp_path):
    """Cut in the middle, or no database at all: the message names the file and what to do, and the file stays."""
    from coordinator.serve import _open

    file = tmp_path / "coordinator.sqlite"
    _open(file).close()
    data = file.read_bytes()
    for torn in (data[: len(data) // 2], b"x" * 5000):
        file.write_bytes(torn)
        with pytest.raises(CoordinatorError, match="coordinator.sqlite is damaged.*newest backup"):
            _open(file)
        assert file.read_bytes() == torn


OPEN = """
import sys
from pathlib import Path
from node.books.opening import open_checked
from node.books.state import StateError, transaction
from node.books.audit import Audit
import os, resource, encodings.idna
import google.protobuf.message
user, room = int(sys.argv[2]), int(sys.argv[3])
if user:
    os.setgid(user)
    os.setuid(user)
if room:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    connection = open_checked(Path(sys.argv[1]), lambda: 1800000000)
    print("opened")
except StateError as error:
    print(error)
"""


def told(home, *, user=0, room=0):
    """Open a home in a process of its own; return what it says."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPEN, str(home), str(user), str(room)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return run.stdout.strip()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_home_that_cannot_be_written_is_told(home, what):
    """A read-only folder or file, as a user who owns neither: the node says so and what to do."""
    settle(home)
    with tempfile.TemporaryDirectory() as outside:
        place = Path(outside) / "home"
        shutil.copytree(home, place)
        Path(outside).chmod(0o755)
        user = NOBODY if os.getuid() == 0 else 0
        for path in place.iterdir():
            path.chmod(0o444 if what == "file" else 0o644)
            if user:
                os.chown(path, user if what == "folder" else 0, -1)
        place.chmod(0o555 if what == "folder" else 0o755)
        try:
            assert told(place, user=user) == UNWRITABLE
        finally:
            place.chmod(0o755)


def test_a_full_disk_is_told(home):
    """No file may grow: the node says so, and what it holds is as it was once there is room."""
    kept = (home / FILE).read_bytes()
    assert told(home, room=1) in {FULL, UNWRITABLE}
    assert (home / FILE).read_bytes()[:100] == kept[:100]
    with opened(home) as connection:
        assert len(list(Ledger(connection=connection).charges())) == 2


def test_a_disk_that_runs_full_in_the_middle_answers_nothing_and_goes_on_afterwards(tmp_path):
    """On a real file system of 600 kB: what could not be stored was not sent, and with room the node answers again."""
    script = Path(__file__).with_name("tiny_disk.py")
    command = ["unshare", "--mount", sys.executable, "-W", "ignore", "-m", f"tests.crash.{script.stem}", str(tmp_path)]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError:
        pytest.skip("unshare is not installed: a small file system cannot be made")
    if "no small file system" in run.stdout or "unshare failed" in run.stderr or "not permitted" in run.stderr:
        pytest.skip(f"a small file system cannot be made here: {(run.stdout + run.stderr).strip()[:100]}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "answered again" in run.stdout
