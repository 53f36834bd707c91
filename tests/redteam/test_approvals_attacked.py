"""Attacks on a person's word: reused for something else, stretched, forged, or given by somebody else.

Each test first shows that the word itself holds: what was approved is answered.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from node.authority import policy
from node.authority.decisions import APPROVE, WITHDRAW, Decisions
from node.authority.standing import subject_of
from node.books.ledger import Ledger
from node.books.state import FILE, open_state, transaction
from node.records.prepare import prepare
from node.serve import site_key
from protocols import announcement as announcements
from protocols import upload as uploads
from protocols.wire_pb2 import Note
from queries.agreed.pack_items import items_of
from queries.asked.canonical import decode, encode
from queries.asked.plan import Aggregate, BandKey, CodeKey, Members, Plan
from tests.coordinator.federation import Federation
from tests.node import test_approvals as single
from tests.node import test_standing as packs
from tests.node.rig import NOW, PRICE, Rig, announce, catalogue, plan, request, roster
from tests.node.test_serve import make_home

HELD = (Note.NOTE_WITHHELD_APPROVAL,)
ROOT = Path(__file__).resolve().parents[2]
YEAR = 366 * 24 * 3600


@pytest.fixture
def rig(tmp_path):
    """A node whose policy holds every question for a person."""
    made = Rig(tmp_path / "home")
    (made.home / "policy.toml").write_text(single.HOLDING)
    yield made
    made.close()


def notes(rig, asked, slot=1):
    """Have the node answer; return its notes, and check that it charges exactly where it reads."""
    reads, spent = rig.records.reads, Ledger(connection=rig.connection).spent()
    signed = announce(asked, slot=slot)
    upload = rig.answer(signed)
    read = rig.records.reads > reads
    assert read == (Ledger(connection=rig.connection).spent() > spent)
    found = uploads.read(upload, roster=roster, announcement=announcements.tau(signed), entries=upload_entries(asked))
    assert read == (HELD[0] not in found.notes)
    return found.notes


def upload_entries(asked):
    """Return how long the masked vector of a count by sex, or by something with three codes, is."""
    return 5 if CodeKey(column="died") in decode(Plan, asked.plan).parts[0].keys else 4


def approved(rig, asked=None):
    """Approve exactly this request, as the command does."""
    return single.decide(rig, APPROVE, single.held(rig, asked or request(1)))


def test_an_approval_for_a_changed_query(rig):
    """The analyst has a harmless question approved, then signs another plan under the same request id.

    Gained: a person's word for something nobody looked at.
    """
    narrow = request(1, plan=encode(plan(where=Members(column="died", codes=("Y",)))))
    approved(rig)
    assert notes(rig, narrow) == HELD
    approved(rig, request(2))
    assert notes(rig, request(2), slot=2) == ()


def test_an_approval_for_a_changed_policy(rig):
    """The policy was edited after the approval: what the person relied on no longer holds.

    Gained: an answer under rules that nobody approved it by.
    """
    approved(rig, request(1))
    before = (rig.home / "policy.toml").read_text()
    (rig.home / "policy.toml").write_text(before.replace("least_honest = 2", "least_honest = 1"))
    assert notes(rig, request(1), slot=1) == HELD
    (rig.home / "policy.toml").write_text(before)
    approved(rig, request(2))
    assert notes(rig, request(2), slot=2) == ()


def test_an_approval_for_a_changed_cost(rig):
    """The analyst signs the approved question again under the same id at a higher price: more exact, more loss.

    Gained: more of the patients' budget than was approved.
    """
    approved(rig, request(1))
    assert notes(rig, request(1, rho_units=PRICE + 1)) == HELD
    approved(rig, request(2))
    assert notes(rig, request(2), slot=2) == ()


def test_an_approval_used_twice(rig):
    """The analyst asks the approved question again under a new id, and the coordinator announces the old one again.

    Gained: many answers for one word, whose average has less noise.
    """
    approved(rig)
    assert notes(rig, request(1)) == ()
    assert rig.reply(announce(request(1), slot=2)).refusal.code == "replayed"
    assert notes(rig, request(2), slot=2) == HELD


def test_an_approval_that_leaves_no_trace(rig):
    """Somebody with the node's file changes, removes or rewrites a decision.

    Gained: an answer that the operator's log does not account for.
    """
    approved(rig)
    for statement in ("UPDATE decisions SET subject = zeroblob(16)", "DELETE FROM decisions"):
        with pytest.raises(Exception, match="append-only"):
            rig.connection.execute(statement)
    assert notes(rig, request(2), slot=1) == HELD
    assert notes(rig, request(1), slot=2) == ()


STRETCHED = {
    "another item": {
        "plan": encode(plan(aggregates=(Aggregate(statistic="count"), Aggregate(statistic="sum", column="age"))))
    },
    "other groups": {"plan": encode(plan(keys=(CodeKey(column="died"),)))},
    "other rows": {"plan": encode(plan(where=Members(column="sex", codes=("F",))))},
    "a dearer run": {"rho_units": PRICE + 1},
    "another purpose": {"purpose": "research"},
    "another pack": {"pack": b"q" * 32},
    "no pack": {"pack": b""},
}


@pytest.mark.parametrize("what", STRETCHED)
def test_a_standing_approval_stretched(rig, what):
    """A request says that it is a run of an approved pack, and asks, or costs, or is for, something else.

    Gained: any question without a person's look, for as long as the pack is approved.
    """
    packs.approve(rig, runs=2, total=4 * PRICE)
    assert packs.covered(rig, packs.run(2, **STRETCHED[what])) is None
    assert notes(rig, packs.run(1)) == ()


def test_groupings_of_an_approved_pack_crossed(rig):
    """A pack counts by sex, by outcome, and by age; a run counts by all of its groupings at once.

    Gained: cells that hold one patient each, which nobody approved, for as long as the pack holds.
    """
    groupings = (CodeKey(column="died"), CodeKey(column="sex"), BandKey(column="age", starts=tuple(range(0, 120, 10))))
    items = frozenset[bytes]().union(*(items_of(plan(keys=(key,)), catalogue) for key in groupings))
    packs.approve(rig, runs=9, total=9 * PRICE, items=tuple(sorted(item.hex() for item in items)))
    assert packs.covered(rig, packs.run(1, plan=encode(plan(keys=groupings)))) is None
    assert packs.covered(rig, packs.run(2, plan=encode(plan(keys=groupings[:2])))) is not None
    assert notes(rig, packs.run(3)) == ()


def test_a_standing_approval_run_too_often(rig):
    """The analyst runs the approved pack twice in one period, then on until the total is spent.

    Gained: the average of many runs. Runs and loss are counted from the charges, which nobody can take back.
    """
    packs.approve(rig, total=PRICE + PRICE // 2)
    assert notes(rig, packs.run(1), slot=1) == ()
    assert notes(rig, packs.run(2), slot=2) == HELD
    assert packs.covered(rig, packs.run(3), now=NOW + YEAR) is None  # the total has no room for another run


def test_a_standing_approval_after_its_end(rig):
    """A run after the approval was withdrawn, and after its last day.

    Gained: a permission for ever.
    """
    number = packs.approve(rig, runs=9, total=9 * PRICE)
    assert notes(rig, packs.run(1), slot=1) == ()
    assert packs.covered(rig, packs.run(2), now=NOW + 11 * YEAR) is None
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(WITHDRAW, by="li", at=NOW, subject=subject_of(number))
    assert notes(rig, packs.run(2), slot=2) == HELD


SCRIPT = """
import os, sys
from farr.cli.main import main
own, other, *command = sys.argv[1:]
owner = main([*command, "--home", own], {"FARR_LANG": "en"})
os.setgid(65534); os.setuid(65534)
mallory = main([*command, "--home", other], {"FARR_LANG": "en"})
print(f"codes {owner} {mallory}")
"""


def waiting_home(folder):
    """Write a hospital's home, with prepared data, in which a request waits for approval; return it and the id."""
    federation = Federation()
    home = folder / "home"
    make_home(home, federation, "127.0.0.1:1")
    prepare(home, folder / "data", None, federation.catalogue, site_key(home))
    text = policy.DEFAULT.replace("# research = 3.0", "test = 10.0").replace("newcomer_days = 7", "newcomer_days = 0")
    (home / policy.FILE).write_text(text.replace('approval_purposes = "none"', 'approval_purposes = "all"'))
    asked = federation.request(rho_units=1 << 34)
    state = open_state(home)
    kept = federation.sign(asked).SerializeToString(deterministic=True)
    with transaction(state):
        state.execute("INSERT INTO proposals VALUES (?, ?, ?)", (asked.id, kept, int(time.time())))
    state.close()
    return home, asked.id.hex()


