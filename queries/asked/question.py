"""A question: a plan, the view of it, and the hospitals it is about; and the one way in which all of them are made.

SQL and Python both end here, so the same question gives the same bytes whichever way it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from queries.agreed.catalogue import Catalogue, Table
from queries.agreed.domains import size
from queries.answers.normal import normal, sites_left
from queries.asked.canonical import MOST_BYTES, encode
from queries.asked.check import check
from queries.asked.keys import Cells
from queries.asked.plan import (
    EVERYTHING,
    Aggregate,
    AttributeKey,
    Bound,
    Every,
    FlagKey,
    Key,
    Part,
    Plan,
    Predicate,
    SiteKey,
    most_rows,
)
from queries.asked.predicates import Rows, Sites
from queries.asked.reading import PLAIN, Reading
from queries.asked.view import (
    AggregateTerm,
    Arithmetic,
    AxisTerm,
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
    Pages,
    View,
    check_pages,
    constant,
    number,
)
from queries.cost.setting import Setting
from queries.cost.tally import MOST_ENTRIES
from queries.errors import PlanError, StatementError
from queries.statistics import STATISTICS, check_given, function_of
from queries.statistics.interface import Given

ENDS = ("_low", "_high", "_total_low", "_total_high")
"""What the ends of an estimate's interval are called after it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, of whom, and what to show."""

    plan: Plan
    """What the hospitals are asked."""
    pages: Pages
    """What the analyst sees of the answer."""
    sites: tuple[str, ...]
    """Certified hospitals that the plan's rows can lie in, sorted. At least one."""

    @property
    def part(self) -> Part:
        """Return what is asked of one table; raise PlanError where the question has several parts."""
        if len(self.plan.parts) != 1:
            raise PlanError("this question has several parts", remedy="look at each of them")
        return self.plan.parts[0]

    @property
    def view(self) -> View:
        """Return the one table of the answer; raise PlanError where there are several."""
        if len(self.pages.views) != 1:
            raise PlanError("this question has several tables", remedy="look at each of them")
        return self.pages.views[0]


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
        self.subtotals = False

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
        return self._asked(Aggregate(statistic=statistic, column=named), PLAIN, where)

    def call(self, name: str, given: tuple[Given, ...], where: Predicate = EVERYTHING) -> AggregateTerm:
        """Ask for a statistic by one of its functions, with ``given`` as ``function_of(name)`` says."""
        statistic, function = function_of(name)
        check_given(function, given)
        aggregate, reading = STATISTICS[statistic].made(function, given, self.table)
        return self._asked(aggregate, reading, where)

    def _asked(self, aggregate: Aggregate, reading: Reading, where: Predicate) -> AggregateTerm:
        by = tuple(
            FlagKey(term=normal(key.term, self.table)) if isinstance(key, FlagKey) else key for key in aggregate.by
        )
        condition = normal(Every(terms=(aggregate.where, where)), self.table)
        aggregate = replace(aggregate, by=by, where=condition)
        setting = Setting(catalogue=self.catalogue, table=self.table, keys=tuple(self.keys))
        STATISTICS[aggregate.statistic].check(aggregate, setting)
        STATISTICS[aggregate.statistic].check_reading(aggregate, setting, reading)
        if aggregate not in self.aggregates:
            self.aggregates.append(aggregate)
        return AggregateTerm(aggregate=self.aggregates.index(aggregate), reading=reading)

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
        places = [[ranked.index(aggregate) for aggregate in self.aggregates]]
        part = Part(
            table=self.table.name,
            where=self.condition,
            keys=tuple(self.keys),
            aggregates=tuple(ranked),
            bound=self._bound(ranked, rows_per_patient, groups_per_patient),
            subtotals=self.subtotals,
        )
        plan = Plan(catalogue=self.catalogue.digest, parts=(part,))
        view = View(
            columns=tuple(
                Output(name=each.name, expression=moved(each.expression, places, (0,))) for each in self._with_axis()
            ),
            having=None if self.having is None else moved_condition(self.having, places, (0,)),
            order=tuple(replace(each, by=moved(each.by, places, (0,))) for each in self.order),
            limit=self.limit,
        )
        question = Question(plan=plan, pages=Pages(views=(view,)), sites=self.sites)
        check_question(question, self.catalogue)
        return question

    def _with_axis(self) -> list[Output]:
        """Return the columns; where a statistic gives several figures a cell, with the column that names them."""
        setting = Setting(catalogue=self.catalogue, table=self.table, keys=tuple(self.keys))
        for position, column in enumerate(self.columns):
            for term in aggregates_in(column.expression):
                aggregate = self.aggregates[term.aggregate]
                statistic = STATISTICS[aggregate.statistic]
                if statistic.axis(aggregate, setting, term.reading):
                    taken = {part for each in self.columns for part in names_of(each)}
                    name = statistic.axis_name
                    while name in taken:
                        name += "_"
                    return [
                        *self.columns[:position],
                        Output(name=name, expression=AxisTerm()),
                        *self.columns[position:],
                    ]
        return self.columns

    def _bound(self, aggregates: list[Aggregate], rows: int | None, groups: int | None) -> Bound:
        cap = most_rows(self.catalogue, self.table.name, self.condition)
        rows = _within("rows", rows, cap)
        if self.subtotals:
            if groups is not None:
                raise StatementError("subtotals allow no bound on groups", remedy="leave the bound on groups out")
            return Bound(rows=rows, groups=rows)
        groups = _within("groups", groups, rows)
        # A patient's rows at one hospital lie in no more cells than that hospital fills, so asking for more noise than
        # those need would buy nothing.
        setting = Setting(catalogue=self.catalogue, table=self.table, keys=tuple(self.keys))
        blocks = [block for each in aggregates for block in STATISTICS[each.statistic].blocks(each, setting)]
        if groups < rows and any(block.keys != setting.keys for block in blocks):
            # Each block would keep other rows of a patient, and figures that are read from several would be skewed.
            raise StatementError(
                "a statistic here has cells of its own, in which a patient's groups are not bounded",
                remedy="bound the rows of a patient instead, or ask for counts, sums and means only",
            )
        return Bound(rows=rows, groups=min(groups, max(self._own(block.keys) for block in blocks)))

    def _own(self, keys: tuple[Key, ...]) -> int:
        fixed = (SiteKey, AttributeKey)
        return max(1, prod(size(key, self.catalogue, self.table) for key in keys if not isinstance(key, fixed)))


