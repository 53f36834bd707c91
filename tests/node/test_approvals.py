"""Approvals of held requests: of exactly what was looked at, revocable, and charged under their number."""

import json
from dataclasses import replace

import pytest

from node.authority import approvals
from node.authority.approvals import Held, binding_of
from node.authority.decisions import APPROVE, DENY, REVOKE, Decisions
from node.authority.policy import load
from node.books.audit import Audit
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import announcement as announcements
from protocols import request as requests
from protocols import upload as uploads
from protocols.wire_pb2 import Note
from tests.node.rig import NOW, POLICY, Rig, announce, catalogue, key_of, plan, request, roster

HOLDING = POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["test"]')
NOTHING_APPROVED = (Note.NOTE_WITHHELD_APPROVAL,)


@pytest.fixture
def rig(tmp_path):
    """A node that holds every question."""
    made = Rig(tmp_path / "home")
    (made.home / "policy.toml").write_text(HOLDING)
    yield made
    made.close()


def held(rig, asked=None, policy=None):
    """Return a held request with what an approval is bound to."""
    asked = asked or request()
    return Held(
        signed=requests.write(asked, key_of("ada")),
        request=asked,
        plan=plan(),
        catalogue=catalogue,
        policy=policy or load(rig.home / "policy.toml").digest,
        hospitals=4,
        now=NOW,
    )


def decide(rig, kind, about=None):
    """Decide on a held request; return the number."""
    about = about or held(rig)
    binding = about.binding if kind == APPROVE else bytes(32)
    with transaction(rig.connection):
        return Decisions(connection=rig.connection).add(
            kind, by="li", at=NOW, subject=about.request.id, binding=binding
        )


def notes(rig, asked=None, slot=1):
    """Have the node answer; return its upload's notes."""
    signed = announce(asked, slot=slot)
    upload = rig.answer(signed)
    return uploads.read(upload, roster=roster, announcement=announcements.tau(signed), entries=4).notes


def test_what_nobody_approved_is_answered_with_zeros_and_charged_nothing(rig):
    """Held and announced all the same: zeros, a note, no look at a record, no charge."""
    assert notes(rig) == NOTHING_APPROVED
    assert (rig.records.reads, Ledger(connection=rig.connection).spent()) == (0, 0)


def test_an_approved_request_is_answered_and_names_its_approval(rig):
    """The records are read; the charge and the audit entry hold the decision's number."""
    number = decide(rig, APPROVE)
    assert notes(rig) == ()
    assert rig.records.reads == 1
    (charge,) = Ledger(connection=rig.connection).charges()
    assert (charge.approval, charge.units > 0) == (number, True)
    (answered,) = [each for each in Audit(connection=rig.connection).entries() if each.kind == "answered"]
    assert json.loads(answered.facts)["approval"] == number


CHANGED = {
    "another plan": {"plan": plan(table="visit")},
    "another price": {"rho_units": 5},
    "another reason": {"reason": "because"},
    "other hospitals": {"sites": ("aden", "brest", "cork")},
    "a lower minimum": {"minimum": 2},
    "a later end": {"expires_at": NOW + 7200},
    "another purpose": {"purpose": "research"},
}


@pytest.mark.parametrize("what", CHANGED)
def test_an_approval_is_void_once_anything_it_rests_on_changed(rig, what):
    """A request of the same id with anything else in it, signed by the same analyst, is not covered: nothing gained."""
    decide(rig, APPROVE)
    changes = dict(CHANGED[what])
    if "plan" in changes:
        from queries.asked.canonical import encode

        changes["plan"] = encode(changes["plan"])
    assert approvals.covering(rig.connection, held(rig)) is not None
    assert approvals.covering(rig.connection, held(rig, replace(request(), **changes))) is None


def test_another_policy_voids_an_approval(rig):
    """A changed policy file, by one byte, holds the request again."""
    decide(rig, APPROVE)
    (rig.home / "policy.toml").write_text(HOLDING + "# \n")
    assert notes(rig) == NOTHING_APPROVED


def test_every_part_of_the_binding_counts():
    """Another signature, another policy or another cost gives another binding."""
    signed = requests.write(request(), key_of("ada"))
    other = type(signed)()
    other.CopyFrom(signed)
    other.signature = bytes(64)
    bindings = {
        binding_of(signed, bytes(32), 1),
        binding_of(other, bytes(32), 1),
        binding_of(signed, b"p" * 32, 1),
        binding_of(signed, bytes(32), 2),
    }
    assert len(bindings) == 4


@pytest.mark.parametrize("kind", [DENY, REVOKE])
def test_a_later_word_takes_an_approval_back(rig, kind):
    """Approved, then denied or revoked: zeros; approved once more: answered."""
    decide(rig, APPROVE)
    decide(rig, kind)
    assert approvals.covering(rig.connection, held(rig)) is None
    assert notes(rig) == NOTHING_APPROVED
    again = request(2)
    decide(rig, kind, held(rig, again))
    decide(rig, APPROVE, held(rig, again))
    assert notes(rig, again, slot=2) == ()


def test_a_denied_request_is_not_answered_although_the_policy_would_allow_it(rig):
    """Denied while it was held; the policy then holds nothing: it stays denied."""
    decide(rig, DENY)
    (rig.home / "policy.toml").write_text(POLICY)
    assert notes(rig) == NOTHING_APPROVED
    assert rig.records.reads == 0


def test_an_approval_answers_one_announcement(rig):
    """A second announcement of the approved request is refused: one approval, one answer, one charge."""
    decide(rig, APPROVE)
    assert notes(rig) == ()
    refused = rig.replier.reply(announce(slot=2), roster)
    assert refused.refusal.code == "replayed"
    assert len(list(Ledger(connection=rig.connection).charges())) == 1


def test_a_word_taken_back_while_records_are_read_answers_nothing(tmp_path):
    """Denied between the look at the policy and the charge: refused, nothing charged, no record's sum leaves."""
    rig = Rig(tmp_path / "home", step=lambda name: name == "checked" and decide(rig, REVOKE))
    (rig.home / "policy.toml").write_text(HOLDING)
    decide(rig, APPROVE)
    refused = rig.replier.reply(announce(), roster)
    assert refused.refusal.code == "denied"
    assert list(Ledger(connection=rig.connection).charges()) == []
    rig.close()
