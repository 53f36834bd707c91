"""A recipe: the model that a researcher wants, in words of the catalogue; read from MODEL.toml or made in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from farr.errors import FarrError
from farr.texts import _, translate
from protocols.farrsum.parameters import Trust
from queries.agreed.section import Section
from queries.errors import CatalogueError

KINDS = ("linear", "logistic", "poisson", "cox", "network")
"""The models that Farr trains."""

RUN = "run"
"""What no model is called: ``run.json`` is where a run is kept, see ``farr/training/runs.py``."""

DROP, CENTRE = "drop", "centre"
"""What becomes of rows in which a term has no value: left out, or counted with the middle of the bounds."""

EPSILON = 1.0
"""Of a run that names no other."""

FOLDS = 20
"""Folds of patients by which some are held out: a share is a number of twentieths."""

MOST_HELD_OUT = Fraction(1, 2)

MOST_ROUNDS = 1000

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu")

_TOP = (
    "name", "kind", "table", "where", "outcome", "terms", "exposure", "time", "intervals", "strata",
    "rows_per_patient", "missing", "penalty", "clip", "held_out", "rounds", "minimum", "purpose", "reason", "trust",
    "privacy", "network",
)  # fmt: skip
_OF_KINDS = {"exposure": ("poisson",), "time": ("cox",), "intervals": ("cox",), "strata": ("cox",)}

_KIND = "write one of: " + ", ".join(KINDS)
_TERMS = 'list terms in SQL, such as terms = ["age", "sex", "systolic >= 180"]'
_NUMBER = "write a number above 0, such as 0.5"
_INTERVALS = "write where intervals of a constant hazard start, such as intervals = [0, 14, 90], in units of time"
_LAYERS = 'write the hidden layers, such as layers = [16, "relu"]; the last layer is added'


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A model to be trained."""

    name: str
    """For people and for files."""
    kind: str
    """One of ``KINDS``."""
    table: str
    """Of the catalogue."""
    outcome: str
    """What is explained: a number column (linear, poisson, network), a condition (logistic, cox, network), or a column
    of codes (network)."""
    terms: tuple[str, ...]
    """By what, in SQL: number columns, columns of codes, LEVEL, BAND, parts of dates, facts about hospitals,
    conditions."""
    where: str = ""
    """The rows, as an SQL condition; empty: all."""
    exposure: str = ""
    """Of poisson: the number column of the amount of time or people behind a count."""
    time: str = ""
    """Of cox: the number column of how long a row was followed."""
    intervals: tuple[Fraction, ...] = ()
    """Of cox: where intervals of a constant baseline hazard start, in units of the time; empty: ten equal ones."""
    strata: tuple[str, ...] = ()
    """Of cox: groups with a baseline of their own; ``hospital`` stands for the hospitals themselves."""
    rows_per_patient: int | None = None
    """Most rows of a patient that count; None: what the catalogue allows."""
    missing: str = DROP
    """``drop`` or ``centre``."""
    penalty: Fraction = Fraction(0)
    """Ridge: half of it times the sum of squared coefficients of scaled columns is added to the whole loss."""
    clip: Fraction | None = None
    """Largest L2 norm of one patient's gradient; None: what suits the kind of model."""
    held_out: Fraction = Fraction(0)
    """The share of patients on whom the model is evaluated and not trained."""
    rounds: int = 0
    """Most rounds of training; 0: what suits the kind of model."""
    epsilon: float = EPSILON
    """Privacy loss of the whole run, evaluation included, at a delta of one in a million."""
    minimum: int | None = None
    """Fewest hospitals that must answer each round; None: four in five of those asked."""
    purpose: str = ""
    """What it is for, a name from the analyst's mandate."""
    reason: str = ""
    """Why, in the analyst's words; hospitals see it."""
    trust: Trust = Trust.THIRD
    """How many hospitals are feared to collude."""
    layers: tuple[int | str, ...] = ()
    """Of a network: widths of hidden layers and what follows each, such as ``(16, "relu")``; the last is added."""

    def to_plain(self) -> dict[str, object]:
        """Return it as MODEL.toml has it; ``read`` makes the same recipe of it."""
        plain: dict[str, object] = {
            "name": self.name,
            "kind": self.kind,
            "table": self.table,
            "outcome": self.outcome,
            "terms": list(self.terms),
            "missing": self.missing,
            "trust": self.trust.value,
            "privacy": {"epsilon": _float(self.epsilon)},
        }
        for name in ("where", "exposure", "time", "purpose", "reason", "rounds"):
            if getattr(self, name):
                plain[name] = getattr(self, name)
        for name in ("minimum", "rows_per_patient"):
            if getattr(self, name) is not None:
                plain[name] = getattr(self, name)
        for name in ("penalty", "held_out"):
            if value := getattr(self, name):
                plain[name] = _decimal(value)
        if self.clip is not None:
            plain["clip"] = _decimal(self.clip)
        if self.intervals:
            plain["intervals"] = [_decimal(each) for each in self.intervals]
        if self.strata:
            plain["strata"] = list(self.strata)
        if self.layers:
            plain["network"] = {"layers": list(self.layers)}
        return plain


