"""A round at the coordinator, from announcement to sum. A value: every step returns a new one.

    upload   ->  fix the survivors, ask the witnesses   confirm  ->  ask the committee   unmask  ->  finish

``rehearsal.py`` runs all of it in memory, message by message, and is the executable specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from protocols import announcement as announcements
from protocols import ring, upload
from protocols.announcement import Announcement
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.farrsum import confirming
from protocols.farrsum.cohort import Cohort, check_survivors, cohort, context, to_bitmap
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.finishing import finish
from protocols.farrsum.masking import CHECKS
from protocols.farrsum.seat import enough_asked, split_released
from protocols.farrsum.slots import SealedShares, split_shares
from protocols.release import Release
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.wire_pb2 import Confirm, Confirmation, Note, Role, Shares, Signed, Unmask, WitnessSignature

Vectors = Callable[[int, Blob], Iterable[Ring]]
"""Reads a long vector, of a hospital by its index, from the first entry on, in pieces of any length."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What the coordinator knows of one round."""

    announcement: Announcement
    """What was asked."""
    signed: Signed
    """The same, as the hospitals got it."""
    epoch: Epoch
    """Whose keys hide it."""
    cohort: Cohort
    """The contributors, in indexes of the epoch."""
    entries: int
    """Length of the answer, without check coordinates."""
    total: Ring
    """Sum of the hidden vectors so far, modulo 2^64; without those in ``blobs``, and empty where all would be."""
    uploads: Mapping[int, SealedShares] = field(default_factory=dict)
    """Who is in the sum, with the sealed shares of each self-mask."""
    blobs: Mapping[int, Blob] = field(default_factory=dict)
    """Names of the vectors that came beside their uploads; they are added when the round is closed."""
    minimum_cells: Mapping[str, int] = field(default_factory=dict)
    """Smallest count that a hospital's policy lets a page show, of those that have one."""
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)
    """Remarks of those who had any."""
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Code and reference of each hospital that refused."""
    survivors: tuple[int, ...] | None = None
    """Fixed once, when uploads end."""
    confirmations: Mapping[int, bytes] = field(default_factory=dict)
    """Signatures of witnesses on the survivors."""
    answers: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    """Key shares, by committee member."""

    @property
    def tau(self) -> bytes:
        """Return the digest of the announcement."""
        return self.cohort.tau

    @property
    def answered(self) -> tuple[str, ...]:
        """Return who is in the sum, sorted."""
        return tuple(sorted(self.epoch.members[index] for index in self.uploads))

    @property
    def complete(self) -> bool:
        """Whether every contributor has uploaded or refused, so that waiting brings nothing more."""
        return len(self.uploads) + len(self.refused) >= len(self.cohort.members)

    @property
    def sufficient(self) -> bool:
        """Whether those who uploaded are enough to be the survivors."""
        try:
            check_survivors(tuple(self.uploads), epoch=self.epoch, cohort=self.cohort)
        except Rejected:
            return False
        return enough_asked(self.uploads, self.epoch, self.announcement)

    @property
    def hopeless(self) -> bool:
        """Whether so many refused that the survivors cannot be enough any more."""
        possible = [index for index in self.cohort.members if self.epoch.members[index] not in self.refused]
        return len(possible) < self.cohort.minimum or not enough_asked(possible, self.epoch, self.announcement)

    @property
    def confirmed(self) -> bool:
        """Whether a quorum of witnesses has signed."""
        return len(self.confirmations) >= self.epoch.parameters.quorum

    @property
    def openable(self) -> bool:
        """Whether enough of the committee has released its shares."""
        return len(self.answers) >= self.epoch.parameters.threshold


def open_round(announcement: Announcement, signed: Signed, *, entries: int, epoch: Epoch) -> Round:
    """Start a round whose answer has ``entries`` entries."""
    known = cohort(
        epoch=epoch,
        slot=announcement.slot,
        tau=announcements.tau(signed),
        contributors=announcement.contributors,
        minimum=announcement.minimum,
    )
    return Round(
        announcement=announcement,
        signed=signed,
        epoch=epoch,
        cohort=known,
        entries=entries,
        total=np.zeros(0 if upload.is_long(entries + CHECKS) else entries + CHECKS, dtype=np.uint64),
    )


def take_upload(state: Round, signed: Signed, *, roster: Roster, now: int) -> Round:
    """Add a hospital's upload to the sum; raise Rejected, changing nothing, for one that does not belong there.

    Guarantee: a hospital is in the sum at most once, with a vector that it signed for this announcement, and never once
    the survivors are fixed. Test: tests/protocols/test_round.py::test_no_upload_counts_twice_or_for_another_round.
    """
    taken = upload.read(signed, roster=roster, announcement=state.tau, entries=state.entries + CHECKS)
    index = state.epoch.index.get(taken.site)
    if index is None or index not in state.cohort.members:
        raise Rejected("out-of-scope", taken.site)
    if state.survivors is not None or now > state.announcement.deadline:
        raise Rejected("late", taken.site)
    if index in state.uploads:
        return state
    shares = split_shares(taken.salt, taken.sealed, epoch=state.epoch, own=index)
    return replace(
        state,
        total=state.total if taken.blob else ring.add(state.total, taken.vector),
        blobs={**state.blobs, index: taken.blob} if taken.blob else state.blobs,
        uploads={**state.uploads, index: shares},
        notes={**state.notes, taken.site: taken.notes} if taken.notes else state.notes,
        minimum_cells=(
            {**state.minimum_cells, taken.site: taken.minimum_cell} if taken.minimum_cell else state.minimum_cells
        ),
        refused={site: why for site, why in state.refused.items() if site != taken.site},
    )


def take_refusal(state: Round, site: str, code: str, reference: str) -> Round:
    """Note that a hospital will not answer; a refusal after an upload changes nothing."""
    if site not in state.announcement.contributors or state.epoch.index[site] in state.uploads:
        return state
    return replace(state, refused={**state.refused, site: (code, reference)})


def fix_survivors(state: Round) -> tuple[Round, Confirm]:
    """End the uploads; raise Rejected("too-few") where they are not enough."""
    survivors = check_survivors(tuple(state.uploads), epoch=state.epoch, cohort=state.cohort)
    if not enough_asked(survivors, state.epoch, state.announcement):
        raise Rejected("too-few", "of the hospitals that the request asks")
    bitmap = to_bitmap(survivors, len(state.epoch.members))
    return replace(state, survivors=survivors), Confirm(announcement=state.tau, survivors=bitmap)


def take_confirmation(state: Round, site: str, message: Confirmation, *, roster: Roster) -> Round:
    """Take a witness's signature on the survivors; raise Rejected for any other signature."""
    survivors = _fixed(state)
    index = state.epoch.index.get(site)
    if index not in state.epoch.witnesses or message.signed.signer != site:
        raise Rejected("wrong-role", site)
    named = context(survivors, epoch=state.epoch, cohort=state.cohort)
    confirming.check_one(
        message.signed.signature, named, member=roster.member(site, Role.ROLE_NODE), epoch=state.epoch, roster=roster
    )
    return replace(state, confirmations={**state.confirmations, index: message.signed.signature})


