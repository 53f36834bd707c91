"""What a statistic is: the blocks that it needs, and how it is estimated from their noisy sums."""

from __future__ import annotations

from typing import Protocol

from queries.catalogue import Table
from queries.plan import Aggregate, Key
from queries.quantity import NoisyBlock, Quantity
from queries.tally import Block


class Statistic(Protocol):
    """One statistic. Its error bars come out of the quantity arithmetic, its cost out of its blocks."""

    def check(self, aggregate: Aggregate, table: Table) -> None:
        """Raise PlanError when the aggregate names no column, or one that this statistic cannot read."""

    def blocks(self, aggregate: Aggregate, keys: tuple[Key, ...], table: Table) -> tuple[Block, ...]:
        """Return the blocks that it is estimated from, in the order in which ``estimate`` takes them."""

    def estimate(self, aggregate: Aggregate, table: Table, blocks: tuple[NoisyBlock, ...]) -> Quantity:
        """Return the unbiased estimate in every cell of the plan."""
