"""Checking a release from its evidence alone: which request, on whose authority, at whose cost, in whose log.

Nobody is asked and nothing is believed but the registrar's public key, which whoever checks has from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from protocols import announcement as announcements
from protocols import blobs, checks
from protocols import checkpoint as checkpoints
from protocols import receipt as receipts
from protocols import release as releases
from protocols import roster as rosters
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.log import Fact
from protocols.receipt import Receipt, Shown
from protocols.release import Release
from protocols.roster import Roster
from protocols.wire_pb2 import Evidence as EvidenceMessage
from protocols.wire_pb2 import Receipt as ReceiptMessage
from protocols.wire_pb2 import Roster as RosterMessage
from protocols.wire_pb2 import Signed

MOST_BYTES = (64 << 20) + blobs.MOST_BYTES
"""Longest evidence of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Something that the evidence says and that does not hold."""

    subject: str
    """Member id of whose word it is."""
    code: str
    """One of protocols/codes.py."""
    detail: str
    """What failed, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a hospital's log was proved to say of its answer."""

    site: str
    """Member id."""
    number: int
    """Of the entry in its log."""
    at: int
    """Seconds since 1970, UTC."""
    units: int
    """What its patients were charged, in ledger units."""
    spent: int
    """What they had been charged in all by then."""
    policy: str
    """SHA-256 of the policy that decided, hex; empty: none could be read, or none was needed."""
    approval: int | None
    """Number of the operator's decision that it rests on; None: it needed none."""
    released: bool
    """Its log names this very release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What the evidence of a release proves."""

    release: Release
    """Signed by the coordinator."""
    digest: bytes
    """Names the release."""
    announcement: Announcement
    """What the hospitals answered, with the analyst's request."""
    roster: Roster
    """Signed by the registrar: everybody's keys and the analyst's mandate."""
    catalogue: bytes
    """The catalogue that the roster pins."""
    answered: tuple[Answered, ...]
    """By site, of the hospitals whose log proves it."""
    coordinator: tuple[Shown, ...]
    """What the coordinator's log was proved to say."""
    witnesses: tuple[str, ...]
    """Hospitals that saw that log as it is."""
    missing: tuple[str, ...]
    """Members whose log is not shown: the coordinator's id, and hospitals in the sum."""
    flaws: tuple[Flaw, ...]
    """What does not hold."""


