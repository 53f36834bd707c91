"""A round, from announcement to sum: the state machine that the coordinator runs, and the whole of it in memory.

``run_round`` is the executable specification: the services exchange exactly these messages, so for the same keys and
the same noisy vectors they release the same bytes (tests/journeys/test_same_bytes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from protocols import announcement as announcements
from protocols import release as releases
from protocols import ring, upload
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.release import Release
from protocols.ring import Ring
from protocols.roster import Roster
from protocols.signing import IdentityKey
from protocols.upload import Upload
from protocols.wire_pb2 import Note, Signed


@dataclass(frozen=True, kw_only=True)
class Round:
    """What the coordinator knows of one round. A value: every step returns a new one."""

    announcement: Announcement
    """What was asked."""
    signed: Signed
    """The same, as the hospitals got it."""
    tau: bytes
    """Its digest."""
    entries: int
    """Length of the vectors."""
    total: Ring
    """Sum of the uploads so far, modulo 2^64."""
    answered: tuple[str, ...] = ()
    """Who is in the sum."""
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)
    """Remarks of those who had any."""
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Code and reference of each hospital that refused."""

    @property
    def complete(self) -> bool:
        """Whether every contributor has answered or refused, so that waiting brings nothing more."""
        return len(self.answered) + len(self.refused) == len(self.announcement.contributors)

    @property
    def hopeless(self) -> bool:
        """Whether too many refused for the minimum to be reached."""
        return len(self.announcement.contributors) - len(self.refused) < self.announcement.minimum


def open_round(announcement: Announcement, signed: Signed, entries: int) -> Round:
    """Start a round whose vectors have ``entries`` entries."""
    return Round(
        announcement=announcement,
        signed=signed,
        tau=announcements.tau(signed),
        entries=entries,
        total=np.zeros(entries, dtype=np.uint64),
    )


def take_upload(state: Round, signed: Signed, *, roster: Roster, now: int) -> Round:
    """Add a hospital's upload to the sum; raise Rejected, changing nothing, for one that does not belong there.

    Guarantee: a hospital is in the sum at most once, and only with a vector that it signed for this announcement.
    Test: tests/protocols/test_round.py::test_no_upload_counts_twice_or_for_another_round.
    """
    taken = upload.read(signed, roster=roster, announcement=state.tau, entries=state.entries)
    if taken.site not in state.announcement.contributors:
        raise Rejected("out-of-scope", taken.site)
    if now > state.announcement.deadline:
        raise Rejected("late", taken.site)
    if taken.site in state.answered:
        return state
    return replace(
        state,
        total=ring.add(state.total, taken.vector),
        answered=tuple(sorted((*state.answered, taken.site))),
        notes={**state.notes, taken.site: taken.notes} if taken.notes else state.notes,
        refused={site: why for site, why in state.refused.items() if site != taken.site},
    )


def take_refusal(state: Round, site: str, code: str, reference: str) -> Round:
    """Note that a hospital will not answer; a refusal after an upload changes nothing."""
    if site not in state.announcement.contributors or site in state.answered:
        return state
    return replace(state, refused={**state.refused, site: (code, reference)})


def close(state: Round, *, released_at: int, seconds: float) -> Release:
    """Return the sum over those who answered; raise Rejected("too-few") below the minimum."""
    if len(state.answered) < state.announcement.minimum:
        raise Rejected("too-few", f"{len(state.answered)} of {state.announcement.minimum}")
    return Release(
        id=state.announcement.request.id,
        announcement=state.signed,
        vector=state.total,
        contributors=state.answered,
        notes=state.notes,
        released_at=released_at,
        seconds=seconds,
    )


@dataclass(frozen=True, kw_only=True)
class Contributor:
    """A hospital in the specification: its key and the vector that it would upload."""

    key: IdentityKey
    """Signs its upload."""
    vector: Ring
    """Its tally with its noise."""
    notes: tuple[Note, ...] = ()
    """Its public remarks."""


def run_round(
    announcement: Announcement,
    *,
    roster: Roster,
    coordinator: IdentityKey,
    contributors: Mapping[str, Contributor],
    entries: int,
    now: int,
) -> Signed:
    """Run a whole round in memory, from the first message to the signed sum.

    ``contributors`` are those who answer, in the order of their answers; any other hospital of the announcement stays
    silent. Raises Rejected where a message is refused or too few answer.
    """
    # The coordinator announces. Each hospital reads the announcement for itself and checks it against its own roster.
    signed = announcements.write(announcement, roster, coordinator)
    state = open_round(announcement, signed, entries)

    for site, contributor in contributors.items():
        announcements.read(signed, roster=roster, now=now)

        # The hospital answers with its noisy vector, bound to this announcement by its digest.
        answer = Upload(
            site=site, announcement=announcements.tau(signed), vector=contributor.vector, notes=contributor.notes
        )
        signed_upload = upload.write(answer, federation=roster.federation, key=contributor.key)

        # The coordinator adds it to the sum.
        state = take_upload(state, signed_upload, roster=roster, now=now)

    # The coordinator releases the sum.
    return releases.write(close(state, released_at=now, seconds=0.0), roster, coordinator)
