"""PER_PATIENT(column): the sum of a number over the patients who have a row, such as the cost of a patient.

A statistic of one's own, whole: copy it to queries/statistics/, and name it in queries/statistics/__init__.py.
"""

from __future__ import annotations

from typing import ClassVar

from queries.agreed.catalogue import NumberColumn, Table
from queries.answers.quantity import Quantity
from queries.asked.plan import Aggregate
from queries.cost.setting import Setting
from queries.cost.tally import Block, PatientCount, ValueSum
from queries.errors import StatementError
from queries.statistics.interface import PLAIN, Argument, Function, Given, Reading, Statistic, Sums, no_cells


class PerPatient(Statistic):
    """Two blocks: site-patients, and the sum of values."""

    functions: ClassVar[tuple[Function, ...]] = (
        Function(
            name="PER_PATIENT",
            arguments=(Argument.COLUMN,),
            summary="the sum of a number for each patient who has a row",
            example="PER_PATIENT(cost)",
        ),
    )

    def made(self, function: Function, given: tuple[Given, ...], table: Table) -> tuple[Aggregate, Reading]:
        """Return what is measured and what is read: one number column, read plainly."""
        (column,) = given
        if not isinstance(column, NumberColumn):
            raise StatementError("PER_PATIENT takes a number column", remedy=f"write {function.example}")
        return Aggregate(statistic="per_patient", column=column.name), PLAIN

    def check(self, aggregate: Aggregate, setting: Setting) -> None:
        """Accept a number column and no cells: the aggregate may come from a stranger."""
        no_cells(aggregate)
        setting.number(aggregate.column, aggregate.statistic)

    def blocks(self, aggregate: Aggregate, setting: Setting) -> tuple[Block, ...]:
        """Return both blocks. Shape, sensitivity, noise and cost follow from them."""
        column = setting.number(aggregate.column, aggregate.statistic)
        reach = max(abs(column.low), abs(column.high), 1)
        return (
            Block(keys=setting.keys, measure=PatientCount(), where=aggregate.where),
            Block(
                keys=setting.keys,
                measure=ValueSum(column=column.name, centre=0, bound=reach),
                where=aggregate.where,
            ),
        )

    def read(self, aggregate: Aggregate, setting: Setting, reading: Reading, sums: Sums) -> Quantity:
        """Return the quotient; its interval (Fieller's) follows from the arithmetic."""
        column = setting.number(aggregate.column, aggregate.statistic)
        patients, total = (Quantity.of_block(block) for block in sums.blocks)
        return total.scaled(float(column.step)) / patients

    def unit(self, aggregate: Aggregate, setting: Setting, reading: Reading) -> str:
        """Return the column's unit."""
        return setting.number(aggregate.column, aggregate.statistic).unit
