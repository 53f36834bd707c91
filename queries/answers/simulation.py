"""Draws that follow from a released sum: for intervals and p-values that have no formula.

They are post-processing of numbers that are public already, seeded by those numbers, so one release always reads the
same. They hide nothing: the noise that protects patients is drawn in ``node/noise.py`` and nowhere else.
"""

from __future__ import annotations

import hashlib

import numpy as np

Draws = np.random.Generator
"""A stream of draws."""


def generator(seed: bytes, label: bytes) -> Draws:
    """Return a stream of draws for one use of one release.

    ``seed`` is ``Sums.seed``; ``label`` tells uses apart, so that two statistics of one release draw independently.
    """
    digest = hashlib.sha256(len(label).to_bytes(4) + label + seed).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16])))
