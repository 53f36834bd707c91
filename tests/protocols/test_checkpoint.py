"""Checkpoints and witnesses: whose they are, and what two of them prove."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import checkpoint as checkpoints
from protocols import merkle
from protocols.checkpoint import Checkpoint, Witness
from protocols.errors import Rejected
from tests.node import rig
from tests.protocols.test_merkle import Grown


def of(tree, size, previous=0, **changes):
    """Return the checkpoint of a tree at a size."""
    proof = tuple(merkle.consistency(previous, size, tree.at)) if previous else ()
    made = Checkpoint(
        federation=rig.NAME,
        member="brest",
        size=size,
        root=tree.root(size),
        at=size,
        previous=previous,
        consistency=proof,
    )
    return replace(made, **changes)


def tree_of(count, changed=None):
    """Return a tree of numbered leaves, one of them changed."""
    return Grown(b"x" if number == changed else bytes([number]) for number in range(count))


def test_a_checkpoint_comes_back_as_it_was_signed():
    """What is read is what was written."""
    made = of(tree_of(9), 9, previous=4, charges=2, ledger=bytes(range(32)))
    assert checkpoints.read(checkpoints.write(made, rig.key_of("brest")), roster=rig.roster) == made


@pytest.mark.parametrize(
    ("change", "key", "signer"),
    [
        ({}, "cork", "brest"),
        ({"member": "cork"}, "brest", "brest"),
        ({"federation": "other"}, "brest", "brest"),
        ({"member": "ada"}, "ada", "ada"),
        ({"previous": 9}, "brest", "brest"),
        ({"charges": 10}, "brest", "brest"),
        ({"root": b"short"}, "brest", "brest"),
    ],
)
def test_a_checkpoint_is_its_keepers_alone(change, key, signer):
    """Signed by another, for another, of another federation, of an analyst, or out of form: refused."""
    made = replace(of(tree_of(9), 9), **change)
    signed = checkpoints.write(made, rig.key_of(key))
    signed.signer = signer
    with pytest.raises(Rejected):
        checkpoints.read(signed, roster=rig.roster)


def test_a_fork_is_found_from_two_checkpoints():
    """Two logs of one size, a proof that does not hold, a ledger that shrank or was changed: all contradict."""
    honest, forged = tree_of(9), tree_of(9, changed=2)
    first = of(honest, 6, charges=2)
    assert not checkpoints.contradicts(first, of(honest, 9, previous=6, charges=3))
    assert not checkpoints.contradicts(first, of(honest, 9, previous=8, charges=3))
    assert checkpoints.contradicts(first, of(forged, 6, charges=2))
    assert checkpoints.contradicts(first, of(forged, 9, previous=6, charges=3))
    assert checkpoints.contradicts(first, of(honest, 9, previous=6, charges=1))
    assert checkpoints.contradicts(first, of(honest, 9, previous=6, charges=2, ledger=b"x" * 32))


def test_only_a_proof_continues():
    """A later checkpoint without the proof, or with that of another log, does not continue."""
    honest, forged = tree_of(9), tree_of(9, changed=2)
    first = of(honest, 6)
    assert checkpoints.continues(first, of(honest, 9, previous=6))
    assert checkpoints.continues(first, first)
    assert not checkpoints.continues(first, of(honest, 9, previous=8))
    assert not checkpoints.continues(first, of(forged, 9, previous=6))
    assert not checkpoints.continues(first, of(honest, 5))
    assert not checkpoints.continues(first, of(honest, 9, previous=6, member="cork"))


def test_a_witness_is_a_hospitals_own():
    """What a hospital signed is read; what another signed for it is not."""
    said = Witness(member="cork", checkpoint=bytes(32), keeper="convener", at=7)
    signed = checkpoints.write_witness(said, federation=rig.NAME, key=rig.key_of("cork"))
    assert checkpoints.read_witness(signed, roster=rig.roster) == said
    signed.signer = "brest"
    with pytest.raises(Rejected):
        checkpoints.read_witness(signed, roster=rig.roster)
