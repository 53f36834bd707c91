"""RANK(): where a cell stands among all cells by its count, with the ranks that the noise leaves possible.

It reads the same block as COUNT(*), so beside a count it costs nothing. The ten commonest diagnoses, and how sure it is
that each of them is one, are ``SELECT dx, COUNT(*) AS n, RANK() AS place ... GROUP BY dx ORDER BY n DESC LIMIT 10``.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import PLAIN, Function, Given, Reading, Statistic, Sums, no_cells

LEVEL = 0.95
"""Of the intervals."""

GRID, GRID_STEPS = 128, 16
"""The integral of ``surely`` runs over 128 steps of a sixteenth on either side of 0, which errs by less than 1e-9."""

MOST_DEVIATIONS = 16.0
"""Of one cell: a bound that no number of cells needs."""

HALVINGS = 40
"""Steps of the search for the bound."""


class Rank(Statistic):
    """Pairwise comparison of the counts of all cells."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="RANK",
            arguments=(),
            summary="the place of each group by its number of rows, 1 for the most",
            example="RANK()",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the ranking of the question's own cells."""
        return Aggregate(statistic="rank"), PLAIN

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a question with groups."""
        no_cells(aggregate)
        if aggregate.column is not None or not setting.keys:
            raise PlanError("a rank is of groups by their number of rows", remedy="write RANK() and add GROUP BY")

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of counts, the same as COUNT(*) has.

        Sensitivity, worst case: all of one patient's rows fall into one cell, which changes by their number.
        """
        return (Block(keys=setting.keys, measure=RowCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return each cell's rank among the noisy counts, equal counts sharing the lower one.

        The interval counts the cells that are surely above and surely below (Klein, Wright and Wieczorek, JRSS C 69,
        2020, of which this is the pairwise form). "Surely" is a comparison of one cell with all others (``surely``), so
        each cell's interval covers at least 95 %. The total interval takes counts as Poisson.
        """
        counts = sums.blocks[0].values
        z = surely(max(counts.size - 1, 1))
        noise = 2 * sums.blocks[0].variance
        margin = np.full(counts.shape, z * np.sqrt(noise))
        # d above n is sure where d^2 > z^2 (noise + n + (n + d)), and d below n where d^2 > z^2 (noise + n + (n - d)):
        # of each quadratic the positive root.
        spread = np.sqrt(z**4 + 4 * z**2 * (noise + 2 * np.maximum(counts, 0.0)))
        low, high = _possible(counts, margin, margin)
        total_low, total_high = _possible(counts, (spread + z**2) / 2, (spread - z**2) / 2)
        passed = np.searchsorted(np.sort(counts), counts, side="right").astype(np.float64)
        return Finding(
            value=1.0 + counts.size - passed, low=low, high=high, total_low=total_low, total_high=total_high, exact=True
        )


@lru_cache(maxsize=256)
def surely(others: int) -> float:
    """Return by how many standard deviations of a difference a cell must lead to be surely above another.

    Worst case: all cells are equal, when any that seems surely above is one too many, and none that seems below
    matters. So the level is one-sided, and the greatest of the others less the one cell exceeds the bound with 5 %
    (Dunnett, JASA 50, 1955): the integral of the normal density times the normal law of y + bound, to the power of the
    others.

    Guarantee: however the counts lie, an interval holds the exact rank with 95 %, but for simulation error.
    Test: tests/queries/test_stat_rank.py::test_in_the_worst_case_rank_intervals_hold_95_in_100.
    """
    law = NormalDist()
    grid = np.arange(-GRID, GRID + 1) / GRID_STEPS
    weights = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) / GRID_STEPS
    least, most = 0.0, MOST_DEVIATIONS
    for _ in range(HALVINGS):
        bound = (least + most) / 2
        below = np.array([law.cdf(y + bound) for y in grid.tolist()])
        if float((weights * below**others).sum()) < LEVEL:
            least = bound
        else:
            most = bound
    return most / float(np.sqrt(2.0))


def _possible(counts: Floats, above: Floats, below: Floats) -> tuple[Floats, Floats]:
    """Return the least and the greatest rank, given by how much a count must be larger or smaller to be surely so."""
    ordered = np.sort(counts)
    reached = np.searchsorted(ordered, counts + above, side="right").astype(np.float64)
    surely_below = np.searchsorted(ordered, counts - below, side="left").astype(np.float64)
    return 1.0 + counts.size - reached, counts.size - surely_below
