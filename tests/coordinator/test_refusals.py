import asyncio
import time
from dataclasses import replace

import grpc
import pytest

from coordinator.store import Store
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.wire_pb2 import NodeMessage, NodeStatus, Nothing, RequestId, RosterVersion
from protocols.wire_pb2_grpc import AnalystsStub, MembershipStub, NodesStub
from queries.asked.canonical import encode
from queries.asked.plan import Aggregate, Bound, CodeKey
from tests.coordinator.federation import HOSPITALS, coordinator, refused, state_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def now():
    """Return the second that it is."""
    return int(time.time())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda _: {"federation": "elsewhere"}, (DENIED, "bad-signature"), id="another federation"),
        pytest.param(
            lambda _: {"created_at": now() - 1000, "expires_at": now() - 400}, (INVALID, "expired"), id="long expired"
        ),
        pytest.param(
            lambda _: {"created_at": now() - 100, "expires_at": now() - 1}, (INVALID, "expired"), id="just expired"
        ),
        pytest.param(
            lambda _: {"created_at": now() + 900, "expires_at": now() + 1000}, (INVALID, "clock-skew"), id="future"
        ),
        pytest.param(lambda _: {"expires_at": now() + (1 << 30)}, (INVALID, "malformed"), id="never expires"),
        pytest.param(lambda _: {"id": b"short"}, (INVALID, "malformed"), id="short id"),
        pytest.param(lambda _: {"sites": (), "minimum": 0}, (INVALID, "malformed"), id="no hospitals"),
        pytest.param(lambda _: {"sites": ("cork", "aden"), "minimum": 1}, (INVALID, "malformed"), id="unsorted"),
        pytest.param(lambda _: {"minimum": 6}, (INVALID, "malformed"), id="minimum too high"),
        pytest.param(lambda _: {"rho_units": 0}, (INVALID, "malformed"), id="costs nothing"),
        pytest.param(lambda _: {"sites": ("aden", "oz"), "minimum": 1}, (INVALID, "out-of-scope"), id="unknown site"),
        pytest.param(lambda _: {"sites": ("ada",), "minimum": 1}, (INVALID, "out-of-scope"), id="not a hospital"),
        pytest.param(lambda _: {"plan": b"{}"}, (INVALID, "bad-plan"), id="not a plan"),
        pytest.param(
            lambda federation: {"plan": encode(federation.plan(catalogue=bytes(32)))},
            (INVALID, "wrong-catalogue"),
            id="another catalogue",
        ),
        pytest.param(
            lambda federation: {"plan": encode(federation.plan(table="secrets"))}, (INVALID, "bad-plan"), id="no table"
        ),
        pytest.param(
            lambda federation: {"plan": encode(federation.plan(bound=Bound(rows=99, groups=1)))},
            (INVALID, "bad-plan"),
            id="above the cap",
        ),
        pytest.param(
            lambda federation: {"plan": encode(federation.plan(keys=(CodeKey(column="name"),)))},
            (INVALID, "bad-plan"),
            id="no column",
        ),
        pytest.param(
            lambda federation: {"plan": encode(federation.plan(aggregates=(Aggregate(statistic="rows"),)))},
            (INVALID, "bad-plan"),
            id="no statistic",
        ),
        pytest.param(lambda _: {"plan": bytes((1 << 20) + 1)}, (EXHAUSTED, "oversized"), id="long plan"),
        pytest.param(lambda _: {"statement": "x" * 70000}, (EXHAUSTED, "oversized"), id="long statement"),
    ],
)
def test_a_request_that_no_hospital_would_answer_is_refused_and_not_kept(federation, tmp_path, change, expected):
    """The analyst gets a status and a code; nothing is stored and no hospital hears of it."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            before = state_of(tmp_path)
            assert await refused(running.analyst().submit(**change(federation))) == expected
            assert state_of(tmp_path) == before
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_a_forged_or_altered_request_is_refused(federation, tmp_path):
    """Signed with another key, altered after signing, another kind's signature, or another analyst's request."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            before = state_of(tmp_path)
            request = federation.request("ada")
            forged = federation.sign(request, federation.parties["bela"].identity)
            altered = federation.sign(request)
            altered.body += b"\x60\x01"
            renamed = federation.sign(request)
            renamed.kind = "release"
            assert await refused(ada.stub.Submit(forged)) == (DENIED, "bad-signature")
            assert await refused(ada.stub.Submit(altered)) == (DENIED, "bad-signature")
            assert await refused(ada.stub.Submit(renamed)) == (INVALID, "malformed")
            assert await refused(bela.stub.Submit(federation.sign(request))) == (DENIED, "bad-signature")
            assert state_of(tmp_path) == before

    asyncio.run(scenario())


