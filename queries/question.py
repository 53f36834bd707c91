"""A question: a plan, the view of it, and the hospitals it is about; and the one way in which all of them are made.

SQL and Python both end here, so the same question gives the same bytes whichever way it was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from queries.canonical import MOST_BYTES, encode
from queries.catalogue import Catalogue, Table
from queries.check import check
from queries.domains import size
from queries.errors import PlanError, StatementError
from queries.keys import Cells
from queries.normal import normal, sites_left
from queries.plan import EVERYTHING, Aggregate, AttributeKey, Bound, Key, Plan, Predicate, SiteKey, most_rows
from queries.predicates import Rows, Sites
from queries.statistics import STATISTICS
from queries.tally import MOST_ENTRIES
from queries.view import (
    AggregateTerm,
    Arithmetic,
    Comparison,
    Condition,
    Conjunction,
    Disjunction,
    Expression,
    KeyTerm,
    Negation,
    Number,
    Order,
    Output,
    View,
    check_view,
    constant,
    number,
)

ENDS = ("_low", "_high")
"""What the ends of an estimate's interval are called after it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, of whom, and what to show."""

    plan: Plan
    """What the hospitals are asked."""
    view: View
    """What the analyst sees of the answer."""
    sites: tuple[str, ...]
    """Certified hospitals that the plan's rows can lie in, sorted. At least one."""


class Draft:
    """A question in the making: ``where`` first, then keys and aggregates, then what shows them, then ``finish``."""

    def __init__(self, catalogue: Catalogue, table: Table, sites: Sites) -> None:
        """Begin a question about ``table``; ``sites`` are the certified hospitals with their public attributes."""
        self.rows = Rows(catalogue=catalogue, table=table, sites=sites)
        self.catalogue = catalogue
        self.table = table
        self.condition: Predicate = EVERYTHING
        self.sites = tuple(sorted(sites))
        self.keys: list[Key] = []
        self.aggregates: list[Aggregate] = []
        self.columns: list[Output] = []
        self.having: Condition | None = None
        self.order: list[Order] = []
        self.limit: int | None = None

    @property
    def cells(self) -> Cells:
        """Return the maker of this question's keys."""
        return Cells(rows=self.rows, where=self.condition, sites=self.sites)

    def where(self, condition: Predicate) -> None:
        """Limit the rows; raise StatementError when no certified hospital can hold one."""
        self.condition = normal(condition, self.table)
        self.sites = sites_left(self.condition, self.rows.sites)
        if not self.sites:
            raise StatementError(
                "no certified hospital is left", remedy="widen the condition on site, or see `farr catalogue show`"
            )

    def group(self, key: Key) -> KeyTerm:
        """Group by a key; twice the same counts once. Raise StatementError when the cells become too many."""
        if key not in self.keys:
            self.keys.append(key)
            cells = prod(size(each, self.catalogue, self.table) for each in self.keys)
            if cells > MOST_ENTRIES:
                raise StatementError(
                    f"the answer would have {cells:,} rows, more than {MOST_ENTRIES:,}",
                    remedy="group by fewer columns, a coarser level or wider bands",
                )
        return KeyTerm(key=self.keys.index(key))

    def aggregate(self, statistic: str, column: str | None = None, where: Predicate = EVERYTHING) -> AggregateTerm:
        """Ask for a statistic of the rows that meet ``where``; twice the same counts once."""
        named = None if column is None else self.rows.column(column).name
        aggregate = Aggregate(statistic=statistic, column=named, where=normal(where, self.table))
        STATISTICS[statistic].check(aggregate, self.table)
        if aggregate not in self.aggregates:
            self.aggregates.append(aggregate)
        return AggregateTerm(aggregate=self.aggregates.index(aggregate))

    def show(self, name: str, expression: Expression) -> None:
        """Add a column to the answer; raise StatementError when its name is empty, unprintable or taken."""
        if not name.strip() or not name.isprintable():
            raise StatementError("a column needs a name that can be printed", remedy="write AS and a name")
        taken = {part for column in self.columns for part in names_of(column)}
        if clash := taken & set(names_of(Output(name=name, expression=expression))):
            raise StatementError(
                f"two columns would be called {min(clash)!r}",
                remedy=f"give one another name with AS ({ENDS[0]} and {ENDS[1]} name the ends of intervals)",
            )
        self.columns.append(Output(name=name, expression=expression))

    def finish(self, *, rows_per_patient: int | None = None, groups_per_patient: int | None = None) -> Question:
        """Return the question; raise StatementError when a bound is out of range or there is nothing to answer."""
        if not self.aggregates:
            raise StatementError("nothing is counted or added up", remedy="ask for COUNT(*), or another aggregate")
        if not self.columns:
            raise StatementError("no column is asked for", remedy="ask for COUNT(*), or another aggregate")
        # Two questions that need the same numbers get the same bytes, whatever order they name them in.
        ranked = sorted(self.aggregates, key=encode)
        place = [ranked.index(aggregate) for aggregate in self.aggregates]
        plan = Plan(
            catalogue=self.catalogue.digest,
            table=self.table.name,
            where=self.condition,
            keys=tuple(self.keys),
            aggregates=tuple(ranked),
            bound=self._bound(rows_per_patient, groups_per_patient),
        )
        view = View(
            columns=tuple(Output(name=each.name, expression=_moved(each.expression, place)) for each in self.columns),
            having=None if self.having is None else _moved_condition(self.having, place),
            order=tuple(replace(each, by=_moved(each.by, place)) for each in self.order),
            limit=self.limit,
        )
        if len(encode(plan)) > MOST_BYTES:
            raise StatementError("the question is too long to send", remedy="list fewer codes, or name a level of them")
        check(plan, self.catalogue)
        check_view(view, plan)
        return Question(plan=plan, view=view, sites=self.sites)

    def _bound(self, rows: int | None, groups: int | None) -> Bound:
        cap = most_rows(self.catalogue, self.table.name, self.condition)
        rows = _within("rows", rows, cap)
        groups = _within("groups", groups, rows)
        # A patient's rows at one hospital lie in no more cells than that hospital fills, so asking for more noise than
        # those need would buy nothing.
        fixed = (SiteKey, AttributeKey)
        own = prod(size(key, self.catalogue, self.table) for key in self.keys if not isinstance(key, fixed))
        return Bound(rows=rows, groups=min(groups, max(1, own)))


