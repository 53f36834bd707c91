"""The allow-list: which kinds of node, with which arguments, a statement may be made of.

The walk refuses every node and every argument that is not listed, so a construct that this package has never heard of
is refused rather than half understood (sqlglot 30 spells NOT LIKE as an argument of LIKE, earlier ones as a node).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from queries.errors import StatementError
from queries.sql.advice import COMPARING, FUNCTIONS, advice_on
from queries.sql.places import Places
from queries.statistics import FUNCTIONS as CALLS

KEY_FUNCTIONS = frozenset({"LEVEL", "BAND", "MONTH_OF_YEAR", "WEEKDAY"})
"""Farr's own functions of groups, which the parser does not know by name; those of statistics are ``CALLS``."""

DATE_FUNCTIONS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY")
"""Functions of groups that the parser knows by name."""

NEAR = 0.75
"""Likeness (of 1) from which a name counts as a misspelling: a letter left out of five, two exchanged of six."""

_TWO = frozenset({"this", "expression"})
_ONE = frozenset({"this"})

ALLOWED: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        exp.Select: frozenset({"expressions", "from_", "where", "group", "having", "order", "limit"}),
        exp.From: _ONE,
        exp.Join: frozenset({"this", "kind", "using"}),
        exp.Subquery: frozenset({"this", "alias"}),
        exp.Table: frozenset({"this", "alias"}),
        exp.TableAlias: _ONE,
        exp.Identifier: frozenset({"this", "quoted"}),
        exp.Column: frozenset({"this", "table"}),
        exp.Alias: frozenset({"this", "alias"}),
        exp.Where: _ONE,
        exp.Group: frozenset({"expressions"}),
        exp.Rollup: frozenset({"expressions"}),
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
        (exp.Join, "this"): exp.Subquery,
        (exp.Subquery, "this"): exp.Select,
        (exp.Subquery, "alias"): exp.TableAlias,
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


_INNER = exp.Select, exp.Subquery, exp.Join


def sides_of(tree: exp.Expression) -> tuple[exp.Expression, ...]:
    """Return the SELECTs in parentheses that a statement puts side by side; none where it asks about one table."""
    source, joins = tree.args.get("from_"), tree.args.get("joins") or []
    found = (source and source.this, *(join.this for join in joins))
    whole = joins and all(isinstance(each, exp.Subquery) and isinstance(each.this, exp.Select) for each in found)
    return found if whole else ()


def check_allowed(tree: exp.Expression, places: Places) -> None:
    """Raise StatementError at the first node or argument that is not listed.

    Guarantee: what passes is made of listed nodes and arguments only, so nothing but the readers of this package gives
    it a meaning; a SELECT inside another is one of several side by side, each about one table, and nowhere else.
    Test: tests/queries/test_refusals.py::test_hostile_and_unsupported_statements_are_refused.
    """
    sides = sides_of(tree)
    within = {id(each) for each in (tree, *sides, *(side.this for side in sides))}
    within |= {id(join) for join in tree.args.get("joins") or [] if sides}
    nodes: Iterable[Any] = tree.walk()
    for node in nodes:
        if type(node) not in ALLOWED or (isinstance(node, _INNER) and id(node) not in within):
            raise _refused(node, type(node).__name__, places)
        _check_arguments(node, places, within)
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.AggFunc):
            raise _refused(node, "Star", places)
        if isinstance(node, exp.Anonymous) and node.name.upper() not in (*KEY_FUNCTIONS, *CALLS):
            raise _refused(node, "Anonymous", places)
        if isinstance(node, exp.Cast) and not _is_date_literal(node):
            raise _refused(node, "Cast", places)
        if isinstance(node, exp.Join) and (node.text("kind") or "INNER") not in ("INNER", "CROSS"):
            raise _refused(node, "Join.side", places)


def _check_arguments(node: Any, places: Places, within: Collection[int]) -> None:
    listed, kind = ALLOWED[type(node)], type(node).__name__
    for name, value in node.args.items():
        if value is None or value is False or value == []:
            continue
        if id(value) in within or (name == "joins" and all(id(each) in within for each in value)):
            continue
        if name not in listed or not isinstance(value, SHAPES.get((type(node), name), object)):
            part = value[0] if isinstance(value, list) else value
            raise _refused(part if isinstance(part, exp.Expression) else node, f"{kind}.{name}", places)
    if "this" in listed and node.args.get("this") is None:
        raise _refused(node, f"{kind}.missing", places)


def _is_date_literal(node: exp.Cast) -> bool:
    written = node.this
    return isinstance(written, exp.Literal) and bool(written.is_string) and node.to.this == exp.DataType.Type.DATE


def _meant(written: str) -> str:
    """Return a remedy for a function that nobody foresaw: the one that it is a misspelling of, else all of them."""
    known = "COUNT", "SUM", "AVG", *CALLS, *DATE_FUNCTIONS, *KEY_FUNCTIONS
    near = get_close_matches(written, known, n=1, cutoff=NEAR)
    return f"did you mean {near[0]}?" if near and near[0] != written else FUNCTIONS[""]


def _refused(node: exp.Expression, what: str, places: Places) -> StatementError:
    advice = advice_on(node, what)
    if isinstance(node, exp.Func) and "start" in node.meta and (what == "Anonymous" or type(node) not in ALLOWED):
        name = node.meta["start"], node.meta["end"] + 1
        written = places.statement[slice(*name)].upper()
        remedy = FUNCTIONS.get(written, advice.remedy if advice.known else _meant(written))
        return places.refusal(name, f"{written} is not a function that Farr answers", remedy)
    if isinstance(node, exp.Func) and not advice.known:
        return places.refusal(places.call(node), advice.message, FUNCTIONS[""])
    if isinstance(node, (exp.Select, exp.Subquery)) and (place := places.last("SELECT", before=places.of(node)[0])):
        return places.refusal(place, advice.message, advice.remedy)
    before = places.keyword(advice.after) if advice.after else None
    place = places.keyword(*advice.words, after=before[1] if before else 0) or places.of(node)
    return places.refusal(place, advice.message, advice.remedy)
