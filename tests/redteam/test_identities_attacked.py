"""Attacks on who is who: tokens, certificates, rosters, and the connections that rest on them.

Each test first shows that the honest way works.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

import grpc
import pytest

from farr.membership import keys
from farr.registrar.admission import decide, revoke
from farr.registrar.founding import at_work
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.wire_pb2 import Nothing, RequestId, Role, State
from tests.coordinator.federation import HOSPITALS, Federation, coordinator, refused
from tests.farr import parties
from tests.farr.parties import NOW, application, invite
from tests.node import rig as nodes

DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture
def registrar(tmp_path):
    """A registrar whose federation was just founded."""
    parties.found(tmp_path)
    with at_work(tmp_path / "r") as registrar:
        yield registrar


@pytest.fixture(scope="module")
def federation():
    """One set of keys for all tests with a coordinator."""
    return Federation()


def identity_of(registrar, member):
    """Return a member's signing key on the newest roster."""
    return registrar.roster()[1].by_id[member].identity_key


def codes(decision):
    """Return why applications were refused."""
    return [each.code for each in decision.refused]


def test_a_stolen_token_after_its_owner_joined(registrar):
    """Somebody copies a join token from a mail and applies with keys of his own once its owner has joined.

    Gained: a seat in the sum under the hospital's name, with its place in every policy.
    """
    token, owner = invite(registrar), keys.new_identity()
    assert decide(registrar, [application(token, identity=owner)], now=NOW).admitted == ("st-mary",)
    before = registrar.registry.roster()
    assert codes(decide(registrar, [application(token)], now=NOW)) == ["bad-token"]
    assert registrar.registry.roster() == before
    assert identity_of(registrar, "st-mary") == owner.public


def test_a_stolen_token_before_its_owner_joined(registrar):
    """Somebody is quicker than the token's owner.

    Gained: the seat, until its owner comes: he is refused, which tells him and the registrar, whose roster shows the
    thief's key. Revoked, the thief is gone, and his token and certificate with him; a new token lets the owner in.
    """
    token, thief, owner = invite(registrar), keys.new_identity(), keys.new_identity()
    assert decide(registrar, [application(token, identity=thief)], now=NOW).admitted == ("st-mary",)
    assert codes(decide(registrar, [application(token, identity=owner)], now=NOW)) == ["bad-token"]
    assert identity_of(registrar, "st-mary") == thief.public
    revoke(registrar, "st-mary", now=NOW)
    assert codes(decide(registrar, [application(token, identity=thief)], now=NOW)) == ["bad-token"]
    assert decide(registrar, [application(invite(registrar), identity=owner)], now=NOW).admitted == ("st-mary",)
    assert identity_of(registrar, "st-mary") == owner.public


@pytest.mark.parametrize(
    "fields",
    [{"id": "other-hospital"}, {"role": Role.ROLE_ANALYST}, {"federation": "heart"}, {"role": Role.ROLE_REGISTRAR}],
)
def test_a_token_for_something_else(registrar, fields):
    """The owner of a hospital's token applies as another hospital, as an analyst, as the registrar, elsewhere.

    Gained: a second name, or the right to ask.
    """
    token = invite(registrar)
    before = registrar.registry.roster()
    assert len(codes(decide(registrar, [application(token, **fields)], now=NOW))) == 1
    assert registrar.registry.roster() == before
    assert decide(registrar, [application(token)], now=NOW).admitted == ("st-mary",)


def test_a_renewal_with_anothers_certificate(registrar):
    """A member renews as another one: with its own certificate and the other's name, or the other's signing key.

    Gained: the other's place on the roster, and one machine that counts as two hospitals.
    """
    identities = {name: keys.new_identity() for name in ("one", "two")}
    tls = {name: keys.new_tls_key() for name in ("one", "two")}
    for name in ("one", "two"):
        decide(registrar, [application(invite(registrar, name), identity=identities[name], tls_key=tls[name])], now=NOW)
    der = {grant.member: grant.certificate for grant in registrar.registry.unpublished()}
    present = replace(invite(registrar, "three"), member="one", certificate=der["one"])
    before = registrar.registry.roster()
    as_two = application(present, identity=identities["one"], signer=tls["one"], id="two")
    with_twos_key = application(present, identity=identities["two"], signer=tls["one"])
    signed_by_two = application(present, identity=identities["one"], signer=tls["two"])
    assert codes(decide(registrar, [as_two], now=NOW)) == ["bad-token"]
    assert codes(decide(registrar, [with_twos_key], now=NOW, rotate=["one"])) == ["key-in-use"]
    assert codes(decide(registrar, [signed_by_two], now=NOW)) == ["bad-signature"]
    assert registrar.registry.roster() == before
    honest = application(present, identity=identities["one"], signer=tls["one"])
    assert decide(registrar, [honest], now=NOW).renewed == ("one",)


