"""The tally: the fixed-shape vector of bounded integers that a hospital computes for a plan.

A tally is blocks laid end to end. In a block, each of a patient's bounded rows falls into one public cell (or none) and
adds a bounded integer there. Shape and bounds follow from the plan and the catalogue alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from queries.catalogue import Catalogue
from queries.domains import size
from queries.errors import PlanError
from queries.plan import Key, Plan, Predicate

MOST_ENTRIES = 1 << 20
"""Most entries of a tally: 8 MiB on the wire from each hospital."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCount:
    """Each row adds 1."""

    column: str | None = None
    """Only rows where this column has a valid value; None: every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientCount:
    """Each patient adds 1 to every cell in which the patient has a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSum:
    """Each row adds its value, in steps, less a public centre; a missing value adds nothing."""

    column: str
    """A number column."""
    centre: int
    """What is taken off each value, in steps."""
    bound: int
    """The greatest size of what a row adds, in steps; clamped once more in integers. At least 1."""


Measure = RowCount | PatientCount | ValueSum


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A run of the tally: one measure in every cell of a product of keys."""

    keys: tuple[Key, ...]
    """The cells, last key fastest."""
    measure: Measure
    """What a row adds."""
    where: Predicate
    """The rows that add it, within those of the plan."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The shape of a plan's vector."""

    plan: Plan
    """What it was made from."""
    blocks: tuple[Block, ...]
    """In the order of the vector, without repeats."""
    sizes: tuple[int, ...]
    """Entries of each block."""
    of_aggregate: tuple[tuple[int, ...], ...]
    """For each of the plan's aggregates, the blocks that it is estimated from."""

    @cached_property
    def entries(self) -> int:
        """Return the length of the vector."""
        return sum(self.sizes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Return where each block starts."""
        return tuple(sum(self.sizes[:position]) for position in range(len(self.sizes)))


def tally(plan: Plan, catalogue: Catalogue) -> Tally:
    """Lay out the vector of a plan that was checked; raise PlanError when it would be too long."""
    from queries.statistics import STATISTICS  # noqa: PLC0415  each statistic says its blocks in this module's terms

    table = catalogue.table(plan.table)
    blocks: list[Block] = []
    of_aggregate = []
    for aggregate in plan.aggregates:
        needed = STATISTICS[aggregate.statistic].blocks(aggregate, plan.keys, table)
        for block in needed:
            if block not in blocks:
                blocks.append(block)
        of_aggregate.append(tuple(blocks.index(block) for block in needed))
    sizes = tuple(prod(size(key, catalogue, table) for key in block.keys) for block in blocks)
    if sum(sizes) > MOST_ENTRIES:
        raise PlanError(
            f"the answer would have {sum(sizes):,} entries, more than {MOST_ENTRIES:,}",
            remedy="group by fewer columns, a coarser level or wider bands",
        )
    return Tally(plan=plan, blocks=tuple(blocks), sizes=sizes, of_aggregate=tuple(of_aggregate))
