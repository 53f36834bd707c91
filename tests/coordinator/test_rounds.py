import asyncio
import sqlite3
import time

import grpc
import numpy as np
import pytest

from coordinator.store import Store
from protocols import announcement, ring
from protocols.farrsum.parameters import Trust
from protocols.wire_pb2 import Note, Nothing, RequestId, State
from tests.coordinator.federation import HOSPITALS, NEEDED, coordinator, refused


def test_a_question_is_answered_with_the_sum_of_what_the_hospitals_said(federation, tmp_path):
    """Five hospitals' vectors, hidden by masks, come back as their sum, signed, with those who answered."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            analyst = running.analyst()
            status = await analyst.ask()
            release = await analyst.answer(status)
            assert np.array_equal(ring.centred(release.vector), [11111, 111110000])
            assert release.contributors == HOSPITALS
            assert release.masks == "farrsum"
            assert (status.asked, status.answered, status.needed) == (5, 5, NEEDED)
            assert {each.state for each in status.sites} == {"answered"}
            for hospital in hospitals:
                told = await hospital.hear("release")
                assert told == await analyst.stub.Release(RequestId(id=status.release))

    asyncio.run(scenario())


@pytest.mark.parametrize(("trust", "colluders", "honest"), [(Trust.THIRD, 1, 3), (Trust.NONE, 0, 4)])
def test_an_announcement_is_one_that_hospitals_accept(federation, tmp_path, trust, colluders, honest):
    """It verifies against the roster, states m, c and h as each hospital computes them, and takes a slot of its own."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            slots = []
            for _ in range(3):
                status = await running.analyst().start(fresh=True, trust=trust)
                signed = await hospitals[0].hear("announcement")
                read = announcement.read(signed, roster=federation.roster, now=status.created_at)
                assert (read.epoch, read.contributors, read.roster) == (1, HOSPITALS, 1)
                assert (read.minimum, read.colluders, read.honest) == (NEEDED, colluders, honest)
                slots.append(read.slot)
            assert slots == [1, 2, 3]

    asyncio.run(scenario())


