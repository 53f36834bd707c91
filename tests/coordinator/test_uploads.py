import asyncio

import grpc
import pytest

from protocols import announcement
from protocols.wire_pb2 import NodeMessage, State
from tests.coordinator.federation import coordinator


def other_key(federation):
    """Return a key that is not the hospital's."""
    return federation.parties["brest"].identity


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda _: {"vector": (1, 2, 3)}, "wrong-length", id="an entry too many"),
        pytest.param(lambda _: {"vector": ()}, "wrong-length", id="no entry"),
        pytest.param(lambda federation: {"key": other_key(federation)}, "bad-signature", id="another hospital's key"),
    ],
)
def test_an_upload_that_does_not_belong_is_refused_and_not_added(federation, tmp_path, spoil, code):
    """The hospital is told the code, the analyst sees it, the sum is without it; a right one may still follow."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = await hospitals[0].hear("announcement")
            await hospitals[0].answer(announced, **spoil(federation))
            assert (await hospitals[0].hear("closing")).code == code
            seen = await analyst.until(status, lambda now: now.sites[0].state == code)
            assert (seen.state, seen.answered) == (State.STATE_RUNNING, 0)
            hospitals[0].forget(announced)
            await hospitals[0].connect()
            await hospitals[0].answer(await hospitals[0].hear("announcement"))
            await analyst.until(status, lambda now: now.answered == 1)
            for hospital in hospitals[1:]:
                await hospital.answer(await hospital.hear("announcement"))
            release = await analyst.answer(await analyst.end_of(status))
            assert [int(entry) for entry in release.vector] == [11111, 111110000]

    asyncio.run(scenario())


def test_a_hospital_cannot_upload_for_another(federation, tmp_path):
    """Even with the other's own signed upload: what came over aden's connection is aden's or nothing."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            aden, brest, *_ = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            theirs = brest.signed_upload(await brest.hear("announcement"), vector=(5, 5))
            await aden.say(NodeMessage(upload=theirs))
            assert (await aden.hear("closing")).code == "bad-signature"
            seen = await analyst.until(status, lambda now: now.sites[0].state == "offline")
            assert (seen.answered, seen.sites[1].state) == (0, "asked")

    asyncio.run(scenario())


def test_a_hospital_cannot_confirm_or_open_for_another(federation, tmp_path):
    """A confirmation of brest on aden's connection is refused; shares count for the connection that they came on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            aden, brest, *_ = hospitals
            aden.mute = brest.mute = {"confirm"}
            analyst = running.analyst()
            await analyst.start()
            theirs = brest.confirmation(await brest.hear("confirm"))
            await aden.say(NodeMessage(confirmation=theirs))
            assert (await aden.hear("closing")).code == "wrong-role"

    asyncio.run(scenario())


def test_an_upload_for_an_announcement_that_is_not_open_changes_nothing(federation, tmp_path):
    """Another round's digest: it is ignored, the hospital stays connected, its right answer counts."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = await hospitals[0].hear("announcement")
            await hospitals[0].answer(announced, tau=bytes(32), vector=(9, 9))
            hospitals[0].forget(announced)
            await hospitals[0].answer(announced)
            for hospital in hospitals[1:]:
                await hospital.answer(await hospital.hear("announcement"))
            release = await analyst.answer(await analyst.end_of(status))
            assert [int(entry) for entry in release.vector] == [11111, 111110000]
            await hospitals[0].answer(announced)
            for hospital in hospitals:
                hospital.answer_all()
            assert (await analyst.ask(fresh=True)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_the_same_upload_twice_counts_once(federation, tmp_path):
    """A hospital repeats its answer, and then sends another one: the sum has the first."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = await hospitals[0].hear("announcement")
            first = hospitals[0].signed_upload(announced)
            for upload in (first, first, hospitals[0].signed_upload(announced, vector=(50, 50))):
                await hospitals[0].say(NodeMessage(upload=upload))
            await analyst.until(status, lambda now: now.answered == 1)
            for hospital in hospitals[1:]:
                await hospital.answer(announced)
            release = await analyst.answer(await analyst.end_of(status))
            assert [int(entry) for entry in release.vector] == [11111, 111110000]

    asyncio.run(scenario())


def test_an_upload_that_is_longer_than_a_message_may_be_ends_the_stream(federation, tmp_path):
    """The server refuses it before it is held in memory; the round goes on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            hospital = hospitals[0]
            analyst = running.analyst()
            status = await analyst.start()
            announced = await hospital.hear("announcement")
            upload = hospital.signed_upload(announced)
            upload.body += bytes(17 << 20)
            await hospital.say(NodeMessage(upload=upload))
            assert (await hospital.ended()).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            hospital.forget(announced)
            await hospital.connect()
            again = await hospital.hear("announcement")
            assert announcement.tau(again) == announcement.tau(announced)
            for each in hospitals:
                await each.answer(again)
            assert (await analyst.end_of(status)).answered == 5

    asyncio.run(scenario())
