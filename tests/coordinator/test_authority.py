"""Mandates at the coordinator's door: who may ask what, and who may read what was released."""

import asyncio
import copy

import grpc
import pytest

from protocols.wire_pb2 import Nothing, RequestId, State
from queries.agreed.catalogue_file import read_catalogue
from tests.coordinator.federation import CATALOGUE, coordinator, mandate, refused, state_of

DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.NOT_FOUND
PLACED = CATALOGUE.replace(b"[tables.stay]", b'[site.country]\ncodes = ["FR", "UK"]\n[tables.stay]', 1)
COUNTRIES = {"aden": "FR", "brest": "FR", "cork": "UK", "delft": "UK", "essen": "UK"}
FRENCH = {"sites": ("aden", "brest"), "minimum": 2}
BRITISH = {"sites": ("cork", "delft", "essen"), "minimum": 2}


def placed(federation, **mandates):
    """Return the federation with hospitals in two countries, and with other mandates of some analysts."""
    changed = copy.copy(federation)
    changed.catalogue = read_catalogue(PLACED, "catalogue.toml")
    members = {id_: federation.parties[id_].member(attributes={"country": code}) for id_, code in COUNTRIES.items()}
    members |= {id_: federation.parties[id_].member(mandate=held) for id_, held in mandates.items()}
    changed.roster, changed.signed_roster = federation.issue(version=1, catalogue=PLACED, **members)
    return changed


@pytest.mark.parametrize(
    ("held", "asked", "code"),
    [
        (None, {}, "no-mandate"),
        (mandate(purposes=()), {}, "no-mandate"),
        (mandate(authority="auditor", purposes=()), {}, "no-mandate"),
        (mandate(expires_at=1), {}, "expired-mandate"),
        (mandate(), {"purpose": "research"}, "wrong-purpose"),
        (mandate(tables=("visit",)), {}, "wrong-table"),
        (mandate(regions=("UK",)), {}, "out-of-region"),
        (mandate(regions=("UK",)), FRENCH, "out-of-region"),
        (mandate(regions=("UK",)), {**BRITISH, "by_residence": True}, "out-of-region"),
        (mandate(regions=("UK", "XX")), BRITISH, "out-of-region"),
    ],
)
def test_a_request_beyond_its_mandate_is_refused_and_not_kept(federation, tmp_path, held, asked, code):
    """The analyst gets a code; nothing is stored, and no hospital hears of it."""

    async def scenario():
        of = placed(federation, ada=held)
        async with coordinator(of, tmp_path, catalogue=PLACED) as running:
            before = state_of(tmp_path)
            assert await refused(running.analyst("ada").submit(**asked)) == (DENIED, code)
            assert state_of(tmp_path) == before

    asyncio.run(scenario())


def test_a_release_is_read_within_the_readers_mandate_only(federation, tmp_path):
    """The asker, an auditor and whoever has no bounds read it; an analyst of another region does not know it exists."""

    async def scenario():
        for held, may in (
            (mandate(), True),
            (mandate(regions=("UK",)), True),
            (mandate(regions=("FR", "UK")), True),
            (mandate(tables=("stay",)), True),
            (mandate(authority="auditor", purposes=()), True),
            (mandate(purposes=()), True),
            (mandate(regions=("FR",)), False),
            (mandate(regions=("XX",)), False),
            (mandate(tables=("visit",)), False),
            (mandate(authority="auditor", purposes=(), regions=("FR",)), False),
            (mandate(expires_at=1), False),
            (None, False),
        ):
            home = tmp_path / str(len(list(tmp_path.iterdir())))
            home.mkdir()
            of = placed(federation, bela=held)
            async with coordinator(of, home, catalogue=PLACED) as running:
                await running.answering()
                ada, bela = running.analyst("ada"), running.analyst("bela")
                status = await ada.ask(**BRITISH)
                assert status.state == State.STATE_ANSWERED
                own = await ada.stub.Release(RequestId(id=status.release))
                listed = list((await bela.stub.ReleaseList(Nothing())).releases)
                if may:
                    assert listed == [own], held
                    assert await bela.stub.Release(RequestId(id=status.release)) == own
                else:
                    assert listed == [], held
                    refusal = await refused(bela.stub.Release(RequestId(id=status.release)))
                    assert refusal == await refused(bela.stub.Release(RequestId(id=bytes(16))))
                    assert refusal[1] == "unknown-request"

    asyncio.run(scenario())


def test_an_analyst_keeps_reading_its_own_releases(federation, tmp_path):
    """Also when its mandate was narrowed since: what was told once is told."""

    async def scenario():
        of = placed(federation)
        async with coordinator(of, tmp_path, catalogue=PLACED) as running:
            await running.answering()
            ada = running.analyst("ada")
            status = await ada.ask(**BRITISH)
            narrower = {id_: of.roster.by_id[id_] for id_ in COUNTRIES}
            narrower["ada"] = federation.parties["ada"].member(mandate=mandate(regions=("FR",)))
            await running.membership(federation.parties["office"]).Publish(
                federation.publication(sent=PLACED, catalogue=PLACED, **narrower)
            )
            assert await ada.stub.Release(RequestId(id=status.release))
            assert len((await ada.stub.ReleaseList(Nothing())).releases) == 1
            assert await refused(ada.submit(**BRITISH)) == (DENIED, "out-of-region")

    asyncio.run(scenario())


def test_a_waiting_request_ends_when_its_mandate_is_narrowed(federation, tmp_path):
    """It is judged by the newest roster, not by the one that it was handed in under."""

    async def scenario():
        of = placed(federation)
        async with coordinator(of, tmp_path, catalogue=PLACED) as running:
            ada = running.analyst("ada")
            status = await ada.submit(**BRITISH)
            members = {id_: of.roster.by_id[id_] for id_ in COUNTRIES}
            members["ada"] = federation.parties["ada"].member(mandate=mandate(purposes=("statistics",)))
            await running.membership(federation.parties["office"]).Publish(
                federation.publication(sent=PLACED, catalogue=PLACED, **members)
            )
            ended = await ada.end_of(status)
            assert (ended.state, ended.code) == (State.STATE_FAILED, "wrong-purpose")

    asyncio.run(scenario())


def test_an_answer_is_reused_within_the_askers_scope_only(federation, tmp_path):
    """Whoever may ask a question gets its released answer for nothing; whoever may not gets neither."""

    async def scenario():
        of = placed(federation, bela=mandate(regions=("UK",), purposes=("statistics",)))
        async with coordinator(of, tmp_path, catalogue=PLACED) as running:
            await running.answering()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            british, whole = await ada.ask(**BRITISH), await ada.ask()
            again = await bela.submit(**BRITISH, purpose="statistics")
            assert (again.reused, again.release) == (True, british.id)
            assert await refused(bela.submit(purpose="statistics")) == (DENIED, "out-of-region")
            assert (await refused(bela.stub.Release(RequestId(id=whole.release))))[1] == "unknown-request"

    asyncio.run(scenario())
