"""From Flower's messages to what hospitals are sent, and from a sum to Flower's replies."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from farr.errors import FarrError
from farr.flower import adapter
from farr.flower.messages import reply, sent, undeclared
from farr.flower.settings import Declared
from protocols.app_message import decode


@pytest.fixture(autouse=True)
def _identity():
    with adapter.task(9):
        yield


def message(content, node=1, kind="train"):
    """Return a message to a node."""
    return Message(content, node, kind)


def arrays(*several):
    """Return content with arrays and a setting."""
    return RecordDict(
        {"arrays": ArrayRecord([np.asarray(each) for each in several]), "config": ConfigRecord({"lr": 1})}
    )


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (arrays([1.0, 2.0], [4.0]), "train"),
        (arrays([1.0, 2.0]), "train"),
        (RecordDict({"arrays": arrays([1.0, 2.0], [3.0])["arrays"]}), "train"),
        (arrays([1.0, 2.0], [3.0]), "train.other"),
    ],
)
def test_a_round_that_tells_hospitals_different_things_is_refused(other, kind):
    """One message cannot be for one hospital only: arrays, settings and the kind are the same for all."""
    with pytest.raises(FarrError, match="different things"):
        sent([message(arrays([1.0, 2.0], [3.0])), message(other, 2, kind)], {}, {})


def test_equal_messages_are_sent_once_whatever_objects_they_are():
    """What counts is what a message says."""
    both = [message(arrays([1.0, 2.0], [3.0]), node) for node in (1, 2)]
    whole = sent(both, {"rounds": 2}, {})
    assert whole.entries == 3
    assert decode(whole.data).settings == {"rounds": 2}
    assert whole.data == sent(both[:1], {"rounds": 2}, {}).data


@settings(max_examples=40, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=4),
    kind=st.sampled_from(["<f4", "<f8"]),
    seed=st.integers(0, 1000),
)
def test_a_reply_is_what_was_sent_moved_by_the_mean(shapes, kind, seed):
    """Entry by entry, in shape and type as sent."""
    draw = np.random.default_rng(seed)
    before = [draw.normal(size=shape).astype(kind) for shape in shapes]
    if not sum(each.size for each in before):
        return
    whole = sent([message(arrays(*before))], {}, {})
    mean = draw.normal(size=whole.entries)
    found = reply(whole, mean, {})["arrays"].to_numpy_ndarrays()
    assert [(each.shape, each.dtype) for each in found] == [(each.shape, each.dtype) for each in before]
    moved = np.concatenate([(new - old).ravel() for new, old in zip(found, before, strict=True)])
    assert moved == pytest.approx(mean, abs=1e-5)


def test_counters_among_the_weights_stay_as_they_were_sent():
    """A whole number, such as a network's count of batches, is neither summed nor moved."""
    record = ArrayRecord({"weight": Array(np.array([1.0, 2.0])), "batches": Array(np.array(7))})
    whole = sent([message(RecordDict({"model": record}))], {}, {})
    found = reply(whole, np.array([0.5, -0.5]), {})["model"]
    assert whole.entries == 2
    assert found["batches"].numpy() == 7
    assert found["weight"].numpy().tolist() == [1.5, 1.5]


def test_numbers_of_an_evaluation_come_back_in_the_apps_own_units():
    """What is summed is a share of its bound; the app reads its own number, under the name that it declared."""
    config = ConfigRecord({"farr-entries": ["loss", "bins[2]"], "farr-bounds": [2.0, 10.0], "farr-record": "mine"})
    whole = sent([message(RecordDict({"config": config}), kind="evaluate")], {}, {})
    found = reply(whole, np.array([0.25, 0.5, 1.0]), {})["mine"]
    assert dict(found) == {"loss": 0.5, "bins": [5.0, 10.0], "num-examples": 1}


def test_the_apps_file_declares_for_code_that_says_nothing_of_farr():
    """Unmodified code is evaluated too; without a declaration a round would give nothing."""
    plain = message(arrays([1.0]), kind="evaluate")
    declared = {"evaluate": Declared(entries=("accuracy",), record="metrics")}
    assert undeclared(plain, {})
    assert not undeclared(plain, declared)
    whole = sent([plain], {}, declared)
    assert reply(whole, np.array([0.75]), declared)["metrics"]["accuracy"] == 0.75
    assert list(plain.content) == ["arrays", "config"]


def test_a_message_that_no_hospital_would_take_is_refused_here():
    """Two records of arrays, no floating array, or Flower's older kind."""
    two = RecordDict({"a": arrays([1.0])["arrays"], "b": arrays([1.0])["arrays"]})
    for content in (two, RecordDict({"a": ArrayRecord([np.array([1])])})):
        with pytest.raises(FarrError, match="cannot be sent"):
            sent([message(content)], {}, {})
    with pytest.raises(FarrError, match="older kind"):
        sent([message(arrays([1.0]), kind="get_parameters")], {}, {})
