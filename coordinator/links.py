"""The streams of the hospitals that are connected: one each, with a bounded queue of what is still to be sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Protocol

from protocols.codes import ADVICE
from protocols.wire_pb2 import Closing, CoordinatorMessage, NodeStatus, NodeView

MOST_QUEUED = 256
"""Most messages that wait for one hospital. One that falls further behind is cut off; it gets all that still matters
when it connects again."""

LIVE_SECONDS = 25.0
"""How long after its last word a hospital counts as live: two heartbeats and a half."""

RETURN_SECONDS = 30.0
"""How long a hospital that left is expected back."""


class Sink(Protocol):
    """The part of a gRPC context that sends."""

    async def write(self, message: CoordinatorMessage) -> None:
        """Send one message, waiting while the other side is slow."""


class Stream:
    """One hospital's stream."""

    def __init__(self, site: str, certificate: bytes) -> None:
        """Start with nothing to send; ``certificate`` is the digest of the one that the hospital showed."""
        self.site = site
        self.certificate = certificate
        self._queue: asyncio.Queue[CoordinatorMessage | None] = asyncio.Queue()
        self._closed = False

    def send(self, message: CoordinatorMessage) -> None:
        """Queue a message; a hospital that does not keep up is cut off."""
        if self._closed:
            return
        if self._queue.qsize() >= MOST_QUEUED:
            self.close("busy")
            return
        self._queue.put_nowait(message)

    def end(self) -> None:
        """End the stream once what is queued was sent."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(None)

    def close(self, code: str) -> None:
        """End the stream, dropping what is queued, and tell the hospital why."""
        if self._closed:
            return
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(CoordinatorMessage(closing=Closing(code=code, message=ADVICE[code])))
        self.end()

    async def drain(self, sink: Sink) -> None:
        """Send what is queued until the link is closed."""
        while (message := await self._queue.get()) is not None:
            await sink.write(message)


class Links:
    """Which hospitals are connected, and what was last heard of each."""

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody connected; ``clock`` gives seconds since 1970, UTC, ``steady`` seconds that never jump."""
        self._clock = clock
        self._steady = steady
        self._started = clock()
        self._spoke: dict[str, float] = {}
        self._links: dict[str, Stream] = {}
        self._seen: dict[str, tuple[float, NodeStatus]] = {}

    @property
    def connected(self) -> AbstractSet[str]:
        """Return the hospitals that are connected."""
        return self._links.keys()

    @property
    def live(self) -> AbstractSet[str]:
        """Return the hospitals that are connected and were heard a moment ago, so that a round may count on them."""
        since = self._steady() - LIVE_SECONDS
        return {site for site in self._links if self._spoke.get(site, since) > since}

    def attach(self, link: Stream) -> None:
        """Take a hospital's new stream; an older one of the same hospital is closed.

        The newest stream holds because after a cut the old one may look alive for as long as TCP waits.
        """
        if older := self._links.get(link.site):
            older.close("displaced")
        self._links[link.site] = link

    def detach(self, link: Stream) -> bool:
        """Forget a stream that ended; return whether the hospital is now away, which it is not if displaced."""
        if self._links.get(link.site) is not link:
            return False
        del self._links[link.site]
        return True

    def heard(self, site: str, status: NodeStatus | None = None) -> None:
        """Note that a hospital spoke, perhaps of its status."""
        self._spoke[site] = self._steady()
        self._seen[site] = (self._clock(), status or self._seen[site][1])

    def send(self, sites: Iterable[str], message: CoordinatorMessage) -> None:
        """Send a message to those of the hospitals that are connected."""
        for site in sites:
            if link := self._links.get(site):
                link.send(message)

    def each(self) -> Collection[Stream]:
        """Return the streams."""
        return tuple(self._links.values())

    def returning(self, sites: Iterable[str]) -> bool:
        """Tell whether one of these hospitals was here a moment ago, or may have been before this process."""
        since = self._clock() - RETURN_SECONDS
        return any(self._seen[site][0] >= since if site in self._seen else self._started >= since for site in sites)

    def looks(self, site: str) -> bool:
        """Tell whether a hospital said that somebody there looks at some requests before they are answered."""
        return site in self._seen and self._seen[site][1].holds

    def paused(self, site: str) -> bool:
        """Tell whether a hospital last said that it is paused: until it says otherwise it adds zeros to any round."""
        return site in self._seen and self._seen[site][1].paused

    def view(self, site: str) -> NodeView:
        """Return what is known of a hospital's connection."""
        seen, status = self._seen.get(site, (0.0, None))
        return NodeView(site=site, connected=site in self._links, status=status, last_seen=int(seen))
