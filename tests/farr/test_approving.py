"""What an operator sees of a held request, and what their word is about."""

from dataclasses import fields, replace

import pytest

from farr.cli import approval_pages
from farr.cli.output import PAGE_WIDTH
from farr.cli.waiting import Waiting
from farr.errors import FarrError
from farr.hospital import approving
from farr.hospital.office import Office
from farr.hospital.policy_words import apart
from farr.hospital.standing_approvals import LIMITS
from farr.questions.states import RequestState, age, failure, in_words
from node.authority import approvals, standing
from node.authority.decisions import STANDING, Decisions
from node.authority.standing import Limits
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


def test_a_held_run_of_an_approved_pack_says_which_limit_it_passes(rig, office, capsys):
    """The operator sees the standing approval's number and why it does not cover this run."""
    limits = Limits(
        title="monthly@1", items=(), purpose="test", every="year", runs=1, units=1, total=1 << 41, hospitals=3,
        time="month", place="", until=NOW + 100, analyst="",
    )  # fmt: skip
    pack = b"p" * 32
    number = office.decide(
        STANDING, by="li", subject=pack, binding=standing.binding_of(pack, limits), facts=standing.facts_of(limits)
    )
    closely = approving.closely(office, approving.find(office, hear(rig, request(pack=pack))))
    assert closely.to_plain()["standing"] == [{"number": number, "limit": "units"}]
    approval_pages.describe_closely(closely)
    assert "allows less for one run than this costs" in " ".join(capsys.readouterr().out.split())


def test_every_limit_of_a_standing_approval_has_words():
    """Whatever stands against a run can be told."""
    held = {field.name for field in fields(Limits)} - {"title", "every"}
    assert set(LIMITS) == held | {standing.VOID, "withdrawn", "groupings"}


def test_budgets_that_differ_by_little_are_told_apart():
    """As many digits as it takes; equal ones have three."""
    assert apart(9.99999, 9.99998) == ("9.99999", "9.99998")
    assert apart(10.0, 9.5) == ("10", "9.5")
    assert apart(2 / 3, 2 / 3) == ("0.667", "0.667")


def test_what_is_shown_of_a_request_is_no_wider_than_a_page(rig, office, capsys):
    """In a pipe, a question of any length is wrapped and nothing of it is lost."""
    words = [f"word{number}" for number in range(200)]
    case = approving.find(office, hear(rig, request(statement=" ".join(words), reason=" ".join(words[:20]))))
    approval_pages.describe(case)
    approval_pages.describe_closely(approving.closely(office, case))
    seen = capsys.readouterr().out
    assert max(map(len, seen.splitlines())) <= PAGE_WIDTH
    assert seen.split()[: len(words)] == words


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
    assert in_words(replace(state, held=0), 300) == "waiting for hospitals: 10 of 10 connected, 5 needed, 5 min"
    queued = replace(state, held=0, queued=True)
    assert in_words(queued, 300) == "waiting for its turn, 5 min"
    assert Waiting(wanted=False, as_json=False)._text(queued).startswith("waiting for its turn")
    assert in_words(replace(queued, state="running"), 300) == "running"
    assert in_words(replace(state, state="answered", reused=True), 0) == "answered before, at no cost"


def test_who_is_paused_is_told_while_a_request_waits():
    """Counted in the line of a waiting request and named beside it; of a request that ended it is why they refused."""
    state = RequestState(
        id="", state="waiting", statement="", purpose="", reason="", rho_units=1, created_at=0, expires_at=1, asked=3,
        connected=3, answered=0, held=0, needed=3, sites={"aden": "paused", "cork": "connected"}, references={},
        code="", release="", reused=False,
    )  # fmt: skip
    assert in_words(state, 0) == "waiting for hospitals: 3 of 3 connected, 3 needed, 0 min; 1 paused"
    assert Waiting(wanted=False, as_json=False)._text(state) == "3 of 3 hospitals connected, 3 needed (paused: aden)"
    ended = replace(state, state="failed", code="too-few")
    assert "1 refused (paused)" in failure(ended).message


def test_what_the_coordinator_calls_over_can_be_taken_back_but_not_approved(rig, office):
    """Over by the coordinator's word alone: approving says so; an approval that stands is revoked all the same."""
    identifier = hear(rig)
    approving.approve(office, approving.find(office, identifier), "li")
    rig.replier.proposal(Proposal(ended=request().id), roster)
    case = approving.find(office, identifier)
    assert (case.stand, case.rule) == (approving.ENDED, approving.OVER)
    with pytest.raises(FarrError, match="is over, the coordinator says"):
        approving.approve(office, case, "li")
    approving.revoke(office, case, "li")
    approving.deny(office, approving.find(office, identifier), "li")
    assert approvals.denied(rig.connection, request())
