"""Requests that are asked about before their round: where they stand, and what may change that."""

import contextlib
from dataclasses import replace

import pytest

from node.authority import proposals as module
from node.authority.approvals import binding_of
from node.authority.decisions import APPROVE, DENY, PAUSE, RESUME, Decisions
from node.authority.policy import load
from node.books.state import open_state, transaction
from protocols import request as requests
from protocols.errors import Rejected
from protocols.wire_pb2 import Proposal, Role, Stand
from queries.asked.canonical import encode
from tests.node.rig import NOW, POLICY, Rig, key_of, member, plan, request, roster

HOLDING = POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["test"]')


@pytest.fixture
def rig(tmp_path):
    """A node that holds every question of one purpose."""
    made = Rig(tmp_path / "home")
    (made.home / "policy.toml").write_text(HOLDING)
    yield made
    made.close()


def signed(asked=None):
    """Return a request as its analyst signs it."""
    return requests.write(asked or request(), key_of("ada"))


def propose(rig, asked=None):
    """Ask the node about a request; return where it stands."""
    (message,) = rig.replier.proposal(Proposal(request=signed(asked)), roster)
    assert message.verdict.reference == message.verdict.request.hex()
    return message.verdict.stand


def decide_elsewhere(rig, kind, asked=None):
    """Decide as a command beside the node does: over another connection."""
    asked = asked or request()
    digest = load(rig.home / "policy.toml").digest
    binding = binding_of(signed(asked), digest, asked.rho_units) if kind == APPROVE else bytes(32)
    subject = asked.id if kind in (APPROVE, DENY) else b""
    with contextlib.closing(open_state(rig.home)) as connection, transaction(connection):
        Decisions(connection=connection).add(kind, by="li", at=NOW, subject=subject, binding=binding)


def news(rig):
    """Return the stands that the node tells by itself."""
    return [message.verdict.stand for message in rig.replier.stirred(roster) if message.WhichOneof("kind") == "verdict"]


STANDS = {
    "held": (request(), Stand.STAND_HELD),
    "allowed": (request(purpose="research"), Stand.STAND_READY),
    "withheld": (request(purpose="research", plan=encode(plan(table="visit"))), Stand.STAND_DENIED),
    "too dear, whoever approves": (request(rho_units=1 << 49), Stand.STAND_DENIED),
}


@pytest.mark.parametrize("what", STANDS)
def test_a_stand_reads_no_record(rig, what):
    """Ready, held or denied by the policy alone: no record is read and nothing is charged."""
    asked, stand = STANDS[what]
    assert propose(rig, asked) == stand
    assert rig.records.reads == 0
    assert rig.connection.execute("SELECT count(*) FROM charges").fetchone() == (0,)


def test_a_decision_of_another_process_is_seen(rig):
    """Approved, denied and approved again by a command: each changes what the node tells, once."""
    assert propose(rig) == Stand.STAND_HELD
    assert news(rig) == []
    decide_elsewhere(rig, APPROVE)
    assert (news(rig), news(rig)) == ([Stand.STAND_READY], [])
    decide_elsewhere(rig, DENY)
    assert news(rig) == [Stand.STAND_DENIED]
    decide_elsewhere(rig, APPROVE)
    assert news(rig) == [Stand.STAND_READY]


def test_a_pause_is_told_as_a_status_and_changes_no_stand(rig):
    """Paused and resumed by a command: a status goes out each time, so that the request waits and is not lost."""
    propose(rig)
    assert news(rig) == []
    for kind in (PAUSE, RESUME):
        decide_elsewhere(rig, kind)
        assert [message.WhichOneof("kind") for message in rig.replier.stirred(roster)] == ["status"]


def test_a_request_that_is_over_waits_no_more_until_it_is_asked_about_again(rig):
    """Over, says the coordinator: it leaves the list; asked about again it is back, with what was decided on it."""
    propose(rig)
    decide_elsewhere(rig, APPROVE)
    over = Proposal(ended=request().id)
    assert rig.replier.proposal(over, roster) == rig.replier.proposal(over, roster) == []
    assert list(module.waiting(rig.connection)) == []
    assert propose(rig) == Stand.STAND_READY
    assert list(module.waiting(rig.connection)) == [signed()]


