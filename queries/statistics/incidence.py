"""RATE and INCIDENCE: rows per 100,000 of public populations, crude or standardised by age.

One block of counts, by age band where the rate is standardised. Populations are public numbers that the analyst gives:
they are parameters of the reading, so no hospital needs to know them.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np

from queries.agreed.catalogue import NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats
from queries.answers.rates import Z, distances, gamma_ends, together
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, RowCount
from queries.errors import PlanError
from queries.statistics.interface import Argument, Function, Given, Reading, Statistic, Sums
from queries.statistics.standardised import check_strata, check_weights, reading_of, shares_of

PER = 100_000.0
"""People that rates are of."""


class Incidence(Statistic):
    """Counts over populations."""

    linear: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="RATE",
            arguments=(Argument.NUMBER,),
            summary="rows per 100,000 of a population; with groups, a population for each cell of the first of them",
            example="RATE(1200000)",
            repeats=True,
        ),
        Function(
            name="INCIDENCE",
            arguments=(Argument.GROUP, Argument.WEIGHTS, Argument.WEIGHTS),
            summary="rows per 100,000 of a population by age, standardised: weights or their name, then populations",
            example="INCIDENCE(BAND(age, 45, 65), 'who-2000', 600000, 400000, 200000)",
            repeats=True,
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return the counts, by stratum where there are strata, with weights and populations."""
        strata = given[:1] if function.name == "INCIDENCE" and not isinstance(given[0], (NumberColumn, str)) else ()
        return Aggregate(statistic="incidence", by=strata), reading_of("", list(given[len(strata) :]))  # type: ignore[arg-type]

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept strata of patients, or none."""
        if aggregate.column is not None or aggregate.columns or len(aggregate.by) > 1:
            raise PlanError("an incidence has strata at most", remedy=f"write {self.functions[1].example}")
        for strata in aggregate.by:
            check_strata(strata, setting)

    def check_reading(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> None:
        """Accept weights for the strata, and populations: one for each stratum, or for each in some leading groups."""
        strata = aggregate.by[0] if aggregate.by else None
        size = 1 if strata is None else setting.size(strata)
        weights = 0 if strata is None or reading.words else size
        people = reading.values[weights:]
        sizes = [setting.size(key) for key in setting.keys]
        fitting = {size * prod(sizes[:length]) for length in range(len(sizes) + 1)}
        if reading.name or len(people) not in fitting or (strata is None and reading.words):
            counts = " or ".join(f"{each:,}" for each in sorted(fitting))
            raise PlanError(
                f"{len(people):,} populations where {counts} are needed",
                remedy="give one for each group of ages, for each cell of the first groups of the answer in turn",
            )
        if not all(each > 0 for each in people):
            raise PlanError("populations are above 0", remedy="join groups in which nobody lives with others")
        if strata is not None:
            check_weights(reading, strata, setting, others=len(people))

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of rows, the one of COUNT(*) where there are no strata.

        Sensitivity, worst case: all of one patient's rows fall into one cell, which changes by their number.
        """
        return (Block(keys=(*setting.keys, *aggregate.by), measure=RowCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Finding:
        """Return rates per 100,000, unbiased, so possibly below zero.

        The noise-only interval is exact; the total one puts Fay and Feuer's and the noise together, which without noise
        is Fay and Feuer's own.
        """
        (block,) = sums.blocks
        strata = aggregate.by[0] if aggregate.by else None
        size = 1 if strata is None else setting.size(strata)
        share = np.ones(1) if strata is None else shares_of(reading, strata, setting)
        events = block.shaped(-1, size)
        taken = 0 if strata is None or reading.words else size
        people = _populations(np.array([float(each) for each in reading.values[taken:]]), size, setting)
        of_one = np.broadcast_to(PER * share / people, (len(people), size))
        of_one = np.repeat(of_one, len(events) // len(of_one), axis=0)
        rate = (of_one * events).sum(axis=1)
        half = Z * np.sqrt(block.variance * (of_one**2).sum(axis=1))
        spread = np.maximum((of_one**2 * events).sum(axis=1), 0.0)
        least = np.where(of_one > 0, of_one, np.inf).min(axis=1)
        sampling = distances(np.maximum(rate, 0.0), gamma_ends(rate, spread, of_one.max(axis=1), least))
        total = together(rate, (half, half), sampling)
        found = Finding(
            value=rate, low=rate - half, high=rate + half, total_low=total[0], total_high=total[1], exact=True
        )
        return found.within(0.0, np.inf)

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return what rates are of."""
        return "per 100,000"

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True


def _populations(people: Floats, size: int, setting: Setting) -> Floats:
    """Return the populations of the leading groups' cells, shape (cells of leading groups, strata).

    In a row of subtotals, the populations of the cells that it adds up over are added up too; where the group that it
    adds up over has none of its own, such as months beside regions, the population stays.
    """
    table = people.reshape(-1, size)
    cells = prod(setting.size(key) for key in setting.keys)
    if cells < len(table):
        summed: Floats = table.reshape(cells, -1, size).sum(axis=1)
        return summed
    return table
