"""While an app runs, or a large model, the node serves everybody else; those of a kind take turns."""

import asyncio
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from node import link as links
from node import long_rounds
from node.answer import Begun
from node.desk import Desk
from node.long_rounds import LongRounds
from node.scan import work
from protocols import announcement as announcements
from protocols import checks
from protocols.wire_pb2 import CoordinatorMessage, Upload
from queries.asked.plan import AppStep, Layer, NumberTerm
from tests.node.company import Company, Played
from tests.node.rig import NOW, POLICY, announce, plan, request, roster
from tests.node.test_link import SOON, authority, play, quick, visit  # noqa: F401  fixtures
from tests.node.trained import APP, NETWORK, STEP, round_, trainer, training

ALLOWING = POLICY.replace("training.apps = []", f'training.apps = ["{APP.app.hex()}"]')

LARGE = replace(
    NETWORK,
    layers=(Layer(kind="linear", width=60), Layer(kind="relu", width=60), Layer(kind="linear", width=1)),
    point=(0,) * (60 * 3 + 61),
)

BENT = replace(
    NETWORK,
    layers=(Layer(kind="linear", width=12), *[Layer(kind="gelu", width=12)] * 14, Layer(kind="linear", width=1)),
    point=(0,) * (12 * 3 + 13),
)
"""Fewer weights than a model may have that is read at once, and a second and more for the numbers that are bent."""


@pytest.fixture
def home(tmp_path):
    """The home of a node whose policy names the app."""
    made = tmp_path / "home"
    made.mkdir()
    (made / "policy.toml").write_text(ALLOWING)
    return made


class Apps:
    """Stands for the records: an app or a network goes on until it is let go, anything else is read at once."""

    def __init__(self, hospital):
        """Take the place of a hospital's records."""
        self.go = threading.Event()
        self.begun = []
        self.threads = set()
        self._scan = hospital.rig.records.scan
        object.__setattr__(hospital.rig.answerer, "scan", self.scan)

    def scan(self, tally, attributes, tables):
        """Read."""
        step = tally.plan.parts[0].aggregates[0].step
        if isinstance(step, AppStep) or (step is not None and step.layers):
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


def test_while_a_large_model_is_computed_questions_and_small_rounds_are_answered(home, authority):  # noqa: F811
    """Its upload leaves when it is there, charged once; small rounds and an app wait for neither it nor each other."""

    async def scene(convener, hospital):
        read = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        large = announce(round_(1, step=LARGE), slot=1)
        await stream.announce(large)
        await until(lambda: read.begun)
        await stream.announce(announce(request(2), slot=2))
        small = announce(round_(3, run={"id": b"s" * 16}), slot=3)
        for signed in (None, small):
            if signed is not None:
                await stream.announce(signed)
            upload = await stream.hear("upload")
            assert checks.parse(Upload, upload.body).announcement != announcements.tau(large)
        assert len(list(hospital.ledger.charges())) == 2
        await stream.announce(app(4, 4))
        await until(lambda: len(read.begun) == 2)
        assert read.threads == {"node-models", "node-apps"}
        read.go.set()
        answered = {checks.parse(Upload, (await stream.hear("upload")).body).announcement for _ in range(2)}
        assert announcements.tau(large) in answered
        assert len(list(hospital.ledger.charges())) == 4

    assert play(authority, home, scene) == 0


def test_what_is_long_follows_from_public_facts(tmp_path):
    """From the plan and the agreement's roof alone: an app, a large network; no count, no small model."""
    plans = {each: training(each) for each in (STEP, NETWORK, LARGE, BENT, APP)}
    for rows in (work.MANY, 1 << 40):
        assert [work.is_long(plans[each], rows) for each in plans] == [False, False, True, True, True]
        assert not work.is_long(plan(), rows)
    assert not work.is_long(plans[LARGE], 1000)
    assert work.is_long(plans[APP], 1)
    rig = trainer(tmp_path / "home", ALLOWING)
    for number, (step, long) in enumerate(((STEP, False), (LARGE, True), (APP, True)), 1):
        run = {"id": number.to_bytes(16, "big")}
        begun = rig.replier.begin(announce(round_(number, step, run=run), slot=number), roster)
        assert isinstance(begun, Begun) == long
        assert rig.records.reads == 1
    # What is kept out of the round reads nothing, and that takes no time.
    (rig.home / "policy.toml").write_text(POLICY.replace('networks = "all"', 'networks = "none"'))
    assert not isinstance(rig.replier.begin(announce(round_(9, LARGE), slot=9), roster), Begun)
    rig.close()


def test_a_hospital_of_many_rows_says_so_beforehand(tmp_path):
    """What its operator wrote decides, up to what was agreed on, and not the rows that are there: nothing is read."""
    assert work.is_long(training(NETWORK), 1 << 40, 10 * work.MANY)
    assert not work.is_long(training(NETWORK), work.MANY, 10 * work.MANY)
    assert not work.is_long(plan(), 1 << 40, 1 << 40)
    rig = trainer(tmp_path / "home", ALLOWING, many_rows=10 * work.MANY)
    assert isinstance(rig.replier.begin(announce(round_(1, NETWORK)), roster), Begun)
    assert not rig.records.reads
    rig.close()


