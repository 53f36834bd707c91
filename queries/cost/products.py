"""Sums of products of a model's terms over complete rows: what linear regression and correlation are computed from.

The terms are 1, numbers scaled to [-1, 1] by their public bounds, and an indicator for each cell of a group but its
first. A group's indicators exclude each other, so they are not summed one by one: rows and values are summed by the
group's cells, rows also by the cells of each two groups. Every sum is then a known bilinear form of the matrix of
products, and weighted least squares over all of them finds the matrix (they overlap: each group's rows add up to all).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import NumberColumn
from queries.answers.normal import normal
from queries.answers.quantity import Floats, NoisyBlock
from queries.asked.plan import (
    Aggregate,
    AttributeKey,
    BandKey,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Key,
    Members,
    Missing,
    Not,
    Predicate,
    SiteIs,
    Some,
)
from queries.cost.moments import FINEST_SQUARES, moments_of
from queries.cost.setting import Setting
from queries.cost.tally import Block, Measure, ProductSum, RowCount, ValueSum

_LEAST = 1e-30
"""Least variance of noise that is reckoned with: without any, all sums count alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is multiplied: regressors first, the outcome last."""

    numbers: tuple[NumberColumn, ...]
    """Number columns; the last one is the outcome."""
    keys: tuple[Key, ...]
    """Groups."""
    sizes: tuple[int, ...]
    """Cells of each group."""

    @property
    def width(self) -> int:
        """Return the number of terms, 1 and the outcome included."""
        return 1 + len(self.numbers) + sum(cells - 1 for cells in self.sizes)

    @property
    def regressors(self) -> int:
        """Return the number of terms but the outcome."""
        return self.width - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much of the privacy loss each kind of sum gets."""

    rows: int
    """Rows, and rows by groups."""
    regressors: int
    """Values and products of regressors."""
    outcome: int
    """Values of the outcome."""
    cross: int
    """Products of the outcome and regressors."""
    square: int
    """The outcome's squares."""


@dataclass(frozen=True, kw_only=True)
class Products:
    """The matrix of summed products in every cell, and the noise in it."""

    matrix: Floats
    """Shape (cells, terms, terms), symmetric, in scaled units: 1, numbers of regressors, indicators, the outcome."""
    noise: Floats
    """Covariance of the noise in entries (i, j) and (k, l), by i, j, k and l; the same in every cell."""


def terms_of(aggregate: Aggregate, setting: Setting) -> Terms:
    """Return an aggregate's terms; it was checked."""
    names = (*aggregate.columns, aggregate.column)
    return Terms(
        numbers=tuple(setting.number(name, aggregate.statistic) for name in names),
        keys=aggregate.by,
        sizes=tuple(setting.size(key) for key in aggregate.by),
    )


def blocks_of(aggregate: Aggregate, setting: Setting, weights: Weights) -> tuple[Block, ...]:
    """Return the blocks of the sums, all over the rows in which every number and every group is known.

    Guarantee: a row adds to one cell of each block at most, whatever the groups are, so a block's sensitivity does not
    grow with them. Test: tests/queries/test_stat_linear.py::test_one_row_moves_each_block_by_its_bound_at_most.
    """
    terms = terms_of(aggregate, setting)
    complete = [Not(term=Missing(column=number.name)) for number in dict.fromkeys(terms.numbers)]
    known = [_known(key, setting) for key in terms.keys]
    where = normal(Every(terms=(aggregate.where, *complete, *known)), setting.table)
    return tuple(
        Block(
            keys=(*setting.keys, *(terms.keys[key] for key in each.keys)),
            measure=_measure(each, terms),
            where=where,
            weight=_weight(each, terms, weights),
        )
        for each in _sums(terms)
    )


def products(terms: Terms, blocks: Sequence[NoisyBlock]) -> Products:
    """Return the matrix of products from the noisy sums of ``blocks_of``, in that order."""
    layout = _layout(terms)
    values, variances = [], []
    for each, block in zip(_sums(terms), blocks, strict=True):
        scale = _scale(each, terms)
        cells = int(np.prod([terms.sizes[key] for key in each.keys], dtype=np.int64))
        values.append(block.values.reshape(-1, cells) * scale)
        variances.append(np.full(cells, block.variance * scale**2))
    precision = 1 / np.maximum(np.concatenate(variances), _LEAST)
    spread = np.linalg.inv(layout.forms.T @ (precision[:, None] * layout.forms))
    found = np.concatenate(values, axis=1) @ (precision[:, None] * layout.forms) @ spread
    # One more entry, always zero and without noise: the product of two indicators of one group.
    found = np.concatenate([found, np.zeros((len(found), 1))], axis=1)
    spread = np.pad(spread, (0, 1))
    return Products(
        matrix=found[:, layout.entries],
        noise=spread[layout.entries[:, :, None, None], layout.entries[None, None, :, :]],
    )


# --- the sums ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sum:
    """One sum in the cells of up to two groups."""

    numbers: tuple[int, ...] = ()
    """None: rows. One: its values. Two: their products."""
    keys: tuple[int, ...] = ()
    """Groups."""


def _sums(terms: Terms) -> Iterator[_Sum]:
    groups = range(len(terms.keys))
    single: list[tuple[int, ...]] = [(group,) for group in groups] or [()]
    pairs: list[tuple[int, ...]] = list(combinations(groups, 2)) or single
    yield from (_Sum(keys=keys) for keys in pairs)
    for number in range(len(terms.numbers)):
        yield from (_Sum(numbers=(number,), keys=keys) for keys in single)
    yield from (_Sum(numbers=two) for two in combinations_with_replacement(range(len(terms.numbers)), 2))


