"""Large messages and updates over wires that break: real hospital services, a real coordinator, a real client."""

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager

import numpy as np
import pytest

from farr import blobs
from farr.channel import Line
from node import pauses
from protocols import release as releases
from protocols import ring
from protocols.credentials import Credentials
from protocols.wire_pb2 import RequestId, Role, State
from queries.asked.app_time import settling
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, ONE, Aggregate, AppStep, Bound
from tests.coordinator import federation as parties
from tests.coordinator.federation import HOSPITALS, NAME, Federation
from tests.journeys import hospitals
from tests.journeys.cutting import wire
from tests.journeys.hospitals import POLICY, PRICE, town
from tests.queries.whole import whole

APP = hashlib.sha256(b"an app").digest()
MB = 1_000_000

TRAINING = f"""
[training]
models = "none"
networks = "none"
apps = ["{APP.hex()}"]
unsandboxed_apps = false
unsandboxed_reason = ""
most_app_minutes = 30
most_app_megabytes = 2048
"""


@pytest.fixture(scope="module")
def federation():
    """One set of keys and certificates for all tests."""
    return Federation()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Give large things the time that they take on a busy machine."""
    monkeypatch.setattr(hospitals, "POLICY", POLICY + TRAINING)
    monkeypatch.setattr(parties, "SOON", 120.0)
    monkeypatch.setattr(hospitals, "SOON", 60.0)
    monkeypatch.setattr(pauses, "SHORTEST", 0.05)


def round_of(federation, message, entries):
    """Return the plan of a round of the app that was sent a message and gives so many numbers."""
    step = AppStep(
        app=APP,
        message=hashlib.sha256(message).digest(),
        size=len(message),
        kind="train",
        columns=("died", "sex"),
        entries=entries,
        clip=ONE,
        seconds=60,
    )
    return whole(
        federation.catalogue.digest,
        table="stay",
        where=EVERYTHING,
        keys=(),
        aggregates=(Aggregate(statistic="app", step=step),),
        bound=Bound(rows=1, groups=1),
    )


def line_of(federation, address):
    """Return the line of an analyst who dials an address."""
    party = federation.parties["ada"]
    return Line(
        Credentials(
            federation=NAME,
            member="ada",
            role=Role.ROLE_ANALYST,
            address=address,
            ca_certificate=federation.authority.pem,
            certificate=party.certificate_pem,
            tls_key=party.key_pem,
            identity=party.identity,
            registrar_key=federation.authority.registrar.public,
        )
    )


class Far:
    """A town whose hospital essen, and whose analyst, are at the end of wires that break."""

    def __init__(self, place, essen, analyst, line, message):
        """Take the parts."""
        self.place, self.essen, self.analyst, self.line, self.message = place, essen, analyst, line, message
        self.got = {}

    async def open(self):
        """Start all hospitals; each fetches what the request names when it reads its records."""
        await self.place.open(HOSPITALS[:4])
        essen = self.place.services["essen"] = hospitals.Service(self.place, "essen", entry=10_000)
        essen.address = self.essen.address
        essen.start()
        await self.place.gathered(HOSPITALS)
        for service in self.place.services.values():
            scan = service._scan

            def fetching(tally, attributes, tables, service=service, scan=scan):
                digest = hashlib.sha256(self.message).digest()
                self.got[service.site] = service.blobs.fetch(digest, len(self.message), 60.0)
                return scan(tally, attributes, tables)

            object.__setattr__(service.link._replier.answerer, "scan", fetching)


@asynccontextmanager
async def far(folder, federation, message, *, after, cuts):
    """Set the scene."""
    async with (
        town(folder, federation) as place,
        wire(place.address, after=after, cuts=cuts) as essen,
        wire(place.address, after=after, cuts=cuts) as analyst,
    ):
        line = line_of(federation, analyst.address)
        try:
            scene = Far(place, essen, analyst, line, message)
            await scene.open()
            yield scene
        finally:
            await asyncio.to_thread(line.close)


async def trained(scene, federation, entries):
    """Send the message, ask, and fetch the sum; return the final status, the sum and what the blob's name was."""
    assert await asyncio.to_thread(blobs.send, scene.line, scene.message) == hashlib.sha256(scene.message).digest()
    plan = encode(round_of(federation, scene.message, entries))
    status = await scene.place.ask(plan=plan, minimum=5)
    assert status.state == State.STATE_ANSWERED, status
    signed = await asyncio.to_thread(scene.line.release, status.release)
    vector = await asyncio.to_thread(scene.line.vector, signed)
    key = federation.parties["convener"].identity.public
    return releases.read(signed, federation=NAME, coordinator_key=key, vector=vector), len(vector)


