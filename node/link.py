"""The link: one outbound stream from the node to the coordinator, kept up for as long as the node runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc

from node.blobs import Sender
from node.books.attesting import Attesting
from node.channel import code_of, dial, known
from node.desk import Desk
from node.gate import METADATA, Gate
from node.long_rounds import LongRounds
from node.membership import Membership
from node.pauses import delay
from node.refusal import Replier
from protocols import PROTOCOL_VERSION, checks
from protocols import announcement as announcements
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.upload import blob_of
from protocols.wire_pb2 import CoordinatorMessage, Hello, NodeMessage, NodeStatus, Signed, Upload, Welcome
from protocols.wire_pb2_grpc import NodesStub

HEARTBEAT = 10.0
"""Seconds between two statuses."""

WELCOME = 15.0
"""Seconds for the coordinator to answer a hello."""

STEADY = 60.0
"""Seconds after which a link that was up counts as good, so that its loss is answered quickly."""

FAREWELL = 7.0
"""Seconds for the question under way, and for showing the log, when the node is told to stop."""

GOODBYE = 1.0
"""Seconds for the coordinator to end the stream once the node has nothing more to say."""

MOST_WAITING = 64
"""Announcements that may wait; more are refused as busy."""

MOST_URGENT = 64
"""Other messages that may wait beside them; more are passed over, and the round or epoch goes on without this node."""

MOST_UNSENT = 512
"""Answers that may be under way or wait to be sent: a coordinator that reads none fills no memory."""

WATCH = 0.5
"""Seconds between two looks at whether the operator decided something."""

CALM = 0.5
"""Seconds after an upload before slots are prepared in place of those that were used: its round comes first."""

FINAL = frozenset({"displaced", "protocol-version"})
"""Codes after which the node ends instead of trying again: somebody has to look."""

TURNED_AWAY = frozenset({"unknown-member", "renewed", "expired-certificate"})
"""Codes that may mean that the coordinator knows this node under another certificate by now."""

PARTING = {
    True: "this node speaks an older protocol version than the coordinator; update this node",
    False: "the coordinator speaks an older protocol version than this node; its operator has to update it",
}
"""What to do about another protocol version, by whether the coordinator's is the newer one."""

_log = logging.getLogger("node.link")

Call = grpc.aio.StreamStreamCall[NodeMessage, CoordinatorMessage]


