"""HAVING, ORDER BY and LIMIT: which rows are shown, judged on noised values, after the fact and at no cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from queries.answers.quantity import Floats
from queries.asked.view import DESCENDING, Comparison, Condition, Conjunction, Expression, Negation, View

Truth = NDArray[np.bool_]

Values = Callable[[Expression], Floats]
"""The noised value of an expression in every cell; of a key, the position of the cell among the key's."""


def select(view: View, values: Values, cells: int) -> NDArray[np.intp]:
    """Return the indices of the cells to show, in order.

    ``values`` gives arrays of shape (cells,).

    Guarantee: rows are judged on the noised values that it is given and on nothing else, so it costs nothing.
    Test: tests/queries/test_answer.py::test_rows_are_chosen_by_their_noised_values.
    """
    shown = np.arange(cells)
    if view.having is not None:
        shown = shown[_holds(view.having, values)[0]]
    columns: list[Floats] = []
    for order in view.order:
        column = values(order.by)[shown]
        undefined = np.isnan(column)
        column = np.where(undefined, 0.0, -column if order.direction == DESCENDING else column)
        columns += [undefined.astype(np.float64), column]
    if columns:
        # lexsort is stable and takes its most important key last.
        shown = shown[np.lexsort(columns[::-1])]
    return shown if view.limit is None else shown[: view.limit]


def _holds(condition: Condition, values: Values) -> tuple[Truth, Truth]:
    """Return where a condition is true and where it is false; elsewhere it is unknown, as in SQL."""
    if isinstance(condition, Comparison):
        return _compare(condition, values)
    if isinstance(condition, Negation):
        true, false = _holds(condition.term, values)
        return false, true
    parts = [_holds(term, values) for term in condition.terms]
    trues, falses = [true for true, _ in parts], [false for _, false in parts]
    if isinstance(condition, Conjunction):
        return np.logical_and.reduce(trues), np.logical_or.reduce(falses)
    return np.logical_or.reduce(trues), np.logical_and.reduce(falses)


def _compare(condition: Comparison, values: Values) -> tuple[Truth, Truth]:
    left, right = values(condition.left), values(condition.right)
    known = ~(np.isnan(left) | np.isnan(right))
    true: Truth = {
        "=": left == right,
        "<>": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[condition.operator]
    return true & known, ~true & known
