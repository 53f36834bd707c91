"""Many releases of one figure in a single call, and tallies of simulated patients without a database.

``Statistic.read`` works cell by cell, so releases are laid out as cells: thousands of them are read at once, by the
code that analysts' figures go through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import Catalogue, CodeColumn, NumberColumn, Table
from queries.answers.finding import Finding
from queries.answers.quantity import NoisyBlock, Quantity
from queries.asked.plan import BandKey, CodeKey, FlagKey, Key, Members
from queries.asked.question import Question
from queries.asked.reading import Reading
from queries.cost.accounting import rho_of
from queries.cost.measurement import Measurement, calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.setting import Setting
from queries.cost.tally import ProductSum, RowCount, Tally, ValueSum, tally
from queries.statistics import STATISTICS
from queries.statistics.interface import Sums

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Codes = dict[str, Ints]
"""Of simulated patients, by column: the place of a code in its set, or a number in steps; nothing is missing."""


@dataclass(frozen=True)
class Figures:
    """One reading of many releases, arrays of shape (releases, figures)."""

    value: Floats
    low: Floats
    high: Floats
    total_low: Floats | None
    total_high: Floats | None

    def covered(self, truth: Sequence[float] | Floats, *, total: bool = False) -> Floats:
        """Share of releases whose interval holds the truth, by figure, of those that have a value."""
        low, high = (self.total_low, self.total_high) if total else (self.low, self.high)
        inside = (low <= truth) & (truth <= high)
        return np.array([each[ok].mean() for each, ok in zip(inside.T, np.isfinite(self.value).T, strict=True)])

    def bias(self, truth: Sequence[float] | Floats) -> Floats:
        """Mean error over its standard error, by figure: beyond 4 in size, it is biased."""
        errors = self.value - truth
        return np.nanmean(errors, axis=0) / (np.nanstd(errors, axis=0) / np.sqrt(np.isfinite(errors).sum(axis=0)))

    def error(self, truth: Sequence[float] | Floats) -> Floats:
        """Root mean square error, by figure."""
        return np.sqrt(np.nanmean((self.value - truth) ** 2, axis=0))


@dataclass(frozen=True)
class Drawn:
    """A question of one aggregate in one cell, to be released as often as wanted."""

    catalogue: Catalogue
    question: Question

    @cached_property
    def tally(self) -> Tally:
        """The shape of the vector."""
        return tally(self.question.plan, self.catalogue)

    @property
    def table(self) -> Table:
        """The table that is asked."""
        return self.catalogue.table(self.question.part.table)

    def measurement(self, epsilon: float) -> Measurement:
        """The noise at a price."""
        return calibrate(self.tally, of_tally(self.tally, self.catalogue.sites_per_patient), rho_of(epsilon), 1)

    def released(self, exact: Ints, epsilon: float, rng: np.random.Generator, *, times: int = 1) -> Floats:
        """Noisy vectors in units of the blocks: ``exact`` has shape (releases, entries).

        ``times`` > 1 is the naive way, where each of so many hospitals adds the whole noise.
        """
        return exact + rng.normal(size=exact.shape) * np.sqrt(self.spread(epsilon) * times)

    def spread(self, epsilon: float) -> Floats:
        """Variance of the noise, by entry."""
        blocks = self.measurement(epsilon).blocks
        return np.repeat([float(block.variance(1)) for block in blocks], self.tally.sizes)

    def read(
        self, vectors: Floats, epsilon: float | None, reading: Reading | None = None, *, times: int = 1
    ) -> Figures:
        """Figures of vectors of shape (releases, entries); ``epsilon`` None: the reader believes in no noise.

        ``times``: how often the noise was added, and the reader knows it.
        """
        (part,) = self.question.plan.parts
        (aggregate,) = part.aggregates
        statistic = STATISTICS[aggregate.statistic]
        setting = Setting(catalogue=self.catalogue, table=self.table, keys=())
        variances = np.zeros(self.tally.entries) if epsilon is None else self.spread(epsilon) * times
        blocks = tuple(
            NoisyBlock(
                index=index,
                values=np.ascontiguousarray(vectors[:, start : start + size]).reshape(-1),
                variance=float(variances[start]),
            )
            for index, (start, size) in enumerate(zip(self.tally.offsets, self.tally.sizes, strict=True))
        )
        found = statistic.read(aggregate, setting, reading or Reading(), Sums(blocks=blocks, seed=bytes(32)))
        return figures_of(found, len(vectors))

    def tallied(self, patients: Codes) -> Ints:
        """The exact vector of simulated patients, one row each, as a node computes it where nothing is missing."""
        parts = []
        for block, size in zip(self.tally.blocks, self.tally.sizes, strict=True):
            cell = np.zeros(len(next(iter(patients.values()))), dtype=np.int64)
            for key in block.keys:
                codes, cells = self._cells(key, patients)
                cell = cell * cells + codes
            parts.append(np.bincount(cell, weights=_added(block.measure, patients), minlength=size))
        return np.rint(np.concatenate(parts)).astype(np.int64)

    def _cells(self, key: Key, patients: Codes) -> tuple[Ints, int]:
        if isinstance(key, CodeKey):
            return patients[key.column], Setting(catalogue=self.catalogue, table=self.table, keys=()).size(key)
        if isinstance(key, BandKey):
            return np.searchsorted(key.starts, patients[key.column], side="right") - 1, len(key.starts)
        if isinstance(key, FlagKey) and isinstance(key.term, Members):
            column = self.table.column(key.term.column)
            assert isinstance(column, CodeColumn)
            wanted = [column.codes.index[code] for code in key.term.codes]
            return np.isin(patients[column.name], wanted).astype(np.int64), 2
        raise TypeError(key)


def _added(measure: object, patients: Codes) -> Ints | None:
    if isinstance(measure, RowCount):
        return None
    if isinstance(measure, ValueSum):
        return patients[measure.column] - measure.centre
    assert isinstance(measure, ProductSum)
    product = (patients[measure.left] - measure.left_centre) * (patients[measure.right] - measure.right_centre)
    return np.sign(product) * ((np.abs(product) + measure.unit // 2) // measure.unit)


def figures_of(found: Quantity | Finding, releases: int) -> Figures:
    """A reading with releases laid out as cells, one line for each release."""

    def shaped(array: Floats | None) -> Floats | None:
        return None if array is None else array.reshape(releases, -1)

    if isinstance(found, Finding):
        ends = (found.low, found.high, found.total_low, found.total_high)
    else:
        ends = (*found.interval(), *(found.total_interval() or (None, None)))
    low, high, total_low, total_high = (shaped(end) for end in ends)
    return Figures(found.value.reshape(releases, -1), low, high, total_low, total_high)


def steps(column: NumberColumn, values: Floats) -> Ints:
    """Values in steps of a column, rounded and clipped to its bounds as a node prepares them."""
    return np.clip(np.rint(values / float(column.step)), column.low, column.high).astype(np.int64)
