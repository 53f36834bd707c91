"""What was released and published, for those who may read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coordinator import questions
from coordinator.members import Members
from coordinator.store import Store
from protocols.errors import Rejected
from protocols.request import asked_for
from protocols.roster import Member
from protocols.wire_pb2 import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Reads the state; changes nothing."""

    store: Store
    """The state."""
    members: Members
    """By whose roster and catalogue a mandate is judged."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""

    def release(self, id_: bytes, analyst: Member) -> Signed:
        """Return a release by the id of the request that it answered; one beyond the analyst's mandate is unknown."""
        signed = self.store.release(id_)
        if signed is None or not self._may_read(id_, analyst):
            raise Rejected("unknown-request", "release")
        return signed

    def releases(self, analyst: Member) -> list[Signed]:
        """Return the releases within the analyst's mandate, newest first."""
        return self.store.releases(lambda id_: self._may_read(id_, analyst))

    def roster(self, version: int) -> Signed:
        """Return a roster by its version."""
        signed = self.store.roster(version) if version < 1 << 63 else None
        if signed is None:
            raise Rejected("unknown-roster", "version")
        return signed

    def _may_read(self, id_: bytes, analyst: Member) -> bool:
        """Tell whether an analyst may read the release of a request: its own, or one that its mandate covers."""
        stored = self.store.request(id_)
        if stored is None:
            return False
        asked, members = asked_for(stored.signed), self.members
        return questions.is_covered(
            asked, analyst, roster=members.roster, catalogue=members.catalogue, now=int(self.clock())
        )
