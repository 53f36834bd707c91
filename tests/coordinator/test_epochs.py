import asyncio
import os
import time

import pytest

from coordinator.epochs import MOST_LEAP
from coordinator.seated import MOST_AHEAD
from protocols import PROTOCOL_VERSION, announcement
from protocols.farrsum import epoch as epochs
from protocols.farrsum.epoch import ExchangeKey
from protocols.roster import digest_of
from protocols.wire_pb2 import Hello, NodeMessage, Role, State
from protocols.wire_pb2_grpc import NodesStub
from tests.coordinator.federation import HOSPITALS, coordinator, refused


def test_epoch_numbers_rise_over_restarts(federation, tmp_path):
    """Each start of the coordinator opens an epoch of its own; also one above what a hospital says that it holds."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            numbers = [await hospitals[0].seated()]
            for _ in range(2):
                await running.crash()
                await running.start()
                for hospital in hospitals:
                    await hospital.cut()
                await asyncio.gather(*(hospital.connect() for hospital in hospitals))
                numbers.append(await hospitals[0].seated(above=numbers[-1]))
            assert numbers == [1, 2, 3]

    asyncio.run(scenario())


def test_a_coordinator_that_lost_its_state_does_not_reuse_a_number(federation, tmp_path):
    """Its file is gone, but a hospital holds keys of epoch 7: the next one is 8."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = [running.unconnected(id_) for id_ in HOSPITALS]
            hospitals[2].claim = 7
            await asyncio.gather(*(hospital.connect() for hospital in hospitals))
            assert {await hospital.seated() for hospital in hospitals} == {8}

    asyncio.run(scenario())


@pytest.mark.parametrize("claim", [MOST_LEAP + 1, 2**63 - 2, 2**64 - 1])
def test_a_claim_to_an_epoch_far_beyond_any_uses_no_numbers_up(federation, tmp_path, claim):
    """Numbers only rise: its hello is refused with a code, and the others' epoch is the first."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            liar, *others = [running.unconnected(id_) for id_ in HOSPITALS]
            hello = NodeMessage(hello=Hello(protocol=PROTOCOL_VERSION, software="test/1", epoch=claim))
            call = NodesStub(running.channel(liar.party)).Link()
            await call.write(hello)
            assert (await refused(call.read()))[1] == "malformed"
            await asyncio.gather(*(hospital.connect() for hospital in others))
            assert {await hospital.seated() for hospital in others} == {1}

    asyncio.run(scenario())


def test_a_restarted_hospital_waits_for_the_next_epoch_and_then_takes_part(federation, tmp_path):
    """Its keys are gone: rounds go on without it, until an epoch that it has keys for is current."""

    async def scenario():
        async with coordinator(federation, tmp_path, pace_seconds=1.5, grace_seconds=0.1) as running:
            hospitals = await running.answering()
            analyst = running.analyst()
            assert (await analyst.ask()).answered == 5
            restarted = hospitals[0]
            await restarted.cut()
            restarted.restart()
            await restarted.connect()
            restarted.answer_all()
            status = await analyst.ask(fresh=True)
            assert (status.state, status.answered) == (State.STATE_ANSWERED, 4)
            assert await restarted.seated() == 2
            await asyncio.sleep(0.1)
            status = await analyst.ask(fresh=True)
            assert (status.state, status.answered) == (State.STATE_ANSWERED, 5)

    asyncio.run(scenario())


def test_a_hospital_that_kept_its_keys_goes_on_where_it_was(federation, tmp_path):
    """Only its connection was lost: no new epoch, and the next round has all five."""

    async def scenario():
        async with coordinator(federation, tmp_path, straggler_seconds=30) as running:
            hospitals = await running.answering()
            await hospitals[0].cut()
            await hospitals[0].connect()
            hospitals[0].answer_all()
            await asyncio.sleep(0.5)
            assert (await running.analyst().ask()).answered == 5
            assert await hospitals[0].seated() == 1

    asyncio.run(scenario())


def test_a_newcomer_is_seated_in_the_background_while_a_round_ends_in_the_old_epoch(federation, tmp_path):
    """A fifth hospital connects in mid-round: the round ends in epoch 1, the next one is in epoch 2, with five."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals(HOSPITALS[:4])
            analyst = running.analyst()
            status = await analyst.start()
            announced = [await hospital.hear("announcement") for hospital in hospitals]
            newcomer = await running.hospital(HOSPITALS[4])
            assert await newcomer.seated() == 2
            for hospital, signed in zip(hospitals, announced, strict=True):
                await hospital.answer(signed)
                hospital.answer_all()
            newcomer.answer_all()
            release = await analyst.answer(await analyst.end_of(status))
            assert release.contributors == HOSPITALS[:4]
            release = await analyst.answer(await analyst.ask(fresh=True))
            assert release.contributors == HOSPITALS
            assert _announced(federation, release.announcement).epoch == 2

    asyncio.run(scenario())


