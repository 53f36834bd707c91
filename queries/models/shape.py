"""The shape of a model: how many coefficients it has and in which order, from public facts alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from queries.agreed.domains import FLAGS
from queries.asked.plan import CodeKey, Layer, Step
from queries.cost.setting import Setting
from queries.models.columns import columns_of

LOSS = ("patients", "loss")
"""What the two numbers of a loss are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a step's arrays look like, the same at the client and at every hospital."""

    columns: int
    """Columns of the terms, without the intercept."""
    strata: int = 1
    """Cells of a Cox model's strata; 1 without any."""
    intervals: tuple[int, ...] = ()
    """Of a Cox model, where each interval of time starts, in steps of its column, then one step after the column's
    upper bound. A row that was followed for t exits in the last interval that starts at or before t. Else empty."""
    classes: int = 0
    """Of a network that tells codes apart, how many; 0 for one number."""
    layers: tuple[Layer, ...] = ()
    """Of a network; else empty."""

    @property
    def baselines(self) -> int:
        """Return the number of a Cox model's log baseline hazards: strata by intervals, stratum slowest; else 0."""
        return self.strata * (len(self.intervals) - 1) if self.intervals else 0

    @property
    def width(self) -> int:
        """Return the number of coefficients or weights: q."""
        if self.layers:
            return weights_of(self.columns, self.layers)
        return self.baselines + self.columns if self.intervals else 1 + self.columns


def shape_of(step: Step, setting: Setting) -> Shape:
    """Return the shape of a step; raise PlanError where a column or a key does not fit the catalogue."""
    intervals: tuple[int, ...] = ()
    if step.time is not None:
        intervals = (*step.time.starts, setting.number(step.time.column, "step").high + 1)
    return Shape(
        columns=sum(columns_of(term, setting) for term in step.terms),
        strata=prod(setting.size(key) for key in step.strata),
        intervals=intervals,
        classes=setting.size(step.outcome) if isinstance(step.outcome, CodeKey) else 0,
        layers=step.layers,
    )


def weights_of(columns: int, layers: tuple[Layer, ...]) -> int:
    """Return the number of weights of a network: of each linear layer, out x in of the matrix and out of the bias."""
    given, found = columns, 0
    for layer in layers:
        if layer.kind == "linear":
            found += layer.width * (given + 1)
        given = layer.width
    return found


def sum_width(want: str, step: Step, shape: Shape) -> int:
    """Return how many numbers one of a step's sums has."""
    if want == "gradient":
        return shape.width
    if want == "information":
        return shape.width * (shape.width + 1) // 2
    if want == "loss":
        return len(LOSS)
    intervals = len(shape.intervals) - 1 if shape.intervals else 1
    return (len(step.cuts) + 1) * intervals * len(FLAGS)
