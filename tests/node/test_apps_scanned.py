"""A round of an app through a whole node: policy, rows of a prepared table, sandbox, noise, upload, charge."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from node.apps import reports, sandbox
from node.apps.allowed import AppStore
from node.apps.bundle import read_bundle
from node.apps.rules import rules_in
from node.apps.running import Apps
from node.authority import policy
from node.records.prepare import prepare
from node.scan.scan import Scanner
from protocols import ring
from protocols.app_message import AppMessage, Arrays, encode
from protocols.errors import Rejected
from protocols.wire_pb2 import Note
from queries.asked import canonical
from queries.asked.plan import ONE, Aggregate, AppStep, Between, Bound
from queries.models.clipping import BOUND_UPDATE
from tests.node.rig import POLICY, SITE, Rig, announce, catalogue, plan, request

pytest.importorskip("flwr", reason="the extra `train` is not installed")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(sandbox.why_none()), reason="NO SANDBOX ON THIS MACHINE: apps are not run"
)

MEAN = Path(__file__).resolve().parents[1] / "apps" / "mean"
SENT = encode(AppMessage(kind="train", records={"arrays": Arrays(items={"0": np.array([10.0])})}))
CLIP = 100


def asked(app: bytes):
    """Return a request for a round of the app over adults."""
    step = AppStep(
        app=app,
        message=hashlib.sha256(SENT).digest(),
        size=len(SENT),
        kind="train",
        columns=("age",),
        entries=1,
        clip=CLIP * ONE,
        seconds=60,
    )
    of_adults = plan(
        keys=(),
        aggregates=(Aggregate(statistic="app", step=step),),
        where=Between(column="age", low=18, high=None),
        bound=Bound(rows=1, groups=1),
    )
    return request(plan=canonical.encode(of_adults))


def node_of(tmp_path: Path, *, allowed: bool) -> tuple[Rig, bytes]:
    """Return a node with four patients, an app, and a policy that allows it or not."""
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    (data / "stay.csv").write_text("patient_id,sex,died,age\na,F,N,40\na,F,N,40\nb,M,Y,60\nc,F,N,7\nd,F,N,\n")
    app = AppStore(home=home).keep(read_bundle(MEAN))
    listed = f'["{app.hex()}"]' if allowed else "[]"
    (home / policy.FILE).write_text(POLICY.replace("training.apps = []", f"training.apps = {listed}"))
    apps = Apps(
        home=home,
        hidden=(home, data),
        rules=rules_in(home / policy.FILE),
        fetch=lambda *_: SENT,
        sleep=lambda _: None,
    )
    made = prepare(home, data, None, catalogue, b"k" * 32)
    scanner = Scanner(made.path, app=apps)

    def scan(tally, attributes, tables):
        return scanner.tally(tally, catalogue, SITE, attributes, own_row=True, tables=tables)

    return Rig(home, scan=scan), app


def test_a_round_of_an_app_goes_through_the_whole_node(tmp_path: Path) -> None:
    """Bounded rows of adults reach the app, its update is noised, charged and uploaded like any tally."""
    node, app = node_of(tmp_path, allowed=True)
    upload = node.answer(announce(asked(app)))
    assert upload.body
    assert next(reports.read(node.home)).ending == "answered"
    [noisy] = node.noisy
    # Half the way from 10 to the mean of 40 and 60: one row a patient, no child, nobody without an age.
    moved = ring.centred(noisy).astype(float) * CLIP / BOUND_UPDATE
    compiled = node.answerer.compiler.compile(asked(app).plan, asked(app).rho_units, 3)
    [block] = compiled.measurement.blocks
    spread = float(block.share_scale) * CLIP / BOUND_UPDATE
    assert moved / block.grid == pytest.approx([20.0], abs=6 * spread / block.grid + 1e-3)
    assert compiled.measurement.blocks[0].sensitivity.l2_squared == (2 * BOUND_UPDATE) ** 2


def test_an_app_that_the_policy_does_not_name_sees_no_row(tmp_path: Path) -> None:
    """The hospital puts in zeros, at no cost, and the app is not run."""
    node, app = node_of(tmp_path, allowed=False)
    from protocols import announcement as announcements
    from protocols import upload as uploads
    from tests.node.rig import roster

    signed = announce(asked(app))
    upload = uploads.read(node.answer(signed), roster=roster, announcement=announcements.tau(signed), entries=3)
    assert upload.notes == (Note.NOTE_WITHHELD_POLICY,)
    assert not list(reports.read(node.home))


def test_an_app_that_is_not_here_is_refused_before_anything_is_charged(tmp_path: Path) -> None:
    """That its code is missing is public: the refusal says so, and costs nothing."""
    node, app = node_of(tmp_path, allowed=True)
    AppStore(home=node.home).remove(app)
    with pytest.raises(Rejected, match="no-app"):
        node.answer(announce(asked(app)))
    assert node.connection.execute("SELECT count(*) FROM charges").fetchone() == (0,)
