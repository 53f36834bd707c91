"""Indicators as questions: a pack, a period, a region and groupings become one question that is asked in one round.

Each indicator is written out as a statement and read by the reader of all statements, so it can ask nothing that an
analyst could not, and every error of a statement is one here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from farr.errors import FarrError
from farr.questions.periods import Period
from farr.texts import _, language
from queries.agreed.catalogue import Catalogue, CodeColumn
from queries.agreed.names import offer
from queries.agreed.pack import FIGURE, ROWS, Indicator, Pack, Side
from queries.agreed.places import place_of, residence_of
from queries.asked.combine import merged, quotient
from queries.asked.plan import Plan, most_rows
from queries.asked.predicates import Sites
from queries.asked.question import Question
from queries.asked.view import number
from queries.cost.tally import FULL, tally
from queries.errors import StatementError
from queries.sql import read

MOST_REASON = 200
"""Most characters of a request's reason, see ``protocols.request``."""

MOST_PART_WEIGHT = 1000
"""Greatest weight of a part, see ``queries.asked.check``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a run of a pack is about."""

    period: Period
    """The days."""
    region: tuple[str, ...] = ()
    """Where hospitals are: codes of the catalogue's list of regions; empty: everywhere."""
    residence: tuple[str, ...] = ()
    """Where patients live, likewise."""
    by: tuple[str, ...] = ()
    """Groupings, by name or as the pack writes them, such as ``site.level``."""
    public: Mapping[str, Fraction] = field(default_factory=dict)
    """Public numbers, by name."""

    @property
    def written(self) -> str:
        """Return it as hospitals see it in the reason of the request."""
        parts = [self.period.written]
        parts += [f"region {','.join(self.region)}"] if self.region else []
        parts += [f"residence {','.join(self.residence)}"] if self.residence else []
        parts += [f"by {','.join(self.by)}"] if self.by else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An indicator that was not asked."""

    indicator: Indicator
    """Which."""
    why: str
    """For people."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A pack about to be asked: what the statements of its indicators are made from."""

    pack: Pack
    """Which pack."""
    scope: Scope
    """About what."""
    catalogue: Catalogue
    """In whose terms; raises FarrError where the pack is about another."""
    sites: Sites
    """Certified hospitals with their public facts."""

    def __post_init__(self) -> None:
        """Refuse a pack of another catalogue."""
        if self.pack.catalogue != self.catalogue.name:
            raise FarrError(
                "pack",
                _("the pack {pack} is about the catalogue {wanted}, not {held}").format(
                    pack=self.pack.name, wanted=self.pack.catalogue, held=self.catalogue.name
                ),
                remedy=_("take the pack that was made for this federation"),
            )

    def question(self, indicator: Indicator) -> Question:
        """Return the question of one indicator, its table titled with the indicator's name.

        Raises FarrError("indicator") where this run has not what the indicator needs, and QueryError for a statement
        that the catalogue has no answer to.
        """
        missing = [name for name in indicator.public if name not in self.scope.public]
        if missing:
            raise _cannot(
                indicator,
                _("it needs the public number {names}").format(names=", ".join(missing)),
                remedy=_("give it: --public {name}=NUMBER").format(name=missing[0]),
            )
        first, *second = [self._asked(indicator, side) for side in indicator.sides]
        if second:
            first = quotient(first, second[0], name=FIGURE, factor=indicator.factor, catalogue=self.catalogue)
        view = replace(first.pages.views[0], title=indicator.name)
        return replace(first, pages=replace(first.pages, views=(view,)))

    def statement(self, indicator: Indicator, side: Side) -> str:
        """Return what one side of an indicator asks, in Farr's SQL."""
        keys = [
            (name, self.pack.groupings[name].expression.replace("{date}", side.dated_by))
            for name in self.groupings(indicator)
        ]
        figure, base = side.figure, ""
        for name, value in {**self.scope.public, "days": Fraction(self.scope.period.days)}.items():
            figure = figure.replace(f"{{{name}}}", number(value).decimal)
        if indicator.base not in ("", FIGURE) and indicator.bottom is None:
            base = f", {indicator.base} AS {ROWS}"
        shown = "".join(f'{expression} AS "{name}", ' for name, expression in keys)
        period = f"{side.dated_by} BETWEEN '{self.scope.period.first}' AND '{self.scope.period.last}'"
        terms = [period, *([f"({side.where})"] if side.where else []), *self._places(indicator, side)]
        asked = f"SELECT {shown}{figure} AS {FIGURE}{base} FROM {side.table} WHERE {' AND '.join(terms)}"  # noqa: S608  read by queries.sql, run by nobody
        return asked + (f" GROUP BY {', '.join(expression for _name, expression in keys)}" if keys else "")

    def groupings(self, indicator: Indicator) -> tuple[str, ...]:
        """Return the groupings of an indicator in this run: those asked for, then its own."""
        chosen = []
        for written in self.scope.by:
            name = _grouping(self.pack, written)
            if name not in indicator.groupings and name not in indicator.by:
                raise _cannot(
                    indicator,
                    _("it cannot be grouped by {grouping}").format(grouping=name),
                    remedy=_("its groupings: {names}").format(names=", ".join(indicator.groupings) or _("none")),
                )
            if name not in chosen:
                chosen.append(name)
        return (*chosen, *(name for name in indicator.by if name not in chosen))

    def _asked(self, indicator: Indicator, side: Side) -> Question:
        statement = self.statement(indicator, side)
        whole = read(statement, self.catalogue, self.sites)
        cap = most_rows(self.catalogue, side.table, whole.part.where)
        rows = min(cap, side.rows * self.scope.period.months)
        return read(statement, self.catalogue, self.sites, rows_per_patient=rows)

    def _places(self, indicator: Indicator, side: Side) -> list[str]:
        """Return the conditions on where hospitals are and where patients live, by membership in the list."""
        terms = []
        if self.scope.region:
            terms.append(_any_of([_hospitals_in(code, self.catalogue) for code in self.scope.region]))
        if self.scope.residence:
            column = residence_of(self.catalogue.table(side.table))
            if column is None:
                raise _cannot(
                    indicator,
                    _("rows of {table} do not say where patients live").format(table=side.table),
                    remedy=_("ask by the hospital's region: --region"),
                )
            terms.append(_any_of([_living_in(code, column) for code in self.scope.residence]))
        return terms