def test_a_request_id_serves_one_request(federation, tmp_path):
    """The same bytes again return the status; other bytes under the id are refused and change nothing."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            request = federation.request("ada")
            first = await ada.stub.Submit(federation.sign(request))
            before = state_of(tmp_path)
            assert await ada.stub.Submit(federation.sign(request)) == first
            other = federation.sign(replace(request, rho_units=request.rho_units + 1))
            assert await refused(ada.stub.Submit(other)) == (INVALID, "replayed")
            taken = federation.sign(replace(request, analyst="bela"))
            assert await refused(bela.stub.Submit(taken)) == (INVALID, "replayed")
            assert state_of(tmp_path) == before

    asyncio.run(scenario())


ALL = (
    "Describe", "Submit", "Watch", "Requests", "Cancel", "Release", "ReleaseList", "Roster", "Waiting",
    "Publish", "Link",
)  # fmt: skip


async def denied(running, party, names):
    """Try some of the calls as a party; return the codes."""
    channel = running.channel(party)
    federation = running.federation
    messages = {
        "Submit": federation.sign(federation.request()),
        "Publish": federation.publication(),
        "Roster": RosterVersion(version=1),
        **dict.fromkeys(("Watch", "Cancel", "Release"), RequestId(id=bytes(16))),
    }
    codes = {}
    for name in names:
        stub = next(each for each in (AnalystsStub, MembershipStub, NodesStub) if hasattr(each(channel), name))(channel)
        call = getattr(stub, name)() if name == "Link" else getattr(stub, name)(messages.get(name, Nothing()))
        codes[name] = await refused(call.read() if name in ("Link", "Watch") else call)
    return codes


def test_a_certificate_that_is_not_on_the_roster_opens_nothing(federation, tmp_path):
    """The CA issued it, but the roster does not name it: every call is refused as of an unknown member."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            before = state_of(tmp_path)
            codes = await denied(running, federation.stranger, ALL)
            assert codes == dict.fromkeys(ALL, (DENIED, "unknown-member"))
            assert state_of(tmp_path) == before

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("id_", "own"),
    [
        ("aden", {"Link"}),
        ("ada", {"Describe", "Submit", "Watch", "Requests", "Cancel", "Release", "ReleaseList", "Roster"}),
        ("office", {"Waiting", "Publish"}),
    ],
)
def test_a_member_can_do_what_its_role_may_and_nothing_else(federation, tmp_path, id_, own):
    """A hospital asks no questions, an analyst holds no link, only the registrar publishes."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            others = set(ALL) - own
            codes = await denied(running, federation.parties[id_], others)
            assert codes == dict.fromkeys(others, (DENIED, "wrong-role"))

    asyncio.run(scenario())


def test_a_member_whose_time_is_over_is_refused(federation, tmp_path):
    """The roster says until when a certificate counts; after that every call is refused, and a link is closed."""

    async def scenario():
        clock = time.time()
        async with coordinator(federation, tmp_path, clock=lambda: clock) as running:
            hospital = await running.hospital("aden")
            clock += 2 * 86400
            assert await refused(running.analyst().stub.Describe(Nothing())) == (DENIED, "expired-certificate")
            await hospital.beat()
            assert (await hospital.hear("closing")).code == "expired-certificate"

    asyncio.run(scenario())


def test_a_message_beyond_the_limit_is_refused_by_the_server(federation, tmp_path):
    """Seventeen mebibytes: the call fails, the coordinator goes on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst = running.analyst()
            signed = federation.sign(federation.request())
            signed.body += bytes(17 << 20)
            assert (await refused(analyst.stub.Submit(signed)))[0] == EXHAUSTED
            await analyst.stub.Describe(Nothing())

    asyncio.run(scenario())


