"""COUNT(DISTINCT patient): patients with a row in the cell, counted at each hospital.

A patient of two hospitals counts twice in a sum over hospitals; labels and results say "site-patients" for that reason.
"""

from __future__ import annotations

from queries.catalogue import Table
from queries.errors import PlanError
from queries.plan import Aggregate, Key
from queries.quantity import NoisyBlock, Quantity
from queries.tally import Block, PatientCount


class Patients:
    """One block: each patient adds 1 to every cell with a row of the patient."""

    def check(self, aggregate: Aggregate, table: Table) -> None:
        """Accept no column: what is counted is the table's patient key."""
        if aggregate.column is not None:
            raise PlanError("distinct values of a column are not counted", remedy=f"count DISTINCT {table.patient}")

    def blocks(self, aggregate: Aggregate, keys: tuple[Key, ...], table: Table) -> tuple[Block, ...]:
        """Return the block of patients."""
        return (Block(keys=keys, measure=PatientCount(), where=aggregate.where),)

    def estimate(self, aggregate: Aggregate, table: Table, blocks: tuple[NoisyBlock, ...]) -> Quantity:
        """Return the noisy number of site-patients: unbiased, so possibly negative."""
        return Quantity.of_block(blocks[0])
