"""From a recipe to the step that hospitals are asked: what is read of whom, and how far one patient may reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

from farr.errors import FarrError
from farr.texts import _, translate
from farr.training.recipe import DROP, FOLDS, Recipe
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import (
    ONE,
    Aggregate,
    BandKey,
    Bound,
    CodeKey,
    Every,
    FlagKey,
    Key,
    Layer,
    Missing,
    ModelTerm,
    Not,
    NumberTerm,
    Part,
    Plan,
    Predicate,
    Split,
    Step,
    most_rows,
)
from queries.asked.predicates import Hospital, Sites
from queries.asked.question import Question
from queries.asked.view import AggregateTerm, AxisTerm, Output, Pages, View
from queries.cost.setting import Setting
from queries.errors import StatementError
from queries.models.clips import natural_clips
from queries.models.columns import names
from queries.models.shape import Shape, shape_of
from queries.models.training import Model
from queries.sql.fragments import Fragments, columns_in

HOSPITAL = "hospital"
"""Among strata, the hospitals themselves."""

INTERVALS = 10
"""Intervals of a Cox model's baseline hazard, where the recipe names none."""

MOST_COUNT = 5.0
"""Events of a patient beyond which a Poisson model's gradient is cut, unless the recipe names a clip."""

_OUTCOMES: dict[str, tuple[type, ...]] = {
    "linear": (NumberTerm,),
    "poisson": (NumberTerm,),
    "logistic": (FlagKey,),
    "cox": (FlagKey,),
    "network": (NumberTerm, FlagKey, CodeKey),
}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe in the catalogue's terms."""

    recipe: Recipe
    """As it was written."""
    part: Part
    """What every round asks, its step a template: ``point``, ``wants``, ``weights`` and ``cuts`` are empty."""
    sites: tuple[str, ...]
    """The hospitals that can have such rows, sorted."""
    catalogue: Catalogue
    """The agreement."""

    @property
    def step(self) -> Step:
        """Return the template of every round's step."""
        step = self.part.aggregates[0].step
        if not isinstance(step, Step):
            raise TypeError(step)
        return step

    @property
    def setting(self) -> Setting:
        """Return where its columns are looked up."""
        return Setting(catalogue=self.catalogue, table=self.catalogue.table(self.part.table), keys=())

    @property
    def shape(self) -> Shape:
        """Return the shape of its arrays."""
        return shape_of(self.step, self.setting)

    @property
    def plan(self) -> Plan:
        """Return the template as a plan: what stays the same in all rounds."""
        return Plan(catalogue=self.catalogue.digest, parts=(self.part,))

    @property
    def held_share(self) -> Fraction:
        """Return the share of patients who are held out: the recipe's, in whole folds."""
        split = self.step.split
        return Fraction(0) if split is None else 1 - Fraction(split.last - split.first + 1, split.folds)

    @property
    def model(self) -> Model:
        """Return what is to be trained."""
        held = held_out(self.recipe.held_out)
        shape = self.shape
        return Model(
            step=self.step,
            penalty=float(self.recipe.penalty),
            rounds=self.recipe.rounds,
            held_out=held[1] if held else None,
            names=() if shape.layers else tuple(code.code for code in names(self.step, self.setting)),
            seed=self.catalogue.digest,
        )

    def question(self, step: Step) -> Question:
        """Return the question of one round."""
        return question_of(step, self.part, self.sites, self.catalogue)


def question_of(step: Step, template: Part, sites: Sequence[str], catalogue: Catalogue) -> Question:
    """Return a round of training as a question: one part, one aggregate, shown as it comes."""
    part = replace(template, aggregates=(Aggregate(statistic="step", step=step),))
    shown = (Output(name="entry", expression=AxisTerm()), Output(name="sum", expression=AggregateTerm(aggregate=0)))
    plan = Plan(catalogue=catalogue.digest, parts=(part,))
    return Question(plan=plan, pages=Pages(views=(View(columns=shown),)), sites=tuple(sites))


