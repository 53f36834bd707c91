"""Which picture fits an answer, and the answer laid out for it: what runs along the axis, what is told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from queries.agreed.scales import BAND, CODE, DATE, SEASON
from queries.answers.answer import Answer, AnswerColumn
from queries.answers.figures import ALL, Estimate

TIME, TERM, PAIRS, POINT, FIGURES = "time", "term", "groups", "point", "figure"
"""What statistics call their axes: times of a curve, terms of a model, pairs compared, places in a distribution, and
figures of unlike kinds."""

MOST_DODGED = 4
"""Most columns side by side in one band; more groups make a heat map."""

LEAST_CODES = 4
"""Of one code set in two columns, from which on pairs are a graph rather than a map."""


class Shape(StrEnum):
    """A kind of picture."""

    NUMBERS = "numbers"
    BARS = "bars"
    COLUMNS = "columns"
    LINES = "lines"
    CURVE = "curve"
    FOREST = "forest"
    HEAT = "heat"
    GRAPH = "graph"


ORDER = (TIME, TERM, PAIRS, POINT, DATE, BAND, SEASON)
"""Which key runs along the axis: the first of these; else the first key."""

IN_ORDER = (TIME, POINT, DATE, BAND, SEASON)
"""Scales whose places stand in their natural order, whatever the order of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cell along an axis, or one of several groups."""

    code: str
    """As in the answer; of several keys, their codes joined."""
    label: str
    """For people; empty for the one group of a picture without groups."""


@dataclass(frozen=True, kw_only=True)
class Laid:
    """An answer laid out for a picture."""

    shape: Shape
    """Which picture."""
    scale: str
    """Of the key along the axis; empty without keys."""
    along_name: str
    """Its name; empty without keys."""
    group_name: str
    """Names of the other keys."""
    along: tuple[Place, ...]
    """Places along the axis."""
    groups: tuple[Place, ...]
    """What is told apart; at least one."""
    columns: tuple[AnswerColumn, ...]
    """Those with figures."""
    figures: Mapping[tuple[str, str, str], Estimate]
    """By column name, code of the group and code along the axis."""

    def row(self, column: AnswerColumn, group: Place) -> list[Estimate | None]:
        """Return the figures of a group along the axis; None where the answer shows none."""
        return [self.figures.get((column.name, group.code, place.code)) for place in self.along]


def laid_out(answer: Answer) -> Laid:
    """Return the picture that fits an answer, and what it shows. Rows of subtotals are left out."""
    keys = [place for place, column in enumerate(answer.columns) if column.kind == "key"]
    estimates = [place for place, column in enumerate(answer.columns) if column.kind == "estimate"]
    rows = [row for row in answer.rows if not any(row.cells[key] == ALL.code for key in keys)]
    columns = {key: answer.columns[key] for key in keys}
    scales = [columns[key].scale or CODE for key in keys]
    lead = min(keys, key=lambda key: _rank(columns[key].scale)) if keys else None
    others = [key for key in keys if key != lead]

    def place(cells: Sequence[str | Estimate], of: Sequence[int]) -> Place:
        codes = [str(cells[key]) for key in of]
        labels = [answer.labels.get(columns[key].name, {}).get(code, code) for key, code in zip(of, codes, strict=True)]
        return Place(code="\x1f".join(codes), label=" · ".join(labels))

    led = [] if lead is None else [lead]
    along = tuple(dict.fromkeys(place(row.cells, led) for row in rows))
    groups = tuple(dict.fromkeys(place(row.cells, others) for row in rows))
    scale = columns[lead].scale or CODE if lead is not None else ""
    if lead is not None and scale in IN_ORDER:
        along = _in_order(along, answer.labels.get(columns[lead].name, {}), gaps=scale == DATE)
    return Laid(
        shape=_shape(answer, scales, groups),
        scale=scale,
        along_name=columns[lead].name if lead is not None else "",
        group_name=" · ".join(columns[key].name for key in others),
        along=along,
        groups=groups,
        columns=tuple(answer.columns[each] for each in estimates),
        figures={
            (answer.columns[each].name, place(row.cells, others).code, place(row.cells, led).code): found
            for row in rows
            for each in estimates
            if isinstance(found := row.cells[each], Estimate)
        },
    )


def _shape(answer: Answer, scales: list[str], groups: tuple[Place, ...]) -> Shape:
    if not scales or FIGURES in scales:
        return Shape.NUMBERS
    if TIME in scales:
        return Shape.CURVE
    if TERM in scales or PAIRS in scales:
        return Shape.FOREST
    if POINT in scales or DATE in scales:
        return Shape.LINES
    if BAND in scales or SEASON in scales:
        return Shape.COLUMNS if len(groups) <= MOST_DODGED else Shape.HEAT
    if len(scales) == 1:
        return Shape.BARS
    first, second, *_more = (answer.labels.get(column.name, {}) for column in answer.columns if column.kind == "key")
    same = len(scales) == 2 and first == second and len(first) >= LEAST_CODES  # noqa: PLR2004  a graph has pairs
    return Shape.GRAPH if same else Shape.HEAT


def _rank(scale: str) -> int:
    return ORDER.index(scale) if scale in ORDER else len(ORDER)


def _in_order(along: tuple[Place, ...], labels: Mapping[str, str], *, gaps: bool) -> tuple[Place, ...]:
    """Return the places in the order of their codes; with ``gaps``, also those between them that no row shows."""
    order = [code for code in labels if code != ALL.code]
    shown = {place.code: place for place in along}
    if not set(shown) <= set(order):
        return along
    at = [order.index(code) for code in shown]
    kept = order[min(at) : max(at) + 1] if gaps and at else order
    return tuple(shown.get(code) or Place(code=code, label=labels[code]) for code in kept if gaps or code in shown)
