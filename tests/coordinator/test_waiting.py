import asyncio
import time

import grpc

from protocols.wire_pb2 import Nothing, RequestId, State
from tests.coordinator.federation import HOSPITALS, coordinator, refused


def test_a_request_waits_until_enough_hospitals_are_there(federation, tmp_path):
    """With three of four needed connected it waits, though its analyst left; the others connect: answered."""

    async def scenario():
        async with coordinator(federation, tmp_path, settle_seconds=0.5, grace_seconds=5.0) as running:
            await running.hospitals(HOSPITALS[:3], seated=False)
            analyst = running.analyst()
            status = await analyst.submit()
            assert (status.state, status.connected, status.needed) == (State.STATE_WAITING, 3, 4)
            assert [each.state for each in status.sites] == ["connected"] * 3 + ["offline"] * 2
            await analyst.leave()
            await running.hospitals(HOSPITALS[3:], seated=False)
            for hospital in running.all:
                hospital.answer_all()
            end = await running.analyst().end_of(status)
            assert (end.state, end.answered) == (State.STATE_ANSWERED, 5)

    asyncio.run(scenario())


def test_enough_for_the_request_may_be_too_few_for_the_sum(federation, tmp_path):
    """One hospital is asked and there, but two of five are too few to hide anybody: it waits for more."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.hospitals(HOSPITALS[:2], seated=False)
            analyst = running.analyst()
            status = await analyst.submit(sites=("aden",), minimum=1)
            await asyncio.sleep(0.5)
            assert (await analyst.status(status.id)).state == State.STATE_WAITING
            await running.hospitals(HOSPITALS[2:])
            for hospital in running.all:
                hospital.answer_all()
            release = await analyst.answer(await analyst.end_of(status))
            assert release.contributors == HOSPITALS

    asyncio.run(scenario())


def test_a_hospital_that_left_a_moment_ago_is_given_time_to_come_back(federation, tmp_path):
    """Four of five are enough, the fifth is reconnecting: the round waits and has all five."""

    async def scenario():
        async with coordinator(federation, tmp_path, grace_seconds=5) as running:
            hospitals = await running.answering()
            await hospitals[4].cut()
            await asyncio.sleep(0.05)
            analyst = running.analyst()
            status = await analyst.submit()
            await hospitals[4].connect()
            hospitals[4].answer_all()
            assert (await analyst.end_of(status)).answered == 5

    asyncio.run(scenario())


def test_the_grace_is_short_and_is_not_given_to_those_long_gone(federation, tmp_path):
    """Four of five are enough: without the fifth it starts after the grace, and at once when it left long ago."""

    async def scenario():
        later = time.time()
        async with coordinator(federation, tmp_path, grace_seconds=0.5, clock=lambda: later) as running:
            await running.answering(HOSPITALS[:4])
            analyst = running.analyst()
            started = time.monotonic()
            status = await analyst.ask()
            assert 0.5 <= time.monotonic() - started < 5
            assert (status.state, status.answered, status.sites[4].state) == (State.STATE_ANSWERED, 4, "offline")
            later += 60
            status = await analyst.submit(rho_units=5)
            assert status.state == State.STATE_RUNNING

    asyncio.run(scenario())


def test_a_request_that_nobody_could_answer_in_time_expires(federation, tmp_path):
    """It waits until its expiry, is EXPIRED then, and a hospital that connects later is not asked."""

    async def scenario():
        now = int(time.time())
        async with coordinator(federation, tmp_path, clock=lambda: now) as running:
            analyst = running.analyst()
            status = await analyst.submit(created_at=now, expires_at=now + 1)
            assert status.state == State.STATE_WAITING
            now += 1
            status = await analyst.end_of(status)
            assert (status.state, status.code) == (State.STATE_EXPIRED, "expired")
            hospitals = await running.hospitals()
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_only_its_analyst_sees_and_cancels_a_request(federation, tmp_path):
    """Another analyst's requests do not exist; one's own is cancelled while it waits, and stays cancelled."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            status = await ada.submit()
            asked = RequestId(id=status.id)
            not_found = (grpc.StatusCode.NOT_FOUND, "unknown-request")
            assert await refused(bela.stub.Cancel(asked)) == not_found
            assert await refused(bela.stub.Watch(asked).read()) == not_found
            assert await refused(bela.stub.Release(asked)) == not_found
            assert (await ada.status(status.id)).state == State.STATE_WAITING
            cancelled = await ada.stub.Cancel(asked)
            assert (cancelled.state, cancelled.code) == (State.STATE_CANCELLED, "cancelled")
            assert await ada.stub.Cancel(asked) == cancelled
            assert await ada.end_of(status) == cancelled

    asyncio.run(scenario())


def test_a_round_that_was_cancelled_takes_no_more_answers(federation, tmp_path):
    """Cancelled while running: the watcher is told, and an upload that comes later changes nothing."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = await hospitals[0].hear("announcement")
            watcher = asyncio.create_task(analyst.end_of(status))
            cancelled = await analyst.stub.Cancel(RequestId(id=status.id))
            assert (await watcher).state == cancelled.state == State.STATE_CANCELLED
            await hospitals[0].answer(announced)
            for hospital in hospitals:
                hospital.answer_all()
            # The hospital is still welcome, and the next question is answered.
            assert (await analyst.ask(rho_units=5)).answered == 5
            assert await analyst.status(status.id) == cancelled

    asyncio.run(scenario())


def test_more_requests_than_there_is_room_for_are_refused_as_busy(federation, tmp_path):
    """Two of hers may wait: the third is refused and not kept; one ends, there is room again."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_waiting=4) as running:
            analyst = running.analyst()
            kept = [await analyst.submit() for _ in range(2)]
            assert await refused(analyst.submit()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            await analyst.stub.Cancel(RequestId(id=kept[0].id))
            await analyst.submit()

    asyncio.run(scenario())


def test_rounds_beyond_the_limit_wait_their_turn_in_order(federation, tmp_path):
    """One round at a time: the second question is announced when the first has ended."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=1) as running:
            hospitals = await running.hospitals()
            await asyncio.sleep(0.1)
            analyst = running.analyst()
            first, second, third = [await analyst.submit(rho_units=price) for price in (1, 2, 3)]
            assert [each.state for each in (first, second, third)] == [
                State.STATE_RUNNING, State.STATE_WAITING, State.STATE_WAITING,
            ]  # fmt: skip
            for hospital in hospitals:
                await hospital.answer(await hospital.hear("announcement"))
            assert (await analyst.end_of(first)).state == State.STATE_ANSWERED
            assert (await analyst.status(second.id)).state == State.STATE_RUNNING
            assert (await analyst.status(third.id)).state == State.STATE_WAITING
            for hospital in hospitals:
                hospital.answer_all()
            assert (await analyst.end_of(third)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_requests_are_listed_newest_first(federation, tmp_path):
    """An analyst sees all of her own and none of another's."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            mine = [(await ada.submit()).id for _ in range(3)]
            await bela.submit()
            listed = [each.id for each in (await ada.stub.Requests(Nothing())).requests]
            assert listed == mine[::-1]

    asyncio.run(scenario())
