import asyncio

from protocols.wire_pb2 import Nothing, RequestId, State
from queries.canonical import encode
from queries.plan import Bound
from tests.coordinator.federation import HOSPITALS, coordinator


def test_the_same_question_again_returns_the_released_answer_at_no_cost(federation, tmp_path):
    """No hospital is asked again, whoever asks; the release is the earlier one, byte for byte."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            first = await ada.ask()
            for hospital in hospitals:
                await hospital.cut()
            again = await bela.submit(statement="the same in other words", view=b"other")
            assert (again.state, again.reused, again.release) == (State.STATE_ANSWERED, True, first.id)
            assert (again.answered, [each.state for each in again.sites]) == (3, ["answered"] * 3)
            assert await bela.stub.Release(RequestId(id=again.release)) == await ada.stub.Release(
                RequestId(id=first.release)
            )
            assert await bela.end_of(again) == again

    asyncio.run(scenario())


def test_another_question_or_a_fresh_one_is_asked_anew(federation, tmp_path):
    """Another plan, price or scope, a higher minimum than answered, or ``fresh``: a round of its own."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.hospitals(HOSPITALS[:2])
            silent = await running.hospital(HOSPITALS[2])
            analyst = running.analyst()
            status = await analyst.submit(minimum=2)
            await silent.refuse(await silent.hear("announcement"), "policy")
            assert (await analyst.end_of(status)).answered == 2
            wider = federation.plan(bound=Bound(rows=2, groups=2))
            for change in (
                {"plan": encode(wider), "minimum": 2},
                {"rho_units": 1 << 31, "minimum": 2},
                {"sites": HOSPITALS[1:], "minimum": 2},
                {"minimum": 3},
                {"fresh": True, "minimum": 2},
            ):
                status = await analyst.submit(**change)
                assert (status.state, status.reused) == (State.STATE_RUNNING, False), change
            assert (await analyst.submit(minimum=1)).reused
            assert len((await analyst.stub.ReleaseList(Nothing())).releases) == 1

    asyncio.run(scenario())


def test_a_request_that_waited_is_served_by_an_answer_that_came_meanwhile(federation, tmp_path):
    """Two analysts wait for the same question, one round at a time: the second gets the first one's release."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=1) as running:
            hospital = await running.hospital("aden")
            ada, bela = running.analyst("ada"), running.analyst("bela")
            first = await ada.submit(sites=("aden",), minimum=1)
            second = await bela.submit(sites=("aden",), minimum=1)
            await hospital.answer(await hospital.hear("announcement"))
            end = await bela.end_of(second)
            assert (end.reused, end.release) == (True, first.id)
            assert hospital.waiting("announcement") == 0

    asyncio.run(scenario())


def test_one_answer_serves_all_who_wait_for_it(federation, tmp_path):
    """Four hundred requests wait for the same question behind one round: one release, and every one is told."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=1) as running:
            hospital = await running.hospital("aden")
            analyst = running.analyst()
            first, *others = [await analyst.submit(sites=("aden",), minimum=1) for _ in range(400)]
            await hospital.answer(await hospital.hear("announcement"))
            ends = await asyncio.gather(*(analyst.end_of(status) for status in others))
            assert {(end.state, end.release, end.reused) for end in ends} == {(State.STATE_ANSWERED, first.id, True)}
            assert hospital.waiting("announcement") == 0

    asyncio.run(scenario())
