"""What a researcher's app is sent and what it replies: named records of arrays, settings and numbers, as bytes.

The bytes of a message are its own: a JSON header of names, shapes and small values, then the arrays end to end, little
endian. Nothing in them can name code or an object of any language, so reading a hostile reply builds numbers and texts
only. The records are those of Flower (``ArrayRecord``, ``ConfigRecord``, ``MetricRecord``); which Flower is installed
on either side does not matter.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from protocols import checks
from protocols.errors import Rejected

MAGIC = b"farr1/app-message\0"

KINDS = ("train", "evaluate", "query")
"""What an app is asked to do."""

MOST_BYTES = 160 << 20
"""Longest message."""
MOST_HEADER = 4 << 20
"""Longest header, in bytes."""
MOST_RECORDS = 16
"""Most records of a message."""
MOST_ITEMS = 4096
"""Most items of a record."""
MOST_VALUES = 1 << 16
"""Most values of a list."""
MOST_NAME = 256
"""Longest name, in characters."""
MOST_TEXT = 1 << 16
"""Longest text or bytes of a setting."""
MOST_DIMENSIONS = 8
"""Most dimensions of an array."""

FLOATS = ("<f2", "<f4", "<f8")
"""What an update may move."""
TYPES = (*FLOATS, "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "|b1", "|i1", "|u1")
"""What arrays may hold, as NumPy writes it."""

Array = NDArray[Any]
Scalar = bool | int | float | str | bytes
Value = Scalar | tuple[Scalar, ...]
"""One value, or several of one type."""

_KIND = re.compile(r"(train|evaluate|query)(\.[A-Za-z_][A-Za-z0-9_]{0,63})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """Arrays by name, in order."""

    items: Mapping[str, Array]
    """Of a type among ``TYPES``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Settings by name, in order."""

    items: Mapping[str, Value]
    """Anything small; floats are finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Numbers by name, in order."""

    items: Mapping[str, Value]
    """Whole numbers or finite floats, one or several."""


Record = Arrays | Config | Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class AppMessage:
    """What goes to an app, or comes from it."""

    kind: str
    """``train``, ``evaluate`` or ``query``, with a dot and the name of one of the app's functions if it has several."""
    records: Mapping[str, Record]
    """By name, in order."""
    settings: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    """The run's configuration (Flower's ``run_config``), over the app's own; empty in a reply."""
    group: str = ""
    """Which round of its own the ServerApp says it is."""


def encode(message: AppMessage) -> bytes:
    """Return the bytes of a message; raise Rejected for one that no reader would take."""
    bodies: list[bytes] = []
    records = [[name, *_written(record, bodies)] for name, record in message.records.items()]
    header = {
        "kind": message.kind,
        "group": message.group,
        "settings": _pairs(message.settings),
        "records": records,
    }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    if len(text) > MOST_HEADER:
        raise Rejected("oversized", "header of an app's message")
    data = b"".join([MAGIC, len(text).to_bytes(4, "big"), text, *bodies])
    decode(data)  # what is sent is what is read: every rule is in one place
    return data


