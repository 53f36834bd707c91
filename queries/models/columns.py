"""The columns of a model's terms: how many, what they are called, and how numbers are scaled.

Scaling is by the catalogue's bounds, so it is public and the same everywhere: no mean or spread of anybody's data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from queries.agreed.catalogue import Code, Label, NumberColumn
from queries.asked.plan import Layer, ModelTerm, NumberTerm, Step
from queries.asked.terms import INTERCEPT, key_terms, number_term, unlike
from queries.cost.setting import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How a number is scaled: less ``middle``, over ``half``. Both in units of the column."""

    middle: Fraction
    """The middle of the column's bounds."""
    half: Fraction
    """Half the distance of the bounds; above 0."""


def scaling(column: NumberColumn) -> Scaling:
    """Return what takes a column's values into [-1, 1]: a scaled coefficient over ``half`` is one by unit."""
    return Scaling(
        middle=column.in_units(Fraction(column.low + column.high, 2)),
        half=column.in_units(Fraction(column.high - column.low, 2)),
    )


def columns_of(term: ModelTerm, setting: Setting) -> int:
    """Return how many columns a term has: one of a number, of a key one for each cell after its first."""
    return 1 if isinstance(term, NumberTerm) else setting.size(term) - 1


def column_codes(step: Step, setting: Setting) -> tuple[Code, ...]:
    """Return the names of the columns of the terms, in order, for people."""
    found: list[Code] = []
    for term in step.terms:
        if isinstance(term, NumberTerm):
            found.append(number_term(setting.number(term.column, "step")))
        else:
            found += key_terms(term, setting)
    return tuple(found)


def names(step: Step, setting: Setting) -> tuple[Code, ...]:
    """Return the names of all coefficients or weights, in the order of the step's point, each unlike the others."""
    columns = column_codes(step, setting)
    if step.layers:
        return tuple(_plain(name) for name in _weight_names(step.layers, columns))
    if step.time is None:
        return unlike((INTERCEPT, *columns))
    intervals = setting.codes(step.time)
    strata = product(*(setting.codes(key) for key in step.strata))
    baselines = tuple(_baseline(interval, cells) for cells in strata for interval in intervals)
    return unlike((*baselines, *columns))


def _baseline(interval: Code, cells: tuple[Code, ...]) -> Code:
    code = ", ".join((f"baseline {interval.code}", *(cell.code for cell in cells)))
    english = ", ".join((f"baseline hazard {interval.label.en}", *(cell.label.en for cell in cells)))
    chinese = "，".join((f"基线风险 {interval.label.zh}", *(cell.label.zh for cell in cells)))
    return Code(code=code, label=Label(en=english, zh=chinese))


def _weight_names(layers: tuple[Layer, ...], columns: tuple[Code, ...]) -> Iterator[str]:
    given = [column.code for column in unlike(columns)]
    for number, layer in enumerate(layers, start=1):
        if layer.kind == "linear":
            for out in range(1, layer.width + 1):
                yield from (f"layer {number}: {name} to {out}" for name in given)
            yield from (f"layer {number}: bias {out}" for out in range(1, layer.width + 1))
            given = [str(out) for out in range(1, layer.width + 1)]


def _plain(name: str) -> Code:
    return Code(code=name, label=Label(en=name, zh=name))
