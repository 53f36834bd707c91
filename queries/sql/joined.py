"""SELECTs side by side: ``FROM (SELECT ...) AS v JOIN (SELECT ...) AS d USING (month)``, for ratios across tables.

No row of one table meets a row of another: every side is a question by itself, and what is joined are cells of noisy
figures. So the sides have the same groups, and the join only says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from queries.agreed.catalogue import Catalogue
from queries.asked.combine import Joint
from queries.asked.question import Question
from queries.asked.view import Expression
from queries.sql.allowed import sides_of
from queries.sql.places import Places
from queries.sql.single import show
from queries.sql.terms import Scope

MOST_SIDES = 16
"""Most questions side by side in one statement."""

_OUTSIDE = {"having": "WHERE", "order": "ORDER BY", "limit": "LIMIT"}


def joined(tree: exp.Select, places: Places, catalogue: Catalogue, ask: Callable[[exp.Select], Question]) -> Question:
    """Read SELECTs side by side; ``ask`` reads one of them. Raises StatementError, pointing at the text."""
    named = sides_of(tree)
    for clause in ("group", "having"):
        if found := tree.args.get(clause):
            raise places.refusal(found, "what stands side by side is grouped already", "group inside every side")
    if len(named) > MOST_SIDES:
        raise places.refusal(places.whole(), f"more than {MOST_SIDES} questions side by side", "ask for fewer")
    sides: dict[str, Question] = {}
    for source in named:
        name = _name(source, places)
        if name.casefold() in map(str.casefold, sides):
            raise places.refusal(source, f"two sides are called {name}", "give each a name of its own")
        sides[name] = _asked(source.this, places, ask)
    with places.at(places.whole()):
        joint = Joint(sides, catalogue)
    _check_joins(tree, joint.groups, places)
    columns = {side: joint.columns(side) for side in sides}
    # A group is one and the same on all sides, so the first side's stands for it under any name.
    first = columns[next(iter(sides))]
    shared = {side: {**each, **{group: first[group] for group in joint.groups}} for side, each in columns.items()}
    names: dict[str, Expression] = {group: first[group] for group in joint.groups}
    show(tree, Scope(draft=joint.draft, places=places, names=(), sides=shared), names, choosing="where")
    with places.at(places.whole()):
        return joint.finish()


def _name(source: exp.Expression, places: Places) -> str:
    alias = source.args.get("alias")
    if alias is None or not alias.name:
        raise places.refusal(source, "a side has no name", "write (SELECT ...) AS v")
    return str(alias.name)


def _asked(select: exp.Select, places: Places, ask: Callable[[exp.Select], Question]) -> Question:
    for clause, outside in _OUTSIDE.items():
        if found := select.args.get(clause):
            raise places.refusal(found, "rows of one side are not chosen or ordered", f"write {outside} at the end")
    for item in select.expressions:
        # As everywhere in SQL, ``site.country`` is called ``country`` from outside.
        if isinstance(item, exp.Column) and item.text("table"):
            item.replace(exp.alias_(item.copy(), item.name, quoted=True))
    return ask(select)


def _check_joins(tree: exp.Select, groups: tuple[str, ...], places: Places) -> None:
    """Raise StatementError unless every join is by all groups, and by nothing else."""
    joins: list[Any] = tree.args["joins"]
    for join in joins:
        using = join.args.get("using") or []
        if [each.name for each in using] == list(dict.fromkeys(each.name for each in using)) and {
            each.name for each in using
        } == set(groups):
            continue
        if not groups:
            remedy = "write (SELECT ...) AS v, (SELECT ...) AS d"
            raise places.refusal(using[0], "sides without groups are joined by nothing", remedy)
        remedy = f"write JOIN ... USING ({', '.join(groups)})"
        raise places.refusal(using[0] if using else join, "sides are joined by all of their groups", remedy)
