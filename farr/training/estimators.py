"""Models by the customs of scikit-learn: ``fit`` over a federation, ``predict`` on a DataFrame in catalogue columns.

model = farr.LogisticRegression(epsilon=1.0)
model.fit(federation, table="admission", outcome="died = 'Y'", terms=["age", "sex"])
model.summary()
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from farr.errors import FarrError
from farr.texts import _
from farr.training.card import card_of
from farr.training.frames import Rows, outcomes
from farr.training.modules import layers_of
from farr.training.recipe import Recipe, read
from farr.training.run import Progress, train
from farr.training.terms import prepare
from farr.training.trained import Trained
from queries.models.columns import column_codes
from queries.models.fitted import Evaluation, Floats

if TYPE_CHECKING:
    from pandas import DataFrame

    from farr.client import Federation

Decimal = float | int | str | Fraction

ASKED = ("exposure", "time", "intervals", "strata")
"""What ``fit`` takes of some kinds of model; all other settings belong to the estimator."""


class NotFittedError(FarrError, AttributeError):
    """What is known after ``fit`` was asked for before it: scikit-learn takes it for an attribute that is not there."""


class Estimator:
    """What the estimators share; parameters are the keys of MODEL.toml."""

    kind: ClassVar[str] = ""

    def __init__(
        self,
        *,
        epsilon: float = 1.0,
        penalty: Decimal = 0.0,
        clip: Decimal | None = None,
        rounds: int = 0,
        held_out: Decimal = 0.0,
        missing: str = "drop",
        rows_per_patient: int | None = None,
        minimum: int | None = None,
        purpose: str = "",
        reason: str = "",
        trust: str = "one-third",
        name: str = "model",
    ) -> None:
        """Take the settings of a run; nothing is asked before ``fit``."""
        self.epsilon = epsilon
        self.penalty = penalty
        self.clip = clip
        self.rounds = rounds
        self.held_out = held_out
        self.missing = missing
        self.rows_per_patient = rows_per_patient
        self.minimum = minimum
        self.purpose = purpose
        self.reason = reason
        self.trust = trust
        self.name = name

    def __repr__(self) -> str:
        """Return how it was made, with the settings that are not the usual ones."""
        usual = type(self)().get_params()
        changed = {name: value for name, value in self.get_params().items() if value != usual[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002  as scikit-learn has it
        """Return the settings."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def set_params(self, **settings: Any) -> Self:
        """Change settings; raise FarrError for one that there is not."""
        for name, value in settings.items():
            if name not in self.get_params():
                raise FarrError("usage", _("there is no setting {name}").format(name=name))
            setattr(self, name, value)
        return self

    def fit(
        self,
        federation: Federation,
        *,
        table: str,
        outcome: str,
        terms: Sequence[str],
        where: str = "",
        told: Any = None,
        **more: Any,
    ) -> Self:
        """Train over a federation and wait; terms, outcome and condition are SQL, as in MODEL.toml.

        ``more``: ``exposure`` (Poisson), ``time``, ``intervals`` and ``strata`` (Cox). ``told`` hears of every round.
        A run that had to stop keeps its last model and warns. Raises FarrError or QueryError where there is none.
        """
        recipe = self.recipe(table=table, outcome=outcome, terms=terms, where=where, **more)
        trained = train(federation, recipe, told=told or _silent)
        if trained.stopped is not None:
            text = _("the run stopped before its end: {message}").format(message=trained.stopped)
            warnings.warn(text, stacklevel=2)
        return self.with_model(trained)

    def recipe(self, *, table: str, outcome: str, terms: Sequence[str], where: str = "", **more: Any) -> Recipe:
        """Return the recipe that ``fit`` trains; raise FarrError for settings that make none."""
        from queries.errors import CatalogueError

        if unknown := more.keys() - set(ASKED):
            raise FarrError(
                "usage",
                _("fit takes no {name}").format(name=min(unknown)),
                remedy=_("settings of a run are given where the model is made: {kind}(epsilon=1.0)").format(
                    kind=type(self).__name__
                ),
            )
        plain: dict[str, object] = {
            "name": self.name,
            "kind": self.kind,
            "table": table,
            "outcome": outcome,
            "terms": _listed(terms),
            "privacy": {"epsilon": _decimal(self.epsilon)},
            "missing": self.missing,
            "trust": self.trust,
        }
        given = {"where": where, **more, **self._more()}
        for name in ("purpose", "reason", "rounds"):
            given[name] = getattr(self, name)
        if given.get("intervals"):
            given["intervals"] = [_decimal(each) for each in given["intervals"]]
        plain |= {name: _listed(value) for name, value in given.items() if value}
        # A zero here is a mistake to be told, not the usual.
        for name in ("rows_per_patient", "minimum"):
            if (value := getattr(self, name)) is not None:
                plain[name] = value
        for name in ("penalty", "clip", "held_out"):
            if (value := getattr(self, name)) is not None:
                plain[name] = _decimal(value)
        try:
            return read(plain, self.kind)
        except CatalogueError as error:
            raise FarrError("model", error.message, remedy=error.remedy) from error

    def with_model(self, trained: Trained) -> Self:
        """Take a model that was trained or loaded; raise FarrError for one of another kind."""
        if trained.kind != self.kind:
            raise FarrError("wrong-kind", _("this is a model of kind {kind}").format(kind=trained.kind))
        self.model_ = trained
        return self

    @property
    def model(self) -> Trained:
        """Return the model; raise NotFittedError, a FarrError, before ``fit``."""
        held: Trained | None = vars(self).get("model_")
        if held is None:
            raise NotFittedError(
                "not-fitted", _("nothing was fitted yet"), remedy=_("call fit with a federation first")
            )
        return held

    @property
    def feature_names_in_(self) -> NDArray[np.str_]:
        """Return the names of the columns of the terms, as in ``coef_``; shape (n_features_in_,)."""
        prepared = self.model.prepared
        if self.kind == "network":
            return np.array([code.code for code in column_codes(prepared.step, prepared.setting)])
        return np.array([each.name for each in self.model.table().terms])

    @property
    def n_features_in_(self) -> int:
        """Return how many columns the terms have: of a term of groups, one for each but the first."""
        return self.model.prepared.shape.columns

    @property
    def evaluation_(self) -> Evaluation | None:
        """Return how well it predicts for patients held out; None where nobody was."""
        return self.model.fitted.evaluation

    @property
    def card_(self) -> Mapping[str, Any]:
        """Return the model card: privacy, hospitals, releases, caveats."""
        return card_of(self.model)

    def summary(self) -> DataFrame:
        """Return the coefficients: by unit of their columns and scaled, standard errors by the noise and in all.

        ``low`` and ``high`` are the ends of the 95 % interval with noise and sampling; logistic, Poisson and Cox models
        have the ratio with its interval too.
        """
        return self.model.summary()

    def predict(self, frame: DataFrame) -> NDArray[Any]:
        """Return the likelier class of each row, or the number that is expected."""
        return np.asarray(self.model.predict(frame))

    def score(self, frame: DataFrame, outcome: Any = None) -> float:
        """Return the share of rows that are told right, or of a number R squared, as scikit-learn has them.

        ``outcome``: as ``predict`` answers; without it, the outcome's own column or condition is read from the frame.
        Rows whose outcome is not known do not count. Of rows that took part in training it says too much. Raises
        FarrError for Poisson and Cox models, which have none.
        """
        if self.kind in ("poisson", "cox"):
            raise FarrError("no-score", _("a model of kind {kind} has no score").format(kind=self.kind))
        prepared = self.model.prepared
        seen = outcomes(prepared.step, Rows(frame, prepared.setting), prepared.setting)
        if outcome is not None:
            seen = np.asarray(outcome)
        elif self.model.classes:
            told: NDArray[Any] = np.array([*self.model.classes, ""])
            seen = told[np.nan_to_num(seen, nan=len(told) - 1).astype(np.intp)]
        predicted = self.predict(frame)
        if self.model.classes:
            known = seen != ""
            return float(np.mean(predicted[known] == seen[known]))
        known = ~np.isnan(seen)
        left, spread = seen[known] - predicted[known], seen[known] - seen[known].mean()
        return float(1 - left @ left / (spread @ spread))

    def save(self, folder: Any) -> Any:
        """Save model and card in a folder; return the model's path. ``farr.load_model`` reads it."""
        from pathlib import Path

        from farr.training.saved import save

        return save(self.model, Path(folder))

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know of an estimator; only scikit-learn asks, so it is there."""
        from sklearn.utils import Tags, TargetTags

        kinds = {"linear": "regressor", "poisson": "regressor", "logistic": "classifier"}
        return Tags(estimator_type=kinds.get(self.kind), target_tags=TargetTags(required=False))

    def _more(self) -> dict[str, object]:
        """Return further keys of the recipe."""
        return {}


class _Regression(Estimator):
    """With coefficients of terms."""

    @property
    def coef_(self) -> Floats:
        """Return the terms' coefficients, by unit of their columns; shape (terms,), of a classifier (1, terms)."""
        found = np.array([each.value for each in self.model.table().terms])
        return found[None] if self.kind == "logistic" else found

    @property
    def intercept_(self) -> Floats | float:
        """Return the intercept at zero of every column; of a classifier of shape (1,)."""
        value = self.model.table().intercept
        return np.array([value]) if self.kind == "logistic" else value