def settled(recipe: Recipe) -> Recipe:
    """Return a recipe that was made in Python as it is read from a file; raise FarrError("model") for a wrong one.

    Guarantee: what is trained is what is kept and read again when a run is taken up, and a name is no path, nor that of
    the file in which a run is kept beside its model. Tests:
    tests/farr/test_training_run.py::test_a_recipe_made_in_python_is_read_as_strictly_as_a_file,
    tests/farr/test_training_run.py::test_a_model_never_takes_the_place_of_its_run.
    """
    try:
        found = read(recipe.to_plain(), "recipe")
    except CatalogueError as error:
        raise FarrError("model", translate(error.message), remedy=translate(error.remedy)) from error
    if found.name.casefold() == RUN:
        raise FarrError("model", _("a model cannot be called {name}").format(name=found.name), remedy=_("rename it"))
    return found


def read(values: Mapping[str, object], file: str) -> Recipe:
    """Read a recipe strictly; raise CatalogueError with ``file``, the dotted key and the remedy for anything wrong."""
    top = Section(file=file, path="", values=values)
    if "epsilon" in values:
        top.refuse("epsilon", "it has a table of its own", "write it last, under a line [privacy]: epsilon = 1.0")
    top.only(_TOP)
    kind = top.text("kind", _KIND)
    if kind not in KINDS:
        top.refuse("kind", f"there is no kind of model {kind!r}", _KIND)
    for name, kinds in _OF_KINDS.items():
        if top.has(name) and kind not in kinds:
            top.refuse(name, f"only models of kind {', '.join(kinds)} have it", "take it away")
    if kind == "cox" and not top.has("time"):
        top.refuse(
            "time", "missing", 'name the number column of how long a row was followed, such as time = "followed"'
        )
    return Recipe(
        name=top.name("name", 'name the model, such as name = "stroke_death"'),
        kind=kind,
        table=top.text("table", "name a table of the catalogue"),
        outcome=top.text("outcome", "write what is explained, such as outcome = \"died = 'Y'\""),
        terms=_texts(top, "terms", _TERMS),
        where=_text(top, "where", 'write a condition in SQL, such as where = "age >= 18"'),
        exposure=_text(top, "exposure", "name a number column"),
        time=_text(top, "time", "name a number column"),
        intervals=_intervals(top),
        strata=_texts(top, "strata", 'such as strata = ["hospital"]') if top.has("strata") else (),
        rows_per_patient=_whole(top, "rows_per_patient", 1, 1 << 20),
        missing=_one_of(top, "missing", (DROP, CENTRE), DROP),
        penalty=_share(top, "penalty", Fraction(10**9)) or Fraction(0),
        clip=_share(top, "clip", Fraction(10**6)),
        held_out=_share(top, "held_out", MOST_HELD_OUT, "write the share of patients, such as 0.2") or Fraction(0),
        rounds=_whole(top, "rounds", 1, MOST_ROUNDS) or 0,
        epsilon=_epsilon(top),
        minimum=_whole(top, "minimum", 1, 1 << 20),
        purpose=_text(top, "purpose", "write a purpose of your mandate"),
        reason=_text(top, "reason", "write why, in a sentence"),
        trust=Trust(_one_of(top, "trust", tuple(each.value for each in Trust), Trust.THIRD.value)),
        layers=_layers(top, kind),
    )


