"""What a Flower run needs of a federation: to ask a round, to wait for its sum, to give it up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from farr.errors import FarrError
from farr.flower.messages import Sent
from queries.answers.quantity import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of an app, ready to be asked."""

    number: int
    """From 1, over all rounds of the run of whatever kind."""
    sent: Sent
    """What the hospitals are sent."""
    clip: float
    """Largest L2 norm of what a hospital adds, in the app's units."""
    sites: tuple[str, ...]
    """Hospitals asked, sorted. At least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a round, verified."""

    mean: Floats
    """What the hospitals added, over how many they are; in the app's units."""
    answered: tuple[str, ...]
    """Hospitals that were asked and are in the sum. At least one."""
    noise: float
    """Standard deviation of the noise in each number of the mean."""
    rho_units: int
    """What it cost, in ledger units."""
    release: str
    """Its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is, for people who watch."""

    number: int
    """Of the round."""
    rounds: int
    """Of the run."""
    kind: str
    """``train``, ``evaluate`` or ``query``."""
    state: str
    """``asked``, ``held``, ``answered``, ``late`` or ``skipped``."""
    hospitals: int
    """Asked, or in the sum when it is answered."""
    spent_units: int
    """Of the run so far, in ledger units."""
    noise: float = 0.0
    """Standard deviation of the noise in each number of an answered round's mean."""
    size: int = 0
    """Bytes that each hospital is sent."""


Told = Callable[[Progress], None]
"""Hears how far a run is."""


class RoundRefusedError(FarrError):
    """A round that was refused, here or by the coordinator, before any hospital heard of it."""

    def __init__(self, error: FarrError) -> None:
        """Take what it was refused with."""
        super().__init__(error.code, error.message, remedy=error.remedy, details=error.details)


class RoundFailedError(FarrError):
    """A round that has no answer and will not have one."""

    def __init__(self, error: FarrError, *, charged: bool) -> None:
        """Take what ended it; ``charged``: whether a hospital may have been charged for it."""
        super().__init__(error.code, error.message, remedy=error.remedy, details=error.details)
        self.charged = charged


LOOK = 1.0
"""Seconds up to which a wait is only a look: over by the clock on the wall, whoever holds the round."""


class Rounds(Protocol):
    """A federation, as a Flower run sees it."""

    def hospitals(self) -> Mapping[str, bool]:
        """Return the hospitals that have such records by id, and whether each is connected just now."""

    def ask(self, asked: Round, request: bytes) -> None:
        """Ask a round under the id of a request; one of that id that was made already is left as it is.

        Raises RoundRefusedError where it is refused before it costs anything. After any other FarrError nobody here
        knows whether it was handed in, and it is asked under the same id again.
        """

    def wait(self, request: bytes, seconds: float | None, held: Callable[[], None]) -> Outcome:
        """Wait for what comes of a round; raise FarrError("timeout") after ``seconds`` in which nobody held it.

        Of up to ``LOOK`` seconds all count. Raises RoundFailedError where it has failed for good; any other FarrError
        may pass. ``held`` is called when hospitals begin to hold it for approval: that time does not count.
        """

    def cancel(self, request: bytes) -> bool:
        """Give up a round that is late; what hospitals were charged for it stays charged.

        Returns whether it was given up; not where it had been answered meanwhile.
        """
