from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from farr.cli.main import main
from farr.membership import home as homes
from farr.texts import use
from node.authority import policy
from node.authority.decisions import Decisions
from node.authority.newcomers import counted, meet
from node.books.audit import Audit
from node.books.ledger import Caps, Charge, Ledger
from node.books.state import open_state, transaction
from node.settings import Source, write_source
from protocols import request as requests
from protocols import roster as rosters
from protocols.credentials import Credentials
from protocols.request import Request
from protocols.wire_pb2 import Role
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, Aggregate, Bound, CodeKey
from queries.cost.accounting import rho_of, units
from tests.coordinator.federation import CATALOGUE, HOSPITALS, NAME, Federation
from tests.queries.whole import whole

SITE = "brest"
HALF = units(rho_of(0.5))
WIDE = Caps(lifetime=1 << 40, purpose=1 << 40, period=1 << 40, since=0)


@pytest.fixture(scope="module")
def federation():
    """One set of keys for all tests."""
    return Federation()


@pytest.fixture
def home(tmp_path, federation):
    """The home of a node that joined when one hospital was not there yet, and was charged for three questions."""
    folder = tmp_path / "home"
    party = federation.parties[SITE]
    credentials = Credentials(
        federation=NAME,
        member=SITE,
        role=Role.ROLE_NODE,
        address="127.0.0.1:1",
        ca_certificate=federation.authority.pem,
        certificate=party.certificate_pem,
        tls_key=party.key_pem,
        identity=party.identity,
        registrar_key=federation.authority.registrar.public,
    )
    homes.write(folder, homes.Home(credentials=credentials, roster=federation.signed_roster, catalogue=CATALOGUE))
    write_source(folder, Source(data=tmp_path))
    (folder / policy.FILE).write_text(policy.DEFAULT.replace("# research = 3.0", "research = 3.0"))
    connection = open_state(folder)
    now, held = int(time.time()), federation.roster
    early = replace(held, members=tuple(each for each in held.members if each.id != HOSPITALS[-1]))
    with transaction(connection):
        connection.execute(
            "INSERT INTO roster VALUES (1, ?, ?)",
            (held.version, federation.signed_roster.SerializeToString(deterministic=True)),
        )
        meet(connection, early, now)
        meet(connection, held, now)
        for number, purpose in enumerate(("statistics", "statistics", "research"), start=1):
            charge = Charge(
                request=number.to_bytes(16, "big"), epoch=1, slot=number, tau=number.to_bytes(32, "big"), units=HALF,
                table="stay", analyst="ada", purpose=purpose, at=now, evidence="{}", reason="=SUM(A1)",
            )  # fmt: skip
            Ledger(connection=connection).charge(charge, WIDE)
    connection.close()
    return folder


def told(capsys, *arguments):
    """Run a command and return what it printed as JSON, with its exit code."""
    code = main([*arguments, "--json"], {})
    return json.loads(capsys.readouterr().out), code


def test_pausing_and_resuming_are_decisions_that_the_status_shows(home, capsys):
    """Each is kept with who and why; once more changes nothing."""
    first, _ = told(capsys, "node", "pause", "--home", str(home), "--by", "Ines", "--reason", "new server")
    assert first == {"paused": True, "decision": 1}
    assert told(capsys, "node", "pause", "--home", str(home))[0]["decision"] is None
    assert told(capsys, "node", "status", "--home", str(home))[0]["paused"] is True
    assert told(capsys, "node", "resume", "--home", str(home), "--by", "Ines")[0] == {"paused": False, "decision": 2}
    assert told(capsys, "node", "status", "--home", str(home))[0]["paused"] is False
    connection = open_state(home)
    pause, _resume = Decisions(connection=connection).of_kind("pause", "resume")
    assert (pause.by, pause.facts) == ("Ines", {"reason": "new server"})
    assert [entry.kind for entry in Audit(connection=connection).entries()] == ["decided", "decided"]
    connection.close()


def test_a_new_hospital_is_listed_and_accepted_by_its_key(home, federation, capsys):
    """Who came later does not count until accepted; accepting twice, or somebody unknown, is no decision."""
    late = HOSPITALS[-1]
    listed, _ = told(capsys, "node", "members", "list", "--home", str(home))
    assert {each["id"]: each["counts"] for each in listed} == {site: site != late for site in HOSPITALS}
    assert main(["node", "members", "accept", "--home", str(home), late, "nobody"], {}) != 0
    capsys.readouterr()
    assert told(capsys, "node", "members", "accept", "--home", str(home), late)[0] == {"accepted": [late]}
    assert told(capsys, "node", "members", "accept", "--home", str(home), "--all")[0] == {"accepted": []}
    connection = open_state(home)
    assert late in counted(connection, federation.roster, own=SITE, days=7, now=0)
    (accepted,) = Decisions(connection=connection).of_kind("accept")
    assert accepted.binding == federation.roster.by_id[late].identity_key
    connection.close()


