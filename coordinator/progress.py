"""What an analyst sees of a request: its state, the counts, and each hospital's part."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from coordinator.opened import contributing, withheld
from coordinator.questions import Question
from coordinator.stands import Stands
from protocols.request import run_message
from protocols.round import Round
from protocols.wire_pb2 import RequestStatus, SiteProgress, Stand, State

FINAL = (State.STATE_ANSWERED, State.STATE_FAILED, State.STATE_CANCELLED, State.STATE_EXPIRED)
"""A request in one of these states changes no more."""


_STANDS = {Stand.STAND_HELD: "held", Stand.STAND_DENIED: "denied"}
"""What a hospital's word on a request is called; one that is ready is connected, or it is not there."""


def describe(
    question: Question, *, state: State, round_: Round | None, connected: AbstractSet[str], now: float, code: str = "",
    release: bytes = b"", stands: Stands | None = None,
) -> RequestStatus:  # fmt: skip
    """Return the status of a request.

    ``connected`` are those of its hospitals that are there, ``stands`` what they said of it before its round.
    """
    asked = question.request
    waiting = state == State.STATE_WAITING
    return RequestStatus(
        id=asked.id,
        state=state,
        analyst=asked.analyst,
        statement=asked.statement,
        purpose=asked.purpose,
        rho_units=asked.rho_units,
        created_at=asked.created_at,
        updated_at=int(now),
        expires_at=asked.expires_at,
        asked=len(asked.sites),
        connected=len(connected),
        answered=len(contributing(round_)) if round_ else 0,
        needed=asked.minimum,
        sites=_in_round(asked.sites, round_, connected) if round_ else _waiting(asked.sites, connected, stands),
        code=code,
        release=release,
        held=len(stands.at(Stand.STAND_HELD)) if stands and waiting else 0,
        reason=asked.reason,
        run=None if asked.run is None else run_message(asked.run),
    )


def reused(question: Question, earlier: RequestStatus, now: float) -> RequestStatus:
    """Return the status of a request that ``earlier``, the same question, has answered already."""
    status = describe(question, state=State.STATE_ANSWERED, round_=None, connected=frozenset(), now=now)
    status.release = earlier.release
    status.reused = True
    status.connected, status.answered = earlier.connected, earlier.answered
    del status.sites[:]
    status.sites.extend(earlier.sites)
    return status


def _waiting(sites: tuple[str, ...], connected: AbstractSet[str], stands: Stands | None) -> Iterator[SiteProgress]:
    said, paused = (stands.said, stands.paused) if stands else ({}, frozenset())
    for site in sites:
        if site in paused and site in connected:
            yield SiteProgress(site=site, state="paused")
        elif site in said and said[site].stand in _STANDS:
            yield SiteProgress(site=site, state=_STANDS[said[site].stand], reference=said[site].reference)
        else:
            yield SiteProgress(site=site, state="connected" if site in connected else "offline")


def _in_round(sites: tuple[str, ...], round_: Round, connected: AbstractSet[str]) -> Iterator[SiteProgress]:
    reachable, answered = connected & set(round_.announcement.contributors), set(round_.answered)
    kept_back = withheld(round_)
    for site in sites:
        code, reference = round_.refused.get(site, ("", ""))
        if site in answered:
            yield SiteProgress(site=site, state=kept_back.get(site, "answered"))
        elif code:
            yield SiteProgress(site=site, state=code, reference=reference)
        else:
            yield SiteProgress(site=site, state="asked" if site in reachable else "offline")
