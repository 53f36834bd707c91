"""Finding what a name means: exactly, then without regard to case, else a refusal that offers the nearest names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from queries.errors import StatementError

MOST_OFFERED = 8
"""Most names that a remedy lists."""


def find(name: str, known: Iterable[str], what: str) -> str:
    """Return the one of ``known`` that ``name`` means; raise StatementError, in terms of ``what``, for none or many."""
    names = tuple(known)
    if name in names:
        return name
    alike = [candidate for candidate in names if candidate.casefold() == name.casefold()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise StatementError(f"{name!r} could mean several", remedy="write one of: " + ", ".join(alike))
    raise StatementError(f"there is no {what} {name!r}", remedy=offer(name, names))


def offer(name: str, known: Iterable[str]) -> str:
    """Return a remedy that names what ``name`` may have been meant for."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    if near := get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6):
        return "did you mean " + " or ".join(by_folded[folded] for folded in near) + "?"
    listed = list(by_folded.values())
    if not listed:
        return "there is none at all; leave it out"
    more = f" and {len(listed) - MOST_OFFERED} more" if len(listed) > MOST_OFFERED else ""
    return "known: " + ", ".join(listed[:MOST_OFFERED]) + more