def test_a_small_model_of_many_products_is_long():
    """Informations grow with the square of the coefficients."""
    wide = replace(STEP, terms=(NumberTerm(column="age"),) * 100, point=(0,) * 101)
    assert not work.is_long(training(wide), 1 << 40)
    assert work.is_long(training(replace(wide, wants=("gradient", "information"), weights=(1, 1))), 1 << 40)


def test_a_round_that_is_announced_again_takes_no_second_place(home, authority, monkeypatch):  # noqa: F811
    """Also when the queue is full it is not turned away: it is being answered, and would be paid for in vain."""
    monkeypatch.setattr(long_rounds, "MOST_WAITING", 1)

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(app())
        await until(lambda: apps.begun)
        await stream.announce(app())
        await stream.announce(app(2, 2))
        # Of the other round alone: the queue is full.
        assert (await stream.hear("refusal")).announcement == announcements.tau(app(2, 2))
        await asyncio.sleep(0.05)
        assert len(hospital.rig.seats._held) == 1
        apps.go.set()
        assert await stream.hear("upload") == await stream.hear("upload")
        assert not hospital.rig.seats._held

    assert play(authority, home, scene) == 0


def test_after_a_cut_an_answer_waits_for_no_other_round(home, authority):  # noqa: F811
    """Announced again behind others that wait, it leaves when it is there: at its turn it would be late, and paid."""

    async def scene(convener, hospital):
        gates, begun = [threading.Event(), threading.Event()], []

        def scan(tally, _attributes, _tables):
            begun.append(1)
            assert gates[len(begun) - 1].wait(SOON)
            return np.zeros(tally.entries, dtype=np.int64)

        object.__setattr__(hospital.rig.answerer, "scan", scan)
        rounds = [app(number, number, deadline=NOW + 600) for number in (1, 2)]
        streams = []
        for _ in range(2):
            for before in streams:
                before.end()
            streams.append(stream := await visit(convener))
            await stream.greet()
            for each in rounds:
                await stream.announce(each)
            await until(lambda: begun)
            await asyncio.sleep(0.1)
        gates[0].set()
        first = await stream.hear("upload")
        assert checks.parse(Upload, first.body).announcement == announcements.tau(rounds[0])
        assert not gates[1].is_set()
        gates[1].set()
        await stream.hear("upload")
        assert len(begun) == 2

    assert play(authority, home, scene) == 0


def test_nobody_announces_one_round_for_ever(home, authority, monkeypatch):  # noqa: F811
    """Each announcement that waits for an answer takes memory: one too many is turned away, and the round goes on."""
    monkeypatch.setattr(long_rounds, "MOST_AGAIN", 2)

    async def scene(convener, hospital):
        apps = Apps(hospital)
        stream = await visit(convener)
        await stream.greet()
        for _ in range(3):
            await stream.announce(app())
        assert (await stream.hear("refusal")).code == "busy"
        apps.go.set()
        assert await stream.hear("upload") == await stream.hear("upload")
        assert len(apps.begun) == 1

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
        await stream.announce(app(1, 1, deadline=NOW + 62))
        # Not both at once: one that finds another ahead of it is looked at again, and by this clock it is late.
        await until(lambda: apps.begun)
        await stream.announce(app(2, 2, deadline=NOW + 62))
        await until(lambda: len(hospital.link._rounds._apps.under_way) == 2)
        apps.go.set()
        heard = []
        while len(heard) < 2:
            message = await asyncio.wait_for(anext(stream.messages), SOON)
            if message.WhichOneof("kind") in {"upload", "refusal"}:
                heard.append(message)
        assert [each.refusal.code for each in heard if each.WhichOneof("kind") == "refusal"] == ["late"]
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
    monkeypatch.setattr(long_rounds, "MOST_WAITING", 2)

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


def test_told_to_stop_a_node_waits_for_no_app(home, authority, monkeypatch):  # noqa: F811
    """It is told that the node ends, so that it ends as well; nothing is charged for it, and its round hears why."""
    monkeypatch.setattr(links, "FAREWELL", 2 * SOON)

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
        assert time.monotonic() - begun < SOON
        assert hospital.ledger.spent() == 0

    assert play(authority, home, scene) == 0


def test_while_an_app_runs_answers_leave_in_even_steps(monkeypatch):
    """However much an app slows the node down within a step, what it says leaves at the same moment."""
    monkeypatch.setattr(long_rounds, "EVEN", 0.3)
    monkeypatch.setattr(long_rounds, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async def scene():
        desk = Desk()
        rounds = LongRounds(desk=desk, replier=None, roster=lambda: roster)
        monkeypatch.setattr(long_rounds, "asyncio", SimpleNamespace(sleep=sleep))
        for busy in (False, True):
            rounds._apps.under_way = {b"t": None} if busy else {}
            for took in (0.05, 0.2, 0.35):
                slept.clear()
                await rounds.even(1000.0 - took)
                assert took + sum(slept) == pytest.approx((0.6 if took > 0.3 else 0.3) if busy else took)
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
