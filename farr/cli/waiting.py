"""The line that people see while hospitals answer."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from farr.states import RequestState, shortened
from farr.tables import Live
from farr.texts import _

NAMES_AFTER = 2.0
"""Seconds after which those who are waited for are named."""


class Waiting:
    """Tells how far a request is, on standard error."""

    def __init__(self, *, wanted: bool | None, as_json: bool) -> None:
        """Show progress if ``wanted``; if that says nothing, on a terminal and not for scripts."""
        self._live = Live.on_stderr(wanted=wanted, as_json=as_json)
        self._begun = time.monotonic()

    def told(self, state: RequestState) -> None:
        """Show a state."""
        self._live.say(self._text(state))

    def _text(self, state: RequestState) -> str:
        if state.state == "waiting":
            text = _("{connected} of {asked} hospitals connected, {needed} needed").format(
                connected=state.connected, asked=state.asked, needed=state.needed
            )
        else:
            text = _("{answered} of {asked} hospitals answered").format(answered=state.answered, asked=state.asked)
        if state.waited_for and time.monotonic() - self._begun > NAMES_AFTER:
            text += " " + _("(waiting for {sites})").format(sites=shortened(state.waited_for, 5))
        return text

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