def test_the_ledger_adds_up_by_purpose_and_period(home, capsys):
    """What was spent and is left is the same sum in every view, in rho and in epsilon."""
    found, _ = told(capsys, "node", "ledger", "--home", str(home))
    assert [each["purpose"] for each in found["charges"]] == ["statistics", "statistics", "research"]
    assert found["lifetime"]["spent"]["units"] == 3 * HALF
    by_name = {each["name"]: each for each in found["purposes"]}
    assert by_name["statistics"]["spent"]["units"] == 2 * HALF
    assert by_name["research"]["left"]["units"] == units(rho_of(3.0)) - HALF
    (running,) = found["periods"]
    assert running["left"]["units"] == units(rho_of(5.0)) - 3 * HALF
    assert main(["node", "ledger", "--home", str(home)], {}) == 0
    text = capsys.readouterr().out
    assert "for research" in text
    assert "month from" in text


def test_a_period_is_the_hospitals_own(home, monkeypatch, capsys):
    """In status, policy and ledger it begins at midnight by the hospital's clocks, which the figures say."""
    began = datetime(2026, 10, 31, 16, tzinfo=UTC).timestamp()
    monkeypatch.setattr(time, "time", lambda: began + 3600)
    path = home / policy.FILE
    path.write_text(f'utc_offset = "+08:00"\n{path.read_text()}')
    status, _ = told(capsys, "node", "status", "--home", str(home))
    assert (status["period_from"], status["period_until"]) == ("2026-11-01T00:00+08:00", "2026-12-01T00:00+08:00")
    assert told(capsys, "node", "policy", "show", "--home", str(home))[0]["utc_offset"] == "+08:00"
    assert "Each month begins at midnight by UTC+08:00." in " ".join(
        told(capsys, "node", "policy", "check", "--home", str(home))[0]["allows"]
    )
    (*_, running) = told(capsys, "node", "ledger", "--home", str(home))[0]["periods"]
    assert running["name"] == "2026-11-01"
    assert running["left"]["epsilon"] == status["period_remaining_epsilon"]
    assert main(["node", "status", "--home", str(home)], {}) == 0
    assert "month, 2026-11-01 00:00 to 2026-12-01 00:00 UTC+08:00" in capsys.readouterr().out


def test_what_if_names_the_budget_that_would_stop_it(home, capsys):
    """At the number that still fits nothing stops it; one more does, by the key of the policy."""
    what_if = ("node", "ledger", "--home", str(home), "what-if", "--epsilon")
    once, _ = told(capsys, *what_if, "0.5")
    assert once["stops"] == ""
    assert once["fit"]["lifetime"] == (units(rho_of(10.0)) - 3 * HALF) // HALF
    fits, stops = once["fit"]["lifetime"], "lifetime_epsilon"
    assert told(capsys, *what_if, "0.5", "--times", str(fits))[0]["stops"] == ""
    more, _ = told(capsys, *what_if, "0.5", "--times", str(fits + 1))
    assert (more["stops"], more["after"]["left"]["units"]) == (stops, 0)
    research = told(capsys, *what_if, "0.5", "--times", "100", "--purpose", "research")[0]
    assert research["stops"] == "purposes.research"
    assert told(capsys, *what_if, "0.5", "--purpose", "teaching")[0]["stops"] == "purposes"
    assert told(capsys, *what_if, "1.5")[0]["stops"] == "most_epsilon_per_question"