def decided(home):
    """Return who decided what."""
    state = open_state(home)
    found = [(each.by, each.kind) for each in Decisions(connection=state).of_kind("approve", "deny", "pause", "accept")]
    state.close()
    return found


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to become another user")
def test_a_word_given_by_somebody_without_rights():
    """Another user of the hospital's machine runs the operator's commands on the node's home, which he can enter.

    Gained: the power to approve, to pause, to let invented hospitals count. The state is its owner's alone, whatever
    the folder's rights; the same commands of the owner, on a copy, do what they say.
    """
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a folder that the other user can enter, unlike pytest's own
    try:
        folder.chmod(0o755)
        home, identifier = waiting_home(folder)
        before = (home / FILE).read_bytes()
        own = folder / "own"
        shutil.copytree(home, own)
        home.chmod(0o777)
        command = ["node", "approvals", "approve", identifier, "--yes", "--by", "mallory"]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(own), str(home), *command],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        codes = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("codes ")]
        assert codes, done.stderr
        assert codes[0][0] == "0", done.stderr
        assert codes[0][1] != "0"
        assert "Traceback" not in done.stderr
        assert decided(own) == [("mallory", "approve")]
        assert (home / FILE).read_bytes() == before
        assert decided(home) == []
    finally:
        shutil.rmtree(folder)