def test_only_what_was_asked_about_can_be_over(rig):
    """Ends of unknown requests, however many, take no room; and what is over makes room for others."""
    for number in range(3):
        assert rig.replier.proposal(Proposal(ended=bytes([number]) * 16), roster) == []
    assert rig.replier.proposal(Proposal(ended=b"short"), roster) == []
    assert rig.connection.execute("SELECT count(*) FROM ended").fetchone() == (0,)


def test_what_is_over_makes_room(rig, monkeypatch):
    """With no room left, requests that are over are the first to be forgotten."""
    monkeypatch.setattr(module, "MOST_KEPT", 1)
    propose(rig)
    assert rig.replier.proposal(Proposal(request=signed(request(2))), roster) == []
    rig.replier.proposal(Proposal(ended=request().id), roster)
    assert propose(rig, request(2)) == Stand.STAND_HELD
    assert rig.connection.execute("SELECT count(*) FROM ended").fetchone() == (0,)


def test_a_changed_policy_is_seen_and_voids_an_approval(rig):
    """Approved and told so; one byte of the policy changes: held again, and told so."""
    propose(rig)
    news(rig)
    decide_elsewhere(rig, APPROVE)
    assert news(rig) == [Stand.STAND_READY]
    (rig.home / "policy.toml").write_text(HOLDING + "#\n")
    assert news(rig) == [Stand.STAND_HELD]
    (rig.home / "policy.toml").unlink()
    assert news(rig) == [Stand.STAND_DENIED]


def test_what_is_not_good_in_itself_is_not_kept(rig):
    """Signed by another key, past its time, not asked of this hospital, or a second one of its id: no word, no row."""
    bad = [
        requests.write(request(), key_of("mallory")),
        signed(request(created_at=NOW - 7200, expires_at=NOW - 3600)),
        signed(request(sites=("aden", "cork", "dover"))),
    ]
    for each in bad:
        assert rig.replier.proposal(Proposal(request=each), roster) == []
    assert rig.connection.execute("SELECT count(*) FROM proposals").fetchone() == (0,)
    assert propose(rig) == Stand.STAND_HELD
    assert rig.replier.proposal(Proposal(request=signed(request(reason="other"))), roster) == []


def test_a_flood_of_requests_is_bounded(rig, monkeypatch):
    """Beyond the most that are kept, more are turned away; those past their time make room."""
    monkeypatch.setattr(module, "MOST_KEPT", 6)
    for number in range(1, 4):
        assert propose(rig, request(number)) == Stand.STAND_HELD
    assert rig.replier.proposal(Proposal(request=signed(request(4))), roster) == []
    rig.now += 4000
    later = request(5, created_at=NOW + 4000, expires_at=NOW + 5000)
    assert propose(rig, later) == Stand.STAND_HELD


@pytest.mark.parametrize(("limit", "most"), [("MOST_KEPT", 6), ("MOST_KEPT_BYTES", 6 * signed().ByteSize())])
def test_one_analysts_requests_leave_room_for_anothers(rig, monkeypatch, limit, most):
    """Whoever asks without end fills half of the list: what others ask is still laid before the operator."""
    monkeypatch.setattr(module, limit, most)
    bob = member("bob", Role.ROLE_ANALYST)
    wider = replace(roster, members=tuple(sorted((*roster.members, bob), key=lambda each: each.id)))
    for number in range(1, 9):
        rig.replier.proposal(Proposal(request=signed(request(number))), wider)
    asked = requests.write(request(99, analyst="bob"), key_of("bob"))
    (message,) = rig.replier.proposal(Proposal(request=asked), wider)
    assert message.verdict.stand == Stand.STAND_HELD
    assert [each.signer for each in module.waiting(rig.connection)].count("ada") == 3


def test_only_a_request_that_was_asked_about_is_judged_by_its_own_bytes(rig):
    """The stand is of the bytes that were kept: a request read back is the one that was signed."""
    propose(rig)
    (kept,) = module.waiting(rig.connection)
    assert kept == signed()
    with pytest.raises(Rejected):
        module.judged(rig.replier.proposals.bench, kept, replace(roster, members=roster.members[1:]), NOW)
