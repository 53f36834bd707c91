"""While an app runs, the node serves everybody else; apps take turns, and none outlives the node's patience."""

import asyncio
import threading
import time

import numpy as np
import pytest

from node import app_rounds
from node import link as links
from node.app_rounds import AppRounds
from node.desk import Desk
from protocols import announcement as announcements
from protocols.wire_pb2 import CoordinatorMessage
from queries.asked.plan import AppStep
from tests.node.company import Company, Played
from tests.node.rig import NOW, POLICY, announce, request, roster
from tests.node.test_link import SOON, authority, play, quick, visit  # noqa: F401  fixtures
from tests.node.trained import APP, round_

ALLOWING = POLICY.replace("training.apps = []", f'training.apps = ["{APP.app.hex()}"]')


@pytest.fixture
def home(tmp_path):
    """The home of a node whose policy names the app."""
    made = tmp_path / "home"
    made.mkdir()
    (made / "policy.toml").write_text(ALLOWING)
    return made


class Apps:
    """Stands for the records: an app goes on until it is let go, anything else is read at once."""

    def __init__(self, hospital):
        """Take the place of a hospital's records."""
        self.go = threading.Event()
        self.begun = []
        self.threads = set()
        self._scan = hospital.rig.records.scan
        object.__setattr__(hospital.rig.answerer, "scan", self.scan)

    def scan(self, tally, attributes, tables):
        """Read."""
        if isinstance(tally.plan.parts[0].aggregates[0].step, AppStep):
            self.begun.append(time.monotonic())
            self.threads.add(threading.current_thread().name)
            assert self.go.wait(SOON)
            return np.zeros(tally.entries, dtype=np.int64)
        return self._scan(tally, attributes, tables)


async def until(holds):
    """Wait until a condition holds."""
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def app(number=1, slot=1, **changes):
    """Return the announcement of a round of the app."""
    return announce(round_(number, step=APP), slot=slot, **changes)


def test_while_an_app_runs_a_question_is_answered_and_its_round_played(home, authority):  # noqa: F811
    """Upload, confirmation and shares of a small question leave as if no app ran; the app's own leaves at its end."""

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app())
        await until(lambda: apps.begun)
        begun = time.monotonic()
        signed = announce(request(2), slot=2)
        await stream.announce(signed)
        played = Played(Company(hospital.rig.deposits), signed, await stream.hear("upload"))
        await stream.say(CoordinatorMessage(confirm=played.confirm))
        confirmation = await stream.hear("confirmation")
        await stream.say(CoordinatorMessage(unmask=played.unmask(confirmation)))
        assert np.array_equal(played.finish(await stream.hear("shares")), hospital.rig.noisy[-1])
        assert time.monotonic() - begun < SOON / 2
        assert len(list(hospital.ledger.charges())) == 1
        apps.go.set()
        upload = await stream.hear("upload")
        assert hospital.ledger.paid(upload.SerializeToString(deterministic=True))
        assert apps.threads == {"node-apps"}

    assert play(authority, home, scene) == 0


def test_apps_take_turns(home, authority):  # noqa: F811
    """The second one starts when the first one is over, and both are answered."""

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app(1, 1, deadline=NOW + 600))
        await stream.announce(app(2, 2, deadline=NOW + 600))
        await until(lambda: apps.begun)
        await asyncio.sleep(0.2)
        assert len(apps.begun) == 1
        apps.go.set()
        await stream.hear("upload")
        await stream.hear("upload")
        assert len(apps.begun) == 2
        assert len(list(hospital.ledger.charges())) == 2

    assert play(authority, home, scene) == 0


