"""An epoch at the coordinator: its frozen keys, and the slots that its hospitals have deposited ahead."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from protocols.errors import Rejected
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.parameters import least_survivors
from protocols.farrsum.slots import AHEAD, read_deposit
from protocols.roster import Roster
from protocols.wire_pb2 import Deposit

MOST_AHEAD = 4 * AHEAD
"""How far beyond the next slot a deposit is kept; it bounds what a hospital can make the coordinator hold."""


@dataclass(kw_only=True)
class SeatedEpoch:
    """An epoch whose keys are frozen. Held in memory only: a coordinator that restarts opens another one."""

    epoch: Epoch
    """The freeze."""
    roster: Roster
    """That its keys are signed for; all that hospitals say in the epoch is checked against it."""
    began: float
    """When it was frozen, in seconds that never jump."""
    next: int = 1
    """The least slot that no round has used."""
    lost: set[str] = field(default_factory=set)
    """Hospitals whose process ended, and with it their keys of this epoch."""
    deposits: dict[int, dict[int, Deposit]] = field(default_factory=dict)
    """By slot and by member's index."""

    @property
    def members(self) -> AbstractSet[str]:
        """Return the hospitals that still hold their keys."""
        return self.epoch.index.keys() - self.lost

    @property
    def prepared(self) -> AbstractSet[str]:
        """Return the hospitals that could take part in a round in the next slot."""
        return {self.epoch.members[index] for index in self.deposits.get(self.next, {})} - self.lost

    def take(self, site: str, message: Deposit) -> None:
        """Keep a deposit, the first for its slot; raise Rejected for one that could never be used."""
        if site not in self.members:
            raise Rejected("late", "not in the epoch, or no longer")
        index = self.epoch.index[site]
        read_deposit(message, epoch=self.epoch, own=index)
        if message.slot >= self.next + MOST_AHEAD:
            raise Rejected("oversized", "slots ahead")
        if message.slot >= self.next:
            self.deposits.setdefault(message.slot, {}).setdefault(index, message)

    def use(self) -> Mapping[int, Deposit]:
        """Burn the next slot; return what was deposited for it."""
        found = self.deposits.pop(self.next, {})
        self.next += 1
        return found

    def suffices(self, cohort: int) -> bool:
        """Tell whether so many hospitals can hold a round."""
        return cohort >= least_survivors(self.epoch.parameters, cohort)
