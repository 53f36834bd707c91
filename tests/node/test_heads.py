"""Heads: a rewritten log of another is refused and kept; a node that was itself rolled back answers nothing."""

from __future__ import annotations

import contextlib
import json
import shutil

import pytest

from node.authority import policy
from node.books.audit import EQUIVOCATION, RECOVERED, ROLLED_BACK, Audit
from node.books.evidence import Keeper
from node.books.heads import Heads
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.recovery import loss_of, recover
from node.books.state import FILE, StateError, read_state
from node.gate import Gate
from protocols import checkpoint as checkpoints
from protocols import upload as uploads
from protocols.errors import Rejected
from protocols.wire_pb2 import Heads as HeadsMessage
from protocols.wire_pb2 import Note
from protocols.wire_pb2 import Upload as UploadMessage
from tests.node import rig
from tests.protocols.test_checkpoint import of, tree_of


@pytest.fixture
def node(tmp_path):
    """A node that has answered once."""
    made = rig.Rig(tmp_path / "node")
    made.answer(rig.announce())
    yield made
    made.close()


def heads_of(node):
    """Return what holds a node's heads."""
    return Heads(member=node.site, identity=rig.key_of(node.site), connection=node.connection, clock=lambda: node.now)


def keeper_of(node):
    """Return what signs for a node."""
    return Keeper(
        member=node.site,
        identity=rig.key_of(node.site),
        federation=rig.NAME,
        connection=node.connection,
        clock=lambda: node.now,
    )


def signed_by(member, tree, size, previous=0, **changes):
    """Return a member's signed checkpoint of a tree."""
    made = of(tree, size, previous=previous, **({"member": member, "at": rig.NOW + size} | changes))
    return checkpoints.write(made, rig.key_of(member))


def told(node, kind):
    """Return the facts of a node's entries of a kind."""
    return [json.loads(each.facts) for each in Audit(connection=node.connection).entries() if each.kind == kind]


def notes_of(signed):
    """Return what an upload says of itself."""
    return list(UploadMessage.FromString(signed.body).notes)


def test_a_witness_needs_the_proof(node):
    """The first checkpoint of the coordinator is taken as it is; a later one only with the proof that it continues."""
    tree, forged, heads = tree_of(12), tree_of(12, changed=1), heads_of(node)
    first = signed_by("convener", tree, 4)
    witness = checkpoints.read_witness(heads.take([first], rig.roster), roster=rig.roster)
    assert witness.checkpoint == checkpoints.digest_of(first)
    assert heads.take([signed_by("convener", tree, 12, previous=8)], rig.roster) is None
    assert heads.take([signed_by("convener", forged, 12, previous=4)], rig.roster) is None
    assert heads.held("convener")[0] == first
    chain = [signed_by("convener", tree, 8, previous=4), signed_by("convener", tree, 12, previous=8)]
    witness = checkpoints.read_witness(heads.take(chain, rig.roster), roster=rig.roster)
    assert witness.checkpoint == checkpoints.digest_of(chain[1])


def test_a_fork_is_refused_and_kept(node):
    """A second log of the same size: the first is held on to, and both signed checkpoints are in the audit log."""
    heads = heads_of(node)
    first = signed_by("cork", tree_of(6), 6)
    second = signed_by("cork", tree_of(6, changed=2), 6)
    heads.take([first], rig.roster)
    heads.take([second, second], rig.roster)
    assert heads.held("cork")[0] == first
    (entry,) = told(node, EQUIVOCATION)
    assert entry["held"] == checkpoints.digest_of(first).hex()
    assert entry["other"] == checkpoints.digest_of(second).hex()
    assert entry["held_signed"]
    assert entry["other_signed"]


def test_a_shrunk_log_is_refused_and_kept(node):
    """A log that is shorter than it was, and signed later, was put back."""
    heads, tree = heads_of(node), tree_of(9)
    heads.take([signed_by("cork", tree, 9)], rig.roster)
    heads.take([signed_by("cork", tree, 5, at=rig.NOW + 100)], rig.roster)
    assert heads.held("cork")[1].size == 9
    assert len(told(node, EQUIVOCATION)) == 1


def test_an_older_checkpoint_is_nobodys_fault(node):
    """The coordinator may send what it has; what is old is passed over."""
    heads, tree = heads_of(node), tree_of(9)
    heads.take([signed_by("cork", tree, 9, previous=5), signed_by("cork", tree, 5)], rig.roster)
    assert heads.held("cork")[1].size == 9
    assert told(node, EQUIVOCATION) == []


def test_a_checkpoint_that_nobody_signed_changes_nothing(node):
    """Signed with another key, or of nobody: passed over, and nobody is blamed."""
    heads = heads_of(node)
    forged = signed_by("cork", tree_of(6), 6)
    forged.signature = bytes(64)
    assert (
        heads.take([forged, checkpoints.write(of(tree_of(3), 3, member="nobody"), rig.key_of("nobody"))], rig.roster)
        is None
    )
    assert heads.held("cork") is None
    assert told(node, EQUIVOCATION) == []


def test_more_heads_than_a_coordinator_sends_are_refused_unread(node):
    """A message full of them would keep the desk, and the state's lock, for seconds, with a line of log for each."""
    forged = signed_by("cork", tree_of(6), 6)
    forged.signature = bytes(64)
    with pytest.raises(Rejected, match="oversized"):
        heads_of(node).take([forged] * (checkpoints.MOST_TOLD + 1), rig.roster)
    assert heads_of(node).take([forged] * checkpoints.MOST_TOLD, rig.roster) is None


