"""Calls a Flower ClientApp: the one module at a node that knows Flower's insides. Runs in the app's own process only.

Tried with flwr 1.41 (``make flower-contract``); ``tests/node/test_apps_flower.py`` holds each name used here against
the one installed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# ruff: noqa: TID253  this module is imported in the app's own process only, when it has to call an app
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from protocols.app_message import AppMessage, Arrays, Config, Metrics, Record, Scalar, Value, decode, encode

RUN = 1
"""Number of the run, as apps see it: nothing depends on it."""
NODE = 2
"""Number of this node, as apps see it: the same at every hospital."""


def run(
    *,
    app: Path,
    message: bytes,
    rows: Path,
    client: str,
    config: Mapping[str, Scalar],
    node_config: Mapping[str, Scalar],
) -> bytes:
    """Load an app's ClientApp, hand it a message, and return the bytes of its reply.

    ``client``: ``module:attribute``. ``config``: of the app itself; the message's settings come over it.
    ``node_config`` is what the app sees of the hospital, with the file of rows as ``farr-data``. Raises whatever the
    app raises.
    """
    sent = decode(message)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = RUN, RUN, NODE
    content = RecordDict({name: _flower(record) for name, record in sent.records.items()})
    asked = Message(content, dst_node_id=NODE, message_type=sent.kind, group_id=sent.group)
    run_config: dict[str, Any] = {**config, **sent.settings}
    of_node: dict[str, Any] = {**node_config, "farr-data": str(rows)}
    context = Context(run_id=RUN, node_id=NODE, node_config=of_node, state=RecordDict(), run_config=run_config)
    loaded = _load(app, client)
    answered: object = loaded(asked, context)
    if not isinstance(answered, Message) or not answered.has_content():
        raise TypeError("the app replied with an error, or with nothing")
    return encode(AppMessage(kind=sent.kind, records={name: _own(each) for name, each in answered.content.items()}))


def _load(app: Path, client: str) -> ClientApp:
    module, _, attribute = client.partition(":")
    sys.path.insert(0, str(app))
    found: object = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    if not isinstance(found, ClientApp):
        raise TypeError(f"{client} is no ClientApp")
    return found


def _flower(record: Record) -> Any:
    if isinstance(record, Arrays):
        return ArrayRecord({name: Array(np.array(array)) for name, array in record.items.items()})
    items: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in record.items.items()
    }
    return ConfigRecord(items) if isinstance(record, Config) else MetricRecord(items)


def _own(record: object) -> Record:
    if isinstance(record, ArrayRecord):
        return Arrays(items={name: array.numpy() for name, array in record.items()})
    if isinstance(record, ConfigRecord):
        return Config(items={name: _value(value) for name, value in record.items()})
    if isinstance(record, MetricRecord):
        return Metrics(items={name: _value(value) for name, value in record.items()})
    raise TypeError("a reply holds arrays, settings and metrics only")


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(map(_scalar, value))
    return _scalar(value)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, (bool, str, bytes)):
        return value
    # Numbers of NumPy pass where they are subclasses of Python's, and are made Python's own here.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError("a value in a reply is neither a number nor a text")
