"""What an operator sees of a held request, and what their word is about."""

from dataclasses import replace

import pytest

from farr.errors import FarrError
from farr.hospital import approving
from farr.hospital.office import Office
from farr.questions.states import RequestState, age, in_words
from node.authority import approvals
from node.authority.decisions import Decisions
from protocols import request as requests
from protocols.wire_pb2 import Proposal
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, Between, Members
from tests.node.rig import NOW, POLICY, Rig, announce, key_of, plan, request, roster

HOLDING = POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["test"]')
OLD = Between(column="age", low=80, high=None)
YOUNG = Between(column="age", low=None, high=17)
WOMEN = Members(column="sex", codes=("F",))


@pytest.fixture
def rig(tmp_path):
    """A node that holds every question of one purpose."""
    made = Rig(tmp_path / "home")
    (made.home / "policy.toml").write_text(HOLDING)
    yield made
    made.close()


@pytest.fixture
def office(rig):
    """The office of the same node."""
    return Office(home=rig.home, held=None, bench=rig.replier.proposals.bench, roster=roster, clock=lambda: float(NOW))


def hear(rig, asked=None):
    """Have the node hear of a request; return its id."""
    asked = asked or request()
    rig.replier.proposal(Proposal(request=requests.write(asked, key_of("ada"))), roster)
    return asked.id.hex()


def test_an_approval_is_of_what_was_shown(rig, office):
    """A policy that changes between the look and the word: the word is for the one that was looked at, so void."""
    shown = approving.find(office, hear(rig))
    (rig.home / "policy.toml").write_text(HOLDING + "#\n")
    approving.approve(office, shown, "li")
    now = approving.find(office, shown.id)
    assert (now.stand, now.word.kind) == (approving.HELD, "approve")
    (rig.home / "policy.toml").write_text(HOLDING)
    assert approving.find(office, shown.id).stand == approving.READY


def test_all_that_matters_is_shown(rig, office):
    """Who, on whose authority, why, at what cost, what is left before and after, by which rule, among how many."""
    asked = request(reason="yearly report")
    plain = approving.closely(office, approving.find(office, hear(rig, asked))).to_plain()
    seen = {name: plain[name] for name in ("analyst", "authority", "purpose", "reason", "stand", "rule", "minimum")}
    assert seen == {
        "analyst": "ada", "authority": "nation", "purpose": "test", "reason": "yearly report", "stand": "held",
        "rule": "approval_purposes", "minimum": 3,
    }  # fmt: skip
    assert (plain["tables"], plain["columns"], plain["groupings"]) == (["stay"], ["stay.sex"], ["sex"])
    assert (plain["hospitals"], plain["counted"]) == (4, 4)
    assert all(0 < each["before"] - each["after"] <= request().rho_units for each in plain["left"])


def test_the_words_follow_each_other(rig, office):
    """Approved, taken back, denied: the last counts; taking back twice, or what nobody decided, is refused."""
    identifier = hear(rig)
    with pytest.raises(FarrError, match="nobody decided"):
        approving.revoke(office, approving.find(office, identifier), "li")
    approving.approve(office, approving.find(office, identifier[:4]), "li")
    assert approving.find(office, identifier).stand == approving.READY
    approving.revoke(office, approving.find(office, identifier), "li")
    assert approving.find(office, identifier).stand == approving.HELD
    approving.deny(office, approving.find(office, identifier), "wang", "not this year")
    denied = approving.find(office, identifier)
    assert (denied.stand, denied.word.by, denied.word.facts) == (approving.DENIED, "wang", {"reason": "not this year"})


def test_nobody_can_approve_what_the_policy_withholds_or_allows(rig, office):
    """Withheld: refused, with the rule; allowed: needs no word; answered or past its time: too late."""
    withheld = hear(rig, request(2, rho_units=1 << 49))
    with pytest.raises(FarrError, match="most_epsilon_per_question"):
        approving.approve(office, approving.find(office, withheld), "li")
    allowed = hear(rig, request(3, purpose="research"))
    with pytest.raises(FarrError, match="needs no approval"):
        approving.approve(office, approving.find(office, allowed), "li")
    rig.answer(announce(request(3, purpose="research")))
    with pytest.raises(FarrError, match="was answered"):
        approving.deny(office, approving.find(office, allowed), "li")
    later = replace(office, clock=lambda: NOW + 9999.0)
    with pytest.raises(FarrError, match="past its time"):
        approving.approve(later, approving.find(later, withheld), "li")
    assert Decisions(connection=rig.connection).of_kind("approve", "deny") == []


def test_a_request_is_found_by_the_beginning_of_its_id(rig, office):
    """None or several that begin so are refused."""
    hear(rig, request(1))
    hear(rig, request(2))
    for beginning in ("ff", "00"):
        with pytest.raises(FarrError):
            approving.find(office, beginning)


EARLIER = {
    "the same": (plan(), plan(), ("same", "")),
    "other rows of the same kind": (plan(where=OLD), plan(), ("near", "stay: age >= 80 | -")),
    "two filters": (plan(where=OLD), plan(where=WOMEN), ("near", "stay: age >= 80 | sex IN ('F')")),
    "other groups, rows in common": (plan(where=WOMEN), plan(keys=(), where=OLD), ("overlap", "")),
    "rows apart": (plan(where=OLD, keys=()), plan(where=YOUNG), None),
}


@pytest.mark.parametrize("what", EARLIER)
def test_earlier_questions_about_the_same_patients_are_shown(rig, office, what):
    """From the plans of charged questions alone: the same, near, or with rows in common, and by what they differ."""
    asked, before, expected = EARLIER[what]
    rig.answer(announce(request(1, purpose="research", plan=encode(before))))
    identifier = hear(rig, request(2, plan=encode(asked)))
    reads = rig.records.reads
    found = approving.closely(office, approving.find(office, identifier)).overlaps
    assert [(each.kind, each.difference) for each in found] == ([] if expected is None else [expected])
    assert rig.records.reads == reads


def test_what_was_answered_with_zeros_is_no_overlap(rig, office):
    """A question that was held in its round told nothing, so it is not shown."""
    rig.answer(announce(request(1)))
    found = approving.closely(
        office, approving.find(office, hear(rig, request(2, plan=encode(plan(where=EVERYTHING)))))
    )
    assert found.overlaps == ()


def test_a_decision_is_named_by_the_charge(rig, office):
    """What approving returns is the number that the charge names."""
    number = approving.approve(office, approving.find(office, hear(rig)), "li")
    rig.answer(announce())
    assert rig.connection.execute("SELECT approval FROM charges").fetchone() == (number,)
    assert approvals.last_word(rig.connection, request().id).number == number


def test_people_see_at_how_many_hospitals_a_request_waits_and_for_how_long():
    """The count of hospitals and the age, in whole units of which there are at least two."""
    state = RequestState(
        id="", state="waiting", statement="", purpose="", reason="", rho_units=1, created_at=0, expires_at=1, asked=10,
        connected=10, answered=0, held=3, needed=5, sites={}, references={}, code="", release="", reused=False,
    )  # fmt: skip
    assert in_words(state, 2 * 86400 + 5) == "waits for approval at 3 of 10 hospitals, 2 days"
    assert [age(seconds) for seconds in (-1, 59, 7199, 7200, 172799)] == [
        "0 min",
        "0 min",
        "119 min",
        "2 hours",
        "47 hours",
    ]
    assert in_words(replace(state, held=0), 0) == "waiting for hospitals"
