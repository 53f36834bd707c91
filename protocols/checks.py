"""Checks at the edge that every kind of message shares: sizes, order, time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from protocols.errors import Rejected

SKEW = 300
"""Seconds by which two parties' clocks may differ."""

MOST_MEMBERS = 20_000
"""Most members of a roster."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")

M = TypeVar("M", bound=Message)


def parse(kind: type[M], body: bytes) -> M:
    """Parse a protobuf body; raise Rejected("malformed") when it is not one."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise Rejected("malformed", kind.__name__) from error


def name(text: str, what: str) -> str:
    """Return a member or federation id: 1 to 64 of a-z 0-9 . _ -, so it is safe in logs and file names."""
    if not _NAME.fullmatch(text):
        raise Rejected("malformed", f"{what} is not a name")
    return text


def exact_bytes(data: bytes, length: int, what: str) -> bytes:
    """Return ``data`` if it has exactly ``length`` bytes."""
    if len(data) != length:
        raise Rejected("malformed", f"{what} has {len(data)} bytes, not {length}")
    return data


def at_most(data: bytes | str, length: int, what: str) -> None:
    """Refuse anything longer than ``length``."""
    if len(data) > length:
        raise Rejected("oversized", what)


def rising(names: Sequence[str], what: str) -> tuple[str, ...]:
    """Return names that are sorted and without repeats, so that a set has one spelling.

    Guarantee: no list is gone through that is longer than any roster. Test:
    tests/protocols/test_checks.py::test_a_list_longer_than_any_roster_is_refused_unread.
    """
    if len(names) > MOST_MEMBERS:
        raise Rejected("oversized", what)
    if any(earlier >= later for earlier, later in pairwise(names)):
        raise Rejected("malformed", f"{what} are not sorted or repeat")
    return tuple(name(each, what) for each in names)


def day(text: str, what: str) -> date:
    """Return a calendar day in its one spelling, 2026-10-31."""
    try:
        read = date.fromisoformat(text)
    except ValueError as error:
        raise Rejected("malformed", f"{what} is not a day") from error
    if read.isoformat() != text:
        raise Rejected("malformed", f"{what} is not spelt as a day")
    return read


def not_expired(until: int, now: int, what: str) -> None:
    """Refuse what is past its time by more than the allowed skew."""
    if until + SKEW < now:
        raise Rejected("expired", what)


def not_future(made: int, now: int, what: str) -> None:
    """Refuse what claims to be made later than now by more than the allowed skew."""
    if made > now + SKEW:
        raise Rejected("clock-skew", what)
