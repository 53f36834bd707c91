import asyncio
import sqlite3

import grpc
import numpy as np

from coordinator.store import Store
from protocols import announcement, ring
from protocols.wire_pb2 import RequestId, State
from tests.coordinator.federation import HOSPITALS, coordinator, refused


def test_a_question_is_answered_with_the_sum_of_what_the_hospitals_said(federation, tmp_path):
    """Three hospitals' vectors come back as their sum, signed, with those who answered and no masks."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.ask()
            release = await analyst.answer(status)
            assert np.array_equal(ring.centred(release.vector), [111, 1110000])
            assert release.contributors == HOSPITALS
            assert release.masks == "none"
            assert (status.asked, status.answered, status.needed) == (3, 3, 3)
            assert {each.state for each in status.sites} == {"answered"}
            for hospital in hospitals:
                told = await hospital.hear("release")
                assert told == await analyst.stub.Release(RequestId(id=status.release))

    asyncio.run(scenario())


def test_an_announcement_is_one_that_hospitals_accept(federation, tmp_path):
    """It verifies against the roster, names those who are there, and each round takes a slot of its own."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            slots = []
            for _ in range(3):
                status = await running.analyst().submit(sites=HOSPITALS[:1], minimum=1, fresh=True)
                signed = await hospital.hear("announcement")
                read = announcement.read(signed, roster=federation.roster, now=status.created_at)
                assert (read.epoch, read.contributors, read.minimum, read.honest) == (1, ("aden",), 1, 1)
                slots.append(read.slot)
            assert len(set(slots)) == 3

    asyncio.run(scenario())


def test_too_few_answers_by_the_deadline_fail_with_counts_that_say_so(federation, tmp_path):
    """One of three stays silent and three are needed: failed, "2 of 3 answered, 3 needed", and who did not."""

    async def scenario():
        async with coordinator(federation, tmp_path, round_seconds=0.2) as running:
            await running.hospitals(HOSPITALS[:2])
            silent = await running.hospital(HOSPITALS[2])
            status = await running.analyst().ask()
            assert (status.state, status.code) == (State.STATE_FAILED, "too-few")
            assert (status.answered, status.asked, status.needed) == (2, 3, 3)
            assert [each.state for each in status.sites] == ["answered", "answered", "asked"]
            assert not status.release
            assert silent.waiting("announcement") == 1

    asyncio.run(scenario())


def test_enough_answers_by_the_deadline_are_released_without_the_silent_one(federation, tmp_path):
    """One of three stays silent and two are enough: the sum over two at the deadline."""

    async def scenario():
        async with coordinator(federation, tmp_path, round_seconds=0.2) as running:
            await running.hospitals(HOSPITALS[:2])
            await running.hospital(HOSPITALS[2])
            analyst = running.analyst()
            release = await analyst.answer(await analyst.ask(minimum=2))
            assert release.contributors == HOSPITALS[:2]
            assert np.array_equal(ring.centred(release.vector), [11, 110000])

    asyncio.run(scenario())


def test_a_refusal_shows_its_code_and_reference_and_ends_a_hopeless_round_at_once(federation, tmp_path):
    """With three needed, one refusal decides; the analyst sees the code, and an invented code is not passed on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = [await running.hospital(id_) for id_ in HOSPITALS]
            analyst = running.analyst()
            for code, shown in (("budget", "budget"), ("patient 17 is dead", "unavailable")):
                status = await analyst.submit()
                announced = [await hospital.hear("announcement") for hospital in hospitals]
                await hospitals[0].refuse(announced[0], code, reference="ab" * 16)
                status = await analyst.end_of(status)
                assert (status.state, status.code) == (State.STATE_FAILED, "too-few")
                assert (status.sites[0].state, status.sites[0].reference) == (shown, "ab" * 16)

    asyncio.run(scenario())


def test_the_round_ends_when_all_have_answered_or_refused(federation, tmp_path):
    """Two answers and a refusal, two needed: released long before the deadline."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.hospitals(HOSPITALS[:2])
            refusing = await running.hospital(HOSPITALS[2])
            analyst = running.analyst()
            status = await analyst.submit(minimum=2)
            await refusing.refuse(await refusing.hear("announcement"), "policy")
            status = await analyst.end_of(status)
            assert (await analyst.answer(status)).contributors == HOSPITALS[:2]
            assert status.sites[2].state == "policy"

    asyncio.run(scenario())


