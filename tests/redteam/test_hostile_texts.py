"""Attacks through texts that other parties write and a hospital's people read, and through what is kept of them."""

from __future__ import annotations

import json

import pytest

from farr.cli import approval_pages, output
from farr.figures import tables
from farr.hospital import approving
from farr.hospital.office import Office
from node.books.audit import Audit
from node.books.ledger import Ledger
from protocols import request as requests
from protocols.wire_pb2 import Proposal
from queries.asked.canonical import encode
from queries.asked.plan import Between, Every, Members
from tests.node.rig import NOW, POLICY, PRICE, Rig, announce, key_of, plan, request, roster

HOLDING = POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["test"]')
HOSTILE = {
    "clears the screen": "a\x1b[2J\x1b[1;1Hb",
    "hides what follows": "a\x1b[8mb",
    "goes back to the beginning of the line": "harmless\rb",
    "the 8-bit form": "a\x9b2Jb",
    "retitles the window, or writes the clipboard": "a\x1b]52;c;aGk=\x07b",
    "turns the direction of text round": "a\u202eb",
    "backspaces": "a\b\b\bb",
}
COMMANDS = "\x1b\x9b\x07\b\r\u202e"


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


def shown(rig, office, capsys, asked):
    """Have the node hear of a request; return what its operator sees of it."""
    rig.replier.proposal(Proposal(request=requests.write(asked, key_of("ada"))), roster)
    case = approving.find(office, asked.id.hex())
    approval_pages.describe(case)
    approval_pages.describe_closely(approving.closely(office, case))
    return capsys.readouterr().out


@pytest.mark.parametrize("what", HOSTILE)
def test_a_reason_cannot_rewrite_the_approvers_screen(rig, office, capsys, what):
    """An analyst puts commands to the terminal into the question's text and its reason.

    Gained: the approver sees another price, another question, or another hospital's name than the one he approves.
    """
    assert "yearly report" in shown(rig, office, capsys, request(1, reason="yearly report"))
    text = HOSTILE[what]
    seen = shown(rig, office, capsys, request(2, reason=text, statement=text))
    assert not set(seen) & set(COMMANDS)
    assert "\N{REPLACEMENT CHARACTER}" in seen
    output.line(text)
    output.paragraph(text)
    output.table(tables.table(("x",), [(text,)]))
    assert not set(capsys.readouterr().out) & set(COMMANDS)


def test_brackets_do_not_break_the_list(rig, office, capsys):
    """A reason is written in the markup of the library that draws the tables.

    Gained: an approver's page that ends in an error, so that nothing can be denied any more; or invisible text.
    """
    seen = shown(
        rig, office, capsys, request(1, reason="[/] [red]x[/blue] [link=http://x]y[/link]", statement="[/bold]")
    )
    assert "[/] [red]x[/blue] [link=http://x]y[/link]" in seen
    assert "[/bold]" in seen


def test_a_statement_that_lies(rig, office, capsys):
    """The text of a question says that it counts everybody; its plan counts one patient's age and outcome.

    Gained: an approval for what the approver never saw. Nothing is computed from the text, and the page shows what the
    plan measures and of which rows, from the plan alone.
    """
    rare = Every(terms=(Members(column="died", codes=("Y",)), Between(column="age", low=117, high=117)))
    seen = shown(rig, office, capsys, request(1, statement="SELECT sex, count(*) FROM stay GROUP BY sex"))
    assert "age" not in seen
    lie = request(2, statement="SELECT sex, count(*) FROM stay GROUP BY sex", plan=encode(plan(where=rare)))
    seen = shown(rig, office, capsys, lie)
    assert "age BETWEEN 117 AND 117" in seen
    assert "died IN ('Y')" in seen
    assert "count" in seen.split("\n", 2)[2]


def test_texts_in_the_evidence_stay_texts(rig):
    """A reason holds what SQL, JSON or a log's reader would take for its own.

    Gained: a forged entry beside the true one, a changed budget, a log that no longer verifies.
    """
    (rig.home / "policy.toml").write_text(POLICY)
    reason = '"},{"kind":"answered","units":0}\n2026-01-01 approved by li\x00\'); DELETE FROM charges; --'
    rig.answer(announce(request(1, reason=reason)))
    ledger, audit = Ledger(connection=rig.connection), Audit(connection=rig.connection)
    (charge,) = ledger.charges()
    assert charge.reason == reason
    assert 0 < charge.units <= PRICE
    assert ledger.verify() is None
    assert audit.verify() is None
    answered = [json.loads(each.facts) for each in audit.entries() if each.kind == "answered"]
    assert [each["units"] for each in answered] == [charge.units]
