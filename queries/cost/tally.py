"""The tally: the fixed-shape vector of bounded integers that a hospital computes for a plan.

A tally is blocks laid end to end. In a block, each of a patient's bounded rows falls into one public cell (or none) and
adds a bounded integer there; in a round of training each patient, or an app for all of them, adds a vector of bounded
length. Shape and bounds follow from the plan and the catalogue alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from queries.agreed.catalogue import Catalogue
from queries.agreed.domains import size
from queries.asked.plan import Bound, Key, Part, Plan, Predicate
from queries.cost.setting import Setting
from queries.errors import PlanError

MOST_ENTRIES = 1 << 20
"""Most entries of a tally: 8 MiB on the wire from each hospital. An app's update has a limit of its own."""

FULL = 20
"""The weight of a block that a figure rests on; one that serves its error bars only has less."""

MOST_BLOCKS = 2048
"""Most blocks of a tally."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSum:
    """Each row adds the product of two centred values in whole units; a row without either adds nothing."""

    left: str
    """A number column."""
    right: str
    """A number column; the same one for squares."""
    left_centre: int
    """What is taken off the left value, in its steps."""
    right_centre: int
    """What is taken off the right value, in its steps."""
    unit: int
    """The product in squared steps is divided by it and rounded half away from zero. At least 1."""
    bound: int
    """The greatest size of what a row adds, in units; clamped once more in integers. At least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSum:
    """Each patient adds a vector of whole numbers, clipped by the patient: one of the sums of a step of a model."""

    sum: str
    """One of a step's ``wants``."""
    width: int
    """Numbers of the vector."""
    bound: int
    """Of a gradient or an information, the largest L2 norm of what one patient adds, in the block's whole units; of a
    loss, the largest size of each of its two numbers; of grades, what each row adds in one cell. At least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSum:
    """A hospital adds one vector of whole numbers, clipped as a whole: what an app made of all its patients."""

    width: int
    """Numbers of the vector."""
    bound: int
    """Largest L2 norm of the vector, in the block's whole units. One patient may turn it round: twice that."""


Measure = RowCount | PatientCount | ValueSum | ProductSum | StepSum | UpdateSum


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A run of the tally: one measure in every cell of a product of keys."""

    keys: tuple[Key, ...]
    """The cells, last key fastest."""
    measure: Measure
    """What a row adds."""
    where: Predicate
    """The rows that add it, within those of the part."""
    part: int = 0
    """Index of the part of the plan."""
    weight: int = FULL
    """Of its part's privacy loss, this block's share is its weight over the sum of the part's blocks'. At least 1."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The shape of a plan's vector."""

    plan: Plan
    """What it was made from."""
    blocks: tuple[Block, ...]
    """In the order of the vector, without repeats."""
    sizes: tuple[int, ...]
    """Entries of each block."""
    of_aggregate: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    """For each part, grouping and aggregate, the blocks that it is estimated from. A part without subtotals has one
    grouping; one with them has a grouping for each number of leading keys, from none to all."""

    @cached_property
    def entries(self) -> int:
        """Return the length of the vector."""
        return sum(self.sizes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Return where each block starts."""
        return tuple(sum(self.sizes[:position]) for position in range(len(self.sizes)))

    def bound_of(self, block: Block) -> Bound:
        """Return how much of one patient enters a block."""
        return self.plan.parts[block.part].bound


def width_of(measure: Measure) -> int:
    """Return how many numbers a measure has in each cell."""
    return measure.width if isinstance(measure, (StepSum, UpdateSum)) else 1


def groupings(part: Part) -> tuple[tuple[Key, ...], ...]:
    """Return the sets of keys that a part answers: all of them, and with subtotals every beginning before that."""
    return tuple(part.keys[:length] for length in range(0 if part.subtotals else len(part.keys), len(part.keys) + 1))


def tally(plan: Plan, catalogue: Catalogue) -> Tally:
    """Lay out the vector of a plan that was checked; raise PlanError when it would be too long."""
    from queries.statistics import STATISTICS  # noqa: PLC0415  each statistic says its blocks in this module's terms

    places: dict[Block, int] = {}  # by block with weight 1: the same sums are measured once
    weights: list[int] = []
    of_aggregate = []
    for number, part in enumerate(plan.parts):
        of_part = []
        for keys in groupings(part):
            setting = Setting(catalogue=catalogue, table=catalogue.table(part.table), keys=keys)
            of_grouping = []
            for aggregate in part.aggregates:
                needed = []
                for block in STATISTICS[aggregate.statistic].blocks(aggregate, setting):
                    place = places.setdefault(replace(block, part=number, weight=1), len(places))
                    weights += [0] * (place + 1 - len(weights))
                    weights[place] = max(weights[place], block.weight)
                    needed.append(place)
                if len(places) > MOST_BLOCKS:
                    # Refused before all are laid out: a plan of the largest size could name a hundred times as many.
                    raise PlanError(
                        f"the answer would have more than {MOST_BLOCKS:,} blocks",
                        remedy="ask for fewer figures at once",
                    )
                of_grouping.append(tuple(needed))
            of_part.append(tuple(of_grouping))
        of_aggregate.append(tuple(of_part))
    blocks = tuple(replace(block, weight=weight) for block, weight in zip(places, weights, strict=True))
    sizes = tuple(
        prod(size(key, catalogue, catalogue.table(plan.parts[block.part].table)) for key in block.keys)
        * width_of(block.measure)
        for block in blocks
    )
    if sum(sizes) > MOST_ENTRIES and not isinstance(blocks[0].measure, UpdateSum):
        raise PlanError(
            f"the answer would have {sum(sizes):,} entries in {len(blocks):,} blocks, more than {MOST_ENTRIES:,}",
            remedy="group by fewer columns, a coarser level or wider bands, or ask for fewer figures at once",
        )
    return Tally(plan=plan, blocks=blocks, sizes=sizes, of_aggregate=tuple(of_aggregate))
