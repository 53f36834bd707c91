"""The view: what an analyst asked to see of a plan's numbers, applied at the client to noised values only.

Names, arithmetic between statistics, the order of rows and which of them to show cost no patient anything, so no node
reads a view. It travels with the question so that whoever opens the answer later sees the same table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from queries.agreed.catalogue import Catalogue
from queries.asked.plan import Plan
from queries.asked.reading import MOST_NUMBERS, PLAIN, Reading
from queries.cost.setting import Setting
from queries.errors import PlanError

OPERATORS = ("+", "-", "*", "/")
"""Of arithmetic."""

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
"""Of conditions."""

ASCENDING, DESCENDING = "ascending", "descending"

MOST_DEPTH = 64
"""Deepest nesting of a view's expressions and conditions."""

MOST_DECIMALS = 30
"""Most digits after the point of a number."""

MOST_VIEWS = 256
"""Most tables of one answer: a pack of indicators has some forty."""


# --- numbers to show --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerm:
    """The cell's code by one of the keys of the view's part."""

    key: int
    """Index of the key in the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisTerm:
    """Which of the figures of a cell a row shows, such as the time of a curve; see ``Statistic.axis``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateTerm:
    """The estimate of one of the plan's aggregates."""

    aggregate: int
    """Index of the aggregate in its part."""
    part: int = 0
    """Index of the part in the plan."""
    reading: Reading = PLAIN
    """Which number is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that the analyst wrote, exactly."""

    decimal: str
    """In decimal digits without an exponent or trailing zeros, such as ``-2.5``; see ``number``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """Two numbers combined in every cell."""

    operator: str
    """One of ``OPERATORS``."""
    left: Expression
    """Before the sign."""
    right: Expression
    """After the sign."""


Expression = KeyTerm | AxisTerm | AggregateTerm | Number | Arithmetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One column of the answer."""

    name: str
    """The alias, in any script."""
    expression: Expression
    """What it shows; a key only by itself, never inside arithmetic."""


# --- which rows to show -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One noised number against another; unknown where either is undefined."""

    operator: str
    """One of ``COMPARISONS``."""
    left: Expression
    """Before the sign; holds no key."""
    right: Expression
    """After the sign; holds no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conjunction:
    """All terms hold."""

    terms: tuple[Condition, ...]
    """As written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disjunction:
    """At least one term holds."""

    terms: tuple[Condition, ...]
    """As written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Negation:
    """The term does not hold; an unknown stays unknown."""

    term: Condition
    """What is negated."""


Condition = Comparison | Conjunction | Disjunction | Negation


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One criterion of the order of rows. Undefined values come last either way; ties keep the order of the cells."""

    by: Expression
    """What is compared; a key compares by the order of its cells."""
    direction: str = ASCENDING
    """``ascending`` or ``descending``."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The table that was asked for."""

    columns: tuple[Output, ...]
    """In the order of the SELECT list. At least one."""
    having: Condition | None = None
    """Which rows to show, judged on noised values; None: all."""
    order: tuple[Order, ...] = ()
    """The first criterion that tells two rows apart decides; empty: the order of the cells."""
    limit: int | None = None
    """The most rows to show; None: all."""
    part: int = 0
    """The part of the plan whose cells are the rows; aggregates of other parts must have cells of the same names."""
    title: str = ""
    """What the table is called where there are several."""


@dataclass(frozen=True, kw_only=True)
class Pages:
    """All that was asked to be seen of one plan."""

    views: tuple[View, ...]
    """In order. At least one; with several, each has a title of its own."""


def check_pages(pages: Pages, plan: Plan, catalogue: Catalogue) -> None:
    """Raise PlanError unless every view refers only to what the plan has; they may come from another machine."""
    if not 1 <= len(pages.views) <= MOST_VIEWS:
        raise _wrong(f"is not one of 1 to {MOST_VIEWS}")
    titles = [view.title for view in pages.views]
    if len(titles) > 1 and (len(set(titles)) != len(titles) or not all(map(str.strip, titles))):
        raise _wrong("has no title of its own")
    for view in pages.views:
        check_view(view, plan, catalogue)


