"""Several questions as one round: their parts laid end to end, and arithmetic between figures of several tables.

Parts that ask for the same cells of the same rows of a table become one, so what two indicators have in common is
measured and charged once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from queries.agreed.catalogue import Catalogue
from queries.agreed.names import find
from queries.asked.canonical import encode
from queries.asked.plan import Aggregate, Part, Plan
from queries.asked.question import Draft, Question, check_question, moved, moved_condition
from queries.asked.view import Arithmetic, AxisTerm, Expression, KeyTerm, Output, Pages, View, number
from queries.cost.setting import Setting
from queries.errors import StatementError


class Joint:
    """Questions side by side, whose figures are calculated with each other, cell by cell.

    Every side is a whole question about one table. The groups are the same on all sides: alike in name, order and
    cells. A hospital that lacks the table of any side is left out of all of them.
    """

    def __init__(self, sides: Mapping[str, Question], catalogue: Catalogue) -> None:
        """Take the sides by name; raise StatementError unless they fit each other."""
        if len(sides) < 2:  # noqa: PLR2004
            raise StatementError("one question has nothing beside it", remedy="name two questions or more")
        self.catalogue = catalogue
        self.sides = dict(sides)
        (first, one), *others = self.sides.items()
        self.groups = _groups(first, one)
        for name, other in self.sides.items():
            _check_whole(name, other)
        for name, other in others:
            _check_alike((first, one), (name, other), catalogue)
        # What is shown of the sides is collected by a draft; what it would count itself is refused in ``finish``.
        self.draft = Draft(catalogue, catalogue.table(one.part.table), {})

    def columns(self, side: str) -> Mapping[str, Expression]:
        """Return what the columns of a side show, by name, in terms of the whole."""
        asked = self.sides[find(side, self.sides, "question called")]
        place = list(self.sides.values()).index(asked)
        same = [range(len(asked.part.aggregates))]
        return {each.name: moved(each.expression, same, (place,)) for each in asked.view.columns}

    def figure(self, side: str, name: str) -> Expression:
        """Return what a column of a side shows; raise StatementError where there is none of that name."""
        columns = self.columns(side)
        return columns[find(name, columns, f"column of {side} called")]

    def finish(self) -> Question:
        """Return the whole with the columns, the order, the condition and the limit of ``draft``."""
        draft = self.draft
        if draft.aggregates:
            raise StatementError("nothing is counted outside the sides", remedy="count inside them, and name the count")
        if all(isinstance(column.expression, KeyTerm) for column in draft.columns):
            raise StatementError("no figure is shown", remedy="show a figure of a side, such as v.n / d.n")
        view = View(columns=tuple(draft.columns), having=draft.having, order=tuple(draft.order), limit=draft.limit)
        asked = tuple(self.sides.values())
        plan = Plan(catalogue=self.catalogue.digest, parts=_beside([each.part for each in asked]))
        return merged([Question(plan=plan, pages=Pages(views=(view,)), sites=asked[0].sites)], self.catalogue)


def _beside(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return parts that count only the hospitals which have the tables of all of them.

    Guarantee: a hospital without one of the tables is zeros in every part, so that no ratio has a top and a bottom of
    different hospitals. Test: tests/node/test_joint.py::test_a_hospital_without_one_of_the_tables_is_left_out_of_both.
    """
    tables = {part.table for part in parts}
    return tuple(replace(part, beside=tuple(sorted(tables - {part.table}))) for part in parts)


def _groups(name: str, question: Question) -> tuple[str, ...]:
    """Return the names of a side's groups, in the order of its cells."""
    shown = {each.expression.key: each.name for each in question.view.columns if isinstance(each.expression, KeyTerm)}
    if len(shown) < len(question.part.keys):
        raise StatementError(f"{name} does not show all of its groups", remedy="show each of them in it")
    return tuple(shown[key] for key in range(len(shown)))


def _check_whole(name: str, question: Question) -> None:
    view = question.view
    if view.having is not None or view.order or view.limit is not None:
        raise StatementError(f"rows of {name} are chosen or ordered", remedy="choose and order rows of the whole")
    if any(isinstance(each.expression, AxisTerm) for each in view.columns):
        raise StatementError(f"{name} has several figures in a cell", remedy="ask for it in a question of its own")


