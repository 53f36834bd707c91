"""SELECT, HAVING and ORDER BY: from the tree to what is shown of the estimates."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from queries.agreed.names import find
from queries.asked.plan import EVERYTHING, Predicate
from queries.asked.question import arithmetic
from queries.asked.view import Comparison, Condition, Conjunction, Disjunction, Expression, KeyTerm, Negation
from queries.asked.view import number as exact
from queries.errors import StatementError
from queries.sql.advice import COMPARING
from queries.sql.calls import arguments, is_call
from queries.sql.keys import key
from queries.sql.predicates import predicate
from queries.sql.terms import Scope, bare, field, number

Names = Mapping[str, Expression]
"""What the aliases that a part of the statement may use stand for."""

NO_NAMES: Names = MappingProxyType({})

_ARITHMETIC: Mapping[type, str] = MappingProxyType({exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"})
_STATISTICS: Mapping[type, str] = MappingProxyType({exp.Count: "count", exp.Sum: "sum", exp.Avg: "mean"})
_LOGIC = "compare aggregates with numbers: HAVING COUNT(*) > 100 AND AVG(age) < 70"


def expression(node: exp.Expression, scope: Scope, names: Names = NO_NAMES) -> Expression:
    """Return the expression that a node writes; raise StatementError when it is none over groups and aggregates."""
    node = bare(node)
    if type(node) in _ARITHMETIC:
        left, right = expression(node.this, scope, names), expression(node.expression, scope, names)
        if isinstance(left, KeyTerm) or isinstance(right, KeyTerm):
            part = node.this if isinstance(left, KeyTerm) else node.expression
            raise scope.places.refusal(part, "a group is not a number", "calculate with aggregates only")
        with scope.places.at(node.expression):
            return arithmetic(_ARITHMETIC[type(node)], left, right)
    if isinstance(node, exp.Neg):
        with scope.places.at(node):
            return arithmetic("*", exact(Fraction(-1)), expression(node.this, scope, names))
    if isinstance(node, exp.Literal):
        return exact(number(node, scope))
    if scope.sides:
        return _of_side(node, scope, names)
    if isinstance(node, (exp.Filter, exp.Count, exp.Sum, exp.Avg)) or is_call(node):
        return _aggregate(node, scope)
    if isinstance(node, exp.Column) and not node.text("table") and node.name in names:
        return names[node.name]
    return _group(node, scope)


def condition(node: Any, scope: Scope, names: Names) -> Condition:
    """Return the condition on shown rows that a node writes; raise StatementError when it is none."""
    node = bare(node)
    if isinstance(node, (exp.And, exp.Or)):
        terms = tuple(condition(part, scope, names) for part in node.flatten())
        return Conjunction(terms=terms) if isinstance(node, exp.And) else Disjunction(terms=terms)
    if isinstance(node, exp.Not):
        return Negation(term=condition(node.this, scope, names))
    if isinstance(node, exp.Between):
        about, low, high = (_number(node.args[part], scope, names) for part in ("this", "low", "high"))
        return Conjunction(
            terms=(
                Comparison(operator=">=", left=about, right=low),
                Comparison(operator="<=", left=about, right=high),
            )
        )
    if type(node) in COMPARING:
        left, right = _number(node.this, scope, names), _number(node.expression, scope, names)
        return Comparison(operator=COMPARING[type(node)], left=left, right=right)
    raise scope.places.refusal(node, "a condition on aggregates is expected", _LOGIC)


def _number(node: exp.Expression, scope: Scope, names: Names) -> Expression:
    found = expression(node, scope, names)
    if isinstance(found, KeyTerm):
        if scope.sides:
            raise scope.places.refusal(node, "a group is not a number", "put conditions on rows into every side")
        raise scope.places.refusal(node, "HAVING is about aggregates", "put conditions on groups in WHERE")
    return found


def _aggregate(node: Any, scope: Scope) -> Expression:
    rows: Predicate = EVERYTHING
    call = node
    if isinstance(node, exp.Filter):
        call = bare(node.this)
        if type(call) not in _STATISTICS and not is_call(call):
            raise scope.places.refusal(node, "FILTER belongs to an aggregate", "write COUNT(*) FILTER (WHERE ...)")
        rows = predicate(node.expression.this, scope)
    if is_call(call):
        given = arguments(call, scope)
        with scope.places.at(call):
            return scope.draft.call(call.name, given, rows)
    statistic, reads = _STATISTICS[type(call)], bare(call.this)
    with scope.places.at(call):
        if isinstance(reads, exp.Star):
            if statistic != "count":
                raise StatementError(f"{statistic} needs a number", remedy="name a column of numbers")
            return scope.draft.aggregate("count", None, rows)
        if isinstance(reads, exp.Distinct):
            _check_patient(call, reads, scope)
            return scope.draft.aggregate("patients", None, rows)
    if not isinstance(reads, exp.Column):
        raise scope.places.refusal(
            reads, "an aggregate reads one column", "write COUNT(*), COUNT(column), SUM(column) or AVG(column)"
        )
    named = field(reads, scope, statistic.upper())
    with scope.places.at(call):
        return scope.draft.aggregate(statistic, named.name, rows)


def _check_patient(call: exp.Expression, reads: exp.Expression, scope: Scope) -> None:
    """Raise StatementError unless what is counted is the table's patient key."""
    patient = scope.draft.table.patient
    parts = [bare(part) for part in reads.expressions]
    one = parts[0] if len(parts) == 1 else None
    named = isinstance(one, exp.Column) and one.text("table").casefold() in ("", *scope.names)
    if not (isinstance(call, exp.Count) and named and one is not None and one.name.casefold() == patient.casefold()):
        raise scope.places.refusal(
            call,
            "only patients are counted without repeats",
            f"write COUNT(DISTINCT {patient}), or group by the column",
        )


def _of_side(node: exp.Expression, scope: Scope, names: Names) -> Expression:
    """Return what a column of questions side by side stands for, such as ``v.n``."""
    if not isinstance(node, exp.Column):
        raise scope.places.refusal(
            node, "outside the sides there is nothing to count", "count inside them, and calculate with v.n and d.n"
        )
    if node.text("table"):
        with scope.places.at(node):
            columns = scope.sides[find(node.text("table"), scope.sides, "question called")]
            return columns[find(node.name, columns, f"column of {node.text('table')} called")]
    if node.name in names:
        return names[node.name]
    holders = [side for side, columns in scope.sides.items() if node.name in columns]
    with scope.places.at(node):
        if len(holders) > 1:
            raise StatementError(f"{node.name} is a column of {' and of '.join(holders)}", remedy="write which")
        every = {name: found for columns in scope.sides.values() for name, found in columns.items()}
        return every[find(node.name, every, "column called")]


def _group(node: exp.Expression, scope: Scope) -> Expression:
    found = key(node, scope)
    if found is None:
        raise scope.places.refusal(
            node, "a group or an aggregate is expected", "name what GROUP BY names, a statistic, or arithmetic"
        )
    if found not in scope.draft.keys:
        raise scope.places.refusal(
            node, f"{scope.places.text(node)} is neither grouped by nor aggregated", "add it to GROUP BY"
        )
    return KeyTerm(key=scope.draft.keys.index(found))
