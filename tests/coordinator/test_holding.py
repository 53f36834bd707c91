import asyncio
import hashlib
import time

import pytest

from coordinator import questions
from protocols.wire_pb2 import Announcement, NodeMessage, NodeStatus, Note, RequestId, Stand, State, Verdict
from queries.asked.app_time import lasting
from queries.asked.canonical import encode
from queries.asked.plan import ONE, Aggregate, AppStep
from tests.coordinator.federation import coordinator

PATIENT = 600


async def looks(hospital):
    """Have a hospital say that somebody there looks at requests; the coordinator has read it."""
    await hospital.say(NodeMessage(status=NodeStatus(lifetime_units=7, remaining_units=5, holds=True)))
    await asyncio.sleep(0.05)


async def pauses(hospital, *, paused=True, holds=False):
    """Have a hospital say that it is paused, or is no longer; the coordinator has read it."""
    status = NodeStatus(lifetime_units=7, remaining_units=5, paused=paused, holds=holds)
    await hospital.say(NodeMessage(status=status))
    await asyncio.sleep(0.05)


async def says(hospital, status, stand):
    """Have a hospital say where a request stands."""
    reference = status.id.hex()
    await hospital.say(NodeMessage(verdict=Verdict(request=status.id, stand=stand, reference=reference)))


def state_at(status, site):
    """Return what an analyst sees of a hospital."""
    return next(each.state for each in status.sites if each.site == site)


