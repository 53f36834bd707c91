"""Mandates in the registrar's hands: given with a token, checked against the catalogue, changed in the next roster."""

import hashlib
import json
from dataclasses import replace
from datetime import date

import pytest
from typer.testing import CliRunner

from farr.cli.registrar import app
from farr.errors import FarrError
from farr.registrar import mandates
from farr.registrar.admission import decide
from farr.registrar.founding import at_work
from farr.registrar.mandates import Wish
from protocols import roster as rosters
from protocols.mandate import Mandate
from protocols.wire_pb2 import Role
from tests.farr import parties
from tests.farr.parties import NOW, application, invite

DAY = 86_400


@pytest.fixture
def registrar(tmp_path):
    """A registrar whose federation was just founded."""
    parties.found(tmp_path)
    with at_work(tmp_path / "r") as registrar:
        yield registrar


def written(before=None, *, registrar, **wish):
    """Return what a wish makes of a mandate."""
    return mandates.written(Wish(**wish), before, mandates.agreed(registrar))


def admitted(registrar, mandate, member="li"):
    """Admit an analyst with a mandate; return the member."""
    token = invite(registrar, member, role=Role.ROLE_ANALYST, mandate=mandate)
    assert decide(registrar, [application(token)], now=NOW).admitted == (member,)
    return registrar.roster()[1].by_id[member]


def test_what_is_not_said_has_a_sensible_default(registrar):
    """The nation, everywhere, every table, statistics, until the certificate's end."""
    assert written(registrar=registrar) == mandates.whole("statistics")
    assert mandates.whole("statistics").authority == "nation"


def test_a_mandate_comes_with_the_token_and_ends_with_the_certificate(registrar):
    """The roster that admits the analyst carries it, whatever the applicant would like."""
    member = admitted(registrar, mandates.whole("research", "statistics"))
    assert member.mandate == Mandate(
        authority="nation", purposes=("research", "statistics"), expires_at=member.expires_at
    )
    short = written(registrar=registrar, until=date(2027, 1, 31))
    assert admitted(registrar, short, "wang").mandate.expires_at == short.expires_at < member.expires_at


def test_an_analyst_who_was_invited_without_a_mandate_may_ask_nothing(registrar):
    """There is no default in the roster: what the registrar did not write, nobody may."""
    assert admitted(registrar, None).mandate is None


def test_a_narrowed_mandate_is_in_the_next_roster(registrar):
    """Only what is named changes; the roster before it is older than what members hold from then on."""
    before = admitted(registrar, mandates.whole("research", "statistics"))
    older = registrar.registry.roster()
    held = mandates.change(registrar, "li", Wish(authority="province", regions=("UK",)), now=NOW)
    after = held.by_id["li"]
    assert after == replace(before, mandate=replace(before.mandate, authority="province", regions=("UK",)))
    assert registrar.roster()[1] == held
    with pytest.raises(Exception, match="stale-roster"):
        rosters.read(older, federation="stroke", registrar_key=registrar.identity.public, held=held.version)
    everywhere = mandates.change(registrar, "li", Wish(authority="nation", regions=("all",)), now=NOW)
    assert everywhere.by_id["li"].mandate == before.mandate


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"authority": "king"}, "nation, province"),
        ({"authority": "province"}, "ends at its border"),
        ({"regions": ("3399",)}, "knows no region 3399"),
        ({"tables": ("admissions",)}, "no table admissions"),
        ({"purposes": ("Two words",)}, "no name of a purpose"),
        ({"authority": "auditor", "purposes": ("statistics",)}, "asks nothing"),
        ({"project": "x" * 201}, "printable characters"),
        ({"project": "a\nb"}, "printable characters"),
        ({"purposes": tuple(f"p{number}" for number in range(65))}, "at most 64"),
    ],
)
def test_a_mandate_that_means_nothing_is_not_written(registrar, wish, words):
    """Misspelt places, tables and purposes are found at the registrar's, not by an analyst who is refused."""
    with pytest.raises(FarrError) as refusal:
        written(registrar=registrar, **wish)
    assert words in f"{refusal.value.message} {refusal.value.remedy}"


def test_an_auditor_asks_for_nothing_and_becomes_one_again(registrar):
    """Turned into an auditor an analyst loses its purposes; turned back it has statistics."""
    auditor = written(mandates.whole("research"), registrar=registrar, authority="auditor")
    assert auditor.purposes == ()
    assert written(auditor, registrar=registrar, authority="nation").purposes == ("statistics",)


def test_only_analysts_who_are_members_get_one(registrar):
    """A hospital, the coordinator or a stranger asks nothing, and a mandate that is over is none."""
    admitted(registrar, mandates.whole("statistics"))
    decide(registrar, [application(invite(registrar))], now=NOW)
    for member, code in (("st-mary", "wrong-role"), ("coordinator", "wrong-role"), ("oz", "unknown-member")):
        with pytest.raises(FarrError) as refusal:
            mandates.change(registrar, member, Wish(), now=NOW)
        assert refusal.value.code == code
    version = registrar.roster()[1].version
    with pytest.raises(FarrError, match="over already"):
        mandates.change(registrar, "li", Wish(until=date(2026, 1, 1)), now=NOW)
    assert registrar.roster()[1].version == version


