"""One thread for everything that takes time or touches the state: preparation, scans, noise, masks, commits.

Only what takes long, apps and large models, has threads beside it: see ``long_rounds.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from queue import PriorityQueue
from typing import Any, TypeVar

T = TypeVar("T")

_URGENT, _ORDINARY, _LAST = range(3)


class Desk:
    """Runs functions one after the other in a thread of its own, which does not keep the process from ending.

    What is urgent goes before what waits: a round that others wait for is not held up by questions in the queue.

    A process that ends in the middle of one loses nothing: whatever is half done is a transaction not yet committed.
    """

    def __init__(self, name: str = "node-desk") -> None:
        """Start the thread."""
        self._work: PriorityQueue[tuple[int, int, Callable[[], None] | None]] = PriorityQueue()
        self._number = itertools.count()
        self.waiting = 0
        """Functions that were handed in and have not ended."""
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def ask(self, function: Callable[..., T], *arguments: Any, urgent: bool = False) -> asyncio.Future[T]:
        """Run a function in the thread; return a future of its result, or of what it raised.

        It counts as waiting from the call on. Of equal urgency, what was handed in first runs first.
        """
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
        self._work.put((_URGENT if urgent else _ORDINARY, next(self._number), work))
        return answer

    def close(self) -> None:
        """End the thread once what was handed in is done."""
        self._work.put((_LAST, next(self._number), None))

    def _run(self) -> None:
        while (work := self._work.get()[2]) is not None:
            work()
