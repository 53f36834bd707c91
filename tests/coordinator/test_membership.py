import asyncio
import hashlib

import grpc
import pytest

from protocols.wire_pb2 import AdmittedMember, Nothing, Publication, RequestId, Role, State
from protocols.wire_pb2_grpc import NodesStub
from tests.coordinator.federation import CATALOGUE, HOSPITALS, coordinator, refused, state_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED


def test_a_newcomer_applies_waits_and_is_admitted(federation, tmp_path):
    """The registrar gets the application unchanged; once published, the newcomer gets its certificate and connects."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            token = federation.authority.party("applicant", Role.ROLE_UNSPECIFIED)
            newcomer = federation.authority.party("dover", Role.ROLE_NODE)
            application = federation.application(token)
            line = running.membership(token)
            assert not (await line.Apply(application)).admitted
            assert not (await line.Apply(application)).admitted
            registrar = running.membership(federation.parties["office"])
            assert list((await registrar.Waiting(Nothing())).waiting) == [application]
            await running.crash()
            await running.start()
            registrar = running.membership(federation.parties["office"])
            admitted = AdmittedMember(token=token.digest, certificate=newcomer.certificate_pem)
            publication = federation.publication(admitted=[admitted], also=[newcomer.member()], sent=b"")
            await registrar.Publish(publication)
            assert not (await registrar.Waiting(Nothing())).waiting
            admission = await running.membership(token).Apply(application)
            assert (admission.admitted, admission.certificate) == (True, newcomer.certificate_pem)
            assert (admission.roster, admission.catalogue) == (publication.roster, CATALOGUE)
            federation.parties["dover"] = newcomer
            try:
                welcome = await (await running.hospital("dover")).connect()
            finally:
                del federation.parties["dover"]
            assert welcome.roster == publication.roster

    asyncio.run(scenario())


def test_a_refused_newcomer_is_told_the_code(federation, tmp_path):
    """The registrar says no: the applicant learns which code, and its application waits no longer."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            token = federation.authority.party("applicant", Role.ROLE_UNSPECIFIED)
            application = federation.application(token)
            await running.membership(token).Apply(application)
            said = AdmittedMember(token=token.digest, refused="bad-token")
            await running.membership(federation.parties["office"]).Publish(federation.publication(admitted=[said]))
            admission = await running.membership(token).Apply(application)
            assert (admission.admitted, admission.refused) == (False, "bad-token")

    asyncio.run(scenario())


def test_an_application_is_bound_to_its_token(federation, tmp_path):
    """A second one with other keys, one of another token, one that was changed: refused, the first one stays."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            token, other = (federation.authority.party("applicant", Role.ROLE_UNSPECIFIED) for _ in range(2))
            line = running.membership(token)
            await line.Apply(federation.application(token))
            before = state_of(tmp_path)
            assert await refused(line.Apply(federation.application(token))) == (DENIED, "bad-token")
            assert await refused(line.Apply(federation.application(other))) == (DENIED, "bad-signature")
            changed = federation.application(token)
            changed.body += b"\x0a\x01x"
            assert await refused(line.Apply(changed)) == (DENIED, "bad-signature")
            stolen = federation.application(token, claim=other)
            assert await refused(line.Apply(stolen)) == (DENIED, "bad-token")
            elsewhere = federation.application(token, name="elsewhere")
            assert await refused(line.Apply(elsewhere)) == (INVALID, "wrong-federation")
            huge = federation.application(token)
            huge.body += bytes(1 << 15)
            assert await refused(line.Apply(huge)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "oversized")
            assert state_of(tmp_path) == before

    asyncio.run(scenario())


def test_only_so_many_applications_wait(federation, tmp_path, monkeypatch):
    """Whoever holds many tokens cannot fill the coordinator's disk."""
    monkeypatch.setattr("coordinator.membership.MOST_APPLICATIONS", 1)

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            tokens = [federation.authority.party("applicant", Role.ROLE_UNSPECIFIED) for _ in range(2)]
            await running.membership(tokens[0]).Apply(federation.application(tokens[0]))
            call = running.membership(tokens[1]).Apply(federation.application(tokens[1]))
            assert await refused(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")

    asyncio.run(scenario())


def forged(federation):
    """Return a newer roster that somebody else signed."""
    publication = federation.publication()
    publication.roster.signature = bytes(64)
    return publication


def of_another_coordinator(federation):
    """Return a roster in which another key convenes."""
    return federation.publication(convener=federation.parties["convener"].member(identity_key=bytes(31) + b"\1"))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(forged, (DENIED, "bad-signature"), id="forged"),
        pytest.param(
            lambda federation: federation.publication(version=1, without=["cork"]), (INVALID, "stale-roster"), id="same"
        ),
        pytest.param(
            lambda federation: federation.publication(catalogue=CATALOGUE + b"#"),
            (INVALID, "wrong-catalogue"),
            id="other bytes",
        ),
        pytest.param(
            lambda federation: federation.publication(catalogue=b"name = 1", sent=b"name = 1"),
            (INVALID, "wrong-catalogue"),
            id="not a catalogue",
        ),
        pytest.param(of_another_coordinator, (INVALID, "wrong-federation"), id="another coordinator"),
        pytest.param(
            lambda federation: federation.publication(admitted=[AdmittedMember(token=b"short")]),
            (INVALID, "malformed"),
            id="short token",
        ),
        pytest.param(lambda _: Publication(), (INVALID, "malformed"), id="empty"),
    ],
)
def test_a_roster_that_is_not_the_registrars_next_is_refused(federation, tmp_path, make, expected):
    """Nothing is stored, nothing is sent, the old roster holds."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            before = state_of(tmp_path)
            registrar = running.membership(federation.parties["office"])
            assert await refused(registrar.Publish(make(federation))) == expected
            assert state_of(tmp_path) == before
            await running.analyst().stub.Describe(Nothing())
            assert hospital.waiting("roster") == 0

    asyncio.run(scenario())


def test_a_revoked_node_is_cut_off_when_the_roster_is_published(federation, tmp_path):
    """Its stream is closed and it cannot come back; the others get the new roster; it holds after a restart."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            aden, brest = [await running.hospital(id_) for id_ in HOSPITALS[:2]]
            publication = federation.publication(without=["aden", "bela"])
            registrar = running.membership(federation.parties["office"])
            revoked = running.analyst("bela")
            await registrar.Publish(publication)
            await registrar.Publish(publication)
            assert (await aden.hear("closing")).code == "unknown-member"
            assert await aden.ended() is None
            assert await brest.hear("roster") == publication.roster
            assert await refused(revoked.stub.Requests(Nothing())) == (DENIED, "unknown-member")
            analyst = running.analyst()
            described = await analyst.stub.Describe(Nothing())
            assert [(node.site, node.connected) for node in described.nodes] == [
                ("brest", True), *((id_, False) for id_ in HOSPITALS[2:]),
            ]  # fmt: skip
            await running.crash()
            await running.start()
            assert (await running.analyst().stub.Describe(Nothing())).roster == publication.roster
            call = NodesStub(running.channel(aden.party)).Link()
            assert await refused(call.read()) == (DENIED, "unknown-member")

    asyncio.run(scenario())


