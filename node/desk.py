"""One thread for everything that takes time or touches the state: preparation, scans, noise, commits, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Desk:
    """Runs functions one after the other in a thread of its own, which does not keep the process from ending.

    A process that ends in the middle of one loses nothing: whatever is half done is a transaction not yet committed.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.waiting = 0
        """Functions that were handed in and have not ended."""
        threading.Thread(target=self._run, name="node-desk", daemon=True).start()

    async def ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the thread and return its result, or raise what it raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            self.waiting -= 1
            if answer.cancelled():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            try:
                done: tuple[T | None, BaseException | None] = (function(*arguments), None)
            except BaseException as error:  # noqa: BLE001
                done = (None, error)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, *done)

        self.waiting += 1
        self._work.put(work)
        return await answer

    def close(self) -> None:
        """End the thread once what was handed in is done."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