def test_a_round_waits_until_a_hospital_that_holds_it_says_yes(federation, tmp_path):
    """One of five holds it: it waits, with a count and the hospital's name; approved, all five answer."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            analyst = running.analyst()
            status = await analyst.submit(patience=PATIENT)
            assert (await hospitals[2].hear("proposal")).request.signer == "ada"
            await says(hospitals[2], status, Stand.STAND_HELD)
            held = await analyst.until(status, lambda now: now.held == 1)
            assert (held.state, state_at(held, "cork")) == (State.STATE_WAITING, "held")
            assert [each.reference for each in held.sites if each.reference] == [status.id.hex()]
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)
            await says(hospitals[2], status, Stand.STAND_READY)
            end = await analyst.end_of(status)
            assert (end.state, end.answered, end.held) == (State.STATE_ANSWERED, 5, 0)

    asyncio.run(scenario())


def test_nobody_is_asked_where_nobody_looks(federation, tmp_path):
    """Without a hospital that looks at requests, the round opens at once and no proposal is sent."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            status = await running.analyst().submit(patience=PATIENT)
            assert status.state == State.STATE_RUNNING
            assert all(hospital.waiting("proposal") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_a_hospital_that_denies_is_not_waited_for(federation, tmp_path):
    """One of five says no: the round opens with the others ready, and it takes part with zeros."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            hospitals[2].silence()
            analyst = running.analyst()
            status = await analyst.submit(patience=PATIENT)
            await says(hospitals[2], status, Stand.STAND_DENIED)
            announced = await hospitals[2].hear("announcement")
            await hospitals[2].answer(announced, vector=(0, 0), notes=(Note.NOTE_WITHHELD_APPROVAL,))
            end = await analyst.end_of(status)
            assert (end.state, end.answered, state_at(end, "cork")) == (State.STATE_ANSWERED, 4, "denied")

    asyncio.run(scenario())


def test_too_many_denials_end_the_request_before_anything_is_charged(federation, tmp_path):
    """Two of five say no and four are needed: it failed as denied, and nobody was asked for an upload."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            for hospital in hospitals[:2]:
                await looks(hospital)
            analyst = running.analyst()
            status = await analyst.submit(patience=PATIENT)
            for hospital in hospitals[:2]:
                await says(hospital, status, Stand.STAND_DENIED)
            end = await analyst.end_of(status)
            assert (end.state, end.code) == (State.STATE_FAILED, "denied")
            assert [each.state for each in end.sites[:3]] == ["denied", "denied", "connected"]
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_a_later_word_replaces_the_earlier(federation, tmp_path):
    """A hospital that denied and then approves takes part; the request was not lost meanwhile."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            for hospital in hospitals[:2]:
                await looks(hospital)
            analyst = running.analyst()
            status = await analyst.submit(patience=PATIENT)
            await says(hospitals[0], status, Stand.STAND_DENIED)
            await analyst.until(status, lambda now: state_at(now, "aden") == "denied")
            await says(hospitals[0], status, Stand.STAND_READY)
            await says(hospitals[1], status, Stand.STAND_READY)
            assert (await analyst.end_of(status)).answered == 5

    asyncio.run(scenario())


def test_the_analysts_patience_is_honoured_and_then_the_round_opens_without(federation, tmp_path):
    """A held request of a second's patience waits that long and is then answered with the others' records."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            hospitals[2].silence()
            analyst = running.analyst()
            created = int(time.time())
            status = await analyst.submit(created_at=created, expires_at=created + 3600, patience=2)
            await says(hospitals[2], status, Stand.STAND_HELD)
            announced = await hospitals[2].hear("announcement")
            assert time.time() >= created + 2
            await hospitals[2].answer(announced, vector=(0, 0), notes=(Note.NOTE_WITHHELD_APPROVAL,))
            assert (await analyst.end_of(status)).answered == 4

    asyncio.run(scenario())


def test_a_hospital_without_a_word_does_not_hold_up_an_impatient_analyst_for_long(federation, tmp_path, monkeypatch):
    """It looks at requests and never says anything: the round opens after the time for a word."""
    monkeypatch.setattr("coordinator.stands.REPLY_SECONDS", 0.3)

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            begun = time.monotonic()
            end = await running.analyst().ask()
            assert (end.state, end.answered) == (State.STATE_ANSWERED, 5)
            assert time.monotonic() - begun >= 0.3

    asyncio.run(scenario())


def test_a_restart_asks_again_and_the_request_goes_on(federation, tmp_path):
    """The coordinator restarts, and the hospital dials again: it hears the proposal again; its word opens the round."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            status = await running.analyst().submit(patience=PATIENT)
            await says(hospitals[2], status, Stand.STAND_HELD)
            await running.analyst().until(status, lambda now: now.held == 1)
            await running.stop()
            await running.start()
            for hospital in hospitals:
                hospital.restart()
                await hospital.connect()
                hospital.answer_all()
                if hospital is hospitals[2]:
                    await looks(hospital)
            assert (await hospitals[2].hear("proposal")).request.signer == "ada"
            await says(hospitals[2], status, Stand.STAND_READY)
            assert (await running.analyst().end_of(status)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_a_word_of_no_known_kind_or_on_no_known_request_does_no_harm(federation, tmp_path):
    """A verdict that is none ends the link; one on an unknown request is passed over."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[0])
            await hospitals[1].say(NodeMessage(verdict=Verdict(request=b"?" * 16, stand=Stand.STAND_DENIED)))
            status = await running.analyst().submit(patience=PATIENT)
            await says(hospitals[0], status, Stand.STAND_UNSPECIFIED)
            assert (await hospitals[0].hear("closing")).code == "malformed"
            assert hospitals[1].waiting("closing") == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("holds", [False, True])
def test_a_request_waits_while_those_that_are_paused_are_needed(federation, tmp_path, holds):
    """Two of five are paused and four are needed: nobody is announced a round until one of them is back."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            for hospital in hospitals[:2]:
                await pauses(hospital, holds=holds)
            analyst = running.analyst()
            status = await analyst.submit()
            assert status.state == State.STATE_WAITING
            assert [each.state for each in status.sites[:3]] == ["paused", "paused", "connected"]
            await asyncio.sleep(0.5)
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)
            hospitals[1].silence()
            await pauses(hospitals[0], paused=False)
            announced = await hospitals[1].hear("announcement")
            await hospitals[1].answer(announced, vector=(0, 0), notes=(Note.NOTE_PAUSED,))
            end = await analyst.end_of(status)
            assert (end.state, end.answered, state_at(end, "brest")) == (State.STATE_ANSWERED, 4, "paused")

    asyncio.run(scenario())


def test_nobody_waits_for_a_hospital_that_is_paused(federation, tmp_path):
    """It would look at the request, and is paused: with four others ready the round opens at once, whatever it says."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await pauses(hospitals[2], holds=True)
            status = await running.analyst().submit(patience=PATIENT)
            assert status.state == State.STATE_RUNNING

    asyncio.run(scenario())


def test_a_pause_during_the_wait_is_seen(federation, tmp_path):
    """Held at one, four ready; one of these pauses: the word of the first alone does not open the round."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            analyst = running.analyst()
            status = await analyst.submit(patience=PATIENT, minimum=5)
            await says(hospitals[2], status, Stand.STAND_HELD)
            await pauses(hospitals[0])
            await analyst.until(status, lambda now: state_at(now, "aden") == "paused")
            await says(hospitals[2], status, Stand.STAND_READY)
            await asyncio.sleep(0.3)
            assert (await analyst.status(status.id)).state == State.STATE_WAITING
            await pauses(hospitals[0], paused=False)
            assert (await analyst.end_of(status)).answered == 5

    asyncio.run(scenario())


async def told_over(hospital):
    """Return the id of the next request that a hospital hears to be over, past proposals."""
    while not (proposal := await hospital.hear("proposal")).ended:
        assert proposal.HasField("request")
    return proposal.ended


@pytest.mark.parametrize("end", ["cancelled", "answered"])
def test_who_was_asked_hears_that_a_request_is_over(federation, tmp_path, end):
    """Cancelled or answered, the hospital that was asked about it is told, once, and no other is."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            analyst = running.analyst()
            status = await analyst.submit(patience=PATIENT)
            await says(hospitals[2], status, Stand.STAND_HELD)
            await analyst.until(status, lambda now: now.held == 1)
            if end == "cancelled":
                await analyst.stub.Cancel(RequestId(id=status.id))
            else:
                await says(hospitals[2], status, Stand.STAND_READY)
            assert await told_over(hospitals[2]) == status.id
            assert sum(hospital.waiting("proposal") for hospital in hospitals) == 0

    asyncio.run(scenario())


def test_a_hospital_that_was_away_hears_later_that_a_request_is_over(federation, tmp_path):
    """It was asked, left, and the request expired: it hears of that when it is back, and is not asked again."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await looks(hospitals[2])
            analyst = running.analyst()
            now = int(time.time())
            status = await analyst.submit(patience=PATIENT, created_at=now, expires_at=now + 2)
            await says(hospitals[2], status, Stand.STAND_HELD)
            await analyst.until(status, lambda now: now.held == 1)
            await hospitals[2].cut()
            for hospital in hospitals[:2]:
                await pauses(hospital)
            assert (await analyst.end_of(status)).state == State.STATE_EXPIRED
            await hospitals[2].connect()
            await looks(hospitals[2])
            assert (await hospitals[2].hear("proposal")).ended == status.id
            assert hospitals[2].waiting("proposal") == 0

    asyncio.run(scenario())


def app_of(federation, number):
    """Return the plan of a round of an app that is sent nothing."""
    step = AppStep(
        app=bytes([number]) * 32,
        message=hashlib.sha256(b"").digest(),
        size=0,
        kind="train",
        columns=("sex",),
        entries=2,
        clip=ONE,
        seconds=30,
    )
    return step, encode(federation.plan(keys=(), aggregates=(Aggregate(statistic="app", step=step),)))


def test_rounds_of_apps_take_turns(federation, tmp_path):
    """The second app's round opens when the first one is over; a question is not held up by either."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            (_, one), (_, two) = (app_of(federation, number) for number in (1, 2))
            first = await analyst.start(plan=one, fresh=True)
            second = await analyst.submit(plan=two, fresh=True)
            assert (first.state, second.state) == (State.STATE_RUNNING, State.STATE_WAITING)
            announced = [await hospital.hear("announcement") for hospital in hospitals]
            status = await analyst.start()
            for hospital in hospitals:
                await hospital.answer(await hospital.hear("announcement"))
            assert (await analyst.end_of(status)).state == State.STATE_ANSWERED
            assert (await analyst.status(second.id)).state == State.STATE_WAITING
            for hospital, each in zip(hospitals, announced, strict=True):
                await hospital.answer(each)
            assert (await analyst.end_of(first)).state == State.STATE_ANSWERED
            for hospital in hospitals:
                await hospital.answer(await hospital.hear("announcement"))
            assert (await analyst.end_of(second)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_a_round_of_an_app_is_open_for_as_long_as_hospitals_wait(federation, tmp_path):
    """Its deadline allows for the app's seconds and the moment after them, for which hospitals wait in any case."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            step, plan = app_of(federation, 1)
            await running.analyst().start(plan=plan, fresh=True)
            announced = await hospitals[0].hear("announcement")
            left = Announcement.FromString(announced.body).deadline - time.time()
            assert left >= running.settings.round_seconds + lasting(step) - 2
            question = questions.read(
                federation.sign(federation.request(plan=plan)),
                roster=federation.roster,
                catalogue=federation.catalogue,
                now=int(time.time()),
            )
            assert question.seconds == lasting(step) > step.seconds

    asyncio.run(scenario())
