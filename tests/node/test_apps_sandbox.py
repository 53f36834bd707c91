"""The sandbox: what is missing is said, and what it shows is no more than an app needs."""

import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from node.apps import reports, running, sandbox
from node.apps.allowed import AppStore
from node.apps.bundle import read_bundle
from node.apps.rules import AppRules
from node.apps.sandbox import Job
from node.scan.steps import AppRows
from protocols.app_message import AppMessage, Arrays, encode
from protocols.errors import Rejected
from queries.asked.plan import ONE, AppStep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="apps run on Linux only")
JOB = Job(
    files={},
    client="a:b",
    config={},
    node_config={},
    rows=b"",
    rows_name="rows.parquet",
    message=b"",
    most_reply=1,
    memory=1 << 28,
    threads=1,
)


def test_a_machine_without_namespaces_is_said_to_have_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is tried, not guessed: a process that could not shut itself off says which step failed."""
    sandbox.why_none.cache_clear()

    def refused(command: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.CompletedProcess(command, 3, b"", b"no sandbox: unshare: Operation not permitted\n")

    monkeypatch.setattr(subprocess, "run", refused)
    try:
        assert sandbox.why_none() == "no sandbox: unshare: Operation not permitted"
    finally:
        sandbox.why_none.cache_clear()


def test_a_node_in_the_folders_that_apps_see_has_no_sandbox() -> None:
    """A home inside of Python's own folders would be readable: nothing runs."""
    inside = sandbox.seen()[0]
    for hidden in (inside, inside / "below"):
        outcome = sandbox.run(JOB, 5, sandbox=True, hidden=(hidden,))
        assert outcome.ending == "no sandbox"
        assert outcome.reply is None


def test_what_an_app_sees_of_the_machine_is_python_and_libraries() -> None:
    """Neither the root, nor anybody's home, nor /etc, /var, /tmp or the project's folder as a whole is shown."""
    shown = sandbox.seen()
    project = Path(__file__).resolve().parents[2]
    for path in (Path("/"), Path("/etc"), Path("/var"), Path("/tmp"), Path("/home"), Path.home(), project):
        assert path not in shown
    assert {project / "node", project / "protocols"} <= set(shown)


def test_a_node_without_flower_starts() -> None:
    """Nothing of the node's own process imports Flower: the extra is needed where apps run only."""
    script = "import sys; sys.modules['flwr'] = None; import node.serve, node.apps.running; import farr.hospital.apps"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "sandboxed",
    [
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                bool(sandbox.why_none()), reason=f"NO SANDBOX ON THIS MACHINE: {sandbox.why_none()}"
            ),
        ),
        False,
    ],
)
def test_a_node_that_is_told_to_stop_ends_its_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sandboxed: bool
) -> None:
    """The app and its folder are gone within seconds, the operator reads why, and the round is refused like any."""
    pytest.importorskip("flwr", reason="the extra `train` is not installed")
    if not sandboxed:
        monkeypatch.setattr(sandbox, "why_none", lambda: "for the test")
    sent = encode(AppMessage(kind="train.never_ends", records={"arrays": Arrays(items={"0": np.zeros(1)})}))
    app = AppStore(home=tmp_path).keep(read_bundle(Path(__file__).resolve().parents[1] / "apps" / "hostile"))
    message = hashlib.sha256(sent).digest()
    step = AppStep(
        app=app, message=message, size=len(sent), kind="train", columns=("age",), entries=1, clip=ONE, seconds=300
    )
    rules = AppRules(apps=frozenset({app}), unsandboxed=True, most_seconds=300, most_bytes=1 << 30)
    apps = running.Apps(home=tmp_path, hidden=(tmp_path,), rules=lambda: rules, fetch=lambda *_: sent)
    stop = threading.Timer(1.0, apps.stop.set)
    stop.start()
    began = time.monotonic()
    with pytest.raises(Rejected, match="unavailable"):
        apps(step, AppRows(table="visits", columns={"age": np.array([40.0])}))
    assert time.monotonic() - began < 60
    assert next(reports.read(tmp_path)).ending == "stopped"
    assert list((tmp_path / running.PLACE).iterdir()) == []


def test_what_a_killed_node_left_of_an_app_is_removed_when_it_starts_again(tmp_path: Path) -> None:
    """Without a sandbox the rows of the app that ran are in the home: no longer than until the node is back."""
    apps = running.Apps(home=tmp_path, hidden=(), rules=lambda: None, fetch=lambda *_: b"")
    left = apps.place() / "farr-app-1" / "data"
    left.mkdir(parents=True)
    (left / "rows.parquet").write_bytes(b"rows")
    apps.sweep()
    assert not (tmp_path / running.PLACE).exists()
    apps.sweep()