class Link:
    """Says hello, keeps the roster, answers announcements; the only module that speaks to another machine."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        software: str,
        gate: Gate,
        desk: Desk,
        membership: Membership,
        replier: Replier,
        connected: Callable[[], None] = lambda: None,
        turned_away: Callable[[], None] = lambda: None,
        leaving: Callable[[], None] = lambda: None,
        sender: Sender | None = None,
    ) -> None:
        """Prepare; nothing is sent before ``run``. Without a ``sender``, what is long is refused.

        ``connected`` is called at every welcome, ``turned_away`` when the coordinator does not know the certificate,
        ``leaving`` when the node is told to stop.
        """
        self._credentials = credentials
        self._software = software
        self._gate = gate
        self._desk = desk
        self._membership = membership
        self._replier = replier
        self._rounds = LongRounds(desk=desk, replier=replier, roster=lambda: membership.roster)
        self._connected = connected
        self._turned_away = turned_away
        self._leaving = leaving
        self._sender = sender
        self._again = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        self._replenishing: asyncio.Task[None] | None = None
        self._attesting = Attesting()
        self._channel: grpc.aio.Channel | None = None
        self._call: Call | None = None
        self._stopping = False
        self._welcomed_at = math.inf
        self._turn = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> int:
        """Keep the link up until ``stop``; return 0, or 1 where going on would be no use."""
        told = asyncio.ensure_future(stop.wait())
        attempt = 0
        session = asyncio.ensure_future(self._session())
        try:
            while True:
                self._welcomed_at = math.inf
                await asyncio.wait({session, told}, return_when=asyncio.FIRST_COMPLETED)
                if told.done():
                    await self._leave(session)
                    return 0
                code = session.result()
                if code in FINAL:
                    _log.error("the coordinator closed the link for good", extra={"code": code})
                    return 1
                if time.monotonic() - self._welcomed_at >= STEADY or (self._sender and self._sender.advanced()):
                    attempt = 0
                if code in TURNED_AWAY:
                    self._turned_away()
                pause = delay(attempt, code, secrets.randbelow(1 << 20) / (1 << 20))
                attempt += 1
                _log.warning("the link is down", extra={"code": code, "attempt": attempt, "seconds": round(pause, 2)})
                await self._pause(told, pause)
                if told.done():
                    return 0
                session = asyncio.ensure_future(self._session())
        finally:
            told.cancel()
            session.cancel()
            self._rounds.close()

    def renew(self, credentials: Credentials) -> None:
        """Dial with a renewed certificate from now on, at once where the link is down.

        A stream that is up is left as it is: the coordinator ends it when the roster that names the new one comes.
        """
        self._credentials = credentials
        self._again.set()

    async def _pause(self, told: asyncio.Future[Any], seconds: float) -> None:
        renewed = asyncio.ensure_future(self._again.wait())
        awaited: set[asyncio.Future[Any]] = {told, renewed}
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        renewed.cancel()
        self._again.clear()

    async def _leave(self, session: asyncio.Future[str]) -> None:
        """Finish the question under way, show the log where that is due, and end the stream once all of it was sent."""
        self._stopping = True
        self._leaving()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                if self._answering:
                    await asyncio.wait(self._answering)
                await self._attesting.finish()
        if self._call is not None:
            # A stream whose connection was never made, or is gone, cannot be told that there is no more to come.
            with contextlib.suppress(grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
                await self._call.done_writing()
            await asyncio.wait({session}, timeout=GOODBYE)
        session.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await session

    async def _session(self) -> str:
        """Hold one stream until it ends; return the code that it ended with."""
        try:
            async with dial(self._credentials) as channel:
                self._channel = channel
                self._call = NodesStub(channel).Link(metadata=METADATA)
                try:
                    await self._converse(self._call)
                finally:
                    for task in (*self._answering, self._replenishing):
                        if task is not None:
                            task.cancel()
                    self._attesting.cancel()
                    self._replenishing = None
                    self._call.cancel()
                    self._call = None
        except Rejected as rejected:
            return rejected.code
        except grpc.aio.AioRpcError as error:
            return code_of(error)
        except (TimeoutError, asyncio.InvalidStateError):
            pass
        except Exception:  # noqa: BLE001
            # A defect, or this machine's fault. The next attempt starts from nothing.
            _log.exception("the link failed")
        return "unavailable"

    async def _converse(self, call: Call) -> None:
        """Say hello, then hear, beat and watch until the first of these fails; raise what it raised.

        Guarantee: no link stays up without its heartbeats, or deaf to the operator's word. Test:
        tests/node/test_link.py::test_what_fails_beside_the_link_ends_it_and_the_next_one_goes_on.
        """
        hello = Hello(
            protocol=PROTOCOL_VERSION,
            software=self._software,
            roster_version=self._membership.roster.version,
            epoch=self._replier.answerer.seats.number,
        )
        await self._send(call, NodeMessage(hello=hello))
        await self._welcome(await asyncio.wait_for(_next(call), WELCOME))
        if hello.epoch:
            # What the last stream did not carry to its end is carried again, in the same bytes.
            self._begin(self._replenish(call, again=True))
        going = [asyncio.ensure_future(work) for work in (self._listen(call), self._beat(call), self._watch(call))]
        try:
            await asyncio.gather(*going)
        finally:
            for task in going:
                task.cancel()

    async def _listen(self, call: Call) -> None:
        while True:
            await self._hear(call, await _next(call))

    async def _welcome(self, message: CoordinatorMessage) -> None:
        if message.WhichOneof("kind") == "closing":
            raise Rejected(known(message.closing.code), "closed instead of a welcome")
        if message.WhichOneof("kind") != "welcome":
            raise Rejected("malformed", "no welcome")
        welcome: Welcome = message.welcome
        if welcome.protocol != PROTOCOL_VERSION:
            versions = {"ours": PROTOCOL_VERSION, "theirs": welcome.protocol}
            _log.error(PARTING[welcome.protocol > PROTOCOL_VERSION], extra=versions)
            raise Rejected("protocol-version", str(welcome.protocol))
        roster = await self._desk.ask(self._membership.take, welcome.roster)
        if hashlib.sha256(welcome.catalogue).digest() != roster.catalogue_digest:
            raise Rejected("wrong-catalogue", "welcome")
        self._welcomed_at = time.monotonic()
        _log.info("the link is up", extra={"address": self._credentials.address, "version": roster.version})
        self._connected()

    async def _hear(self, call: Call, message: CoordinatorMessage) -> None:
        kind = message.WhichOneof("kind")
        if kind == "announcement":
            await self._take(call, message.announcement)
        elif kind == "roster":
            try:
                await self._desk.ask(self._membership.take, message.roster)
            except Rejected as rejected:
                _log.warning("a roster was refused", extra={"code": rejected.code})
        elif kind in {"open_epoch", "freeze", "confirm", "unmask", "proposal", "heads"}:
            self._play(call, message)
        elif kind == "closing":
            raise Rejected(known(message.closing.code), "closed")
        elif kind == "release":
            self._attest_soon(call, message.release)
        else:
            raise Rejected("malformed", "a message of no known kind")

    async def _take(self, call: Call, signed: Signed) -> None:
        if self._stopping:
            return
        if self._desk.waiting >= MOST_WAITING or len(self._answering) >= MOST_UNSENT:
            # Sent before the next message is read, so a flood of questions is slowed to what is taken off.
            await self._send(call, self._replier.turn_away(announcements.tau(signed)))
            return
        self._begin(self._answer(call, self._rounds.reply(signed)))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return task

    def _play(self, call: Call, message: CoordinatorMessage) -> None:
        """Have a message of the secure sum, a proposal or heads answered before the questions that wait."""
        if self._stopping:
            return
        if self._desk.waiting >= MOST_WAITING + MOST_URGENT or len(self._answering) >= MOST_UNSENT:
            _log.warning("the queue is full", extra={"code": "busy"})
            return
        held = self._membership
        replies = self._desk.ask(lambda: self._replier.play(message, held.roster, held.digest), urgent=True)
        self._begin(self._say(call, replies))

    async def _say(self, call: Call, replies: asyncio.Future[list[NodeMessage]]) -> None:
        since = time.monotonic()
        messages = await asyncio.shield(replies)
        await self._rounds.even(since)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for message in messages:
                await self._send(call, message)

    async def _replenish(self, call: Call, *, again: bool) -> None:
        """Deposit slots in place of those that were used, out of the way of a round."""
        if not again:
            await asyncio.sleep(CALM)

        def prepare() -> list[NodeMessage]:
            return self._replier.deposits(again=again)

        await self._say(call, self._desk.ask(prepare, urgent=again))
        if not again:
            self._replenishing = None

    async def _answer(self, call: Call, reply: asyncio.Future[NodeMessage]) -> None:
        since = time.monotonic()
        # Shielded: when the stream is cut, the answer is finished and kept for when the round is announced again.
        message = await self._complete(await asyncio.shield(reply))
        if message is None:
            return
        await self._rounds.even(since)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._send(call, message)
            # At once, so that whoever asks for the budget sees this question in it.
            await self._send(call, NodeMessage(status=NodeStatus()))
        if self._replenishing is None and message.WhichOneof("kind") == "upload":
            self._replenishing = asyncio.ensure_future(self._replenish(call, again=False))
        self._attest_soon(call)

    async def _complete(self, message: NodeMessage) -> NodeMessage | None:
        """Return an upload once its long vector, if it has one, is at the coordinator; else what is to be said instead.

        A round that is over meanwhile needs no word.
        """
        blob = blob_of(message.upload) if message.HasField("upload") else None
        if blob is None:
            return message
        tau = checks.parse(Upload, message.upload.body).announcement
        if self._sender is None or self._channel is None:
            return self._replier.turn_away(tau, "unavailable")
        try:
            await self._sender.carry(self._channel, message.upload)
        except Rejected as rejected:
            return None if rejected.code == "late" else self._replier.turn_away(tau, "unavailable")
        return message

    async def _watch(self, call: Call) -> None:
        """Tell what the operator's decisions change, within a second."""
        replier, membership = self._replier, self._membership
        while True:
            await asyncio.sleep(WATCH)
            if not self._stopping:
                await self._say(call, self._desk.ask(lambda: replier.stirred(membership.roster)))

    def _attest_soon(self, call: Call, *released: Signed) -> None:
        async def show(gathered: Sequence[Signed]) -> None:
            await self._say(call, self._desk.ask(lambda: self._replier.attest(gathered, self._membership.roster)))

        self._attesting.soon(show, *released)

    async def _beat(self, call: Call) -> None:
        # A stream that has ended is told of by what was heard last: it names the code.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await asyncio.sleep(HEARTBEAT)
                await self._send(call, NodeMessage(status=NodeStatus()))

    async def _send(self, call: Call, message: NodeMessage) -> None:
        """Send a message: the one place from which anything leaves the node.

        Guarantee: it passed the gate. Test:
        tests/node/test_gate.py::test_only_the_link_speaks_and_only_through_the_gate.
        """
        async with self._turn:
            await call.write(self._gate.release(message))


async def _next(call: Call) -> CoordinatorMessage:
    """Return the next message; raise AioRpcError or Rejected when the stream has ended."""
    message = await call.read()
    if not isinstance(message, CoordinatorMessage):
        raise Rejected("unavailable", "the coordinator ended the stream")
    return message
