import asyncio

from protocols.farrsum.parameters import Trust
from protocols.wire_pb2 import Note, RequestId, State
from queries.asked.canonical import encode
from queries.asked.plan import Bound
from tests.coordinator.federation import HOSPITALS, coordinator


def test_the_same_question_again_returns_the_released_answer_at_no_cost(federation, tmp_path):
    """No hospital is asked again, whoever asks; the release is the earlier one, byte for byte."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            first = await ada.ask()
            for hospital in hospitals:
                await hospital.cut()
            again = await bela.submit(statement="the same in other words", view=b"other")
            assert (again.state, again.reused, again.release) == (State.STATE_ANSWERED, True, first.id)
            assert (again.answered, [each.state for each in again.sites]) == (5, ["answered"] * 5)
            assert await bela.stub.Release(RequestId(id=again.release)) == await ada.stub.Release(
                RequestId(id=first.release)
            )
            assert await bela.end_of(again) == again

    asyncio.run(scenario())


def test_another_question_or_a_fresh_one_is_asked_anew(federation, tmp_path):
    """Another plan, price, scope or trust, a higher minimum than answered, or ``fresh``: a round of its own."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            for hospital in hospitals[:4]:
                hospital.answer_all()
            analyst = running.analyst()
            status = await analyst.start()
            await hospitals[4].refuse(await hospitals[4].hear("announcement"), "bad-plan")
            assert (await analyst.end_of(status)).answered == 4
            wider = federation.plan(bound=Bound(rows=2, groups=2))
            for change in (
                {"plan": encode(wider)},
                {"rho_units": 1 << 31},
                {"sites": HOSPITALS[1:], "minimum": 3},
                {"trust": Trust.NONE},
                {"minimum": 5},
                {"fresh": True},
            ):
                status = await analyst.start(**change)
                assert (status.state, status.reused) == (State.STATE_RUNNING, False), change
            assert (await analyst.submit(minimum=1)).reused

    asyncio.run(scenario())


def test_an_answer_counts_only_hospitals_whose_records_are_in_it(federation, tmp_path):
    """Four of five gave their records, the fifth zeros: whoever needs five is not served by it."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            for hospital in hospitals[:4]:
                hospital.answer_all()
            analyst = running.analyst()
            status = await analyst.start()
            note = Note.NOTE_WITHHELD_BUDGET
            await hospitals[4].answer(await hospitals[4].hear("announcement"), vector=(0, 0), notes=(note,))
            assert (await analyst.answer(await analyst.end_of(status))).contributors == HOSPITALS
            assert (await analyst.submit(minimum=4)).reused
            assert not (await analyst.submit(minimum=5)).reused

    asyncio.run(scenario())


def test_a_request_that_waited_is_served_by_an_answer_that_came_meanwhile(federation, tmp_path):
    """Two analysts wait for the same question, one round at a time: the second gets the first one's release."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=1) as running:
            hospitals = await running.hospitals()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            first = await ada.start()
            second = await bela.submit()
            for hospital in hospitals:
                await hospital.answer(await hospital.hear("announcement"))
            end = await bela.end_of(second)
            assert (end.reused, end.release) == (True, first.id)
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_one_answer_serves_all_who_wait_for_it(federation, tmp_path):
    """Four hundred requests wait for the same question behind one round: one release, and every one is told."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=1) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            first = await analyst.start()
            others = [await analyst.submit() for _ in range(399)]
            for hospital in hospitals:
                await hospital.answer(await hospital.hear("announcement"))
            ends = await asyncio.gather(*(analyst.end_of(status) for status in others))
            assert {(end.state, end.release, end.reused) for end in ends} == {(State.STATE_ANSWERED, first.id, True)}
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())
