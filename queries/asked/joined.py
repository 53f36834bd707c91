"""Ratios across tables from Python: questions side by side, and arithmetic between their figures.

    visits = question(catalogue, sites).table("visit").by(month=month("dt")).measure(n=count()).build()
    stays = question(catalogue, sites).table("discharge").by(month=month("disch_dt")).measure(n=count()).build()
    both = joined(catalogue, v=visits, d=stays)
    both.measure(ratio=both.figure("v", "n") / both.figure("d", "n")).order_by("ratio").build()

The same as in SQL ``FROM (SELECT ...) AS v JOIN (SELECT ...) AS d USING (month)``, and the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from queries.agreed.catalogue import Catalogue
from queries.asked.combine import Joint
from queries.asked.measures import Having, Measure, shown
from queries.asked.question import Question
from queries.asked.view import ASCENDING, DESCENDING, Conjunction, KeyTerm, Order
from queries.errors import StatementError


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Questions side by side so far; every method returns a new one."""

    catalogue: Catalogue
    """The agreement."""
    sides: tuple[tuple[str, Question], ...]
    """By name, in order."""
    measures: tuple[tuple[str, Measure], ...] = ()
    """In the order of the answer's columns, after the groups."""
    chosen: tuple[Having, ...] = ()
    """All must hold of the rows that are shown."""
    criteria: tuple[tuple[str | Measure, bool], ...] = ()
    """Of the order, most important first, each with whether it descends."""
    most: int | None = None
    """Rows to show."""

    def figure(self, side: str, name: str) -> Measure:
        """Return a figure of a side, to calculate with."""
        found = Joint(dict(self.sides), self.catalogue).figure(side, name)
        if isinstance(found, KeyTerm):
            raise StatementError("a group is not a number", remedy="name a figure")
        return Measure(lambda _: found)

    def measure(self, **measures: Measure) -> Joined:
        """Answer with these numbers."""
        return replace(self, measures=self.measures + tuple(measures.items()))

    def having(self, *conditions: Having) -> Joined:
        """Show only rows of which all conditions hold; what is hidden is charged all the same."""
        return replace(self, chosen=self.chosen + conditions)

    def order_by(self, by: str | Measure, *, descending: bool = False) -> Joined:
        """Order rows by a column of the answer or a measure; call again for the next criterion."""
        return replace(self, criteria=(*self.criteria, (by, descending)))

    def limit(self, rows: int) -> Joined:
        """Show at most so many rows."""
        return replace(self, most=rows)

    def build(self) -> Question:
        """Return the question; raise StatementError when it is not one that Farr answers."""
        joint = Joint(dict(self.sides), self.catalogue)
        draft = joint.draft
        for key, name in enumerate(joint.groups):
            draft.show(name, KeyTerm(key=key))
        for name, measure in self.measures:
            draft.show(name, measure.made(draft))
        conditions = tuple(condition.made(draft) for condition in self.chosen)
        if conditions:
            draft.having = conditions[0] if len(conditions) == 1 else Conjunction(terms=conditions)
        for by, descending in self.criteria:
            found = shown(draft, by) if isinstance(by, str) else by.made(draft)
            draft.order.append(Order(by=found, direction=DESCENDING if descending else ASCENDING))
        if self.most is not None and self.most < 1:
            raise StatementError("no row would be shown", remedy="limit to at least 1")
        draft.limit = self.most
        return joint.finish()


def joined(catalogue: Catalogue, **sides: Question) -> Joined:
    """Put questions side by side; raise StatementError unless their groups and hospitals are the same."""
    Joint(sides, catalogue)
    return Joined(catalogue=catalogue, sides=tuple(sides.items()))
