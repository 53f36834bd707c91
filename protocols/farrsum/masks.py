"""Masks: AES-256-CTR keystreams added to or taken from a vector modulo 2^64, in place."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.farrsum import labels
from protocols.ring import ENTRY_BYTES, Ring

CHUNK = 1 << 14
"""Entries masked at a time: 128 KiB of keystream and of vector stay in the processor's second cache for all masks."""

STREAMS = 256
"""Keystreams open at a time: enough for each pass over the vector to be worth it, few enough to stay in the cache."""

WORTH_THREADS = 1 << 22
"""Bytes of keystream from which a second thread pays for its start; the cipher releases the interpreter lock."""

_ZEROS = bytes(CHUNK * ENTRY_BYTES)

SignedSeed = tuple[bytes, int]
"""The seed of a mask, and whether it is added (1) or taken away (-1)."""


def expand(vector: Ring, seeds: Sequence[SignedSeed], tau: bytes, *, threads: int = 1) -> None:
    """Add or take away the masks of all ``seeds`` in the round ``tau``, in place.

    Guarantee: each keystream depends on the whole announcement, so hospitals that were shown different announcements
    make masks that do not cancel, and no keystream serves two rounds.
    Test: tests/protocols/farrsum/test_masks.py::test_a_mask_belongs_to_one_announcement.
    """
    keys = [(hmac.digest(seed, labels.EXPAND + tau, "sha256"), sign) for seed, sign in seeds]
    if threads == 1 or vector.nbytes * len(keys) < WORTH_THREADS:
        _expand_part(vector, 0, keys)
        return
    share = -(-len(vector) // (threads * CHUNK)) * CHUNK
    with ThreadPoolExecutor(threads) as pool:
        parts = [
            pool.submit(_expand_part, vector[start : start + share], start, keys)
            for start in range(0, len(vector), share)
        ]
        for part in parts:
            part.result()


def _expand_part(part: Ring, offset: int, keys: Sequence[SignedSeed]) -> None:
    # A key serves one stream only, so its counter may start at zero; a later part of the vector starts where the
    # stream would have been (two entries a cipher block).
    counter = modes.CTR((offset * ENTRY_BYTES // 16).to_bytes(16, "big"))
    buffer = np.empty(min(CHUNK, len(part)) + 2, dtype=np.uint64)  # the cipher wants a block more than it fills
    raw = buffer.view(np.uint8).data
    for first in range(0, len(keys), STREAMS):
        streams = [
            (Cipher(algorithms.AES(key), counter).encryptor().update_into, np.add if sign > 0 else np.subtract)
            for key, sign in keys[first : first + STREAMS]
        ]
        for start in range(0, len(part), CHUNK):
            piece = part[start : start + CHUNK]
            zeros, keystream = _ZEROS[: piece.nbytes], buffer[: len(piece)]
            for encrypt, combine in streams:
                encrypt(zeros, raw)
                combine(piece, keystream, piece)
