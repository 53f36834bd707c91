"""A hostile app: whatever it does, nothing leaves but a clipped vector or zeros, at a time that it did not choose."""

import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from node.apps import reports, running, sandbox
from node.apps.allowed import AppStore
from node.apps.bundle import read_bundle
from node.apps.reports import Report
from node.apps.rules import AppRules
from node.scan.steps import AppRows
from protocols.app_entries import entries_of
from protocols.app_message import AppMessage, Arrays, Config, encode
from queries.asked.app_time import settling
from queries.asked.plan import ONE, AppStep
from queries.models.clipping import BOUND_UPDATE

pytest.importorskip("flwr", reason="the extra `train` is not installed")

HERE = Path(__file__).resolve()
HOSTILE = HERE.parents[1] / "apps" / "hostile"
AGES = np.array([77.125, 45.5, 61.25])
SECONDS = 60
"""Of an app that ends by itself: also on a machine that has a lot else to do."""
PATIENCE = 60.0
"""Seconds after which a test gives up waiting for what should happen at once."""

without_sandbox = sandbox.why_none() if sys.platform == "linux" else "only Linux has what it takes"
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="apps run on Linux only"),
    pytest.mark.timeout(300),
]
needs_sandbox = pytest.mark.skipif(bool(without_sandbox), reason=f"NO SANDBOX ON THIS MACHINE: {without_sandbox}")


@dataclass
class Hospital:
    """A node's part that runs apps, with files that an app must not see."""

    home: Path
    data: Path
    slept: list[float]
    looked: list[float] = field(default_factory=list)

    def _look(self) -> float:
        self.looked.append(time.monotonic())
        return self.looked[-1]

    @property
    def report(self) -> Report:
        """Return what the operator reads of the last app."""
        return next(reports.read(self.home))

    def run(
        self, act: str, *, seconds: int = SECONDS, sandboxed: bool = True, memory: int = 1 << 30, **config
    ) -> np.ndarray:
        """Let the hostile app do one thing and return what would be noised."""
        kind = act.partition(".")[0]
        config.setdefault("farr-entries", ("accuracy",))
        records = {"arrays": Arrays(items={"0": np.zeros(1)}), "config": Config(items=config)}
        message = AppMessage(kind=act, records=records)
        sent = encode(message)
        app = AppStore(home=self.home).keep(read_bundle(HOSTILE))
        step = AppStep(
            app=app,
            message=hashlib.sha256(sent).digest(),
            size=len(sent),
            kind=kind,
            columns=("age",),
            entries=entries_of(message),
            clip=5 * ONE,
            seconds=seconds,
        )
        apps = running.Apps(
            home=self.home,
            hidden=(self.home, self.data),
            rules=lambda: AppRules(
                apps=frozenset({app}), unsandboxed=not sandboxed, most_seconds=60, most_bytes=memory
            ),
            fetch=lambda *_: sent,
            monotonic=self._look,
            sleep=self.slept.append,
        )
        return apps(step, AppRows(table="visits", columns={"age": AGES}))


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    """Return a hospital with a state, a key and source files."""
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    (home / "node.db").write_bytes(b"the ledger")
    (home / "site.key").write_bytes(b"a key")
    (data / "deaths.csv").write_text("another table\n")
    return Hospital(home=home, data=data, slept=[])


