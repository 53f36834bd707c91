"""How far one patient can move a tally: L1, L2 and largest entry, each with its worst case in words."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from queries.asked.plan import Bound
from queries.cost.tally import Block, PatientCount, RowCount, StepSum, Tally, UpdateSum


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
    than this at s = 1. Tests: tests/node/test_sensitivity_fuzz.py, tests/node/test_step_sensitivity.py.
    """
    s = sites_per_patient
    if isinstance(block.measure, (StepSum, UpdateSum)):
        return _of_training(block.measure, bound, s)
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


def _of_training(measure: StepSum | UpdateSum, bound: Bound, s: int) -> Sensitivity:
    """Return the sensitivity of a block of a round of training.

    Guarantee: an app's update is charged for both ends of its clip. Test:
    tests/queries/test_step_cost.py::test_an_update_is_charged_twice_its_bound.
    """
    alike = f", the same at {s} hospitals" if s > 1 else ""
    if isinstance(measure, UpdateSum):
        # Worst case: without the patient an app's update points one way at the full length, with the patient it points
        # the other way: whoever wrote the app may have made all of it depend on one row.
        words = "one patient whose presence turns the whole update of an app from one end of its clip to the other"
        return _of_vector(2 * measure.bound * s, measure.width, words + alike)
    if measure.sum == "grades":
        # Worst case: all of one patient's rows have a prediction in one band and one outcome.
        words = f"one patient whose {bound.rows} rows are all in one band of the prediction with one outcome"
        rows = bound.rows * measure.bound * s
        return Sensitivity(l1=rows, l2_squared=rows**2, linf=rows, worst_case=words + alike)
    if measure.sum == "loss":
        # Worst case: one patient whose loss is the highest that is counted; the number of patients changes beside it.
        words = "one patient who is counted, and whose loss is the highest that is counted"
        highest = measure.bound * s
        return Sensitivity(l1=2 * highest, l2_squared=2 * highest**2, linf=highest, worst_case=words + alike)
    # Worst case: one patient whose vector is as long as the clip leaves it.
    words = f"one patient whose {measure.sum} is as long as the clip allows"
    return _of_vector(measure.bound * s, measure.width, words + alike)


def _of_vector(length: int, width: int, words: str) -> Sensitivity:
    # Of all vectors of one L2 norm the one of equal entries has the greatest L1: the norm times the root of the width.
    widest = isqrt(length**2 * width - 1) + 1
    return Sensitivity(l1=widest, l2_squared=length**2, linf=length, worst_case=words)


def of_tally(tally: Tally, sites_per_patient: int) -> tuple[Sensitivity, ...]:
    """Return the sensitivity of each block; a patient may reach the worst case of all of them at once."""
    return tuple(
        of_block(block, entries, tally.bound_of(block), sites_per_patient)
        for block, entries in zip(tally.blocks, tally.sizes, strict=True)
    )
