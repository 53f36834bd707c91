"""Finding a request or a release by its id, or by the beginning of it, as people write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from farr.errors import FarrError
from farr.texts import _

T = TypeVar("T")


def id_of(identifier: str) -> bytes:
    """Return the bytes of a whole id; raise FarrError for what is none."""
    try:
        return bytes.fromhex(identifier)
    except ValueError:
        raise _none(identifier) from None


def the_one(found: Sequence[T], identifier: str) -> T:
    """Return the only one that was found; raise FarrError where there is none, or more than one."""
    if not identifier or not found:
        raise _none(identifier)
    if len(found) > 1:
        raise FarrError(
            "ambiguous",
            _("{count} begin with {id}").format(count=len(found), id=identifier),
            remedy=_("write more of it"),
        )
    return found[0]


def _none(identifier: str) -> FarrError:
    return FarrError(
        "unknown-request",
        _("there is none with the id {id}").format(id=identifier),
        remedy=_("list them: farr requests list, farr releases list"),
    )
