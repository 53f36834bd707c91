"""Nodes that are killed, starved of room, and torn at their last page, at random points: nothing is undercounted."""

from __future__ import annotations

import pytest

from tests.crash.points import Undertaker, run

SEED = "harbour"


@pytest.fixture
def undertaker():
    """A process to fork lives from."""
    made = Undertaker()
    yield made
    made.close()


def test_a_node_undercounts_nothing_at_some_kill_points(undertaker, tmp_path):
    """What left is charged, in the same bytes for ever; logs and tree hold; the node starts, or says what to do."""
    tally = run(undertaker, tmp_path, seed=SEED, points=25)
    assert tally["messages that left"] > 50
    assert tally["rounds of training"] > 5
    assert sum(count for way, count in tally.items() if way.endswith(": killed")) > 5


@pytest.mark.slow
def test_a_node_undercounts_nothing_at_two_hundred_kill_points(undertaker, tmp_path):
    """The same over 200 points, of which every way has many and some tears undo an answer that had left."""
    tally = run(undertaker, tmp_path, seed=SEED, points=200)
    assert tally["answers that a tear undid"] > 3
    assert tally["charged for a tear"] >= tally["answers that a tear undid"]
    assert min(tally[way] for way in ("delay", "step", "full", "cut", "torn log", "zeroed log", "torn database")) > 5
    assert tally["torn database: refused"] > 0