def test_a_heads_table_never_shrinks(node):
    """The state itself refuses it."""
    heads_of(node).take([signed_by("cork", tree_of(9), 9)], rig.roster)
    with pytest.raises(Exception, match="heads rise"):
        node.connection.execute("UPDATE heads SET size = 3")


@pytest.fixture
def rolled_back(tmp_path, node):
    """A node whose state was put back to before its second answer, and what it had signed by then."""
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(node.home / FILE, old / FILE)
    node.answer(rig.announce(rig.request(2), slot=2))
    signed = keeper_of(node).checkpoint()
    node.close()
    made = rig.Rig(old, number=2)
    made.known = signed
    yield made
    made.close()


def ask(node, number):
    """Have a node answer a request, in the epoch that it has a seat in."""
    return node.answer(rig.announce(rig.request(number), slot=number, number=2))


def test_a_node_that_was_rolled_back_answers_nothing(rolled_back):
    """Its own signature says that its log was longer: zeros from then on, at no cost, also after a restart.

    An attacker who puts back an older state would have gained all that was charged since.
    """
    node = rolled_back
    spent = Ledger(connection=node.connection).spent()
    assert heads_of(node).take([node.known], rig.roster) is None
    assert Audit(connection=node.connection).halted
    upload = ask(node, 3)
    assert notes_of(upload) == [Note.NOTE_WITHHELD_POLICY]
    assert node.records.reads == 0
    assert Ledger(connection=node.connection).spent() == spent
    node.close()
    again = rig.Rig(node.home, number=3)
    assert notes_of(again.answer(rig.announce(rig.request(4), slot=4, number=3))) == [Note.NOTE_WITHHELD_POLICY]
    assert again.records.reads == 0
    again.close()


def test_a_node_that_was_rolled_back_says_at_once_that_it_is_paused(rolled_back):
    """Its status follows the heads that told it, so that no round counts on its records; nothing more is said later."""
    node = rolled_back
    heads = HeadsMessage(checkpoints=[node.known])
    said = node.replier.heads(heads, rig.roster)
    assert [message.WhichOneof("kind") for message in said] == ["status"]
    with contextlib.closing(read_state(node.home)) as committed:
        gate = Gate(
            member=node.site,
            ledger=Ledger(connection=committed),
            promises=Promises(connection=committed),
            policy_file=node.home / policy.FILE,
            tables=("stay",),
        )
        assert gate.release(said[0]).status.paused
    assert node.replier.heads(heads, rig.roster) == []


def test_a_rewritten_log_of_the_same_length_is_found_too(rolled_back):
    """The old state went on by itself until it was as long: its root is another."""
    node = rolled_back
    while Audit(connection=node.connection).head()[0] < checkpoints.parsed(node.known).size:
        ask(node, 5 + Audit(connection=node.connection).head()[0])
    heads_of(node).take([node.known], rig.roster)
    assert Audit(connection=node.connection).halted


def test_a_node_that_was_rolled_back_signs_nothing(rolled_back):
    """No checkpoint and no witness: it makes no second history by itself."""
    node = rolled_back
    coordinators = signed_by("convener", tree_of(4), 4)
    assert heads_of(node).take([node.known, coordinators], rig.roster) is None
    assert keeper_of(node).checkpoint() is None
    assert keeper_of(node).released([], rig.roster) == []


def test_a_node_goes_on_after_its_operators_word(rolled_back):
    """What was forgotten is charged, the node answers again, and the same old head does not stop it a second time."""
    node = rolled_back
    heads_of(node).take([node.known], rig.roster)
    loss = loss_of(node.connection)
    assert (loss.forgotten, loss.signed_charges, loss.charges) == (1, 2, 1)
    lifetime = policy.load(node.home / policy.FILE).lifetime_units
    ledger = Ledger(connection=node.connection)
    before = ledger.spent()
    assert recover(node.connection, units=rig.PRICE, lifetime=lifetime, by="Li", at=rig.NOW + 5) == rig.PRICE
    assert ledger.spent() == before + rig.PRICE
    assert told(node, RECOVERED)[0]["by"] == "Li"
    heads_of(node).take([node.known], rig.roster)
    assert len(told(node, ROLLED_BACK)) == 1
    assert notes_of(ask(node, 3)) == []
    assert node.records.reads == 1
    assert keeper_of(node).checkpoint() is not None
    assert Audit(connection=node.connection).verify() is None
    assert ledger.verify() is None


def test_forfeiting_leaves_nothing(rolled_back):
    """All of the budget counts as spent."""
    node = rolled_back
    heads_of(node).take([node.known], rig.roster)
    lifetime = policy.load(node.home / policy.FILE).lifetime_units
    recover(node.connection, units=None, lifetime=lifetime, by="Li", at=rig.NOW + 5)
    assert Ledger(connection=node.connection).spent() == lifetime
    assert notes_of(ask(node, 3)) == [Note.NOTE_WITHHELD_BUDGET]


def test_nothing_is_recovered_where_nothing_was_lost(node):
    """A sound node's budget is not touched."""
    with pytest.raises(StateError):
        recover(node.connection, units=None, lifetime=1 << 40, by="Li", at=rig.NOW)


def test_its_own_head_does_not_stop_a_sound_node(node):
    """The newest, and an older one."""
    first = keeper_of(node).checkpoint()
    node.answer(rig.announce(rig.request(2), slot=2))
    second = keeper_of(node).checkpoint()
    heads_of(node).take([second, first], rig.roster)
    assert not Audit(connection=node.connection).halted
    assert node.answer(rig.announce(rig.request(3), slot=3)).kind == uploads.KIND
