"""Apps at a node: kept by digest, verified at every use."""

import hashlib
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from node.apps import reports, sandbox
from node.apps.allowed import AppStore
from node.apps.bundle import read_bundle, write_bundle
from node.apps.rules import AppRules
from node.apps.running import Apps
from node.scan.steps import AppRows
from protocols.app_message import AppMessage, Arrays, encode
from protocols.errors import Rejected
from queries.asked import app_time
from queries.asked.app_time import lasting, settling
from queries.asked.plan import ONE, AppStep
from queries.models.clipping import BOUND_UPDATE

MEAN = Path(__file__).resolve().parents[1] / "apps" / "mean"
SENT = encode(AppMessage(kind="train", records={"arrays": Arrays(items={"0": np.zeros(1)})}))
ROWS = AppRows(table="visits", columns={"age": np.array([40.0])})


def test_an_app_that_was_changed_on_the_disk_is_not_run(tmp_path: Path) -> None:
    """The archive is read and hashed at each use; a changed, damaged or missing one is refused."""
    store = AppStore(home=tmp_path)
    files = read_bundle(MEAN)
    digest = store.keep(files)
    assert store.files(digest) == files
    assert store.digests() == (digest,)
    [archive] = (tmp_path / "apps").glob("*.zip")
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    archive.write_bytes(write_bundle(files | {"mean/more.py": b"import os"}))
    with pytest.raises(Rejected, match="no-app"):
        store.files(digest)
    archive.write_bytes(b"damaged")
    with pytest.raises(Rejected, match="no-app"):
        store.files(digest)
    assert store.remove(digest)
    assert not store.remove(digest)
    assert store.digests() == ()
    with pytest.raises(Rejected, match="no-app"):
        store.files(digest)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that grows when an app would have run."""
    calls: list[bool] = []

    def run(*_: object, **__: object) -> sandbox.Outcome:
        calls.append(True)
        return sandbox.Outcome(reply=None, ending="failed", said=b"")

    monkeypatch.setattr(sandbox, "run", run)
    monkeypatch.setattr(sandbox, "why_none", lambda: "")
    return calls


def apps(home: Path, *allowed: bytes, sent: bytes = SENT, sleep: Callable[[float], object] = lambda _: None) -> Apps:
    """Return a node's apps under a policy that allows some."""
    rules = AppRules(apps=frozenset(allowed), unsandboxed=False, most_seconds=60, most_bytes=1 << 30)
    return Apps(home=home, hidden=(), rules=lambda: rules, fetch=lambda *_: sent, sleep=sleep)


def step(app: bytes, **changes) -> AppStep:
    """Return a step of training."""
    sent = {"message": hashlib.sha256(SENT).digest(), "size": len(SENT), "kind": "train", "entries": 1, "seconds": 5}
    return AppStep(app=app, columns=("age",), clip=ONE, **(sent | changes))


def test_an_app_runs_only_where_the_policy_names_it_and_its_code_is_here(tmp_path: Path, ran: list[bool]) -> None:
    """Either alone is not enough, and neither of a refused app's rows is looked at."""
    digest = AppStore(home=tmp_path).keep(read_bundle(MEAN))
    with pytest.raises(Rejected, match="policy"):
        apps(tmp_path)(step(digest), ROWS)
    with pytest.raises(Rejected, match="no-app"):
        apps(tmp_path, bytes(32))(step(bytes(32)), ROWS)
    assert ran == []
    assert apps(tmp_path, digest)(step(digest), ROWS).tolist() == [0]
    assert ran == [True]


WRONG = {
    "another kind": {"kind": "evaluate"},
    "another length": {"entries": 2},
    "another message": {"message": bytes(32)},
    "another size": {"size": 3},
    "too long": {"seconds": 61},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_step_that_does_not_fit_its_message_is_refused(tmp_path: Path, ran: list[bool], what: str) -> None:
    """What the plan says, and its privacy rests on, is held against what the app is really sent."""
    digest = AppStore(home=tmp_path).keep(read_bundle(MEAN))
    with pytest.raises(Rejected):
        apps(tmp_path, digest)(step(digest, **WRONG[what]), ROWS)
    assert ran == []


def test_a_long_reply_is_given_time_in_proportion(tmp_path: Path) -> None:
    """The answer waits for as long as the plan's public numbers say."""
    assert settling(1) < settling(1 << 24) < 60


def test_what_is_not_ready_at_the_agreed_moment_is_zeros_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that has the machine busy with its end or its reply moves no answer: zeros, and the operator reads why.

    Nor does it move the next one's: an app waits for it within its own time, and gives zeros where that does not do.
    """
    going, runs, waited = threading.Event(), [], []
    reply = encode(AppMessage(kind="train", records={"arrays": Arrays(items={"0": np.ones(1)})}))

    def run(*_: object, **__: object) -> sandbox.Outcome:
        runs.append(time.monotonic())
        assert going.wait(30)
        return sandbox.Outcome(reply=reply, ending="replied", said=b"")

    monkeypatch.setattr(sandbox, "run", run)
    monkeypatch.setattr(sandbox, "why_none", lambda: "")
    monkeypatch.setattr(app_time, "SETTLING", 0.2)
    digest = AppStore(home=tmp_path).keep(read_bundle(MEAN))
    held = apps(tmp_path, digest, sleep=waited.append)
    asked = step(digest, seconds=1)

    def answered() -> list[int]:
        waited.clear()
        begun = time.monotonic()
        vector = held(asked, ROWS).tolist()
        assert -0.1 <= time.monotonic() - begun + sum(waited) - lasting(asked) < 1
        return vector

    for _ in range(2):
        assert answered() == [0]
        assert next(reports.read(tmp_path)).ending == "too late"
        assert len(runs) == 1
    later = threading.Timer(0.3, going.set)
    later.start()
    assert answered() == [BOUND_UPDATE]
    assert len(runs) == 2
    assert next(reports.read(tmp_path)).ending == "answered"
