"""The life of a request: submitted, waiting for hospitals, running, one of four ends. Every step is stored first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress

from coordinator import announcing, holding, progress, questions, shares
from coordinator.alive import Alive
from coordinator.blob_store import BlobStore
from coordinator.endings import Endings
from coordinator.epochs import Epochs
from coordinator.holding import Outlook
from coordinator.links import Links
from coordinator.listing import Page
from coordinator.members import Members
from coordinator.opened import contributing
from coordinator.questions import Question
from coordinator.reading import Reading
from coordinator.rounds import Rounds
from coordinator.settings import CoordinatorSettings
from coordinator.store import Store
from protocols.errors import Rejected
from protocols.farrsum.parameters import parameters
from protocols.roster import Member
from protocols.round import Round, open_round
from protocols.wire_pb2 import CoordinatorMessage, RequestStatus, RequestStatuses, Signed, State, Verdict

PACE = 0.1
"""Least seconds between two progress messages to one watcher; the end is told at once."""

log = logging.getLogger(__name__)


class Requests:
    """All requests of the federation."""

    def __init__(self, *, settings: CoordinatorSettings, store: Store, members: Members, links: Links) -> None:
        """Start with none alive; ``restore`` brings back those of an earlier run."""
        self._settings = settings
        self._clock: Callable[[], float] = settings.clock
        self._store = store
        self._members = members
        self._links = links
        self._alive: dict[bytes, Alive] = {}
        self._endings = Endings(links)
        self._turns = shares.Turns()
        self._waking: asyncio.Handle | None = None
        self.reading = Reading(store=store, members=members, clock=settings.clock)
        self.blobs = BlobStore(
            home=settings.home, most_bytes=settings.most_blob_bytes, most_member_bytes=settings.most_member_blob_bytes
        )
        self.rounds = Rounds(
            settings=settings, send=links.send, moved=self._round_moved, ended=self._round_ended, blobs=self.blobs
        )
        self.epochs = Epochs(
            settings=settings,
            store=store,
            members=members,
            links=links,
            oldest=lambda: self.rounds.oldest,
            waited_for=self._waits_for_seats,
            changed=self._wake,
        )

    def restore(self) -> None:
        """Take up the requests that an earlier run left waiting; those that it left running have failed.

        What hospitals had prepared and uploaded was in its memory. Asking them again would be a second sum, with new
        noise and a new charge, and that is the analyst's to decide. Test:
        tests/coordinator/test_restart.py::test_a_restart_in_a_round_fails_it_as_interrupted.
        """
        for stored in self._store.alive():
            if stored.status.state == State.STATE_RUNNING:
                self._fail_stored(stored.status, "interrupted")
            else:
                self._restore_waiting(stored.signed, stored.status)

    def stop(self) -> None:
        """Let no timer fire any more; everything stays as it is stored, for ``restore``."""
        self.rounds.stop()
        if self._waking:
            self._waking.cancel()
        for alive in self._alive.values():
            alive.stop_timers()

    # --- what analysts do

    def submit(self, signed: Signed, analyst: Member) -> RequestStatus:
        """Take a request; return its status once it is stored. The same bytes again return the status as it is now."""
        if signed.signer != analyst.id:
            raise Rejected("bad-signature", f"{analyst.id} submits a request of another")
        now = self._clock()
        question = self._read(signed)
        asked = question.request
        if known := self._store.request(asked.id):
            if known.signed != signed:
                raise Rejected("replayed", "request id")
            return self.status(asked.id, analyst)
        if asked.expires_at <= now:
            raise Rejected("expired", "request")
        nodes = self._members.roster.nodes
        if not nodes.keys() >= set(asked.sites):
            raise Rejected("out-of-scope", "sites")
        # A federation too small for a sum, or too large for one without a beacon, would let the request wait for ever.
        parameters(roster_nodes=len(nodes), nodes=len(nodes))
        if earlier := self._answer_to(question):
            status = progress.reused(question, earlier, now)
            self._store.add_request(signed, status)
            return status
        asking = [alive.question.request.analyst for alive in self._alive.values()]
        if not shares.has_room(analyst.id, asking, self._settings.most_waiting):
            raise Rejected("busy", "requests")
        if question.message and not self.blobs.message(analyst.id, question.message).whole:
            raise Rejected("unknown-blob", "the message that it names")
        connected = set(asked.sites) & self._links.connected
        status = progress.describe(question, state=State.STATE_WAITING, round_=None, connected=connected, now=now)
        self._store.add_request(signed, status)
        alive = self._take_up(Alive(question, connected, status, now))
        self._consider(alive)
        return alive.current(self._clock())

    def status(self, id_: bytes, analyst: Member) -> RequestStatus:
        """Return the status of the analyst's own request; raise Rejected("unknown-request") for any other."""
        stored = self._store.request(id_)
        if stored is None or stored.status.analyst != analyst.id:
            raise Rejected("unknown-request", "status")
        alive = self._alive.get(id_)
        return alive.current(self._clock()) if alive else stored.status

    def statuses(self, analyst: Member, page: Page) -> RequestStatuses:
        """Return a page of the analyst's own requests, newest first; raise Rejected where it begins at none."""
        if page.before:
            self.status(page.before, analyst)
        found = self._store.statuses(analyst.id, page)
        for each in found.requests:
            if alive := self._alive.get(each.id):
                each.CopyFrom(alive.current(self._clock()))
        return found

    async def watch(self, id_: bytes, analyst: Member) -> AsyncIterator[RequestStatus]:
        """Yield the status of the analyst's own request whenever it has changed, the last one being final."""
        status = self.status(id_, analyst)
        alive = self._alive.get(id_)
        while alive is not None:
            moved = alive.moved
            status = alive.current(self._clock())
            if status.state in progress.FINAL:
                break
            yield status
            with suppress(TimeoutError):
                await asyncio.wait_for(alive.ended.wait(), PACE)
            await moved.wait()
        yield status

    def cancel(self, id_: bytes, analyst: Member) -> RequestStatus:
        """End the analyst's own request, if it has not ended yet; what hospitals were charged stays charged."""
        status = self.status(id_, analyst)
        if alive := self._alive.get(id_):
            status = self._end(alive, State.STATE_CANCELLED, code="cancelled")
            if alive.round:
                self.rounds.drop(alive.round.tau)
        return status

    @property
    def open(self) -> list[Question]:
        """Return the questions that wait or run."""
        return [alive.question for alive in self._alive.values()]

    # --- what hospitals and the registrar do

    def site_connected(self, site: str) -> None:
        """Note that a hospital is there: requests may have waited for it."""
        self._endings.catch_up(site)
        for alive in self._of(site):
            alive.connected.add(site)
            alive.touch()
            self._consider(alive)

    def site_left(self, site: str) -> None:
        """Note that a hospital is away."""
        for alive in self._of(site):
            alive.connected.discard(site)
            alive.stands.forget(site)
            alive.touch()
            self._consider(alive)

    def site_spoke(self, site: str) -> None:
        """Look again at the requests that wait, should a hospital's status say that it is paused, or looks at them."""
        for alive in self._of(site):
            if holding.is_news(alive, self._links, site):
                self._consider(alive)

    def verdict(self, site: str, verdict: Verdict) -> None:
        """Note where a request stands at a hospital; what comes after its round began, or its end, changes nothing."""
        alive = self._alive.get(verdict.request)
        if alive is None or site not in alive.sites or alive.state != State.STATE_WAITING:
            return
        if alive.stands.take(site, verdict):
            alive.touch()
            self._consider(alive)

    def roster_changed(self) -> None:
        """Judge waiting requests by the new roster and catalogue; rounds that were announced go on under theirs."""
        self.epochs.roster_changed()
        outdated = []
        for alive in self._alive.values():
            if alive.state == State.STATE_WAITING:
                try:
                    alive.question = self._read(alive.question.signed)
                except Rejected as refusal:
                    outdated.append((alive, refusal.code))
        for alive, code in outdated:
            self._end(alive, State.STATE_FAILED, code=code)

    # --- steps

    def _wake(self) -> None:
        """Look at all waiting requests soon, once: a place became free, or an answer may serve several of them."""
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_soon(self._consider_all)

    def _consider_all(self) -> None:
        self._waking = None
        for alive in self._turns.in_order(self._alive.values()):
            self._consider(alive)

    def _consider(self, alive: Alive) -> None:
        """Open the round of a waiting request if its hospitals are ready, or were given time to become so."""
        holding.look(alive, self._links)
        if alive.state != State.STATE_WAITING:
            return
        room = shares.has_room(alive.question.request.analyst, self.rounds.analysts, self._settings.most_running)
        alive.queue(queued=not (room and holding.is_next(alive, self._alive.values())))
        if alive.queued:
            return
        ready = self.epochs.ready
        found, wait = holding.outlook(alive, self._links, ready=ready, now=self._clock())
        alive.look_again(self._consider, wait)
        if found is Outlook.DENIED:
            self._end(alive, State.STATE_FAILED, code="denied")
        if found is not Outlook.OPEN:
            alive.stop_grace()
            return
        awaited = alive.sites - ready - alive.stands.paused
        if not alive.waited and (self._links.returning(awaited) or self.epochs.gathering):
            if not alive.grace:
                loop = asyncio.get_running_loop()
                alive.grace = loop.call_later(self._settings.grace_seconds, self._grace_over, alive)
                self.epochs.stir()
            return
        alive.stop_grace()
        if earlier := self._answer_to(alive.question):
            self._finish(alive, progress.reused(alive.question, earlier, self._clock()))
            return
        try:
            self._start(alive, ready)
        except Rejected as refusal:
            # What the coordinator itself would refuse, such as a certificate that expired meanwhile, is not sent.
            self._end(alive, State.STATE_FAILED, code=refusal.code)

    def _start(self, alive: Alive, cohort: AbstractSet[str]) -> None:
        """Announce a round to all hospitals that are ready; those that the request does not ask add zeros, with noise.

        Guarantee: an announcement is stored, with its slot, before any hospital hears of it, so no slot ever carries
        two. Test: tests/coordinator/test_rounds.py::test_an_announcement_is_stored_before_a_hospital_hears_of_it.
        """
        now = self._clock()
        seated = self.epochs.current
        if seated is None:
            return
        announcement, signed = announcing.announce(
            alive.question,
            seated=seated,
            key=self._settings.credentials.identity,
            cohort=cohort,
            now=now,
            seconds=self._settings.round_seconds + alive.question.seconds,
        )
        state = open_round(announcement, signed, entries=alive.question.entries, epoch=seated.epoch)
        status = progress.describe(
            alive.question, state=State.STATE_RUNNING, round_=state, connected=alive.connected, now=now
        )
        with self._store.together():
            self._store.add_round(status.id, seated.epoch.number, announcement.slot, signed, now)
            self._store.set_status(status)
        self._turns.opened(announcement.request.analyst)
        alive.state, alive.round = State.STATE_RUNNING, state
        alive.touch()
        self.rounds.open(state, seated=seated, deposits=seated.use(), opened_at=now)
        facts = {"epoch": announcement.epoch, "slot": announcement.slot, "contributors": len(cohort)}
        log.info("announced", extra={"request": status.id.hex(), **facts})

    def _round_moved(self, id_: bytes, state: Round) -> None:
        alive = self._alive[id_]
        alive.round = state
        alive.touch()

    def _round_ended(self, id_: bytes, state: Round, release: Signed | None, code: str) -> None:
        """Keep what came of a round, then tell it.

        Guarantee: nobody hears of a release that a restart could forget, so there is never a second sum over the same
        noise. Test: tests/coordinator/test_rounds.py::test_what_could_not_be_stored_is_told_to_nobody.
        """
        alive = self._alive[id_]
        alive.round = state
        if release is None:
            self._end(alive, State.STATE_FAILED, code=code)
            return
        status = progress.describe(
            alive.question, state=State.STATE_ANSWERED, round_=state, connected=alive.connected, now=self._clock(),
            release=id_,
        )  # fmt: skip
        with self._store.together():
            self._store.add_release(id_, alive.question.key, len(contributing(state)), release)
            self._store.set_status(status)
        self._told(alive, status)
        self._links.send(state.answered, CoordinatorMessage(release=release))

    def _end(self, alive: Alive, state: State, *, code: str) -> RequestStatus:
        status = progress.describe(
            alive.question, state=state, round_=alive.round, connected=alive.connected, now=self._clock(), code=code,
            stands=alive.stands,
        )  # fmt: skip
        self._finish(alive, status)
        return status

    def _finish(self, alive: Alive, status: RequestStatus) -> None:
        self._store.set_status(status)
        self._told(alive, status)

    def _told(self, alive: Alive, status: RequestStatus) -> None:
        """Let go of a request whose end is stored, and tell its watchers."""
        del self._alive[status.id]
        alive.end(status)
        if (sent := alive.question.message) and not any(each.message == sent for each in self.open):
            self.blobs.retire(self.blobs.message(status.analyst, sent))
        self._endings.tell(alive)
        self._wake()
        log.info("ended", extra={"request": status.id.hex(), "code": status.code, "contributors": status.answered})

    def _grace_over(self, alive: Alive) -> None:
        alive.grace, alive.waited = None, True
        self._consider(alive)

    def _expire(self, alive: Alive) -> None:
        if alive.state == State.STATE_WAITING:
            if self._clock() >= alive.question.request.expires_at:
                self._end(alive, State.STATE_EXPIRED, code="expired")
            else:
                self._wait_for_expiry(alive)

    # --- parts

    def _read(self, signed: Signed) -> Question:
        members = self._members
        return questions.read(signed, roster=members.roster, catalogue=members.catalogue, now=int(self._clock()))

    def _answer_to(self, question: Question) -> RequestStatus | None:
        """Return the status of an earlier request whose release answers this one at no cost."""
        if question.request.fresh:
            return None
        found = self._store.release_of_question(question.key, question.request.minimum)
        stored = self._store.request(found) if found else None
        if found and question.is_long and not self.blobs.has_sum(self._store.release(found)):
            return None
        return stored.status if stored else None

    def _take_up(self, alive: Alive) -> Alive:
        self._alive[alive.question.request.id] = alive
        self._wait_for_expiry(alive)
        return alive

    def _wait_for_expiry(self, alive: Alive) -> None:
        wait = max(0.0, alive.question.request.expires_at - self._clock())
        alive.expiry = asyncio.get_running_loop().call_later(wait, self._expire, alive)

    def _of(self, site: str) -> list[Alive]:
        return [alive for alive in self._alive.values() if site in alive.sites]

    def _waits_for_seats(self) -> bool:
        waiting = [alive for alive in self._alive.values() if alive.state == State.STATE_WAITING and not alive.waited]
        ready = self.epochs.ready if waiting else frozenset()
        return any(alive.connected - ready - alive.stands.paused for alive in waiting)

    def _restore_waiting(self, signed: Signed, status: RequestStatus) -> None:
        try:
            question = self._read(signed)
        except Rejected as refusal:
            self._fail_stored(status, refusal.code)
            return
        self._take_up(Alive(question, set(), status, self._clock()))

    def _fail_stored(self, status: RequestStatus, code: str) -> None:
        status.state, status.code = State.STATE_FAILED, code
        status.updated_at = int(self._clock())
        self._store.set_status(status)