def ask_committee(state: Round, deposits: Mapping[int, SealedShares]) -> Mapping[str, Unmask]:
    """Return what each committee member is asked; ``deposits`` hold the slot's sealed shares of those that dropped."""
    survivors = _fixed(state)
    bitmap = to_bitmap(survivors, len(state.epoch.members))
    # Q signatures suffice; more would only be more to check.
    chosen = sorted(state.confirmations)[: state.epoch.parameters.quorum]
    signatures = [WitnessSignature(witness=each, signature=state.confirmations[each]) for each in chosen]
    asked = {}
    for keeper in state.epoch.committee:
        pieces = []
        for member in state.cohort.members:
            if member != keeper:
                shares = state.uploads[member] if member in state.uploads else deposits[member]
                pieces += [shares.salt, shares.sealed[keeper]]
        asked[state.epoch.members[keeper]] = Unmask(
            announcement=state.tau, survivors=bitmap, confirmations=signatures, sealed=b"".join(pieces)
        )
    return asked


def take_shares(state: Round, site: str, message: Shares) -> Round:
    """Take a committee member's key shares."""
    _fixed(state)
    index = state.epoch.index.get(site)
    if index is None or index not in state.epoch.point:
        raise Rejected("wrong-role", site)
    if index in state.answers:
        return state
    return replace(state, answers={**state.answers, index: split_released(message, state.cohort)})


def close(
    state: Round,
    *,
    backups: Mapping[int, bytes],
    released_at: int,
    seconds: float,
    threads: int = 1,
    vectors: Vectors | None = None,
) -> Release:
    """Take the masks off; raise Rejected where too few answered or the masks did not cancel.

    ``backups`` are the wrapped pairwise seeds of the hospitals that dropped out; ``vectors`` reads long vectors.
    """
    survivors = _fixed(state)
    vector = finish(
        _added(state, vectors) if state.blobs else state.total,
        epoch=state.epoch,
        cohort=state.cohort,
        survivors=survivors,
        backups=backups,
        answers=state.answers,
        threads=threads,
    )
    return Release(
        id=state.announcement.request.id,
        announcement=state.signed,
        vector=vector,
        contributors=state.answered,
        notes=state.notes,
        minimum_cells=state.minimum_cells,
        released_at=released_at,
        seconds=seconds,
    )


def dropped(state: Round) -> tuple[int, ...]:
    """Return the contributors that are not in the sum, whose slot's secret is opened."""
    return tuple(member for member in state.cohort.members if member not in state.uploads)


def _added(state: Round, vectors: Vectors | None) -> Ring:
    """Return the sum of the vectors that came beside their uploads; of each, no more is held than a piece.

    Guarantee: a vector is added whole or the round ends without a sum. Test:
    tests/protocols/test_round.py::test_long_vectors_are_added_in_pieces_and_whole.
    """
    if vectors is None:
        raise Rejected("unknown-blob", "nothing reads long vectors")
    total = np.zeros(state.entries + CHECKS, dtype=np.uint64)
    for index, blob in state.blobs.items():
        start = 0
        for piece in vectors(index, blob):
            end = start + len(piece)
            if end > len(total):
                raise Rejected("wrong-length", "a vector longer than its name says")
            np.add(total[start:end], piece, out=total[start:end])
            start = end
        if start != len(total):
            raise Rejected("wrong-length", "a vector shorter than its name says")
    return total


def _fixed(state: Round) -> tuple[int, ...]:
    if state.survivors is None:
        raise Rejected("unknown-round", "the survivors are not fixed yet")
    return state.survivors