def test_a_hospital_that_was_cut_off_in_a_round_gets_the_same_announcement_again(federation, tmp_path):
    """The stream is lost after the announcement; back again the hospital hears the very same bytes and counts."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.hospitals(HOSPITALS[1:])
            hospital = await running.hospital("aden", (1, 10000))
            analyst = running.analyst()
            status = await analyst.submit()
            first = await hospital.hear("announcement")
            await hospital.cut()
            seen = await analyst.until(status, lambda now: now.sites[0].state == "offline" and now.answered == 2)
            assert (seen.state, seen.connected) == (State.STATE_RUNNING, 2)
            await hospital.connect()
            again = await hospital.hear("announcement")
            assert again.SerializeToString() == first.SerializeToString()
            await hospital.answer(again)
            release = await analyst.answer(await analyst.end_of(status))
            assert np.array_equal(ring.centred(release.vector), [12, 120000])

    asyncio.run(scenario())


def test_a_hospital_that_has_answered_is_not_asked_again_when_it_comes_back(federation, tmp_path):
    """Its answer is in the sum; only what is still open is sent after a welcome."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.hospital("brest")
            hospital = await running.hospital("aden")
            analyst = running.analyst()
            status = await analyst.submit(sites=HOSPITALS[:2], minimum=2)
            await hospital.answer(await hospital.hear("announcement"))
            await analyst.until(status, lambda now: now.answered == 1)
            await hospital.cut()
            await hospital.connect()
            await analyst.submit(sites=HOSPITALS[:1], minimum=1, rho_units=3)
            other = await hospital.hear("announcement")
            assert announcement.read(other, roster=federation.roster, now=status.created_at).request.rho_units == 3
            assert hospital.waiting("announcement") == 0

    asyncio.run(scenario())


def test_progress_reaches_many_watchers_and_each_is_told_the_end(federation, tmp_path):
    """Forty watchers of one request, one of which went away: every other one hears the same final status."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = [await running.hospital(id_) for id_ in HOSPITALS]
            analyst = running.analyst()
            status = await analyst.submit()
            gone = analyst.stub.Watch(RequestId(id=status.id))
            await gone.read()
            watchers = [asyncio.create_task(analyst.end_of(status)) for _ in range(40)]
            await asyncio.sleep(0.05)
            gone.cancel()
            for hospital in hospitals:
                await hospital.answer(await hospital.hear("announcement"))
            ends = await asyncio.gather(*watchers)
            assert len({end.SerializeToString() for end in ends}) == 1
            assert ends[0].state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_vectors_add_modulo_two_to_the_64(federation, tmp_path):
    """Vectors near the ends of the ring wrap around, as in the specification."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            top = (1 << 63) - 1
            for id_ in HOSPITALS:
                (await running.hospital(id_, (top, -top))).answer_all()
            analyst = running.analyst()
            release = await analyst.answer(await analyst.ask())
            assert [int(entry) for entry in release.vector] == [3 * top % (1 << 64), -3 * top % (1 << 64)]

    asyncio.run(scenario())


def test_a_welcome_holds_the_roster_and_the_catalogue(federation, tmp_path):
    """A hospital that connects gets the bytes that hold, whatever it held before."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            await hospital.cut()
            welcome = await hospital.connect()
            assert (welcome.roster, welcome.catalogue) == (federation.signed_roster, federation.catalogue.source)

    asyncio.run(scenario())


def test_what_could_not_be_stored_is_told_to_nobody(federation, tmp_path, monkeypatch):
    """The disk fails when the last answer is in: no release is told of; at the deadline it is stored after all."""
    kept = Store.add_release
    failures = []

    def fail_once(store, *release):
        if not failures:
            failures.append(release)
            raise sqlite3.OperationalError("disk I/O error")
        kept(store, *release)

    monkeypatch.setattr(Store, "add_release", fail_once)

    async def scenario():
        async with coordinator(federation, tmp_path, round_seconds=0.2) as running:
            hospital = await running.hospital("aden")
            analyst = running.analyst()
            status = await analyst.submit(sites=("aden",), minimum=1)
            await hospital.answer(await hospital.hear("announcement"))
            assert (await hospital.hear("closing")).code == "internal"
            assert (await analyst.status(status.id)).state == State.STATE_RUNNING
            release = await analyst.answer(await analyst.end_of(status))
            assert [int(entry) for entry in release.vector] == [1, 2]

    asyncio.run(scenario())


def test_an_announcement_is_stored_before_a_hospital_hears_of_it(federation, tmp_path, monkeypatch):
    """The disk fails at the announcement: the hospital hears nothing, the request waits, and is announced later."""

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            analyst = running.analyst()
            with monkeypatch.context() as patched:
                patched.setattr(Store, "add_round", fail)
                signed = federation.sign(federation.request(sites=("aden",), minimum=1))
                assert await refused(analyst.stub.Submit(signed)) == (grpc.StatusCode.INTERNAL, "internal")
            assert hospital.waiting("announcement") == 0
            assert (await analyst.stub.Submit(signed)).state == State.STATE_WAITING
            await hospital.cut()
            await hospital.connect()
            hospital.answer_all()
            assert (await analyst.end_of(await analyst.stub.Submit(signed))).state == State.STATE_ANSWERED

    asyncio.run(scenario())