def test_a_new_roster_needs_a_new_epoch(federation, tmp_path):
    """Keys are signed for a roster: when another one is published, the next round is in an epoch of that one."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.answering()
            analyst = running.analyst()
            newcomer = federation.authority.party("dover", Role.ROLE_NODE).member()
            publication = federation.publication(also=[newcomer])
            await running.membership(federation.parties["office"]).Publish(publication)
            release = await analyst.answer(await analyst.ask())
            read = announcement.read(
                release.announcement, roster=federation.issue(version=2, also=[newcomer])[0], now=release.released_at
            )
            assert (read.roster, read.epoch, read.colluders) == (2, 2, 1)

    asyncio.run(scenario())


def test_an_epoch_ends_when_its_time_is_over(federation, tmp_path):
    """The keys of an epoch are used for so long and no longer; nobody waits for the next one."""

    async def scenario():
        async with coordinator(federation, tmp_path, epoch_seconds=0.5) as running:
            hospitals = await running.answering()
            assert await hospitals[0].seated(above=2) == 3
            assert (await running.analyst().ask()).answered == 5

    asyncio.run(scenario())


def test_a_hospital_that_does_not_prepare_holds_nobody_up_for_long(federation, tmp_path, monkeypatch):
    """One sends its key and then nothing: the epoch begins without it, and again and again less often."""
    monkeypatch.setattr("coordinator.epochs.DEPOSIT_SECONDS", 0.3)

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = [running.unconnected(id_) for id_ in HOSPITALS]
            hospitals[4].mute = {"deposits"}
            await asyncio.gather(*(hospital.connect() for hospital in hospitals))
            for hospital in hospitals:
                hospital.answer_all()
            status = await running.analyst().ask()
            assert (status.state, status.answered) == (State.STATE_ANSWERED, 4)

    asyncio.run(scenario())


def test_a_hospital_that_connects_again_and_again_postpones_no_epoch_for_ever(federation, tmp_path, monkeypatch):
    """The others are seated although there is no moment in which nobody has just connected."""
    monkeypatch.setattr("coordinator.epochs.MOST_SETTLES", 2)

    async def scenario():
        async with coordinator(federation, tmp_path, settle_seconds=1.0) as running:
            restless, *others = [running.unconnected(id_) for id_ in HOSPITALS]
            restless.mute = {"open_epoch"}

            async def again_and_again():
                while True:
                    await restless.connect()
                    await asyncio.sleep(0.05)
                    await restless.cut()

            flapping = asyncio.create_task(again_and_again())
            await asyncio.gather(*(hospital.connect() for hospital in others))
            assert await others[0].seated() == 1
            assert not flapping.done()
            flapping.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(lambda federation, number: _key(federation, "brest", number), "bad-signature", id="another's"),
        pytest.param(
            lambda federation, number: _key(federation, "aden", number, version=9), "stale-roster", id="roster"
        ),
        pytest.param(
            lambda federation, number: _key(federation, "aden", number, identity="brest"), "bad-signature", id="forged"
        ),
        pytest.param(
            lambda federation, number: _key(federation, "aden", number, public=bytes(32)), "malformed", id="small order"
        ),
    ],
)
def test_a_wrong_key_costs_its_hospital_the_stream_and_nobody_else_anything(federation, tmp_path, make, code):
    """It is refused when it comes, so the freeze that the others get has only keys that they accept."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            aden = running.unconnected("aden")
            aden.mute = {"open_epoch"}
            others = [running.unconnected(id_) for id_ in HOSPITALS[1:]]
            await asyncio.gather(*(hospital.connect() for hospital in (aden, *others)))
            for hospital in others:
                hospital.answer_all()
            opened = await aden.hear("open_epoch")
            await aden.say(NodeMessage(epoch_key=make(federation, opened.epoch)))
            assert (await aden.hear("closing")).code == code
            assert (await running.analyst().ask()).answered == 4

    asyncio.run(scenario())