def alive() -> list[int]:
    """Return the processes of apps that this process started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(sandbox.CHILD).encode() in words and str(os.getpid()).encode() in words and state != "Z":
                found.append(int(entry.name))
    return found


REFUSED = {
    "train.raw_rows": "shape",
    "train.more_arrays": "arrays",
    "train.huge": "failed; too large",
    "train.pickled": "failed",
    "train.pickled_reply": "unreadable",
    "train.settings": "settings",
    "train.many_metrics": "metrics",
    "train.patched": "not-finite",
    "train.says": "failed",
}
ALSO_REFUSED = ("train.more_arrays", "train.settings", "train.many_metrics", "train.says")
"""Those whose replies tests/node/test_apps_replies.py reads as well, without a process each."""


@needs_sandbox
@pytest.mark.parametrize(
    "act", [pytest.param(act, marks=[pytest.mark.slow] if act in ALSO_REFUSED else []) for act in REFUSED]
)
def test_a_hostile_app_leaves_zeros_or_a_clipped_vector(hospital: Hospital, act: str) -> None:
    """A reply of another shape than agreed gives zeros of the agreed length, and the operator reads why.

    Gained: records, in place of a model.
    """
    vector = hospital.run(act)
    assert vector.dtype == np.int64
    assert vector.tolist() == [0]
    assert hospital.report.ending in REFUSED[act].split("; ")


@needs_sandbox
def test_a_value_in_the_weights_is_clipped_to_the_bound(hospital: Hospital) -> None:
    """However far an app moves the weights, its part has at most the norm that noise was scaled to.

    Gained: a value above the noise.
    """
    assert np.abs(hospital.run("train.far")).tolist() == [BOUND_UPDATE]


@needs_sandbox
@pytest.mark.parametrize("act", ["train.metrics", "evaluate.undeclared"])
def test_metrics_that_were_not_declared_are_thrown_away(hospital: Hospital, act: str) -> None:
    """A patient's value in a metric that nobody agreed on does not change the vector.

    Gained: records, as metrics.
    """
    assert hospital.run(act).tolist() == [0]
    assert hospital.report.ending == "answered"


@needs_sandbox
def test_an_app_that_opens_a_socket_reaches_nobody(hospital: Hospital) -> None:
    """Neither an address on the network nor a socket on the same machine answers.

    Gained: records, past every rule.
    """
    reached = []
    name = f"farr-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as told,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract,
    ):
        told.bind(listening.getsockname())
        abstract.bind("\0" + name)
        abstract.listen()
        for each in (listening, told, abstract):
            each.setblocking(False)
        assert hospital.run("train.socket", port=listening.getsockname()[1], name=name).tolist() == [0]
        for take in (listening.accept, lambda: told.recv(10), abstract.accept):
            with pytest.raises(BlockingIOError):
                reached.append(take())
    assert "got away with: []" in hospital.report.said
    assert not reached


@needs_sandbox
def test_children_of_an_app_end_with_it(hospital: Hospital) -> None:
    """Children that left the process group and catch signals are gone when the answer is made.

    Gained: a process that nobody watches.
    """
    hospital.run("train.forks")
    assert hospital.report.ending == "answered"
    deadline = time.monotonic() + PATIENCE
    while alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive() == []


@pytest.mark.slow
def test_children_of_an_app_without_a_sandbox_end_with_it(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operator overrode the sandbox, children end all the same.

    Gained: a process that nobody watches.
    """
    monkeypatch.setattr(sandbox, "why_none", lambda: "for the test")
    hospital.run("train.forks", sandboxed=False)
    assert hospital.report.ending == "answered"
    assert alive() == []
    hospital.run("train.never_ends", sandboxed=False, seconds=3)
    assert hospital.report.ending == "too long"
    assert alive() == []


@pytest.mark.slow
@needs_sandbox
def test_a_bomb_of_processes_is_kept_small(hospital: Hospital) -> None:
    """An app cannot start more processes than it is allowed, whoever runs the node.

    Gained: the machine.
    """
    assert hospital.run("train.bomb").tolist() == [0]
    assert alive() == []


@needs_sandbox
def test_an_app_that_never_ends_is_ended(hospital: Hospital) -> None:
    """At the end of its time an app is ended, and zeros leave at the agreed time.

    Gained: the machine, for ever.
    """
    began = time.monotonic()
    assert hospital.run("train.never_ends", seconds=2).tolist() == [0]
    assert time.monotonic() - began < 2 + PATIENCE
    assert hospital.report.ending == "too long"
    assert alive() == []


@needs_sandbox
def test_an_app_sees_no_file_of_the_node(hospital: Hospital) -> None:
    """The state, the keys, other tables, other people's files and other processes are not there for an app.

    Gained: keys, the state, records that were not asked for.
    """
    paths = (
        str(hospital.home),
        str(hospital.home / "node.db"),
        str(hospital.home / "site.key"),
        str(hospital.data / "deaths.csv"),
        str(HERE),
        "/etc/passwd",
        str(Path.home() / ".profile"),
        str(Path.home() / ".ssh"),
        "/proc/kcore",
        "/sys",
        "/var",
        "/home",
    )
    assert hospital.run("train.reads", paths=paths).tolist() == [0], hospital.report.said
    assert "got away with: []" in hospital.report.said


