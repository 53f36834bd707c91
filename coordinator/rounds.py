"""The rounds that are open: one state value each, moved on by what hospitals say and by time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from coordinator.blob_store import BlobStore
from coordinator.opened import OpenRound, Phase, contributing, hopeless
from coordinator.seated import SeatedEpoch
from coordinator.settings import CoordinatorSettings
from protocols import blobs, checks, ring
from protocols import release as releases
from protocols import round as steps
from protocols import upload as uploads
from protocols.blobs import Blob
from protocols.codes import ADVICE
from protocols.errors import Rejected
from protocols.farrsum.masking import CHECKS
from protocols.farrsum.slots import read_deposit
from protocols.release import Release
from protocols.ring import Ring
from protocols.round import Round
from protocols.wire_pb2 import Confirmation, CoordinatorMessage, Deposit, Refusal, Shares, Signed
from protocols.wire_pb2 import Upload as UploadMessage

MOST_REFERENCE = 64

AGAIN_SECONDS = 1.0
"""How soon an end that could not be stored is tried again."""

FINISHERS = 2
"""Most sums whose masks are taken off at once."""

log = logging.getLogger(__name__)


class Rounds:
    """All open rounds.

    ``send`` queues a message for hospitals; ``moved`` is called with the request's id after each upload, ``ended`` with
    the last state, and the signed release or, where there is none, the code that says why. A round stays open until
    ``ended`` returned: what it cannot store is not lost.
    """

    def __init__(
        self,
        *,
        settings: CoordinatorSettings,
        send: Callable[[Iterable[str], CoordinatorMessage], None],
        moved: Callable[[bytes, Round], None],
        ended: Callable[[bytes, Round, Signed | None, str], None],
        blobs: BlobStore,
    ) -> None:
        """Start with none open; long vectors and sums are in the store ``blobs``."""
        self._blobs = blobs
        self._settings = settings
        self._clock = settings.clock
        self._send = send
        self._moved = moved
        self._ended = ended
        self._open: dict[bytes, OpenRound] = {}
        self._finishers = ThreadPoolExecutor(FINISHERS, thread_name_prefix="finish")

    @property
    def oldest(self) -> int | None:
        """Return the number of the oldest epoch with an open round."""
        return min((each.seated.epoch.number for each in self._open.values()), default=None)

    @property
    def analysts(self) -> list[str]:
        """Return whose rounds are open, each as often as there are."""
        return [each.state.announcement.request.analyst for each in self._open.values()]

    def open(self, state: Round, *, seated: SeatedEpoch, deposits: Mapping[int, Deposit], opened_at: float) -> None:
        """Announce a round, which is stored already, to its contributors."""
        found = OpenRound(state=state, seated=seated, deposits=deposits, opened_at=opened_at)
        self._open[state.tau] = found
        message = CoordinatorMessage(announcement=state.signed)
        wait = max(0.0, state.announcement.deadline - self._clock())
        self._ask(found, Phase.UPLOAD, dict.fromkeys(state.announcement.contributors, message), wait)

    def drop(self, tau: bytes) -> None:
        """Close a round without an answer."""
        if found := self._open.pop(tau, None):
            found.stop()
            if self._is_long(found):
                self._finishers.submit(self._blobs.drop_uploads, tau)

    def stop(self) -> None:
        """Let nothing move a round any more."""
        for tau in list(self._open):
            self.drop(tau)
        self._finishers.shutdown(wait=False, cancel_futures=True)

    def awaiting(self, site: str) -> list[CoordinatorMessage]:
        """Return what a hospital has yet to answer: the very messages that went out before."""
        return [each.awaited[site] for each in self._open.values() if site in each.awaited]

    # --- what hospitals say

    def upload(self, site: str, signed: Signed) -> None:
        """Take a hospital's upload; raise Rejected for one that does not belong in an open round.

        Guarantee: a hospital can only speak for itself, whatever name it signs with. Test:
        tests/coordinator/test_uploads.py::test_a_hospital_cannot_upload_for_another.
        """
        if signed.signer != site:
            raise Rejected("bad-signature", f"{site} sends an upload of another")
        message = checks.parse(UploadMessage, signed.body)
        found = self._found(message.announcement, Phase.UPLOAD)
        try:
            if message.HasField("blob"):
                self._insist_whole(found, site, blobs.read(message.blob))
            moved = steps.take_upload(found.state, signed, roster=found.seated.roster, now=int(self._clock()))
        except Rejected as refusal:
            # The others need not wait for the deadline because one hospital's answer is of no use.
            self._move(found, steps.take_refusal(found.state, site, refusal.code, ""))
            raise
        found.awaited.pop(site, None)
        self._move(found, moved)

    def expected(self, site: str, tau: bytes) -> int:
        """Return the bytes of the long vector that a hospital has yet to send for a round; raise Rejected if none."""
        found = self._found(tau, Phase.UPLOAD)
        if site not in found.awaited or self._clock() > found.state.announcement.deadline:
            raise Rejected("late", "nothing more is awaited of this hospital")
        if not self._is_long(found):
            raise Rejected("malformed", "a short vector travels inside its upload")
        return (found.state.entries + CHECKS) * ring.ENTRY_BYTES

    def refusal(self, site: str, refusal: Refusal) -> None:
        """Take a hospital's word that it will not answer, or not help to open the sum."""
        checks.at_most(refusal.reference, MOST_REFERENCE, "reference")
        code = refusal.code if refusal.code in ADVICE else "unavailable"
        found = self._found(refusal.announcement)
        if found.phase is Phase.UPLOAD:
            self._move(found, steps.take_refusal(found.state, site, code, refusal.reference))
        elif found.awaited.pop(site, None) is not None:
            log.warning("not opened", extra={"peer": site, "code": code, "reference": refusal.reference})
            self._give_up_if_hopeless(found)

    def confirmation(self, site: str, message: Confirmation) -> None:
        """Take a witness's signature on who is in the sum."""
        found = self._found(message.announcement, Phase.CONFIRM)
        found.state = steps.take_confirmation(found.state, site, message, roster=found.seated.roster)
        self._heard(found, site)
        if found.state.confirmed:
            self._unmask(found)

    def shares(self, site: str, message: Shares) -> None:
        """Take a committee member's key shares."""
        found = self._found(message.announcement, Phase.UNMASK)
        found.state = steps.take_shares(found.state, site, message)
        self._heard(found, site)
        if found.state.openable:
            self._finish(found)

    def _found(self, tau: bytes, phase: Phase | None = None) -> OpenRound:
        found = self._open.get(tau)
        if found is None or phase not in (None, found.phase):
            raise Rejected("late", "no such round is open, or it is past that")
        return found

    def _heard(self, found: OpenRound, site: str) -> None:
        if found.awaited.pop(site, None) is not None:
            found.spoke += 1

    # --- steps

    def _ask(self, found: OpenRound, phase: Phase, messages: Mapping[str, CoordinatorMessage], seconds: float) -> None:
        """Begin a phase: send each hospital its message, and wait for at most ``seconds``."""
        found.stop()
        found.phase, found.awaited, found.spoke = phase, dict(messages), 0
        found.timer = asyncio.get_running_loop().call_later(seconds, self._over, found)
        for site, message in messages.items():
            self._send((site,), message)

    def _over(self, found: OpenRound) -> None:
        """End a phase whose time is over."""
        if found.phase is Phase.UPLOAD:
            self._fix(found)
        else:
            self._fail(found, "too-few")

    def _move(self, found: OpenRound, state: Round) -> None:
        """Take the next state of a round that collects uploads, and see whether there is more to wait for."""
        if state is found.state:
            return
        found.state = state
        self._moved(state.announcement.request.id, state)
        if state.complete or hopeless(state):
            self._fix(found)
        elif state.sufficient and not found.stragglers:
            loop = asyncio.get_running_loop()
            found.stragglers = loop.call_later(self._patience(found), self._fix, found)

    def _patience(self, found: OpenRound) -> float:
        """Return how long a round that has enough answers waits for the rest.

        Where an app runs or long vectors travel, as long again as those took that are there.
        """
        seconds = self._settings.straggler_seconds
        lasts = found.state.announcement.deadline - found.opened_at
        if lasts <= self._settings.round_seconds + 1:
            return seconds
        return min(max(seconds, self._clock() - found.opened_at), lasts)

    def _is_long(self, found: OpenRound) -> bool:
        return uploads.is_long(found.state.entries + CHECKS)

    def _insist_whole(self, found: OpenRound, site: str, blob: Blob) -> None:
        """Raise Rejected unless a vector that an upload names is there, its digest checked.

        Guarantee: no upload counts before all of its vector is on the coordinator's disk. Test:
        tests/coordinator/test_blobs.py::test_an_upload_without_its_vector_is_refused.
        """
        if not self._blobs.upload(found.state.tau, site, blob).whole:
            raise Rejected("unknown-blob", "vector")

    def _fix(self, found: OpenRound) -> None:
        """End the uploads: fix who is in the sum, for ever, and ask the witnesses to sign it."""
        try:
            state, question = steps.fix_survivors(found.state)
        except Rejected as refusal:
            self._fail(found, refusal.code)
            return
        if len(contributing(state)) < state.announcement.request.minimum:
            # Nobody wants the sum, so nobody is asked to help to open it.
            self._fail(found, "too-few")
            return
        found.state = state
        witnesses = self._named(state, state.epoch.witnesses)
        message = CoordinatorMessage(confirm=question)
        self._ask(found, Phase.CONFIRM, dict.fromkeys(witnesses, message), self._settings.phase_seconds)

    def _unmask(self, found: OpenRound) -> None:
        """Ask the committee for its key shares."""
        state = found.state
        sealed = {
            index: read_deposit(found.deposits[index], epoch=state.epoch, own=index) for index in steps.dropped(state)
        }
        questions = steps.ask_committee(state, sealed)
        committee = self._named(state, state.epoch.committee)
        messages = {site: CoordinatorMessage(unmask=questions[site]) for site in committee}
        self._ask(found, Phase.UNMASK, messages, self._settings.phase_seconds)

    def _give_up_if_hopeless(self, found: OpenRound) -> None:
        if found.phase in (Phase.CONFIRM, Phase.UNMASK) and found.spoke + len(found.awaited) < found.threshold:
            self._fail(found, "too-few")

    def _finish(self, found: OpenRound) -> None:
        """Take the masks off, away from the loop: the arithmetic is the round's only long computation here."""
        self._ask(found, Phase.FINISH, {}, self._settings.phase_seconds)
        found.stop()
        state = found.state
        backups = {index: found.deposits[index].backups for index in steps.dropped(state)}
        loop = asyncio.get_running_loop()

        def vectors(index: int, blob: Blob) -> Iterator[Ring]:
            return self._blobs.pieces(self._blobs.upload(state.tau, state.epoch.members[index], blob))

        def close() -> Release:
            release = steps.close(state, backups=backups, released_at=0, seconds=0.0, vectors=vectors)
            if not releases.is_long(len(release.vector)):
                return release
            return replace(release, vector=release.vector[:0], blob=self._blobs.keep(release.vector))

        loop.run_in_executor(self._finishers, close).add_done_callback(lambda done: self._finished(found, done))

    def _finished(self, found: OpenRound, done: asyncio.Future[Release]) -> None:
        if done.cancelled() or found.state.tau not in self._open:
            return
        now = self._clock()
        try:
            release = replace(done.result(), released_at=int(now), seconds=max(0.0, now - found.opened_at))
        except Rejected as refusal:
            log.warning("no sum", extra={"round": found.state.tau.hex(), "code": refusal.code})
            self._fail(found, refusal.code)
        except Exception:
            log.exception("failed", extra={"round": found.state.tau.hex()})
            self._fail(found, "internal")
        else:
            key = self._settings.credentials.identity
            self._end(found, releases.write(release, found.seated.roster, key), "")

    def _fail(self, found: OpenRound, code: str) -> None:
        self._end(found, None, code)

    def _end(self, found: OpenRound, release: Signed | None, code: str) -> None:
        """Tell the end of a round, again and again until it was stored; nothing that comes in can change it."""
        tau = found.state.tau
        if tau not in self._open:
            return
        found.stop()
        found.phase, found.awaited = Phase.FINISH, {}
        try:
            self._ended(found.state.announcement.request.id, found.state, release, code)
        except Exception:
            log.exception("failed", extra={"round": tau.hex()})
            found.timer = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._end, found, release, code)
        else:
            self.drop(tau)

    def _named(self, state: Round, indexes: Collection[int]) -> list[str]:
        """Return those of some members of the epoch that this round was announced to."""
        announced = set(state.cohort.members)
        return [state.epoch.members[index] for index in indexes if index in announced]
