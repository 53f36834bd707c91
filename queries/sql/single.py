"""One SELECT about one table, clause by clause, into a question."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from queries.agreed.catalogue import Catalogue, CodeColumn
from queries.agreed.names import find
from queries.asked.plan import Key
from queries.asked.predicates import Sites
from queries.asked.question import Draft, Question
from queries.asked.view import ASCENDING, DESCENDING, Expression, Order
from queries.errors import StatementError
from queries.sql.keys import key
from queries.sql.outputs import Names, condition, expression
from queries.sql.places import Places
from queries.sql.predicates import predicate
from queries.sql.terms import Scope, bare, whole_number


def question_of(tree: exp.Select, scope: Scope, *, rows: int | None, groups: int | None) -> Question:
    """Return what a SELECT asks of its table, with the bounds on one patient."""
    draft, places = scope.draft, scope.places
    if where := tree.args.get("where"):
        condition_on_rows = predicate(where.this, scope)
        with places.at(where.this):
            draft.where(condition_on_rows)
    _group_by(tree, scope)
    show(tree, scope, {}, choosing="having")
    if not draft.aggregates:
        place = places.of(tree.expressions[0])[0], places.of(tree.expressions[-1])[1]
        raise places.refusal(place, "nothing is counted or added up", "add COUNT(*), or another aggregate")
    return draft.finish(rows_per_patient=rows, groups_per_patient=groups)


def show(tree: exp.Select, scope: Scope, names: dict[str, Expression], *, choosing: str) -> None:
    """Read what is shown: the SELECT list, the order, the limit, and the clause that chooses rows.

    ``names`` are those that the SELECT list may use already; its aliases are added.
    """
    draft, places = scope.draft, scope.places
    for item in tree.expressions:
        shown = item.this if isinstance(item, exp.Alias) else item
        found = expression(shown, scope, names)
        alias = item.args["alias"] if isinstance(item, exp.Alias) else None
        name = str(alias.this) if alias is not None else _unnamed(shown, scope)
        with places.at(item if alias is None else alias):
            draft.show(name, found)
        names.setdefault(name, found)
    if chosen := tree.args.get(choosing):
        draft.having = condition(chosen.this, scope, names)
    if order := tree.args.get("order"):
        draft.order += [_order(item, scope, names) for item in order.expressions]
    if limit := tree.args.get("limit"):
        draft.limit = whole_number(limit.expression)
        if not draft.limit:
            raise places.refusal(limit.expression, "LIMIT takes a whole number above 0", "write LIMIT 10")


def scope_of(tree: exp.Select, places: Places, catalogue: Catalogue, sites: Sites) -> Scope:
    """Return what the names in a SELECT refer to; raise StatementError where it names no table."""
    source = tree.args.get("from_")
    if source is None:
        raise places.refusal(places.whole(), "no table is named", "add FROM and the name of a table")
    if not tree.expressions:
        raise places.refusal(places.whole(), "nothing is asked for", "write SELECT COUNT(*) FROM the table")
    named = source.this.this
    with places.at(named):
        table = catalogue.table(find(named.name, (each.name for each in catalogue.tables), "table"))
    alias = source.this.args.get("alias")
    if alias is not None and alias.name.casefold() == "site":
        raise places.refusal(alias, "site names the hospital", "give the table another alias")
    names = (table.name.casefold(),) if alias is None else (alias.name.casefold(),)
    return Scope(draft=Draft(catalogue, table, sites), places=places, names=names)


def _group_by(tree: exp.Select, scope: Scope) -> None:
    clause: Any = tree.args.get("group")
    items = clause.expressions if clause else []
    rolled = [item for item in items if isinstance(item, exp.Rollup)]
    if rolled:
        if len(items) > 1:
            raise scope.places.refusal(
                clause,
                "subtotals are of all groups in their order",
                "write GROUP BY ROLLUP (a, b) and nothing beside it",
            )
        scope.draft.subtotals = True
        items = rolled[0].expressions
    for item in items:
        found = _group(item, tree, scope)
        with scope.places.at(item):
            scope.draft.group(found)


def _group(item: exp.Expression, tree: exp.Select, scope: Scope) -> Key:
    meant = _meant(item, tree, scope)
    found = None if meant.find(exp.AggFunc) else key(meant, scope)
    if found is None:
        raise scope.places.refusal(
            item, "groups are columns, levels, bands, dates or hospitals", "GROUP BY what the answer has a row for"
        )
    return found


def _meant(item: exp.Expression, tree: exp.Select, scope: Scope) -> exp.Expression:
    """Return what a group stands for: an ordinal and an alias stand for a part of the SELECT list.

    As in SQL a column comes before an alias of the same name, unless the column cannot be grouped by.
    """
    item = bare(item)
    if isinstance(item, exp.Literal):
        shown = tree.expressions[_ordinal(item, len(tree.expressions), scope)]
        return bare(shown.this if isinstance(shown, exp.Alias) else shown)
    if not isinstance(item, exp.Column) or item.text("table"):
        return item
    try:
        if isinstance(scope.draft.rows.column(item.name), CodeColumn):
            return item
    except StatementError:
        pass
    for shown in tree.expressions:
        if isinstance(shown, exp.Alias) and shown.alias == item.name:
            return bare(shown.this)
    return item


def _order(item: exp.Expression, scope: Scope, names: Names) -> Order:
    by, columns = bare(item.this), scope.draft.columns
    if isinstance(by, exp.Literal):
        found = columns[_ordinal(by, len(columns), scope)].expression
    else:
        found = expression(by, scope, names)
    return Order(by=found, direction=DESCENDING if item.args.get("desc") else ASCENDING)


def _ordinal(item: exp.Expression, columns: int, scope: Scope) -> int:
    written = whole_number(item)
    if written is None or not 1 <= written <= columns:
        raise scope.places.refusal(item, "there is no such column", f"write a name, or a number from 1 to {columns}")
    return written - 1


def _unnamed(shown: exp.Expression, scope: Scope) -> str:
    """Return the name of a column that the statement gives none: a column's own, else the text itself."""
    shown = bare(shown)
    own = isinstance(shown, exp.Column) and (scope.sides or not shown.text("table"))
    return shown.name if own else scope.places.text(shown)
