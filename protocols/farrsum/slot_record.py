"""What a hospital has bound itself to in one slot: stored before the message that follows from it leaves.

Four things may each be said once: which announcement the slot carries, the vector that goes into it, which survivor set
is confirmed, for which one key shares are released. Saying the same again is harmless; anything else is refused, for
ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocols.errors import Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """One hospital's promises in one slot of one epoch."""

    announced: bytes | None = None
    """tau of the only announcement it accepts."""
    sent: bool = False
    """Whether a vector was hidden for it."""
    confirmed: bytes | None = None
    """The only context it signs."""
    released: bytes | None = None
    """The only context it releases key shares for."""

    def announce(self, tau: bytes) -> SlotRecord:
        """Bind the slot to an announcement.

        Guarantee: one announcement a slot. Test: tests/protocols/farrsum/test_machine.py.
        """
        if self.announced not in (None, tau):
            raise Rejected("slot-used", "another announcement")
        return replace(self, announced=tau)

    def send(self, tau: bytes) -> SlotRecord:
        """Bind the slot to the vector that is about to be hidden; the same bytes may be sent again, new ones may not.

        Two vectors under one slot's masks would differ by what they hide, and a coordinator could have the committee
        open the self-mask of either.

        Guarantee: one hidden vector a slot. Test: as above.
        """
        if self.announced != tau:
            raise Rejected("unknown-round", "upload")
        if self.sent:
            raise Rejected("slot-used", "another vector was sent")
        return replace(self, sent=True)

    def confirm(self, tau: bytes, context: bytes) -> SlotRecord:
        """Bind the slot to a survivor set of the announcement that it carries.

        Guarantee: one confirmed survivor set a slot, whatever was announced. Test: as above.
        """
        if self.announced != tau:
            raise Rejected("unknown-round", "confirm")
        if self.confirmed not in (None, context):
            raise Rejected("slot-used", "another survivor set was confirmed")
        return replace(self, confirmed=context)

    def release(self, tau: bytes, context: bytes) -> SlotRecord:
        """Bind the slot to the survivor set that key shares are released for.

        Guarantee: of any hospital and slot, shares of the self-mask or of the slot's secret leave, never of both.
        Test: as above.
        """
        if self.announced != tau:
            raise Rejected("unknown-round", "unmask")
        if self.released not in (None, context):
            raise Rejected("slot-used", "shares were released for another survivor set")
        return replace(self, released=context)