def _measure(each: _Sum, terms: Terms) -> Measure:
    if not each.numbers:
        return RowCount()
    columns = [terms.numbers[number] for number in each.numbers]
    moments = [moments_of(column) for column in columns]
    if len(columns) == 1:
        return ValueSum(column=columns[0].name, centre=moments[0].centre, bound=moments[0].reach)
    # In the order of names, so that two statistics that need the same products share them.
    (left, one), (right, other) = sorted(zip(columns, moments, strict=True), key=lambda pair: pair[0].name)
    reach, unit = one.reach * other.reach, _unit(one.reach * other.reach)
    return ProductSum(
        left=left.name,
        right=right.name,
        left_centre=one.centre,
        right_centre=other.centre,
        unit=unit,
        bound=-(-reach // unit),
    )


def _scale(each: _Sum, terms: Terms) -> float:
    """Return what turns a block's units into those of numbers scaled to [-1, 1]."""
    reach = 1
    for number in each.numbers:
        reach *= moments_of(terms.numbers[number]).reach
    return (_unit(reach) if len(each.numbers) > 1 else 1) / reach


def _unit(reach: int) -> int:
    return max(1, -(-reach // FINEST_SQUARES))


def _weight(each: _Sum, terms: Terms, weights: Weights) -> int:
    if not each.numbers:
        return weights.rows
    outcome = len(terms.numbers) - 1
    of_outcome = each.numbers.count(outcome)
    if len(each.numbers) == 1:
        return weights.outcome if of_outcome else weights.regressors
    return (weights.regressors, weights.cross, weights.square)[of_outcome]


def _known(key: Key, setting: Setting) -> Predicate:
    """Return the condition that a row has a cell by a key."""
    if isinstance(key, FlagKey):
        # Of a row of which the condition is unknown, so is this: it is not counted.
        return Some(terms=(key.term, Not(term=key.term)))
    if isinstance(key, BandKey):
        return Not(term=Missing(column=key.column))
    if isinstance(key, DateKey):
        return During(column=key.column, first=key.first, last=key.last)
    if isinstance(key, CodeKey) and key.level is None:
        return Not(term=Missing(column=key.column))
    codes = tuple(sorted(code.code for code in setting.codes(key)))
    if isinstance(key, CodeKey):
        return Members(column=key.column, codes=codes, level=key.level)
    return SiteIs(attribute=key.attribute if isinstance(key, AttributeKey) else None, codes=codes)


# --- the matrix -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How sums follow from the matrix."""

    entries: NDArray[np.intp]
    """By two terms, the entry that holds their product, shape (terms, terms); the last one is always zero."""
    forms: Floats
    """By cell of each sum, its weights on the entries but the last, shape (measured, entries)."""


@lru_cache(maxsize=64)
def _layout(terms: Terms) -> _Layout:
    entries, count = _entries(terms)
    rows = []
    for each in _sums(terms):
        left = [_unit_vector(terms, _place(terms, number)) for number in each.numbers]
        for cell in np.ndindex(*(terms.sizes[key] for key in each.keys)):
            factors = [*left, *(_indicator(terms, key, at) for key, at in zip(each.keys, cell, strict=True))]
            # At most two of numbers and groups meet in a sum; 1 takes the place of what is not there.
            one, other = factors + [_unit_vector(terms, 0)] * (2 - len(factors))
            form = np.zeros(count + 1)
            np.add.at(form, entries.reshape(-1), np.outer(one, other).reshape(-1))
            rows.append(form[:-1])
    return _Layout(entries=entries, forms=np.array(rows))


def _place(terms: Terms, number: int) -> int:
    """Return the term of a number: the outcome is last, after the indicators."""
    return terms.width - 1 if number == len(terms.numbers) - 1 else 1 + number


def _first(terms: Terms, key: int) -> int:
    """Return the term of a group's second cell."""
    return len(terms.numbers) + sum(cells - 1 for cells in terms.sizes[:key])


def _unit_vector(terms: Terms, place: int) -> Floats:
    vector: Floats = np.zeros(terms.width)
    vector[place] = 1.0
    return vector


def _indicator(terms: Terms, key: int, cell: int) -> Floats:
    """Return whether a row is in a cell, as a sum of terms: the first cell is 1 less all others."""
    first = _first(terms, key)
    if cell:
        return _unit_vector(terms, first + cell - 1)
    vector = _unit_vector(terms, 0)
    vector[first : first + terms.sizes[key] - 1] = -1.0
    return vector


def _entries(terms: Terms) -> tuple[NDArray[np.intp], int]:
    """Return by two terms the number of the entry of their product, and how many entries there are but the zero."""
    group = [-1] * terms.width
    for key, cells in enumerate(terms.sizes):
        for place in range(_first(terms, key), _first(terms, key) + cells - 1):
            group[place] = key
    entries = np.zeros((terms.width, terms.width), dtype=np.intp)
    count = 0
    for one in range(terms.width):
        for other in range(one, terms.width):
            if one == other and group[one] >= 0:
                # An indicator's square is the indicator.
                number = int(entries[0, one])
            elif group[one] >= 0 and group[one] == group[other]:
                number = -1
            else:
                number, count = count, count + 1
            entries[one, other] = entries[other, one] = number
    return np.where(entries < 0, count, entries), count
