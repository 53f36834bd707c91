"""What a statistic is: what it is called in questions, the blocks that it needs, and how their noisy sums are read.

A new statistic is one file with one subclass of ``Statistic``, and one line in ``queries/statistics/__init__.py``; see
docs/statistics.md for a small example. Its cost comes out of its blocks, its error bars out of ``read``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import ClassVar

from queries.agreed.catalogue import Code, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import NoisyBlock, Quantity
from queries.asked.plan import Aggregate, Key
from queries.asked.reading import PLAIN, Reading, check_plain
from queries.cost.setting import Setting
from queries.cost.tally import Block
from queries.errors import PlanError


class Argument(Enum):
    """What a function of questions is given in one place; the value says it in words."""

    COLUMN = "a number column"
    TIME = "a number column, or BAND of one"
    GROUP = "a column of codes, LEVEL, BAND, a part of a date, a fact about hospitals, or a condition"
    CONDITION = "a condition such as died = 'Y'"
    TERM = "a number column, a group or a condition"
    NUMBER = "a number"
    WORD = "a name in single quotation marks"
    WEIGHTS = "the name of a standard population, or a number"


Given = NumberColumn | Key | Fraction | str
"""What is given: a column for COLUMN, TIME and TERM, a key for TIME (bands), TERM, GROUP and CONDITION, a number, a
name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One way to ask for a statistic, in SQL by its name and in Python by the same name in lower case."""

    name: str
    """In capitals, such as ``QUANTILE``."""
    arguments: tuple[Argument, ...]
    """In order."""
    summary: str
    """What it answers, in one line."""
    example: str
    """A call, such as ``QUANTILE(los, 0.9)``."""
    least: int | None = None
    """How many arguments must be given; None: all."""
    repeats: bool = False
    """Whether the last argument may be given again and again."""
    reading: str = ""
    """The reading that it asks for; empty: the statistic's default."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The noisy sums that one aggregate is read from."""

    blocks: tuple[NoisyBlock, ...]
    """In the order in which the statistic named them."""
    seed: bytes
    """For simulated intervals: follows from the released sum, so the same release always reads the same."""


class Statistic(ABC):
    """One statistic. Instances hold no state."""

    functions: ClassVar[tuple[Function, ...]] = ()
    """How questions ask for it; empty for those that SQL has a word of its own for."""

    linear: ClassVar[bool] = True
    """Whether ``read`` returns quantities that arithmetic may combine; else figures stand alone or are scaled."""

    axis_name: ClassVar[str] = "figure"
    """What the column that names the figures of one cell is called, where there are several."""

    counts: ClassVar[bool] = False
    """Whether it counts rows or patients, so that a quotient of two may be a share."""

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return what a call of one of ``functions`` asks for; raise StatementError for what it cannot mean.

        ``given`` fits ``function.arguments`` in kind and number.
        """
        raise PlanError(f"{function.name} is not asked for that way", remedy="see docs/statistics.md")

    @abstractmethod
    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Raise PlanError unless the aggregate, which may come from a stranger, has the form that ``blocks`` expects.

        That its keys, columns and conditions exist in the catalogue is checked elsewhere.
        """

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Raise PlanError unless ``read`` can follow the reading, which may come from a stranger."""
        check_plain(reading)

    @abstractmethod
    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the blocks that it is estimated from, each with ``setting.keys`` first, then keys of its own."""

    def axis(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> tuple[Code, ...]:
        """Return the names of the figures of one cell, such as the times of a curve; empty: one figure a cell."""
        return ()

    @abstractmethod
    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity | Finding:
        """Return the figures: shape (cells,), or with an axis (cells x axis,), the axis fastest."""

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the unit of the figures; empty where they have none."""
        return ""

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return whether public facts alone say that exact figures are not below zero."""
        return False


def no_cells(aggregate: Aggregate) -> None:
    """Raise PlanError where an aggregate has cells or columns of its own, for statistics that have none."""
    if aggregate.by or aggregate.columns:
        raise PlanError(f"{aggregate.statistic} has no cells of its own", remedy="build the question with this version")


__all__ = [
    "PLAIN",
    "Argument",
    "Finding",
    "Function",
    "Given",
    "NoisyBlock",
    "Quantity",
    "Reading",
    "Statistic",
    "Sums",
    "no_cells",
]