def test_an_exported_ledger_holds_every_charge_and_no_formula(home, tmp_path, capsys):
    """Both forms hold all rows; a reason that a spreadsheet would compute is only text there."""
    for name in ("ledger.csv", "ledger.json"):
        assert main(["node", "ledger", "--home", str(home), "export", str(tmp_path / name)], {}) == 0
    with (tmp_path / "ledger.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["units"]) for row in rows] == [HALF] * 3
    assert {row["reason"] for row in rows} == {"'=SUM(A1)"}
    whole_ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert [each["units"] for each in whole_ledger["charges"]] == [HALF] * 3
    assert main(["node", "ledger", "--home", str(home), "export", str(tmp_path / "ledger.pdf")], {}) != 0
    assert "csv" in capsys.readouterr().err


def test_a_policy_is_checked_against_the_catalogue_and_told_in_words(home, tmp_path, capsys):
    """A complete one is put into sentences; one with a wrong name is refused with the key."""
    found, code = told(capsys, "node", "policy", "check", "--home", str(home))
    assert (found["valid"], code) == (True, 0)
    assert any("statistics" in sentence for sentence in found["allows"])
    assert main(["node", "policy", "check", "--home", str(home)], {}) == 0
    assert "at least 3 hospitals" in capsys.readouterr().out.replace("\n", " ")
    wrong = tmp_path / "wrong.toml"
    for old, new, key in (
        ('columns = "all"', 'columns = ["stay.shoe"]', "columns"),
        ('tables = "all"', 'tables = ["stays"]', "tables"),
        ('time = "day"', 'time = "day"\nregoin = "province"', "finest.regoin"),
        ("minimum_cell = 10", "minimum_cell = ten", ""),
    ):
        wrong.write_text(policy.DEFAULT.replace(old, new))
        assert main(["node", "policy", "check", str(wrong), "--home", str(home)], {}) != 0
        assert f"wrong.toml: {key}" in capsys.readouterr().err.replace("policy.toml", "wrong.toml")


def test_the_default_policy_is_printed_as_joining_writes_it(capsys):
    """For people the file itself, so that it can be written from there; for scripts within JSON."""
    assert main(["node", "policy", "default"], {}) == 0
    assert capsys.readouterr().out == policy.DEFAULT
    assert told(capsys, "node", "policy", "default") == ({"policy": policy.DEFAULT}, 0)


def test_a_missing_policy_names_the_command_that_prints_one(home, capsys):
    """The remedy is a command that works."""
    (home / policy.FILE).unlink()
    assert main(["node", "policy", "show", "--home", str(home)], {}) != 0
    assert "farr node policy default" in capsys.readouterr().err


def test_a_folder_that_is_no_nodes_home_names_the_nodes_own_join(tmp_path, capsys):
    """Not the analysts'."""
    assert main(["node", "check", "--home", str(tmp_path / "nix")], {}) != 0
    assert "farr node join" in capsys.readouterr().err


def test_a_data_folder_that_is_not_there_is_named(home, tmp_path, capsys):
    """A share that is not mounted is not taken for a hospital without a table."""
    found, code = told(capsys, "node", "check", "--home", str(home), "--data", str(tmp_path / "share"))
    (data,) = [each for each in found if each["check"] == "data"]
    assert (data["good"], code) == (False, 1)
    assert str(tmp_path / "share") in data["text"]
    assert "is not a folder" in data["text"]


def test_decisions_in_the_log_are_told_in_chinese(home, capsys):
    """The word for what was decided as well."""
    main(["node", "pause", "--home", str(home)], {})
    capsys.readouterr()
    try:
        assert main(["--lang", "zh", "node", "audit", "--home", str(home)], {}) == 0
    finally:
        use("en")
    seen = capsys.readouterr().out
    assert "暂停" in seen
    assert "pause" not in seen


def test_a_ruling_is_explained_rule_by_rule(home, federation, tmp_path, capsys):
    """Of a request in a file: what decides, by which key, and what every other rule says."""
    asked = Request(
        federation=NAME,
        id=bytes(range(16)),
        analyst="ada",
        plan=encode(
            whole(
                federation.catalogue.digest, table="stay", where=EVERYTHING, keys=(CodeKey(column="sex"),),
                aggregates=(Aggregate(statistic="count"),), bound=Bound(rows=1, groups=1),
            )
        ),
        view=b"",
        rho_units=HALF,
        sites=HOSPITALS,
        minimum=2,
        purpose="test",
        created_at=int(time.time()),
        expires_at=int(time.time()) + 3600,
        statement="SELECT sex, COUNT(*) FROM stay GROUP BY sex",
        fresh=False,
    )  # fmt: skip
    signed = requests.write(asked, federation.parties["ada"].identity)
    path = tmp_path / "asked.request"
    path.write_bytes(signed.SerializeToString())
    connection = open_state(home)
    with transaction(connection):
        connection.execute(
            "INSERT INTO proposals VALUES (?, ?, ?)", (asked.id, signed.SerializeToString(deterministic=True), 5)
        )
    connection.close()
    for named in (str(path), asked.id.hex()[:8]):
        found, code = told(capsys, "node", "policy", "explain", "--home", str(home), named)
        assert (found["rule"], found["outcome"], found["code"], code) == ("purposes", "withheld", "wrong-purpose", 0)
        rules = {each["rule"]: each["outcome"] for each in found["rules"]}
        assert rules["minimum_hospitals"] == "withheld"
        assert rules["authorities"] == "allowed"
    assert main(["node", "policy", "explain", "--home", str(home), asked.id.hex()], {}) == 0
    assert "purposes" in capsys.readouterr().out
    assert main(["node", "policy", "explain", "--home", str(home), "ffff"], {}) != 0


def test_the_roster_of_the_fixture_is_the_federations(home, federation):
    """The home holds what the registrar signed, so the commands above read a real roster."""
    held = homes.read(home)
    assert rosters.digest_of(held.roster) == rosters.digest_of(federation.signed_roster)
