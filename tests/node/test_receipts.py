"""What a node shows of its log: checkpoints and receipts, and that nothing else leaves."""

from __future__ import annotations

import json

import numpy as np
import pytest

from node.authority import policy
from node.books.audit import ANSWERED, DETAIL, EQUIVOCATION, RELEASED, Audit
from node.books.evidence import Keeper
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state, transaction
from node.gate import Gate, Withheld
from protocols import announcement as announcements
from protocols import checkpoint as checkpoints
from protocols import receipt as receipts
from protocols import release as releases
from protocols import ring
from protocols.release import Release
from protocols.wire_pb2 import NodeMessage, Receipt, Signed
from tests.node import rig


@pytest.fixture
def node(tmp_path):
    """A node that answered the round of slot 1."""
    made = rig.Rig(tmp_path / "node")
    made.signed = rig.announce()
    made.answer(made.signed)
    yield made
    made.close()


def keeper_of(node):
    """Return what signs for a node."""
    return Keeper(
        member=node.site,
        identity=rig.key_of(node.site),
        federation=rig.NAME,
        connection=node.connection,
        clock=lambda: node.now,
    )


def release_of(announcement, *, key="convener", count=7):
    """Return the coordinator's release of a round."""
    asked = announcements.read(announcement, roster=rig.roster, now=rig.NOW)
    made = Release(
        id=asked.request.id,
        announcement=announcement,
        vector=ring.to_ring(np.full(2, count, dtype=np.int64)),
        contributors=rig.HOSPITALS,
        notes={},
        released_at=rig.NOW,
        seconds=1.0,
    )
    return releases.write(made, rig.roster, rig.key_of(key))


def read(receipt):
    """Return what a receipt proves."""
    key = rig.key_of(rig.SITE).public
    return receipts.read(receipt, member=rig.SITE, federation=rig.NAME, public_key=key)


def kinds(node):
    """Return the kinds of a node's entries."""
    return [entry.kind for entry in Audit(connection=node.connection).entries()]


def test_a_checkpoint_is_of_the_log_and_the_ledger_and_continues_the_last(node):
    """Its size, root and ledger are the state's; the next one proves that it continues it; none is signed twice."""
    first = keeper_of(node).checkpoint()
    assert keeper_of(node).checkpoint() == first
    node.answer(rig.announce(rig.request(2), slot=2))
    second = checkpoints.read(keeper_of(node).checkpoint(), roster=rig.roster)
    audit, ledger = Audit(connection=node.connection), Ledger(connection=node.connection)
    assert (second.size, second.root) == (audit.head()[0], audit.log.root(audit.head()[0]))
    assert (second.charges, second.ledger) == ledger.head()
    assert checkpoints.continues(checkpoints.read(first, roster=rig.roster), second)


def test_a_receipt_is_for_the_round_that_was_answered(node):
    """It proves what was answered at what cost, and which release it became part of."""
    signed = release_of(node.signed)
    (receipt,) = keeper_of(node).released([signed], rig.roster)
    proved = read(receipt)
    (answered,), (released,) = proved.of(ANSWERED), proved.of(RELEASED)
    (charge,) = Ledger(connection=node.connection).charges()
    assert answered.facts["units"] == charge.units > 0
    assert answered.facts["policy"] == policy.load(node.home / policy.FILE).digest.hex()
    assert released.facts["release"] == releases.digest_of(signed).hex()
    assert receipt.announcement == announcements.tau(node.signed)


def test_a_release_that_is_not_of_this_round_gets_no_receipt(node):
    """Of a round that was not answered here, or signed by another: nothing is entered."""
    other = rig.announce(rig.request(2), slot=2)
    before = kinds(node)
    assert keeper_of(node).released([release_of(other), release_of(node.signed, key="cork")], rig.roster) == []
    assert kinds(node) == before


def test_the_same_release_again_is_entered_once(node):
    """A receipt may be asked for again; the log does not grow by it."""
    signed = release_of(node.signed)
    (first,) = keeper_of(node).released([signed, signed], rig.roster)
    (again,) = keeper_of(node).released([signed], rig.roster)
    assert first == again
    assert kinds(node).count(RELEASED) == 1


def test_two_releases_of_a_round_are_kept_as_equivocation(node):
    """The coordinator signed two sums of one round: both are named, once, and no receipt speaks for the second."""
    keeper = keeper_of(node)
    keeper.released([release_of(node.signed)], rig.roster)
    for _ in range(2):
        assert keeper.released([release_of(node.signed, count=8)], rig.roster) == []
    assert kinds(node).count(EQUIVOCATION) == 1


def test_a_receipt_shows_public_facts_only(node):
    """Why an answer was withheld is an entry of its own, for the operator alone."""
    (node.home / policy.FILE).write_text("nonsense")
    withheld = rig.announce(rig.request(2), slot=2)
    node.answer(withheld)
    assert kinds(node)[-2:] == [ANSWERED, DETAIL]
    (receipt,) = keeper_of(node).released([release_of(withheld)], rig.roster)
    shown = receipt.SerializeToString()
    assert b"nonsense" not in shown
    assert b"detail" not in shown
    assert {each.kind for each in receipt.entries} == {ANSWERED, RELEASED}


def test_a_round_of_training_gets_its_receipt(tmp_path):
    """It says which round of which run was answered, as the request does, and nothing more."""
    from tests.node.trained import RUN, round_, trainer

    node = trainer(tmp_path / "node")
    signed = rig.announce(round_(2))
    node.answer(signed)
    (receipt,) = keeper_of(node).released([release_of(signed)], rig.roster)
    (answered,) = read(receipt).of(ANSWERED)
    assert answered.facts["run"] == RUN.hex()
    assert (answered.facts["run_round"], answered.facts["run_rounds"]) == (2, 3)
    assert answered.facts["units"] > 0
    node.close()


@pytest.fixture
def gate(node):
    """The way out, over a connection of its own."""
    connection = read_state(node.home)
    yield Gate(
        member=node.site,
        ledger=Ledger(connection=connection),
        promises=Promises(connection=connection),
        policy_file=node.home / policy.FILE,
        tables=("stay",),
    )
    connection.close()


def test_only_committed_evidence_leaves(node, gate):
    """A receipt, a checkpoint or a witness leaves as it was committed, and with nothing changed or added."""
    (receipt,) = keeper_of(node).released([release_of(node.signed)], rig.roster)
    assert gate.release(NodeMessage(receipt=receipt)).receipt == receipt
    assert gate.release(NodeMessage(checkpoint=receipt.checkpoint)).checkpoint == receipt.checkpoint
    changed = Receipt.FromString(receipt.SerializeToString())
    changed.entries[0].facts = json.dumps({"patient": "42"})
    longer = Receipt.FromString(receipt.SerializeToString())
    longer.entries.append(Audit(connection=node.connection).log.shown(1, 2))
    unsigned = Signed.FromString(receipt.checkpoint.SerializeToString())
    unsigned.signature = bytes(64)
    for message in (
        NodeMessage(receipt=changed),
        NodeMessage(receipt=longer),
        NodeMessage(checkpoint=unsigned),
        NodeMessage(witness=receipt.checkpoint),
    ):
        with pytest.raises(Withheld):
            gate.release(message)


def test_evidence_that_is_not_yet_committed_does_not_leave(node, gate):
    """A checkpoint inside an open transaction is not known to the gate."""
    with pytest.raises(Withheld), transaction(node.connection):
        signed = keeper_of(node)._sign()
        gate.release(NodeMessage(checkpoint=signed))
