"""From a verified release of an app's round to what its ServerApp sees, in the app's own units."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from farr.errors import FarrError
from farr.flower.federated import Federated, clip_of, outcome
from farr.flower.rounds import RoundFailedError, RoundRefusedError
from protocols import ring
from protocols.wire_pb2 import Note
from queries.asked.plan import ONE, Aggregate, AppStep
from queries.errors import PlanError
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

    def requests(self, start):
        """Return it, where its id begins as asked."""
        return (self.state,) if self.state.id.startswith(start) else ()

    def opened(self, _request, _seconds, _told):
        """Fail."""
        raise FarrError("too-few", "too few")


def federated(client):
    """Return a run's rounds over a client."""
    rounds = Federated.__new__(Federated)
    rounds._federation = client
    rounds._app = SimpleNamespace(digest=b"d" * 32, columns=("age",), seconds=1)
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
    rounds._kept = SimpleNamespace(id="00" * 16, share=7, rounds=1, rho_units=7, done_rounds=[], terms=None)
    rounds._question = SimpleNamespace(plan=None, pages=None, sites=())
    monkeypatch.setattr("farr.flower.federated.replace", lambda *_, **_more: None)
    monkeypatch.setattr("farr.flower.federated.design_of", lambda _plan: bytes(32))
    monkeypatch.setattr(rounds, "_plan", lambda *_: None)
    monkeypatch.setattr(rounds, "_send", left.append)
    asked = SimpleNamespace(
        sent=SimpleNamespace(kind="train", digest=bytes(32), data=b"m", entries=1), clip=1.0, sites=("a",), number=1
    )
    with pytest.raises(RoundRefusedError) as refused:
        rounds.ask(asked, bytes([1] * 16))
    assert (refused.value.code, left) == ("budget", [])
    client.hospitals = (SimpleNamespace(id="a", remaining_units=7, connected=True),)
    rounds.ask(asked, bytes([1] * 16))
    assert left == [b"m", "round"]
    for code, kind in [("busy", RoundRefusedError), ("not-tls", FarrError), ("internal", FarrError)]:
        client.ask_round = lambda *_, code=code: (_ for _ in ()).throw(FarrError(code, "not now"))
        with pytest.raises(FarrError) as failed:
            rounds.ask(asked, bytes([1] * 16))
        assert (type(failed.value), failed.value.code) == (kind, code)
    client.priced = lambda *_: (_ for _ in ()).throw(PlanError("too many numbers"))
    with pytest.raises(RoundRefusedError, match="too many"):
        rounds.ask(asked, bytes([1] * 16))


def test_where_nobody_tells_of_a_round_it_is_not_a_refused_one(tmp_path):
    """It may have been asked and paid for: it is kept."""
    client = Asked(tmp_path, "running")
    client.requests = lambda **_: (_ for _ in ()).throw(FarrError("unknown-member", "not today"))
    with pytest.raises(FarrError) as failed:
        federated(client).ask(SimpleNamespace(), bytes(16))
    assert type(failed.value) is FarrError


class Held(Asked):
    """A client whose hospitals hold a round for some seconds of a clock of its own, and answer some seconds later."""

    def __init__(self, folder, *, held, answered):
        """Say from when to when it is held, and when it is answered; seconds."""
        super().__init__(folder, "running")
        self.held, self.answered, self.now = held, answered, 0.0

    def opened(self, _request, seconds, told):
        """Tell what changes meanwhile; answer, or let time run out."""
        until = self.now + (1e9 if seconds is None else seconds)
        for at, holding in sorted([(self.now, None), *zip(self.held, (1, 0), strict=True)], key=lambda each: each[0]):
            if self.now <= at <= min(until, self.answered):
                self.now = at
                inside = self.held[0] <= at < self.held[1]
                told(SimpleNamespace(state="waiting", held=int(inside) if holding is None else holding))
        self.now = min(until, self.answered)
        if self.now < self.answered:
            raise FarrError("timeout", "late")
        return "opened"


@pytest.mark.parametrize(
    ("held", "answered", "seconds", "in_time"),
    [
        ((5, 55), 65, 60, True),
        ((0, 500), 550, 60, True),
        ((5, 55), 111, 60, False),
        ((0, 500), 561, 60, False),
        ((1000, 1000), 59, 60, True),
        ((1000, 1000), 61, 60, False),
        ((0, 100), 50, 0.2, False),
        ((0, 100), 5000, None, True),
    ],
)
def test_the_time_in_which_a_round_is_held_does_not_count(tmp_path, monkeypatch, held, answered, seconds, in_time):
    """Whether somebody approves it before the app's time would be over or after it; a look is over by the wall."""
    client, told = Held(tmp_path, held=held, answered=answered), []
    monkeypatch.setattr("farr.flower.federated.time", SimpleNamespace(monotonic=lambda: client.now), raising=False)
    monkeypatch.setattr("farr.flower.federated.outcome", lambda opened: opened)
    if in_time:
        assert federated(client).wait(bytes(16), seconds, lambda: told.append(client.now)) == "opened"
    else:
        with pytest.raises(FarrError, match="late"):
            federated(client).wait(bytes(16), seconds, lambda: told.append(client.now))
    assert len(told) == (held[0] <= client.now and held[0] < 1000)


@pytest.mark.parametrize(("state", "given_up"), [("cancelled", True), ("failed", True), ("answered", False)])
def test_a_round_that_was_answered_is_not_given_up(tmp_path, state, given_up):
    """Time may be up in the moment in which it is."""
    client = Asked(tmp_path, "running")
    client.cancel = lambda _request: SimpleNamespace(state=state)
    assert federated(client).cancel(bytes(16)) is given_up


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


def test_an_app_that_policies_do_not_name_is_told_what_operators_need(tmp_path):
    """The folder and the digest: refusals name no rule."""
    asked = Asked(tmp_path, "failed")
    asked.opened = lambda *_wait: (_ for _ in ()).throw(FarrError("policy", "0 of 4", remedy="ask for less"))
    with pytest.raises(RoundFailedError) as raised:
        federated(asked).wait(bytes(16), 5.0, lambda: None)
    assert "farr node apps allow" in raised.value.remedy
    assert (b"d" * 32).hex() in raised.value.remedy
