"""The reading of a statistic: which number is taken from its noisy sums, with parameters that hospitals need not know.

A median and a 90 % quantile are two readings of one tree of counts, so the second costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from queries.errors import PlanError

MOST_NUMBERS = 4096
"""Most parameters of a reading: populations of every region by age fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What to read; the default is the statistic's first."""

    name: str = ""
    """One of the statistic's ``readings``."""
    numbers: tuple[str, ...] = ()
    """Parameters as exact decimals, see ``queries.asked.view.number``, such as the level of a quantile."""
    words: tuple[str, ...] = ()
    """Parameters that are names, such as a standard population."""

    @property
    def values(self) -> tuple[Fraction, ...]:
        """Return the parameters as exact numbers."""
        return tuple(Fraction(number) for number in self.numbers)


PLAIN = Reading()


def check_plain(reading: Reading) -> None:
    """Raise PlanError for a reading with parameters: for statistics that can be read in one way only."""
    if reading != PLAIN:
        raise PlanError("this statistic is read in one way only", remedy="leave the parameters out")
