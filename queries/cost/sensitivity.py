"""How far one patient can move a tally: L1, L2 and largest entry, each with its worst case in words."""

from __future__ import annotations

from dataclasses import dataclass

from queries.asked.plan import Bound
from queries.cost.tally import Block, PatientCount, RowCount, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Of one block, to adding or removing one patient, in the block's integer units."""

    l1: int
    """Sum over entries of the change."""
    l2_squared: int
    """Sum over entries of the squared change: kept squared because it is a whole number."""
    linf: int
    """Largest change of an entry."""
    worst_case: str
    """The patient who reaches the L2 figure."""


def of_block(block: Block, entries: int, bound: Bound, sites_per_patient: int) -> Sensitivity:
    """Return the sensitivity of a block that has so many entries.

    A patient at s hospitals moves the *sum* by at most s times what one hospital's bounded rows can move, all aligned.

    Guarantee: for any data, taking all rows of one patient away at one hospital moves that hospital's block by no more
    than this at s = 1. Test: tests/node/test_sensitivity_fuzz.py.
    """
    s = sites_per_patient
    if isinstance(block.measure, PatientCount):
        # Worst case: one patient has a row in each of the `groups` cells that the bound leaves; each changes by 1.
        cells = min(bound.groups, bound.rows, entries)
        words = f"one patient with a row in each of {cells} cells, each of which changes by 1"
        l1, l2_squared, linf = cells * s, cells * s * s, s
    elif isinstance(block.measure, RowCount):
        # Worst case: all of one patient's rows fall into one cell.
        words = f"one patient whose {bound.rows} rows all fall into one cell"
        l1, l2_squared, linf = bound.rows * s, (bound.rows * s) ** 2, bound.rows * s
    else:
        # Worst case: all of one patient's rows fall into one cell, each with a value, or a product of two values, at
        # the far end of the bounds.
        reach = bound.rows * block.measure.bound * s
        words = f"one patient whose {bound.rows} rows all fall into one cell with a value at the end of the bounds"
        l1, l2_squared, linf = reach, reach**2, reach
    if s > 1:
        words += f", the same at {s} hospitals"
    return Sensitivity(l1=l1, l2_squared=l2_squared, linf=linf, worst_case=words)


def of_tally(tally: Tally, sites_per_patient: int) -> tuple[Sensitivity, ...]:
    """Return the sensitivity of each block; a patient may reach the worst case of all of them at once."""
    return tuple(
        of_block(block, entries, tally.bound_of(block), sites_per_patient)
        for block, entries in zip(tally.blocks, tally.sizes, strict=True)
    )
