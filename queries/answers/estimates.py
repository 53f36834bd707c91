"""The estimates of a plan's aggregates, and arithmetic between them as a view asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from queries.agreed.catalogue import Catalogue, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import Floats, NoisyBlock, Quantity
from queries.answers.reconcile import reconcile
from queries.asked.plan import Aggregate, Every
from queries.asked.view import AggregateTerm, Arithmetic, AxisTerm, Expression, KeyTerm, Number
from queries.cost.setting import Setting
from queries.cost.tally import PatientCount, ProductSum, StepSum, Tally, UpdateSum, ValueSum, groupings
from queries.errors import PlanError
from queries.statistics import STATISTICS
from queries.statistics.interface import Sums
from queries.statistics.share import binomial


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """What can be read from the noisy sums of a tally, in one of the groupings of its parts."""

    tally: Tally
    """The shape of the sums."""
    catalogue: Catalogue
    """The agreement."""
    blocks: tuple[NoisyBlock, ...]
    """The noisy sums, with subtotals made consistent."""
    seed: bytes
    """For simulated intervals."""
    adding_up: frozenset[int]
    """The blocks whose sums add up over the groupings of their part."""
    grouping: int = -1
    """Which grouping of each part with subtotals is read; the last has all keys."""

    def setting(self, part: int) -> Setting:
        """Return where a part's aggregates are asked."""
        asked = self.tally.plan.parts[part]
        grouping = self.grouping if asked.subtotals else -1
        table = self.catalogue.table(asked.table)
        return Setting(catalogue=self.catalogue, table=table, keys=groupings(asked)[grouping])

    def of(self, expression: Expression) -> Quantity | Finding:
        """Return what an expression without keys stands for; raise PlanError where arithmetic makes no sense."""
        if isinstance(expression, AggregateTerm):
            return self._read(expression)
        if isinstance(expression, Number):
            return Quantity.constant(float(expression.decimal), 1)
        if isinstance(expression, (KeyTerm, AxisTerm)):
            raise PlanError("a group is not a number", remedy="calculate with aggregates only")
        left, right = self.of(expression.left), self.of(expression.right)
        if isinstance(left, Finding) or isinstance(right, Finding):
            return _scaled(expression.operator, left, right)
        if expression.operator == "+":
            return left + right
        if expression.operator == "-":
            return left - right
        if expression.operator == "*":
            return left * right
        share = self._is_share(expression.left, expression.right)
        return _share(left, right) if share else left / right

    def linear(self, expression: Expression) -> bool:
        """Return whether the error of an expression does not depend on the sums: known before anything is asked."""
        if isinstance(expression, AggregateTerm):
            if not STATISTICS[self._aggregate(expression).statistic].linear:
                return False
            found = self._read(expression)
            return isinstance(found, Quantity) and found.linear
        if isinstance(expression, Arithmetic):
            found = self.of(expression)
            return isinstance(found, Quantity) and found.linear
        return True

    def never_negative(self, expression: Expression) -> bool:
        """Return whether public facts alone say that the exact value is not below zero."""
        if isinstance(expression, AggregateTerm):
            aggregate = self._aggregate(expression)
            return STATISTICS[aggregate.statistic].never_negative(
                aggregate, self.setting(expression.part), expression.reading
            )
        if isinstance(expression, Number):
            return not expression.decimal.startswith("-")
        if isinstance(expression, Arithmetic) and expression.operator != "-":
            return self.never_negative(expression.left) and self.never_negative(expression.right)
        return False

    def adds_up(self, term: AggregateTerm) -> bool:
        """Return whether all that the figure is read from adds up over the groupings of its part."""
        return self.adding_up.issuperset(self._needed(term))

    def unit_of(self, expression: Expression) -> str:
        """Return the unit of an expression; empty where it has none, or arithmetic has changed it."""
        if isinstance(expression, AggregateTerm):
            aggregate = self._aggregate(expression)
            return STATISTICS[aggregate.statistic].unit(aggregate, self.setting(expression.part), expression.reading)
        if isinstance(expression, Arithmetic) and expression.operator in ("+", "-"):
            left, right = self.unit_of(expression.left), self.unit_of(expression.right)
            return left if left == right else ""
        return ""

    def _aggregate(self, term: AggregateTerm) -> Aggregate:
        return self.tally.plan.parts[term.part].aggregates[term.aggregate]

    def _needed(self, term: AggregateTerm) -> tuple[int, ...]:
        grouping = self.grouping if self.tally.plan.parts[term.part].subtotals else -1
        return self.tally.of_aggregate[term.part][grouping][term.aggregate]

    def _read(self, term: AggregateTerm) -> Quantity | Finding:
        aggregate = self._aggregate(term)
        sums = Sums(blocks=tuple(self.blocks[index] for index in self._needed(term)), seed=self.seed)
        return STATISTICS[aggregate.statistic].read(aggregate, self.setting(term.part), term.reading, sums)

    def _is_share(self, top: Expression, bottom: Expression) -> bool:
        """Return whether every row that the top counts is one of those that the bottom counts."""
        while isinstance(top, Arithmetic) and top.operator == "*":
            top = top.right if isinstance(top.left, Number) else top.left if isinstance(top.right, Number) else bottom
        if not isinstance(top, AggregateTerm) or not isinstance(bottom, AggregateTerm) or top.part != bottom.part:
            return False
        one, all_ = self._aggregate(top), self._aggregate(bottom)
        if one.statistic != all_.statistic or not STATISTICS[one.statistic].counts:
            return False
        wider = _terms(all_) <= _terms(one)
        return wider and all_.column in (None, one.column) and all_ != one


