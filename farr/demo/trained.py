"""The model that the demo trains, beside the same model fitted without any noise to the pooled records.

The pooled fit takes the same arithmetic as the hospitals', round for round, so that what is apart is the noise and the
patients held out; its rows are read by plain SQL on the trial's own columns and codes, all records in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from farr.training.card import coefficient_of, evaluation_of, privacy_of
from farr.training.coefficients import Coefficient
from farr.training.frames import Rows, design_of
from farr.training.rehearsal import exactly
from farr.training.trained import Trained
from queries.models.fitted import Figure, Floats

if TYPE_CHECKING:
    from pandas import DataFrame

MODEL = Path(__file__).parent / "poor_outcome.toml"
"""What is trained."""

_POOLED = """\
SELECT AGE::INT AS age, SEX AS sex, RCONSC AS consciousness, STYPE AS stroke_type,
       CASE OCCODE WHEN '1' THEN 'dead' WHEN '2' THEN 'dependent' WHEN '3' THEN 'not_recovered'
                   WHEN '4' THEN 'recovered' END AS outcome_6_months
FROM (SELECT nullif(trim(COLUMNS(*)), '') FROM read_csv(?, header = true, all_varchar = true))
WHERE OCCODE IN ('1', '2', '3', '4')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One coefficient as it was trained and as it is without noise."""

    trained: Coefficient
    """By unit of the column, with its errors."""
    exact: Coefficient
    """Of the pooled records."""

    @property
    def covered(self) -> bool:
        """Tell whether the interval, noise and sampling counted, holds the exact coefficient."""
        return self.trained.low <= self.exact.value <= self.trained.high

    @property
    def hidden(self) -> bool:
        """Tell whether the interval leaves open on which side of nothing the coefficient is."""
        return self.trained.low <= 0 <= self.trained.high


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model that was trained over the hospitals, beside the pooled one."""

    trained: Trained
    """What the hospitals' sums gave."""
    coefficients: tuple[Beside, ...]
    """In the model's order, the intercept first."""
    area: float
    """Under the ROC curve of the trained model, over all pooled records."""
    exact_area: float
    """Of the pooled model, over the same records to which it was fitted."""
    seconds: float
    """From the first request to the model."""

    @property
    def held_out(self) -> Figure | None:
        """Return the area under the ROC curve as the hospitals tell it, of patients held out; None: they did not."""
        evaluation = self.trained.fitted.evaluation
        return None if evaluation is None else evaluation.figure("auc")

    @property
    def units(self) -> int:
        """Return what the run cost, in ledger units."""
        return 0 if self.trained.run is None else self.trained.run.spent_units

    @property
    def covered(self) -> int:
        """Return how many intervals hold the exact coefficient."""
        return sum(each.covered for each in self.coefficients)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        trained, kind = self.trained, self.trained.kind
        evaluation = trained.fitted.evaluation
        return {
            "model": trained.prepared.recipe.to_plain(),
            "coefficients": [
                coefficient_of(each.trained, kind) | {"exact": each.exact.value, "covered": each.covered}
                for each in self.coefficients
            ],
            "evaluation": None if evaluation is None else evaluation_of(evaluation),
            "area": {"trained": self.area, "exact": self.exact_area},
            "privacy": privacy_of(trained),
            "rounds": 0 if trained.run is None else len(trained.run.answered),
            "seconds": round(self.seconds, 3),
        }


def beside_the_pooled(trained: Trained, data: Path, seconds: float) -> TrainedModel:
    """Fit a trained model once more, to the hospitals' pooled records and without noise."""
    prepared, frame = trained.prepared, _pooled(data)
    design = design_of(prepared.step, Rows(frame, prepared.setting), prepared.setting)
    exact = Trained(fitted=exactly(prepared.model, prepared.shape, (design,)), prepared=prepared, run=None)
    return TrainedModel(
        trained=trained,
        coefficients=tuple(
            Beside(trained=one, exact=other)
            for one, other in zip(trained.table().coefficients, exact.table().coefficients, strict=True)
        ),
        area=area(trained.predictor(frame), design.outcome),
        exact_area=area(exact.predictor(frame), design.outcome),
        seconds=seconds,
    )


def area(scores: Floats, events: Floats) -> float:
    """Return the area under the ROC curve: how often a case has the higher score, ties counted half."""
    cases, others = scores[events > 0], np.sort(scores[events <= 0])
    below = np.searchsorted(others, cases, "left") + np.searchsorted(others, cases, "right")
    return float(below.sum() / (2 * len(cases) * len(others)))


def _pooled(data: Path) -> DataFrame:
    import duckdb

    with duckdb.connect() as database:
        files = [str(file) for file in sorted(data.glob("*/admission.csv"))]
        return database.execute(_POOLED, [files]).df()
