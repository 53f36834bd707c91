"""What an operator decides of the node itself: pause and resume it, and which new hospitals it counts on.

No text of a command or a page is here. Each decision is one transaction on the node's state; a running node sees it at
the next question.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from farr.errors import FarrError
from farr.hospital.office import Office, office
from farr.texts import _, language
from node.authority.decisions import ACCEPT, PAUSE, RESUME
from node.authority.newcomers import DAY, FROM_THE_START, acquaintances
from node.authority.policy import Policy
from node.books.state import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A hospital of the roster, and whether this node counts on it."""

    member: str
    """Its id."""
    label: str
    """Its name, in the language in use."""
    since: int | None
    """Seconds since 1970, UTC, of this node's first sight of its key; 0: from the start; None: not met."""
    accepted: bool
    """Whether the operator let it count."""
    counts: bool
    """Whether it counts now."""
    counts_from: int | None
    """When it will, seconds since 1970, UTC; None: it does, or nobody knows."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "id": self.member,
            "label": self.label,
            "since": self.since,
            "accepted": self.accepted,
            "counts": self.counts,
            "counts_from": self.counts_from,
        }


def pause(home: Path, *, by: str, reason: str = "") -> int | None:
    """Pause the node; return the number of the decision, or None where it was paused already."""
    return _switch(home, PAUSE, by=by, reason=reason)


def resume(home: Path, *, by: str) -> int | None:
    """Let the node answer again; return the number of the decision, or None where it was not paused."""
    return _switch(home, RESUME, by=by, reason="")


def known(home: Path) -> tuple[Known, ...]:
    """Return the hospitals of the newest roster that the node has seen."""
    with office(home) as opened:
        return _known(opened, opened.policy())


def accept(home: Path, ids: tuple[str, ...] | None, *, by: str) -> list[str]:
    """Let hospitals count from now on; return those that did not yet. None: all of them.

    Raises FarrError for an id that is no hospital of the roster, accepting none.
    """
    with office(home) as opened, transaction(opened.bench.connection):
        hospitals = {each.member: each for each in _known(opened, opened.policy())}
        for name in ids or ():
            if name not in hospitals:
                raise FarrError(
                    "unknown-member",
                    _("{id} is no hospital of the roster").format(id=name),
                    remedy=_("look at them: farr node members list"),
                )
        waiting = [name for name in ids or hospitals if not hospitals[name].counts]
        for name in waiting:
            # Bound to the key: whoever comes under the same id with another one has to be accepted anew.
            opened.decisions.add(
                ACCEPT,
                by=by,
                at=opened.now,
                subject=name.encode(),
                binding=opened.roster.by_id[name].identity_key,
                facts={"member": name},
            )
        return waiting


def _switch(home: Path, kind: str, *, by: str, reason: str) -> int | None:
    with office(home) as opened, transaction(opened.bench.connection):
        if opened.decisions.paused == (kind == PAUSE):
            return None
        facts = {"reason": reason} if reason else {}
        return opened.decisions.add(kind, by=by, at=opened.now, facts=facts)


def _known(opened: Office, policy: Policy) -> tuple[Known, ...]:
    found = []
    for each in acquaintances(opened.bench.connection, opened.roster):
        counts = each.member == opened.bench.member or each.counts(policy.newcomer_days, opened.now)
        later = None
        if not counts and each.since not in {None, FROM_THE_START}:
            later = (each.since or 0) + policy.newcomer_days * DAY
        member = opened.roster.by_id[each.member]
        label = member.label_zh if language() == "zh" and member.label_zh else member.label_en
        found.append(
            Known(
                member=each.member,
                label=label,
                since=each.since,
                accepted=each.accepted,
                counts=counts,
                counts_from=later,
            )
        )
    return tuple(found)
