"""What is wrong with a state's files before they are believed: a database that is gone, damaged, or torn at its end.

The newest rows of a state lie in its write-ahead log. SQLite takes whole transactions from it and passes over the rest
without a word, which is right for one that never ended. But a disk that lost what it had confirmed leaves the same
picture: a transaction cut short. Whether it was an answer, and whether the answer had left, nobody can tell then.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = (0x377F0682, 0x377F0683)
"""Little and big endian checksums (SQLite, "The WAL File Format", section 4.1)."""

_PAGES = tuple(1 << power for power in range(9, 17))
"""Sizes that a page may have, in bytes."""


def is_torn(wal: Path) -> bool:
    """Return whether a write-ahead log holds a beginning of a transaction after its last whole one.

    Frames of an earlier use of the file, which SQLite overwrites from the start, have another salt and do not count.

    Guarantee: a log that was cut, or filled with zeros, anywhere within its last transaction of several pages is found.
    Test: tests/crash/test_torn.py::test_every_tear_of_the_last_transaction_is_found.
    """
    try:
        data = wal.read_bytes()
    except FileNotFoundError:
        return False
    if len(data) < _HEADER:
        return bool(data.strip(b"\0"))
    magic, _format, page, _sequence = struct.unpack_from(">4I", data)
    if magic not in _MAGIC or page not in _PAGES:
        return True
    order, salts = ">" if magic & 1 else "<", data[16:24]
    sums = _checksum(order, data[:24], (0, 0))
    if sums != struct.unpack_from(">2I", data, 24):
        return True
    place, ended = _HEADER, True
    while place + _FRAME_HEADER + page <= len(data):
        head = data[place : place + _FRAME_HEADER]
        if head[8:16] != salts:
            return not ended
        sums = _checksum(
            order, data[place + _FRAME_HEADER : place + _FRAME_HEADER + page], _checksum(order, head[:8], sums)
        )
        if sums != struct.unpack_from(">2I", head, 16):
            return True
        (pages,) = struct.unpack_from(">I", head, 4)
        ended, place = pages > 0, place + _FRAME_HEADER + page
    rest = data[place:]
    # A frame that was cut short, unless it is one of an earlier use.
    return not ended or bool(rest and rest[8:16] == salts[: len(rest[8:16])] and rest.strip(b"\0"))


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
