"""How long a node waits before it dials the coordinator again."""

from __future__ import annotations

SHORTEST, LONGEST = 0.2, 30.0
"""Seconds before another attempt: the first, and at most."""

SLOW = frozenset({"unknown-member", "expired-certificate", "wrong-role", "wrong-federation"})
"""Codes that only the registrar can change: tried again, slowly."""


def delay(attempt: int, code: str, draw: float) -> float:
    """Return the seconds to wait before the next attempt, ``attempt`` having failed in a row; ``draw`` in [0, 1).

    Doubled each time, and spread over the upper half of the span so that hospitals do not come back all at once.
    """
    span = LONGEST if code in SLOW else min(LONGEST, SHORTEST * 2.0 ** min(attempt, 16))
    return span * (0.5 + draw / 2)
