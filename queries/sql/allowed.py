"""The allow-list: which kinds of node, with which arguments, a statement may be made of.

The walk refuses every node and every argument that is not listed, so a construct that this package has never heard of
is refused rather than half understood (sqlglot 30 spells NOT LIKE as an argument of LIKE, earlier ones as a node).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from queries.errors import StatementError
from queries.sql.advice import COMPARING, FUNCTIONS, advice_on
from queries.sql.places import Places

KEY_FUNCTIONS = frozenset({"LEVEL", "BAND", "MONTH_OF_YEAR", "WEEKDAY"})
"""Farr's own functions, which the parser does not know by name."""

_TWO = frozenset({"this", "expression"})
_ONE = frozenset({"this"})

ALLOWED: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        exp.Select: frozenset({"expressions", "from_", "where", "group", "having", "order", "limit"}),
        exp.From: _ONE,
        exp.Table: frozenset({"this", "alias"}),
        exp.TableAlias: _ONE,
        exp.Identifier: frozenset({"this", "quoted"}),
        exp.Column: frozenset({"this", "table"}),
        exp.Alias: frozenset({"this", "alias"}),
        exp.Where: _ONE,
        exp.Group: frozenset({"expressions"}),
        exp.Having: _ONE,
        exp.Order: frozenset({"expressions"}),
        exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
        exp.Limit: frozenset({"expression"}),
        exp.Literal: frozenset({"this", "is_string"}),
        exp.Boolean: _ONE,
        exp.Null: frozenset(),
        exp.Star: frozenset(),
        exp.Paren: _ONE,
        exp.Neg: _ONE,
        exp.Not: _ONE,
        exp.And: _TWO,
        exp.Or: _TWO,
        **dict.fromkeys(COMPARING, _TWO),
        exp.Is: _TWO,
        exp.In: frozenset({"this", "expressions"}),
        exp.Between: frozenset({"this", "low", "high"}),
        exp.Like: frozenset({"this", "expression", "negate"}),
        exp.Add: _TWO,
        exp.Sub: _TWO,
        exp.Mul: _TWO,
        exp.Div: frozenset({"this", "expression", "typed", "safe"}),
        exp.Count: frozenset({"this", "big_int"}),
        exp.Sum: _ONE,
        exp.Avg: _ONE,
        exp.Distinct: frozenset({"expressions"}),
        exp.Filter: _TWO,
        exp.Anonymous: frozenset({"this", "expressions"}),
        exp.Year: _ONE,
        exp.Quarter: _ONE,
        exp.Month: _ONE,
        exp.Week: _ONE,
        exp.Day: _ONE,
        exp.DateTrunc: frozenset({"this", "unit"}),
        exp.Cast: frozenset({"this", "to"}),
        exp.DataType: frozenset({"this", "nested"}),
    }
)
"""Node type to the arguments that it may have."""

SHAPES: Mapping[tuple[type, str], type] = MappingProxyType(
    {
        (exp.From, "this"): exp.Table,
        (exp.Table, "this"): exp.Identifier,
        (exp.Table, "alias"): exp.TableAlias,
        (exp.TableAlias, "this"): exp.Identifier,
        (exp.Column, "this"): exp.Identifier,
        (exp.Column, "table"): exp.Identifier,
        (exp.Alias, "alias"): exp.Identifier,
        (exp.Filter, "expression"): exp.Where,
        (exp.Cast, "to"): exp.DataType,
    }
)
"""Arguments that hold one kind of node only: names, where the parser would take more."""


def check_allowed(tree: exp.Expression, places: Places) -> None:
    """Raise StatementError at the first node or argument that is not listed.

    Guarantee: what passes is made of listed nodes and arguments only, so nothing but the readers of this package gives
    it a meaning. Test: tests/queries/test_refusals.py::test_hostile_and_unsupported_statements_are_refused.
    """
    nodes: Iterable[Any] = tree.walk()
    for node in nodes:
        if type(node) not in ALLOWED or (isinstance(node, exp.Select) and node is not tree):
            raise _refused(node, type(node).__name__, places)
        _check_arguments(node, places)
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.AggFunc):
            raise _refused(node, "Star", places)
        if isinstance(node, exp.Anonymous) and node.name.upper() not in KEY_FUNCTIONS:
            raise _refused(node, "Anonymous", places)
        if isinstance(node, exp.Cast) and not _is_date_literal(node):
            raise _refused(node, "Cast", places)


def _check_arguments(node: Any, places: Places) -> None:
    listed, kind = ALLOWED[type(node)], type(node).__name__
    for name, value in node.args.items():
        if value is None or value is False or value == []:
            continue
        if name not in listed or not isinstance(value, SHAPES.get((type(node), name), object)):
            part = value[0] if isinstance(value, list) else value
            raise _refused(part if isinstance(part, exp.Expression) else node, f"{kind}.{name}", places)
    if "this" in listed and node.args.get("this") is None:
        raise _refused(node, f"{kind}.missing", places)


def _is_date_literal(node: exp.Cast) -> bool:
    written = node.this
    return isinstance(written, exp.Literal) and bool(written.is_string) and node.to.this == exp.DataType.Type.DATE


def _refused(node: exp.Expression, what: str, places: Places) -> StatementError:
    advice = advice_on(node, what)
    if isinstance(node, exp.Func) and "start" in node.meta and (what == "Anonymous" or type(node) not in ALLOWED):
        name = node.meta["start"], node.meta["end"] + 1
        written = places.statement[slice(*name)].upper()
        remedy = FUNCTIONS.get(written, advice.remedy if advice.known else FUNCTIONS[""])
        return places.refusal(name, f"{written} is not a function that Farr answers", remedy)
    if isinstance(node, exp.Func) and not advice.known:
        return places.refusal(places.call(node), advice.message, FUNCTIONS[""])
    before = places.keyword(advice.after) if advice.after else None
    place = places.keyword(*advice.words, after=before[1] if before else 0) or places.of(node)
    return places.refusal(place, advice.message, advice.remedy)