def test_a_renewed_certificate_takes_only_its_own_end_along(registrar):
    """A permit that ended earlier ends as it did; one that ended with the certificate goes on with the new one."""
    member = admitted(registrar, mandates.whole("statistics"))
    later = member.expires_at + 100 * DAY
    assert mandates.renewed(member, later) == replace(member.mandate, expires_at=later)
    permit = replace(member, mandate=replace(member.mandate, expires_at=member.expires_at - DAY))
    assert mandates.renewed(permit, later) == permit.mandate
    assert mandates.renewed(replace(member, mandate=None), later) is None


def test_the_command_line_prints_what_a_token_will_allow(tmp_path):
    """Defaults included, so nobody gives away more than he knows; the roster lists what holds."""
    parties.found(tmp_path)
    home, run = str(tmp_path / "r"), CliRunner().invoke
    given = run(app, ["token", "--home", home, "--analyst", "li", "--out", str(tmp_path / "li.token")])
    assert given.exit_code == 0, given.output
    assert "li may ask: nation, the whole federation, for statistics, every table" in given.output
    options = ["--authority", "prefecture", "--region", "UK", "--purpose", "research", "--purpose", "audit"]
    options += ["--table", "admission", "--project", "2026-17", "--until", "2027-06-30", "--json"]
    plain = json.loads(run(app, ["token", "--home", home, "--analyst", "wang", *options]).stdout)
    assert plain["mandate"] == {
        "authority": "prefecture",
        "regions": ["UK"],
        "purposes": ["audit", "research"],
        "tables": ["admission"],
        "project": "2026-17",
        "expires": "2027-07-01T00:00:00Z",
    }
    with at_work(tmp_path / "r") as registrar:
        token = parties.invite(registrar, "li", role=Role.ROLE_ANALYST, mandate=mandates.whole("statistics"))
        assert hashlib.sha256(token.certificate).digest()
        decide(registrar, [application(token)], now=NOW)
    listed = json.loads(run(app, ["roster", "--home", home, "--json"]).stdout)
    (analyst,) = (member for member in listed["members"] if member["role"] == "analyst")
    assert (analyst["mandate"]["purposes"], analyst["mandate"]["regions"]) == (["statistics"], "all")
    assert "li may ask: nation" in run(app, ["roster", "--home", home]).stdout


def test_a_hospital_gets_no_mandate(tmp_path):
    """The options say so, before a token is made."""
    parties.found(tmp_path)
    refused = CliRunner().invoke(
        app, ["token", "--home", str(tmp_path / "r"), "--node", "st-mary", "--purpose", "statistics"]
    )
    assert refused.exit_code != 0
    with at_work(tmp_path / "r") as registrar:
        assert registrar.registry.outstanding(NOW) == ()


def test_a_change_that_the_coordinator_did_not_hear_of_is_kept(tmp_path):
    """The roster is signed first; the command says how to publish it later."""
    parties.found(tmp_path, address=parties.free_address())
    with at_work(tmp_path / "r") as registrar:
        admitted(registrar, mandates.whole("statistics"))
        version = registrar.roster()[1].version
    said = CliRunner().invoke(app, ["mandate", "--home", str(tmp_path / "r"), "li", "--purpose", "research"])
    assert isinstance(said.exception, FarrError)
    assert "farr registrar admit" in said.exception.remedy
    with at_work(tmp_path / "r") as registrar:
        held = registrar.roster()[1]
        assert (held.version, held.by_id["li"].mandate.purposes) == (version + 1, ("research",))


def test_a_mandate_does_not_outlive_its_day(registrar):
    """One whose day is after the certificate's end is over with it, and a renewal does not carry it past that day."""
    long = written(registrar=registrar, until=date(2099, 1, 31))
    member = admitted(registrar, long, "zhao")
    assert member.mandate.expires_at <= member.expires_at
    assert mandates.renewed(member, 2 * long.expires_at) == member.mandate
    unlimited = admitted(registrar, mandates.whole("statistics"))
    changed = mandates.change(registrar, "li", Wish(purposes=("research",)), now=NOW).by_id["li"]
    assert changed.mandate.expires_at == unlimited.expires_at == changed.expires_at


def test_a_token_says_what_the_roster_will(registrar):
    """Who is let in again keeps its mandate: a token that could not change it is not made as if it would."""
    member = admitted(registrar, mandates.whole("statistics"))
    later = member.expires_at + DAY
    assert mandates.offered(registrar, "li", Wish(), now=later) == mandates.whole("statistics")
    assert mandates.offered(registrar, "li", Wish(purposes=("statistics",)), now=later) == mandates.whole("statistics")
    with pytest.raises(FarrError, match="let in again"):
        mandates.offered(registrar, "li", Wish(authority="province", regions=("UK",)), now=later)
    with pytest.raises(FarrError, match="over already"):
        mandates.offered(registrar, "wang", Wish(until=date(2026, 1, 1)), now=NOW)


def test_a_mandate_is_told_by_its_last_day(tmp_path):
    """The day that the registrar writes is the day that everybody reads; the calendar's last is refused."""
    parties.found(tmp_path)
    options = ["token", "--home", str(tmp_path / "r"), "--analyst", "li", "--until"]
    given = CliRunner().invoke(app, [*options, "2028-06-30"])
    assert "until 2028-06-30" in given.output
    assert CliRunner().invoke(app, [*options, "9999-12-31"]).exit_code == 2
