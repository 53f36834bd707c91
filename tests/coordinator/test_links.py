import asyncio

import grpc
import pytest

from coordinator.links import MOST_QUEUED, Links, Stream
from protocols import PROTOCOL_VERSION
from protocols.wire_pb2 import (
    CoordinatorMessage,
    LoadedThrough,
    NodeMessage,
    NodeStatus,
    Nothing,
    Refusal,
    Signed,
    State,
)
from protocols.wire_pb2_grpc import NodesStub
from tests.coordinator.federation import HOSPITALS, coordinator, refused


def loaded(*days):
    """Return the status of a hospital that offers the table t, with days to which tables are complete."""
    said = [LoadedThrough(table=table, day=day) for table, day in days]
    return NodeMessage(status=NodeStatus(tables=["t"], loaded=said))


def test_the_newest_connection_of_a_hospital_displaces_the_older(federation, tmp_path):
    """The older stream is told "displaced" and ended; questions go to the newer one, and its end is the hospital's."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            others = await running.answering(HOSPITALS[1:])
            older = await running.hospital("aden")
            newer = await running.hospital("aden")
            assert (await older.hear("closing")).code == "displaced"
            assert await older.ended() is None
            newer.answer_all()
            await others[0].seated(above=1)
            analyst = running.analyst()
            assert (await analyst.ask(minimum=5)).state == State.STATE_ANSWERED
            assert older.waiting("announcement") == 0
            assert (await analyst.stub.Describe(Nothing())).nodes[0].connected

    asyncio.run(scenario())


def test_another_protocol_version_is_refused_in_words(federation, tmp_path):
    """Closing names the code and both versions; the hospital does not count as connected."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            await hospital.cut()
            for theirs, who in ((99, "the coordinator has to be updated"), (0, "this node has to be updated")):
                await hospital.connect(protocol=theirs)
                welcome = await hospital.hear("welcome")
                assert (welcome.protocol, welcome.catalogue) == (PROTOCOL_VERSION, b"")
                closing = await hospital.hear("closing")
                assert closing.code == "protocol-version"
                assert f"protocol {PROTOCOL_VERSION}, this node {theirs}: {who}" in closing.message
            assert await hospital.ended() is None
            assert not (await running.analyst().stub.Describe(Nothing())).nodes[0].connected

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(NodeMessage(status=NodeStatus()), id="a status"),
        pytest.param(NodeMessage(), id="nothing"),
    ],
)
def test_a_stream_begins_with_a_hello(federation, tmp_path, message):
    """Any other first message ends it."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            call = NodesStub(running.channel(federation.parties["aden"])).Link()
            await call.write(message)
            assert await refused(call.read()) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param(NodeMessage(), "malformed", id="nothing"),
        pytest.param(NodeMessage(upload=Signed(signer="aden", body=b"\xff")), "malformed", id="not an upload"),
        pytest.param(NodeMessage(refusal=Refusal(reference="r" * 65)), "oversized", id="long reference"),
        pytest.param(NodeMessage(status=NodeStatus(tables=["t"] * 2000)), "oversized", id="many tables"),
        pytest.param(NodeMessage(status=NodeStatus(tables=["t" * 300])), "oversized", id="long table name"),
        pytest.param(loaded(("t", "31.10.2026")), "malformed", id="not a day"),
        pytest.param(loaded(("u", "2026-10-31")), "malformed", id="day of a table that is not offered"),
        pytest.param(loaded(("t", "2026-10-31"), ("t", "2026-10-30")), "malformed", id="two days of a table"),
    ],
)
def test_a_wrong_message_closes_the_stream_with_its_code(federation, tmp_path, message, code):
    """The hospital hears why, and may connect again."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            await hospital.call.write(message)
            assert (await hospital.hear("closing")).code == code
            await hospital.connect()

    asyncio.run(scenario())


def test_a_heartbeat_updates_what_analysts_see(federation, tmp_path):
    """The remaining budget of a hospital is the one that it named last."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            await hospital.beat()
            await asyncio.sleep(0.05)
            assert (await running.analyst().stub.Describe(Nothing())).nodes[0].status.remaining_units == 4

    asyncio.run(scenario())


def test_a_hospital_that_does_not_keep_up_is_cut_off_with_a_bounded_queue():
    """Beyond the bound nothing more is queued: what waits is dropped, the reason is sent, the stream ends."""

    class Sink:
        def __init__(self):
            self.sent = []

        async def write(self, message):
            self.sent.append(message)

    async def scenario():
        stream, sink = Stream("aden", b""), Sink()
        for _ in range(MOST_QUEUED + 5):
            stream.send(CoordinatorMessage(roster=Signed()))
        await stream.drain(sink)
        assert [message.closing.code for message in sink.sent] == ["busy"]

    asyncio.run(scenario())


def test_a_hospital_that_is_silent_for_too_long_is_not_live():
    """It is connected, but two heartbeats are missing: no round counts on it, until it speaks again."""
    steady = 1000.0
    links = Links(lambda: 0.0, lambda: steady)
    links.attach(Stream("aden", b""))
    links.heard("aden", NodeStatus())
    assert links.live == {"aden"}
    steady += 26
    assert (links.live, links.connected) == (set(), {"aden"})
    links.heard("aden")
    assert links.live == {"aden"}


def test_a_hospital_is_expected_back_for_a_short_while():
    """Right after it left, and right after the coordinator started, but not later."""
    clock = 1000.0
    links = Links(lambda: clock)
    assert links.returning(["aden"])
    clock += 3600
    assert not links.returning(["aden"])
    links.heard("aden", NodeStatus())
    assert links.returning(["brest", "aden"])
    assert not links.returning(["brest"])
    clock += 3600
    assert not links.returning(["aden"])