@needs_sandbox
def test_an_app_writes_to_its_own_folder_only(hospital: Hospital) -> None:
    """Nothing that an app writes is there afterwards, and it cannot fill the disk.

    Gained: a way in later, or a full disk.
    """
    outside = (
        "/",
        "/farr",
        "/farr/app",
        "/farr/data",
        "/usr/lib",
        "/proc",
        "/dev",
        sys.prefix,
        os.__file__,
        str(hospital.home),
    )
    assert hospital.run("train.writes", paths=(*outside, str(HERE.parent), "/tmp")).tolist() == [0]
    assert "got away with: []" in hospital.report.said
    assert not list(HERE.parent.glob("left-behind"))


@needs_sandbox
def test_an_app_that_kills_its_parent_ends_alone(hospital: Hospital) -> None:
    """No process outside of the sandbox can be named in it; this very test goes on.

    Gained: silence.
    """
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert hospital.run("train.kills").tolist() == [0]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@needs_sandbox
def test_an_app_that_takes_all_memory_is_ended(hospital: Hospital) -> None:
    """Neither one great allocation nor many small ones of many processes go beyond what the policy allows.

    Gained: the machine's memory, and with it the node.
    """
    assert hospital.run("train.allocates").tolist() == [0]
    assert hospital.report.ending in {"failed", "too large"}
    assert alive() == []


@needs_sandbox
def test_an_app_hides_no_memory(hospital: Hospital) -> None:
    """Memory that children share counts as held, and there is none that no process is seen to hold.

    Gained: the machine's memory, so that the node falls out of a round because of one patient.
    """
    assert hospital.run("train.shares").tolist() == [0], hospital.report.said
    assert hospital.report.ending == "too large"


@needs_sandbox
def test_an_app_hides_no_memory_in_sockets(hospital: Hospital) -> None:
    """What the kernel may hold for an app's sockets counts as held, and no socket is out of sight.

    Gained: the same, by memory that is no process's own.
    """
    assert hospital.run("train.sockets", memory=1 << 29).tolist() == [0], hospital.report.said
    assert hospital.report.ending == "too large"
    assert alive() == []


