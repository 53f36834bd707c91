"""The name of a network's layers: what a hospital's policy allows, whatever the network is trained to tell."""

from __future__ import annotations

import hashlib

from queries.asked.canonical import encode
from queries.asked.plan import Layer

LABEL = b"farr1/network\0"


def network_of(layers: tuple[Layer, ...]) -> bytes:
    """Return the digest of a network's layers, in order: 32 bytes.

    Guarantee: two networks that are not the same, layer by layer, have two names. Test:
    tests/node/test_runs.py::test_a_network_is_named_by_each_of_its_layers.
    """
    return hashlib.sha256(LABEL + b",".join(map(encode, layers))).digest()
