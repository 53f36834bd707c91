"""What a node remembers of the plans that it was asked."""

from __future__ import annotations

from dataclasses import replace

from node.scan.compiled import MOST_KEPT_BYTES, Compiler
from queries.asked.canonical import encode
from queries.asked.plan import Layer, NumberTerm
from queries.cost.accounting import rho_of, units
from tests.node.stays import AGREED, MODELS, pointed, round_of

PRICE = units(rho_of(1.0))


def test_remembered_networks_do_not_fill_the_memory() -> None:
    """A run of a large network: each round has other weights, an eighth of a megabyte of them or more."""
    layers = (Layer(kind="linear", width=4000), Layer(kind="linear", width=1))
    network, age = MODELS["network"], NumberTerm(column="age")
    network = replace(network, outcome=NumberTerm(column="sbp"), terms=(age,), layers=layers)
    compiler = Compiler(catalogue=AGREED)
    newest = b""
    for seed in range(30):
        newest = encode(round_of(pointed(network, seed, 1 << 40), rows=1).plan)
        compiler.compile(newest, PRICE, 1)
    assert 30 * len(newest) > MOST_KEPT_BYTES
    written = sum(len(encode(compiled.plan)) for compiled in compiler.kept.values())
    assert MOST_KEPT_BYTES - len(newest) - 100 < written <= MOST_KEPT_BYTES
    # The newest is among them.
    before = list(compiler.kept)
    compiler.compile(newest, PRICE, 1)
    assert list(compiler.kept) == before
