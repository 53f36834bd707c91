import asyncio
import stat
import time

import pytest

from coordinator import expiry
from coordinator.errors import AlreadyRunning, CoordinatorError
from coordinator.serve import serve
from protocols.errors import Rejected
from protocols.wire_pb2 import Nothing
from tests.coordinator.federation import coordinator


def test_two_coordinators_cannot_work_on_one_home(federation, tmp_path):
    """The second is refused before it touches anything; when the first has ended, the home is free."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            with pytest.raises(AlreadyRunning):
                await serve(federation.settings(tmp_path))
            await running.analyst().stub.Describe(Nothing())
            assert (tmp_path / "listening").read_text() == running.address
        async with coordinator(federation, tmp_path):
            pass

    asyncio.run(scenario())


def test_nothing_is_written_outside_the_home_and_the_address_file_goes_with_the_process(federation, tmp_path):
    """While it serves, ``listening`` says where; afterwards only the state and the lock file remain."""
    home = tmp_path / "home"

    async def scenario():
        async with coordinator(federation, home) as running:
            host, _, port = running.address.rpartition(":")
            assert host == "127.0.0.1"
            assert int(port) > 0
            assert (home / "listening").read_text() == running.address

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == [home]
    assert {file.name for file in home.iterdir()} == {"coordinator.sqlite", "lock"}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_the_state_is_its_owners_alone(federation, tmp_path):
    """Whatever the folder's own permissions and the umask, others can read neither the state nor its log."""
    tmp_path.chmod(0o755)

    async def scenario():
        async with coordinator(federation, tmp_path):
            state = list(tmp_path.glob("coordinator.sqlite*"))
            assert state
            assert {stat.S_IMODE(file.stat().st_mode) for file in state} == {0o600}

    asyncio.run(scenario())


def test_a_port_that_is_taken_is_an_error_in_words(federation, tmp_path):
    """Another coordinator listens there: this one ends, and shares no port."""

    async def scenario():
        async with coordinator(federation, tmp_path / "one") as running:
            with pytest.raises(CoordinatorError, match="in use"):
                await serve(federation.settings(tmp_path / "two", listen=running.address))

    asyncio.run(scenario())


def test_a_coordinator_that_the_roster_does_not_name_does_not_start(federation, tmp_path):
    """Its signatures would be worth nothing, so it says so at once; so with a catalogue that is not the roster's."""
    _, foreign = federation.issue(
        version=1, convener=federation.parties["convener"].member(identity_key=bytes(31) + b"\1")
    )
    with pytest.raises(Rejected, match="wrong-federation"):
        asyncio.run(serve(federation.settings(tmp_path, roster=foreign)))
    with pytest.raises(Rejected, match="wrong-catalogue"):
        asyncio.run(serve(federation.settings(tmp_path, catalogue=b"other")))


def test_the_newer_of_the_given_and_the_kept_roster_holds(federation, tmp_path):
    """An older roster in the settings does not bring anybody back; a newer one is taken up."""
    _, second = federation.issue(version=2, without=["aden"])
    _, third = federation.issue(version=3, without=["aden", "brest"])

    async def scenario():
        for given, holds in ((second, second), (federation.signed_roster, second), (third, third)):
            async with coordinator(federation, tmp_path, roster=given) as running:
                assert (await running.analyst().stub.Describe(Nothing())).roster == holds

    asyncio.run(scenario())


def test_the_log_says_every_day_that_the_certificate_ends(federation, tmp_path, caplog, monkeypatch):
    """From sixty days before its end on, and when it has ended; not before. A coordinator that serves does so."""
    certificate = federation.parties["convener"].certificate_pem
    now, slept = [time.time() - 59.5 * 86400], []

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds
        if len(slept) == 63:
            raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(expiry.asyncio, "sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(expiry.watch(certificate, lambda: now[0]))
    said = [record.days for record in caplog.records if "farr coordinator renew" in record.msg]
    assert said == list(range(59, -2, -1))
    assert set(slept) == {86400}
    caplog.clear()

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.analyst().stub.Describe(Nothing())

    asyncio.run(scenario())
    assert [record.days for record in caplog.records if "farr coordinator renew" in record.msg] == [1]
