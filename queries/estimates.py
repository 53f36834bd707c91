"""The estimates of a plan's aggregates, and arithmetic between them as a view asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from queries.catalogue import NumberColumn, Table
from queries.errors import PlanError
from queries.plan import Plan
from queries.quantity import Floats, NoisyBlock, Quantity
from queries.statistics import STATISTICS
from queries.tally import Tally, ValueSum
from queries.view import AggregateTerm, Arithmetic, Expression, KeyTerm, Number


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """One estimate for each aggregate, in every cell."""

    plan: Plan
    """Whose aggregates they are."""
    table: Table
    """Of the plan."""
    aggregates: tuple[Quantity, ...]
    """In the order of the plan; arrays of shape (cells,)."""

    def of(self, expression: Expression) -> Quantity:
        """Return the quantity that an expression without keys stands for."""
        if isinstance(expression, AggregateTerm):
            return self.aggregates[expression.aggregate]
        if isinstance(expression, Number):
            return Quantity.constant(float(expression.decimal), len(self.aggregates[0].value))
        if isinstance(expression, KeyTerm):
            raise PlanError("a group is not a number", remedy="calculate with aggregates only")
        left, right = self.of(expression.left), self.of(expression.right)
        if expression.operator == "+":
            return left + right
        if expression.operator == "-":
            return left - right
        return left * right if expression.operator == "*" else left / right

    def never_negative(self, expression: Expression) -> bool:
        """Return whether public facts alone say that the exact value is not below zero."""
        if isinstance(expression, AggregateTerm):
            aggregate = self.plan.aggregates[expression.aggregate]
            column = self.table.by_name.get(aggregate.column or "")
            summed = aggregate.statistic not in ("count", "patients")
            return not summed or (isinstance(column, NumberColumn) and column.low >= 0)
        if isinstance(expression, Number):
            return not expression.decimal.startswith("-")
        if isinstance(expression, Arithmetic) and expression.operator != "-":
            return self.never_negative(expression.left) and self.never_negative(expression.right)
        return False


def estimates(
    plan: Plan, layout: Tally, table: Table, blocks: Sequence[Floats], variances: Sequence[float]
) -> Estimates:
    """Estimate every aggregate from ``blocks``, each of shape (cells,) in its own units, with the noise's variances."""
    noisy = [
        NoisyBlock(index=index, values=values, variance=variance)
        for index, (values, variance) in enumerate(zip(blocks, variances, strict=True))
    ]
    found = tuple(
        STATISTICS[aggregate.statistic].estimate(aggregate, table, tuple(noisy[index] for index in needed))
        for aggregate, needed in zip(plan.aggregates, layout.of_aggregate, strict=True)
    )
    return Estimates(plan=plan, table=table, aggregates=found)


def unit_of(expression: Expression, plan: Plan, table: Table) -> str:
    """Return the unit of an expression; empty where it has none, or arithmetic has changed it."""
    if isinstance(expression, AggregateTerm):
        aggregate = plan.aggregates[expression.aggregate]
        if aggregate.statistic in ("count", "patients"):
            return "rows" if aggregate.statistic == "count" else "site-patients"
        column = table.by_name.get(aggregate.column or "")
        return column.unit if isinstance(column, NumberColumn) else ""
    if isinstance(expression, Arithmetic) and expression.operator in ("+", "-"):
        left, right = unit_of(expression.left, plan, table), unit_of(expression.right, plan, table)
        return left if left == right else ""
    return ""


def expected_sum(measure: object, table: Table, rows: float) -> float:
    """Return what a block's entry would be over ``rows`` rows with numbers at mid-range, in units of the block."""
    if isinstance(measure, ValueSum) and isinstance(column := table.column(measure.column), NumberColumn):
        return rows * ((column.low + column.high) // 2 - measure.centre)
    return rows
