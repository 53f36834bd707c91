"""The analysts' side of the server: the edge checks who calls, everything else is in ``requests``."""

from __future__ import annotations

from typing import Any

from coordinator import listing
from coordinator.errors import coded
from coordinator.evidence import Keeper
from coordinator.links import Links
from coordinator.members import Members
from coordinator.requests import Requests
from protocols import PROTOCOL_VERSION
from protocols.wire_pb2 import (
    Description,
    Evidence,
    Nothing,
    Releases,
    RequestId,
    RequestStatus,
    RequestStatuses,
    RequestsWanted,
    Role,
    RosterVersion,
    Signed,
)
from protocols.wire_pb2_grpc import AnalystsServicer


class AnalystsService(AnalystsServicer):
    """Serves the analysts. The methods' names are those of wire.proto."""

    # ruff: noqa: N802

    def __init__(self, *, members: Members, links: Links, requests: Requests, keeper: Keeper) -> None:
        """Serve these members."""
        self._keeper = keeper
        self._members = members
        self._links = links
        self._requests = requests

    @coded
    async def Describe(self, message: Nothing, context: Any) -> Description:
        """Return who is a member, what may be asked, and which hospitals are there."""
        self._members.identify(context, Role.ROLE_ANALYST)
        members = self._members
        return Description(
            roster=members.signed,
            catalogue=members.catalogue.source,
            nodes=[self._links.view(site) for site in members.roster.nodes],
            protocol=PROTOCOL_VERSION,
        )

    @coded
    async def Submit(self, message: Signed, context: Any) -> RequestStatus:
        """Take a request."""
        return self._requests.submit(message, self._members.identify(context, Role.ROLE_ANALYST))

    @coded
    async def Watch(self, message: RequestId, context: Any) -> None:
        """Tell how a request fares until it has ended; a member who is struck off meanwhile is told no more."""
        analyst = self._members.identify(context, Role.ROLE_ANALYST)
        async for status in self._requests.watch(message.id, analyst):
            self._members.check(analyst.certificate_digest, Role.ROLE_ANALYST)
            await context.write(status)

    @coded
    async def Requests(self, message: RequestsWanted, context: Any) -> RequestStatuses:
        """Return a page of the caller's requests, newest first."""
        analyst = self._members.identify(context, Role.ROLE_ANALYST)
        return self._requests.statuses(analyst, listing.read(message))

    @coded
    async def Cancel(self, message: RequestId, context: Any) -> RequestStatus:
        """Cancel the caller's request."""
        return self._requests.cancel(message.id, self._members.identify(context, Role.ROLE_ANALYST))

    @coded
    async def Release(self, message: RequestId, context: Any) -> Signed:
        """Return a release: what was released once, every analyst whose mandate covers it may read."""
        return self._requests.reading.release(message.id, self._members.identify(context, Role.ROLE_ANALYST))

    @coded
    async def ReleaseList(self, message: Nothing, context: Any) -> Releases:
        """Return the releases that the caller's mandate covers, newest first."""
        analyst = self._members.identify(context, Role.ROLE_ANALYST)
        return Releases(releases=self._requests.reading.releases(analyst))

    @coded
    async def Roster(self, message: RosterVersion, context: Any) -> Signed:
        """Return an earlier roster, by which a release of its time can be verified."""
        self._members.identify(context, Role.ROLE_ANALYST)
        return self._requests.reading.roster(message.version)

    @coded
    async def Prove(self, message: RequestId, context: Any) -> Evidence:
        """Return what a third party needs to check a release that the caller may read."""
        analyst = self._members.identify(context, Role.ROLE_ANALYST)
        return self._keeper.prove(message.id, self._requests.reading.release(message.id, analyst))
