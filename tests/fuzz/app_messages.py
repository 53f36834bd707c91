"""What a hospital reads of an app: a researcher's messages to it, and its replies, which may be hostile."""

from __future__ import annotations

import numpy as np

from node.apps.replies import BadReplyError, numbers
from protocols.app_entries import entries_of
from protocols.app_message import MAGIC, AppMessage, Arrays, Config, Metrics, category, decode, encode
from protocols.errors import Rejected
from tests.fuzz.trying import Parser

DECLARED = {"farr-entries": ("accuracy", "histogram[3]"), "farr-bounds": (1.0, 10.0)}
TRAIN = AppMessage(
    kind="train",
    group="1",
    settings={"rate": 0.5, "name": "deep", "layers": (3, 2), "raw": b"\x00\xff"},
    records={
        "arrays": Arrays(items={"w": np.ones((2, 3), dtype=np.float32), "n": np.array(7), "t": np.array([True])}),
        "config": Config(items={"lr": 0.1, "steps": 3, "names": ("a", "b")}),
    },
)
EVALUATE = AppMessage(kind="evaluate", records={"arrays": TRAIN.records["arrays"], "config": Config(items=DECLARED)})
SENT = (TRAIN, EVALUATE)
REPLIES = (
    AppMessage(
        kind="train",
        records={"arrays": TRAIN.records["arrays"], "metrics": Metrics(items={"loss": 0.25, "num-examples": 12})},
    ),
    AppMessage(kind="evaluate", records={"metrics": Metrics(items={"accuracy": 0.5, "histogram": (1.0, 2.5, 3.0)})}),
)


def as_app_message(mutator, data, seeds):
    """Change the header of a message, its length told anew, or the arrays after it, or any byte."""
    start = len(MAGIC) + 4
    if not data.startswith(MAGIC) or mutator.chance(0.2):
        return mutator.bytes(data, seeds)
    end = start + int.from_bytes(data[start - 4 : start], "big")
    header, bodies = data[start:end], data[end:]
    if mutator.chance(0.7):
        header = mutator.json(header, [])
    else:
        bodies = mutator.bytes(bodies, seeds)
    return MAGIC + len(header).to_bytes(4, "big") + header + bodies


def read(data):
    """Read a message as a node does before it runs an app: what it is, how long the answer is."""
    message = decode(data)
    assert message.kind.startswith(category(message))
    assert encode(message) == data
    return entries_of(message)


def read_reply(data):
    """Read a reply to each message; raise what the last one refuses it with, where both do."""
    refused = []
    for message in SENT:
        try:
            vector = numbers(message, data)
        except BadReplyError as error:
            refused.append(error)
        else:
            assert vector.shape == (entries_of(message),)
            assert np.isfinite(vector).all()
    if len(refused) == len(SENT):
        raise refused[-1]


def parsers():
    """Return both."""
    return [
        Parser(
            name="node/app-message", seeds=[encode(each) for each in SENT], feed=read, errors=(Rejected,),
            mutate=as_app_message,
        ),
        Parser(
            name="node/app-reply", seeds=[encode(each) for each in REPLIES], feed=read_reply,
            errors=(BadReplyError,), mutate=as_app_message,
        ),
    ]  # fmt: skip
