"""A log's Merkle tree (RFC 6962, section 2.1): its root, and proofs that it holds a leaf or continues an earlier one.

A tree is read through the hashes of its complete subtrees, which never change as it grows: level 0 are the leaves,
and what stands at ``position`` of level k covers leaves ``position * 2^k`` to ``(position + 1) * 2^k - 1``. Proofs are
made and verified as the RFC has it, and held against the vectors of its reference implementation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from protocols.errors import Rejected

HASH_BYTES = 32

MOST_LEAVES = 1 << 62
"""Most leaves of a tree."""

EMPTY = hashlib.sha256().digest()
"""Root of the tree without a leaf."""

Subtrees = Callable[[int, int], bytes]
"""Returns the hash of the complete subtree at a level and position."""


def leaf(entry: bytes) -> bytes:
    """Return the hash of a leaf.

    Guarantee: no inner node can pass for a leaf, nor the other way round: each is hashed behind its own byte. Test:
    tests/protocols/test_merkle.py::test_an_inner_node_does_not_pass_for_a_leaf.
    """
    return hashlib.sha256(b"\x00" + entry).digest()


def inner(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def grown(size: int, hashed: bytes, at: Subtrees) -> Iterator[tuple[int, int, bytes]]:
    """Yield level, position and hash of the subtrees that a leaf completes in a tree that had ``size`` leaves."""
    level, position = 0, size
    yield level, position, hashed
    while position & 1:
        hashed = inner(at(level, position - 1), hashed)
        level, position = level + 1, position >> 1
        yield level, position, hashed


def root(size: int, at: Subtrees) -> bytes:
    """Return the root of the tree of the first ``size`` leaves."""
    return _range(0, size, at) if size else EMPTY


def inclusion(index: int, size: int, at: Subtrees) -> list[bytes]:
    """Return the proof that leaf ``index`` (from 0) stands in the tree of ``size`` leaves: section 2.1.1."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    proof, low, high = [], 0, size
    while high - low > 1:
        split = low + _split(high - low)
        if index < split:
            proof.append(_range(split, high, at))
            high = split
        else:
            proof.append(_range(low, split, at))
            low = split
    return proof[::-1]


def consistency(old: int, new: int, at: Subtrees) -> list[bytes]:
    """Return the proof that the tree of ``new`` leaves continues the one of ``old`` leaves: section 2.1.2."""
    if not 0 < old <= new:
        raise ValueError("no such trees")
    proof, low, high, whole = [], 0, new, True
    while old < high:
        split = low + _split(high - low)
        if old <= split:
            proof.append(_range(split, high, at))
            high = split
        else:
            proof.append(_range(low, split, at))
            low, whole = split, False
    if not whole:
        proof.append(_range(low, high, at))
    return proof[::-1]


def verify_inclusion(hashed: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Raise Rejected("bad-proof") unless ``hashed`` is leaf ``index`` of the tree of this size and root.

    Guarantee: no other leaf, place, size or root is accepted unless two inputs of SHA-256 collide. Tests:
    tests/protocols/test_merkle.py::test_a_proof_of_inclusion_holds_for_one_leaf_at_one_place,
    tests/protocols/test_merkle.py::test_the_reference_proofs_of_inclusion_hold.
    """
    _check(proof, size)
    if not 0 <= index < size:
        raise Rejected("bad-proof", "no such leaf")
    found, position, last = hashed, index, size - 1
    for sibling in proof:
        if not last:
            raise Rejected("bad-proof", "inclusion: too long")
        if position & 1 or position == last:
            found = inner(sibling, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = inner(found, sibling)
        position, last = position >> 1, last >> 1
    if last or found != expected:
        raise Rejected("bad-proof", "inclusion")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise Rejected("bad-proof") unless the tree of ``new`` leaves continues that of ``old`` leaves.

    Guarantee: a tree in which one of the first ``old`` leaves is another, missing or moved is not accepted unless two
    inputs of SHA-256 collide. Tests:
    tests/protocols/test_merkle.py::test_a_proof_of_consistency_fails_for_every_rewritten_log,
    tests/protocols/test_merkle.py::test_the_reference_proofs_of_consistency_hold.
    """
    _check(proof, new)
    if not 0 <= old <= new:
        raise Rejected("bad-proof", "consistency: it shrank")
    if old in (0, new):
        if proof or (old == new and old_root != new_root) or (not old and old_root != EMPTY):
            raise Rejected("bad-proof", "consistency")
        return
    path = list(proof)
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    # The old tree of a power of two leaves is itself a subtree, which the proof then leaves out.
    was = now = path.pop(0) if position and path else old_root
    for sibling in path:
        if not last:
            raise Rejected("bad-proof", "consistency: too long")
        if position & 1 or position == last:
            was, now = inner(sibling, was), inner(sibling, now)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            now = inner(now, sibling)
        position, last = position >> 1, last >> 1
    if last or was != old_root or now != new_root:
        raise Rejected("bad-proof", "consistency")


def _check(proof: Sequence[bytes], size: int) -> None:
    if size > MOST_LEAVES or len(proof) > size.bit_length() + 1 or any(len(each) != HASH_BYTES for each in proof):
        raise Rejected("bad-proof", "out of form")


def _split(count: int) -> int:
    """Return the greatest power of two below ``count``, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _range(low: int, high: int, at: Subtrees) -> bytes:
    """Return the hash over leaves ``low`` to ``high - 1``, whose bounds come from splitting a tree that starts at 0."""
    count = high - low
    if not count & (count - 1):
        level = count.bit_length() - 1
        return at(level, low >> level)
    split = low + _split(count)
    return inner(_range(low, split, at), _range(split, high, at))
