"""Telling hospitals that a request they were asked about is over, so that nobody there decides on it in vain.

It is a hint: a hospital relies on it for nothing but its list of what waits. What is not heard, after a restart for
one, costs no more than a line on that list until the request's time is over.
"""

from __future__ import annotations

from coordinator.alive import Alive
from coordinator.links import Links
from protocols.wire_pb2 import CoordinatorMessage, Proposal

MOST_OWED = 256
"""Most ends that are kept for a hospital that is away; the oldest are dropped. It keeps no more requests itself."""


class Endings:
    """What hospitals have yet to hear of requests that ended."""

    def __init__(self, links: Links) -> None:
        """Start with nothing owed."""
        self._links = links
        self._owed: dict[str, list[bytes]] = {}

    def tell(self, alive: Alive) -> None:
        """Tell the hospitals that were asked about a request that it is over; those that are away hear it later."""
        id_ = alive.question.request.id
        asked = alive.stands.asked
        self._links.send(asked, _over(id_))
        for site in asked - self._links.connected:
            self._owed[site] = [*self._owed.get(site, ()), id_][-MOST_OWED:]

    def catch_up(self, site: str) -> None:
        """Tell a hospital that connected what ended while it was away."""
        for id_ in self._owed.pop(site, ()):
            self._links.send((site,), _over(id_))


def _over(id_: bytes) -> CoordinatorMessage:
    return CoordinatorMessage(proposal=Proposal(ended=id_))