def test_a_hospital_cannot_make_the_coordinator_keep_slots_without_end(federation, tmp_path):
    """A deposit far ahead ends its stream; the same slot twice is kept once."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            for _ in range(MOST_AHEAD - 16):
                await hospitals[0].prepare(1)
            await asyncio.sleep(0.1)
            assert hospitals[0].waiting("closing") == 0
            await hospitals[0].prepare(1)
            assert (await hospitals[0].hear("closing")).code == "oversized"

    asyncio.run(scenario())


def test_more_questions_at_once_than_slots_were_prepared_are_all_answered(federation, tmp_path):
    """Twenty questions in one moment, sixteen slots ahead: hospitals prepare more as they go."""

    async def scenario():
        async with coordinator(federation, tmp_path, most_running=30) as running:
            await running.answering()
            analyst = running.analyst()
            ends = await asyncio.gather(*(analyst.ask(fresh=True) for _ in range(20)))
            assert {end.answered for end in ends} == {5}

    asyncio.run(scenario())


def test_a_federation_too_small_for_a_sum_is_told_so_at_once(federation, tmp_path):
    """Two hospitals can hide nothing from each other: the question is refused, not left to wait."""
    _, small = federation.issue(version=2, without=HOSPITALS[2:])

    async def scenario():
        async with coordinator(federation, tmp_path, roster=small) as running:
            _, code = await refused(running.analyst().submit(sites=HOSPITALS[:2], minimum=2))
            assert code == "too-few-nodes"

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [3, 4])
def test_three_or_four_hospitals_each_add_the_whole_noise(federation, tmp_path, size):
    """Two colluders always isolate the third, so h is 1; four go on when one is missing, three do not."""
    _, small = federation.issue(version=2, without=HOSPITALS[size:])

    async def scenario():
        async with coordinator(federation, tmp_path, roster=small, round_seconds=1.0) as running:
            hospitals = await running.answering(HOSPITALS[:size])
            analyst = running.analyst()
            release = await analyst.answer(await analyst.ask(sites=HOSPITALS[:size], minimum=3))
            read = announcement.read(
                release.announcement,
                roster=federation.issue(version=2, without=HOSPITALS[size:])[0],
                now=release.released_at,
            )
            assert (read.minimum, read.honest, read.colluders) == (3, 1, (size + 2) // 3 - 1)
            hospitals[0].silence()
            status = await analyst.ask(sites=HOSPITALS[:size], minimum=2, fresh=True)
            assert status.state == (State.STATE_FAILED if size == 3 else State.STATE_ANSWERED)

    asyncio.run(scenario())


def _announced(federation, signed):
    return announcement.read(signed, roster=federation.roster, now=int(time.time()))


def _key(federation, id_, number, *, version=1, identity="", public=None):
    roster, signed = federation.issue(version=version)
    exchange = ExchangeKey.from_seed(os.urandom(32))
    key = federation.parties[identity or id_].identity
    if public is not None:
        exchange = type("Given", (), {"public": public})()
    held = federation.signed_roster if version == 1 else signed
    return epochs.write_key(number, roster, digest_of(held), member=id_, key=key, exchange=exchange)
