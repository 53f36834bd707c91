"""A model that was trained: what it predicts, what its coefficients say, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from farr.errors import FarrError
from farr.texts import _, language
from farr.training.coefficients import RATIOS, Table, table_of
from farr.training.frames import Rows
from farr.training.runs import Run
from farr.training.terms import Prepared
from queries.asked.plan import NumberTerm
from queries.models.columns import scaling
from queries.models.fitted import Fitted, Floats
from queries.models.network import outputs

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_PREDICTOR = 30.0
"""Where linear predictors are cut, as in training."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model and its run."""

    fitted: Fitted
    """The coefficients or weights."""
    prepared: Prepared
    """What they are of."""
    run: Run | None
    """How they came about; None for one that was rehearsed on fake rows."""
    stopped: FarrError | None = None
    """Why the run stopped before its end; None: it did not."""

    def __repr__(self) -> str:
        """Return what it is, in a line."""
        recipe, run = self.prepared.recipe, self.run
        source = "fake rows" if run is None else f"run {run.id[:8]}"
        return f"<{recipe.kind} model {recipe.name} of {self.fitted.coefficients.size} numbers, {source}>"

    @property
    def kind(self) -> str:
        """Return the kind of model."""
        return self.prepared.recipe.kind

    @property
    def fake(self) -> bool:
        """Tell whether it was trained on fake rows and says nothing about anybody."""
        return self.run is None

    @property
    def classes(self) -> tuple[str, ...]:
        """Return what is told apart: no and yes, or the codes of the outcome; empty of a number."""
        outcome = self.prepared.step.outcome
        if isinstance(outcome, NumberTerm):
            return ()
        return tuple(code.code for code in self.prepared.setting.codes(outcome))

    def table(self) -> Table:
        """Return the coefficients in units of the columns, named in the language in use."""
        return table_of(self.prepared, self.fitted, language())

    def summary(self) -> DataFrame:
        """Return the coefficients: by unit of their columns and scaled, standard errors by the noise and in all.

        ``low`` and ``high`` are the ends of the 95 % interval with noise and sampling; logistic, Poisson and Cox models
        have the ratio with its interval too. A network has no rows.
        """
        import pandas as pd

        table = self.table()
        rows = []
        for each in table.coefficients[table.baselines :]:
            row: dict[str, object] = {
                "coefficient": each.value,
                "unit": each.unit,
                "scaled": each.scaled,
                "se_noise": each.noise_error,
                "se": each.error,
                "low": each.low,
                "high": each.high,
            }
            if self.kind in RATIOS:
                name = RATIOS[self.kind].replace(" ", "_")
                row[name], row[f"{name}_low"], row[f"{name}_high"] = each.ratio()
            rows.append(row)
        return pd.DataFrame(rows, index=[each.name for each in table.coefficients[table.baselines :]])

    def predictor(self, frame: DataFrame) -> Floats:
        """Return the linear predictor of rows in catalogue columns; of a network what its last layer gives.

        Shape (rows,), of a network that tells codes apart (rows, codes). A value that is missing counts as the middle
        of its column's bounds, or as the first group. Raises FarrError where the model reads a column that is not
        there. Of a Cox model it is the log hazard beside that of a patient with zeros in all scaled columns.
        """
        step, shape = self.prepared.step, self.prepared.shape
        x = Rows(frame, self.prepared.setting).matrix(step)
        held = self.fitted.coefficients
        if shape.layers:
            found: Floats = outputs(x, held, shape.layers)
            return found if shape.classes else found[:, 0]
        first = shape.baselines or 1
        terms = x @ held[first:]
        return np.clip(terms if shape.baselines else held[0] + terms, -MOST_PREDICTOR, MOST_PREDICTOR)

    def probabilities(self, frame: DataFrame) -> Floats:
        """Return the probability of each class, of shape (rows, classes); raise FarrError for a model of a number."""
        if self.kind == "cox" or not self.classes:
            raise FarrError(
                "no-classes",
                _("a model of kind {kind} tells no classes apart").format(kind=self.kind),
                remedy=_("use predict"),
            )
        predictor = self.predictor(frame)
        if predictor.ndim == 1:
            yes = 1 / (1 + np.exp(-predictor))
            return np.column_stack([1 - yes, yes])
        odds = np.exp(predictor - predictor.max(axis=1, keepdims=True))
        found: Floats = odds / odds.sum(axis=1, keepdims=True)
        return found

    def predict_proba(self, frame: DataFrame) -> Floats:
        """Return the same, under the name that it has in scikit-learn."""
        return self.probabilities(frame)

    def expected(self, frame: DataFrame) -> Floats:
        """Return the number that is expected: in units of the outcome, as a count, or a hazard beside the baseline's.

        Raises FarrError for a model that tells classes apart.
        """
        step, predictor = self.prepared.step, self.predictor(frame)
        if self.kind in ("poisson", "cox"):
            amount: Floats = np.ones(len(frame))
            if step.exposure is not None:
                column = self.prepared.setting.number(step.exposure, "step")
                amount = Rows(frame, self.prepared.setting).steps(step.exposure) / column.high
            counts: Floats = amount * np.exp(predictor)
            return counts
        if not isinstance(step.outcome, NumberTerm):
            raise FarrError("no-number", _("the model tells classes apart"), remedy=_("use predict_proba"))
        scale = scaling(self.prepared.setting.number(step.outcome.column, "step"))
        numbers: Floats = float(scale.middle) + float(scale.half) * predictor
        return numbers

    def survival(self, frame: DataFrame, times: Floats) -> Floats:
        """Return the probability to be free of the event at each time, of shape (rows, times); Cox models only.

        ``times`` are in units of the time's column. With strata the frame has their columns.
        """
        step, shape = self.prepared.step, self.prepared.shape
        if step.time is None:
            raise FarrError("no-time", _("only Cox models follow patients over time"))
        column = self.prepared.setting.number(step.time.column, "step")
        rows = Rows(frame, self.prepared.setting)
        stratum = np.zeros(rows.count, dtype=np.intp)
        for key in step.strata:
            stratum = stratum * self.prepared.setting.size(key) + np.maximum(rows.cells(key), 0)
        edges = np.array(shape.intervals, dtype=np.float64)
        at = np.asarray(times, dtype=np.float64) / float(column.step)
        spent = np.clip((at[:, None] - edges[None, :-1]) / np.diff(edges), 0, 1)
        hazards = np.exp(self.fitted.coefficients[: shape.baselines]).reshape(shape.strata, -1)
        cumulative = (hazards @ spent.T)[stratum]
        left: Floats = np.exp(-cumulative * np.exp(self.predictor(frame))[:, None])
        return left

    def predict(self, frame: DataFrame) -> Floats | list[str]:
        """Return the likelier class of each row, or the number that is expected."""
        if self.kind == "cox" or not self.classes:
            return self.expected(frame)
        chosen = self.probabilities(frame).argmax(axis=1)
        return [self.classes[place] for place in chosen]
