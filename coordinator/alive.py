"""A request that has not ended: what is known of it, its timers, and how its watchers are woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coordinator import progress
from coordinator.questions import Question
from coordinator.stands import Stands
from protocols.round import Round
from protocols.wire_pb2 import RequestStatus, State


class Alive:
    """A request that waits or runs. Watchers hold on to it until they have told its end."""

    def __init__(self, question: Question, connected: set[str], status: RequestStatus, now: float) -> None:
        """Start with the status as it was stored; ``now`` in seconds since 1970, UTC."""
        self.question = question
        self.sites = frozenset(question.request.sites)
        self.connected = connected
        self.stands = Stands(taken_at=now)
        self._status: RequestStatus | None = status
        self.state = status.state
        self.round: Round | None = None
        self.moved = asyncio.Event()
        self.ended = asyncio.Event()
        self.expiry: asyncio.TimerHandle | None = None
        self.grace: asyncio.TimerHandle | None = None
        self.patience: asyncio.TimerHandle | None = None
        self.waited = False
        self.queued = False

    def touch(self) -> None:
        """Wake the watchers; the status is made anew when one asks for it, at most once for all of them."""
        self._status = None
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def current(self, now: float) -> RequestStatus:
        """Return the status as it is."""
        if self._status is None:
            self._status = progress.describe(
                self.question,
                state=self.state,
                round_=self.round,
                connected=self.connected,
                now=now,
                stands=self.stands,
            )
            self._status.queued = self.queued and self.state == State.STATE_WAITING
        return self._status

    def queue(self, *, queued: bool) -> None:
        """Note whether it waits for a place among the rounds that are open."""
        if queued != self.queued:
            self.queued = queued
            self.touch()

    def end(self, status: RequestStatus) -> None:
        """Tell the watchers the end, which is stored already, and let no timer fire any more."""
        self.stop_timers()
        self.state = status.state
        self.touch()
        self._status = status
        self.ended.set()

    def look_again(self, look: Callable[[Alive], None], seconds: float | None) -> None:
        """Have it looked at in some seconds, in place of what was set before; None: not until something happens."""
        if self.patience:
            self.patience.cancel()
        self.patience = None if seconds is None else asyncio.get_running_loop().call_later(seconds, look, self)

    def stop_timers(self) -> None:
        """Let neither the grace nor the expiry nor the end of the patience come any more."""
        self.stop_grace()
        if self.patience:
            self.patience.cancel()
        if self.expiry:
            self.expiry.cancel()

    def stop_grace(self) -> None:
        """Let a later gathering of hospitals have its own grace."""
        self.waited = False
        if self.grace:
            self.grace.cancel()
            self.grace = None
