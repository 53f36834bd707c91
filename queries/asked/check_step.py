"""What must hold of a round of training from a stranger, beside what holds of every key and column of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import NoReturn

from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, AppStep, CodeKey, FlagKey, Layer, NumberTerm, Plan, Step
from queries.cost.setting import Setting
from queries.errors import PlanError
from queries.models.columns import columns_of
from queries.models.shape import Shape, shape_of

MOST_TERMS = 64
"""Most terms of a model."""

MOST_WIDTH = 4096
"""Most coefficients of a model that is no network; of one, most columns and most numbers of a layer."""

MOST_INFORMED = 128
"""Most coefficients of a model whose information is summed: it has half the square of their number."""

MOST_WORK = 20_000
"""Most that one patient may make a network work in a step: ``work_of`` times the rows of a patient. Measured at the
limit (64 columns, layers of 128 and 64): 2.5 to 3.6 seconds for 10,000 patients on one core of a busy machine. All
weights, written in full, fit into a plan."""

BENT = 16
"""What a number through ``gelu`` takes, forwards and backwards, in weights: some 200 ns for 13. One of many classes,
whose odds are added up, takes 140 ns."""

MOST_LAYERS = 16
"""Most layers of a network."""

MOST_CLIP = 1 << 40
"""Greatest clip or reach, in ``ONE``ths."""

MOST_POINT = 1 << 40
"""Greatest size of a coefficient, of a weight or of a cut, in 2^-30ths: about a thousand."""

MOST_SHARE = 1000
"""Greatest weight of a sum."""

MOST_BANDS = 400
"""Most bands of the linear predictor."""

MOST_INTERVALS = 60
"""Most intervals of a baseline hazard."""

MOST_STRATA = 8
"""Most keys that say who has a baseline hazard of its own. Without it, thousands of one cell each would be free."""

FEWEST_FOLDS, MOST_FOLDS = 2, 1000
"""Fewest and most folds of patients."""

MOST_APP_ENTRIES = 1 << 24
"""Most numbers that an app gives: 128 MiB on the wire from each hospital."""

MOST_APP_BYTES = 8 * MOST_APP_ENTRIES + (1 << 20)
"""Longest message to an app: as many numbers, and a megabyte around them. No longer one travels: see
``protocols.blobs.MOST_BYTES``."""

MOST_SECONDS = 3000
"""Longest time of an app: with what both ways take it must end within ``protocols.announcement.LONGEST_ROUND``."""

MOST_APP_COLUMNS = 256
"""Most columns that an app is handed."""

APP_KINDS = ("train", "evaluate", "query")
"""What an app may be asked to do."""

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu")
"""What a layer that is not linear does to each number."""

SUMS = ("gradient", "information", "loss", "grades")
"""In the order of the vector."""

_GIVEN: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "linear": (NumberTerm,),
        "logistic": (FlagKey,),
        "poisson": (NumberTerm,),
        "cox": (FlagKey,),
        "network": (NumberTerm, FlagKey, CodeKey),
    }
)
"""By model, what its outcome may be."""

_HASH = 32
_VERSION = "build the question with this version of Farr"


def check_alone(plan: Plan) -> None:
    """Raise PlanError where a round of training shares a plan with anything, or is asked in cells.

    Guarantee: what a plan with a step costs is what the step costs, and nothing beside it is approved with it. Test:
    tests/queries/test_step_check.py::test_a_step_stands_alone.
    """
    aggregates = [aggregate for part in plan.parts for aggregate in part.aggregates]
    if not any(aggregate.step for aggregate in aggregates):
        return
    (part, *more) = plan.parts
    if more or len(aggregates) > 1:
        _refuse("a round of training beside something else", "ask for it alone")
    (aggregate,) = aggregates
    if part.keys or part.subtotals or aggregate.by or aggregate.columns or aggregate.column is not None:
        _refuse("a round of training in groups", "limit its rows by conditions instead")
    if aggregate.where != EVERYTHING:
        _refuse("a round of training with a condition of its own", "put the condition on the question's rows")


def check_work(plan: Plan) -> None:
    """Raise PlanError where a network, whose step was checked, would hold a hospital for long.

    Guarantee: what a patient's rows take is bounded by public figures, at most ``MOST_WORK``. Tests:
    tests/queries/test_step_check.py::test_the_work_that_a_network_makes_is_bounded_by_patient,
    tests/queries/test_step_check.py::test_a_network_at_the_limit_takes_seconds.
    """
    for part in plan.parts:
        for step in (aggregate.step for aggregate in part.aggregates):
            if not isinstance(step, Step) or not step.layers:
                continue
            work = part.bound.rows * work_of(step)
            if work > MOST_WORK:
                _refuse(
                    f"a network of {work:,} units of work for each patient, more than {MOST_WORK:,}",
                    "use narrower layers, fewer rows of a patient, or an app",
                )


def work_of(step: Step) -> int:
    """Return the units of work that a row is of a step that was checked: its weights, and more for what is bent."""
    bent = sum(layer.width for layer in step.layers if layer.kind != "linear")
    classes = step.layers[-1].width if step.layers and isinstance(step.outcome, CodeKey) else 0
    return len(step.point) + BENT * (bent + classes)


def check_step(step: Step, setting: Setting) -> None:
    """Raise PlanError unless a step, whose keys were checked, makes sense and is small enough.

    Guarantee: for a step that passes, each sum's width is the same for everybody, and at most what the limits above
    allow. Test: tests/queries/test_step_check.py::test_each_way_of_not_being_a_step_is_refused.
    """
    if step.model not in _GIVEN:
        _refuse("there is no such model", "use one of " + ", ".join(_GIVEN))
    if not isinstance(step.outcome, _GIVEN[step.model]):
        _refuse(f"a {step.model} model cannot explain this outcome", "see docs/researcher.md")
    _check_terms(step, setting)
    _check_kind(step, setting)
    shape = shape_of(step, setting)
    if step.layers:
        _check_layers(step, shape)
    elif shape.width > MOST_WIDTH:
        _refuse(f"{shape.width:,} coefficients, more than {MOST_WIDTH:,}", "use fewer terms or coarser groups")
    _check_sums(step, shape)
    if not 1 <= step.clip <= MOST_CLIP or not 1 <= step.reach <= MOST_CLIP:
        _refuse("a clip out of range", "use one between 1/65536 and 16 million")
    if len(step.point) != shape.width:
        _refuse(f"{len(step.point):,} coefficients for a model of {shape.width:,}", _VERSION)
    if any(abs(each) > MOST_POINT for each in step.point):
        _refuse("a coefficient beyond 1024", "use a penalty")
    split = step.split
    if split is not None and not (
        FEWEST_FOLDS <= split.folds <= MOST_FOLDS and 0 <= split.first <= split.last < split.folds
    ):
        _refuse("folds that are none", f"use some of {FEWEST_FOLDS} to {MOST_FOLDS} folds, from 0 up")


def check_app(step: AppStep) -> None:
    """Raise PlanError unless an app's round, whose columns were checked to exist, is well formed and small enough.

    Guarantee: for a round that passes, the update's length, clip and time are within the limits above. Test:
    tests/queries/test_step_check.py::test_each_way_of_not_being_an_apps_round_is_refused.
    """
    if len(step.app) != _HASH or len(step.message) != _HASH:
        _refuse("a digest that is not 32 bytes", _VERSION)
    if step.kind not in APP_KINDS:
        _refuse("an app is not asked to do that", "use one of " + ", ".join(APP_KINDS))
    if not 1 <= len(step.columns) <= MOST_APP_COLUMNS:
        _refuse(f"not 1 to {MOST_APP_COLUMNS} columns", "name those that the app reads")
    if any(not before < after for before, after in pairwise(step.columns)):
        _refuse("columns are not sorted without repeats", _VERSION)
    if not 1 <= step.entries <= MOST_APP_ENTRIES:
        _refuse(f"not 1 to {MOST_APP_ENTRIES:,} numbers", "use a smaller model")
    if not 1 <= step.clip <= MOST_CLIP:
        _refuse("a clip out of range", "use one between 1/65536 and 16 million")
    if not 0 <= step.size <= MOST_APP_BYTES:
        _refuse(f"a message of more than {MOST_APP_BYTES:,} bytes", "use a smaller model")
    if not 1 <= step.seconds <= MOST_SECONDS:
        _refuse(f"not 1 to {MOST_SECONDS:,} seconds", "give the app less time")


def _refuse(message: str, remedy: str) -> NoReturn:
    raise PlanError(message, remedy=remedy)


def _check_terms(step: Step, setting: Setting) -> None:
    if not 1 <= len(step.terms) <= MOST_TERMS:
        _refuse(f"not 1 to {MOST_TERMS} terms", "name what the outcome is explained by")
    if len({encode(term) for term in step.terms}) != len(step.terms):
        _refuse("two of the terms are the same", "name each once")
    if len({encode(key) for key in step.strata}) != len(step.strata):
        _refuse("two of the strata are the same", "name each once")
    numbers = [term.column for term in (step.outcome, *step.terms) if isinstance(term, NumberTerm)]
    for name in numbers if step.exposure is None else (*numbers, step.exposure):
        setting.number(name, step.model)
    if not all(columns_of(term, setting) for term in step.terms):
        _refuse("a term of one group only", "leave it out: it tells no rows apart")


def _check_kind(step: Step, setting: Setting) -> None:
    """Check what belongs to some kinds of model only."""
    if (step.time is None) == (step.model == "cox") or (step.strata and step.model != "cox"):
        _refuse("time and strata belong to cox models, and only to those", _VERSION)
    if len(step.strata) > MOST_STRATA:
        _refuse(f"more than {MOST_STRATA} strata", "stratify by fewer columns")
    if step.time is not None and len(step.time.starts) > MOST_INTERVALS:
        _refuse(f"more than {MOST_INTERVALS} intervals of time", "use fewer")
    if step.exposure is not None and (step.model != "poisson" or setting.number(step.exposure, "poisson").high <= 0):
        _refuse("an exposure that is none", "only counts have one, a column that may be above 0")
    counted = step.outcome if step.model == "poisson" else None
    if isinstance(counted, NumberTerm) and setting.number(counted.column, "poisson").low < 0:
        _refuse("a count that may be below 0", "name a column whose lower bound is 0")
    if bool(step.layers) != (step.model == "network"):
        _refuse("layers belong to networks, and only to those", _VERSION)


def _check_layers(step: Step, shape: Shape) -> None:
    if len(step.layers) > MOST_LAYERS:
        _refuse(f"more than {MOST_LAYERS} layers", "use fewer")
    if shape.columns > MOST_WIDTH:
        _refuse(f"{shape.columns:,} columns, more than {MOST_WIDTH:,}", "use fewer terms or coarser groups")
    given: Layer | None = None
    for layer in step.layers:
        if layer.kind != "linear" and (layer.kind not in ACTIVATIONS or given is None or layer.width != given.width):
            _refuse("a layer that does not follow from the one before it", _VERSION)
        if not 1 <= layer.width <= MOST_WIDTH:
            _refuse(f"a layer that is not 1 to {MOST_WIDTH:,} wide", "use a narrower one")
        given = layer
    if isinstance(step.outcome, CodeKey) and not 2 <= shape.classes <= MOST_WIDTH:  # noqa: PLR2004  classes
        _refuse("an outcome that is not 2 to 4,096 classes", "use a level of the codes")
    if given is None or given.kind != "linear" or given.width != max(1, shape.classes):
        _refuse("the last layer must be linear and give one number, or one for each class", _VERSION)


def _check_sums(step: Step, shape: Shape) -> None:
    if not step.wants or step.wants != tuple(name for name in SUMS if name in step.wants):
        _refuse("sums that are none", "ask for " + ", ".join(SUMS) + ", in that order")
    if "information" in step.wants and (step.model == "network" or shape.width > MOST_INFORMED):
        _refuse(f"the information of a network, or of more than {MOST_INFORMED} coefficients", "use fewer terms")
    graded = "grades" in step.wants
    if graded and not isinstance(step.outcome, FlagKey):
        _refuse("grades of an outcome that is no condition", "ask for the loss")
    if bool(step.cuts) != graded or len(step.cuts) >= MOST_BANDS:
        _refuse(f"grades have 2 to {MOST_BANDS} bands, and nothing else has", _VERSION)
    if any(not before < after for before, after in pairwise(step.cuts)) or any(
        abs(cut) > MOST_POINT for cut in step.cuts
    ):
        _refuse("cuts that do not rise, or go beyond 1024", _VERSION)
    if len(step.weights) != len(step.wants) or not all(1 <= each <= MOST_SHARE for each in step.weights):
        _refuse(f"not a weight of 1 to {MOST_SHARE} for each sum", _VERSION)