def number(value: Fraction) -> Number:
    """Write an exact number; raise PlanError for one that no decimal of ``MOST_DECIMALS`` digits is equal to."""
    decimals = 0
    while (value * 10**decimals).denominator != 1:
        decimals += 1
        if decimals > MOST_DECIMALS:
            raise PlanError(f"{value} is not a decimal number", remedy="write it as a quotient of two numbers")
    digits = str(abs(value.numerator) * 10**decimals // value.denominator).rjust(decimals + 1, "0")
    whole, part = (digits[:-decimals], "." + digits[-decimals:]) if decimals else (digits, "")
    return Number(decimal=f"{'-' if value < 0 else ''}{whole}{part}")


def constant(expression: Expression) -> Fraction | None:
    """Return the exact value of an expression that reads no estimate, or None where it does or is undefined."""
    if isinstance(expression, Number):
        return Fraction(expression.decimal)
    if not isinstance(expression, Arithmetic):
        return None
    left, right = constant(expression.left), constant(expression.right)
    if left is None or right is None or (expression.operator == "/" and right == 0):
        return None
    if expression.operator == "+":
        return left + right
    if expression.operator == "-":
        return left - right
    return left * right if expression.operator == "*" else left / right


def check_view(view: View, plan: Plan, catalogue: Catalogue) -> None:
    """Raise PlanError unless every part of the view exists and refers to something that the plan has.

    A view may come from another machine; one that passes is safe to apply.
    """
    if not view.columns:
        raise _wrong("shows no column")
    if not 0 <= view.part < len(plan.parts):
        raise _wrong("is of a part that the plan has not")
    names = [column.name for column in view.columns]
    if len(set(names)) != len(names):
        raise _wrong("has two columns of the same name")
    # Names end up on people's terminals, where control characters would be obeyed.
    if not all(name.strip() and name.isprintable() for name in names) or not (view.title + "x").isprintable():
        raise _wrong("has a column whose name cannot be printed")
    checker = _Checker(view=view, plan=plan, catalogue=catalogue)
    for column in view.columns:
        checker.expression(column.expression, keys=True, depth=0)
    if len(checker.axes) > 1:
        raise _wrong("has figures of different kinds in one cell", "ask for each in a question of its own")
    if view.having is not None:
        checker.condition(view.having, depth=0)
    for order in view.order:
        checker.expression(order.by, keys=True, depth=0)
        if order.direction not in (ASCENDING, DESCENDING):
            raise _wrong("has an unknown direction")
    if view.limit is not None and view.limit < 1:
        raise _wrong("shows no row")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    """Looks at one view's expressions."""

    view: View
    plan: Plan
    catalogue: Catalogue
    axes: set[tuple[str, ...]] = field(default_factory=set)
    """What the figures of one cell are called, for those statistics that have several."""

    def expression(self, expression: Expression, *, keys: bool, depth: int) -> None:
        """Refuse what the plan has not; ``keys``: whether a key may stand here."""
        if depth > MOST_DEPTH:
            raise _wrong("is nested too deeply", "calculate with fewer operations")
        if isinstance(expression, KeyTerm):
            if not (keys and 0 <= expression.key < len(self.plan.parts[self.view.part].keys)):
                raise _wrong("names a key out of place")
        elif isinstance(expression, AxisTerm):
            if not keys:
                raise _wrong("names an axis out of place")
        elif isinstance(expression, AggregateTerm):
            self._aggregate(expression)
        elif isinstance(expression, Number):
            _check_number(expression)
        else:
            if expression.operator not in OPERATORS:
                raise _wrong("has an unknown operator")
            self.expression(expression.left, keys=False, depth=depth + 1)
            self.expression(expression.right, keys=False, depth=depth + 1)
            self._arithmetic(expression)

    def _arithmetic(self, expression: Arithmetic) -> None:
        """Refuse to combine figures that stand alone with anything but public numbers."""
        left, right = self._alone(expression.left), self._alone(expression.right)
        number_left, number_right = constant(expression.left) is not None, constant(expression.right) is not None
        scaled = (left and number_right and expression.operator in "*/") or (
            right and number_left and expression.operator == "*"
        )
        if (left or right) and not scaled:
            raise _wrong(
                "has a statistic that cannot be calculated with",
                "show it by itself; only a number may multiply or divide it",
            )

    def _alone(self, expression: Expression) -> bool:
        """Return whether an expression holds a statistic whose error arithmetic cannot follow."""
        from queries.statistics import STATISTICS  # noqa: PLC0415  statistics name readings, which views hold

        if isinstance(expression, AggregateTerm):
            aggregate = self.plan.parts[expression.part].aggregates[expression.aggregate]
            return not STATISTICS[aggregate.statistic].linear
        if isinstance(expression, Arithmetic):
            return self._alone(expression.left) or self._alone(expression.right)
        return False

    def condition(self, condition: Condition, *, depth: int) -> None:
        """Refuse conditions on what the plan has not."""
        if depth > MOST_DEPTH:
            raise _wrong("is nested too deeply", "calculate with fewer operations")
        if isinstance(condition, Comparison):
            if condition.operator not in COMPARISONS:
                raise _wrong("has an unknown comparison")
            self.expression(condition.left, keys=False, depth=depth + 1)
            self.expression(condition.right, keys=False, depth=depth + 1)
        else:
            terms = (condition.term,) if isinstance(condition, Negation) else condition.terms
            if not terms:
                raise _wrong("has a condition without terms")
            for term in terms:
                self.condition(term, depth=depth + 1)

    def _aggregate(self, term: AggregateTerm) -> None:
        from queries.statistics import STATISTICS  # noqa: PLC0415  statistics name readings, which views hold

        if not 0 <= term.part < len(self.plan.parts):
            raise _wrong("names a part that the plan has not")
        part = self.plan.parts[term.part]
        if not 0 <= term.aggregate < len(part.aggregates):
            raise _wrong("names an aggregate that the plan has not")
        if term.part != self.view.part and self._cells(term.part) != self._cells(self.view.part):
            raise _wrong("combines tables whose groups differ", "group both by keys with the same cells")
        reading, aggregate = term.reading, part.aggregates[term.aggregate]
        if len(reading.numbers) > MOST_NUMBERS or len(reading.words) > MOST_NUMBERS:
            raise _wrong("has a reading with too many parameters")
        for written in reading.numbers:
            _check_number(Number(decimal=written))
        setting = Setting(catalogue=self.catalogue, table=self.catalogue.table(part.table), keys=part.keys)
        STATISTICS[aggregate.statistic].check_reading(aggregate, setting, reading)
        if axis := STATISTICS[aggregate.statistic].axis(aggregate, setting, reading):
            self.axes.add(tuple(code.code for code in axis))

    def _cells(self, number: int) -> tuple[object, ...]:
        part = self.plan.parts[number]
        setting = Setting(catalogue=self.catalogue, table=self.catalogue.table(part.table), keys=part.keys)
        return part.subtotals, *(tuple(code.code for code in setting.codes(key)) for key in part.keys)


def _check_number(written: Number) -> None:
    # Length before meaning: an exponent or a long run of digits would cost time before it was refused.
    if len(written.decimal) > 4 * MOST_DECIMALS or set(written.decimal) - set("-.0123456789"):
        raise _wrong("has a number that is not decimal digits")
    try:
        canonical = number(Fraction(written.decimal))
    except ValueError as error:
        raise _wrong("has a number that is not decimal digits") from error
    if canonical != written:
        raise _wrong("has a number that is not in its shortest form")


def _wrong(what: str, remedy: str = "build it with this version of Farr") -> PlanError:
    return PlanError(f"the view {what}", remedy=remedy)
