"""The view: what an analyst asked to see of a plan's numbers, applied at the client to noised values only.

Names, arithmetic between statistics, the order of rows and which of them to show cost no patient anything, so no node
reads a view. It travels with the question so that whoever opens the answer later sees the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from queries.errors import PlanError
from queries.plan import Plan

OPERATORS = ("+", "-", "*", "/")
"""Of arithmetic."""

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
"""Of conditions."""

ASCENDING, DESCENDING = "ascending", "descending"

MOST_DEPTH = 64
"""Deepest nesting of a view's expressions and conditions."""

MOST_DECIMALS = 30
"""Most digits after the point of a number."""


# --- numbers to show --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerm:
    """The cell's code by one of the plan's keys."""

    key: int
    """Index of the key in the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateTerm:
    """The estimate of one of the plan's aggregates."""

    aggregate: int
    """Index of the aggregate in the plan."""


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


Expression = KeyTerm | AggregateTerm | Number | Arithmetic


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


def check_view(view: View, plan: Plan) -> None:
    """Raise PlanError unless every part of the view exists and refers to something that the plan has.

    A view may come from another machine; one that passes is safe to apply.
    """
    if not view.columns:
        raise _wrong("shows no column")
    names = [column.name for column in view.columns]
    if len(set(names)) != len(names):
        raise _wrong("has two columns of the same name")
    # Names end up on people's terminals, where control characters would be obeyed.
    if not all(name.strip() and name.isprintable() for name in names):
        raise _wrong("has a column whose name cannot be printed")
    for column in view.columns:
        _check_expression(column.expression, plan, keys=True, depth=0)
    if view.having is not None:
        _check_condition(view.having, plan, depth=0)
    for order in view.order:
        _check_expression(order.by, plan, keys=True, depth=0)
        if order.direction not in (ASCENDING, DESCENDING):
            raise _wrong("has an unknown direction")
    if view.limit is not None and view.limit < 1:
        raise _wrong("shows no row")


def _check_expression(expression: Expression, plan: Plan, *, keys: bool, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise _wrong("is nested too deeply", "calculate with fewer operations")
    if isinstance(expression, KeyTerm):
        if not (keys and 0 <= expression.key < len(plan.keys)):
            raise _wrong("names a key out of place")
    elif isinstance(expression, AggregateTerm):
        if not 0 <= expression.aggregate < len(plan.aggregates):
            raise _wrong("names an aggregate that the plan has not")
    elif isinstance(expression, Number):
        _check_number(expression)
    else:
        if expression.operator not in OPERATORS:
            raise _wrong("has an unknown operator")
        _check_expression(expression.left, plan, keys=False, depth=depth + 1)
        _check_expression(expression.right, plan, keys=False, depth=depth + 1)


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


def _check_condition(condition: Condition, plan: Plan, *, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise _wrong("is nested too deeply", "calculate with fewer operations")
    if isinstance(condition, Comparison):
        if condition.operator not in COMPARISONS:
            raise _wrong("has an unknown comparison")
        _check_expression(condition.left, plan, keys=False, depth=depth + 1)
        _check_expression(condition.right, plan, keys=False, depth=depth + 1)
    else:
        terms = (condition.term,) if isinstance(condition, Negation) else condition.terms
        if not terms:
            raise _wrong("has a condition without terms")
        for term in terms:
            _check_condition(term, plan, depth=depth + 1)


def _wrong(what: str, remedy: str = "build it with this version of Farr") -> PlanError:
    return PlanError(f"the view {what}", remedy=remedy)