def decode(data: bytes, most: int = MOST_BYTES) -> AppMessage:
    """Read a message; its arrays are views of ``data`` that cannot be written to.

    Raises Rejected: ``oversized`` beyond ``most`` bytes, ``malformed`` for anything else that is not the one spelling
    of a message.

    Guarantee: whatever the bytes are, reading them takes memory in proportion to their number, builds no object but
    numbers, texts and arrays of numbers, and raises nothing but Rejected. Tests:
    tests/protocols/test_app_message.py::test_no_bytes_do_anything_but_decode_or_be_rejected,
    tests/protocols/test_app_message.py::test_a_message_has_one_spelling.
    """
    checks.at_most(data, most, "app's message")
    start = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise Rejected("malformed", "not an app's message")
    length = int.from_bytes(data[len(MAGIC) : start], "big")
    if length > MOST_HEADER or start + length > len(data):
        raise Rejected("malformed", "header of an app's message")
    text = data[start : start + length]
    header = _json(text)
    if not isinstance(header, dict) or list(header) != ["kind", "group", "settings", "records"]:
        raise Rejected("malformed", "header of an app's message")
    kind, group = header["kind"], header["group"]
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise Rejected("malformed", "kind of an app's message")
    if not _is_text(group, MOST_NAME):
        raise Rejected("malformed", "group of an app's message")
    reader = _Bodies(memoryview(data), start + length)
    records = {name: _record(items, reader) for name, items in _named(header["records"], 3, MOST_RECORDS)}
    settings = {name: _value(item) for name, [item] in _named(header["settings"], 2, MOST_ITEMS)}
    if reader.at != len(data):
        raise Rejected("malformed", "bytes after the last array")
    again = json.dumps(header, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    if again != text:
        raise Rejected("malformed", "another spelling of a header")
    return AppMessage(kind=kind, group=group, settings=settings, records=records)


def category(message: AppMessage) -> str:
    """Return ``train``, ``evaluate`` or ``query``."""
    return message.kind.partition(".")[0]


class _Bodies:
    """Hands out the arrays that follow the header."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self.at = data, at

    def take(self, kind: str, shape: tuple[int, ...]) -> Array:
        count = math.prod(shape)
        size = count * np.dtype(kind).itemsize
        if size > len(self._data) - self.at:
            raise Rejected("malformed", "an array is longer than the message")
        taken = np.frombuffer(self._data, dtype=kind, count=count, offset=self.at).reshape(shape)
        taken.flags.writeable = False
        if kind == "|b1" and count and taken.view(np.uint8).max() > 1:
            raise Rejected("malformed", "a truth value is neither 0 nor 1")
        self.at += size
        return taken


def _json(text: bytes) -> object:
    def refuse(_: str) -> object:
        raise Rejected("malformed", "a number that is none")

    try:
        return json.loads(text.decode("ascii"), parse_constant=refuse)
    # Texts nested too deep, or whole numbers with too many digits, are refused by the reader itself.
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed", "header of an app's message") from error


def _named(items: object, width: int, most: int) -> list[tuple[str, list[object]]]:
    """Return names, each with what goes with it."""
    if not isinstance(items, list) or len(items) > most:
        raise Rejected("malformed", "items of an app's message")
    named: dict[str, list[object]] = {}
    for item in items:
        if not isinstance(item, list) or len(item) != width:
            raise Rejected("malformed", "an item of an app's message")
        name, *rest = item
        if not name or not _is_text(name, MOST_NAME) or name in named:
            raise Rejected("malformed", "a name in an app's message")
        named[name] = rest
    return list(named.items())


def _record(written: Sequence[object], bodies: _Bodies) -> Record:
    kind, items = written
    if kind == "arrays":
        return Arrays(items={name: bodies.take(*_form(form)) for name, form in _named(items, 3, MOST_ITEMS)})
    if kind == "config":
        return Config(items={name: _value(item) for name, [item] in _named(items, 2, MOST_ITEMS)})
    if kind == "metrics":
        metrics = {name: _value(item) for name, [item] in _named(items, 2, MOST_ITEMS)}
        for value in metrics.values():
            if any(type(each) not in (int, float) for each in (value if isinstance(value, tuple) else (value,))):
                raise Rejected("malformed", "a metric is not a number")
        return Metrics(items=metrics)
    raise Rejected("malformed", "kind of a record")


def _form(form: Sequence[object]) -> tuple[str, tuple[int, ...]]:
    kind, shape = form
    if not isinstance(kind, str) or kind not in TYPES:
        raise Rejected("malformed", "type of an array")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise Rejected("malformed", "shape of an array")
    if any(type(length) is not int or not 0 <= length <= MOST_BYTES for length in shape):
        raise Rejected("malformed", "shape of an array")
    # Also where one length is 0: an array without numbers has a shape that memory must be able to hold.
    if math.prod(max(1, length) for length in shape) > MOST_BYTES:
        raise Rejected("malformed", "shape of an array")
    return kind, tuple(shape)


def _value(item: object) -> Value:
    if not isinstance(item, list):
        return _scalar(item)
    if len(item) > MOST_VALUES:
        raise Rejected("malformed", "a list is too long")
    values = tuple(map(_scalar, item))
    if len(set(map(type, values))) > 1:
        raise Rejected("malformed", "a list of several types")
    return values


def _scalar(item: object) -> Scalar:
    if isinstance(item, bool):
        return item
    if isinstance(item, int) and -(1 << 63) <= item < 1 << 64:
        return item
    if isinstance(item, float) and math.isfinite(item):
        return item
    if _is_text(item, MOST_TEXT):
        return item
    if isinstance(item, dict) and list(item) == ["bytes"] and isinstance(item["bytes"], str):
        try:
            raw = base64.b64decode(item["bytes"], validate=True)
        except (ValueError, binascii.Error) as error:
            raise Rejected("malformed", "bytes in an app's message") from error
        if len(raw) <= MOST_TEXT and base64.b64encode(raw).decode() == item["bytes"]:
            return raw
    raise Rejected("malformed", "a value in an app's message")


def _is_text(item: object, most: int) -> TypeGuard[str]:
    """Tell whether this is a text of so many characters at most, all of which can be written out."""
    if not isinstance(item, str) or len(item) > most:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in item)  # a half of a pair is no character


def _written(record: Record, bodies: list[bytes]) -> list[object]:
    if isinstance(record, Arrays):
        forms: list[object] = []
        for name, array in record.items.items():
            # NumPy writes a byte order of "=" for its own; names in the header say little endian, always.
            little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
            if little.dtype.str not in TYPES:
                raise Rejected("malformed", "type of an array")
            forms.append([name, little.dtype.str, list(little.shape)])
            bodies.append(little.tobytes())
        return ["arrays", forms]
    return ["config" if isinstance(record, Config) else "metrics", _pairs(record.items)]


def _pairs(items: Mapping[str, Value]) -> list[object]:
    return [[name, _item(value)] for name, value in items.items()]


def _item(value: Value) -> object:
    if isinstance(value, tuple):
        return [_item(each) for each in value]
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected("malformed", "a number that is none")
    return value
