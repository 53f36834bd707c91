"""The coordinator as the keeper of its own log and the carrier of hospitals' heads.

It signs what its log is, passes everybody's newest checkpoints on, and keeps receipts and witnesses for whoever has to
check a release later. None of it lies on a question's way: what comes in waits in memory for the next moment's one
write, and what a crash loses is sent again when a hospital connects.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from itertools import islice
from weakref import WeakKeyDictionary

from coordinator import log as logs
from coordinator.links import Links, Stream
from coordinator.members import Members
from coordinator.settings import CoordinatorSettings
from coordinator.store import Store
from protocols import announcement as announcements
from protocols import checkpoint as checkpoints
from protocols import checks, merkle
from protocols import receipt as receipts
from protocols.checkpoint import Checkpoint
from protocols.errors import Rejected
from protocols.wire_pb2 import Announcement, CoordinatorMessage, Evidence, Heads, Receipt, Release, Role, Signed
from protocols.wire_pb2 import Roster as RosterMessage

PACE = 5.0
"""Seconds between two checkpoints, and two writes of what came in."""

MOST_PENDING = 4096
"""Most pieces of evidence that wait to be written; more are passed over, and asked for again."""

MOST_PENDING_OF_ONE = 512
"""Most of them of one hospital, which shows at most 256 rounds at a time: see ``MOST_OWED``."""

log = logging.getLogger(__name__)


class Keeper:
    """Keeps the log's evidence."""

    def __init__(self, *, settings: CoordinatorSettings, store: Store, members: Members, links: Links) -> None:
        """Keep the evidence of this federation; nothing runs before ``start``."""
        self._settings = settings
        self._store = store
        self._members = members
        self._links = links
        self._pending: list[Callable[[], None]] = []
        self._pending_of: Counter[str] = Counter()
        self._told: WeakKeyDictionary[Stream, dict[str, int]] = WeakKeyDictionary()
        self._pacing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sign and to spread."""
        self._pacing = asyncio.ensure_future(self._pace())

    def stop(self) -> None:
        """Write what came in and end."""
        if self._pacing:
            self._pacing.cancel()
        self.flush()

    async def _pace(self) -> None:
        while True:
            await asyncio.sleep(PACE)
            try:
                self.spread()
            except Exception:
                log.exception("failed")

    def spread(self) -> None:
        """Write what came in, sign the log if it grew, and tell every hospital what it has not heard."""
        self.flush()
        if self._links.connected:
            self.checkpoint()
        for link in self._links.each():
            self._tell(link)

    def welcome(self, link: Stream) -> None:
        """Tell a hospital that connected all heads, its own above all, and the releases that it owes receipts for."""
        self._tell(link, again=True)
        for signed in self._store.evidence.owed(link.site):
            link.send(CoordinatorMessage(release=signed))

    def checkpoint(self) -> Signed | None:
        """Return the newest checkpoint of the own log, signed now if the log grew."""
        evidence, own = self._store.evidence, self._store.log
        size, _ = own.head()
        newest = evidence.newest()
        held = checkpoints.parsed(newest) if newest else None
        if not size or (held and held.size == size):
            return newest
        credentials = self._settings.credentials
        previous = held.size if held else 0
        signed = checkpoints.write(
            Checkpoint(
                federation=credentials.federation,
                member=credentials.member,
                size=size,
                root=own.root(size),
                at=int(self._settings.clock()),
                previous=previous,
                consistency=tuple(merkle.consistency(previous, size, own.at)) if previous else (),
            ),
            credentials.identity,
        )
        with self._store.together():
            evidence.add_checkpoint(size, signed)
        return signed

    # --- what hospitals show

    def take_checkpoint(self, site: str, signed: Signed) -> None:
        """Take a hospital's own checkpoint."""
        if signed.signer != site:
            raise Rejected("bad-signature", f"{site} sends a checkpoint of another")
        new = checkpoints.read(signed, roster=self._members.roster)
        self._later(site, lambda: self._hold(signed, new))

    def take_receipt(self, site: str, message: Receipt) -> None:
        """Take a hospital's receipt of a round that was released.

        Guarantee: what is kept for a release was signed by that hospital and proved by its log. Test:
        tests/coordinator/test_keeper.py::test_a_receipt_that_proves_nothing_ends_the_link.
        """
        member = self._members.roster.member(site, Role.ROLE_NODE)
        federation = self._settings.credentials.federation
        shown = receipts.read(message, member=site, federation=federation, public_key=member.identity_key)
        if any(entry.facts.get("round") != message.announcement.hex() for entry in shown.entries):
            raise Rejected("bad-proof", "a receipt of another round")
        kept = Receipt.FromString(message.SerializeToString())

        def keep() -> None:
            request = self._store.evidence.round(kept.announcement, site)
            if request is not None and shown.entries:
                self._store.evidence.add_receipt(request, site, kept)
            self._hold(kept.checkpoint, shown.checkpoint)

        self._later(site, keep)

    def take_witness(self, site: str, signed: Signed) -> None:
        """Take a hospital's word that it saw a checkpoint of the own log."""
        if signed.signer != site:
            raise Rejected("bad-signature", f"{site} sends a witness of another")
        witness = checkpoints.read_witness(signed, roster=self._members.roster)
        if witness.keeper != self._settings.credentials.member:
            raise Rejected("malformed", "a witness of another log")

        def keep() -> None:
            evidence = self._store.evidence
            for own in islice(evidence.checkpoints_since(-1, descending=True), checkpoints.MOST_TOLD * 2):
                if checkpoints.digest_of(own) == witness.checkpoint:
                    evidence.add_witness(site, checkpoints.parsed(own).size, signed)
                    return

        self._later(site, keep)

    def flush(self) -> None:
        """Write what came in, in one step."""
        pending, self._pending = self._pending, []
        self._pending_of.clear()
        if pending:
            with self._store.together():
                for write in pending:
                    write()

    # --- what a third party needs

    def prove(self, id_: bytes, release: Signed) -> Evidence:
        """Return all that there is to check a release by."""
        self.flush()
        store, own = self._store, self._store.log
        message = checks.parse(Release, release.body)
        announced = checks.parse(Signed, message.announcement)
        roster = store.roster(checks.parse(Announcement, announced.body).roster)
        if roster is None:
            raise Rejected("unknown-roster", "evidence")
        catalogue = store.catalogue(checks.parse(RosterMessage, roster.body).catalogue_digest)
        evidence = Evidence(
            release=release, roster=roster, catalogue=catalogue or b"", receipts=store.evidence.receipts(id_)
        )
        numbers = logs.numbers_of(own, id_)
        signed = store.evidence.best_witnessed(max(numbers)) if numbers else None
        if numbers and signed is None:
            signed = self.checkpoint()
        if signed is not None:
            size = checkpoints.parsed(signed).size
            evidence.coordinator.CopyFrom(
                Receipt(
                    announcement=announcements.tau(announced),
                    entries=[own.shown(number, size) for number in numbers],
                    checkpoint=signed,
                )
            )
            evidence.witnesses.extend(store.evidence.witnesses(size))
        return evidence

    # --- parts

    def _later(self, site: str, write: Callable[[], None]) -> None:
        """Keep what a hospital shows until the next write.

        Guarantee: no hospital alone takes the room that the others' evidence needs. Test:
        tests/coordinator/test_keeper.py::test_one_hospital_does_not_fill_the_room_for_what_waits_to_be_written.
        """
        if len(self._pending) < MOST_PENDING and self._pending_of[site] < MOST_PENDING_OF_ONE:
            self._pending.append(write)
            self._pending_of[site] += 1

    def _hold(self, signed: Signed, new: Checkpoint) -> None:
        """Keep a hospital's newest head.

        A fork goes into the log with what named it; what the hospital signs now is spread from then on, since it is
        what others, and the hospital itself, have to see.
        """
        evidence = self._store.evidence
        known = evidence.head(new.member)
        if known is not None:
            old = checkpoints.parsed(known)
            if checkpoints.contradicts(old, new) or (new.size < old.size and new.at > old.at):
                held, other = checkpoints.digest_of(known).hex(), checkpoints.digest_of(signed).hex()
                facts: dict[str, str | int] = {"member": new.member, "held": held, "other": other}
                if logs.equivocation(self._store.log, facts, int(self._settings.clock())):
                    log.error("a log was rewritten", extra={"peer": new.member})
            elif new.size <= old.size:
                return
        evidence.set_head(new.member, new.size, signed)

    def _tell(self, link: Stream, *, again: bool = False) -> None:
        evidence, roster = self._store.evidence, self._members.roster
        told = self._told.setdefault(link, {})
        own = self._settings.credentials.member
        since = max(evidence.witnessed(link.site), told.get(own, 0))
        news = list(islice(evidence.checkpoints_since(since), checkpoints.MOST_TOLD))
        news += [
            each
            for each in evidence.heads()
            if each.signer in roster.by_id and told.get(each.signer) != checkpoints.parsed(each).size
        ]
        if not news and not again:
            return
        for each in news:
            told[each.signer] = checkpoints.parsed(each).size
        most = checkpoints.MOST_TOLD
        for start in range(0, max(1, len(news)), most):
            link.send(CoordinatorMessage(heads=Heads(checkpoints=news[start : start + most])))