def prepare(recipe: Recipe, catalogue: Catalogue, sites: Sites) -> Prepared:
    """Read a recipe's SQL; raise FarrError("model") or QueryError, with the key, for what it cannot mean."""
    with _at("table"):
        fragments = Fragments.about(recipe.table, catalogue, sites)
    draft = fragments.draft
    with _at("where"):
        fragments.rows(recipe.where)
    terms: list[ModelTerm] = []
    for place, text in enumerate(recipe.terms):
        with _at(f"terms[{place}]"):
            found = fragments.term(text)
            if found in terms:
                raise StatementError("this term is there twice", remedy="name each term once")
            terms.append(found)
    with _at("outcome"):
        outcome = _outcome(recipe, fragments.term(recipe.outcome))
    told = _columns(outcome)
    for place, term in enumerate(terms):
        with _at(f"terms[{place}]"):
            if both := sorted(told & _columns(term)):
                raise StatementError(f"it reads {both[0]}, of which the outcome is", remedy="take it away")
    with _at("exposure"):
        exposure = fragments.number(recipe.exposure).name if recipe.exposure else None
    with _at("intervals" if recipe.intervals else "time"):
        time = _time(recipe, fragments) if recipe.time else None
    strata = tuple(_stratum(text, place, fragments) for place, text in enumerate(recipe.strata))
    if recipe.missing == DROP and (complete := _complete(terms)):
        fragments.limit(complete)
    held = held_out(recipe.held_out)
    bound = _bound(recipe, most_rows(catalogue, draft.table.name, draft.condition))
    setting = Setting(catalogue=catalogue, table=draft.table, keys=())
    step = Step(
        model=recipe.kind,
        outcome=outcome,
        terms=tuple(terms),
        clip=1,
        reach=1,
        point=(),
        wants=(),
        weights=(),
        exposure=exposure,
        time=time,
        strata=strata,
        layers=_layers(recipe, outcome, setting),
        split=held[0] if held else None,
    )
    clip, reach = _clips(recipe, step, bound.rows, setting)
    step = replace(step, clip=clip, reach=reach)
    part = Part(
        table=draft.table.name,
        where=draft.condition,
        keys=(),
        aggregates=(Aggregate(statistic="step", step=step),),
        bound=bound,
    )
    return Prepared(recipe=recipe, part=part, sites=draft.sites, catalogue=catalogue)


def held_out(share: Fraction) -> tuple[Split, Split] | None:
    """Return the patients who train and those held out, in folds of a twentieth; None where nobody is."""
    if not share:
        return None
    folds = max(1, round(share * FOLDS))
    common = math.gcd(folds, FOLDS)
    held, of = folds // common, FOLDS // common
    return Split(folds=of, first=held, last=of - 1), Split(folds=of, first=0, last=held - 1)


def _clips(recipe: Recipe, step: Step, rows: int, setting: Setting) -> tuple[int, int]:
    """Return how long one patient's gradient and how large its information may be, in ``ONE``ths.

    What a recipe's clip takes off the gradient's natural length is taken off the information's too.
    """
    count = 1.0
    if isinstance(step.outcome, NumberTerm) and step.model == "poisson":
        column = setting.number(step.outcome.column, "step")
        count = min(float(column.in_units(column.high)), MOST_COUNT)
    clip, reach = natural_clips(step, rows, count)
    if recipe.clip is None:
        return clip, reach
    wanted = _ones(float(recipe.clip))
    return wanted, max(1, min(reach, math.ceil(reach * wanted / clip)))


def _ones(length: float) -> int:
    return max(1, math.ceil(length * ONE))