def test_hospitals_that_are_not_asked_add_zeros(federation, tmp_path):
    """One hospital is asked: all five are in the round and in the sum, and only the one's figures are."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.answering()
            analyst = running.analyst()
            status = await analyst.ask(sites=("brest",), minimum=1)
            release = await analyst.answer(status)
            assert np.array_equal(ring.centred(release.vector), [10, 100000])
            assert release.contributors == HOSPITALS
            assert (status.asked, status.answered, [each.site for each in status.sites]) == (1, 1, ["brest"])

    asyncio.run(scenario())


def test_too_few_answers_by_the_deadline_fail_with_counts_that_say_so(federation, tmp_path):
    """Two of five stay silent and four are needed: failed, "3 of 5 answered, 4 needed", and who did not."""

    async def scenario():
        async with coordinator(federation, tmp_path, round_seconds=0.5) as running:
            hospitals = await running.hospitals()
            for hospital in hospitals[:3]:
                hospital.answer_all()
            status = await running.analyst().ask()
            assert (status.state, status.code) == (State.STATE_FAILED, "too-few")
            assert (status.answered, status.asked, status.needed) == (3, 5, 4)
            assert [each.state for each in status.sites] == ["answered"] * 3 + ["asked"] * 2
            assert not status.release
            # Nobody was asked to help with a sum that will not be.
            assert hospitals[0].waiting("confirm") == hospitals[0].waiting("unmask") == 0

    asyncio.run(scenario())


def test_a_straggler_does_not_hold_the_others_up(federation, tmp_path):
    """One of five stays silent: the round ends soon after the fourth answer; what it says later changes nothing."""

    async def scenario():
        async with coordinator(federation, tmp_path, straggler_seconds=0.3) as running:
            hospitals = await running.hospitals()
            for hospital in hospitals[:4]:
                hospital.answer_all()
            analyst = running.analyst()
            begun = time.monotonic()
            status = await analyst.ask()
            assert 0.3 <= time.monotonic() - begun < 5
            release = await analyst.answer(status)
            assert release.contributors == HOSPITALS[:4]
            assert np.array_equal(ring.centred(release.vector), [1111, 11110000])
            await hospitals[4].answer(await hospitals[4].hear("announcement"))
            hospitals[4].answer_all()
            release = await analyst.answer(await analyst.ask(fresh=True))
            assert np.array_equal(ring.centred(release.vector), [11111, 111110000])

    asyncio.run(scenario())


def test_a_hospital_that_vanishes_after_its_upload_is_in_the_sum(federation, tmp_path):
    """It uploads and is gone before the others confirm: four witnesses and keepers are enough."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = [await hospital.hear("announcement") for hospital in hospitals]
            await hospitals[4].answer(announced[4])
            await analyst.until(status, lambda now: now.answered == 1)
            await hospitals[4].cut()
            for hospital, signed in zip(hospitals[:4], announced, strict=False):
                await hospital.answer(signed)
            release = await analyst.answer(await analyst.end_of(status))
            assert release.contributors == HOSPITALS
            assert np.array_equal(ring.centred(release.vector), [11111, 111110000])

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["confirm", "unmask"])
def test_a_sum_that_too_few_help_to_open_fails(federation, tmp_path, kind):
    """Two hospitals upload and then fall silent: the round fails in its own time, and the next one is answered."""

    async def scenario():
        async with coordinator(federation, tmp_path, phase_seconds=0.4) as running:
            hospitals = await running.answering()
            for hospital in hospitals[:2]:
                hospital.mute = {kind}
            analyst = running.analyst()
            status = await analyst.ask()
            assert (status.state, status.code, status.answered) == (State.STATE_FAILED, "too-few", 5)
            hospitals[0].mute = set()
            assert (await analyst.ask(fresh=True)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_a_wrong_key_share_releases_nothing(federation, tmp_path):
    """One committee member's shares are garbage: failed as "bad-sum", never a wrong figure."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            hospitals[0].spoil_shares = True
            analyst = running.analyst()
            codes = {(await analyst.ask(fresh=True)).code for _ in range(8)}
            # The first four of five that answer are used, so not every round has its shares.
            assert codes <= {"", "bad-sum"}
            assert "bad-sum" in codes

    asyncio.run(scenario())


def test_a_refusal_shows_its_code_and_reference_and_ends_a_hopeless_round_at_once(federation, tmp_path):
    """With all five needed, one refusal decides; the analyst sees the code, and an invented one is not passed on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            for code, shown in (("bad-plan", "bad-plan"), ("patient 17 is dead", "unavailable")):
                status = await analyst.start(minimum=5)
                announced = [await hospital.hear("announcement") for hospital in hospitals]
                await hospitals[0].refuse(announced[0], code, reference="ab" * 16)
                status = await analyst.end_of(status)
                assert (status.state, status.code) == (State.STATE_FAILED, "too-few")
                assert (status.sites[0].state, status.sites[0].reference) == (shown, "ab" * 16)

    asyncio.run(scenario())


def test_the_round_ends_when_all_have_answered_or_refused(federation, tmp_path):
    """Four answers and a refusal, four needed: released at once, without waiting for a straggler."""

    async def scenario():
        async with coordinator(federation, tmp_path, straggler_seconds=30) as running:
            hospitals = await running.hospitals()
            for hospital in hospitals[:4]:
                hospital.answer_all()
            analyst = running.analyst()
            status = await analyst.start()
            await hospitals[4].refuse(await hospitals[4].hear("announcement"), "bad-plan")
            status = await analyst.end_of(status)
            assert (await analyst.answer(status)).contributors == HOSPITALS[:4]
            assert status.sites[4].state == "bad-plan"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (Note.NOTE_WITHHELD_POLICY, "policy"),
        (Note.NOTE_WITHHELD_BUDGET, "budget"),
        (Note.NOTE_TABLE_ABSENT, "unknown-table"),
    ],
)
def test_hospitals_that_keep_their_records_back_hide_the_others_but_do_not_count(federation, tmp_path, note, code):
    """They are in the sum with zeros; the analyst sees who and why; below the request's minimum there is no sum."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            for minimum, state in ((4, State.STATE_ANSWERED), (5, State.STATE_FAILED)):
                status = await analyst.start(minimum=minimum, fresh=True)
                announced = [await hospital.hear("announcement") for hospital in hospitals]
                await hospitals[0].answer(announced[0], vector=(0, 0), notes=(note,))
                if state == State.STATE_ANSWERED:
                    for hospital, signed in zip(hospitals[1:], announced[1:], strict=True):
                        await hospital.answer(signed)
                status = await analyst.end_of(status)
                assert (status.state, status.sites[0].state) == (state, code)
                if state == State.STATE_ANSWERED:
                    release = await analyst.answer(status)
                    assert (release.contributors, release.notes) == (HOSPITALS, {"aden": (note,)})
                    assert status.answered == 4
                else:
                    assert status.code == "too-few"

    asyncio.run(scenario())


def test_a_hospital_that_was_cut_off_in_a_round_gets_the_same_announcement_again(federation, tmp_path):
    """The stream is lost after the announcement; back again the hospital hears the very same bytes and counts."""

    async def scenario():
        async with coordinator(federation, tmp_path, straggler_seconds=10) as running:
            hospitals = await running.hospitals()
            for hospital in hospitals[1:]:
                hospital.answer_all()
            analyst = running.analyst()
            status = await analyst.start()
            first = await hospitals[0].hear("announcement")
            await hospitals[0].cut()
            seen = await analyst.until(status, lambda now: now.sites[0].state == "offline" and now.answered == 4)
            assert (seen.state, seen.connected) == (State.STATE_RUNNING, 4)
            await hospitals[0].connect()
            again = await hospitals[0].hear("announcement")
            assert again.SerializeToString() == first.SerializeToString()
            await hospitals[0].answer(again)
            release = await analyst.answer(await analyst.end_of(status))
            assert np.array_equal(ring.centred(release.vector), [11111, 111110000])

    asyncio.run(scenario())


def test_a_hospital_that_was_cut_off_is_asked_again_what_the_round_waits_for(federation, tmp_path):
    """Two lose their stream while they are to confirm: back again they hear the same question, and the sum opens."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            for hospital in hospitals[:2]:
                hospital.mute = {"confirm"}
            analyst = running.analyst()
            status = await analyst.start()
            asked = [await hospital.hear("confirm") for hospital in hospitals[:2]]
            for hospital, question in zip(hospitals, asked, strict=False):
                await hospital.cut()
                await hospital.connect()
                assert await hospital.hear("confirm") == question
                assert hospital.waiting("announcement") == 0
            await hospitals[0].on_confirm(asked[0])
            assert (await analyst.end_of(status)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_progress_reaches_many_watchers_and_each_is_told_the_end(federation, tmp_path):
    """Forty watchers of one request, one of which went away: every other one hears the same final status."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
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
            for hospital in await running.answering():
                hospital.vector = np.array([top, -top])
            analyst = running.analyst()
            release = await analyst.answer(await analyst.ask())
            assert [int(entry) for entry in release.vector] == [5 * top % (1 << 64), -5 * top % (1 << 64)]

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
    """The disk fails when the sum is there: nobody is told of a release; a moment later it is stored, and they are."""
    kept = Store.add_release
    failed = asyncio.Event()

    def fail_once(store, *release):
        if not failed.is_set():
            failed.set()
            raise sqlite3.OperationalError("disk I/O error")
        kept(store, *release)

    monkeypatch.setattr(Store, "add_release", fail_once)

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            analyst = running.analyst()
            status = await analyst.start()
            await asyncio.wait_for(failed.wait(), 10)
            assert (await analyst.status(status.id)).state == State.STATE_RUNNING
            assert not (await analyst.stub.ReleaseList(Nothing())).releases
            assert hospitals[0].waiting("release") == 0
            release = await analyst.answer(await analyst.end_of(status))
            assert [int(entry) for entry in release.vector] == [11111, 111110000]

    asyncio.run(scenario())


def test_an_announcement_is_stored_before_a_hospital_hears_of_it(federation, tmp_path, monkeypatch):
    """The disk fails at the announcement: no hospital hears anything, the request waits, and is announced later."""

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            with monkeypatch.context() as patched:
                patched.setattr(Store, "add_round", fail)
                signed = federation.sign(federation.request())
                assert await refused(analyst.stub.Submit(signed)) == (grpc.StatusCode.INTERNAL, "internal")
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)
            assert (await analyst.stub.Submit(signed)).state == State.STATE_WAITING
            await hospitals[0].cut()
            await hospitals[0].connect()
            for hospital in hospitals:
                hospital.answer_all()
            assert (await analyst.end_of(await analyst.stub.Submit(signed))).state == State.STATE_ANSWERED

    asyncio.run(scenario())
