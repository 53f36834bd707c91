"""Attacks on what a node rests on: its policy file, its state, its one identity, and whom it counts.

Each test first shows that the same node, not attacked, answers.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from node.authority.newcomers import DAY, meet
from node.authority.policy import FILE as POLICY_FILE
from node.authority.policy import KEYS
from node.books.audit import Audit
from node.books.evidence import Keeper
from node.books.heads import Heads
from node.books.ledger import Ledger
from node.books.state import FILE, transaction
from protocols import upload as uploads
from protocols.wire_pb2 import Note, Role
from protocols.wire_pb2 import Upload as UploadMessage
from queries.asked.canonical import encode
from queries.asked.plan import AttributeKey, SiteIs, SiteKey
from tests.node.rig import (
    HOSPITALS,
    NAME,
    NOW,
    POLICY,
    Rig,
    announce,
    key_of,
    member,
    plan,
    request,
    roster,
)


@pytest.fixture
def rig(tmp_path):
    """A node with a seat in the first epoch."""
    made = Rig(tmp_path / "home")
    yield made
    made.close()


def notes(rig, signed, held=roster):
    """Have the node answer; return its notes. It charges exactly where it reads."""
    reads, spent = rig.records.reads, Ledger(connection=rig.connection).spent()
    upload = rig.answer(signed, held)
    assert upload.kind == uploads.KIND
    assert (rig.records.reads > reads) == (Ledger(connection=rig.connection).spent() > spent)
    return list(UploadMessage.FromString(upload.body).notes)


def answers(rig, signed, held=roster):
    """Tell whether the node answers from its records."""
    reads = rig.records.reads
    notes(rig, signed, held)
    return rig.records.reads > reads


# --- the policy


@pytest.mark.parametrize("key", KEYS)
def test_a_policy_with_a_key_less(rig, key):
    """Somebody removes one line of the policy, or it was written for an older version.

    Gained, had the key a default: whatever the default allows, without anybody's word.
    """
    lines = [line for line in POLICY.splitlines() if not line.startswith((f"{key} ", f"{key}."))]
    assert len(lines) < len(POLICY.splitlines())
    (rig.home / POLICY_FILE).write_text("\n".join(lines))
    assert notes(rig, announce(request(1), slot=1)) == [Note.NOTE_WITHHELD_POLICY]
    (rig.home / POLICY_FILE).write_text(POLICY)
    assert notes(rig, announce(request(2), slot=2)) == []


WRONG = {
    "no file": None,
    "an empty file": "",
    "no TOML": "lifetime_epsilon = = 10",
    "a key that nobody knows": POLICY + "own_rows = false\n",
    "a key within a table that nobody knows": POLICY + 'finest.tiem = "year"\n',
    "a misspelt value": POLICY.replace('"one-third"', '"one-thrid"'),
    "a budget without end": POLICY.replace("lifetime_epsilon = 10", "lifetime_epsilon = inf"),
    "a budget that is no number": POLICY.replace("lifetime_epsilon = 10", 'lifetime_epsilon = "10"'),
    "true for a number": POLICY.replace("minimum_hospitals = 3", "minimum_hospitals = true"),
    "a negative number of days": POLICY.replace("newcomer_days = 0", "newcomer_days = -1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_downgraded_policy(rig, what):
    """Somebody damages the policy, or puts keys into it that a careless reader passes over.

    Gained: a node that answers by fewer rules than its hospital wrote. It answers by none, until it is corrected.
    """
    path = rig.home / POLICY_FILE
    path.unlink() if WRONG[what] is None else path.write_text(WRONG[what])
    assert notes(rig, announce(request(1), slot=1)) == [Note.NOTE_WITHHELD_POLICY]
    path.write_text(POLICY)
    assert notes(rig, announce(request(2), slot=2)) == []


# --- the state


def keeper_of(rig):
    """Return what signs for a node."""
    return Keeper(
        member=rig.site, identity=key_of(rig.site), federation=NAME, connection=rig.connection, clock=lambda: rig.now
    )


def hear_heads(rig, *signed):
    """Have a node hear the heads that others hold."""
    heads = Heads(member=rig.site, identity=key_of(rig.site), connection=rig.connection, clock=lambda: rig.now)
    heads.take(signed, roster)


def test_a_ledger_that_was_put_back(tmp_path):
    """Somebody saves node.db, has questions answered, and puts the old file back, budget and all.

    Gained: the budget again, as often as he likes. The heads that others hold show the node what it had signed.
    """
    rig = Rig(tmp_path / "home")
    assert answers(rig, announce(request(1), slot=1))
    rig.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(rig.home / FILE, tmp_path / "saved")
    assert answers(rig, announce(request(2), slot=2))
    head, spent = keeper_of(rig).checkpoint(), Ledger(connection=rig.connection).spent()
    rig.close()
    for left in rig.home.glob(FILE + "*"):
        left.unlink()
    shutil.copy(tmp_path / "saved", rig.home / FILE)
    again = Rig(rig.home, number=2)
    assert Ledger(connection=again.connection).spent() < spent  # the attack's means are real
    hear_heads(again, head)
    assert notes(again, announce(request(3), slot=1, number=2)) == [Note.NOTE_WITHHELD_POLICY]
    again.close()


def test_a_ledger_that_was_deleted(tmp_path):
    """Somebody deletes node.db, so that the node begins anew with a whole budget.

    Gained: the same, without a copy to keep. An empty log is another one than the node signed.
    """
    rig = Rig(tmp_path / "home")
    assert answers(rig, announce(request(1), slot=1))
    head = keeper_of(rig).checkpoint()
    rig.close()
    for left in rig.home.glob(FILE + "*"):
        left.unlink()
    again = Rig(rig.home, number=2)
    assert Ledger(connection=again.connection).spent() == 0
    hear_heads(again, head)
    assert Audit(connection=again.connection).halted
    assert notes(again, announce(request(2), slot=1, number=2)) == [Note.NOTE_WITHHELD_POLICY]
    assert keeper_of(again).checkpoint() is None
    again.close()


def test_a_charge_that_was_made_smaller(rig):
    """Somebody edits the ledger: a charge of less, a charge removed.

    Gained: budget back. The rows refuse it; done past them, the chain names the row, and the node does not start.
    """
    assert answers(rig, announce(request(1), slot=1))
    ledger = Ledger(connection=rig.connection)
    for statement in ("UPDATE charges SET units = 0", "DELETE FROM charges"):
        with pytest.raises(Exception, match="append-only"):
            rig.connection.execute(statement)
    assert ledger.verify() is None
    rig.connection.execute("DROP TRIGGER charges_never_changes")
    rig.connection.execute("UPDATE charges SET units = 0")
    assert ledger.verify() == 1


def test_two_nodes_with_one_identity(tmp_path):
    """Somebody copies the node's home to a second machine and runs both, each with its own copy of the ledger.

    Gained: twice the budget, and two samples of noise for one question. Whichever hears of what the other signed halts.
    """
    rig = Rig(tmp_path / "home")
    assert answers(rig, announce(request(1), slot=1))
    rig.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(rig.home, tmp_path / "copy")
    twin = Rig(tmp_path / "copy", number=2)
    assert answers(twin, announce(request(2), slot=1, number=2))
    assert answers(rig, announce(request(3), slot=2))
    mine, theirs = keeper_of(rig).checkpoint(), keeper_of(twin).checkpoint()
    hear_heads(rig, theirs)
    hear_heads(twin, mine)
    assert (Audit(connection=rig.connection).halted, Audit(connection=twin.connection).halted) == (True, True)
    assert notes(rig, announce(request(4), slot=3)) == [Note.NOTE_WITHHELD_POLICY]
    assert notes(twin, announce(request(4), slot=2, number=2)) == [Note.NOTE_WITHHELD_POLICY]
    rig.close()
    twin.close()


# --- whom it counts


def crowded(*names, version=roster.version + 1):
    """Return a later roster that the registrar signed with more hospitals on it."""
    also = (member(name, Role.ROLE_NODE) for name in names)
    members = tuple(sorted((*roster.members, *also), key=lambda each: each.id))
    return replace(roster, version=version, members=members)


def test_invented_newcomers_reach_no_minimum(tmp_path):
    """Registrar and coordinator together put invented hospitals on the roster, to hide one real one among them.

    Gained: this hospital's own figures behind a minimum that looks kept. They count only after days in which the
    operator may notice them.
    """
    held = crowded("fake-one", "fake-two", "fake-three")
    rig = Rig(tmp_path / "home", number=0)
    strict = POLICY.replace("newcomer_days = 0", "newcomer_days = 7").replace(
        "minimum_hospitals = 3", "minimum_hospitals = 5"
    )
    (rig.home / POLICY_FILE).write_text(strict)
    with transaction(rig.connection):
        meet(rig.connection, roster, NOW)
        meet(rig.connection, held, NOW)
    rig.sit(1, held)
    sites = tuple(sorted(held.nodes))
    asked = {"sites": sites, "minimum": 5, "expires_at": NOW + 20 * DAY}
    withheld = announce(request(1, **asked), held=held)
    assert notes(rig, withheld, held) == [Note.NOTE_WITHHELD_POLICY]
    rig.now = NOW + 7.0 * DAY
    later = lasting(held, NOW + 30 * DAY)
    rig.sit(2, later)
    answered = announce(request(2, **asked | {"minimum": 7}), held=later, number=2, deadline=NOW + 7 * DAY + 60)
    assert notes(rig, answered, later) == []
    rig.close()


def lasting(held, until):
    """Return the next roster, on which every certificate and mandate lasts until then."""
    members = (
        replace(each, expires_at=until, mandate=each.mandate and replace(each.mandate, expires_at=until))
        for each in held.members
    )
    return replace(held, version=held.version + 1, members=tuple(members))


ALONE = {
    "GROUP BY site": plan(keys=(SiteKey(sites=HOSPITALS),)),
    "WHERE site": plan(where=SiteIs(attribute=None, codes=("brest",))),
    "WHERE site is not": plan(where=SiteIs(attribute=None, codes=("aden", "cork", "dover"))),
    "a country with one hospital": plan(keys=(AttributeKey(attribute="country"),)),
    "two parts whose difference is one hospital": plan(
        parts=(plan().parts[0], replace(plan().parts[0], where=SiteIs(attribute=None, codes=("aden", "cork", "dover"))))
    ),
}


@pytest.mark.parametrize("what", ALONE)
def test_a_group_that_matches_one_hospital(rig, what):
    """An analyst groups, or filters, so that one hospital stands alone, or is the difference of two groups.

    Gained: the hospital's own total, which its policy keeps to itself.
    """
    rig_policy = rig.home / POLICY_FILE
    rig_policy.write_text(POLICY.replace("own_row = true", "own_row = false"))
    asked = request(1, plan=encode(ALONE[what]))
    assert notes(rig, announce(asked, slot=1)) == [Note.NOTE_OWN_ROW_WITHHELD]
    rig_policy.write_text(POLICY)
    assert notes(rig, announce(replace(asked, id=bytes(15) + b"\2"), slot=2)) == []
