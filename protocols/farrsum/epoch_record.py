"""What a hospital has bound itself to among epochs: stored before its key, or anything under a freeze, leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocols.errors import Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One hospital's promises about epochs."""

    number: int = 0
    """The highest epoch for which it signed a key."""
    frozen: bytes | None = None
    """E of the only freeze that it accepts for that epoch."""

    def offer(self, number: int) -> EpochRecord:
        """Bind the hospital to one key for an epoch.

        Guarantee: one key an epoch number, and the numbers rise. A restarted hospital, whose private key is gone, takes
        part from the next number on. Test: tests/protocols/farrsum/test_machine.py.
        """
        if number <= self.number:
            raise Rejected("wrong-epoch", f"a key for {self.number} was signed already, {number} was asked")
        return EpochRecord(number=number)

    def accept(self, number: int, frozen: bytes) -> EpochRecord:
        """Bind the hospital to one freeze of the epoch that it signed its last key for.

        Guarantee: one freeze an epoch. Test: tests/protocols/farrsum/test_adversary.py::test_two_freezes.
        """
        if number != self.number:
            raise Rejected("wrong-epoch", f"a freeze of {number}, the last key was for {self.number}")
        if self.frozen not in (None, frozen):
            raise Rejected("wrong-epoch", "another freeze was accepted")
        return replace(self, frozen=frozen)