class LinearRegression(_Regression):
    """A number on terms, by least squares."""

    kind = "linear"


class LogisticRegression(_Regression):
    """The odds of a condition on terms."""

    kind = "logistic"

    @property
    def classes_(self) -> NDArray[np.str_]:
        """Return what ``predict`` answers: N and Y."""
        return np.array(self.model.classes)

    def predict_proba(self, frame: DataFrame) -> Floats:
        """Return the probability of no and of yes, of shape (rows, 2)."""
        return self.model.probabilities(frame)

    def decision_function(self, frame: DataFrame) -> Floats:
        """Return the log odds."""
        return self.model.predictor(frame)


class PoissonRegression(_Regression):
    """A count on terms, by an amount of exposure."""

    kind = "poisson"


class CoxRegression(_Regression):
    """The hazard of an event on terms; ``predict`` returns it beside that of the baseline."""

    kind = "cox"

    def predict_survival(self, frame: DataFrame, times: Sequence[float]) -> Floats:
        """Return the probability to be free of the event at each time, of shape (rows, times)."""
        return self.model.survival(frame, np.asarray(times, dtype=np.float64))


class Network(Estimator):
    """A network of linear layers: hidden widths and activations, or a ``torch.nn.Sequential`` of such layers."""

    kind = "network"

    def __init__(self, layers: Any = (16, "relu"), **settings: Any) -> None:
        """Take the layers, the last of which is added in a list and is there in a module; raise FarrError otherwise."""
        super().__init__(**settings)
        self.layers = layers

    def fit(self, federation: Federation, **asked: Any) -> Self:
        """Train over a federation; see ``Estimator.fit``. A module must fit terms and classes."""
        if not isinstance(self.layers, (list, tuple)):
            declared = layers_of(self.layers)
            recipe = self.recipe(**{name: value for name, value in asked.items() if name != "told"})
            shape = prepare(recipe, federation.catalogue, federation.known.roster.nodes).shape
            if (declared.columns, declared.outputs) != (shape.columns, shape.classes or 1):
                raise FarrError(
                    "module",
                    _(
                        "the module takes {given} numbers and gives {outputs}: the model has {columns} and {classes}"
                    ).format(
                        given=declared.columns,
                        outputs=declared.outputs,
                        columns=shape.columns,
                        classes=shape.classes or 1,
                    ),
                )
        return super().fit(federation, **asked)

    @property
    def classes_(self) -> NDArray[np.str_]:
        """Return what is told apart; empty of a number."""
        return np.array(self.model.classes)

    def predict_proba(self, frame: DataFrame) -> Floats:
        """Return the probability of each class, of shape (rows, classes)."""
        return self.model.probabilities(frame)

    def _more(self) -> dict[str, object]:
        held = self.layers
        layers = list(held) if isinstance(held, (list, tuple)) else list(layers_of(held).hidden)
        return {"network": {"layers": layers}}


def _listed(value: object) -> object:
    """Return a sequence as the list that a file would have; a text is none."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _decimal(value: Decimal) -> str:
    """Write a number as recipes have it; whatever is none as it is, to be refused with its key."""
    try:
        return f"{float(value):.9f}".rstrip("0").rstrip(".")
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _silent(_progress: Progress) -> None:
    """Say nothing."""