def test_an_app_that_would_run_in_vain_after_another_is_refused(home, authority):  # noqa: F811
    """What cannot be ready before the deadline any more is late, and costs nothing."""

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        hospital.rig.now = NOW + 1.0
        for number in (1, 2):
            await stream.announce(app(number, number, deadline=NOW + 62))
        await until(lambda: apps.begun)
        await asyncio.sleep(0.3)
        apps.go.set()
        heard = {}
        while len(heard) < 2:
            message = await asyncio.wait_for(anext(stream.messages), SOON)
            if message.WhichOneof("kind") in {"upload", "refusal"}:
                heard[message.WhichOneof("kind")] = message
        assert heard["refusal"].refusal.code == "late"
        assert len(apps.begun) == 1
        assert len(list(hospital.ledger.charges())) == 1

    assert play(authority, home, scene) == 0


def test_a_cut_in_the_middle_of_an_app_starts_no_second_one(home, authority):  # noqa: F811
    """Announced again on the next stream while the app still runs, the round gets the one answer."""

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app())
        await until(lambda: apps.begun)
        stream.end()
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app())
        await asyncio.sleep(0.1)
        apps.go.set()
        upload = await stream.hear("upload")
        stream.end()
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app())
        assert await stream.hear("upload") == upload
        assert len(apps.begun) == 1
        assert len(list(hospital.ledger.charges())) == 1

    assert play(authority, home, scene) == 0


def test_more_apps_than_may_wait_are_refused_as_busy(home, authority, monkeypatch):  # noqa: F811
    """The queue is bounded, and what was turned away holds no slot."""
    monkeypatch.setattr(app_rounds, "MOST_WAITING", 2)

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        for number in (1, 2, 3):
            await stream.announce(app(number, number, deadline=NOW + 600))
        assert (await stream.hear("refusal")).code == "busy"
        await until(lambda: len(hospital.rig.seats._held) == 2)
        apps.go.set()
        await stream.hear("upload")
        await stream.hear("upload")

    assert play(authority, home, scene) == 0


def test_told_to_stop_a_node_waits_for_no_app(home, authority):  # noqa: F811
    """It is told that the node ends, so that it ends as well; nothing is charged for it, and its round hears why."""

    async def scene(convener, hospital):
        apps = Apps(hospital)
        hospital.link._leaving = apps.go.set
        scan = apps.scan

        def stopped(*given):
            scan(*given)
            raise links.Rejected("unavailable", "the node ends")

        object.__setattr__(hospital.rig.answerer, "scan", stopped)
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app())
        await until(lambda: apps.begun)
        begun = time.monotonic()
        hospital.stop.set()
        assert (await stream.hear("refusal")).code == "unavailable"
        stream.end()
        assert await asyncio.wait_for(hospital.running, SOON) == 0
        assert time.monotonic() - begun < 5
        assert hospital.ledger.spent() == 0

    assert play(authority, home, scene) == 0


def test_while_an_app_runs_answers_leave_in_even_steps(monkeypatch):
    """However much an app slows the node down within a step, what it says leaves at the same moment."""
    monkeypatch.setattr(app_rounds, "EVEN", 0.3)

    async def scene():
        desk = Desk()
        rounds = AppRounds(desk=desk, replier=None, roster=lambda: roster)
        for busy in (False, True):
            rounds._waiting = int(busy)
            for took in (0.0, 0.05, 0.2, 0.35):
                begun = time.monotonic() - took
                await rounds.even(begun)
                left = time.monotonic() - begun
                assert left == pytest.approx((0.6 if took > 0.3 else 0.3) if busy else took, abs=0.09)
        rounds.close()
        desk.close()

    asyncio.run(scene())


def test_rounds_of_one_announcement_are_one(home, authority):  # noqa: F811
    """The same announcement twice on one stream is one app, one charge and the same bytes."""

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        for _ in range(2):
            await stream.announce(app())
        await until(lambda: apps.begun)
        await asyncio.sleep(0.1)
        apps.go.set()
        assert await stream.hear("upload") == await stream.hear("upload")
        assert len(apps.begun) == 1
        (charge,) = hospital.ledger.charges()
        assert charge.tau == announcements.tau(app())

    assert play(authority, home, scene) == 0
