"""A page of an analyst's requests: which are wanted. It is always bounded, however many there are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocols.errors import Rejected
from protocols.request import ID_BYTES
from protocols.wire_pb2 import RequestsWanted, State

PAGE_BYTES = 1 << 20
"""Bytes of statuses after which a page ends; what is left is asked for with the page's last id."""

_BEGINNING = re.compile(rf"[0-9a-f]{{0,{2 * ID_BYTES}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which of an analyst's requests are wanted, newest first."""

    most: int
    """Most of them; 0: as many as fit."""
    states: tuple[int, ...]
    """In one of these states."""
    before: bytes
    """Older than the request of this id; empty: from the newest on."""
    first: bytes
    """The lowest id that begins as wanted."""
    last: bytes
    """The highest one."""


def read(message: RequestsWanted) -> Page:
    """Return what a message asks for; raise Rejected("malformed") for no page.

    Guarantee: whatever a caller writes, no more than a page is read and sent. Test:
    tests/coordinator/test_listing.py::test_a_page_ends_where_it_is_full.
    """
    if not _BEGINNING.fullmatch(message.beginning) or len(message.states) > len(State.values()):
        raise Rejected("malformed", "requests wanted")
    return Page(
        most=message.most,
        states=tuple(message.states or State.values()),
        before=message.before,
        first=bytes.fromhex(message.beginning.ljust(2 * ID_BYTES, "0")),
        last=bytes.fromhex(message.beginning.ljust(2 * ID_BYTES, "f")),
    )
