import asyncio
import multiprocessing
import os
import signal
import time

from protocols.wire_pb2 import RequestId, State
from tests.coordinator.federation import Running, coordinator, serve_alone


async def reconnect(running, hospitals):
    """Let hospitals that lost their coordinator dial the new one."""
    for hospital in hospitals:
        await hospital.cut()
        hospital.running = running
    await asyncio.gather(*(hospital.connect() for hospital in hospitals))


def test_a_restart_in_a_round_fails_it_as_interrupted(federation, tmp_path):
    """It dies with answers in its memory: failed, not asked again; a new epoch, with a higher number, goes on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = [await hospital.hear("announcement") for hospital in hospitals]
            await hospitals[0].answer(announced[0])
            await analyst.until(status, lambda now: now.answered == 1)
            await running.crash()
            await running.start()
            analyst = running.analyst()
            end = await analyst.end_of(status)
            assert (end.state, end.code) == (State.STATE_FAILED, "interrupted")
            await reconnect(running, hospitals)
            assert {await hospital.seated(above=1) for hospital in hospitals} == {2}
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)
            for hospital in hospitals:
                hospital.answer_all()
            release = await analyst.answer(await analyst.ask())
            assert [int(entry) for entry in release.vector] == [11111, 111110000]

    asyncio.run(scenario())


def test_a_restart_while_the_sum_is_opened_fails_it_too(federation, tmp_path):
    """It dies between confirm and unmask: failed as interrupted, nothing is released."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            for hospital in hospitals:
                hospital.mute = {"unmask"}
            status = await running.analyst().start()
            for hospital in hospitals:
                await hospital.hear("unmask")
            await running.crash()
            await running.start()
            end = await running.analyst().end_of(status)
            assert (end.state, end.code, end.release) == (State.STATE_FAILED, "interrupted", b"")

    asyncio.run(scenario())


def test_a_waiting_request_outlives_a_restart(federation, tmp_path):
    """Submitted with nobody connected; the coordinator restarts; hospitals connect: answered."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            status = await running.analyst().submit()
            await running.crash()
            await running.start()
            await running.answering()
            assert (await running.analyst().end_of(status)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_a_restart_after_the_release_serves_the_same_bytes(federation, tmp_path):
    """What was released stays released: the same bytes, no hospital asked, the same question reused."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            analyst = running.analyst()
            status = await analyst.ask()
            released = await analyst.stub.Release(RequestId(id=status.release))
            await running.crash()
            await running.start()
            analyst = running.analyst()
            assert await analyst.stub.Release(RequestId(id=status.release)) == released
            assert await analyst.status(status.id) == status
            await reconnect(running, hospitals)
            assert (await analyst.ask()).reused
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_a_killed_process_says_what_became_of_its_round_when_started_again(federation, tmp_path):
    """Killed with -9 in a round: the next process on the home calls it interrupted, and ends well on SIGTERM."""
    spawn = multiprocessing.get_context("spawn")
    settings = federation.settings(tmp_path)
    parts = {
        "certificate": settings.credentials.certificate,
        "tls_key": settings.credentials.tls_key,
        "ca_certificate": settings.credentials.ca_certificate,
        "registrar_key": settings.credentials.registrar_key,
        "roster": settings.roster.SerializeToString(),
    }

    def launch():
        process = spawn.Process(target=serve_alone, args=(str(tmp_path), parts))
        process.start()
        until = time.monotonic() + 60
        while not (tmp_path / "listening").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        return process, (tmp_path / "listening").read_text()

    async def first(address):
        running = Running(federation, settings)
        running.address = address
        await running.hospitals()
        status = await running.analyst().start()
        await running.stop()
        return status

    async def second(address, status):
        running = Running(federation, settings)
        running.address = address
        end = await running.analyst().end_of(status)
        assert (end.state, end.code) == (State.STATE_FAILED, "interrupted")
        await running.answering()
        assert (await running.analyst().ask()).state == State.STATE_ANSWERED
        await running.stop()

    process, address = launch()
    status = asyncio.run(first(address))
    process.kill()
    process.join(10)
    (tmp_path / "listening").unlink()
    process, address = launch()
    asyncio.run(second(address, status))
    os.kill(process.pid, signal.SIGTERM)
    process.join(10)
    assert process.exitcode == 0
    assert not (tmp_path / "listening").exists()
