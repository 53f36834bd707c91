"""The hospitals' side of the server: one stream each, on which everything between hospital and coordinator travels."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from coordinator.errors import INTERNAL, coded
from coordinator.evidence import Keeper
from coordinator.links import Links, Stream
from coordinator.members import Members, certificate_of
from coordinator.requests import Requests
from protocols import PROTOCOL_VERSION, checks
from protocols.errors import Rejected
from protocols.wire_pb2 import Closing, CoordinatorMessage, Hello, NodeMessage, NodeStatus, Role, Welcome
from protocols.wire_pb2_grpc import NodesServicer

OVERTAKEN = ("late", "wrong-epoch")
"""Codes of messages that an honest hospital may send to a round or an epoch that ended meanwhile."""

HELLO_SECONDS = 10.0
"""How long a hospital that connected has for its first message."""

MOST_TABLES = 1000
MOST_TEXT = 200
MOST_STATUS_BYTES = 1 << 15
"""Longest status, unknown fields included: all hospitals' together go to an analyst in one message."""

log = logging.getLogger(__name__)


class NodesService(NodesServicer):
    """Serves the hospitals."""

    def __init__(self, *, members: Members, links: Links, requests: Requests, keeper: Keeper) -> None:
        """Serve these members."""
        self._keeper = keeper
        self._members = members
        self._links = links
        self._requests = requests

    @coded
    async def Link(self, messages: AsyncIterator[NodeMessage], context: Any) -> None:  # noqa: N802 - named by wire.proto
        """Hold a conversation with one hospital until either side ends it."""
        member = self._members.identify(context, Role.ROLE_NODE)
        hello = await _hello(messages)
        if hello.protocol != PROTOCOL_VERSION:
            await _part(member.id, hello.protocol, context)
            return
        link = Stream(member.id, hashlib.sha256(certificate_of(context)).digest())
        self._welcome(link, hello)
        listener = asyncio.create_task(self._listen(link, messages))
        try:
            await link.drain(context)
        finally:
            listener.cancel()
            self._links.heard(link.site)
            if self._links.detach(link):
                self._requests.site_left(link.site)
                self._requests.epochs.stir()
            log.info("left", extra={"peer": link.site})

    def _welcome(self, link: Stream, hello: Hello) -> None:
        members = self._members
        self._requests.epochs.check_seat(hello.epoch)
        self._links.attach(link)
        self._links.heard(link.site, hello.status)
        link.send(
            CoordinatorMessage(
                welcome=Welcome(protocol=PROTOCOL_VERSION, roster=members.signed, catalogue=members.catalogue.source)
            )
        )
        # Before anything that it could answer: a hospital that was rolled back shall know it.
        self._keeper.welcome(link)
        self._requests.epochs.site_connected(link.site, hello.epoch)
        for message in self._requests.rounds.awaiting(link.site):
            link.send(message)
        log.info("connected", extra={"peer": link.site, "epoch": hello.epoch})
        self._requests.site_connected(link.site)

    async def _listen(self, link: Stream, messages: AsyncIterator[NodeMessage]) -> None:
        """Take what a hospital says; close its link with a code at the first message that is wrong."""
        try:
            async for message in messages:
                self._members.check(link.certificate, Role.ROLE_NODE)
                self._take(link.site, message)
            link.end()
        except Rejected as refusal:
            log.warning("refused", extra={"peer": link.site, "code": refusal.code})
            link.close(refusal.code)
        except Exception:
            log.exception("failed", extra={"peer": link.site})
            link.close(INTERNAL)

    def _take(self, site: str, message: NodeMessage) -> None:
        kind = message.WhichOneof("kind")
        if kind == "status":
            self._links.heard(site, _checked(message.status))
            self._requests.site_spoke(site)
            return
        self._links.heard(site)
        epochs, rounds = self._requests.epochs, self._requests.rounds
        take: dict[str, Callable[[str, Any], None]] = {
            "epoch_key": epochs.take_key,
            "deposits": epochs.take_deposits,
            "upload": rounds.upload,
            "refusal": rounds.refusal,
            "confirmation": rounds.confirmation,
            "shares": rounds.shares,
            "checkpoint": self._keeper.take_checkpoint,
            "receipt": self._keeper.take_receipt,
            "witness": self._keeper.take_witness,
            "verdict": self._requests.verdict,
        }
        if kind not in take:
            raise Rejected("malformed", "message kind")
        try:
            take[kind](site, getattr(message, kind))
        except Rejected as refusal:
            if refusal.code not in OVERTAKEN:
                raise
            log.debug("late", extra={"peer": site, "code": refusal.code})


async def _part(site: str, theirs: int, context: Any) -> None:
    """Part with a hospital that speaks another protocol version: both sides learn both versions, and who is to update.

    The welcome names the version, which every node compares with its own, and nothing else; the closing is for people.
    """
    newer = theirs > PROTOCOL_VERSION
    who = "the coordinator has to be updated" if newer else "this node has to be updated"
    text = f"the coordinator speaks protocol {PROTOCOL_VERSION}, this node {theirs}: {who}"
    log.warning(
        "a node speaks a newer protocol version: update the coordinator"
        if newer
        else "a node speaks an older protocol version: the hospital has to update it",
        extra={"peer": site, "ours": PROTOCOL_VERSION, "theirs": theirs},
    )
    await context.write(CoordinatorMessage(welcome=Welcome(protocol=PROTOCOL_VERSION)))
    await context.write(CoordinatorMessage(closing=Closing(code="protocol-version", message=text)))


async def _hello(messages: AsyncIterator[NodeMessage]) -> Hello:
    try:
        first = await asyncio.wait_for(anext(messages), HELLO_SECONDS)
    except (TimeoutError, StopAsyncIteration) as error:
        raise Rejected("malformed", "no hello") from error
    if first.WhichOneof("kind") != "hello":
        raise Rejected("malformed", "the first message is not a hello")
    _checked(first.hello.status)
    return first.hello


def _checked(status: NodeStatus) -> NodeStatus:
    """Return a status that is small enough to keep and to show to every analyst.

    Guarantee: no hospital can make the federation's description too long to send. Test:
    tests/coordinator/test_refusals.py::test_a_status_swollen_by_unknown_fields_ends_the_link.
    """
    if status.ByteSize() > MOST_STATUS_BYTES:
        raise Rejected("oversized", "status")
    if len(status.tables) > MOST_TABLES:
        raise Rejected("oversized", "tables")
    for table in status.tables:
        checks.at_most(table, MOST_TEXT, "table name")
    offered = set(status.tables)
    said = [each.table for each in status.loaded]
    if not offered.issuperset(said) or len(set(said)) != len(said):
        raise Rejected("malformed", "a day of a table that is not offered, or two")
    for each in status.loaded:
        checks.day(each.day, "loaded through")
    return status