def test_memory_in_the_kernel_counts_as_held() -> None:
    """Page tables of pages that were looked at only, and sockets, also of a process that hides its descriptors.

    Gained: the same.
    """
    script = textwrap.dedent(
        """
        import mmap, os, socket, sys
        kept = [socket.socketpair() for _ in range(50)]
        held = mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        os.write(1, b"1")
        sys.stdin.buffer.read(1)
        for place in range(0, len(held), 4096 * 512):
            held[place]
        os.write(1, b"2")
        sys.stdin.buffer.read(1)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.read(1) == b"1"
        assert sandbox._opened(child.pid) == (100, 103)
        assert (before := sandbox._held((child.pid,))) >= 100 * sandbox._SOCKET
        child.stdin.write(b"1")
        child.stdin.flush()
        assert child.stdout.read(1) == b"2"
        # A page of the kernel's for each place that was looked at, and none of the process's own.
        assert sandbox._held((child.pid,)) - before >= 2000 * 4096
    finally:
        child.communicate(b"1")
    assert sandbox._held((child.pid,)) == 0


@needs_sandbox
def test_an_app_keeps_a_bounded_number_of_files_open(hospital: Hospital) -> None:
    """Of all of its processes together, each of which the node has to look at many times a second.

    Gained: a node that answers slower because of one patient, and ends the app so late that the next one waits.
    """
    assert hospital.run("train.opens").tolist() == [0], hospital.report.said
    assert hospital.report.ending == "too large"
    assert alive() == []


@needs_sandbox
def test_looking_after_an_app_takes_no_more_than_a_third_of_a_processor(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a look takes: of an app's many processes, and of those of a busy machine.

    Gained: the same.
    """
    looks, family = [], sandbox._family

    def slowly(first: int) -> list[int]:
        looks.append(time.monotonic())
        time.sleep(0.03)
        return family(first)

    monkeypatch.setattr(sandbox, "_family", slowly)
    hospital.run("train.metrics")
    assert hospital.report.ending == "answered"
    assert len(looks) > 3
    # The last one may have been followed by none, or by one at the end of the app's time.
    assert min(after - before for before, after in pairwise(looks[:-1])) >= 0.09


@needs_sandbox
def test_an_app_makes_a_bounded_number_of_files(hospital: Hospital) -> None:
    """Also of files that hold nothing: the kernel needs a kilobyte for each, which no limit on bytes counts.

    Gained: the same.
    """
    assert hospital.run("train.files").tolist() == [0], hospital.report.said
    assert "got away with: []" in hospital.report.said


@needs_sandbox
def test_an_app_stands_behind_the_node(hospital: Hospital) -> None:
    """At the processor it comes last and cannot come forward; where memory runs out it is the first to go.

    Gained: a node that answers slower because of one patient, or that is ended in the app's place.
    """
    assert hospital.run("train.eager").tolist() == [0], hospital.report.said
    assert "got away with: []" in hospital.report.said


@needs_sandbox
def test_an_app_opens_no_socket_that_leaves_its_namespace(hospital: Hospital) -> None:
    """Sockets to the host of a virtual machine, to radios or to the kernel's own services are not to be had.

    Gained: a way out of a machine whose network is shut off.
    """
    assert hospital.run("train.families").tolist() == [0], hospital.report.said
    assert "got away with: []" in hospital.report.said


@needs_sandbox
def test_an_app_gains_no_privilege(hospital: Hospital) -> None:
    """No capability, no further namespace, no mount, no other user.

    Gained: the way out.
    """
    assert hospital.run("train.privileges").tolist() == [0], hospital.report.said
    assert "got away with: []" in hospital.report.said


@needs_sandbox
def test_no_log_says_how_an_app_ended(hospital: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    """The node's log has the same lines whether an app answers or fails, and no word that it said.

    Gained: one bit a round, read from logs that are gathered elsewhere.
    """
    caplog.set_level(logging.DEBUG)
    lines = []
    for act in ("train.metrics", "train.says"):
        caplog.clear()
        hospital.run(act)
        lines.append([(record.name, record.levelname, record.getMessage()) for record in caplog.records])
    assert lines[0] == lines[1]
    assert "77.125" in hospital.report.said
    assert len(hospital.report.said) <= sandbox.MOST_SAID
    assert not any("77.125" in path.read_text() for path in hospital.home.glob("*.log"))


@needs_sandbox
@pytest.mark.parametrize("act", ["train.metrics", "train.kills", "train.never_ends"])
def test_the_answer_leaves_at_a_time_that_no_app_decides(hospital: Hospital, act: str) -> None:
    """Whether an app answers, fails or never ends, the node waits until the same moment.

    Gained: one bit a round, read from the clock.
    """
    hospital.run(act, seconds=3)
    waited = hospital.looked[-1] - hospital.looked[0] + sum(hospital.slept)
    assert waited == pytest.approx(3 + settling(1), abs=0.05)
    assert len(hospital.slept) == 1


@needs_sandbox
def test_an_app_ends_with_its_node(tmp_path: Path) -> None:
    """When a node is killed, so that it can end nothing itself, its apps end too.

    Gained: a process that nobody watches.
    """
    script = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = [{str(HERE.parents[1])!r}, {str(HERE.parent)!r}, {str(HERE.parents[2])!r}]
        from pathlib import Path
        from test_apps_attacked import Hospital
        Hospital(home=Path({str(tmp_path)!r}), data=Path("/nowhere"), slept=[]).run("train.never_ends", seconds=60)
        """
    )
    node = subprocess.Popen([sys.executable, "-c", script])

    def children() -> list[int]:
        return sandbox._family(node.pid)

    try:
        deadline = time.monotonic() + PATIENCE
        # The watcher, and in it the app, which is the first of its own namespace.
        while len(family := children()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(family) >= 2
        time.sleep(0.5)
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait()
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}").exists() for pid in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]


def test_without_a_sandbox_no_app_runs_unless_the_operator_says_so(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the machine cannot shut an app off, the step is refused before anything runs.

    Gained: all that a sandbox withholds.
    """
    from protocols.errors import Rejected

    monkeypatch.setattr(sandbox, "why_none", lambda: "for the test")
    with pytest.raises(Rejected, match="no-sandbox"):
        hospital.run("train.metrics")
    assert not list(reports.read(hospital.home))