def _outcome(recipe: Recipe, found: ModelTerm) -> NumberTerm | FlagKey | CodeKey:
    if not isinstance(found, _OUTCOMES[recipe.kind]) or not isinstance(found, (NumberTerm, FlagKey, CodeKey)):
        remedies = {
            "linear": "name a number column",
            "poisson": "name the number column of a count",
            "logistic": "write a condition, such as died = 'Y'",
            "cox": "write the event as a condition, such as died = 'Y'",
        }
        raise StatementError(
            f"no outcome of a model of kind {recipe.kind}",
            remedy=remedies.get(recipe.kind, "name a number column or a column of codes, or write a condition"),
            text=recipe.outcome,
            start=0,
            end=len(recipe.outcome),
        )
    return found


def _time(recipe: Recipe, fragments: Fragments) -> BandKey:
    column = fragments.number(recipe.time)
    if not recipe.intervals:
        steps = column.high + 1 - column.low
        count = min(INTERVALS, steps)
        return BandKey(column=column.name, starts=tuple(column.low + steps * place // count for place in range(count)))
    edges = tuple(edge for edge in recipe.intervals if edge > column.in_units(column.low))
    if not edges:
        return BandKey(column=column.name, starts=(column.low,))
    return fragments.draft.cells.bands(column.name, edges=edges)


def _stratum(text: str, place: int, fragments: Fragments) -> Key:
    with _at(f"strata[{place}]"):
        if text == HOSPITAL and HOSPITAL not in fragments.draft.table.by_name:
            return fragments.draft.cells.of(Hospital())
        found = fragments.term(text)
        if isinstance(found, NumberTerm):
            raise StatementError("strata are groups", remedy="write BAND of it, a column of codes, or hospital")
        return found


def _columns(term: ModelTerm) -> set[str]:
    """Return the columns that a term or an outcome reads."""
    if isinstance(term, FlagKey):
        return set(columns_in(term.term))
    column = getattr(term, "column", None)
    return {column} if isinstance(column, str) else set()


def _complete(terms: Sequence[ModelTerm]) -> Every | None:
    """Return the condition that every term has a value; None where none can be missing.

    A term that asks whether a column is missing keeps the rows in which it is.
    """
    read: set[str] = set()
    asked: set[str] = set()
    for term in terms:
        read |= _columns(term)
        if isinstance(term, FlagKey):
            asked |= _asked_missing(term.term)
    left = sorted(read - asked)
    return Every(terms=tuple(Not(term=Missing(column=column)) for column in left)) if left else None


def _asked_missing(term: Predicate) -> set[str]:
    if isinstance(term, Missing):
        return {term.column}
    inner = (term.term,) if isinstance(term, Not) else getattr(term, "terms", ())
    return set[str]().union(*map(_asked_missing, inner))


def _bound(recipe: Recipe, most: int) -> Bound:
    rows = most if recipe.rows_per_patient is None else recipe.rows_per_patient
    if rows > most:
        raise FarrError(
            "model",
            _("rows_per_patient: the catalogue allows at most {most} rows of a patient").format(most=most),
            remedy=_("write {most} or less, or leave it out").format(most=most),
        )
    return Bound(rows=rows, groups=1)


def _layers(recipe: Recipe, outcome: ModelTerm, setting: Setting) -> tuple[Layer, ...]:
    if not recipe.layers:
        if recipe.kind == "network":
            raise FarrError(
                "model", _("a network has no layers"), remedy=_('write [network] with layers = [16, "relu"]')
            )
        return ()
    found: list[Layer] = []
    width = 0
    for each in recipe.layers:
        if isinstance(each, int):
            width = each
            found.append(Layer(kind="linear", width=width))
        else:
            found.append(Layer(kind=each, width=width))
    classes = setting.size(outcome) if isinstance(outcome, CodeKey) else 1
    return (*found, Layer(kind="linear", width=classes))


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Name the recipe's key in every refusal raised inside."""
    try:
        yield
    except StatementError as error:
        raise StatementError(
            f"{key}: {translate(error.message)}",
            remedy=error.remedy,
            text=error.text,
            start=error.start,
            end=error.end,
        ) from error