def read(data: bytes, *, registrar_key: bytes) -> Proven:
    """Return what evidence proves; raise Rejected where the release itself, or what it rests on, does not hold.

    Guarantee: no byte of evidence can be changed unnoticed: what is not signed, hashed into a proof, or held against
    either is refused. Test: tests/farr/test_evidence.py::test_no_byte_of_the_evidence_can_be_changed.
    """
    checks.at_most(data, MOST_BYTES, "evidence")
    message = checks.parse(EvidenceMessage, data)
    # The one spelling: bytes that nothing below would look at cannot be there.
    known = EvidenceMessage()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.SerializeToString(deterministic=True) != data:
        raise Rejected("malformed", "evidence with more than it may hold")
    roster = _roster(message.roster, registrar_key)
    if hashlib.sha256(message.catalogue).digest() != roster.catalogue_digest:
        raise Rejected("wrong-catalogue", "not the roster's catalogue")
    coordinator = roster.coordinator
    if message.release.signer != coordinator.id:
        raise Rejected("bad-signature", "a release of another than the coordinator")
    release = releases.read(
        message.release,
        federation=roster.federation,
        coordinator_key=coordinator.identity_key,
        vector=message.vector,
    )
    if release.announcement.signer != coordinator.id:
        raise Rejected("bad-signature", "an announcement of another than the coordinator")
    announcement = releases.announced(release, roster=roster, now=release.released_at)
    if release.id != announcement.request.id or not set(release.contributors) <= set(announcement.contributors):
        raise Rejected("malformed", "a release of another request or of other hospitals than it was announced to")
    judged = _Judged(message=message, roster=roster, release=release, announcement=announcement)
    answered, missing, flaws = judged.hospitals()
    shown, witnesses, own_missing, own_flaws = judged.coordinator()
    return Proven(
        release=release,
        digest=releases.digest_of(message.release),
        announcement=announcement,
        roster=roster,
        catalogue=message.catalogue,
        answered=answered,
        coordinator=shown,
        witnesses=witnesses,
        missing=(*own_missing, *missing),
        flaws=(*own_flaws, *flaws),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The logs, held against a release that holds."""

    message: EvidenceMessage
    roster: Roster
    release: Release
    announcement: Announcement

    @property
    def tau(self) -> bytes:
        """Return the digest that names the round."""
        return announcements.tau(self.release.announcement)

    def hospitals(self) -> tuple[tuple[Answered, ...], tuple[str, ...], tuple[Flaw, ...]]:
        """Return what hospitals' logs prove, who shows none, and what does not hold."""
        sites = [each.site for each in self.message.receipts]
        if any(earlier >= later for earlier, later in pairwise(sites)):
            raise Rejected("malformed", "receipts are not sorted or repeat")
        answered, flaws = [], []
        for each in self.message.receipts:
            try:
                answered.append(self._answered(each.site, each.receipt))
            except Rejected as rejected:
                flaws.append(Flaw(subject=each.site, code=rejected.code, detail=rejected.detail))
        missing = tuple(site for site in self.release.contributors if site not in sites)
        return tuple(answered), missing, tuple(flaws)

    def coordinator(self) -> tuple[tuple[Shown, ...], tuple[str, ...], tuple[str, ...], tuple[Flaw, ...]]:
        """Return what the coordinator's log proves, who witnessed it, and what is missing or does not hold."""
        own = self.roster.coordinator.id
        if not self.message.HasField("coordinator"):
            return (), (), (own,), tuple(self._unwitnessed(signed) for signed in self.message.witnesses)
        try:
            shown = self._own(self.message.coordinator)
        except Rejected as rejected:
            return (), (), (), (Flaw(subject=own, code=rejected.code, detail=rejected.detail),)
        signers = [signed.signer for signed in self.message.witnesses]
        if any(earlier >= later for earlier, later in pairwise(signers)):
            raise Rejected("malformed", "witnesses are not sorted or repeat")
        witnesses, flaws = [], []
        for signed in self.message.witnesses:
            try:
                witnesses.append(self._witness(signed))
            except Rejected as rejected:
                flaws.append(Flaw(subject=signed.signer, code=rejected.code, detail=rejected.detail))
        return shown, tuple(witnesses), (), tuple(flaws)

    def _answered(self, site: str, message: ReceiptMessage) -> Answered:
        if site not in self.release.contributors or site not in self.roster.nodes:
            raise Rejected("out-of-scope", "a receipt of a hospital that is not in the sum")
        receipt = self._receipt(site, message)
        entry = self._only(receipt, "answered")
        request = self.announcement.request
        said = {"request": request.id.hex(), "analyst": request.analyst, "purpose": request.purpose}
        if any(entry.facts.get(name) != value for name, value in said.items()):
            raise Rejected("bad-proof", "the log tells of another request")
        named = [each.facts.get("release") for each in receipt.of("released")]
        own = releases.digest_of(self.message.release).hex()
        if any(each != own for each in named):
            raise Rejected("bad-proof", "the log names another release of this round")
        approval = entry.facts.get("approval")
        return Answered(
            site=site,
            number=entry.number,
            at=entry.at,
            units=_number(entry.facts, "units"),
            spent=_number(entry.facts, "spent"),
            policy=str(entry.facts.get("policy", "")),
            approval=approval if isinstance(approval, int) else None,
            released=bool(named),
        )

    def _own(self, message: ReceiptMessage) -> tuple[Shown, ...]:
        request = self.announcement.request
        receipt = self._receipt(self.roster.coordinator.id, message)
        signed = digest("farr1/request", self.announcement.signed_request.body).hex()
        self._says(receipt, "submitted", {"analyst": request.analyst, "signed": signed})
        self._says(receipt, "announced", {"round": self.tau.hex()})
        self._says(receipt, "released", {"release": releases.digest_of(self.message.release).hex()})
        if any(each.facts.get("request") != request.id.hex() for each in receipt.entries):
            raise Rejected("bad-proof", "the log tells of another request")
        return receipt.entries

    def _says(self, receipt: Receipt, kind: str, facts: Mapping[str, Fact]) -> None:
        entry = self._only(receipt, kind)
        if any(entry.facts.get(name) != value for name, value in facts.items()):
            raise Rejected("bad-proof", f"the log says something else was {kind}")

    def _receipt(self, member: str, message: ReceiptMessage) -> Receipt:
        if message.announcement != self.tau:
            raise Rejected("bad-proof", "a receipt of another round")
        key = self.roster.by_id[member].identity_key
        receipt = receipts.read(message, member=member, federation=self.roster.federation, public_key=key)
        if any(each.facts.get("round", self.tau.hex()) != self.tau.hex() for each in receipt.entries):
            raise Rejected("bad-proof", "an entry of another round")
        return receipt

    def _only(self, receipt: Receipt, kind: str) -> Shown:
        found = receipt.of(kind)
        if len(found) != 1:
            raise Rejected("bad-proof", f"the log is not shown to say once that it was {kind}")
        return found[0]

    def _witness(self, signed: Signed) -> str:
        witness = checkpoints.read_witness(signed, roster=self.roster)
        seen = checkpoints.digest_of(self.message.coordinator.checkpoint)
        if witness.checkpoint != seen or witness.keeper != self.roster.coordinator.id:
            raise Rejected("bad-proof", "a witness of another checkpoint")
        return witness.member

    def _unwitnessed(self, signed: Signed) -> Flaw:
        return Flaw(subject=signed.signer, code="bad-proof", detail="a witness of nothing that is shown")


def _roster(signed: Signed, registrar_key: bytes) -> Roster:
    """Return the registrar's roster, of whatever federation its own signed name says."""
    federation = checks.name(checks.parse(RosterMessage, signed.body).federation, "federation")
    if signed.signer != rosters.REGISTRAR:
        raise Rejected("bad-signature", "a roster of another than the registrar")
    return rosters.read(signed, federation=federation, registrar_key=registrar_key)


def _number(facts: Mapping[str, Fact], name: str) -> int:
    value = facts.get(name)
    if not isinstance(value, int) or value < 0:
        raise Rejected("bad-proof", f"the log does not say the {name}")
    return value
