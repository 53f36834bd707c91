"""The rounds that are open: one state value each, moved on by uploads, refusals and the deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from coordinator.questions import Question
from coordinator.store import StoredRound
from protocols import announcement as announcements
from protocols import checks
from protocols import release as releases
from protocols.announcement import Announcement
from protocols.codes import ADVICE
from protocols.errors import Rejected
from protocols.roster import Roster
from protocols.round import Round, close, open_round, take_refusal, take_upload
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Refusal, Signed
from protocols.wire_pb2 import Upload as UploadMessage

HONEST = 1
"""h: without masks each hospital adds the whole noise."""

MOST_REFERENCE = 64


@dataclass(kw_only=True)
class OpenRound:
    """A round with its surroundings."""

    state: Round
    """What has come in so far."""
    roster: Roster
    """The roster that it was announced for; uploads are checked against it, also after a newer one."""
    opened_at: float
    """Seconds since 1970, UTC."""
    timer: asyncio.TimerHandle
    """Fires at the deadline."""


def announce(
    question: Question, *, roster: Roster, key: IdentityKey, contributors: Collection[str], slot: int, now: float,
    seconds: float,
) -> StoredRound:  # fmt: skip
    """Make the announcement that asks ``contributors`` the question; it is open for ``seconds``."""
    asked = question.request
    announcement = Announcement(
        request=asked,
        signed_request=question.signed,
        epoch=roster.version,
        slot=slot,
        contributors=tuple(sorted(contributors)),
        minimum=asked.minimum,
        honest=HONEST,
        # No hospital answers a request that is past its time, so there is no use in waiting longer.
        deadline=min(math.ceil(now + seconds), asked.expires_at),
    )
    return StoredRound(
        signed=announcements.write(announcement, roster, key),
        epoch=roster.version,
        entries=question.entries,
        opened_at=now,
    )


def opened(stored: StoredRound, roster: Roster) -> Round:
    """Return the state of a round, nothing answered, from the announcement as it was stored."""
    announcement = announcements.read(stored.signed, roster=roster, now=int(stored.opened_at))
    return open_round(announcement, stored.signed, stored.entries)


class Rounds:
    """All open rounds.

    ``moved`` is called with the request's id after each answer, ``ended`` with the last state and the signed release,
    or None where too few answered. A round stays open until ``ended`` returned: what it cannot store is not lost.
    """

    def __init__(
        self,
        *,
        key: IdentityKey,
        clock: Callable[[], float],
        moved: Callable[[bytes, Round], None],
        ended: Callable[[bytes, Round, Signed | None], None],
    ) -> None:
        """Start with none open."""
        self._key = key
        self._clock = clock
        self._moved = moved
        self._ended = ended
        self._open: dict[bytes, OpenRound] = {}

    @property
    def count(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def open(self, state: Round, roster: Roster, opened_at: float) -> None:
        """Let a round, which is stored already, take answers until its deadline."""
        wait = max(0.0, state.announcement.deadline - self._clock())
        timer = asyncio.get_running_loop().call_later(wait, self._close, state.tau)
        self._open[state.tau] = OpenRound(state=state, roster=roster, opened_at=opened_at, timer=timer)

    def drop(self, tau: bytes) -> None:
        """Close a round without an answer."""
        if found := self._open.pop(tau, None):
            found.timer.cancel()

    def stop(self) -> None:
        """Let no deadline end a round any more."""
        for tau in list(self._open):
            self.drop(tau)

    def asking(self, site: str) -> list[Signed]:
        """Return the announcements that a hospital has yet to answer: the very bytes that went out before."""
        return [
            each.state.signed
            for each in self._open.values()
            if site in each.state.announcement.contributors and site not in each.state.answered
        ]

    def upload(self, site: str, signed: Signed) -> None:
        """Take a hospital's upload; raise Rejected for one that does not belong in an open round.

        Guarantee: a hospital can only speak for itself, whatever name it signs with. Test:
        tests/coordinator/test_uploads.py::test_a_hospital_cannot_upload_for_another.
        """
        if signed.signer != site:
            raise Rejected("bad-signature", f"{site} sends an upload of another")
        found = self._found(checks.parse(UploadMessage, signed.body).announcement)
        try:
            moved = take_upload(found.state, signed, roster=found.roster, now=int(self._clock()))
        except Rejected as refusal:
            # The others need not wait for the deadline because one hospital's answer is of no use.
            self._move(found, take_refusal(found.state, site, refusal.code, ""))
            raise
        self._move(found, moved)

    def refusal(self, site: str, refusal: Refusal) -> None:
        """Take a hospital's word that it will not answer."""
        checks.at_most(refusal.reference, MOST_REFERENCE, "reference")
        code = refusal.code if refusal.code in ADVICE else "unavailable"
        found = self._found(refusal.announcement)
        self._move(found, take_refusal(found.state, site, code, refusal.reference))

    def _found(self, tau: bytes) -> OpenRound:
        if tau not in self._open:
            raise Rejected("late", "no such round is open")
        return self._open[tau]

    def _move(self, found: OpenRound, state: Round) -> None:
        if state is found.state:
            return
        found.state = state
        if state.complete or state.hopeless:
            self._close(state.tau)
        else:
            self._moved(state.announcement.request.id, state)

    def _close(self, tau: bytes) -> None:
        found = self._open[tau]
        now = self._clock()
        try:
            release = close(found.state, released_at=int(now), seconds=max(0.0, now - found.opened_at))
        except Rejected:
            signed = None
        else:
            signed = releases.write(release, found.roster, self._key)
        self._ended(found.state.announcement.request.id, found.state, signed)
        self.drop(tau)
