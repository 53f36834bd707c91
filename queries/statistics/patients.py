"""COUNT(DISTINCT patient): patients with a row in the cell, counted at each hospital.

A patient of two hospitals counts twice in a sum over hospitals; labels and results say "site-patients" for that reason.
"""

from __future__ import annotations

from typing import ClassVar

from queries.answers.quantity import Quantity
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, PatientCount
from queries.errors import PlanError
from queries.statistics.interface import Reading, Statistic, Sums, no_cells


class Patients(Statistic):
    """One block: each patient adds 1 to every cell with a row of the patient."""

    counts: ClassVar[bool] = True

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept no column: what is counted is the table's patient key."""
        no_cells(aggregate)
        if aggregate.column is not None:
            remedy = f"count DISTINCT {setting.table.patient}"
            raise PlanError("distinct values of a column are not counted", remedy=remedy)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return the block of patients."""
        return (Block(keys=setting.keys, measure=PatientCount(), where=aggregate.where),)

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity:
        """Return the noisy number of site-patients: unbiased, so possibly negative."""
        return Quantity.of_block(sums.blocks[0])

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return what is counted."""
        return "site-patients"

    def never_negative(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> bool:
        """Return True."""
        return True
