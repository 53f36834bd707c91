"""One way to hash: the suite's hash (SHA-256) over a label and its parts, each with its length in front."""

from __future__ import annotations

from protocols.suite import CURRENT


def digest(label: str, *parts: bytes) -> bytes:
    """Return 32 bytes that no other label or other split of the parts can give.

    Guarantee: the map from (label, parts) to what is hashed is injective. Test:
    tests/protocols/test_hashing.py::test_moving_a_byte_between_parts_changes_the_digest.
    """
    state = CURRENT.hasher()
    for part in (label.encode(), *parts):
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()
