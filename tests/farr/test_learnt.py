"""What a hospital's ledger and log say that a run of training trained."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from farr.cli import approval_pages, node_ledger, node_records
from farr.figures import tables
from farr.hospital import approving, nodes, run_words, stopping
from farr.hospital.accounts import Account, exported, plain_charges
from farr.hospital.learnt import learnt, learnt_by
from farr.hospital.office import Office
from farr.hospital.overlap import charged
from node.authority.policy import parse
from node.books.audit import RELEASED, Audit
from node.books.ledger import Ledger
from node.books.state import transaction
from protocols import request as requests
from protocols.wire_pb2 import Proposal
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import encode
from queries.asked.plan import Between, FlagKey
from tests.node.rig import CATALOGUE, NOW, POLICY, announce, catalogue, key_of, request, roster
from tests.node.trained import APP, HOLDING, NETWORK, RUN, STEP, round_, trainer, training

OTHER = b"s" * 16
WORDS = "logistic regression of died IN ('Y') on 2 terms"
LONG = "SELECT sex, COUNT(*) AS n, AVG(age) AS mean_age FROM stay WHERE age >= 80 GROUP BY sex ORDER BY n DESC LIMIT 10"


@pytest.fixture
def rig(tmp_path):
    """A node that was charged for a count and a round of a run, and withheld one that said another design."""
    made = trainer(tmp_path / "home", POLICY)
    for slot, asked in enumerate((request(1), round_(1), round_(2, NETWORK)), start=1):
        made.answer(announce(asked, slot=slot))
    yield made
    made.close()


def office_of(rig):
    """Return the office of the same node."""
    return Office(home=rig.home, held=None, bench=rig.replier.proposals.bench, roster=roster, clock=lambda: float(NOW))


def hear(rig, asked):
    """Have the node hear of a request; return its id."""
    rig.replier.proposal(Proposal(request=requests.write(asked, key_of("ada"))), roster)
    return asked.id.hex()


def account(rig):
    """Return its account."""
    return Account(
        charges=tuple(Ledger(connection=rig.connection).charges()),
        policy=parse(POLICY.encode(), "policy.toml"),
        now=NOW,
        runs=learnt(rig.connection, None),
    )


def seen(monkeypatch, width, show):
    """Return the lines that a command prints on a terminal so many columns wide."""
    text = io.StringIO()
    made = Console(file=text, width=width, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(tables, "console", lambda _stream=None: made)
    show()
    return text.getvalue().splitlines()


def test_a_run_is_told_by_its_plan_in_ledger_export_and_log(rig, monkeypatch, capsys):
    """Model, target and table; its analyst calls it "train", which stands nowhere; a count is of no model."""
    found = learnt(rig.connection, None)[RUN.hex(), "ada"]
    assert found.to_plain() == {"model": "logistic", "target": "died IN ('Y')", "table": "stay"}
    assert [(each["model"], each["target"]) for each in plain_charges(account(rig))][:2] == [
        ("", ""),
        ("logistic", "died IN ('Y')"),
    ]
    assert "logistic,died IN ('Y')" in exported(account(rig), ".csv")
    assert [each.statement for each in charged(rig.connection, catalogue)] == [WORDS, request(1).statement]
    context = SimpleNamespace(obj=None, invoked_subcommand=None)
    node_records.entries(context, home=rig.home, as_json=True)
    answered = [each for each in json.loads(capsys.readouterr().out) if each["kind"] == "answered"]
    assert [each.get("trained", {}).get("model") for each in answered][:2] == [None, "logistic"]
    lines = " ".join(seen(monkeypatch, 200, lambda: node_records.entries(context, home=rig.home)))
    assert f"run {RUN.hex()[:8]}, round 1 of 3, training {WORDS}" in " ".join(lines.split())


def test_the_log_tells_a_word_on_a_run_from_one_on_a_request(rig, capsys):
    """Each by the id under which ledger and requests have it; so is a release, whose entry names only its round."""
    office = office_of(rig)
    stopping.deny(office, (RUN.hex(), "ada"), "li")
    approving.deny(office, approving.find(office, hear(rig, request(7))), "li")
    tau = next(Ledger(connection=rig.connection).charges()).tau
    with transaction(rig.connection):
        Audit(connection=rig.connection).append(RELEASED, NOW, {"round": tau.hex(), "release": "00"})
    node_records.entries(SimpleNamespace(obj=None, invoked_subcommand=None), home=rig.home)
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.endswith(f"by li, decision deny, run {RUN.hex()[:8]}") for line in told)
    assert any(line.endswith(f"by li, decision deny, request {request(7).id.hex()[:8]}") for line in told)
    assert any(line.endswith(f"released request {request(1).id.hex()[:8]}") for line in told)


def test_a_round_of_another_design_does_not_rename_its_run(tmp_path):
    """Withheld before or after, it tells nothing: what was charged first is what the run is."""
    rig = trainer(tmp_path / "home", POLICY.replace('networks = "all"', 'networks = "none"'))
    rig.answer(announce(round_(1, NETWORK), slot=1))
    rig.answer(announce(round_(2), slot=2))
    assert [each.units > 0 for each in Ledger(connection=rig.connection).charges()] == [False, True]
    assert learnt(rig.connection, None)[RUN.hex(), "ada"].text == WORDS
    rig.close()


def test_an_app_is_told_by_its_digest():
    """What it foretells, only its code says; a plan without training trains nothing."""
    found = learnt_by(training(APP), None)
    assert (found.model, found.target, found.table) == ("app", "", "stay")
    assert found.text == f"the Flower app {APP.app.hex()[:8]}… on 2 columns"
    assert learnt_by(training(NETWORK), None).model == "network"


FINER = CATALOGUE.replace(b"high = 120", b'high = 120, step = "0.01"')
"""The same catalogue, with ages to a hundredth of a year."""


def test_a_condition_is_told_in_the_units_of_the_homes_catalogue(rig, capsys):
    """In ledger, log and the list of what waits; by a catalogue that the plan was not made for, in steps."""
    finer, old = (
        read_catalogue(FINER, "catalogue.toml"),
        replace(STEP, outcome=FlagKey(term=Between(column="age", low=6550, high=None))),
    )
    asked = round_(1, plan=encode(training(old, catalogue=finer.digest)))
    rig.connection.execute("DROP TRIGGER uploads_never_changes")
    rig.connection.execute("UPDATE uploads SET announcement = ?", [announce(asked).SerializeToString()])
    context = SimpleNamespace(obj=rig.home, invoked_subcommand=None)
    for held, told in ((FINER, "age >= 65.5"), (CATALOGUE, "age >= 6550"), (b"no catalogue", "age >= 6550")):
        (rig.home / "catalogue.toml").write_bytes(held)
        assert node_ledger._account(rig.home).runs[RUN.hex(), "ada"].target == told
        node_records.entries(context, home=rig.home)
        assert f"training logistic regression of {told} on" in " ".join(capsys.readouterr().out.split())
    (rig.home / "catalogue.toml").unlink()
    assert nodes.catalogue_of(rig.home) is None
    hear(rig, asked)
    (case,) = approving.cases(office_of(rig))
    assert "age >= 6550 on" in case.text
    assert "age >= 65.5 on" in replace(case, catalogue=finer).text
    assert "age >= 65.5 on" in replace(case, catalogue=finer).short
    assert {each.statement for each in charged(rig.connection, finer)} == {
        "logistic regression of age >= 65.5 on 2 terms"
    }
    # Nobody has judged what waits: it may name a table that no catalogue has.
    assert run_words.table_of("none", training(old, catalogue=finer.digest), finer) is None


def test_a_plan_that_cannot_be_read_is_left_out(rig):
    """A page over the whole ledger does not end for one row of it."""
    rig.connection.execute("DROP TRIGGER uploads_never_changes")
    rig.connection.execute("UPDATE uploads SET announcement = x'00'")
    assert learnt(rig.connection, None) == {}
    assert plain_charges(account(rig))[1]["model"] == ""


@pytest.mark.parametrize("width", [80, 120])
def test_lists_are_read_on_a_terminal(rig, monkeypatch, width):
    """Ids, days, prices and what is left stand in one line each, whole; no line is wider than the terminal."""
    (rig.home / "policy.toml").write_text(HOLDING)
    office = office_of(rig)
    for asked in (round_(1, run={"id": OTHER}), replace(request(7), statement=LONG)):
        hear(rig, asked)
    found = list(approving.cases(office))
    assert [each.short for each in found if each.run is None] == [f"{LONG[:99].rstrip()}…"]

    def show():
        tables.console().print(approval_pages.listed(found, lambda each: approving.room(office, each), stands=False))

    lines = seen(monkeypatch, width, show)
    rows = [line.split() for line in lines if line.startswith("0000")]
    assert len(rows) == 2
    for row in rows:
        assert row[1:3] == ["ada,", "test"]
        assert row[-3:-1] == ["01-15", "09:00"]
        assert 9 < float(row[-1]) <= 10
    assert max(map(len, lines)) <= width
    monkeypatch.setattr(node_ledger, "_account", lambda _home: account(rig))
    context = SimpleNamespace(obj=rig.home, invoked_subcommand=None)
    lines = seen(monkeypatch, width, lambda: node_ledger.ledger(context, home=rig.home))
    (row,) = (line.split() for line in lines if line.startswith(RUN.hex()[:8]))
    assert row[1] == "2027-01-15"
    assert float(row[-1]) > 0
    assert max(map(len, lines)) <= width
    assert "delta 1e-06" in lines[-1]


def test_what_is_left_is_what_the_scarcest_budget_has(rig):
    """Of life, purpose and period, the least; nothing is less than nothing."""
    office = office_of(rig)
    (rig.home / "policy.toml").write_text(HOLDING)
    hear(rig, request(7))
    (case,) = approving.cases(office)
    left = {each.budget: each.before for each in approving.closely(office, case).left}
    assert approving.room(office, case) == min(left.values()) == left["lifetime"]
    (rig.home / "policy.toml").write_text(HOLDING.replace("lifetime_epsilon = 10", "lifetime_epsilon = 0.1"))
    assert approving.room(office, case) == 0
