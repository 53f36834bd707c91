"""The same questions from Python, without SQL.

    question(catalogue, sites).table("admission")
        .where(col("age") >= 65, col("died").is_in("Y"))
        .by("consciousness", band("age", 10), month("admitted"), site("country"))
        .measure(n=count(), rate=100 * count(where=col("died") == "Y") / count())
        .order_by("rate", descending=True).limit(10).build()

Every part remembers what was asked; ``build`` makes it, through the same ``Draft`` as SQL does, so the same question
has the same bytes. Refusals are StatementErrors without a place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from queries.agreed.catalogue import Catalogue
from queries.agreed.names import find
from queries.agreed.wording import (
    Group,
    Term,
    Where,
    band,
    col,
    day,
    group,
    level,
    month,
    month_of_year,
    period,
    quarter,
    site,
    week,
    weekday,
    year,
)
from queries.asked.measures import (
    Having,
    Measure,
    count,
    mean,
    median,
    output,
    patients,
    quantile,
    shown,
    statistic,
    total,
)
from queries.asked.plan import Every
from queries.asked.predicates import Sites
from queries.asked.question import Draft, Question
from queries.asked.view import ASCENDING, DESCENDING, Conjunction, Order
from queries.errors import StatementError

__all__ = [
    "Builder",
    "band",
    "col",
    "count",
    "day",
    "group",
    "level",
    "mean",
    "median",
    "month",
    "month_of_year",
    "output",
    "patients",
    "period",
    "quantile",
    "quarter",
    "question",
    "site",
    "statistic",
    "total",
    "week",
    "weekday",
    "year",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A question so far; every method returns a new one."""

    catalogue: Catalogue
    """The agreement."""
    sites: Sites
    """Certified hospitals with their public attributes."""
    name: str = ""
    """Of the table."""
    conditions: tuple[Where, ...] = ()
    """All must hold."""
    groups: tuple[Group, ...] = ()
    """In the order of the answer's columns."""
    measures: tuple[tuple[str, Measure], ...] = ()
    """In the order of the answer's columns, after the groups."""
    shown: tuple[Having, ...] = ()
    """All must hold of the rows that are shown."""
    criteria: tuple[tuple[str | Measure, bool], ...] = ()
    """Of the order, most important first, each with whether it descends."""
    most: int | None = None
    """Rows to show."""
    rolled: bool = False
    """Whether subtotals over the last groups are answered too."""

    def table(self, name: str) -> Builder:
        """Ask about a table."""
        return replace(self, name=name)

    def where(self, *conditions: Where) -> Builder:
        """Count only rows of which all conditions hold."""
        return replace(self, conditions=self.conditions + conditions)

    def by(self, *groups: str | Term | Group, **named: str | Term | Group) -> Builder:
        """Answer for each group; a keyword names the group's column of the answer."""
        more = (*(group(each) for each in groups), *(group(each).named(name) for name, each in named.items()))
        return replace(self, groups=self.groups + more)

    def subtotals(self) -> Builder:
        """Answer for each group, and for the totals over the last, the last two and so on; they add up."""
        return replace(self, rolled=True)

    def measure(self, **measures: Measure) -> Builder:
        """Answer with these numbers."""
        return replace(self, measures=self.measures + tuple(measures.items()))

    def having(self, *conditions: Having) -> Builder:
        """Show only rows of which all conditions hold; what is hidden is charged all the same."""
        return replace(self, shown=self.shown + conditions)

    def order_by(self, by: str | Measure, *, descending: bool = False) -> Builder:
        """Order rows by a column of the answer or a measure; call again for the next criterion."""
        return replace(self, criteria=(*self.criteria, (by, descending)))

    def limit(self, rows: int) -> Builder:
        """Show at most so many rows."""
        return replace(self, most=rows)

    def build(self, *, rows_per_patient: int | None = None, groups_per_patient: int | None = None) -> Question:
        """Return the question; raise StatementError when it is not one that Farr answers."""
        try:
            return self._build(rows_per_patient, groups_per_patient)
        except RecursionError as error:
            raise StatementError("nested too deeply", remedy="write the question more plainly") from error

    def _build(self, rows_per_patient: int | None, groups_per_patient: int | None) -> Question:
        known = (table.name for table in self.catalogue.tables)
        draft = Draft(self.catalogue, self.catalogue.table(find(self.name, known, "table")), self.sites)
        draft.where(Every(terms=tuple(condition.made(draft.rows) for condition in self.conditions)))
        for each in self.groups:
            draft.show(each.name, draft.group(each.made(draft)))
        draft.subtotals = self.rolled
        for name, measure in self.measures:
            draft.show(name, measure.made(draft))
        conditions = tuple(condition.made(draft) for condition in self.shown)
        draft.having = (
            (conditions[0] if len(conditions) == 1 else Conjunction(terms=conditions)) if conditions else None
        )
        for by, descending in self.criteria:
            found = shown(draft, by) if isinstance(by, str) else by.made(draft)
            draft.order.append(Order(by=found, direction=DESCENDING if descending else ASCENDING))
        if self.most is not None and self.most < 1:
            raise StatementError("no row would be shown", remedy="limit to at least 1")
        draft.limit = self.most
        return draft.finish(rows_per_patient=rows_per_patient, groups_per_patient=groups_per_patient)


def question(catalogue: Catalogue, sites: Sites) -> Builder:
    """Begin a question to a federation's certified hospitals."""
    return Builder(catalogue=catalogue, sites=sites)
