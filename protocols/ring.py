"""Vectors modulo 2^64: added without ever overflowing, read back as signed numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.errors import Rejected

Ring = NDArray[np.uint64]

ENTRY_BYTES = 8


def to_ring(values: NDArray[np.int64]) -> Ring:
    """Return signed numbers as residues modulo 2^64."""
    return values.astype(np.int64, copy=False).view(np.uint64)


def centred(values: Ring) -> NDArray[np.int64]:
    """Return residues as the signed numbers between -2^63 and 2^63 - 1."""
    return values.view(np.int64)


def add(one: Ring, other: Ring) -> Ring:
    """Add two vectors of one length modulo 2^64."""
    return np.add(one, other, dtype=np.uint64)


def pack(values: Ring) -> bytes:
    """Return 8 bytes an entry, little endian."""
    return values.astype("<u8", copy=False).tobytes()


def view(values: Ring) -> memoryview:
    """Return the same bytes as ``pack``, without a copy where the machine is little endian."""
    return np.ascontiguousarray(values, dtype="<u8").data.cast("B")


def unpack(data: bytes | bytearray | memoryview, entries: int) -> Ring:
    """Read back exactly ``entries`` entries; raise Rejected for another length."""
    if len(data) != entries * ENTRY_BYTES:
        raise Rejected("wrong-length", f"{len(data)} bytes for {entries} entries")
    return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)
