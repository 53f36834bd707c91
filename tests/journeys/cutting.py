"""A wire that breaks: a proxy between a member and the coordinator that counts bytes and cuts connections."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress


class Wire:
    """Passes bytes on in both directions; after so many of them it cuts the connection, a number of times."""

    def __init__(self, target, *, after, cuts):
        """Prepare; ``after``: bytes of one connection, in the busier direction, before it is cut."""
        self.target = target
        self.after = after
        self.cuts = cuts
        self.sent = 0
        self.received = 0
        self.address = ""

    async def serve(self, reader, writer):
        """Carry one connection."""
        host, _, port = self.target.rpartition(":")
        try:
            there, back = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        passed = {"sent": 0, "received": 0}
        ends = [
            asyncio.ensure_future(self._carry(reader, back, passed, "sent")),
            asyncio.ensure_future(self._carry(there, writer, passed, "received")),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        for each in (writer, back):
            with suppress(OSError, RuntimeError):
                each.transport.abort() if max(passed.values()) > self.after else each.close()

    async def _carry(self, source, sink, passed, way):
        with suppress(OSError):
            while data := await source.read(1 << 16):
                passed[way] += len(data)
                setattr(self, way, getattr(self, way) + len(data))
                sink.write(data)
                await sink.drain()
                if self.cuts and passed[way] > self.after:
                    self.cuts -= 1
                    return


@asynccontextmanager
async def wire(target, *, after, cuts):
    """Hold a wire to an address for the length of a block."""
    found = Wire(target, after=after, cuts=cuts)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
