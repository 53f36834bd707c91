"""What a mandate allows is told before anything is sent."""

import time
from dataclasses import replace

import pytest

from farr.errors import FarrError
from farr.questions.asking import Terms
from farr.questions.mandated import MOST_PATIENCE, patience_of
from protocols.request import LONGEST_LIFE
from queries.errors import AuthorityError
from tests.farr import harbour
from tests.farr.harbour import MANDATE, Quay

COUNT = "SELECT COUNT(*) AS n FROM stay"
HOUR = 3600


def asked(folder, mandate):
    """Return a client whose analyst has a mandate, and the line that remembers what was sent."""
    held = harbour.roster()
    members = (replace(each, mandate=mandate) if each.id == "analyst" else each for each in held.members)
    under = replace(held, members=tuple(members))
    quay = Quay(under=under, serve=lambda signed: harbour.answer(signed, under=under))
    return harbour.federation(folder, quay), quay


@pytest.mark.parametrize(
    ("purposes", "written", "meant"),
    [
        (("audit", "statistics"), "", "statistics"),
        (("audit", "statistics"), "audit", "audit"),
        (("research",), "", "research"),
    ],
)
def test_the_purpose_goes_without_saying_where_it_can(tmp_path, purposes, written, meant):
    """Statistics, or the only one; any other is named."""
    federation, quay = asked(tmp_path / "home", replace(MANDATE, purposes=purposes))
    federation.ask(COUNT, Terms(purpose=written, reason="annual review"))
    (request,) = quay.submitted
    assert (request.purpose, request.reason) == (meant, "annual review")


@pytest.mark.parametrize(
    ("mandate", "terms", "code", "words"),
    [
        (None, Terms(), "no-mandate", "farr registrar mandate analyst"),
        (replace(MANDATE, purposes=()), Terms(), "no-mandate", "no mandate"),
        (replace(MANDATE, expires_at=1_700_000_000), Terms(), "expired-mandate", "2023-11-14"),
        (MANDATE, Terms(purpose="stroke audit 2026"), "wrong-purpose", "--reason"),
        (replace(MANDATE, purposes=("audit", "research")), Terms(), "wrong-purpose", "audit, research"),
    ],
)
def test_a_question_that_would_be_refused_is_not_sent(tmp_path, mandate, terms, code, words):
    """The analyst learns what to do, and the coordinator nothing."""
    federation, quay = asked(tmp_path / "home", mandate)
    with pytest.raises(FarrError) as refusal:
        federation.ask(COUNT, terms)
    assert refusal.value.code == code
    assert words in f"{refusal.value.message} {refusal.value.remedy}"
    assert quay.submitted == []


def test_a_question_to_all_hospitals_is_put_to_those_of_the_mandate(tmp_path):
    """An analyst of the north who names no place asks the north."""
    federation, quay = asked(tmp_path / "home", replace(MANDATE, authority="province", regions=("N",)))
    assert federation.estimate(COUNT, Terms()).question.sites == ("aden", "brest")
    federation.ask("SELECT COUNT(*) AS n FROM stay WHERE site.region = 'N'", Terms(minimum=1))
    assert quay.submitted[0].sites == ("aden", "brest")


@pytest.mark.parametrize(
    ("changes", "statement", "terms", "code"),
    [
        ({"regions": ("N",)}, "SELECT COUNT(*) AS n FROM stay WHERE site.region = 'S'", Terms(), "out-of-region"),
        ({"regions": ("X",)}, COUNT, Terms(), "out-of-region"),
        ({"regions": ("N",)}, COUNT, Terms(by_residence=True), "out-of-region"),
        ({"tables": ("visit",)}, COUNT, Terms(), "wrong-table"),
    ],
)
def test_a_question_beyond_the_mandate_is_not_sent(tmp_path, changes, statement, terms, code):
    """Another region, a region that nobody knows, residences that rows do not say, another table."""
    federation, quay = asked(tmp_path / "home", replace(MANDATE, **changes))
    for ask in (federation.ask, federation.estimate):
        with pytest.raises(AuthorityError) as refusal:
            ask(statement, terms)
        assert refusal.value.code == code
    assert quay.submitted == []


def test_whoever_only_looks_need_not_name_a_purpose(tmp_path):
    """A dry run says what it would cost whatever it is for; a purpose that is not there is still said."""
    federation, _quay = asked(tmp_path / "home", replace(MANDATE, purposes=("audit", "research")))
    assert federation.estimate(COUNT).rho_units > 0
    with pytest.raises(FarrError, match="no purpose marketing"):
        federation.estimate(COUNT, Terms(purpose="marketing"))


def test_a_request_outlives_its_patience(tmp_path):
    """By a day, so that it can be answered with those who decided; by default both are long enough."""
    federation, quay = asked(tmp_path / "home", MANDATE)
    now = int(time.time())
    for number, patience in enumerate((24 * HOUR, 0, 20 * 24 * HOUR, MOST_PATIENCE)):
        federation.ask(COUNT, Terms(fresh=True, epsilon=0.5 + number, patience=patience))
        sent = quay.submitted[-1]
        assert sent.patience == patience
        assert sent.created_at >= now
        assert patience + 24 * HOUR <= sent.expires_at - sent.created_at <= LONGEST_LIFE


def test_a_digest_and_a_residence_travel_with_the_request(tmp_path):
    """As the terms say; hospitals hold both against the plan."""
    federation, quay = asked(tmp_path / "home", MANDATE)
    federation.ask(COUNT, Terms(pack=bytes(range(32)), by_residence=True))
    assert (quay.submitted[0].pack, quay.submitted[0].by_residence) == (bytes(range(32)), True)


@pytest.mark.parametrize(("written", "seconds"), [("30m", 1800), ("12h", 43200), ("2d", 172800), (" 0m ", 0)])
def test_a_patience_is_written_in_minutes_hours_or_days(written, seconds):
    """With one unit."""
    assert patience_of(written) == seconds


@pytest.mark.parametrize("written", ["", "2", "2w", "-1d", "1.5h", "31d", "2d12h", "٣d"])
def test_a_patience_that_is_none_is_refused(written):
    """Nothing is guessed."""
    with pytest.raises(FarrError, match="no time to wait"):
        patience_of(written)