@dataclass(frozen=True, kw_only=True)
class Round:
    """What is asked in one round."""

    pack: Pack
    """Which pack."""
    scope: Scope
    """About what."""
    indicators: tuple[Indicator, ...]
    """In the order of the answer's tables, whose titles are their names."""
    left: tuple[Left, ...]
    """Those that were not asked, and why."""
    question: Question
    """All of them as one question."""
    sides: tuple[Side | None, ...]
    """By aggregate of the plan, part by part, the side that first asks for it."""


def reason_of(asked: Round, why: str = "") -> str:
    """Return what hospitals are told: which pack, by its digest, about what, and why.

    Hospitals take no more than MOST_REASON characters; what is longer loses its end.
    """
    told = f"pack {asked.pack.title} {asked.scope.written}"
    return (f"{told}: {why}" if why else told)[:MOST_REASON]


def round_of(run: Run, indicators: Sequence[Indicator], *, skip: bool) -> Round:
    """Return one question that asks for all ``indicators``; with ``skip``, those that cannot be asked are left out.

    Raises FarrError where an indicator lacks a public number, a grouping or the residence column and is not skipped,
    and QueryError for a statement that the catalogue has no answer to.
    """
    asked, left, questions = [], [], []
    for indicator in indicators:
        try:
            questions.append(_weighing(run.question(indicator), indicator.weight))
            asked.append(indicator)
        except FarrError as error:
            if not skip or error.code != "indicator":
                raise
            left.append(Left(indicator=indicator, why=error.message))
    if not asked:
        raise FarrError(
            "indicator",
            _("no indicator is left to ask"),
            remedy=left[0].why if left else _("name indicators, or all of them with --all"),
        )
    # The weight is part of what makes parts alike, so only indicators of one weight share a part.
    whole = merged(questions, run.catalogue)
    whole = replace(whole, plan=_shared_out(whole.plan, run.catalogue))
    return Round(
        pack=run.pack,
        scope=run.scope,
        indicators=tuple(asked),
        left=tuple(left),
        question=whole,
        sides=_sides(whole, {each.name: each for each in asked}),
    )


def _grouping(pack: Pack, written: str) -> str:
    for grouping in pack.groupings.values():
        if written in (grouping.name, grouping.expression):
            return grouping.name
    raise FarrError(
        "grouping",
        _("the pack has no grouping {name}").format(name=written),
        remedy=offer(written, pack.groupings),
    )


def _any_of(terms: Sequence[str]) -> str:
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"


def _hospitals_in(code: str, catalogue: Catalogue) -> str:
    found = place_of(catalogue, code)
    if found is None:
        raise FarrError(
            "region",
            _("no fact about hospitals knows the region {code}").format(code=code),
            remedy=_("write a prefecture such as 3301 or a province such as 33; for a county, ask by residence"),
        )
    fact, codes = found
    if len(codes) == 1:
        return f"site.{fact.name} = '{min(codes)}'"
    listed = [each.code for each in fact.codes.codes if each.code in codes]
    return f"site.{fact.name} IN ({', '.join(map(repr, listed))})"


def _living_in(code: str, column: CodeColumn) -> str:
    if code in column.codes.index:
        return f"{column.name} = '{code}'"
    for level in column.codes.levels:
        if code in level.index:
            return f"LEVEL({column.name}, '{level.name}') = '{code}'"
    raise StatementError(f"there is no region {code!r}", remedy="write 330102, 3301 or 33, as in the catalogue")


def _cannot(indicator: Indicator, why: str, *, remedy: str) -> FarrError:
    label = indicator.label.in_language(language())
    return FarrError("indicator", f"{indicator.name} ({label}): {why}", remedy=remedy)


def _weighing(question: Question, weight: int) -> Question:
    parts = tuple(replace(part, weight=weight) for part in question.plan.parts)
    return replace(question, plan=replace(question.plan, parts=parts))


def _shared_out(plan: Plan, catalogue: Catalogue) -> Plan:
    """Return the plan with each part weighed by what it measures, so that every block gets its indicator's weight.

    A part's share is divided among its blocks. Without this, ten figures of one table would share what a single one of
    another gets.
    """
    layout = tally(plan, catalogue)
    parts = []
    for index, part in enumerate(plan.parts):
        blocks = Fraction(sum(block.weight for block in layout.blocks if block.part == index), FULL)
        parts.append(replace(part, weight=min(MOST_PART_WEIGHT, max(1, round(part.weight * blocks)))))
    return replace(plan, parts=tuple(parts))


def _sides(question: Question, indicators: Mapping[str, Indicator]) -> tuple[Side | None, ...]:
    from queries.answers.figures import terms_of

    found: dict[tuple[int, int], Side] = {}
    for view in question.pages.views:
        indicator = indicators[view.title]
        for term in terms_of(view):
            table = question.plan.parts[term.part].table
            side = next((each for each in indicator.sides if each.table == table), indicator.top)
            found.setdefault((term.part, term.aggregate), side)
    return tuple(
        found.get((part, place))
        for part, asked in enumerate(question.plan.parts)
        for place in range(len(asked.aggregates))
    )
