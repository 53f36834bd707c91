"""One round at the coordinator: its state value, what each hospital has yet to say, and when it gives up on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from coordinator.seated import SeatedEpoch
from protocols.round import Round
from protocols.wire_pb2 import CoordinatorMessage, Deposit, Note

WITHHELD: Mapping[Note, str] = {
    Note.NOTE_WITHHELD_POLICY: "policy",
    Note.NOTE_WITHHELD_COST: "cost-limit",
    Note.NOTE_WITHHELD_BUDGET: "budget",
    Note.NOTE_TABLE_ABSENT: "unknown-table",
    Note.NOTE_OWN_ROW_WITHHELD: "policy",
    Note.NOTE_WITHHELD_APPROVAL: "denied",
    Note.NOTE_PAUSED: "paused",
}
"""By note of a hospital that adds zeros instead of its records, the code that says why."""


class Phase(Enum):
    """What a round waits for."""

    UPLOAD = "upload"
    CONFIRM = "confirm"
    UNMASK = "unmask"
    FINISH = "finish"


@dataclass(kw_only=True)
class OpenRound:
    """A round with its surroundings."""

    state: Round
    """What has come in so far."""
    seated: SeatedEpoch
    """The epoch that it began in; it ends in it too, also when another one is current meanwhile."""
    deposits: Mapping[int, Deposit]
    """What each hospital deposited for the slot, by index."""
    opened_at: float
    """Seconds since 1970, UTC."""
    phase: Phase = Phase.UPLOAD
    """What it waits for."""
    awaited: dict[str, CoordinatorMessage] = field(default_factory=dict)
    """By hospital that has yet to speak in this phase: what it was sent, and is sent again when it connects again."""
    spoke: int = 0
    """How many have spoken in this phase, to the point."""
    timer: asyncio.TimerHandle | None = None
    """Ends the phase."""
    stragglers: asyncio.TimerHandle | None = None
    """Ends the uploads once enough are there."""

    def stop(self) -> None:
        """Let no timer fire any more."""
        for timer in (self.timer, self.stragglers):
            if timer:
                timer.cancel()

    @property
    def threshold(self) -> int:
        """Return how many must speak in this phase."""
        parameters = self.state.epoch.parameters
        return parameters.quorum if self.phase is Phase.CONFIRM else parameters.threshold


def withheld(state: Round) -> dict[str, str]:
    """Return the hospitals that were asked and add zeros instead of their records, with the code that says why."""
    return {
        site: WITHHELD[note]
        for site in state.announcement.asked
        for note in state.notes.get(site, ())
        if note in WITHHELD
    }


def contributing(state: Round) -> tuple[str, ...]:
    """Return the hospitals that were asked and whose records are in the sum, sorted.

    What others say of their policy is public and does not depend on a record, so a round may be given up over it.
    """
    kept_back = withheld(state)
    return tuple(site for site in state.answered if site in state.announcement.request.sites and site not in kept_back)


def hopeless(state: Round) -> bool:
    """Tell whether so many refused or keep their records back that the request's minimum is out of reach."""
    out = withheld(state).keys() | state.refused.keys()
    possible = sum(site not in out for site in state.announcement.asked)
    return state.hopeless or possible < state.announcement.request.minimum