def test_a_waiting_request_of_a_revoked_analyst_is_not_asked(federation, tmp_path):
    """It fails as soon as the roster is published, and no hospital hears of it; other analysts' requests go on."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            kept, dropped = await ada.submit(), await bela.submit(rho_units=9)
            watcher = bela.stub.Watch(RequestId(id=dropped.id))
            await watcher.read()
            await running.membership(federation.parties["office"]).Publish(federation.publication(without=["bela"]))
            assert await refused(watcher.read()) == (DENIED, "unknown-member")
            hospitals = await running.hospitals()
            announced = [await hospital.hear("announcement") for hospital in hospitals]
            for hospital, signed in zip(hospitals, announced, strict=True):
                await hospital.answer(signed)
            assert (await ada.end_of(kept)).state == State.STATE_ANSWERED
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)

    asyncio.run(scenario())


def test_a_new_catalogue_ends_what_was_asked_of_the_old_one(federation, tmp_path):
    """Waiting requests fail with the reason; hospitals connect again and are welcomed with the new catalogue."""
    newer = CATALOGUE + b"# agreed anew\n"

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospital = await running.hospital("aden")
            analyst = running.analyst()
            status = await analyst.submit()
            publication = federation.publication(catalogue=newer, sent=newer)
            await running.membership(federation.parties["office"]).Publish(publication)
            end = await analyst.end_of(status)
            assert (end.state, end.code) == (State.STATE_FAILED, "wrong-catalogue")
            assert await hospital.hear("roster") == publication.roster
            assert await hospital.ended() is None
            assert (await hospital.connect()).catalogue == newer
            described = await analyst.stub.Describe(Nothing())
            assert hashlib.sha256(described.catalogue).digest() == hashlib.sha256(newer).digest()

    asyncio.run(scenario())


def test_a_round_goes_on_under_the_roster_that_it_was_announced_for(federation, tmp_path):
    """A newcomer is published in mid-round: hospitals that heard the announcement before that still count."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            announced = [await hospital.hear("announcement") for hospital in hospitals]
            newcomer = federation.authority.party("dover", Role.ROLE_NODE).member()
            publication = federation.publication(also=[newcomer])
            await running.membership(federation.parties["office"]).Publish(publication)
            for hospital, signed in zip(hospitals, announced, strict=True):
                await hospital.answer(signed)
            assert (await analyst.answer(await analyst.end_of(status))).contributors == HOSPITALS

    asyncio.run(scenario())
