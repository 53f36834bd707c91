"""Every parser that faces another party, under a few hundred inputs each; `make fuzz` tries many more."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.fuzz import at_coordinator, at_node, at_reader
from tests.fuzz.mutation import Mutator
from tests.fuzz.trying import CORPUS, Parser, as_bytes, fuzz
from tests.node import rig

INPUTS = 300
SEED = "quick"

AT_NODE = (
    "announcement", "proposal", "open-epoch", "freeze", "confirm", "unmask", "heads", "release", "roster", "policy",
    "mapping", "app-message", "app-reply",
)  # fmt: skip
AT_COORDINATOR = (
    "upload", "confirmation", "shares", "deposits", "epoch-key", "verdict", "checkpoint", "receipt", "witness",
    "status", "refusal", "hello", "request", "lookup", "list", "apply", "publish",
    "blob-offer", "blob-part", "blob-wanted",
)  # fmt: skip
AT_READER = (
    "plan", "view", "sql", "catalogue", "pack", "token", "token-inside", "application",
    "admission", "description", "proof", "evidence",
    "evidence-file", "release", "log-file", "mandate",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quiet():
    """Write no log of what is refused."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def at_the_node(tmp_path_factory):
    """The node's parsers by name."""
    return {each.name: each for each in at_node.parsers(tmp_path_factory.mktemp("node"))}


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """The parsers of nobody in particular, by name."""
    return {each.name: each for each in at_reader.parsers(tmp_path_factory.mktemp("reader"))}


@pytest.fixture(scope="module")
def at_the_coordinator(tmp_path_factory):
    """The coordinator's parsers by name, and what runs its loop."""
    with asyncio.Runner() as runner:
        stage = at_coordinator.parsers(tmp_path_factory.mktemp("coordinator") / "home")
        yield {each.name: each for each in runner.run(stage.__aenter__())}, runner
        runner.run(stage.__aexit__(None, None, None))


def judged(found):
    """Demand that nothing went wrong, and that seeds were taken: a parser that refuses all is not tested."""
    assert [why for _, why in found.wrong] == []
    assert found.accepted
    assert found.accepted + found.refused == found.inputs


@pytest.mark.parametrize("name", AT_NODE)
def test_what_a_node_reads_of_others_is_taken_or_refused(at_the_node, name):
    """Nothing that a lying coordinator, analyst, hospital or registrar signs crashes or hangs a node."""
    judged(fuzz(at_the_node[f"node/{name}"], Mutator(f"{SEED} {name}", key_of=rig.key_of), INPUTS))


@pytest.mark.parametrize("name", AT_COORDINATOR)
def test_what_a_coordinator_reads_of_others_is_taken_or_refused(at_the_coordinator, name):
    """Nothing that a lying hospital, analyst, applicant or registrar signs crashes or hangs the coordinator."""
    parsers, runner = at_the_coordinator

    async def on_the_loop():
        mutator = Mutator(f"{SEED} {name}", key_of=at_coordinator.key_of)
        return fuzz(parsers[f"coordinator/{name}"], mutator, INPUTS)

    judged(runner.run(on_the_loop()))


@pytest.mark.parametrize("name", AT_READER)
def test_what_anybody_reads_of_others_is_taken_or_refused(readers, name):
    """Plans, views, statements, agreed files, tokens, proofs and evidence: a value, or one of the declared errors."""
    judged(fuzz(readers[name], Mutator(f"{SEED} {name}", key_of=rig.key_of), INPUTS))


def test_every_parser_is_tried(at_the_node, at_the_coordinator, readers):
    """The lists above and the folders of the corpus name the parsers that there are."""
    assert {f"node/{name}" for name in AT_NODE} == at_the_node.keys()
    assert {f"coordinator/{name}" for name in AT_COORDINATOR} == at_the_coordinator[0].keys()
    assert set(AT_READER) == readers.keys()
    known = {name.replace("/", "-") for name in (*at_the_node, *at_the_coordinator[0], *readers)}
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= known


def test_a_parser_that_crashes_or_hangs_is_found():
    """The harness itself: an undeclared error and an endless loop are both reported, with the input."""

    def brittle(data):
        if data == b"loop":
            while True:
                pass
        if data == b"crash":
            raise KeyError("a defect")
        raise ValueError("declared")

    parser = Parser(
        name="brittle", seeds=[b"fine", b"crash", b"loop"], feed=brittle, errors=(ValueError,), mutate=as_bytes
    )
    found = fuzz(parser, Mutator(1), 0)
    assert [data for data, _ in found.wrong] == [b"crash", b"loop"]
    assert found.refused == 1
