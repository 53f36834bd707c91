"""The life of epochs: opened in the background, current while the keys hold, replaced before anyone has to wait.

An epoch is opened when there are enough hospitals for one and there is none, or a hospital is there that has no seat in
it, or the roster is another one, or its time is over. Rounds that are under way end in the epoch that they began in.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress

from coordinator.links import Links
from coordinator.members import Members
from coordinator.seated import SeatedEpoch
from coordinator.settings import CoordinatorSettings
from coordinator.store import Store
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.farrsum.epoch import freeze, read_freeze, read_key
from protocols.farrsum.parameters import parameters
from protocols.farrsum.seat import MOST_DEPOSITS
from protocols.roster import Roster
from protocols.wire_pb2 import CoordinatorMessage, Deposits, OpenEpoch, Signed

MOST_LEAP = 1 << 20
"""How far above the epochs that were stored a hospital may claim to hold a seat: more than decades of them."""

MOST_PACE_SECONDS = 64.0
"""Least time between two openings while hospitals that are there do not take the seats that they are offered."""

KEY_SECONDS = 3.0
"""How long hospitals have to send a key."""

DEPOSIT_SECONDS = 6.0
"""How long hospitals have to prepare their first slots; one that is later takes part from then on."""

GATHER_SECONDS = 3.0
"""How long after a hospital connected a round may wait for it to be seated."""

MOST_SETTLES = 10
"""How many times ``settle_seconds`` an epoch waits at most while hospitals connect one after the other."""

WATCH_SECONDS = 1.0
"""How often what follows from the passing of time is looked at."""

log = logging.getLogger(__name__)


class Opening:
    """An epoch that is being opened."""

    def __init__(self, *, number: int, roster: Roster, digest: bytes, asked: AbstractSet[str]) -> None:
        """Start with no key."""
        self.number = number
        self.roster = roster
        self.digest = digest
        self.asked = set(asked)
        self.keys: dict[str, Signed] = {}
        self.public: set[bytes] = set()
        self.seated: SeatedEpoch | None = None
        self.moved = asyncio.Event()

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds, but not longer than ``seconds``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not holds():
                    self.moved.clear()
                    await self.moved.wait()


class Epochs:
    """The current epoch, and the one that will follow it. ``changed`` is called when more rounds may be held."""

    def __init__(
        self,
        *,
        settings: CoordinatorSettings,
        store: Store,
        members: Members,
        links: Links,
        oldest: Callable[[], int | None],
        waited_for: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        """Start with none.

        ``oldest`` returns the number of the oldest epoch with a round under way, ``waited_for`` whether a request waits
        for a hospital that is there and has no seat yet.
        """
        self._settings = settings
        self._store = store
        self._members = members
        self._links = links
        self._oldest = oldest
        self._waited_for = waited_for
        self._changed = changed
        self._current: SeatedEpoch | None = None
        self._opening: Opening | None = None
        self._highest = 0
        self._connected_at = self._burst_at = self._opened_at = -math.inf
        self._pace = settings.pace_seconds
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> SeatedEpoch | None:
        """Return the epoch for new rounds: hospitals answer only under the newest roster."""
        current = self._current
        return current if current and current.roster.version == self._members.roster.version else None

    @property
    def ready(self) -> AbstractSet[str]:
        """Return the hospitals that the next round can count on; nobody where they are too few for one."""
        current = self.current
        if current is None:
            return frozenset()
        cohort = current.prepared & self._links.live & self._members.roster.nodes.keys()
        return cohort if current.suffices(len(cohort)) else frozenset()

    @property
    def gathering(self) -> bool:
        """Whether hospitals connected a moment ago and are being seated: with them, answers are more exact."""
        return time.monotonic() - self._connected_at < GATHER_SECONDS and not self._candidates() <= self.ready

    def start(self) -> None:
        """Open epochs from now on."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Open no more."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    # --- what hospitals and the registrar do

    def check_seat(self, seat: int) -> None:
        """Raise Rejected for a seat in an epoch that cannot have been.

        Guarantee: no hospital can use the numbers up, which only rise, here and at every hospital, for ever. Test:
        tests/coordinator/test_epochs.py::test_a_claim_to_an_epoch_far_beyond_any_uses_no_numbers_up.
        """
        if seat > self._store.newest_epoch() + MOST_LEAP:
            raise Rejected("malformed", "a seat in an epoch far beyond any")

    def site_connected(self, site: str, seat: int) -> None:
        """Note that a hospital is there and holds its keys up to the epoch ``seat``, 0 for none.

        Guarantee: a hospital that lost its keys is asked for no round of the epoch that they were for. Test:
        tests/coordinator/test_epochs.py::test_a_restarted_hospital_waits_for_the_next_epoch_and_then_takes_part.
        """
        self._highest = max(self._highest, seat)
        now = time.monotonic()
        if now - self._connected_at > self._settings.settle_seconds:
            self._burst_at = now
        self._connected_at = now
        self._pace = self._settings.pace_seconds
        opening = self._opening
        for seated in (self._current, opening.seated if opening else None):
            if seated and site in seated.epoch.index and seat < seated.epoch.number:
                seated.lost.add(site)
        if opening and not opening.seated:
            # Whether its process is the one that signed the key, nobody knows.
            opening.asked.discard(site)
            opening.keys.pop(site, None)
        self.stir()

    def stir(self) -> None:
        """Look again at what is due: a hospital is away, or a request waits."""
        self._stirred.set()
        if self._opening:
            self._opening.moved.set()

    def roster_changed(self) -> None:
        """Note that another roster holds: the keys of an epoch are signed for one."""
        self._pace, self._opened_at = self._settings.pace_seconds, -math.inf
        self.stir()

    def take_key(self, site: str, signed: Signed) -> None:
        """Take a hospital's key for the epoch that is being opened; raise Rejected for one that is not."""
        if signed.signer != site:
            raise Rejected("bad-signature", f"{site} sends a key of another")
        opening = self._opening
        if opening is None or opening.seated or site not in opening.asked or site in opening.keys:
            raise Rejected("late", "no key of this hospital is awaited")
        key = read_key(signed, number=opening.number, roster=opening.roster, roster_digest=opening.digest)
        if key in opening.public:
            raise Rejected("malformed", "another hospital's key")
        opening.public.add(key)
        opening.keys[site] = signed
        opening.moved.set()

    def take_deposits(self, site: str, message: Deposits) -> None:
        """Take slots that a hospital prepared; raise Rejected("late") where its epoch is over."""
        if len(message.deposits) > MOST_DEPOSITS:
            raise Rejected("oversized", "deposits")
        opening = self._opening
        for each in message.deposits:
            for seated in (self._current, opening.seated if opening else None):
                if seated and each.freeze == seated.epoch.digest:
                    seated.take(site, each)
                    break
            else:
                raise Rejected("late", "a deposit for another epoch")
        if opening:
            opening.moved.set()
        self._changed()

    # --- steps

    async def _keep(self) -> None:
        while True:
            wait = self._due() - time.monotonic()
            if wait > 0:
                self._stirred.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, WATCH_SECONDS)):
                        await self._stirred.wait()
                continue
            try:
                await self._open()
            except Rejected as refusal:
                log.warning("no epoch", extra={"code": refusal.code})
            except Exception:
                log.exception("failed", extra={"code": "internal"})
            finally:
                self._opening = None

    def _due(self) -> float:
        """Return when the next epoch should be opened, in seconds that never jump.

        Guarantee: no hospital keeps the others from an epoch by connecting again and again. Test:
        tests/coordinator/test_epochs.py::test_a_hospital_that_connects_again_and_again_postpones_no_epoch_for_ever.
        """
        there, current = self._candidates(), self.current
        if not self._possible(len(there)):
            return math.inf
        if current and (oldest := self._oldest()) is not None and oldest < current.epoch.number:
            # Hospitals keep the keys of two epochs; those of the older one are still needed.
            return math.inf
        settle, pace = self._settings.settle_seconds, self._pace
        if pace <= self._settings.pace_seconds and self._waited_for():
            pace = min(pace, settle)
        settled = min(self._connected_at + settle, self._burst_at + MOST_SETTLES * settle)
        soon = max(settled, self._opened_at + pace)
        if current is None or not there <= current.members:
            return soon
        return max(soon, current.began + self._settings.epoch_seconds)

    async def _open(self) -> None:
        """Open one epoch.

        Guarantee: a number is stored before any hospital hears of it, so none serves twice, whatever happens to this
        process. Test: tests/coordinator/test_epochs.py::test_epoch_numbers_rise_over_restarts.
        """
        members = self._members
        roster, asked = members.roster, self._candidates()
        self._opened_at = time.monotonic()
        number = self._store.add_epoch(roster.version, self._highest)
        opening = Opening(number=number, roster=roster, digest=rosters.digest_of(members.signed), asked=asked)
        self._opening = opening
        self._links.send(asked, CoordinatorMessage(open_epoch=OpenEpoch(epoch=number, roster=roster.version)))
        await opening.until(lambda: not (opening.asked & self._links.connected) - opening.keys.keys(), KEY_SECONDS)
        frozen = freeze(number, list(opening.keys.values()))
        # Its signatures were verified one by one as they came; here they are again, for the digest's sake.
        epoch = await asyncio.to_thread(read_freeze, frozen, number=number, roster=roster, roster_digest=opening.digest)
        seated = opening.seated = SeatedEpoch(epoch=epoch, roster=roster, began=time.monotonic())
        seated.lost |= epoch.index.keys() - opening.keys.keys()
        self._links.send(seated.members, CoordinatorMessage(freeze=frozen))
        await opening.until(lambda: not (seated.members & self._links.connected) - seated.prepared, DEPOSIT_SECONDS)
        # Those who were asked and are not in it would be asked again at once, for ever.
        everybody = seated.prepared >= asked & self._links.connected
        self._pace = self._settings.pace_seconds if everybody else min(2 * self._pace, MOST_PACE_SECONDS)
        if not seated.suffices(len(seated.prepared)):
            raise Rejected("too-few-nodes", f"{len(seated.prepared)} prepared slots")
        self._current = seated
        log.info("an epoch began", extra={"epoch": number, "contributors": len(seated.prepared)})
        self._changed()

    def _candidates(self) -> AbstractSet[str]:
        return self._links.live & self._members.roster.nodes.keys()

    def _possible(self, nodes: int) -> bool:
        try:
            parameters(roster_nodes=len(self._members.roster.nodes), nodes=nodes)
        except Rejected:
            return False
        return True