def test_a_stolen_tls_key_makes_no_new_identity(registrar):
    """Somebody took a hospital's TLS key, not its signing key, and renews with a signing key of his own.

    Gained: the hospital's seat for good. A new signing key waits for the registrar's word on that very member.
    """
    identity, tls = keys.new_identity(), keys.new_tls_key()
    decide(registrar, [application(invite(registrar, "one"), identity=identity, tls_key=tls)], now=NOW)
    (der,) = (grant.certificate for grant in registrar.registry.unpublished() if grant.member == "one")
    present = replace(invite(registrar, "three"), member="one", certificate=der)
    taken = application(present, identity=keys.new_identity(), signer=tls)
    for allowed in ((), ("two",)):
        decision = decide(registrar, [taken], now=NOW, rotate=allowed)
        assert (decision.rotating, decision.renewed) == (("one",), ())
        assert identity_of(registrar, "one") == identity.public
    assert decide(registrar, [application(present, identity=identity, signer=tls)], now=NOW).renewed == ("one",)


def test_a_roster_of_the_coordinators_own():
    """The coordinator signs a roster itself, with more hospitals on it, or brings back one that is older.

    Gained: members of its own making, a revoked one, a mandate that was taken back.
    """
    key = nodes.key_of("registrar").public
    good = rosters.write(nodes.roster, nodes.key_of("registrar"))
    assert rosters.read(good, federation=nodes.NAME, registrar_key=key, held=3).version == 3
    cases = {
        "bad-signature": (rosters.write(nodes.roster, nodes.key_of("convener")), 3),
        "stale-roster": (good, 4),
        "wrong-federation": (rosters.write(replace(nodes.roster, federation="other"), nodes.key_of("registrar")), 3),
    }
    for code, (signed, held) in cases.items():
        with pytest.raises(Rejected) as refusal:
            rosters.read(signed, federation=nodes.NAME, registrar_key=key, held=held)
        assert refusal.value.code in {code, "bad-signature"}


def test_one_machine_as_two_hospitals():
    """Somebody has his signing key, or his certificate, entered under two names.

    Gained: two of the honest hospitals that hide a third one are he. No roster with such a pair is taken.
    """
    twin = nodes.member("zeta", Role.ROLE_NODE)
    brest = nodes.roster.by_id["brest"]
    for changes in ({}, {"identity_key": brest.identity_key}, {"certificate_digest": brest.certificate_digest}):
        members = tuple(sorted((*nodes.roster.members, replace(twin, **changes)), key=lambda each: each.id))
        signed = rosters.write(replace(nodes.roster, members=members), nodes.key_of("registrar"))
        read = {"federation": nodes.NAME, "registrar_key": nodes.key_of("registrar").public}
        if not changes:
            assert "zeta" in rosters.read(signed, **read).nodes
            continue
        with pytest.raises(Rejected, match="share a key"):
            rosters.read(signed, **read)


def test_a_second_machine_under_one_certificate(federation, tmp_path):
    """A copied home connects to the coordinator beside the first one.

    Gained: whichever answers first spends a budget that the other does not see. One connection holds, the other is
    told why it ends, and no longer tries.
    """

    async def scene():
        async with coordinator(federation, tmp_path) as running:
            first = await running.hospital("brest")
            second = running.unconnected("brest")
            await second.connect()
            assert (await first.hear("closing")).code == "displaced"

    asyncio.run(scene())


def test_a_revoked_member_goes_on(federation, tmp_path):
    """A hospital and an analyst who were struck off keep their certificates, which have not ended, and go on.

    Gained: a seat, or answers, after trust was withdrawn.
    """

    async def scene():
        async with coordinator(federation, tmp_path) as running:
            hospital, analyst = await running.hospital("cork"), running.analyst("bela")
            assert (await analyst.submit()).state == State.STATE_WAITING
            office = running.membership(federation.parties["office"])
            await office.Publish(federation.publication(without=["cork", "bela"]))
            assert (await hospital.hear("closing")).code == "unknown-member"
            assert await refused(analyst.submit()) == (DENIED, "unknown-member")
            with pytest.raises(grpc.aio.AioRpcError):
                await running.membership(federation.parties["bela"]).Waiting(Nothing())

    asyncio.run(scene())


def test_the_same_question_again_brings_the_same_bytes(federation, tmp_path):
    """Two analysts ask the same question again and again, at the coordinator.

    Gained, were it asked anew each time: the average of many answers. No hospital hears of it; asked afresh it is a
    round of its own, which the hospitals charge (see the attacks by arithmetic).
    """

    async def scene():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            ada, bela = running.analyst("ada"), running.analyst("bela")
            first = await ada.ask()
            release = await ada.stub.Release(RequestId(id=first.release))
            for hospital in hospitals:
                hospital.silence()
            for analyst in (ada, bela, ada, bela):
                again = await analyst.ask()
                assert (again.reused, again.release) == (True, first.id)
                told = await analyst.stub.Release(RequestId(id=again.release))
                assert hashlib.sha256(told.body).digest() == hashlib.sha256(release.body).digest()
            assert all(hospital.waiting("announcement") == 0 for hospital in hospitals)
            await ada.start(fresh=True)
            assert len([await hospital.hear("announcement") for hospital in hospitals]) == len(HOSPITALS)

    asyncio.run(scene())
