"""GROUP BY: from the tree to the keys of cells."""

from __future__ import annotations

from sqlglot import exp

from queries.asked.plan import Key
from queries.sql.terms import DATE_PARTS, Scope, bare, field, number, subject, value


def key(node: exp.Expression, scope: Scope) -> Key | None:
    """Return the key that a node writes; None when it is no key. Raise StatementError when it is a wrong one."""
    node = bare(node)
    if isinstance(node, exp.Anonymous) and node.name.upper() == "BAND":
        return _bands(node, scope)
    if isinstance(node, exp.Anonymous) and node.name.upper() in ("MONTH_OF_YEAR", "WEEKDAY"):
        return _recurring(node, scope)
    if isinstance(node, exp.DateTrunc) or type(node) in DATE_PARTS:
        unit = node.text("unit") if isinstance(node, exp.DateTrunc) else DATE_PARTS[type(node)]
        if unit.lower() not in DATE_PARTS.values():
            raise scope.places.refusal(
                node, f"dates are not cut to {unit.lower()!r}", "write year, quarter, month, week or day"
            )
        named = field(node.this, scope, unit.upper())
        with scope.places.at(node):
            return scope.draft.cells.period(named.name, unit.lower())
    about = subject(node, scope)
    if about is None:
        return None
    with scope.places.at(node):
        return scope.draft.cells.of(about)


def _bands(node: exp.Expression, scope: Scope) -> Key:
    if len(node.expressions) < 2:  # noqa: PLR2004
        raise scope.places.refusal(
            node, "BAND takes a column and a width", "write BAND(age, 10), or where bands start: BAND(age, 18, 65)"
        )
    first, *rest = node.expressions
    named = field(first, scope, "BAND")
    for part in rest:
        if not isinstance(bare(part), (exp.Literal, exp.Neg)):
            raise scope.places.refusal(part, "bands are public numbers", "write numbers, such as BAND(age, 10)")
    values = [value(part, scope) for part in rest]
    for part in rest:
        if isinstance(bare(part), exp.Literal):
            number(bare(part), scope)
    with scope.places.at(node):
        if len(values) == 1:
            return scope.draft.cells.bands(named.name, width=values[0])
        return scope.draft.cells.bands(named.name, edges=tuple(values))


def _recurring(node: exp.Expression, scope: Scope) -> Key:
    name = node.name.upper()
    if len(node.expressions) != 1:
        raise scope.places.refusal(node, f"{name} takes one column", f"write {name}(column)")
    named = field(node.expressions[0], scope, name)
    with scope.places.at(node):
        return scope.draft.cells.period(named.name, name.lower())
