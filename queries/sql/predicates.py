"""WHERE and FILTER: from the tree to a condition on rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from queries.asked.plan import EVERYTHING, Every, Not, Predicate, Some
from queries.asked.predicates import Subject, Value
from queries.errors import StatementError
from queries.sql.advice import COMPARING
from queries.sql.terms import DATE_PARTS, Scope, bare, subject, value

_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

_CONDITION = "compare a column with a value: = <> < <= > >= BETWEEN, IN, IS NULL, LIKE 'I63%'"


def predicate(node: Any, scope: Scope) -> Predicate:
    """Return the condition that a node writes; raise StatementError when it is not one."""
    node = bare(node)
    if isinstance(node, (exp.And, exp.Or)):
        terms = tuple(predicate(part, scope) for part in node.flatten())
        return Every(terms=terms) if isinstance(node, exp.And) else Some(terms=terms)
    if isinstance(node, exp.Boolean):
        return EVERYTHING if node.this else Some()
    reader = _READERS.get(type(node))
    if reader is None:
        raise scope.places.refusal(node, "a condition is expected", _CONDITION)
    return reader(node, scope)


def is_condition(node: Any) -> bool:
    """Return whether a node is written as a condition."""
    return type(bare(node)) in _READERS or isinstance(bare(node), (exp.And, exp.Or, exp.Boolean))


def _compare(node: Any, scope: Scope) -> Predicate:
    operator, left, right = COMPARING[type(node)], node.this, node.expression
    about = subject(left, scope)
    if about is None:
        # As in ``65 <= age``.
        about, operator, left, right = subject(right, scope), _FLIPPED[operator], right, left
    if about is None:
        raise _no_subject(node, scope)
    written = value(right, scope)
    if operator not in ("=", "<>"):
        with scope.places.at(node):
            scope.draft.rows.ordered(about, operator)
    with scope.places.at(right):
        return scope.draft.rows.compare(about, operator, written)


def _between(node: Any, scope: Scope) -> Predicate:
    about = _subject(node, scope)
    ends = [value(node.args[end], scope) for end in ("low", "high")]
    with scope.places.at(node):
        return scope.draft.rows.between(about, *ends)


def _in(node: Any, scope: Scope) -> Predicate:
    about = _subject(node, scope)
    values: list[Value] = []
    for part in node.expressions:
        values.append(value(part, scope))
        with scope.places.at(part):
            scope.draft.rows.among(about, (values[-1],))
    with scope.places.at(node):
        return scope.draft.rows.among(about, tuple(values))


def _is(node: Any, scope: Scope) -> Predicate:
    about = _subject(node, scope)
    if not isinstance(node.expression, exp.Null):
        place = scope.places.keyword("IS", after=scope.places.of(node.this)[1]) or scope.places.of(node)
        raise scope.places.refusal(place, "IS takes only NULL", "write IS NULL, IS NOT NULL, or = and a value")
    with scope.places.at(node):
        return scope.draft.rows.missing(about)


def _like(node: Any, scope: Scope) -> Predicate:
    about = _subject(node, scope)
    pattern = value(node.expression, scope)
    if not isinstance(pattern, str) or not pattern.endswith("%") or set(pattern[:-1]) & set("%_"):
        raise scope.places.refusal(
            node.expression, "LIKE matches only how a code begins", "write LIKE 'I63%', or = and the whole code"
        )
    with scope.places.at(node.expression):
        found = scope.draft.rows.begins(about, pattern[:-1])
    return Not(term=found) if node.args.get("negate") else found


def _not(node: Any, scope: Scope) -> Predicate:
    return Not(term=predicate(node.this, scope))


def _subject(node: Any, scope: Scope) -> Subject:
    about = subject(node.this, scope)
    if about is None:
        raise _no_subject(node.this, scope)
    return about


def _no_subject(node: Any, scope: Scope) -> StatementError:
    if node.find(exp.AggFunc):
        return scope.places.refusal(node, "aggregates are not known before rows are counted", "put it in HAVING")
    parts: tuple[Any, ...] = (node, node.this, node.args.get("expression"))
    for part in parts:
        if type(part) in DATE_PARTS or isinstance(part, (exp.DateTrunc, exp.Anonymous)):
            return scope.places.refusal(
                part,
                "a condition is about a column itself",
                "write a range of it, with BETWEEN or >= and <",
            )
    return scope.places.refusal(node, "a condition on a column is expected", _CONDITION)


_READERS: Mapping[type, Callable[[Any, Scope], Predicate]] = MappingProxyType(
    {
        **dict.fromkeys(COMPARING, _compare),
        exp.Between: _between,
        exp.In: _in,
        exp.Is: _is,
        exp.Like: _like,
        exp.Not: _not,
    }
)
