"""From a verified release of an app's round to what its ServerApp sees, in the app's own units."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from farr.errors import FarrError
from farr.flower.federated import Federated, clip_of, outcome
from farr.flower.rounds import RoundFailedError
from protocols import ring
from protocols.wire_pb2 import Note
from queries.asked.plan import ONE, Aggregate, AppStep
from queries.models.clipping import BOUND_UPDATE


def opened(vector, *, clip, grid=2, notes=None):
    """Return a release over three hospitals that were asked, of whom two are in the sum, and one that helped."""
    step = AppStep(
        app=bytes(32), message=bytes(32), size=1, kind="train", columns=("age",), entries=len(vector),
        clip=clip_of(clip), seconds=1,
    )  # fmt: skip
    block = SimpleNamespace(entries=len(vector), grid=grid, variance=lambda contributors: contributors * 9.0)
    return SimpleNamespace(
        plan=SimpleNamespace(parts=(SimpleNamespace(aggregates=(Aggregate(statistic="app", step=step),)),)),
        measurement=SimpleNamespace(blocks=(block,), cost=4),
        announcement=SimpleNamespace(request=SimpleNamespace(sites=("a", "b", "c"), rho_units=5)),
        release=SimpleNamespace(
            vector=ring.to_ring(np.asarray(vector, dtype=np.int64) * grid),
            contributors=("a", "b", "helper"),
            notes=notes or {},
            id=bytes(16),
        ),
    )


def test_a_sum_becomes_a_mean_in_the_apps_units():
    """A hospital at the clip is one clip; the mean is over those whose records are in the sum."""
    found = outcome(opened([BOUND_UPDATE, -BOUND_UPDATE // 2, 0], clip=3.0))
    assert found.mean == pytest.approx([1.5, -0.75, 0])
    assert found.answered == ("a", "b")
    # Three added noise, two are divided by.
    assert found.noise == pytest.approx(np.sqrt(27) * 3.0 / BOUND_UPDATE / 2)
    # Five were agreed; the noise that was drawn costs four.
    assert found.rho_units == 4


def test_a_hospital_that_kept_back_is_not_divided_by():
    """It added zeros, as it says itself."""
    notes = {"b": (Note.NOTE_WITHHELD_POLICY,)}
    found = outcome(opened([BOUND_UPDATE], clip=1.0, notes=notes))
    assert found.answered == ("a",)
    assert found.mean == pytest.approx([1.0])


def test_a_clip_is_never_less_than_what_was_asked_for():
    """Rounded up to the parts in which plans write it."""
    for norm in (1e-4, 0.1, 1.0, np.sqrt(2)):
        assert norm <= clip_of(norm) / ONE < norm + 2 / ONE


class Asked:
    """A client whose request is at the coordinator, of hospitals that have nothing left."""

    hospitals = (SimpleNamespace(id="a", remaining_units=0, connected=True),)

    def __init__(self, folder, state, code=""):
        """Say that the request is in a state."""
        self.folder = folder
        (folder / "requests").mkdir()
        (folder / "requests" / f"{bytes(16).hex()}.bin").write_bytes(b"")
        self.state = SimpleNamespace(id=bytes(16).hex(), state=state, code=code, sites={"a": "answered"})

    def requests(self):
        """Return it."""
        return (self.state,)

    def opened(self, _request, _seconds, _told):
        """Fail."""
        raise FarrError("too-few", "too few")


def federated(client):
    """Return a run's rounds over a client."""
    rounds = Federated.__new__(Federated)
    rounds._federation = client
    return rounds


def test_a_round_that_was_asked_is_not_held_against_the_budget_again(tmp_path):
    """It may be what took the rest of the budget: it is waited for, whatever is left."""
    assert federated(Asked(tmp_path, "running")).ask(SimpleNamespace(), bytes(16)) is None


def test_a_round_that_hospitals_cannot_pay_for_is_not_sent(tmp_path, monkeypatch):
    """Where it is known that too few have its price left, neither the message nor the question leaves."""
    client = Asked(tmp_path, "running")
    client.known = client
    client.priced = lambda *_: SimpleNamespace(minimum=1)
    left = []
    client.ask_round = lambda *_: left.append("round")
    rounds = federated(client)
    rounds._kept = SimpleNamespace(id="00" * 16, share=7, rounds=1, rho_units=7, done_rounds=[])
    rounds._question, rounds._terms = SimpleNamespace(plan=None, pages=None, sites=()), None
    monkeypatch.setattr("farr.flower.federated.replace", lambda *_, **_more: None)
    monkeypatch.setattr("farr.flower.federated.design_of", lambda _plan: bytes(32))
    monkeypatch.setattr(rounds, "_plan", lambda *_: None)
    monkeypatch.setattr(rounds, "_send", left.append)
    asked = SimpleNamespace(
        sent=SimpleNamespace(kind="train", digest=bytes(32), data=b"m", entries=1), clip=1.0, sites=("a",), number=1
    )
    with pytest.raises(FarrError) as refused:
        rounds.ask(asked, bytes([1] * 16))
    assert (refused.value.code, left) == ("budget", [])
    client.hospitals = (SimpleNamespace(id="a", remaining_units=7, connected=True),)
    rounds.ask(asked, bytes([1] * 16))
    assert left == [b"m", "round"]


@pytest.mark.parametrize(("before", "now"), [("train", "query"), ("query", "evaluate")])
def test_a_run_that_trains_does_not_query(tmp_path, before, now):
    """Hospitals would refuse the round, and the run would be lost: it is said before anything leaves."""
    rounds = federated(Asked(tmp_path, "running"))
    rounds._kept = SimpleNamespace(done_rounds=[SimpleNamespace(kind=before)])
    with pytest.raises(FarrError) as refused:
        rounds.ask(SimpleNamespace(sent=SimpleNamespace(kind=now)), bytes([1] * 16))
    assert refused.value.code == "wrong-run"


@pytest.mark.parametrize(("state", "kind"), [("failed", RoundFailedError), ("answered", FarrError)])
def test_only_a_request_that_has_ended_is_a_round_that_failed(tmp_path, state, kind):
    """Anything else may pass, and the round is taken up."""
    with pytest.raises(FarrError) as raised:
        federated(Asked(tmp_path, state)).wait(bytes(16), 5.0, lambda: None)
    assert type(raised.value) is kind
    assert getattr(raised.value, "charged", True)