def test_no_certificate_no_connection(federation, tmp_path):
    """Without a certificate of the CA the handshake fails, before any of Farr's code runs."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            tls = grpc.ssl_channel_credentials(federation.authority.pem)
            options = [("grpc.ssl_target_name_override", "coordinator.farr")]
            async with grpc.aio.secure_channel(running.address, tls, options=options) as channel:
                status, code = await refused(AnalystsStub(channel).Describe(Nothing(), timeout=5))
            assert (status, code) == (grpc.StatusCode.UNAVAILABLE, "")

    asyncio.run(scenario())


def test_a_defect_of_the_coordinator_shows_nothing_but_its_code(federation, tmp_path, monkeypatch):
    """An unexpected exception, and a refusal with a detail: neither text reaches the caller."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst = running.analyst()
            for error, code in ((OSError("disk at secret-path"), "internal"), (Rejected("busy", "secret"), "busy")):

                def fail(*_, error=error):
                    raise error

                monkeypatch.setattr(Store, "releases", fail)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await analyst.stub.ReleaseList(Nothing())
                assert caught.value.details() == code
                assert "secret" not in str(caught.value)

    asyncio.run(scenario())


def test_an_earlier_roster_is_handed_out_and_no_other(federation, tmp_path):
    """By it an analyst verifies a release of its time; a version that never was is not found."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            publication = federation.publication()
            await running.membership(federation.parties["office"]).Publish(publication)
            analyst = running.analyst()
            assert await analyst.stub.Roster(RosterVersion(version=1)) == federation.signed_roster
            assert await analyst.stub.Roster(RosterVersion(version=2)) == publication.roster
            for version in (0, 3, (1 << 64) - 1):
                found = await refused(analyst.stub.Roster(RosterVersion(version=version)))
                assert found == (grpc.StatusCode.NOT_FOUND, "unknown-roster")

    asyncio.run(scenario())


def test_describe_says_who_is_there(federation, tmp_path):
    """The roster and catalogue that hold, and for each hospital whether it is connected and its public status."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("brest")
            analyst = running.analyst()
            seen = await analyst.stub.Describe(Nothing())
            assert (seen.roster, seen.catalogue) == (federation.signed_roster, federation.catalogue.source)
            assert [(node.site, node.connected) for node in seen.nodes] == [(id_, id_ == "brest") for id_ in HOSPITALS]
            assert (seen.nodes[1].status.lifetime_units, seen.nodes[1].status.remaining_units) == (7, 5)
            await hospital.cut()
            await asyncio.sleep(0.05)
            seen = await analyst.stub.Describe(Nothing())
            assert not seen.nodes[1].connected
            assert seen.nodes[1].last_seen >= federation.roster.issued_at
            assert rosters.digest_of(seen.roster) == rosters.digest_of(federation.signed_roster)

    asyncio.run(scenario())


def test_a_status_swollen_by_unknown_fields_ends_the_link(federation, tmp_path):
    """Fields that no version knows are kept by the parser: they never reach the description that analysts get."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            (hospital, *_) = await running.hospitals()
            swollen = NodeStatus.FromString((b"\xba\x3e\x80\x80\x01" + bytes(1 << 14)) * 3)
            await hospital.say(NodeMessage(status=swollen))
            assert (await hospital.hear("closing")).code == "oversized"
            assert (await running.analyst().stub.Describe(Nothing())).ByteSize() < 1 << 15

    asyncio.run(scenario())
