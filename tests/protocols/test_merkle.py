"""RFC 6962 trees, held against the vectors of the certificate-transparency reference implementation."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import merkle
from protocols.errors import Rejected

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSIONS = [
    (1, 1, []),
    (1, 8, [A, B, C]),
    (6, 8, [D, E, ROOTS[3]]),
    (3, 3, [ROOTS[1]]),
    (2, 5, [ROOTS[0], B, D]),
]
"""Number of the leaf (from 1), size, proof."""
CONSISTENCIES = [
    (1, 1, []),
    (1, 8, [A, B, C]),
    (6, 8, [F, E, ROOTS[3]]),
    (2, 5, [B, D]),
]
"""Sizes, proof."""


class Grown:
    """A tree in memory."""

    def __init__(self, entries=()):
        """Grow it leaf by leaf."""
        self.kept = {}
        self.size = 0
        for entry in entries:
            for level, position, hashed in merkle.grown(self.size, merkle.leaf(entry), self.at):
                self.kept[level, position] = hashed
            self.size += 1

    def at(self, level, position):
        """Return a complete subtree's hash."""
        return self.kept[level, position]

    def root(self, size=None):
        """Return the root at a size."""
        return merkle.root(self.size if size is None else size, self.at)


def refused(check, *arguments):
    """Tell whether a proof is refused."""
    try:
        check(*arguments)
    except Rejected as rejected:
        return rejected.code == "bad-proof"
    return False


def hexes(proof):
    """Return a proof as the vectors write it."""
    return [each.hex() for each in proof]


def unhexed(proof):
    """Return a proof as bytes."""
    return [bytes.fromhex(each) for each in proof]


def test_the_reference_roots_are_met():
    """The roots of the eight known leaves, at every size; the empty tree's is the hash of nothing."""
    tree = Grown(LEAVES)
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS
    assert Grown().root() == hashlib.sha256(b"").digest()


@pytest.mark.parametrize(("number", "size", "proof"), INCLUSIONS)
def test_the_reference_proofs_of_inclusion_hold(number, size, proof):
    """The proofs are made as the reference makes them, and hold."""
    tree = Grown(LEAVES)
    assert hexes(merkle.inclusion(number - 1, size, tree.at)) == proof
    hashed = merkle.leaf(LEAVES[number - 1])
    merkle.verify_inclusion(hashed, number - 1, size, unhexed(proof), bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCIES)
def test_the_reference_proofs_of_consistency_hold(old, new, proof):
    """The proofs are made as the reference makes them, and hold."""
    tree = Grown(LEAVES)
    assert hexes(merkle.consistency(old, new, tree.at)) == proof
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    merkle.verify_consistency(old, new, unhexed(proof), *roots)


def test_an_inner_node_does_not_pass_for_a_leaf():
    """The bytes under an inner node, offered as an entry, hash to something else."""
    left, right = merkle.leaf(b"a"), merkle.leaf(b"b")
    assert merkle.leaf(left + right) != merkle.inner(left, right)


def test_all_proofs_of_small_trees_hold():
    """Every leaf at every size, and every pair of sizes."""
    entries = [bytes([number]) for number in range(20)]
    tree = Grown(entries)
    for size in range(1, 21):
        for index in range(size):
            proof = merkle.inclusion(index, size, tree.at)
            merkle.verify_inclusion(merkle.leaf(entries[index]), index, size, proof, tree.root(size))
        for old in range(1, size + 1):
            proof = merkle.consistency(old, size, tree.at)
            merkle.verify_consistency(old, size, proof, tree.root(old), tree.root(size))
    merkle.verify_consistency(0, 20, [], merkle.EMPTY, tree.root())


def test_a_proof_of_inclusion_holds_for_one_leaf_at_one_place():
    """Another leaf, another place, another root, a proof with an element less, more or changed: all are refused."""
    entries = [bytes([number]) for number in range(13)]
    tree = Grown(entries)
    for index in range(13):
        proof = merkle.inclusion(index, 13, tree.at)
        right = merkle.leaf(entries[index])
        for other in range(13):
            if other != index:
                assert refused(merkle.verify_inclusion, merkle.leaf(entries[other]), index, 13, proof, tree.root())
                assert refused(merkle.verify_inclusion, right, other, 13, proof, tree.root())
        assert refused(merkle.verify_inclusion, right, index, 13, proof, tree.root(12))
        assert refused(merkle.verify_inclusion, right, index, 13, proof[:-1], tree.root())
        assert refused(merkle.verify_inclusion, right, index, 13, [*proof, bytes(32)], tree.root())
        assert refused(merkle.verify_inclusion, right, index, 13, [bytes(32), *proof[1:]], tree.root())
        assert refused(merkle.verify_inclusion, right, index, index, proof, tree.root())


@given(old=st.integers(1, 24), more=st.integers(0, 24), data=st.data())
def test_a_proof_of_consistency_fails_for_every_rewritten_log(old, more, data):
    """A log whose past was changed cannot show that it continues what was signed, with its own proof or any mix."""
    new = old + more
    honest = Grown(number.to_bytes(2, "big") for number in range(new))
    changed = data.draw(st.integers(0, old - 1))
    forged = Grown(b"x" if number == changed else number.to_bytes(2, "big") for number in range(new))
    for prover in (honest, forged):
        proof = merkle.consistency(old, new, prover.at)
        assert refused(merkle.verify_consistency, old, new, proof, honest.root(old), forged.root(new))
    assert refused(merkle.verify_consistency, new + 1, new, [], honest.root(), honest.root())


@given(
    proof=st.lists(st.binary(min_size=31, max_size=33), max_size=70),
    first=st.integers(-1, 1 << 63),
    second=st.integers(-1, 1 << 63),
)
def test_any_proof_whatever_is_refused_and_nothing_else_happens(proof, first, second):
    """Bytes from anybody: a refusal with its code, never another error, never an endless loop."""
    assert refused(merkle.verify_inclusion, bytes(32), first, second, proof, bytes(32))
    if first != second:
        assert refused(merkle.verify_consistency, first, second, proof, bytes(32), bytes(range(32)))