def _check_alike(one: tuple[str, Question], two: tuple[str, Question], catalogue: Catalogue) -> None:
    """Raise StatementError unless two sides have the same groups and are about the same hospitals."""
    (first, left), (second, right) = one, two
    names = _groups(first, left), _groups(second, right)
    if names[0] != names[1] or left.part.subtotals != right.part.subtotals:
        listed = " but ".join(
            f"{name} by {', '.join(each) or 'nothing'}" for name, each in zip((first, second), names, strict=True)
        )
        raise StatementError(f"grouped differently: {listed}", remedy="group all sides alike, in the same order")
    cells = []
    for part in (left.part, right.part):
        setting = Setting(catalogue=catalogue, table=catalogue.table(part.table), keys=part.keys)
        cells.append([tuple(code.code for code in setting.codes(key)) for key in part.keys])
    for name, here, there in zip(names[0], *cells, strict=True):
        if here != there:
            raise StatementError(
                f"{name} has other cells in {first} than in {second}",
                remedy="limit both to the same days, and group by the same level or bands",
            )
    if left.sites != right.sites:
        raise StatementError(
            f"{first} and {second} are about different hospitals", remedy="put the same condition on site in both"
        )


def quotient(
    top: Question, bottom: Question, *, name: str, factor: Fraction = Fraction(1), catalogue: Catalogue
) -> Question:
    """Return ``factor`` times the last figure of one question over the last figure of another, in the same groups.

    The tables may differ; a hospital that lacks either is left out of both. Raises StatementError where the groups
    differ or a question has several tables itself.
    """
    one, two = top.part, bottom.part
    if len(one.keys) != len(two.keys):
        raise StatementError("the two sides are grouped differently", remedy="group both sides alike")
    parts = _beside((one, two))
    shown = [column for column in top.view.columns if isinstance(column.expression, (KeyTerm, AxisTerm))]
    ends = [question.view.columns[-1].expression for question in (top, bottom)]
    if any(isinstance(end, (KeyTerm, AxisTerm)) for end in ends):
        raise StatementError("a side has no figure", remedy="put the figure last")
    places = [range(len(one.aggregates))], [range(len(two.aggregates))]
    left: Expression = moved(ends[0], places[0], (0,))
    if factor != 1:
        left = Arithmetic(operator="*", left=number(factor), right=left)
    figure = Arithmetic(operator="/", left=left, right=moved(ends[1], places[1], (1,)))
    view = View(columns=(*shown, Output(name=name, expression=figure)))
    plan = Plan(catalogue=catalogue.digest, parts=parts)
    sites = tuple(sorted(set(top.sites) & set(bottom.sites)))
    found = Question(plan=plan, pages=Pages(views=(view,)), sites=sites)
    return merged([found], catalogue)


def merged(questions: Sequence[Question], catalogue: Catalogue) -> Question:
    """Return one question that asks all of them in one round, each as a table of its own.

    Every question must be about the same hospitals; raises StatementError where they are not, or there is none.
    """
    if not questions:
        raise StatementError("there is nothing to ask", remedy="name at least one question")
    if len({question.sites for question in questions}) > 1:
        raise StatementError(
            "the questions are about different hospitals", remedy="ask about the same hospitals in all of them"
        )
    frames: list[Part] = []
    wanted: list[list[Aggregate]] = []
    for question in questions:
        for part in question.plan.parts:
            frame = replace(part, aggregates=())
            if frame not in frames:
                frames.append(frame)
                wanted.append([])
            into = wanted[frames.index(frame)]
            into += [aggregate for aggregate in part.aggregates if aggregate not in into]
    ranked = [sorted(aggregates, key=encode) for aggregates in wanted]
    parts = [replace(frame, aggregates=tuple(each)) for frame, each in zip(frames, ranked, strict=True)]
    order = sorted(range(len(parts)), key=lambda index: encode(parts[index]))
    views = [view for question in questions for view in _views(question, frames, ranked, order)]
    plan = Plan(catalogue=catalogue.digest, parts=tuple(parts[index] for index in order))
    whole = Question(plan=plan, pages=Pages(views=tuple(views)), sites=questions[0].sites)
    check_question(whole, catalogue)
    return whole


def _views(question: Question, frames: list[Part], ranked: list[list[Aggregate]], order: list[int]) -> list[View]:
    """Return a question's views with its parts and aggregates found again in the whole."""
    homes = [frames.index(replace(part, aggregates=())) for part in question.plan.parts]
    places = [
        [ranked[home].index(aggregate) for aggregate in part.aggregates]
        for part, home in zip(question.plan.parts, homes, strict=True)
    ]
    parts = [order.index(home) for home in homes]
    return [
        replace(
            view,
            part=parts[view.part],
            columns=tuple(replace(each, expression=moved(each.expression, places, parts)) for each in view.columns),
            having=None if view.having is None else moved_condition(view.having, places, parts),
            order=tuple(replace(each, by=moved(each.by, places, parts)) for each in view.order),
        )
        for view in question.pages.views
    ]
