import asyncio
import multiprocessing
import os
import signal
import time

from protocols import announcement
from protocols.wire_pb2 import RequestId, State
from tests.coordinator.federation import HOSPITALS, Running, coordinator, serve_alone


async def reconnect(running, hospitals):
    """Let hospitals that lost their coordinator dial the new one."""
    for hospital in hospitals:
        await hospital.cut()
        hospital.running = running
        await hospital.connect()


def test_a_restart_in_a_round_announces_the_same_bytes_and_finishes(federation, tmp_path):
    """The coordinator dies after one answer came in; the new one asks all again with the very same announcement."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = [await running.hospital(id_) for id_ in HOSPITALS]
            analyst = running.analyst()
            status = await analyst.submit()
            first = [await hospital.hear("announcement") for hospital in hospitals]
            await hospitals[0].answer(first[0])
            await analyst.until(status, lambda now: now.answered == 1)
            await running.crash()
            await running.start()
            analyst = running.analyst()
            seen = await analyst.status(status.id)
            assert (seen.state, seen.answered, seen.connected) == (State.STATE_RUNNING, 0, 0)
            await reconnect(running, hospitals)
            again = [await hospital.hear("announcement") for hospital in hospitals]
            assert {each.SerializeToString() for each in again} == {first[0].SerializeToString()}
            for hospital, announced in zip(hospitals, again, strict=True):
                await hospital.answer(announced)
            release = await analyst.answer(await analyst.end_of(status))
            assert [int(entry) for entry in release.vector] == [3, 6]
            assert release.announcement == first[0]

    asyncio.run(scenario())


def test_a_restart_after_the_deadline_fails_the_round_with_too_few(federation, tmp_path):
    """Nobody can answer any more, so it is FAILED, and its slot is not used again."""

    async def scenario():
        now = time.time()
        async with coordinator(federation, tmp_path, clock=lambda: now) as running:
            hospital = await running.hospital("aden")
            status = await running.analyst().submit(sites=("aden",), minimum=1)
            slot = _slot(federation, await hospital.hear("announcement"))
            await running.crash()
            now += 60
            await running.start()
            analyst = running.analyst()
            end = await analyst.end_of(status)
            assert (end.state, end.code) == (State.STATE_FAILED, "too-few")
            await reconnect(running, [hospital])
            assert hospital.waiting("announcement") == 0
            await analyst.submit(sites=("aden",), minimum=1)
            assert _slot(federation, await hospital.hear("announcement")) > slot

    asyncio.run(scenario())


def _slot(federation, signed):
    return announcement.read(signed, roster=federation.roster, now=int(time.time()) + 60).slot


def test_a_waiting_request_outlives_a_restart(federation, tmp_path):
    """Submitted with nobody connected; the coordinator restarts; hospitals connect: answered."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            status = await running.analyst().submit()
            await running.crash()
            await running.start()
            await running.hospitals()
            assert (await running.analyst().end_of(status)).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_a_restart_after_the_release_serves_the_same_bytes(federation, tmp_path):
    """What was released stays released: the same bytes, no hospital asked, the same question reused."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
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


def test_a_killed_process_finishes_its_round_when_started_again(federation, tmp_path):
    """Killed with -9 in a round: the next process on the home announces the same bytes, and ends well on SIGTERM."""
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
        until = time.monotonic() + 20
        while not (tmp_path / "listening").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        return process, (tmp_path / "listening").read_text()

    async def first(address):
        running = Running(federation, settings)
        running.address = address
        hospital = await running.hospital("aden")
        status = await running.analyst().submit(sites=("aden",), minimum=1)
        announced = await hospital.hear("announcement")
        await running.stop()
        return status, announced

    async def second(address, status, announced):
        running = Running(federation, settings)
        running.address = address
        hospital = await running.hospital("aden")
        assert await hospital.hear("announcement") == announced
        await hospital.answer(announced)
        assert (await running.analyst().end_of(status)).state == State.STATE_ANSWERED
        await running.stop()

    process, address = launch()
    status, announced = asyncio.run(first(address))
    process.kill()
    process.join(10)
    (tmp_path / "listening").unlink()
    process, address = launch()
    asyncio.run(second(address, status, announced))
    os.kill(process.pid, signal.SIGTERM)
    process.join(10)
    assert process.exitcode == 0
    assert not (tmp_path / "listening").exists()
