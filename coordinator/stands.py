"""What hospitals said of a request before its round: ready, held for a person's approval, or denied."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from protocols.errors import Rejected
from protocols.request import Request
from protocols.wire_pb2 import Stand, Verdict

REPLY_SECONDS = 5.0
"""How long a hospital that looks at requests has to say where one stands, whatever the analyst's patience."""

MOST_REFERENCE = 64
"""Longest reference of a verdict."""


@dataclass(kw_only=True)
class Stands:
    """What hospitals have said of one request. It is memory only: after a restart all are asked again."""

    taken_at: float
    """Seconds since 1970, UTC: when this process took the request up."""
    proposed: set[str] = field(default_factory=set)
    """Hospitals that were asked on their present connection."""
    asked: set[str] = field(default_factory=set)
    """Hospitals that were ever asked, those that have left since included."""
    paused: frozenset[str] = frozenset()
    """Of the request's hospitals, those whose last status says that they are paused."""
    said: dict[str, Verdict] = field(default_factory=dict)
    """By hospital, its last word."""

    def take(self, site: str, verdict: Verdict) -> bool:
        """Take a hospital's word in place of its earlier one; return whether it changes anything."""
        if verdict.stand not in (Stand.STAND_READY, Stand.STAND_HELD, Stand.STAND_DENIED):
            raise Rejected("malformed", "stand")
        if len(verdict.reference) > MOST_REFERENCE:
            raise Rejected("oversized", "reference of a verdict")
        if self.said.get(site) == verdict:
            return False
        self.said[site] = verdict
        return True

    def forget(self, site: str) -> None:
        """Forget what a hospital said that is away: it is asked again on its next connection."""
        self.proposed.discard(site)
        self.said.pop(site, None)

    def at(self, stand: Stand) -> frozenset[str]:
        """Return the hospitals at which the request stands so."""
        return frozenset(site for site, verdict in self.said.items() if verdict.stand == stand)

    def undecided(self, looking: AbstractSet[str]) -> frozenset[str]:
        """Return those of the hospitals that look at requests which have said neither yes nor no."""
        decided = self.at(Stand.STAND_READY) | self.at(Stand.STAND_DENIED)
        return frozenset(looking | self.at(Stand.STAND_HELD)) - decided

    def until(self, request: Request, waited_for: AbstractSet[str]) -> float:
        """Return until when hospitals are waited for: the analyst's patience, and a moment for those yet silent."""
        patient = float(request.created_at + request.patience)
        return patient if waited_for <= self.said.keys() else max(patient, self.taken_at + REPLY_SECONDS)