def _text(section: Section, name: str, remedy: str) -> str:
    return section.text(name, remedy) if section.has(name) else ""


def _texts(section: Section, name: str, remedy: str) -> tuple[str, ...]:
    found = []
    for place, value in enumerate(section.items(name, remedy)):
        if not isinstance(value, str) or not value.strip():
            section.refuse(f"{name}[{place}]", "not a text", remedy)
        found.append(value)
    return tuple(found)


def _one_of(section: Section, name: str, known: tuple[str, ...], default: str) -> str:
    remedy = "write one of: " + ", ".join(known)
    value = section.text(name, remedy) if section.has(name) else default
    if value not in known:
        section.refuse(name, f"{value!r} is not known", remedy)
    return value


def _whole(section: Section, name: str, low: int, high: int) -> int | None:
    return section.whole(name, low, high, f"write a whole number from {low:,}") if section.has(name) else None


def _share(section: Section, name: str, most: Fraction, remedy: str = _NUMBER) -> Fraction | None:
    if not section.has(name):
        return None
    value = section.decimal(name, remedy)
    if not 0 <= value <= most or (name == "clip" and value == 0):
        section.refuse(name, f"not between 0 and {float(most):g}", remedy)
    return value


def _intervals(section: Section) -> tuple[Fraction, ...]:
    if not section.has("intervals"):
        return ()
    items = section.items("intervals", _INTERVALS)
    inner = Section(file=section.file, path="intervals", values={str(place): each for place, each in enumerate(items)})
    found = tuple(inner.decimal(str(place), _INTERVALS) for place in range(len(items)))
    if any(after <= before for before, after in pairwise(found)):
        section.refuse("intervals", "not rising", _INTERVALS)
    return found


def _epsilon(top: Section) -> float:
    if not top.has("privacy"):
        return EPSILON
    section = top.section("privacy", "write [privacy] with epsilon = 1.0")
    section.only(("epsilon",))
    value = section.decimal("epsilon", "write the privacy loss of the whole run, such as 1.0")
    if not 0 < value <= 100:  # noqa: PLR2004  the accounting's own limit
        section.refuse("epsilon", "not above 0 and at most 100", "a run usually takes 0.3 to 3")
    return float(value)


def _layers(top: Section, kind: str) -> tuple[int | str, ...]:
    if kind != "network":
        if top.has("network"):
            top.refuse("network", "only models of kind network have it", "take it away")
        return ()
    section = top.section("network", "write [network] with layers")
    section.only(("layers",))
    found: list[int | str] = []
    for place, value in enumerate(section.items("layers", _LAYERS)):
        width = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096  # noqa: PLR2004
        if not width and value not in ACTIVATIONS:
            section.refuse(f"layers[{place}]", "neither a width nor " + ", ".join(ACTIVATIONS), _LAYERS)
        if not found and not width:
            section.refuse("layers[0]", "the first layer is a width", _LAYERS)
        found.append(value)  # type: ignore[arg-type]  # told apart above
    return tuple(found)


def _float(value: Any) -> str:
    """Write a number of any library in full; whatever is none as it is, to be refused with its key."""
    try:
        return repr(float(value))
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _decimal(value: Fraction) -> str:
    """Write a decimal in full: recipes are read from decimals of few places."""
    return f"{float(value):.9f}".rstrip("0").rstrip(".")