def check_question(question: Question, catalogue: Catalogue) -> None:
    """Raise QueryError unless a finished question is one that hospitals would accept."""
    if len(encode(question.plan)) > MOST_BYTES:
        raise StatementError("the question is too long to send", remedy="list fewer codes, or name a level of them")
    check(question.plan, catalogue)
    check_pages(question.pages, question.plan, catalogue)


def arithmetic(operator: str, left: Expression, right: Expression) -> Expression:
    """Combine two expressions; numbers alone become one number. Raise StatementError for a division by zero."""
    if isinstance(left, (KeyTerm, AxisTerm)) or isinstance(right, (KeyTerm, AxisTerm)):
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
    if isinstance(column.expression, (KeyTerm, AxisTerm)):
        return (column.name,)
    return (column.name, *(column.name + end for end in ENDS))


def _within(what: str, asked: int | None, cap: int) -> int:
    if asked is None:
        return cap
    if not 1 <= asked <= cap:
        raise StatementError(f"{asked} {what} of a patient: not between 1 and {cap}", remedy=f"ask for at most {cap}")
    return asked


def aggregates_in(expression: Expression) -> tuple[AggregateTerm, ...]:
    """Return the aggregates that an expression reads."""
    if isinstance(expression, AggregateTerm):
        return (expression,)
    if isinstance(expression, Arithmetic):
        return (*aggregates_in(expression.left), *aggregates_in(expression.right))
    return ()


Places = Sequence[Sequence[int]]
"""By part, the new place of each aggregate."""


def moved(expression: Expression, places: Places, parts: Sequence[int]) -> Expression:
    """Return an expression with its aggregates renumbered, and its parts moved to ``parts``."""
    if isinstance(expression, AggregateTerm):
        return replace(expression, aggregate=places[expression.part][expression.aggregate], part=parts[expression.part])
    if isinstance(expression, Arithmetic):
        left, right = moved(expression.left, places, parts), moved(expression.right, places, parts)
        return Arithmetic(operator=expression.operator, left=left, right=right)
    return expression


def moved_condition(condition: Condition, places: Places, parts: Sequence[int]) -> Condition:
    """Return a condition with its aggregates renumbered, and its parts moved to ``parts``."""
    if isinstance(condition, Comparison):
        left, right = moved(condition.left, places, parts), moved(condition.right, places, parts)
        return replace(condition, left=left, right=right)
    if isinstance(condition, Negation):
        return Negation(term=moved_condition(condition.term, places, parts))
    terms = tuple(moved_condition(term, places, parts) for term in condition.terms)
    return Conjunction(terms=terms) if isinstance(condition, Conjunction) else Disjunction(terms=terms)
