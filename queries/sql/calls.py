"""Calls of statistics: from the tree to what the function is given."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from queries.agreed.catalogue import NumberColumn
from queries.asked.plan import FlagKey, Key
from queries.asked.predicates import Field
from queries.sql.keys import key
from queries.sql.predicates import is_condition, predicate
from queries.sql.terms import Scope, bare, field, subject, value
from queries.statistics import FUNCTIONS, argument_at, function_of
from queries.statistics.interface import Argument, Given


def is_call(node: exp.Expression) -> bool:
    """Return whether a node calls a statistic."""
    return isinstance(node, exp.Anonymous) and node.name.upper() in FUNCTIONS


def arguments(node: exp.Expression, scope: Scope) -> tuple[Given, ...]:
    """Return what a call gives; raise StatementError, pointing at the argument, where it is of the wrong kind."""
    _, function = function_of(node.name)
    given = []
    for place, part in enumerate(node.expressions):
        wanted = argument_at(function, place)
        if wanted is None:
            raise scope.places.refusal(part, f"{function.name} takes no more arguments", f"write {function.example}")
        given.append(_given(bare(part), wanted, scope, function.name, function.example))
    return tuple(given)


def _given(node: Any, wanted: Argument, scope: Scope, name: str, example: str) -> Given:
    if wanted in (Argument.NUMBER, Argument.WORD, Argument.WEIGHTS):
        found = value(node, scope)
        fits = wanted is Argument.WEIGHTS or isinstance(found, str) == (wanted is Argument.WORD)
        if fits and not hasattr(found, "year"):
            return found  # type: ignore[return-value]  # numbers are exact here, days were told apart
    elif wanted is Argument.CONDITION:
        return FlagKey(term=predicate(node, scope))
    elif wanted is Argument.TERM:
        return _number(node, scope) or _group(node, scope, name, example)
    elif wanted is Argument.GROUP or (wanted is Argument.TIME and isinstance(node, exp.Anonymous)):
        return _group(node, scope, name, example)
    else:
        column = scope.draft.rows.column(field(node, scope, name).name)
        if isinstance(column, NumberColumn):
            return column
        raise scope.places.refusal(
            node, f"{column.name} holds no numbers with public bounds", f"name a number column: {example}"
        )
    raise scope.places.refusal(node, f"{name} takes {wanted.value} here", f"write {example}")


def _number(node: Any, scope: Scope) -> NumberColumn | None:
    """Return the number column that a node names; None where it names anything else."""
    about = subject(node, scope)
    if not isinstance(about, Field) or about.level is not None:
        return None
    column = scope.draft.rows.column(about.name)
    return column if isinstance(column, NumberColumn) else None


def _group(node: Any, scope: Scope, name: str, example: str) -> Key:
    if is_condition(node):
        return FlagKey(term=predicate(node, scope))
    found = key(node, scope)
    if found is None:
        raise scope.places.refusal(node, f"{name} takes {Argument.GROUP.value} here", f"write {example}")
    return found