def test_a_round_of_an_app_survives_wires_that_break(federation, tmp_path):
    """Message down, update up and sum back are cut several times; the sum is exact and all five hospitals are in it."""
    entries, message = 500_000, os.urandom(5 * MB)

    async def scenario():
        async with far(tmp_path, federation, message, after=3 * MB, cuts=4) as scene:
            release, _ = await trained(scene, federation, entries)
            assert scene.got == dict.fromkeys(HOSPITALS, message)
            assert release.contributors == HOSPITALS
            grid = scene.place.grid(release)
            assert np.array_equal(ring.centred(release.vector), np.full(entries, 11_111 * grid))
            assert max(scene.essen.cuts, scene.analyst.cuts) < 4
            for service in scene.place.services.values():
                assert list((service.home / "vectors").iterdir()) == []
            spent = {service.spent for service in scene.place.services.values()}
            assert len(spent) == 1
            assert 0 < spent.pop() <= PRICE

    asyncio.run(scenario())


def test_a_hospital_that_starts_again_sends_the_rest_of_the_same_vector(federation, tmp_path):
    """Killed in mid-transfer, the hospital comes back, sends what is missing of the very same bytes, at one charge."""
    entries, message = 1_000_000, os.urandom(MB)

    async def scenario():
        async with far(tmp_path, federation, message, after=1 << 40, cuts=0) as scene:
            essen = scene.place.services["essen"]
            await asyncio.to_thread(blobs.send, scene.line, scene.message)
            analyst = scene.place.analyst()
            plan = encode(round_of(federation, message, entries))
            before = scene.essen.sent
            status = await analyst.submit(plan=plan, minimum=4, rho_units=PRICE, fresh=True)
            async with asyncio.timeout(60):
                while scene.essen.sent - before < 3 * MB:  # noqa: ASYNC110 - bytes on a wire
                    await asyncio.sleep(0.002)
            await essen.restart()
            ended = await analyst.end_of(status)
            release = await scene.place.answer(ended)
            assert release.contributors == HOSPITALS
            assert np.all(ring.centred(release.vector) == 11_111 * scene.place.grid(release))
            assert scene.essen.sent - before < 1.5 * 8 * entries
            assert essen.reads == 1

    asyncio.run(scenario())


@pytest.mark.slow
def test_an_update_of_fifty_megabytes_is_not_sent_twice(federation, tmp_path):
    """Cut four times on its way, an update of 50 MB costs less than 1.2 times its bytes, and so do message and sum."""
    entries, message = 6_250_000, os.urandom(50 * MB)

    async def scenario():
        async with far(tmp_path, federation, message, after=11 * MB, cuts=8) as scene:
            release, size = await trained(scene, federation, entries)
            assert size == 8 * entries == 50 * MB
            assert release.contributors == HOSPITALS
            assert np.all(ring.centred(release.vector) == 11_111 * scene.place.grid(release))
            for name in ("essen", "analyst"):
                found = getattr(scene, name)
                assert found.cuts == 0
                assert 50 * MB <= found.sent < 1.2 * 50 * MB
                assert 50 * MB <= found.received < 1.2 * 50 * MB

    asyncio.run(scenario())


def test_a_round_of_an_app_stays_open_for_as_long_as_it_may_take(federation, tmp_path):
    """Its deadline allows for the app's time and for its bytes on a slow line; another question's does not change."""

    async def scenario():
        async with town(tmp_path, federation, round_seconds=20) as place:
            await place.open()
            message = bytes(1000)
            await asyncio.to_thread(blobs.send, line_of(federation, place.address), message)
            long = await place.answer(await place.ask(plan=encode(round_of(federation, message, 1 << 20))))
            short = await place.answer(await place.ask())
            lasted = [each.released_at - place.announced(each).deadline for each in (long, short)]
            assert 80 <= -lasted[0] <= 20 + 60 + 9 + settling(1 << 20) + 2
            assert -lasted[1] <= 21

    asyncio.run(scenario())


def test_a_request_whose_message_was_not_sent_is_refused_at_once(federation, tmp_path):
    """No hospital is asked, or charged, for what it could not fetch."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            analyst = place.analyst()
            submitted = analyst.submit(plan=encode(round_of(federation, b"never sent", 10)), rho_units=PRICE)
            assert (await parties.refused(submitted))[1] == "unknown-blob"
            with pytest.raises(Exception, match="unknown"):
                await analyst.stub.Release(RequestId(id=bytes(16)))

    asyncio.run(scenario())
