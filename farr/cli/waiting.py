"""The line that people see while hospitals answer."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from farr.figures.tables import Live
from farr.questions.states import RequestState, in_words, shortened
from farr.texts import _

NAMES_AFTER = 2.0
"""Seconds after which those who are waited for are named."""


class Waiting:
    """Tells how far a request is, on standard error."""

    def __init__(self, *, wanted: bool | None, as_json: bool) -> None:
        """Show progress if ``wanted``; if that says nothing, on a terminal and not for scripts."""
        self._live = Live.on_stderr(wanted=wanted, as_json=as_json)
        self._begun = time.monotonic()
        self._last: RequestState | None = None
        # Nothing may change for a long time, so the names cannot wait for the next change.
        self._reminder = threading.Timer(NAMES_AFTER + 0.05, self._remind)
        self._reminder.daemon = True

    def told(self, state: RequestState) -> None:
        """Show a state."""
        self._last = state
        self._live.say(self._text(state))

    def _remind(self) -> None:
        if self._last is not None and self._last.waited_for:
            self._live.say(self._text(self._last))

    def _text(self, state: RequestState) -> str:
        if state.state == "waiting" and (state.held or state.queued):
            text = in_words(state, time.time())
        elif state.state == "waiting":
            text = _("{connected} of {asked} hospitals connected, {needed} needed").format(
                connected=state.connected, asked=state.asked, needed=state.needed
            )
        else:
            text = _("{answered} of {asked} hospitals answered").format(answered=state.answered, asked=state.asked)
        if state.state == "waiting" and state.paused:
            text += " " + _("(paused: {sites})").format(sites=shortened(state.paused, 5))
        if state.waited_for and time.monotonic() - self._begun > NAMES_AFTER:
            text += " " + _("(waiting for {sites})").format(sites=shortened(state.waited_for, 5))
        return text

    def __enter__(self) -> Self:
        self._live.__enter__()
        self._reminder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reminder.cancel()
        self._live.__exit__(kind, error, trace)
        if kind is KeyboardInterrupt and self._last is not None:
            text = _("the request goes on; wait for it with: farr requests wait {id}")
            sys.stderr.write(text.format(id=self._last.id[:8]) + "\n")
