"""What an app may reply: everything is refused but the numbers that were agreed on before it ran."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.app_entries import Entry, declared, moved, sent_arrays
from protocols.app_message import AppMessage, Array, Arrays, Config, Metrics, category, decode
from protocols.errors import Rejected

MOST_METRICS = 256
"""Most numbers that a reply to ``train`` may hold beside its arrays, all of which are thrown away."""

Floats = NDArray[np.float64]


class BadReplyError(Exception):
    """A reply is not of the agreed shape: nothing of it is used, and only the operator reads why."""

    def __init__(self, code: str, detail: str = "") -> None:
        """Say what is wrong in a code, and what in words."""
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


def most_bytes(sent: bytes) -> int:
    """Return the longest reply that is looked at, from what was sent."""
    return 2 * len(sent) + (4 << 20)


def numbers(message: AppMessage, reply: bytes) -> Floats:
    """Return the numbers of a reply in the order of ``protocols.app_entries``, not yet clipped.

    Of ``train``, what the arrays moved by; of ``evaluate`` and ``query``, the declared metrics over their bounds, held
    to [-1, 1]. Raises BadReplyError.

    Worst case that the rules stand against: an app that writes records into any part of its reply. Only the returned
    vector is used; it is clipped and noised as a whole, so whatever an app hides in it is hidden by the noise.
    Guarantee: the result has exactly ``entries_of(message)`` finite numbers, whatever the bytes are. Tests:
    tests/node/test_apps_replies.py::test_whatever_is_replied_gives_the_agreed_numbers_or_nothing,
    tests/node/test_apps_replies.py::test_a_reply_of_another_shape_is_refused.
    """
    try:
        read = decode(reply)
    except Rejected as error:
        raise BadReplyError("unreadable", error.detail) from error
    if read.kind != message.kind:
        raise BadReplyError("wrong-kind", "the reply is to another kind of message")
    if read.settings:
        raise BadReplyError("settings", "a reply holds no settings of a run")
    for name, record in read.records.items():
        # Flower's example apps put settings into replies nowhere; texts and bytes could carry anything.
        if isinstance(record, Config) and record.items:
            raise BadReplyError("settings", f"record {name!r} holds settings")
    if category(message) == "train":
        return _moved(message, read)
    return _declared(message, read)


def _moved(message: AppMessage, reply: AppMessage) -> Floats:
    found = [record for record in reply.records.values() if isinstance(record, Arrays)]
    if len(found) != 1:
        raise BadReplyError("arrays", f"{len(found)} records of arrays, not one")
    if _count(reply) > MOST_METRICS:
        raise BadReplyError("metrics", f"more than {MOST_METRICS} numbers beside the arrays")
    sent, given = sent_arrays(message), found[0]
    if _forms(sent) != _forms(given):
        raise BadReplyError("shape", "the arrays have other names, types or shapes than those that were sent")
    before, after = moved(sent), moved(given)
    vector = np.concatenate([after[name].astype(np.float64).ravel() for name in before])
    if not np.isfinite(vector).all():
        raise BadReplyError("not-finite", "the arrays hold what is not a number")
    start = np.concatenate([array.astype(np.float64).ravel() for array in before.values()])
    # What was sent may itself not be finite; then there is nothing to move from, and it counts as 0.
    with np.errstate(over="ignore"):
        difference: Floats = np.nan_to_num(vector - np.nan_to_num(start))
    return difference


def _declared(message: AppMessage, reply: AppMessage) -> Floats:
    if any(isinstance(record, Arrays) and record.items for record in reply.records.values()):
        raise BadReplyError("arrays", "a reply to evaluate or query holds metrics only")
    found: list[float] = []
    for entry in declared(message):
        held = [
            record.items[entry.name]
            for record in reply.records.values()
            if isinstance(record, Metrics) and entry.name in record.items
        ]
        if len(held) != 1:
            raise BadReplyError("missing", f"{entry.name!r} is in {len(held)} records of metrics, not in one")
        found.extend(_values(entry, held[0]))
    vector = np.array(found, dtype=np.float64)
    if not np.isfinite(vector).all():
        raise BadReplyError("not-finite", "a metric is not a number")
    return vector


def _values(entry: Entry, value: object) -> list[float]:
    values = value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple) != (entry.width is not None) or len(values) != (entry.width or 1):
        raise BadReplyError("width", f"{entry.name!r} has {len(values)} numbers")
    return [min(1.0, max(-1.0, float(each) / entry.bound)) for each in values]


def _forms(arrays: Arrays) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(name, _kind(array), array.shape) for name, array in arrays.items.items()]


def _kind(array: Array) -> str:
    return array.dtype.str


def _count(reply: AppMessage) -> int:
    return sum(
        len(value) if isinstance(value, tuple) else 1
        for record in reply.records.values()
        if isinstance(record, Metrics)
        for value in record.items.values()
    )
