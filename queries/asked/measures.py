"""Numbers as Python writes them: ``100 * count(where=...) / count()``, and conditions on them for ``having``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from queries.agreed.catalogue import NumberColumn
from queries.agreed.names import find
from queries.agreed.wording import Amount, Group, Term, Where, group, not_true_or_false
from queries.asked.plan import EVERYTHING, FlagKey
from queries.asked.predicates import number_of
from queries.asked.question import Draft, arithmetic
from queries.asked.view import Comparison, Condition, Conjunction, Disjunction, Expression, Negation, number
from queries.errors import StatementError
from queries.statistics import argument_at, function_of
from queries.statistics.interface import Argument, Given


class Measure:
    """A number in every cell: aggregates, and arithmetic between them; compare it to get a condition for ``having``."""

    __hash__ = None  # type: ignore[assignment]  # == makes a condition, so a measure is no key of a dict

    def __init__(self, made: Callable[[Draft], Expression]) -> None:
        """Take what makes it; use ``count``, ``patients``, ``total``, ``mean`` or ``output``."""
        self.made = made

    def _with(self, operator: str, other: Measure | Amount) -> Measure:
        return Measure(lambda draft: arithmetic(operator, self.made(draft), _measure(other).made(draft)))

    def __add__(self, other: Measure | Amount) -> Measure:
        """Add."""
        return self._with("+", other)

    def __sub__(self, other: Measure | Amount) -> Measure:
        """Subtract."""
        return self._with("-", other)

    def __mul__(self, other: Measure | Amount) -> Measure:
        """Multiply."""
        return self._with("*", other)

    def __truediv__(self, other: Measure | Amount) -> Measure:
        """Divide."""
        return self._with("/", other)

    def __radd__(self, other: Amount) -> Measure:
        """Add to a number."""
        return _measure(other) + self

    def __rsub__(self, other: Amount) -> Measure:
        """Subtract from a number."""
        return _measure(other) - self

    def __rmul__(self, other: Amount) -> Measure:
        """Multiply a number."""
        return _measure(other) * self

    def __rtruediv__(self, other: Amount) -> Measure:
        """Divide a number."""
        return _measure(other) / self

    def __neg__(self) -> Measure:
        """Turn the sign."""
        return _measure(-1) * self

    def _compared(self, operator: str, other: Measure | Amount) -> Having:
        return Having(
            lambda draft: Comparison(operator=operator, left=self.made(draft), right=_measure(other).made(draft))
        )

    def __eq__(self, other: Measure | Amount) -> Having:  # type: ignore[override]
        """Show rows where they are equal."""
        return self._compared("=", other)

    def __ne__(self, other: Measure | Amount) -> Having:  # type: ignore[override]
        """Show rows where they differ."""
        return self._compared("<>", other)

    def __lt__(self, other: Measure | Amount) -> Having:
        """Show rows where it is below."""
        return self._compared("<", other)

    def __le__(self, other: Measure | Amount) -> Having:
        """Show rows where it is at most this."""
        return self._compared("<=", other)

    def __gt__(self, other: Measure | Amount) -> Having:
        """Show rows where it is above."""
        return self._compared(">", other)

    def __ge__(self, other: Measure | Amount) -> Having:
        """Show rows where it is at least this."""
        return self._compared(">=", other)


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on the rows that are shown; combine with ``&``, ``|`` and ``~``."""

    made: Callable[[Draft], Condition]
    """Makes it for one question."""

    def __and__(self, other: Having) -> Having:
        """Both hold."""
        return Having(lambda draft: Conjunction(terms=(self.made(draft), other.made(draft))))

    def __or__(self, other: Having) -> Having:
        """At least one holds."""
        return Having(lambda draft: Disjunction(terms=(self.made(draft), other.made(draft))))

    def __invert__(self) -> Having:
        """It does not hold."""
        return Having(lambda draft: Negation(term=self.made(draft)))

    def __bool__(self) -> bool:
        """Raise StatementError: ``and``, ``or``, ``not`` and chained comparisons would lose half of the condition."""
        raise not_true_or_false()


def count(column: str | None = None, *, where: Where | None = None) -> Measure:
    """Return the number of rows, or of rows in which a column has a value."""
    return _aggregate("count", column, where)


def patients(*, where: Where | None = None) -> Measure:
    """Return the number of site-patients: a patient of two hospitals counts twice."""
    return _aggregate("patients", None, where)


def total(column: str, *, where: Where | None = None) -> Measure:
    """Return the sum of a number column."""
    return _aggregate("sum", column, where)


def mean(column: str, *, where: Where | None = None) -> Measure:
    """Return the mean of a number column over the rows that have a value."""
    return _aggregate("mean", column, where)


def median(column: str, *, where: Where | None = None) -> Measure:
    """Return the value that half of the rows do not exceed."""
    return statistic("median", column, where=where)


def quantile(column: str, *shares: Amount, where: Where | None = None) -> Measure:
    """Return the value that a share of the rows does not exceed; of several shares, a row for each."""
    return statistic("quantile", column, *shares, where=where)


def statistic(name: str, *given: Term | Group | Where | Amount | str, where: Where | None = None) -> Measure:
    """Return a statistic by the name of its function in SQL, in any case: ``statistic("quantile", "los", 0.9)``.

    A text names a column, or is a name where the function takes one; conditions and groups are written as elsewhere.
    """
    _, function = function_of(name)

    def made(draft: Draft) -> Expression:
        condition = EVERYTHING if where is None else where.made(draft.rows)
        arguments = tuple(_given(draft, argument_at(function, place), value) for place, value in enumerate(given))
        return draft.call(name, arguments, condition)

    return Measure(made)


def _given(draft: Draft, wanted: Argument | None, value: Term | Group | Where | Amount | str) -> Given:
    """Return an argument as the functions take it; ``Draft.call`` refuses what does not fit."""
    if isinstance(value, Where):
        return FlagKey(term=value.made(draft.rows))
    if isinstance(value, (Term, Group)):
        return group(value).made(draft)
    if not isinstance(value, str):
        return number_of(value)
    if wanted in (Argument.COLUMN, Argument.TIME, Argument.TERM):
        column = draft.rows.column(value)
        if isinstance(column, NumberColumn):
            return column
        if wanted is Argument.TERM:
            return group(value).made(draft)
        raise StatementError(f"{column.name} holds no numbers with public bounds", remedy="name a number column")
    return group(value).made(draft) if wanted is Argument.GROUP else value


def output(name: str) -> Measure:
    """Return a measure that was named before."""

    def made(draft: Draft) -> Expression:
        return shown(draft, name)

    return Measure(made)


def shown(draft: Draft, name: str) -> Expression:
    """Return what the column of the answer that was called ``name`` shows."""
    by_name = {column.name: column.expression for column in draft.columns}
    return by_name[find(name, by_name, "column of the answer called")]


def _aggregate(statistic: str, column: str | None, where: Where | None) -> Measure:
    def made(draft: Draft) -> Expression:
        condition = EVERYTHING if where is None else where.made(draft.rows)
        return draft.aggregate(statistic, column, condition)

    return Measure(made)


def _measure(value: Measure | Amount) -> Measure:
    return value if isinstance(value, Measure) else Measure(lambda _: number(number_of(value)))