def arithmetic(operator: str, left: Expression, right: Expression) -> Expression:
    """Combine two expressions; numbers alone become one number. Raise StatementError for a division by zero."""
    if isinstance(left, KeyTerm) or isinstance(right, KeyTerm):
        raise StatementError("a group is not a number", remedy="show it by itself and calculate with aggregates")
    if operator == "/" and constant(right) == 0:
        raise StatementError("this divides by zero", remedy="divide by an aggregate, or by another number")
    combined = Arithmetic(operator=operator, left=left, right=right)
    value = constant(combined) if isinstance(left, Number) and isinstance(right, Number) else None
    try:
        return combined if value is None else number(value)
    except PlanError:
        return combined


def names_of(column: Output) -> tuple[str, ...]:
    """Return every name that a column takes in the answer."""
    if isinstance(column.expression, KeyTerm):
        return (column.name,)
    return (column.name, *(column.name + end for end in ENDS))


def _within(what: str, asked: int | None, cap: int) -> int:
    if asked is None:
        return cap
    if not 1 <= asked <= cap:
        raise StatementError(f"{asked} {what} of a patient: not between 1 and {cap}", remedy=f"ask for at most {cap}")
    return asked


def _moved(expression: Expression, place: list[int]) -> Expression:
    if isinstance(expression, AggregateTerm):
        return AggregateTerm(aggregate=place[expression.aggregate])
    if isinstance(expression, Arithmetic):
        left, right = _moved(expression.left, place), _moved(expression.right, place)
        return Arithmetic(operator=expression.operator, left=left, right=right)
    return expression


def _moved_condition(condition: Condition, place: list[int]) -> Condition:
    if isinstance(condition, Comparison):
        return replace(condition, left=_moved(condition.left, place), right=_moved(condition.right, place))
    if isinstance(condition, Negation):
        return Negation(term=_moved_condition(condition.term, place))
    terms = tuple(_moved_condition(term, place) for term in condition.terms)
    return Conjunction(terms=terms) if isinstance(condition, Conjunction) else Disjunction(terms=terms)
