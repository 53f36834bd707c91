"""When a node shows its log: a moment after rounds ended, once for all of that moment, so that no question waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from protocols.wire_pb2 import Signed

REST = 2.0
"""Seconds without a release before the log's checkpoint is signed and shown: one for all rounds of that time."""

LONGEST_REST = 60.0
"""Seconds after which it is shown however many rounds go on."""

MOST_RELEASED = 256
"""Releases that may wait for that; the coordinator sends older ones again when the node connects the next time."""

MOST_RELEASED_BYTES = 64 << 20
"""Of all of them together."""


class Attesting:
    """Gathers releases; ``show`` is called with those of a moment, on the loop of whoever told of them."""

    def __init__(self) -> None:
        """Start with nothing to show."""
        self._released: list[tuple[Signed, int]] = []
        self._newest = 0.0
        self._task: asyncio.Task[None] | None = None
        self._showing: set[asyncio.Task[None]] = set()
        self._hurried = asyncio.Event()

    def soon(self, show: Callable[[Sequence[Signed]], Awaitable[None]], *released: Signed) -> None:
        """Have the log shown soon, with these releases, unless that is to happen anyway.

        Guarantee: what waits is bounded in number and length, whatever is sent. Test:
        tests/node/test_attesting.py::test_releases_that_wait_take_bounded_memory.
        """
        self._released += [(each, each.ByteSize()) for each in released]
        while len(self._released) > MOST_RELEASED or sum(size for _, size in self._released) > MOST_RELEASED_BYTES:
            del self._released[0]
        self._newest = asyncio.get_running_loop().time()
        if self._task is None:
            self._task = asyncio.ensure_future(self._rest(show))
            self._showing.add(self._task)
            self._task.add_done_callback(self._showing.discard)

    async def finish(self) -> None:
        """Have shown at once what was to be shown soon, and wait until it was: the node is about to end."""
        self._hurried.set()
        if self._showing:
            await asyncio.wait(self._showing)

    def cancel(self) -> None:
        """Show nothing for now: the stream has ended."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _rest(self, show: Callable[[Sequence[Signed]], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + LONGEST_REST
        while True:
            pause = min(self._newest + REST, latest) - loop.time()
            if pause <= 0 or self._hurried.is_set():
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), pause)
        released, self._released = [each for each, _ in self._released], []
        self._task = None
        await show(released)