def _terms(aggregate: Aggregate) -> set[object]:
    where = aggregate.where
    return set(where.terms) if isinstance(where, Every) else {where}


def _share(top: Quantity, bottom: Quantity) -> Quantity:
    """Divide a count by the count that it is a part of, times a public number; sampling: as of SHARE."""
    # A count is read from one block, and by how much it was multiplied is the slope by that block.
    (factor,) = top.slopes.values()
    with np.errstate(divide="ignore", invalid="ignore"):
        sampling = factor**2 * binomial(top.value / factor, bottom.value)
    return replace(top / bottom, sampling=sampling)


def _scaled(operator: str, left: Quantity | Finding, right: Quantity | Finding) -> Finding:
    """Multiply or divide a finding by a public number; raise PlanError for any other arithmetic."""
    remedy = "show it by itself; only a number may multiply or divide it"
    if operator == "*" and isinstance(left, Quantity):
        left, right = right, left
    if isinstance(left, Finding) and isinstance(right, Quantity) and not right.slopes and operator in "*/":
        factor = float(right.value[0])
        if operator == "/" and factor == 0:
            raise PlanError("this divides by zero", remedy="divide by another number")
        return left.scaled(factor if operator == "*" else 1 / factor)
    raise PlanError("this statistic cannot be calculated with", remedy=remedy)


def estimates(
    layout: Tally, catalogue: Catalogue, blocks: Sequence[Floats], variances: Sequence[float]
) -> Mapping[int, Estimates]:
    """Return by grouping, -1 for all keys, what can be read from ``blocks``, each flat and in its own units.

    Sums of parts with subtotals are made consistent over the groupings first.
    """
    values, errors = list(blocks), list(variances)
    families = _families(layout, catalogue)
    for family in families:
        # Cells of a block's own go first, so that the last axis is always the key that a level adds.
        shaped = [np.moveaxis(values[member.block].reshape((*member.around, member.own)), -1, 0) for member in family]
        found, spread = reconcile(shaped, [errors[member.block] for member in family])
        for member, array, variance in zip(family, found, spread, strict=True):
            values[member.block], errors[member.block] = np.moveaxis(array, 0, -1).reshape(-1), variance
    noisy = tuple(
        NoisyBlock(index=index, values=array, variance=variance)
        for index, (array, variance) in enumerate(zip(values, errors, strict=True))
    )
    seed = hashlib.sha256(b"".join(array.tobytes() for array in blocks)).digest()
    adding_up = frozenset(member.block for family in families for member in family)
    whole = Estimates(tally=layout, catalogue=catalogue, blocks=noisy, seed=seed, adding_up=adding_up)
    longest = max((len(part.keys) for part in layout.plan.parts if part.subtotals), default=0)
    return {-1: whole, **{-1 - level: replace(whole, grouping=-1 - level) for level in range(1, longest + 1)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One block among those that are the same sums at each grouping of a part."""

    block: int
    """Its place in the tally."""
    around: tuple[int, ...]
    """Sizes of the keys of its grouping."""
    own: int
    """Cells of its own inside each of those."""


def _families(layout: Tally, catalogue: Catalogue) -> list[list[_Member]]:
    """Return the blocks that are the same sums at each grouping of a part, fewest keys first.

    Patients do not add up: one with rows in two cells is one patient in their total.
    """
    families: dict[tuple[int, ...], list[_Member]] = {}
    for number, part in enumerate(layout.plan.parts):
        if not part.subtotals:
            continue
        setting = Setting(catalogue=catalogue, table=catalogue.table(part.table), keys=part.keys)
        sizes = tuple(setting.size(key) for key in part.keys)
        for by_grouping in zip(*layout.of_aggregate[number], strict=True):
            for indices in zip(*by_grouping, strict=True):
                if isinstance(layout.blocks[indices[0]].measure, PatientCount):
                    continue
                families[indices] = [
                    _Member(block=index, around=sizes[:level], own=layout.sizes[index] // prod(sizes[:level]))
                    for level, index in enumerate(indices)
                ]
    return list(families.values())


def expected_blocks(layout: Tally, catalogue: Catalogue, rows: float) -> tuple[Floats, ...]:
    """Return what the blocks would hold, in their own units, with ``rows`` rows in each cell of each part.

    Rows are spread evenly over an aggregate's own cells, numbers lie evenly between their bounds, and every FILTER
    holds of every row.
    """
    found = []
    for block, entries in zip(layout.blocks, layout.sizes, strict=True):
        part = layout.plan.parts[block.part]
        table = catalogue.table(part.table)
        setting = Setting(catalogue=catalogue, table=table, keys=part.keys)
        around = min(entries, prod(setting.size(key) for key in part.keys if key in block.keys))
        found.append(np.full(entries, expected_sum(block.measure, table, rows * around / entries)))
    return tuple(found)


def expected_sum(measure: object, table: Table, rows: float) -> float:
    """Return what a block's entry would be over ``rows`` rows with evenly spread numbers, in units of the block."""
    if isinstance(measure, ValueSum) and isinstance(column := table.column(measure.column), NumberColumn):
        return rows * ((column.low + column.high) // 2 - measure.centre)
    if isinstance(measure, ProductSum):
        # The mean square of what is spread evenly over [-B, B] is a third of B squared; of two columns, nothing.
        return rows * measure.bound / 3 if measure.left == measure.right else 0.0
    # Nobody can say beforehand what a model's sums come to.
    return 0.0 if isinstance(measure, (StepSum, UpdateSum)) else rows
