"""Masks: keystreams in place, bound to one announcement."""

from __future__ import annotations

import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from protocols.farrsum.masks import CHUNK, STREAMS, WORTH_THREADS, expand

TAU = bytes(range(32))
SEED = b"seed" * 8


def stream(seed, tau, entries):
    """Return a keystream in one piece."""
    key = hmac.digest(seed, b"farr1/expand" + tau, "sha256")
    text = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * entries))
    return np.frombuffer(text, dtype="<u8")


@pytest.mark.parametrize("entries", [0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_chunks_make_one_stream(entries):
    """At every length around the edge of a chunk the mask is the one keystream of its seed."""
    vector = np.arange(entries, dtype=np.uint64)
    expand(vector, [(SEED, 1)], TAU)
    assert np.array_equal(vector, np.arange(entries, dtype=np.uint64) + stream(SEED, TAU, entries))


@given(
    signs=st.lists(st.sampled_from([1, -1]), max_size=5),
    start=st.lists(st.sampled_from([0, 1, 1 << 63, (1 << 64) - 1]), max_size=5),
)
def test_masks_add_up_modulo_two_to_the_64(signs, start):
    """Every mask is added or taken away by its sign, wrapping around; the opposite signs give the vector back."""
    vector = np.array(start, dtype=np.uint64)
    seeds = [(bytes([place]) * 32, sign) for place, sign in enumerate(signs)]
    expand(vector, seeds, TAU)
    exact = [
        (value + sum(sign * int(stream(seed, TAU, len(start))[place]) for seed, sign in seeds)) % (1 << 64)
        for place, value in enumerate(start)
    ]
    assert vector.tolist() == exact
    expand(vector, [(seed, -sign) for seed, sign in seeds], TAU)
    assert vector.tolist() == start


def test_many_masks_are_all_there():
    """More masks than are expanded at a time are each counted once."""
    seeds = [(number.to_bytes(32, "big"), 1 if number % 3 else -1) for number in range(2 * STREAMS + 3)]
    vector = np.zeros(3, dtype=np.uint64)
    expand(vector, seeds, TAU)
    exact = np.zeros(3, dtype=np.uint64)
    for seed, sign in seeds:
        exact = exact + stream(seed, TAU, 3) if sign > 0 else exact - stream(seed, TAU, 3)
    assert np.array_equal(vector, exact)


def test_a_mask_belongs_to_one_announcement():
    """Masks of one seed under two announcements do not cancel in any entry."""
    vector = np.zeros(64, dtype=np.uint64)
    expand(vector, [(SEED, 1)], TAU)
    expand(vector, [(SEED, -1)], TAU[:-1] + b"\xff")
    assert np.all(vector != 0)


def test_a_mask_belongs_to_one_seed():
    """Masks of two seeds in one announcement do not cancel in any entry."""
    vector = np.zeros(64, dtype=np.uint64)
    expand(vector, [(SEED, 1), (SEED[:-1] + b"\0", -1)], TAU)
    assert np.all(vector != 0)


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_threads_make_the_same_bytes(threads, extra):
    """However many threads share the work, and wherever a part ends, the vector is the same."""
    seeds = [(bytes([place]) * 32, 1 if place % 3 else -1) for place in range(12)]
    entries = 4 * CHUNK + extra
    assert 8 * entries * len(seeds) > WORTH_THREADS
    alone, shared = np.zeros(entries, dtype=np.uint64), np.zeros(entries, dtype=np.uint64)
    expand(alone, seeds, TAU)
    expand(shared, seeds, TAU, threads=threads)
    assert np.array_equal(alone, shared)
