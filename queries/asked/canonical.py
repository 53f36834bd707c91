"""One spelling in bytes for plans and views: JSON with sorted keys, no spaces, no floats, one tag per kind of node.

The decoder trusts nothing: it rebuilds the value from the declared field types, refuses whatever they do not name, and
then encodes again and compares, so every accepted message is the canonical one.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
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

_SCALARS = frozenset({str, int, bool, types.NoneType})

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
    declared: Any = kind
    try:
        # Decoded here, strictly: json.loads would also take UTF-16 and loose surrogates.
        value = _rebuilder(declared)(json.loads(data.decode()))
    except (ValueError, RecursionError, TypeError, OverflowError) as error:
        raise PlanError(f"not a {kind.__name__.lower()}", remedy=_REMEDY) from error
    if encode(value) != data:
        raise PlanError("not the canonical spelling", remedy=_REMEDY)
    return value  # type: ignore[no-any-return]


def _plain(value: object) -> object:
    kind: Any = type(value)
    if kind in _SCALARS:
        return value
    if (names := _names(kind)) is not None:
        plain: dict[str, object] = {"is": kind.__name__}
        for name in names:
            if (part := getattr(value, name)) is not None:
                plain[name] = part if type(part) in _SCALARS else _plain(part)
        return plain
    if isinstance(value, tuple):
        return [part if type(part) in _SCALARS else _plain(part) for part in value]
    if isinstance(value, date) and kind is date:
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise PlanError(f"a plan cannot hold a {kind.__name__}", remedy="use text, whole numbers and dates")


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    """Return the names of a node's parts; None for what is no node."""
    return tuple(item.name for item in fields(kind)) if is_dataclass(kind) else None


@cache
def _rebuilder(kind: Any) -> Callable[[object], Any]:
    """Return what rebuilds a value of a declared type from plain JSON, raising PlanError for anything else.

    Made once for each type: every plan is decoded by the client, the coordinator and each node, in every round.
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind))
    if origin is tuple:
        return _list(get_args(kind))
    if is_dataclass(kind):
        return _node(kind)
    accepts = _ACCEPTED.get(kind)

    def rebuild(plain: object) -> Any:
        if accepts is not None and accepts(plain):
            return plain
        if kind is date and isinstance(plain, str):
            return date.fromisoformat(plain)
        if kind is bytes and isinstance(plain, str):
            return bytes.fromhex(plain)
        raise PlanError(f"a {getattr(kind, '__name__', 'node')} of the accepted size is expected", remedy=_REMEDY)

    return rebuild


_ACCEPTED: Mapping[type, Callable[[object], bool]] = types.MappingProxyType(
    {
        str: lambda plain: isinstance(plain, str) and len(plain) <= MOST_TEXT,
        bool: lambda plain: type(plain) is bool,
        int: lambda plain: type(plain) is int and -MOST_NUMBER <= plain <= MOST_NUMBER,
    }
)


def _list(kinds: tuple[Any, ...]) -> Callable[[object], Any]:
    if kinds[1:] != (...,):
        raise TypeError(kinds)
    part = _rebuilder(kinds[0])

    def rebuild(plain: object) -> Any:
        if not isinstance(plain, list):
            raise PlanError("a list is expected", remedy=_REMEDY)
        return tuple(map(part, plain))

    return rebuild


def _one_of(kinds: tuple[Any, ...]) -> Callable[[object], Any]:
    """Choose by the tag of a node; of values without a tag, a union holds at most one kind beside None."""
    some = [kind for kind in kinds if kind is not types.NoneType]
    by_tag = {_tag(kind): _rebuilder(kind) for kind in some}
    absent = len(some) < len(kinds)

    def rebuild(plain: object) -> Any:
        if plain is None and absent:
            return None
        chosen = by_tag.get(plain.get("is") if isinstance(plain, dict) else None)
        if chosen is None:
            raise PlanError("an unknown kind of node", remedy=_REMEDY)
        return chosen(plain)

    return rebuild


def _tag(kind: Any) -> str | None:
    return kind.__name__ if isinstance(kind, type) and is_dataclass(kind) else None


def _node(kind: Any) -> Callable[[object], Any]:
    tag = kind.__name__

    def rebuild(plain: object) -> Any:
        if not isinstance(plain, dict) or plain.get("is") != tag:
            raise PlanError(f"a {tag} is expected", remedy=_REMEDY)
        # Looked up here, not above: a condition may hold conditions.
        known, parts = _parts(kind)
        if not plain.keys() <= known:
            raise PlanError(f"{tag} has other parts", remedy=_REMEDY)
        return kind(**{name: part(plain.get(name)) for name, part in parts})

    return rebuild


@cache
def _parts(kind: type) -> tuple[frozenset[str], tuple[tuple[str, Callable[[object], Any]], ...]]:
    hints, names = get_type_hints(kind), _names(kind) or ()
    return frozenset({"is", *names}), tuple((name, _rebuilder(hints[name])) for name in names)
