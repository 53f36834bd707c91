"""From the messages of a Flower round to the one thing that all hospitals are sent, and from its sum to the replies."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from farr.errors import FarrError
from farr.flower.settings import Declared, Plain
from farr.texts import _
from protocols.app_entries import BOUNDS, ENTRIES, declared, entries_of, moved, sent_arrays
from protocols.app_message import KINDS, AppMessage, Arrays, Config, Metrics, Record, Value, category, encode
from protocols.errors import Rejected
from queries.answers.quantity import Floats

DECLARED = "farr-declared"
"""The record of settings in which the file's declaration travels."""

RECORD = "farr-record"
"""The setting that says what the record with the sums of an ``evaluate`` or ``query`` is called in the replies."""

METRICS = "metrics"
"""What it is called otherwise."""

EXAMPLES = "num-examples"
"""Flower's weight of a reply: 1 in each, since all replies are the same mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the hospitals are sent in a round."""

    message: AppMessage
    """Its content."""
    data: bytes
    """Its bytes: they travel once."""
    entries: int
    """Numbers of a reply that are summed."""

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 by which a question names them."""
        return hashlib.sha256(self.data).digest()

    @property
    def kind(self) -> str:
        """Return ``train``, ``evaluate`` or ``query``."""
        return category(self.message)


def undeclared(message: Message, given: Mapping[str, Declared]) -> bool:
    """Return whether a round would sum nothing: an evaluation or a query whose numbers nobody declared."""
    kind = message.metadata.message_type.partition(".")[0]
    configs = message.content.config_records.values()
    return kind != "train" and kind not in given and not any(ENTRIES in config for config in configs)


def sent(messages: Sequence[Message], config: Mapping[str, Plain], given: Mapping[str, Declared]) -> Sent:
    """Return what the messages of one round say to all hospitals alike; raise FarrError where they differ.

    ``given``: declared numbers for messages that declare none themselves. ``config``: of the run.

    Guarantee: a round in which hospitals would be told different things is not asked. Test:
    tests/farr/test_flower_messages.py::test_a_round_that_tells_hospitals_different_things_is_refused.
    """
    first = messages[0]
    try:
        message = _message(first, config, given)
        whole = Sent(message=message, data=encode(message), entries=entries_of(message))
        for other in messages[1:]:
            same = other.metadata.message_type == first.metadata.message_type
            if same and other.content is not first.content:
                same = encode(_message(other, config, given, group=message.group)) == whole.data
            if not same:
                raise FarrError(
                    "app",
                    _("the app sends hospitals different things in one round, and only their sum is seen"),
                    remedy=_("send every hospital the same message"),
                )
    except Rejected as rejected:
        raise FarrError(
            "app", _("the app's message cannot be sent: {detail}").format(detail=rejected.detail)
        ) from rejected
    return whole


def reply(sent: Sent, mean: Floats, given: Mapping[str, Declared]) -> RecordDict:
    """Return what every hospital's reply becomes: the mean of what they added, in the units of the app.

    ``mean``: one number for each of ``sent.entries``. Of ``train``, the arrays that were sent, moved by it.
    """
    if sent.kind != "train":
        return _numbers(sent, mean, given)
    start = sent_arrays(sent.message)
    name = next(name for name, record in sent.message.records.items() if record is start)
    moving, at = moved(start), 0
    arrays: dict[str, Array] = {}
    for key, array in start.items.items():
        new = np.array(array)
        if key in moving:
            step = mean[at : at + array.size].reshape(array.shape)
            new, at = (array.astype(np.float64) + step).astype(array.dtype), at + array.size
        arrays[key] = Array(np.asarray(new))
    return RecordDict({name: ArrayRecord(arrays), METRICS: MetricRecord({EXAMPLES: 1})})


def _numbers(sent: Sent, mean: Floats, given: Mapping[str, Declared]) -> RecordDict:
    values: dict[str, int | float | list[int] | list[float]] = {}
    at = 0
    for entry in declared(sent.message):
        width = entry.width or 1
        found = [float(value) * entry.bound for value in mean[at : at + width]]
        values[entry.name], at = found[0] if entry.width is None else found, at + width
    values.setdefault(EXAMPLES, 1)
    return RecordDict({_record_name(sent, given): MetricRecord(values)})


def _record_name(sent: Sent, given: Mapping[str, Declared]) -> str:
    for record in sent.message.records.values():
        name = record.items.get(RECORD) if isinstance(record, Config) else None
        if isinstance(name, str) and name:
            return name
    return given[sent.kind].record if sent.kind in given else METRICS


def largest(sent: Sent) -> float:
    """Return the norm that the declared numbers of a reply cannot exceed: each is at most 1 over its bound."""
    return math.sqrt(sent.entries)


def _message(
    message: Message, config: Mapping[str, Plain], given: Mapping[str, Declared], *, group: str | None = None
) -> AppMessage:
    kind = message.metadata.message_type
    if kind.partition(".")[0] not in KINDS:
        raise FarrError(
            "app",
            _("the app sends a message of Flower's older kind"),
            remedy=_("write its ServerApp with @app.main() and flwr.serverapp.strategy"),
        )
    records: dict[str, Record] = {}
    for name, record in message.content.items():
        if isinstance(record, ArrayRecord):
            records[name] = Arrays(items={key: array.numpy() for key, array in record.items()})
        elif isinstance(record, ConfigRecord):
            records[name] = Config(items={key: _value(value) for key, value in record.items()})
        else:
            records[name] = Metrics(items={key: _value(value) for key, value in record.items()})
    if undeclared(message, {}) and (declaration := given.get(kind.partition(".")[0])):
        _declare(records, declaration)
    return AppMessage(
        kind=kind,
        group=message.metadata.group_id if group is None else group,
        settings=dict(config),
        records=records,
    )


def _declare(records: dict[str, Record], declaration: Declared) -> None:
    """Put what the app's file declares where the hospital looks for it: into a record of its own."""
    items: dict[str, Value] = {ENTRIES: declaration.entries}
    if declaration.bounds:
        items[BOUNDS] = declaration.bounds
    records[DECLARED] = Config(items=items)


def _value(value: object) -> Value:
    # Flower has plain values and lists of plain values; whatever else there might be, the encoder refuses.
    return tuple(value) if isinstance(value, list) else cast("Value", value)
