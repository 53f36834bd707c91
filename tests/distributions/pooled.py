"""A question over pooled records, released thousands of times in memory: for what is true of figures on average.

The exact tally is computed once by the node's own scanner, all hospitals' records in one prepared file. A release adds
normal noise of the agreed variance, rounded to the noise's grid: its steps are a quarter of a share's deviation at
most, so this cannot be told from the hospitals' own discrete shares, which tests/distributions/test_secure_noise.py
holds against the same law.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from node.records.mapping import IDENTITY, read_mapping
from node.records.prepare import prepare
from node.scan.scan import Scanner
from queries.agreed.catalogue import Catalogue
from queries.answers.answer import Answer, answers
from queries.answers.figures import Estimate
from queries.asked.canonical import decode, encode
from queries.asked.plan import Plan
from queries.asked.question import Question
from queries.cost.accounting import rho_of
from queries.cost.measurement import Measurement, calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally, tally
from queries.sql import read

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SITE = "pooled"


@dataclass(frozen=True)
class Records:
    """Prepared records of all hospitals together; close the scanner when done."""

    catalogue: Catalogue
    scanner: Scanner

    def exact(self, question: Question) -> Ints:
        """The bounded tally of a question, without noise."""
        shape = tally(decode(Plan, encode(question.plan)), self.catalogue)
        return self.scanner.tally(shape, self.catalogue, SITE, {}, own_row=True)

    def ask(self, statement: str, **bounds: int) -> Released:
        """A statement over these records."""
        question = read(statement, self.catalogue, {SITE: {}}, **bounds)
        return self.released(question)

    def released(self, question: Question) -> Released:
        """A question over these records, to release as often as wanted."""
        return Released(catalogue=self.catalogue, question=question, exact=self.exact(question))


def records_of(
    folder: Path, catalogue: Catalogue, frames: Mapping[str, DataFrame] | Path, mapping: Path | None = None
) -> Records:
    """Prepare tables (frames by table, in the catalogue's terms, or a folder of files with a mapping) in ``folder``."""
    data = folder / "data"
    if isinstance(frames, Path):
        data = frames
    else:
        data.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_parquet(data / f"{name}.parquet")
    described = IDENTITY if mapping is None else read_mapping(mapping.read_bytes(), mapping.name)
    made = prepare(folder / "prepared", data, described, catalogue, b"k" * 32)
    return Records(catalogue=catalogue, scanner=Scanner(made.path, threads=2))


@dataclass(frozen=True)
class Released:
    """One question's exact tally, and as many releases of it as wanted."""

    catalogue: Catalogue
    question: Question
    exact: Ints

    @cached_property
    def tally(self) -> Tally:
        """The shape of the vector."""
        return tally(self.question.plan, self.catalogue)

    def measurement(self, epsilon: float, honest: int = 1) -> Measurement:
        """The noise at a price."""
        sensitivities = of_tally(self.tally, self.catalogue.sites_per_patient)
        return calibrate(self.tally, sensitivities, rho_of(epsilon), honest)

    def truth(self) -> tuple[Answer, ...]:
        """The exact answer: the same reading of sums without noise, at a price so high that intervals vanish."""
        measurement = self.measurement(epsilon=50.0)
        grids = np.repeat([block.grid for block in measurement.blocks], [block.entries for block in measurement.blocks])
        return self._read(self.exact * grids, measurement, contributors=1)

    def releases(
        self, count: int, *, epsilon: float, seed: int, exact: Iterator[Ints] | None = None
    ) -> Iterator[tuple[Answer, ...]]:
        """Answers with fresh noise, reproducibly; with ``exact``, of another tally (such as a resample) each time."""
        measurement = self.measurement(epsilon)
        entries = [block.entries for block in measurement.blocks]
        grids = np.repeat([block.grid for block in measurement.blocks], entries)
        scales = np.repeat([float(block.share_scale) for block in measurement.blocks], entries)
        generator = np.random.default_rng(seed)
        for _ in range(count):
            vector = self.exact if exact is None else next(exact)
            noise = np.rint(generator.normal(0.0, scales)).astype(np.int64)
            yield self._read(vector * grids + noise, measurement, contributors=1)

    def _read(self, vector: Ints, measurement: Measurement, contributors: int) -> tuple[Answer, ...]:
        return answers(
            self.question.plan, self.question.pages, self.catalogue, vector, measurement, contributors=contributors
        )


def column(answer: Answer, name: str) -> tuple[Estimate, ...]:
    """The figures of a column, row by row."""
    place = [each.name for each in answer.columns].index(name)
    return tuple(row.cells[place] for row in answer.rows if isinstance(row.cells[place], Estimate))


@dataclass(frozen=True)
class Record:
    """What many releases of one figure came to."""

    bias: float
    """Mean error over its standard error: beyond 4 in size, the estimate is biased."""
    error: float
    """Root mean square error."""
    covered: float
    """Share of 95 % noise-only intervals that hold the exact figure."""
    width: float
    """Median width of the interval."""


def record(values: Floats, lows: Floats, highs: Floats, truth: float) -> Record:
    """What releases of one figure came to: arrays of shape (releases,)."""
    errors = values - truth
    spread = errors.std(ddof=1) / np.sqrt(len(errors))
    return Record(
        bias=float(errors.mean() / spread) if spread else 0.0,
        error=float(np.sqrt((errors**2).mean())),
        covered=float(((lows <= truth) & (truth <= highs)).mean()),
        width=float(np.median(highs - lows)),
    )
