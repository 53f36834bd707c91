"""RANK(): where a cell stands among all cells by its count, with the ranks that the noise leaves possible.

It reads the same block as COUNT(*), so beside a count it costs nothing. The ten commonest diagnoses, and how sure it is
that each of them is one, are ``SELECT dx, COUNT(*) AS n, RANK() AS place ... GROUP BY dx ORDER BY n DESC LIMIT 10``.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import ClassVar

import numpy as np

from queries.catalogue import Table
from queries.errors import PlanError
from queries.finding import Finding
from queries.plan import Aggregate
from queries.quantity import Floats
from queries.setting import Setting
from queries.statistics.interface import PLAIN, Function, Given, Reading, Statistic, Sums, no_cells
from queries.tally import Block, RowCount


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

        The interval counts the cells that are surely above and surely below. "Surely" is a pairwise comparison at a
        level divided by the number of the others, so each cell's interval covers at least 95 % (Klein, Wright and
        Wieczorek, JRSS C 69, 2020, of which this is the pairwise form). The total interval takes counts as Poisson.
        """
        counts = sums.blocks[0].values
        others = max(counts.size - 1, 1)
        z = NormalDist().inv_cdf(1 - 0.025 / others)
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


def _possible(counts: Floats, above: Floats, below: Floats) -> tuple[Floats, Floats]:
    """Return the least and the greatest rank, given by how much a count must be larger or smaller to be surely so."""
    ordered = np.sort(counts)
    reached = np.searchsorted(ordered, counts + above, side="right").astype(np.float64)
    surely_below = np.searchsorted(ordered, counts - below, side="left").astype(np.float64)
    return 1.0 + counts.size - reached, counts.size - surely_below
