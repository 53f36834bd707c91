"""Fair shares: however much one analyst asks, there is room for another."""

import asyncio

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.shares import has_room
from protocols.wire_pb2 import RequestId, State
from tests.coordinator.federation import coordinator, refused
from tests.coordinator.test_holding import app_of


@given(places=st.integers(1, 40), asking=st.lists(st.sampled_from("abcdefgh"), max_size=200))
def test_nobody_holds_more_than_half_and_a_place_is_left_for_who_has_none(places, asking):
    """Whoever asks in whatever order; alone with one place, it may be had."""
    holders = []
    for analyst in asking:
        free = places - len(holders)
        room = has_room(analyst, holders, places)
        assert not (room and not free)
        if analyst not in holders:
            assert room == (free > 0)
        if room:
            holders.append(analyst)
        assert holders.count(analyst) <= max(1, (places + 1) / 2)


@pytest.mark.parametrize(("places", "most"), [(1, 1), (2, 1), (3, 2), (4, 2), (16, 8), (1000, 500)])
def test_alone_an_analyst_gets_half(places, most):
    """Rounded up where there are few."""
    holders = []
    while has_room("ada", holders, places):
        holders.append("ada")
    assert len(holders) == most


def test_one_analysts_rounds_leave_places_for_anothers(federation, tmp_path):
    """Of four places two are hers, whose rounds nobody answers: his is answered, and her others say why not."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=4) as running:
            hospitals = await running.hospitals()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            hers = [await ada.submit(fresh=True) for _ in range(4)]
            assert [each.state for each in hers] == [State.STATE_RUNNING] * 2 + [State.STATE_WAITING] * 2
            assert [each.queued for each in hers] == [False, False, True, True]
            his = await bela.start(fresh=True)
            announced = {id_: [await hospital.hear("announcement") for _ in range(3)]
                         for id_, hospital in enumerate(hospitals)}  # fmt: skip
            for id_, hospital in enumerate(hospitals):
                await hospital.answer(announced[id_][2])
            assert (await bela.end_of(his)).state == State.STATE_ANSWERED
            assert (await ada.status(hers[2].id)).queued
            for id_, hospital in enumerate(hospitals):
                for each in announced[id_][:2]:
                    await hospital.answer(each)
                hospital.answer_all()
            ends = [await ada.end_of(each) for each in hers]
            assert {(each.state, each.queued) for each in ends} == {(State.STATE_ANSWERED, False)}

    asyncio.run(scenario())


def test_apps_of_two_analysts_take_turns(federation, tmp_path):
    """She asked for three rounds of an app before he asked for one: his is the second that is opened."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.hospitals()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            plans = [app_of(federation, number)[1] for number in range(1, 5)]
            hers = [await ada.submit(plan=plan, fresh=True) for plan in plans[:3]]
            his = await bela.submit(plan=plans[3], fresh=True)
            assert [each.state for each in (*hers, his)] == [State.STATE_RUNNING, *[State.STATE_WAITING] * 3]
            await ada.stub.Cancel(RequestId(id=hers[0].id))
            await bela.until(his, lambda now: now.state == State.STATE_RUNNING)
            assert (await ada.status(hers[1].id)).queued

    asyncio.run(scenario())


def test_one_analysts_waiting_requests_leave_room_for_anothers(federation, tmp_path):
    """Nobody answers, and she has asked all that she may: his request is taken."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_waiting=6) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            for _ in range(3):
                await ada.submit()
            assert await refused(ada.submit()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            assert (await bela.submit()).state == State.STATE_WAITING

    asyncio.run(scenario())
