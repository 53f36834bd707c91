"""One spelling in bytes for plans and views: JSON with sorted keys, no spaces, no floats, one tag per kind of node.

The decoder trusts nothing: it rebuilds the value from the declared field types, refuses whatever they do not name, and
then encodes again and compares, so every accepted message is the canonical one.
"""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from queries.errors import PlanError

MOST_BYTES = 1 << 20
"""Longest accepted encoding. A plan that lists 12,000 hospitals takes about a fifth of it."""

MOST_TEXT = 1000
"""Most characters of one text; names and codes are far shorter."""

MOST_NUMBER = 1 << 62
"""Greatest size of a number; what a plan may hold is narrower still (``queries.asked.check``)."""

_REMEDY = "encode it with this version of Farr"

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Return the canonical bytes of a plan, a view, or any node of one; raise PlanError where there are none."""
    try:
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise PlanError("holds half a character, or nests too deep", remedy="ask a simpler question") from error


def decode(kind: type[T], data: bytes) -> T:
    """Rebuild a value of ``kind`` from its canonical bytes; raise PlanError for anything else.

    Guarantee: the result is well typed and ``encode(decode(kind, data)) == data``; nothing in ``data`` is executed or
    imported. Test: tests/queries/test_canonical.py::test_only_the_canonical_spelling_is_accepted.
    """
    if len(data) > MOST_BYTES:
        raise PlanError(f"longer than {MOST_BYTES} bytes", remedy="ask a smaller question")
    try:
        # Decoded here, strictly: json.loads would also take UTF-16 and loose surrogates.
        value = _rebuild(kind, json.loads(data.decode()))
    except (ValueError, RecursionError, TypeError, OverflowError) as error:
        raise PlanError(f"not a {kind.__name__.lower()}", remedy=_REMEDY) from error
    if encode(value) != data:
        raise PlanError("not the canonical spelling", remedy=_REMEDY)
    return value  # type: ignore[no-any-return]


def _plain(value: object) -> object:
    if is_dataclass(value):
        plain = {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
        return {"is": type(value).__name__, **{name: part for name, part in plain.items() if part is not None}}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if type(value) is date:
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if value is None or type(value) in (str, int, bool):
        return value
    raise PlanError(f"a plan cannot hold a {type(value).__name__}", remedy="use text, whole numbers and dates")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _rebuild(kind: Any, plain: object) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _rebuild_one_of(get_args(kind), plain)
    if origin is tuple:
        return _rebuild_list(get_args(kind), plain)
    if is_dataclass(kind):
        return _rebuild_node(kind, plain)
    if kind is date and isinstance(plain, str):
        return date.fromisoformat(plain)
    if kind is bytes and isinstance(plain, str):
        return bytes.fromhex(plain)
    if kind is str and isinstance(plain, str) and len(plain) <= MOST_TEXT:
        return plain
    if kind is bool and type(plain) is bool:
        return plain
    if kind is int and type(plain) is int and -MOST_NUMBER <= plain <= MOST_NUMBER:
        return plain
    raise PlanError(f"a {getattr(kind, '__name__', 'node')} of the accepted size is expected", remedy=_REMEDY)


def _rebuild_list(kinds: tuple[Any, ...], plain: object) -> Any:
    if not isinstance(plain, list) or kinds[1:] != (...,):
        raise PlanError("a list is expected", remedy=_REMEDY)
    return tuple(_rebuild(kinds[0], part) for part in plain)


def _rebuild_one_of(kinds: tuple[Any, ...], plain: object) -> Any:
    """Choose by the tag of a node; of values without a tag, a union holds at most one kind beside None."""
    if plain is None and types.NoneType in kinds:
        return None
    tag = plain.get("is") if isinstance(plain, dict) else None
    for kind in kinds:
        name = kind.__name__ if isinstance(kind, type) and is_dataclass(kind) else None
        if kind is not types.NoneType and name == tag:
            return _rebuild(kind, plain)
    raise PlanError("an unknown kind of node", remedy=_REMEDY)


def _rebuild_node(kind: Any, plain: object) -> Any:
    if not isinstance(plain, dict) or plain.get("is") != kind.__name__:
        raise PlanError(f"a {kind.__name__} is expected", remedy=_REMEDY)
    declared = tuple(item.name for item in fields(kind))
    if not plain.keys() <= {"is", *declared}:
        raise PlanError(f"{kind.__name__} has other parts", remedy=_REMEDY)
    hints = _hints(kind)
    return kind(**{name: _rebuild(hints[name], plain.get(name)) for name in declared})
