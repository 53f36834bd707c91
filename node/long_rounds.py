"""Rounds that take long: those of an app, and those of a large model. Beside the desk, which serves all others.

Of each kind one at a time, in a thread of its own, so that neither waits for the other. What is long follows from
public facts: see ``node.scan.work``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from node.answer import Begun, Exact
from node.desk import Desk
from node.refusal import Replier
from protocols import announcement as announcements
from protocols.roster import Roster
from protocols.wire_pb2 import NodeMessage, Signed

MOST_WAITING = 16
"""Announcements of a kind that may wait for their turn; more are refused as busy."""

MOST_AGAIN = 256
"""Announcements of a kind, repeated ones too, that may wait for an answer; more are refused as busy."""

EVEN = 0.1
"""Seconds: while an app runs, what the node says leaves whole multiples of it after what it answers."""


class _Lane:
    """Rounds of one kind."""

    def __init__(self, name: str) -> None:
        self.desk = Desk(name)
        self.turn = asyncio.Lock()
        self.under_way: dict[bytes, asyncio.Task[NodeMessage]] = {}
        """By tau, the rounds that are answered, or wait for it."""
        self.waiting = 0
        """Announcements that wait for one of them: more than there are rounds where some were repeated."""


class LongRounds:
    """Answers announcements; the state is touched at the desk only. Used from the node's loop."""

    def __init__(self, *, desk: Desk, replier: Replier, roster: Callable[[], Roster]) -> None:
        """Prepare; ``roster`` gives the one that holds."""
        self._desk = desk
        self._replier = replier
        self._roster = roster
        self._apps = _Lane("node-apps")
        self._models = _Lane("node-models")

    @property
    def busy(self) -> bool:
        """Return whether an app runs, or is about to."""
        return bool(self._apps.under_way)

    def close(self) -> None:
        """Begin nothing else."""
        for lane in (self._apps, self._models):
            lane.desk.close()

    def reply(self, signed: Signed) -> asyncio.Task[NodeMessage]:
        """Return what the coordinator is to hear of an announcement, when it is there; it stands at the desk at once.

        Whoever waits for it or not, what was begun goes on; the same announcement again, as after a cut, gets the same
        answer at the same time. It takes no place of its own: a link that is cut often turns no round away, and no
        answer that is there waits for other rounds. Tests:
        tests/node/test_long_rounds.py::test_a_round_that_is_announced_again_takes_no_second_place,
        tests/node/test_long_rounds.py::test_after_a_cut_an_answer_waits_for_no_other_round.
        """
        arrived = time.monotonic()

        def begin() -> NodeMessage | Begun:
            return self._replier.begin(signed, self._roster(), time.monotonic() - arrived)

        return asyncio.ensure_future(self._answered(signed, self._desk.ask(begin), arrived))

    async def even(self, since: float) -> None:
        """While an app runs, wait until a whole multiple of a public time is over since a message came.

        An app may load the machine for some patients and not for others, and what the node says would be slower then.
        Test: tests/node/test_long_rounds.py::test_while_an_app_runs_answers_leave_in_even_steps.
        """
        if self.busy:
            await asyncio.sleep((since - time.monotonic()) % EVEN)

    async def _answered(
        self, signed: Signed, first: asyncio.Future[NodeMessage | Begun], arrived: float
    ) -> NodeMessage:
        opened = await first
        if isinstance(opened, NodeMessage):
            return opened
        tau = announcements.tau(signed)
        lane = self._apps if opened.app else self._models
        answer = lane.under_way.get(tau)
        if answer is None:
            if len(lane.under_way) >= MOST_WAITING:
                self._desk.ask(self._replier.answerer.seats.let_go, tau)
                return self._replier.turn_away(tau)
            answer = asyncio.ensure_future(self._placed(lane, tau, opened, arrived))
            lane.under_way[tau] = answer
        elif lane.waiting >= MOST_AGAIN:
            return self._replier.turn_away(tau)
        lane.waiting += 1
        try:
            return await asyncio.shield(answer)
        finally:
            lane.waiting -= 1

    async def _placed(self, lane: _Lane, tau: bytes, begun: Begun, arrived: float) -> NodeMessage:
        try:
            answer = await self._in_turn(lane, begun, arrived)
            # Before it leaves the lane: an app's own answer leaves in even steps like all others.
            await self.even(arrived)
            return answer
        finally:
            del lane.under_way[tau]

    async def _in_turn(self, lane: _Lane, begun: Begun, arrived: float) -> NodeMessage:
        queued = len(lane.under_way) > 1
        async with lane.turn:
            if queued:
                # Others were answered while this one waited: what would be in vain is not begun.
                again = await self._desk.ask(self._again, begun, arrived)
                if isinstance(again, NodeMessage):
                    return again
                begun = again
            exact = await lane.desk.ask(self._read, begun)
            return await self._desk.ask(lambda: self._replier.end(begun, exact, self._roster()), urgent=True)

    def _again(self, begun: Begun, arrived: float) -> NodeMessage | Begun:
        waited = time.monotonic() - arrived
        return self._replier.begin(begun.signed, self._roster(), waited, lasts=begun.lasts)

    def _read(self, begun: Begun) -> Callable[[], Exact]:
        try:
            found = self._replier.answerer.exact(begun)
        except BaseException as error:  # noqa: BLE001  raised again at the desk, where refusals are made
            failed = error

            def fail() -> Exact:
                raise failed

            return fail
        return lambda: found
