"""Whether the round of a request waits for hospitals that look at it first.

A hospital whose policy has a person look at some requests says so in its status, and is asked before a round. What it
says concerns nobody's records: its policy and its operator's word decide, so it may be shown and acted upon. None of
this is relied upon by a hospital: each judges the announcement again.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from enum import Enum

from coordinator.alive import Alive
from coordinator.links import Links
from protocols.wire_pb2 import CoordinatorMessage, Proposal, Stand, State


class Outlook(Enum):
    """What is to be done about a request that waits."""

    WAIT = "wait"
    OPEN = "open"
    DENIED = "denied"


def look(alive: Alive, links: Links) -> None:
    """Note which hospitals of a waiting request are paused, and ask those that look at requests where it stands.

    Each is asked once on every connection.
    """
    if alive.state != State.STATE_WAITING:
        return
    stands = alive.stands
    paused = frozenset(site for site in alive.sites if links.paused(site))
    if paused != stands.paused:
        stands.paused = paused
        alive.touch()
    unasked = _looking(alive, links) - stands.proposed
    if unasked:
        stands.proposed |= unasked
        stands.asked |= unasked
        links.send(unasked, CoordinatorMessage(proposal=Proposal(request=alive.question.signed)))


def is_news(alive: Alive, links: Links, site: str) -> bool:
    """Tell whether a hospital's last status changes anything about a waiting request."""
    if alive.state != State.STATE_WAITING:
        return False
    stands = alive.stands
    unasked = links.looks(site) and site not in stands.proposed
    return unasked or links.paused(site) != (site in stands.paused)


def outlook(alive: Alive, links: Links, *, ready: AbstractSet[str], now: float) -> tuple[Outlook, float | None]:
    """Return whether the round of a waiting request opens, and in how many seconds to look again if nothing happens.

    ``ready`` are the hospitals that hold keys for a round. It opens when enough of those asked are ready that nothing
    holds back, and those that are there have all decided or the analyst's patience is over. Hospitals that said no are
    not waited for; those that are undecided when the patience is over take part with zeros. When so many said no that
    the request's minimum is out of reach, it has failed. Test: tests/coordinator/test_holding.py.

    A paused hospital is neither waited for nor counted: where the others are too few, the request waits.

    Guarantee: nobody is charged for an answer that pauses known beforehand keep below its minimum. Test:
    tests/coordinator/test_holding.py::test_a_request_waits_while_those_that_are_paused_are_needed.
    """
    request, stands = alive.question.request, alive.stands
    denied = stands.at(Stand.STAND_DENIED)
    if len(alive.sites - denied) < request.minimum:
        return Outlook.DENIED, None
    waited_for = (stands.undecided(_looking(alive, links)) & alive.connected) - stands.paused
    left = stands.until(request, waited_for) - now
    again = left if waited_for and left > 0 else None
    if len((alive.sites & ready) - denied - waited_for - stands.paused) < request.minimum or again is not None:
        return Outlook.WAIT, again
    return Outlook.OPEN, None


def is_next(alive: Alive, others: Iterable[Alive]) -> bool:
    """Tell whether no hospital that a request is asked of runs an app for another one, if it needs an app itself.

    A hospital runs one app at a time: a second round would be open while it cannot be answered. Test:
    tests/coordinator/test_holding.py::test_rounds_of_apps_take_turns.
    """
    if not alive.question.running:
        return True
    running = (each for each in others if each.question.running and each.state == State.STATE_RUNNING)
    return not any(each.sites & alive.sites for each in running)


def _looking(alive: Alive, links: Links) -> frozenset[str]:
    return frozenset(site for site in alive.connected if links.looks(site))
